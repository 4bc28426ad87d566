//! Every structure and number of `xen::abi` against the public headers (Debian's libxen-dev),
//! by way of the C compiler.

use std::io::Write;
use std::mem::{offset_of, size_of};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use xen::abi::*;

/// One comparison: a C expression and what it must be worth.
struct Check {
    c: String,
    rust: i128,
}

/// `numbers! { "C_EXPRESSION" => rust, ... }`
macro_rules! numbers {
    ($($c:expr => $rust:expr),+ $(,)?) => {
        vec![$(Check { c: $c.to_string(), rust: $rust as i128 }),+]
    };
}

/// `layout! { checks, "struct c", Rust { field, rust_field = "c_field" } }`: size and offsets.
macro_rules! layout {
    ($checks:ident, $c:literal, $rust:ty { $($field:ident $(= $c_field:literal)?),* $(,)? }) => {
        $checks.push(Check { c: format!("sizeof({})", $c), rust: size_of::<$rust>() as i128 });
        $($checks.push(Check {
            c: format!("offsetof({}, {})", $c, [$($c_field,)? stringify!($field)][0]),
            rust: offset_of!($rust, $field) as i128,
        });)*
    };
}

#[path = "layout/operations.rs"]
mod operations;
#[path = "layout/x86_32.rs"]
mod x86_32;

fn program(checks: &[Check]) -> String {
    let mut text = String::from(
        "#define __XEN_TOOLS__ 1\n\
         #define __XEN_INTERFACE_VERSION__ 0x00040e00\n\
         #include <errno.h>\n#include <xen/errno.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n\
         #include <xen/xen.h>\n#include <xen/domctl.h>\n#include <xen/sysctl.h>\n\
         #include <xen/memory.h>\n#include <xen/sched.h>\n#include <xen/event_channel.h>\n\
         #include <xen/grant_table.h>\n#include <xen/version.h>\n#include <xen/features.h>\n\
         #include <xen/elfnote.h>\n#include <xen/io/xs_wire.h>\n#include <xen/io/console.h>\n\
         #include <xen/io/xenbus.h>\n#include <xen/vcpu.h>\n#include <xen/physdev.h>\n\
         #include <xen/platform.h>\n#include <xen/callback.h>\n\
         #define P(x) printf(\"%lld\\n\", (long long)(x))\nint main(void) {\n",
    );
    for check in checks {
        text += &format!("P({});\n", check.c);
    }
    text + "return 0; }\n"
}

fn compare(checks: Vec<Check>) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("xen-layout-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let binary = folder.join("layout");
    let mut cc = Command::new("cc")
        .args(["-w", "-x", "c", "-", "-o"])
        .arg(&binary)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler is needed: apt-get install gcc libxen-dev");
    cc.stdin.take().unwrap().write_all(program(&checks).as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success(), "is libxen-dev installed?");
    let output = Command::new(&binary).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let values = String::from_utf8(output.stdout).unwrap();
    let values: Vec<i128> = values.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), checks.len());
    for (check, value) in checks.iter().zip(values) {
        assert_eq!(check.rust, value, "{}", check.c);
    }
}

