//! A vcpu's registers, in and out.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;

use hypervisor::narrow;
use hypervisor::paging::entry::is_canonical;
use hypervisor::paging::{Error, Outcome, Walk};
use xen::abi::Plain;
use xen::abi::domctl::VcpuContext;
use xen::abi::errno::{EBUSY, EINVAL, ENODATA, ENOENT, ENOMEM, Errno};
use xen::abi::vcpu::{FAILSAFE_DISABLES_EVENTS, I387_VALID, SYSCALL_DISABLES_EVENTS};
use xen::abi::vcpu::{GuestContext, IN_KERNEL, ONLINE, UserRegs};

use super::life;
use crate::arch::entry::Registers;
use crate::domain::Domain;
use crate::guest::memory;
use crate::hypercall::{Answer, Stop, callbacks, descriptors, errno};
use crate::policy;
use crate::vcpu::narrow::Narrow;
use crate::vcpu::{Callback, Guest, Own, TASK_SWITCHED, Vcpu};

const IF: u64 = 1 << 9;
const IOPL: u64 = 3 << 12;
const NT: u64 = 1 << 14;
const VM: u64 = 1 << 17;

/// Gives the domain its vcpus: as many as it was made for.
pub fn max_vcpus(domain: &Domain, count: u32) -> Result<(), Errno> {
    if count as usize != domain.max_vcpus {
        return Err(EINVAL);
    }
    for number in 0..domain.max_vcpus {
        domain.add_vcpu(number)?;
    }
    Ok(())
}

/// Sets the registers of a vcpu that doesn't run; the call is made again until its page tables are
/// checked.
pub fn set(guest: &mut Guest<'_>, domain: &Domain, place: u64) -> Answer {
    let asked: VcpuContext = memory::read(place + 16)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(ENOENT)?;
    if core::ptr::eq(domain, guest.domain()) || domain.is_dying.load(Ordering::SeqCst) {
        return Err(EINVAL.into());
    }
    let context = match domain.is_narrow() {
        true => narrow::wide_context(&memory::read(asked.ctxt)?),
        false => memory::read::<GuestContext>(asked.ctxt)?,
    };
    match standing(domain, vcpu, || set_context(vcpu, &context, &mut guest.own.walk))? {
        Outcome::Done => Ok(0),
        Outcome::Again => Err(Stop::Again([place, 0, 0, 0, 0, 0])),
    }
}

/// Does something to a vcpu of another domain, which stands still meanwhile. Nobody else does
/// anything to it, nor takes it apart.
fn standing<T>(
    domain: &Domain,
    vcpu: &Vcpu,
    act: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    life::hold(domain)?;
    let lock = vcpu.starting.lock();
    let result = if domain.is_dying.load(Ordering::SeqCst) { Err(EINVAL) } else { act() };
    drop(lock);
    life::let_go(domain)?;
    result
}

