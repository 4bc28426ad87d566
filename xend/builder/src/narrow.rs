//! What a kernel of 32 bits finds at its start.

use xen::abi::start_info::StartInfo;
use xen::abi::{Plain, vcpu, x86_32};

use crate::layout::Layout;
use crate::start::{DR6, DR7, RFLAGS};

const MAGIC: &[u8] = b"xen-3.0-x86_32p";

/// The start info of 32 bits that says the same. All that it names is below 4 GiB, or a frame's number.
pub(crate) fn start_info(wide: &StartInfo) -> x86_32::StartInfo {
    let mut magic = [0; 32];
    magic[..MAGIC.len()].copy_from_slice(MAGIC);
    x86_32::StartInfo {
        magic,
        nr_pages: wide.nr_pages as u32,
        shared_info: wide.shared_info as u32,
        flags: wide.flags,
        store_mfn: wide.store_mfn as u32,
        store_evtchn: wide.store_evtchn,
        console_mfn: wide.console_mfn as u32,
        console_evtchn: wide.console_evtchn,
        pt_base: wide.pt_base as u32,
        nr_pt_frames: wide.nr_pt_frames as u32,
        mfn_list: wide.mfn_list as u32,
        mod_start: wide.mod_start as u32,
        mod_len: wide.mod_len as u32,
        cmd_line: wide.cmd_line,
        first_p2m_pfn: 0,
        nr_p2m_frames: 0,
    }
}

/// Registers of the first vcpu.
pub(crate) fn first_vcpu(layout: &Layout, top_mfn: u64) -> x86_32::GuestContext {
    let mut context = x86_32::GuestContext::zeroed();
    context.flags = (vcpu::IN_KERNEL | vcpu::ONLINE) as u32;
    let regs = &mut context.user_regs;
    regs.eip = layout.entry as u32;
    regs.esp = layout.address(layout.stack + 1) as u32;
    regs.esi = layout.address(layout.start_info) as u32;
    regs.eflags = RFLAGS as u32;
    regs.cs = x86_32::FLAT_KERNEL_CS;
    regs.ss = x86_32::FLAT_KERNEL_SS;
    [regs.ds, regs.es, regs.fs, regs.gs] = [x86_32::FLAT_KERNEL_DS; 4];
    context.kernel_ss = x86_32::FLAT_KERNEL_SS.into();
    context.kernel_sp = context.user_regs.esp;
    context.ctrlreg[3] = x86_32::mfn_to_cr3(top_mfn);
    context.debugreg[6] = DR6 as u32;
    context.debugreg[7] = DR7 as u32;
    context.event_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    context.failsafe_callback_cs = x86_32::FLAT_KERNEL_CS.into();
    context
}