#[test]
fn structures() {
    let mut c = Vec::new();
    layout! { c, "struct xen_arch_domainconfig", domctl::ArchDomainConfig {
        emulation_flags, misc_flags,
    } }
    layout! { c, "struct xen_domctl_createdomain", domctl::CreateDomain {
        ssidref, handle, flags, iommu_opts, max_vcpus, max_evtchn_port, max_grant_frames,
        max_maptrack_frames, grant_opts, vmtrace_size, cpupool_id, arch,
    } }
    layout! { c, "struct xen_domctl_getdomaininfo", domctl::GetDomainInfo {
        domain, flags, tot_pages, max_pages, outstanding_pages, shr_pages, paged_pages,
        shared_info_frame, cpu_time, nr_online_vcpus, max_vcpu_id, ssidref, handle, cpupool,
        gpaddr_bits, arch_config,
    } }
    layout! { c, "struct xen_domctl_getvcpuinfo", domctl::GetVcpuInfo {
        vcpu, online, blocked, running, cpu_time, cpu,
    } }
    layout! { c, "struct xen_domctl_vcpucontext", domctl::VcpuContext { vcpu, ctxt } }
    layout! { c, "struct xenctl_bitmap", domctl::Bitmap { bitmap, nr_bits } }
    layout! { c, "struct xen_domctl_vcpuaffinity", domctl::VcpuAffinity {
        vcpu, flags, cpumap_hard, cpumap_soft,
    } }
    layout! { c, "struct xen_domctl_sched_credit", domctl::SchedCredit { weight, cap } }
    layout! { c, "struct xen_domctl_scheduler_op", domctl::SchedulerOp {
        sched_id, cmd, credit = "u.credit",
    } }
    layout! { c, "struct xen_domctl_tsc_info", domctl::TscInfo {
        tsc_mode, gtsc_khz, incarnation, elapsed_nsec,
    } }
    layout! { c, "struct xen_domctl", domctl::Domctl { cmd, interface_version, domain, u } }
    layout! { c, "struct xen_sysctl_readconsole", sysctl::ReadConsole {
        clear, incremental, index, buffer, count,
    } }
    layout! { c, "struct xen_sysctl_physinfo", sysctl::Physinfo {
        threads_per_core, cores_per_socket, nr_cpus, max_cpu_id, nr_nodes, max_node_id, cpu_khz,
        capabilities, arch_capabilities, total_pages, free_pages, scrub_pages, outstanding_pages,
        max_mfn, hw_cap,
    } }
    layout! { c, "struct xen_sysctl_getdomaininfolist", sysctl::GetDomainInfoList {
        first_domain, max_domains, buffer, num_domains,
    } }
    layout! { c, "struct xen_sysctl_debug_keys", sysctl::DebugKeys { keys, nr_keys } }
    layout! { c, "struct xen_sysctl_getcpuinfo", sysctl::GetCpuInfo { max_cpus, info, nr_cpus } }
    layout! { c, "struct xen_sysctl", sysctl::Sysctl { cmd, interface_version, u } }
    layout! { c, "struct xen_memory_reservation", memory::Reservation {
        extent_start, nr_extents, extent_order, mem_flags, domid,
    } }
    layout! { c, "struct mmuext_op", mmuext::MmuextOp { cmd, arg1, arg2 } }
    layout! { c, "struct mmu_update", mmuext::MmuUpdate { ptr, val } }
    layout! { c, "struct sched_remote_shutdown", sched::RemoteShutdown { domain_id, reason } }
    layout! { c, "struct evtchn_alloc_unbound", evtchn::AllocUnbound { dom, remote_dom, port } }
    layout! { c, "struct gnttab_setup_table", grant::SetupTable {
        dom, nr_frames, status, frame_list,
    } }
    layout! { c, "struct grant_entry_v1", grant::EntryV1 { flags, domid, frame } }
    layout! { c, "struct xen_compile_info", version::CompileInfo {
        compiler, compile_by, compile_domain, compile_date,
    } }
    layout! { c, "struct cpu_user_regs", vcpu::UserRegs {
        r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, error_code,
        entry_vector, rip, cs, saved_upcall_mask, rflags, rsp, ss, es, ds, fs, gs,
    } }
    layout! { c, "struct trap_info", vcpu::TrapInfo { vector, flags, cs, address } }
    layout! { c, "struct vcpu_guest_context", vcpu::GuestContext {
        fpu_ctxt, flags, user_regs, trap_ctxt, ldt_base, ldt_ents, gdt_frames, gdt_ents,
        kernel_ss, kernel_sp, ctrlreg, debugreg, event_callback_eip, failsafe_callback_eip,
        syscall_callback_eip, vm_assist, fs_base, gs_base_kernel, gs_base_user,
    } }
    layout! { c, "struct start_info", start_info::StartInfo {
        magic, nr_pages, shared_info, flags, store_mfn, store_evtchn,
        console_mfn = "console.domU.mfn", console_evtchn = "console.domU.evtchn", pt_base,
        nr_pt_frames, mfn_list, mod_start, mod_len, cmd_line, first_p2m_pfn, nr_p2m_frames,
    } }
    // The other scheduler's parameters share the place.
    c.extend(numbers! {
        "sizeof(struct xen_domctl_sched_credit2)" => size_of::<domctl::SchedCredit>(),
        "offsetof(struct xen_domctl_sched_credit2, weight)" => offset_of!(domctl::SchedCredit, weight),
        "offsetof(struct xen_domctl_sched_credit2, cap)" => offset_of!(domctl::SchedCredit, cap),
        "offsetof(struct xen_domctl_scheduler_op, u.credit2)" => offset_of!(domctl::SchedulerOp, credit),
        "sizeof(struct xen_sysctl_cpuinfo)" => size_of::<u64>(),
    });
    compare(c);
}

