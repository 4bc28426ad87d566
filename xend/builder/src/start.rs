//! What the kernel finds at its start: start info, shared info, registers.

use xen::abi::start_info::{SIF_MOD_START_PFN, SIF_VIRT_P2M_4TOOLS, StartInfo};
use xen::abi::vcpu::{self, GuestContext};
use xen::abi::{PAGE_SHIFT, PAGE_SIZE, Plain, shared_info};
use xen::sys::Hypervisor;

use crate::Spec;
use crate::error::Error;
use crate::layout::Layout;
use crate::memory::GuestMemory;
use crate::narrow;
use crate::width::Width;

const MAGIC: &[u8] = b"xen-3.0-x86_64";
/// Interrupts on; bit 1 is always set.
pub(crate) const RFLAGS: u64 = 1 << 9 | 1 << 1;
/// Debug registers after a reset (Intel SDM volume 3, 17.2).
pub(crate) const DR6: u64 = 0xffff_0ff0;
pub(crate) const DR7: u64 = 0x400;

/// Writes the start info; the rest of its page is zero already.
pub(crate) fn write_start_info(
    hypervisor: &Hypervisor,
    memory: &GuestMemory<'_>,
    layout: &Layout,
    spec: &Spec,
    ramdisk_len: u64,
) -> Result<(), Error> {
    let mut info = StartInfo {
        nr_pages: layout.total,
        shared_info: shared_info_frame(hypervisor, spec)? << PAGE_SHIFT,
        // The stock builder says so too; a guest above 512 GiB has no other list to show.
        flags: SIF_VIRT_P2M_4TOOLS,
        store_mfn: memory.mfn(layout.store),
        store_evtchn: spec.store_evtchn,
        console_mfn: memory.mfn(layout.console),
        console_evtchn: spec.console_evtchn,
        pt_base: layout.address(layout.tables.start),
        nr_pt_frames: layout.tables.end - layout.tables.start,
        ..StartInfo::zeroed()
    };
    info.magic[..MAGIC.len()].copy_from_slice(MAGIC);
    info.cmd_line[..spec.cmdline.len()].copy_from_slice(spec.cmdline.as_bytes());
    match layout.p2m_base {
        None => info.mfn_list = layout.address(layout.p2m.start),
        Some(base) => {
            info.mfn_list = base;
            info.first_p2m_pfn = layout.p2m.start;
            info.nr_p2m_frames = layout.p2m_tables.end - layout.p2m.start;
        }
    }
    if ramdisk_len > 0 {
        info.mod_len = ramdisk_len;
        if layout.ramdisk_outside {
            info.mod_start = layout.ramdisk.start;
            info.flags |= SIF_MOD_START_PFN;
        } else {
            info.mod_start = layout.address(layout.ramdisk.start);
        }
    }
    let page = hypervisor.map_foreign(spec.domid, &[memory.mfn(layout.start_info)], true)?;
    match layout.width {
        Width::Bits64 => page.write_plain(0, &info),
        Width::Bits32 => page.write_plain(0, &narrow::start_info(&info)),
    }
    Ok(())
}

/// The shared info page: all zero, except that no vcpu wants events yet.
pub(crate) fn write_shared_info(hypervisor: &Hypervisor, spec: &Spec) -> Result<(), Error> {
    let frame = shared_info_frame(hypervisor, spec)?;
    let page = hypervisor.map_foreign(spec.domid, &[frame], true)?;
    page.zero(0, PAGE_SIZE);
    for vcpu in 0..shared_info::VCPUS {
        page.write(vcpu * shared_info::VCPU_INFO_SIZE + shared_info::UPCALL_MASK, &[1]);
    }
    Ok(())
}

fn shared_info_frame(hypervisor: &Hypervisor, spec: &Spec) -> Result<u64, Error> {
    let info = hypervisor.domain_info(spec.domid)?;
    info.map(|info| info.shared_info_frame)
        .ok_or_else(|| Error::Hypervisor(xen::sys::Error::no_such_domain(spec.domid)))
}

/// Registers of the first vcpu.
pub(crate) fn first_vcpu(layout: &Layout, l4_mfn: u64) -> GuestContext {
    let mut context = GuestContext::zeroed();
    context.flags = vcpu::IN_KERNEL | vcpu::ONLINE;
    let regs = &mut context.user_regs;
    regs.rip = layout.entry;
    regs.rsp = layout.address(layout.stack + 1);
    regs.rsi = layout.address(layout.start_info);
    regs.rflags = RFLAGS;
    regs.cs = vcpu::FLAT_KERNEL_CS;
    regs.ss = vcpu::FLAT_KERNEL_SS;
    (regs.ds, regs.es, regs.fs, regs.gs) =
        (vcpu::FLAT_KERNEL_DS, vcpu::FLAT_KERNEL_DS, vcpu::FLAT_KERNEL_DS, vcpu::FLAT_KERNEL_DS);
    context.kernel_ss = u64::from(vcpu::FLAT_KERNEL_SS);
    context.kernel_sp = context.user_regs.rsp;
    context.ctrlreg[3] = l4_mfn << PAGE_SHIFT;
    context.debugreg[6] = DR6;
    context.debugreg[7] = DR7;
    context
}
