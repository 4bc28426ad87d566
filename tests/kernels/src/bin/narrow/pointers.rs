//! Addresses that lead nowhere, or to the hypervisor.

use kernels::answer::{Answer, line};
use kernels::hypercall::{call, number};
use kernels::memory::scratch;
use xen::abi::{DOMID_SELF, callback, evtchn, grant, memory, sched, vcpu, version};

/// Nothing is there; the end of all.
const PLACES: [u64; 2] = [0x1000, 0xffff_fffe];
/// The hypervisor's, to be read only.
const HYPERVISORS: u64 = 0xf580_0000;

pub fn all() {
    // Each with the place where it takes an address.
    let calls: [(&str, u64, [u64; 4], usize); 20] = [
        ("traps", number::SET_TRAP_TABLE, [0; 4], 0),
        ("gdt", number::SET_GDT, [0, 8, 0, 0], 0),
        ("mmu_update", number::MMU_UPDATE, [0, 1, 0, DOMID_SELF as u64], 0),
        ("mmuext_op", number::MMUEXT_OP, [0, 1, 0, DOMID_SELF as u64], 0),
        ("multicall", number::MULTICALL, [0, 1, 0, 0], 0),
        ("version", number::XEN_VERSION, [version::CAPABILITIES, 0, 0, 0], 1),
        ("platform", number::XEN_VERSION, [version::PLATFORM_PARAMETERS, 0, 0, 0], 1),
        ("reservation", number::MEMORY_OP, [memory::POPULATE_PHYSMAP, 0, 0, 0], 1),
        ("memory map", number::MEMORY_OP, [memory::MEMORY_MAP, 0, 0, 0], 1),
        ("mapping", number::MEMORY_OP, [memory::MACHPHYS_MAPPING, 0, 0, 0], 1),
        ("poll", number::SCHED_OP, [sched::POLL, 0, 0, 0], 1),
        ("callback", number::CALLBACK_OP, [callback::REGISTER, 0, 0, 0], 1),
        ("open a port", number::EVENT_CHANNEL_OP, [evtchn::ALLOC_UNBOUND, 0, 0, 0], 1),
        ("grants", number::GRANT_TABLE_OP, [grant::SETUP_TABLE, 0, 1, 0], 1),
        ("marks", number::GRANT_TABLE_OP, [grant::GET_STATUS_FRAMES, 0, 1, 0], 1),
        ("copy", number::GRANT_TABLE_OP, [grant::COPY, 0, 2, 0], 1),
        ("initialise", number::VCPU_OP, [vcpu::INITIALISE, 1, 0, 0], 2),
        ("run state", number::VCPU_OP, [vcpu::GET_RUNSTATE_INFO, 0, 0, 0], 2),
        ("timer", number::VCPU_OP, [vcpu::SET_SINGLESHOT_TIMER, 0, 0, 0], 2),
        ("area", number::VCPU_OP, [vcpu::REGISTER_RUNSTATE_MEMORY_AREA, 0, 0, 0], 2),
    ];
    for (name, number, mut arguments, which) in calls {
        let [nowhere, end] = PLACES.map(|place| {
            arguments[which] = place;
            Answer(call(number, &arguments))
        });
        line(format_args!("{name}: {nowhere}, {end}"));
        if ["version", "platform", "mapping", "run state"].contains(&name) {
            arguments[which] = HYPERVISORS;
            let written = Answer(call(number, &arguments));
            line(format_args!("{name}, where it can't be written: {written}"));
        }
    }
    // Lists that begin well and run into nothing: the last page's end, and what isn't mapped behind.
    let list = scratch(0) + 4096 - 12;
    kernels::memory::map_frame(scratch(1), 0, 0);
    (0..3).for_each(|at| kernels::memory::write(list + 4 * at, 0));
    // One operation that flushes all.
    kernels::memory::write(list, xen::abi::mmuext::TLB_FLUSH_ALL);
    let mut done = 9_u32;
    let arguments = [list, 3, &raw mut done as u64, DOMID_SELF as u64];
    let answer = Answer(call(number::MMUEXT_OP, &arguments));
    // SAFETY: the hypervisor wrote to it.
    let done = unsafe { (&raw const done).read_volatile() };
    line(format_args!("a list that ends early: {answer}, {done} done"));
}