#[test]
fn control_numbers() {
    compare(numbers! {
        "DOMID_SELF" => DOMID_SELF,
        "DOMID_IO" => DOMID_IO,
        "DOMID_FIRST_RESERVED" => DOMID_FIRST_RESERVED,
        "__HYPERVISOR_set_trap_table" => hypercall::SET_TRAP_TABLE,
        "__HYPERVISOR_mmu_update" => hypercall::MMU_UPDATE,
        "__HYPERVISOR_set_gdt" => hypercall::SET_GDT,
        "__HYPERVISOR_stack_switch" => hypercall::STACK_SWITCH,
        "__HYPERVISOR_set_callbacks" => hypercall::SET_CALLBACKS,
        "__HYPERVISOR_fpu_taskswitch" => hypercall::FPU_TASKSWITCH,
        "__HYPERVISOR_sched_op_compat" => hypercall::SCHED_OP_OLD,
        "__HYPERVISOR_platform_op" => hypercall::PLATFORM_OP,
        "__HYPERVISOR_set_debugreg" => hypercall::SET_DEBUGREG,
        "__HYPERVISOR_get_debugreg" => hypercall::GET_DEBUGREG,
        "__HYPERVISOR_update_descriptor" => hypercall::UPDATE_DESCRIPTOR,
        "__HYPERVISOR_memory_op" => hypercall::MEMORY_OP,
        "__HYPERVISOR_multicall" => hypercall::MULTICALL,
        "__HYPERVISOR_update_va_mapping" => hypercall::UPDATE_VA_MAPPING,
        "__HYPERVISOR_set_timer_op" => hypercall::SET_TIMER_OP,
        "__HYPERVISOR_xen_version" => hypercall::XEN_VERSION,
        "__HYPERVISOR_console_io" => hypercall::CONSOLE_IO,
        "__HYPERVISOR_grant_table_op" => hypercall::GRANT_TABLE_OP,
        "__HYPERVISOR_vm_assist" => hypercall::VM_ASSIST,
        "__HYPERVISOR_update_va_mapping_otherdomain" => hypercall::UPDATE_VA_MAPPING_OTHERDOMAIN,
        "__HYPERVISOR_iret" => hypercall::IRET,
        "__HYPERVISOR_vcpu_op" => hypercall::VCPU_OP,
        "__HYPERVISOR_set_segment_base" => hypercall::SET_SEGMENT_BASE,
        "__HYPERVISOR_mmuext_op" => hypercall::MMUEXT_OP,
        "__HYPERVISOR_sched_op" => hypercall::SCHED_OP,
        "__HYPERVISOR_callback_op" => hypercall::CALLBACK_OP,
        "__HYPERVISOR_event_channel_op" => hypercall::EVENT_CHANNEL_OP,
        "__HYPERVISOR_physdev_op" => hypercall::PHYSDEV_OP,
        "__HYPERVISOR_sysctl" => hypercall::SYSCTL,
        "__HYPERVISOR_domctl" => hypercall::DOMCTL,
        "XEN_DOMCTL_INTERFACE_VERSION" => domctl::INTERFACE_VERSION,
        "XEN_DOMCTL_createdomain" => domctl::CREATE_DOMAIN,
        "XEN_DOMCTL_destroydomain" => domctl::DESTROY_DOMAIN,
        "XEN_DOMCTL_pausedomain" => domctl::PAUSE_DOMAIN,
        "XEN_DOMCTL_unpausedomain" => domctl::UNPAUSE_DOMAIN,
        "XEN_DOMCTL_getdomaininfo" => domctl::GET_DOMAIN_INFO,
        "XEN_DOMCTL_setdomainhandle" => domctl::SET_DOMAIN_HANDLE,
        "XEN_DOMCTL_setvcpuaffinity" => domctl::SET_VCPU_AFFINITY,
        "XEN_DOMCTL_getvcpuaffinity" => domctl::GET_VCPU_AFFINITY,
        "XEN_DOMCTL_max_mem" => domctl::MAX_MEM,
        "XEN_DOMCTL_setvcpucontext" => domctl::SET_VCPU_CONTEXT,
        "XEN_DOMCTL_getvcpucontext" => domctl::GET_VCPU_CONTEXT,
        "XEN_DOMCTL_getvcpuinfo" => domctl::GET_VCPU_INFO,
        "XEN_DOMCTL_max_vcpus" => domctl::MAX_VCPUS,
        "XEN_DOMCTL_scheduler_op" => domctl::SCHEDULER_OP,
        "XEN_DOMCTL_hypercall_init" => domctl::HYPERCALL_INIT,
        "XEN_DOMINF_dying" => domctl::DOMINF_DYING,
        "XEN_DOMINF_hvm_guest" => domctl::DOMINF_HVM_GUEST,
        "XEN_DOMINF_shutdown" => domctl::DOMINF_SHUTDOWN,
        "XEN_DOMINF_paused" => domctl::DOMINF_PAUSED,
        "XEN_DOMINF_blocked" => domctl::DOMINF_BLOCKED,
        "XEN_DOMINF_running" => domctl::DOMINF_RUNNING,
        "XEN_DOMINF_shutdownshift" => domctl::DOMINF_SHUTDOWN_SHIFT,
        "XEN_DOMINF_shutdownmask" => domctl::DOMINF_SHUTDOWN_MASK,
        "XEN_INVALID_MAX_VCPU_ID" => domctl::INVALID_MAX_VCPU_ID,
        "XEN_VCPUAFFINITY_HARD" => domctl::VCPU_AFFINITY_HARD,
        "XEN_VCPUAFFINITY_SOFT" => domctl::VCPU_AFFINITY_SOFT,
        "XEN_DOMCTL_settimeoffset" => domctl::SET_TIME_OFFSET,
        "XEN_DOMCTL_resumedomain" => domctl::RESUME_DOMAIN,
        "XEN_DOMCTL_irq_permission" => domctl::IRQ_PERMISSION,
        "XEN_DOMCTL_iomem_permission" => domctl::IOMEM_PERMISSION,
        "XEN_DOMCTL_ioport_permission" => domctl::IOPORT_PERMISSION,
        "XEN_DOMCTL_set_address_size" => domctl::SET_ADDRESS_SIZE,
        "XEN_DOMCTL_get_address_size" => domctl::GET_ADDRESS_SIZE,
        "XEN_DOMCTL_gettscinfo" => domctl::GET_TSC_INFO,
        "XEN_DOMCTL_getpageframeinfo3" => domctl::GET_PAGE_FRAME_INFO,
        "XEN_DOMCTL_setnodeaffinity" => domctl::SET_NODE_AFFINITY,
        "XEN_DOMCTL_getnodeaffinity" => domctl::GET_NODE_AFFINITY,
        "XEN_DOMCTL_get_cpu_policy" => domctl::GET_CPU_POLICY,
        "XEN_DOMCTL_set_cpu_policy" => domctl::SET_CPU_POLICY,
        "XEN_DOMCTL_CDF_iommu" => domctl::CREATE_IOMMU,
        "XEN_DOMCTL_settscinfo" => domctl::SET_TSC_INFO,
        "XEN_SCHEDULER_CREDIT" => domctl::SCHEDULER_CREDIT,
        "XEN_SCHEDULER_CREDIT2" => domctl::SCHEDULER_CREDIT2,
        "XEN_SCHEDULER_ARINC653" => domctl::SCHEDULER_ARINC653,
        "XEN_SCHEDULER_RTDS" => domctl::SCHEDULER_RTDS,
        "XEN_SCHEDULER_NULL" => domctl::SCHEDULER_NULL,
        "XEN_DOMCTL_SCHEDOP_putinfo" => domctl::SCHEDOP_PUT,
        "XEN_DOMCTL_SCHEDOP_getinfo" => domctl::SCHEDOP_GET,
        "XEN_SYSCTL_INTERFACE_VERSION" => sysctl::INTERFACE_VERSION,
        "XEN_SYSCTL_readconsole" => sysctl::READ_CONSOLE,
        "XEN_SYSCTL_physinfo" => sysctl::PHYSINFO,
        "XEN_SYSCTL_sched_id" => sysctl::SCHED_ID,
        "XEN_SYSCTL_getdomaininfolist" => sysctl::GET_DOMAIN_INFO_LIST,
        "XEN_SYSCTL_debug_keys" => sysctl::DEBUG_KEYS,
        "XEN_SYSCTL_getcpuinfo" => sysctl::GET_CPU_INFO,
        "XEN_SYSCTL_PHYSCAP_hvm" => sysctl::PHYSCAP_HVM,
        "XEN_SYSCTL_PHYSCAP_pv" => sysctl::PHYSCAP_PV,
        "XEN_SYSCTL_PHYSCAP_directio" => sysctl::PHYSCAP_DIRECTIO,
        "XEN_SYSCTL_PHYSCAP_gnttab_v1" => sysctl::PHYSCAP_GRANTS_V1,
        "XEN_SYSCTL_PHYSCAP_gnttab_v2" => sysctl::PHYSCAP_GRANTS_V2,
        "XENVER_version" => version::VERSION,
        "XENVER_extraversion" => version::EXTRAVERSION,
        "XENVER_compile_info" => version::COMPILE_INFO,
        "XENVER_capabilities" => version::CAPABILITIES,
        "XENVER_changeset" => version::CHANGESET,
        "XENVER_platform_parameters" => version::PLATFORM_PARAMETERS,
        "XENVER_pagesize" => version::PAGESIZE,
        "XENVER_commandline" => version::COMMANDLINE,
    });
}