/// Sets a vcpu's registers: all of them the first time, the general ones later. The vcpu doesn't run,
/// and the caller has locked [`Vcpu::starting`].
pub fn set_context(vcpu: &Vcpu, context: &GuestContext, walk: &mut Walk) -> Result<Outcome, Errno> {
    if !addresses(context).all(is_canonical) {
        return Err(EINVAL);
    }
    // SAFETY: the caller says that it doesn't run, and holds its lock.
    let own = unsafe { vcpu.own() };
    if !vcpu.is_initialised.load(Ordering::Acquire) {
        if set_tables(vcpu, own, context, walk)? == Outcome::Again {
            return Ok(Outcome::Again);
        }
        let frames = (context.gdt_ents as usize).div_ceil(512);
        let frames = context.gdt_frames.get(..frames).filter(|frames| frames.len() <= 14);
        descriptors::load_gdt(vcpu, own, frames.ok_or(EINVAL)?)?;
        let ldt = (context.ldt_base, u32::try_from(context.ldt_ents).map_err(|_| EINVAL)?);
        descriptors::map_ldt(vcpu, own, ldt)?;
        vcpu.is_initialised.store(true, Ordering::Release);
        if vcpu.number == 0 {
            let assists = context.vm_assist & callbacks::ASSISTS;
            vcpu.domain().assists.store(assists, Ordering::Relaxed);
        }
    }
    own.frame.registers = registers(vcpu.domain(), &context.user_regs);
    own.iopl = context.user_regs.rflags & IOPL;
    let callback = |address, mask| Callback { address, masks_events: context.flags & mask != 0 };
    own.event = callback(context.event_callback_eip, !0);
    own.failsafe = callback(context.failsafe_callback_eip, FAILSAFE_DISABLES_EVENTS);
    own.syscall = callback(context.syscall_callback_eip, SYSCALL_DISABLES_EVENTS);
    for trap in context.trap_ctxt {
        own.traps[usize::from(trap.vector)] = trap;
        own.traps[usize::from(trap.vector)].cs = vcpu.domain().selector(trap.cs);
    }
    own.cr0 = own.cr0 & !TASK_SWITCHED | context.ctrlreg[0] & TASK_SWITCHED;
    own.kernel_ss = vcpu.domain().selector(context.kernel_ss as u16).into();
    own.kernel_sp = context.kernel_sp;
    own.in_kernel = context.flags & IN_KERNEL != 0 || own.user_table == 0;
    set_state(own, context);
    for (number, value) in (0..).zip(context.debugreg) {
        // What may not be set stays as it is after a reset.
        if let Ok(value) = policy::debug(number, value) {
            own.debug[usize::from(number)] = value;
        }
    }
    vcpu.online.store(context.flags & ONLINE != 0, Ordering::Release);
    Ok(Outcome::Done)
}

/// All that the processor, or a call of the kernel, takes for an address.
fn addresses(context: &GuestContext) -> impl Iterator<Item = u64> {
    let user = &context.user_regs;
    let ldt = if context.ldt_ents == 0 { 0 } else { context.ldt_base };
    let bases = [context.fs_base, context.gs_base_kernel, context.gs_base_user, ldt];
    let callbacks =
        [context.event_callback_eip, context.failsafe_callback_eip, context.syscall_callback_eip];
    let traps = context.trap_ctxt.iter().map(|trap| trap.address);
    bases.into_iter().chain(callbacks).chain([user.rip, user.rsp, context.kernel_sp]).chain(traps)
}

/// Sets segments, their bases, and the FPU's state.
fn set_state(own: &mut Own, context: &GuestContext) {
    let user = &context.user_regs;
    let (kernel_gs, user_gs) = (context.gs_base_kernel, context.gs_base_user);
    let gs = if own.in_kernel { [kernel_gs, user_gs] } else { [user_gs, kernel_gs] };
    own.state.selectors = [user.ds, user.es, user.fs, user.gs];
    own.state.bases = [context.fs_base, gs[0], gs[1]];
    if context.flags & I387_VALID != 0 {
        own.state.set_legacy(&context.fpu_ctxt);
    }
}

/// Loads the two top tables, one after the other. A vcpu of a guest of 32 bits, which has only one, gets
/// what it needs of the hypervisor's memory.
fn set_tables(
    vcpu: &Vcpu,
    own: &mut Own,
    context: &GuestContext,
    walk: &mut Walk,
) -> Result<Outcome, Errno> {
    let domain = vcpu.domain();
    let _lock = domain.tables.lock();
    let rules = domain.rules();
    if domain.is_narrow() && own.narrow.is_none() {
        let narrow = Box::new(Narrow::new(domain).ok_or(ENOMEM)?);
        own.kernel_table = narrow.root();
        own.narrow = Some(narrow);
    }
    let (kernel, user) = (context.ctrlreg[3] >> 12, context.ctrlreg[1] >> 12);
    for (mfn, is_kernels) in [(kernel, true), (user, false)] {
        let table = if is_kernels { own.top_table() } else { own.user_table };
        if mfn == table {
            continue;
        }
        // Another than that of a call before, which wasn't over.
        if table != 0 {
            return Err(EBUSY);
        }
        match rules.get_table(mfn, rules.shape.top(), walk) {
            Ok(Outcome::Done) if is_kernels => drop(own.set_top_table(mfn)),
            Ok(Outcome::Done) => own.user_table = mfn,
            Ok(Outcome::Again) | Err(Error::Busy) => return Ok(Outcome::Again),
            Err(error) => return Err(errno(error)),
        }
    }
    if own.top_table() == 0 { Err(EINVAL) } else { Ok(Outcome::Done) }
}

