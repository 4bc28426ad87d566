//! What guests of 32 bits see, by the same headers compiled for i386. Nothing is run, so that no
//! library of 32 bits is needed.

use super::*;
use xen::abi::x86_32;

/// Has the compiler itself compare.
fn compare_for_i386(checks: Vec<Check>) {
    let mut text = String::from(
        "#define __XEN_TOOLS__ 1\n#define __XEN_INTERFACE_VERSION__ 0x00040e00\n\
         #include <stddef.h>\n#include <stdint.h>\n#include <xen/xen.h>\n#include <xen/memory.h>\n\
         #include <xen/sched.h>\n#include <xen/vcpu.h>\n#include <xen/callback.h>\n\
         #include <xen/grant_table.h>\n#include <xen/version.h>\n",
    );
    for Check { c, rust } in checks {
        text += &format!("_Static_assert({c} == {rust}, \"{rust} is another\");\n");
    }
    let mut cc = Command::new("cc")
        .args(["-m32", "-ffreestanding", "-fsyntax-only", "-w", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler is needed: apt-get install gcc libxen-dev");
    cc.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success());
}

#[test]
fn structures_of_32_bits() {
    let mut c = Vec::new();
    layout! { c, "struct start_info", x86_32::StartInfo {
        magic, nr_pages, shared_info, flags, store_mfn, store_evtchn,
        console_mfn = "console.domU.mfn", console_evtchn = "console.domU.evtchn", pt_base,
        nr_pt_frames, mfn_list, mod_start, mod_len, cmd_line, first_p2m_pfn, nr_p2m_frames,
    } }
    layout! { c, "struct cpu_user_regs", x86_32::UserRegs {
        ebx, ecx, edx, esi, edi, ebp, eax, error_code, entry_vector, eip, cs, saved_upcall_mask,
        eflags, esp, ss, es, ds, fs, gs,
    } }
    layout! { c, "struct trap_info", x86_32::TrapInfo { vector, flags, cs, address } }
    layout! { c, "struct vcpu_guest_context", x86_32::GuestContext {
        fpu_ctxt, flags, user_regs, trap_ctxt, ldt_base, ldt_ents, gdt_frames, gdt_ents,
        kernel_ss, kernel_sp, ctrlreg, debugreg, event_callback_cs, event_callback_eip,
        failsafe_callback_cs, failsafe_callback_eip, vm_assist,
    } }
    layout! { c, "struct vcpu_runstate_info", x86_32::Runstate { state, state_entry_time, time } }
    layout! { c, "struct vcpu_set_singleshot_timer", x86_32::Singleshot {
        timeout_abs_ns, flags,
    } }
    layout! { c, "struct mmuext_op", x86_32::MmuextOp { cmd, arg1, arg2 } }
    layout! { c, "struct multicall_entry", x86_32::MulticallEntry { op, result, args } }
    layout! { c, "struct xen_memory_reservation", x86_32::Reservation {
        extent_start, nr_extents, extent_order, mem_flags, domid,
    } }
    layout! { c, "struct xen_machphys_mapping", x86_32::MachphysMapping {
        v_start, v_end, max_mfn,
    } }
    layout! { c, "struct xen_memory_map", x86_32::MemoryMap { nr_entries, buffer } }
    layout! { c, "struct sched_poll", x86_32::Poll { ports, nr_ports, timeout } }
    layout! { c, "struct callback_register", x86_32::CallbackRegister {
        r#type = "type", flags, cs = "address.cs", eip = "address.eip",
    } }
    layout! { c, "struct gnttab_setup_table", x86_32::SetupTable {
        dom, nr_frames, status, frame_list,
    } }
    layout! { c, "struct gnttab_get_status_frames", x86_32::StatusFrames {
        nr_frames, dom, status, frame_list,
    } }
    layout! { c, "struct gnttab_copy", x86_32::GrantCopy {
        source = "source.u.ref", source_domid = "source.domid", source_offset = "source.offset",
        dest = "dest.u.ref", dest_domid = "dest.domid", dest_offset = "dest.offset", len, flags,
        status,
    } }
    compare_for_i386(c);
}

#[test]
fn numbers_of_32_bits() {
    compare_for_i386(numbers! {
        "FLAT_KERNEL_CS" => x86_32::FLAT_KERNEL_CS,
        "FLAT_KERNEL_DS" => x86_32::FLAT_KERNEL_DS,
        "FLAT_KERNEL_SS" => x86_32::FLAT_KERNEL_SS,
        "__HYPERVISOR_VIRT_START" => x86_32::HYPERVISOR_START,
        "__MACH2PHYS_VIRT_START" => x86_32::HYPERVISOR_START,
        "offsetof(struct vcpu_info, evtchn_pending_sel)" => x86_32::PENDING_SELECTOR,
        "offsetof(struct vcpu_info, arch.cr2)" => x86_32::FAULT_ADDRESS,
        "offsetof(struct shared_info, evtchn_pending)" => x86_32::PENDING,
        "offsetof(struct shared_info, evtchn_mask)" => x86_32::MASKS,
        "offsetof(struct shared_info, wc_version)" => x86_32::WALL_CLOCK,
        "offsetof(struct shared_info, arch.max_pfn)" => x86_32::MAX_PFN,
        "offsetof(struct shared_info, arch.wc_sec_hi)" => x86_32::WALL_CLOCK_HIGH,
        "xen_cr3_to_pfn(0x12345678)" => x86_32::cr3_to_mfn(0x1234_5678),
        "xen_pfn_to_cr3(0x12345678u)" => x86_32::mfn_to_cr3(0x1234_5678),
    });
}

/// What is taken as it is, since it is the same: all that 64-bit kernels give by these names.
#[test]
fn what_is_the_same() {
    let same = [
        ("struct mmu_update", 16),
        ("struct vcpu_info", shared_info::VCPU_INFO_SIZE),
        ("struct gnttab_map_grant_ref", 32),
        ("struct gnttab_unmap_grant_ref", 24),
        ("struct gnttab_unmap_and_replace", 24),
        ("struct gnttab_query_size", 16),
        ("struct gnttab_get_version", 8),
        ("struct gnttab_swap_grant_ref", 12),
        ("struct gnttab_cache_flush", 16),
        ("struct vcpu_register_vcpu_info", 16),
        ("struct xen_feature_info", 8),
    ];
    let check =
        |&(c, size): &(&str, usize)| Check { c: format!("sizeof({c})"), rust: size as i128 };
    compare(same.iter().map(check).collect());
    compare_for_i386(same.iter().map(check).collect());
}