#[test]
fn memory_and_event_numbers() {
    compare(numbers! {
        "XENMEM_decrease_reservation" => memory::DECREASE_RESERVATION,
        "XENMEM_current_reservation" => memory::CURRENT_RESERVATION,
        "XENMEM_maximum_reservation" => memory::MAXIMUM_RESERVATION,
        "XENMEM_populate_physmap" => memory::POPULATE_PHYSMAP,
        "MMUEXT_PIN_L1_TABLE" => mmuext::PIN_L1_TABLE,
        "MMUEXT_PIN_L2_TABLE" => mmuext::PIN_L2_TABLE,
        "MMUEXT_PIN_L3_TABLE" => mmuext::PIN_L3_TABLE,
        "MMUEXT_PIN_L4_TABLE" => mmuext::PIN_L4_TABLE,
        "MMUEXT_UNPIN_TABLE" => mmuext::UNPIN_TABLE,
        "MMUEXT_NEW_BASEPTR" => mmuext::NEW_BASEPTR,
        "MMUEXT_TLB_FLUSH_LOCAL" => mmuext::TLB_FLUSH_LOCAL,
        "MMUEXT_INVLPG_LOCAL" => mmuext::INVLPG_LOCAL,
        "MMUEXT_TLB_FLUSH_MULTI" => mmuext::TLB_FLUSH_MULTI,
        "MMUEXT_INVLPG_MULTI" => mmuext::INVLPG_MULTI,
        "MMUEXT_TLB_FLUSH_ALL" => mmuext::TLB_FLUSH_ALL,
        "MMUEXT_INVLPG_ALL" => mmuext::INVLPG_ALL,
        "MMUEXT_FLUSH_CACHE" => mmuext::FLUSH_CACHE,
        "MMUEXT_SET_LDT" => mmuext::SET_LDT,
        "MMUEXT_NEW_USER_BASEPTR" => mmuext::NEW_USER_BASEPTR,
        "MMUEXT_CLEAR_PAGE" => mmuext::CLEAR_PAGE,
        "MMUEXT_COPY_PAGE" => mmuext::COPY_PAGE,
        "MMUEXT_FLUSH_CACHE_GLOBAL" => mmuext::FLUSH_CACHE_GLOBAL,
        "MMUEXT_MARK_SUPER" => mmuext::MARK_SUPER,
        "MMUEXT_UNMARK_SUPER" => mmuext::UNMARK_SUPER,
        "MMU_NORMAL_PT_UPDATE" => mmuext::MMU_NORMAL_PT_UPDATE,
        "MMU_MACHPHYS_UPDATE" => mmuext::MMU_MACHPHYS_UPDATE,
        "SCHEDOP_remote_shutdown" => sched::REMOTE_SHUTDOWN,
        "SHUTDOWN_poweroff" => sched::SHUTDOWN_POWEROFF,
        "SHUTDOWN_reboot" => sched::SHUTDOWN_REBOOT,
        "SHUTDOWN_suspend" => sched::SHUTDOWN_SUSPEND,
        "SHUTDOWN_crash" => sched::SHUTDOWN_CRASH,
        "SHUTDOWN_watchdog" => sched::SHUTDOWN_WATCHDOG,
        "SHUTDOWN_soft_reset" => sched::SHUTDOWN_SOFT_RESET,
        "VIRQ_DOM_EXC" => evtchn::VIRQ_DOM_EXC,
        "VIRQ_CON_RING" => evtchn::VIRQ_CON_RING,
        "EVTCHNOP_alloc_unbound" => evtchn::ALLOC_UNBOUND,
        "GNTTAB_RESERVED_CONSOLE" => grant::RESERVED_CONSOLE,
        "GNTTAB_RESERVED_XENSTORE" => grant::RESERVED_XENSTORE,
        "GNTTABOP_setup_table" => grant::SETUP_TABLE,
        "GTF_permit_access" => grant::PERMIT_ACCESS,
        "GTF_transitive" => grant::TRANSITIVE,
        "GTF_type_mask" => grant::TYPE_MASK,
        "GTF_readonly" => grant::READ_ONLY,
        "GTF_reading" => grant::READING,
        "GTF_writing" => grant::WRITING,
        "GTF_sub_page" => grant::SUB_PAGE,
        "VGCF_in_kernel" => vcpu::IN_KERNEL,
        "VGCF_online" => vcpu::ONLINE,
        "FLAT_KERNEL_CS" => vcpu::FLAT_KERNEL_CS,
        "FLAT_KERNEL_DS" => vcpu::FLAT_KERNEL_DS,
        "FLAT_KERNEL_SS" => vcpu::FLAT_KERNEL_SS,
        "SIF_MOD_START_PFN" => start_info::SIF_MOD_START_PFN,
        "SIF_VIRT_P2M_4TOOLS" => start_info::SIF_VIRT_P2M_4TOOLS,
        "MAX_GUEST_CMDLINE" => start_info::MAX_GUEST_CMDLINE,
        "XEN_LEGACY_MAX_VCPUS" => shared_info::VCPUS,
        "sizeof(struct vcpu_info)" => shared_info::VCPU_INFO_SIZE,
        "offsetof(struct vcpu_info, evtchn_upcall_mask)" => shared_info::UPCALL_MASK,
        "offsetof(struct shared_info, arch.max_pfn)" => shared_info::MAX_PFN,
    });
}