/// Registers as a vcpu may have them.
fn registers(domain: &Domain, from: &UserRegs) -> Registers {
    Registers {
        r15: from.r15,
        r14: from.r14,
        r13: from.r13,
        r12: from.r12,
        rbp: from.rbp,
        rbx: from.rbx,
        r11: from.r11,
        r10: from.r10,
        r9: from.r9,
        r8: from.r8,
        rax: from.rax,
        rcx: from.rcx,
        rdx: from.rdx,
        rsi: from.rsi,
        rdi: from.rdi,
        error: 0,
        vector: 0,
        rip: from.rip,
        cs: domain.selector(from.cs).into(),
        rflags: from.rflags & !(IOPL | NT | VM) | IF | 2,
        rsp: from.rsp,
        ss: domain.selector(from.ss).into(),
    }
}

/// A vcpu's registers; the domain stands still meanwhile.
pub fn get(guest: &Guest<'_>, domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: VcpuContext = memory::read(body)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(ENOENT)?;
    if core::ptr::eq(domain, guest.domain()) {
        return Err(EINVAL);
    }
    if !vcpu.is_initialised.load(Ordering::Acquire) {
        return Err(ENODATA);
    }
    let context = standing(domain, vcpu, || {
        // SAFETY: it stands still, and is locked.
        let own = unsafe { vcpu.own() };
        Ok(context(vcpu, own))
    })?;
    match domain.is_narrow() {
        true => memory::write(asked.ctxt, &narrow::narrow_context(&context)),
        false => memory::write(asked.ctxt, &context),
    }
}

fn context(vcpu: &Vcpu, own: &Own) -> GuestContext {
    let mut context = GuestContext::zeroed();
    let flag = |set, bit| if set { bit } else { 0 };
    context.flags = flag(own.in_kernel, IN_KERNEL)
        | flag(vcpu.online.load(Ordering::Relaxed), ONLINE)
        | flag(own.failsafe.masks_events, FAILSAFE_DISABLES_EVENTS)
        | flag(own.syscall.masks_events, SYSCALL_DISABLES_EVENTS);
    let (from, to) = (&own.frame.registers, &mut context.user_regs);
    (to.r15, to.r14, to.r13, to.r12) = (from.r15, from.r14, from.r13, from.r12);
    (to.r11, to.r10, to.r9, to.r8) = (from.r11, from.r10, from.r9, from.r8);
    (to.rax, to.rbx, to.rcx, to.rdx) = (from.rax, from.rbx, from.rcx, from.rdx);
    (to.rsi, to.rdi, to.rbp) = (from.rsi, from.rdi, from.rbp);
    (to.rip, to.rsp, to.rflags) = (from.rip, from.rsp, from.rflags);
    (to.cs, to.ss) = (from.cs as u16, from.ss as u16);
    [to.ds, to.es, to.fs, to.gs] = own.state.selectors;
    let [fs, gs, other_gs] = own.state.bases;
    context.fs_base = fs;
    (context.gs_base_kernel, context.gs_base_user) =
        if own.in_kernel { (gs, other_gs) } else { (other_gs, gs) };
    context.flags |= I387_VALID;
    context.fpu_ctxt = own.state.legacy();
    to.saved_upcall_mask = vcpu.info().mask().load(Ordering::Relaxed);
    context.trap_ctxt = *own.traps;
    (context.ldt_base, context.ldt_ents) = (own.ldt_place.0, own.ldt_place.1.into());
    context.gdt_frames[..own.gdt_frames].copy_from_slice(&own.gdt[..own.gdt_frames]);
    context.gdt_ents = 512 * own.gdt_frames as u64;
    (context.kernel_ss, context.kernel_sp) = (own.kernel_ss, own.kernel_sp);
    context.ctrlreg[0] = own.cr0;
    context.ctrlreg[1] = own.user_table << 12;
    context.ctrlreg[3] = own.top_table() << 12;
    context.ctrlreg[4] = own.cr4;
    context.debugreg = own.debug;
    context.event_callback_eip = own.event.address;
    context.failsafe_callback_eip = own.failsafe.address;
    context.syscall_callback_eip = own.syscall.address;
    context.vm_assist = vcpu.domain().assists.load(Ordering::Relaxed);
    context
}
