//! The machine: everything that only a processor in ring 0 can do, behind safe interfaces.

pub mod backtrace;
mod boot;
mod cmos;
pub mod console;
pub mod copy;
pub mod counters;
pub mod cpu;
pub mod descriptors;
pub mod entry;
pub mod gates;
pub mod ioapic;
pub mod lapic;
pub mod memory;
mod mmio;
pub mod pci;
mod pic;
pub mod platform;
pub mod power;
pub mod processor;
pub mod shootdown;
mod smp;
pub mod speculation;
pub mod state;
pub mod time;
mod traps;
pub mod vga;

use hypervisor::multiboot::{BootInfo, Memory};
use hypervisor::options::Options;

use crate::note;

/// Sets up what traps need; called once, before anything may trap.
pub fn init(options: &Options) {
    console::set_up(options);
    let processor = processor::prepare_first();
    processor.descriptors.load(processor.number);
    gates::load(processor.number);
    state::init();
}

/// Finds out what the machine has beside processors and memory, and sets it up.
pub fn init_platform(memory: &dyn Memory, info: &BootInfo) {
    platform::init(memory, info);
    pic::silence();
    ioapic::init();
    lapic::init();
    processor::this().set_apic_id(lapic::id());
    let mode = if lapic::is_x2apic() { "x2APIC" } else { "xAPIC" };
    note!(Info, "Local APIC {}, {mode}", lapic::id());
    time::init();
    pci::report();
}

/// Starts the other processors, so many as are wanted at most, and says how many there are then. Each
/// runs vcpus as soon as there are any.
pub fn start_processors(most: Option<usize>) -> usize {
    let stack = |number| {
        let is_wanted = most.is_none_or(|most| number < most);
        is_wanted.then(|| processor::prepare_other(number))?.map(|(_, stack)| stack)
    };
    smp::start(stack, |number| {
        processor::this().descriptors.load(number);
        gates::load(number);
        state::init();
        lapic::init();
        processor::this().set_apic_id(lapic::id());
        time::start_timer();
        note!(Info, "Processor {number}: local APIC {}", lapic::id());
        crate::scheduler::run()
    })
}