#[test]
fn notes_and_rings() {
    compare(numbers! {
        "XEN_ELFNOTE_ENTRY" => elfnote::ENTRY,
        "XEN_ELFNOTE_HYPERCALL_PAGE" => elfnote::HYPERCALL_PAGE,
        "XEN_ELFNOTE_VIRT_BASE" => elfnote::VIRT_BASE,
        "XEN_ELFNOTE_PADDR_OFFSET" => elfnote::PADDR_OFFSET,
        "XEN_ELFNOTE_XEN_VERSION" => elfnote::XEN_VERSION,
        "XEN_ELFNOTE_GUEST_OS" => elfnote::GUEST_OS,
        "XEN_ELFNOTE_GUEST_VERSION" => elfnote::GUEST_VERSION,
        "XEN_ELFNOTE_LOADER" => elfnote::LOADER,
        "XEN_ELFNOTE_PAE_MODE" => elfnote::PAE_MODE,
        "XEN_ELFNOTE_FEATURES" => elfnote::FEATURES,
        "XEN_ELFNOTE_INIT_P2M" => elfnote::INIT_P2M,
        "XEN_ELFNOTE_MOD_START_PFN" => elfnote::MOD_START_PFN,
        "XEN_ELFNOTE_SUPPORTED_FEATURES" => elfnote::SUPPORTED_FEATURES,
        "XENFEAT_writable_page_tables" => elfnote::FEATURE_WRITABLE_PAGE_TABLES,
        "XENFEAT_auto_translated_physmap" => elfnote::FEATURE_AUTO_TRANSLATED_PHYSMAP,
        "XENSTORE_RING_SIZE" => xs_wire::RING_SIZE,
        "XENSTORE_PAYLOAD_MAX" => xs_wire::PAYLOAD_MAX,
        "XENSTORE_ABS_PATH_MAX" => xs_wire::ABS_PATH_MAX,
        "XENSTORE_REL_PATH_MAX" => xs_wire::REL_PATH_MAX,
        "offsetof(struct xenstore_domain_interface, req)" => xs_wire::REQ,
        "offsetof(struct xenstore_domain_interface, rsp)" => xs_wire::RSP,
        "offsetof(struct xenstore_domain_interface, req_cons)" => xs_wire::REQ_CONS,
        "offsetof(struct xenstore_domain_interface, req_prod)" => xs_wire::REQ_PROD,
        "offsetof(struct xenstore_domain_interface, rsp_cons)" => xs_wire::RSP_CONS,
        "offsetof(struct xenstore_domain_interface, rsp_prod)" => xs_wire::RSP_PROD,
        "offsetof(struct xenstore_domain_interface, server_features)" => xs_wire::SERVER_FEATURES,
        "offsetof(struct xenstore_domain_interface, connection)" => xs_wire::CONNECTION,
        "offsetof(struct xenstore_domain_interface, error)" => xs_wire::ERROR,
        "XENSTORE_SERVER_FEATURE_RECONNECTION" => xs_wire::FEATURE_RECONNECTION,
        "XENSTORE_SERVER_FEATURE_ERROR" => xs_wire::FEATURE_ERROR,
        "XENSTORE_CONNECTED" => xs_wire::CONNECTED,
        "XENSTORE_RECONNECT" => xs_wire::RECONNECT,
        "XENSTORE_ERROR_NONE" => xs_wire::ERROR_NONE,
        "XENSTORE_ERROR_COMM" => xs_wire::ERROR_COMM,
        "XENSTORE_ERROR_RINGIDX" => xs_wire::ERROR_RINGIDX,
        "XENSTORE_ERROR_PROTO" => xs_wire::ERROR_PROTO,
        "offsetof(struct xencons_interface, in)" => console::IN,
        "offsetof(struct xencons_interface, out)" => console::OUT,
        "offsetof(struct xencons_interface, in_cons)" => console::IN_CONS,
        "offsetof(struct xencons_interface, in_prod)" => console::IN_PROD,
        "offsetof(struct xencons_interface, out_cons)" => console::OUT_CONS,
        "offsetof(struct xencons_interface, out_prod)" => console::OUT_PROD,
        "sizeof(((struct xencons_interface *)0)->in)" => console::IN_SIZE,
        "sizeof(((struct xencons_interface *)0)->out)" => console::OUT_SIZE,
        "sizeof(struct xencons_interface)" => console::UNUSED,
        "XenbusStateUnknown" => xenbus::State::Unknown as u32,
        "XenbusStateInitialising" => xenbus::State::Initialising as u32,
        "XenbusStateInitWait" => xenbus::State::InitWait as u32,
        "XenbusStateInitialised" => xenbus::State::Initialised as u32,
        "XenbusStateConnected" => xenbus::State::Connected as u32,
        "XenbusStateClosing" => xenbus::State::Closing as u32,
        "XenbusStateClosed" => xenbus::State::Closed as u32,
        "XenbusStateReconfiguring" => xenbus::State::Reconfiguring as u32,
        "XenbusStateReconfigured" => xenbus::State::Reconfigured as u32,
    });
}

#[test]
fn error_numbers() {
    let number = |(name, errno): &(&str, errno::Errno)| Check {
        // The public header has them under Xen's names, which libc's are on x86.
        c: format!("XEN_{name}"),
        rust: errno.0.into(),
    };
    compare(errno::ALL.iter().map(number).collect());
}

/// The lines that compare something, joined.
fn comparisons() -> String {
    let text = concat!(
        include_str!("layout.rs"),
        include_str!("layout/operations.rs"),
        include_str!("layout/x86_32.rs")
    );
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words that a declaration may be followed by.
fn name(declaration: &str) -> &str {
    declaration.split([':', ' ']).next().unwrap()
}

#[test]
fn nothing_was_left_out() {
    let comparisons = comparisons();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi")).unwrap() {
        let file = file.unwrap().path();
        // Compared as a whole.
        if file.ends_with("errno.rs") {
            continue;
        }
        let module = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" => String::new(),
            module => format!("{module}::"),
        };
        let mut fields = None;
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if let Some(rest) = line.strip_prefix("pub const ") {
                let constant = format!("{module}{}", name(rest));
                // The public headers have no name for these.
                let ours = ["PAGE_SIZE", "PAGE_SHIFT"].contains(&constant.as_str());
                let compared = [",", "as u32,"].map(|end| format!("=> {constant}{end}"));
                assert!(ours || compared.iter().any(|c| comparisons.contains(c)), "{constant}");
            }
            if let Some(rest) = line.strip_prefix("pub struct ") {
                let (_, found) = comparisons
                    .split_once(&format!("{module}{} {{", name(rest)))
                    .unwrap_or_else(|| panic!("{rest} is not compared"));
                fields = found.split_once('}').map(|(fields, _)| format!(" {},", fields.trim()));
            }
            if let (Some(rest), Some(fields)) = (line.strip_prefix("    pub "), &fields)
                && !name(rest).starts_with("pad")
            {
                let compared = [",", " ="].map(|end| format!(" {}{end}", name(rest)));
                assert!(compared.iter().any(|c| fields.contains(c)), "{module} {rest}");
            }
            if line == "}" {
                fields = None;
            }
        }
    }
}
