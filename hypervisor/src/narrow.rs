//! Structures of guests of 32 bits as those of 64 bits, and back: what the hypervisor does is written
//! once, for 64 bits.

use xen::abi::Plain;
use xen::abi::vcpu::{GuestContext, TrapInfo, UserRegs};
use xen::abi::x86_32::{self, cr3_to_mfn, mfn_to_cr3};

/// The halves of a word, the lower one first.
pub fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// A word of its halves.
pub fn word([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// An exception's entry.
pub fn wide_trap(from: x86_32::TrapInfo) -> TrapInfo {
    let x86_32::TrapInfo { vector, flags, cs, address } = from;
    TrapInfo { vector, flags, cs, pad: 0, address: address.into() }
}

fn narrow_trap(from: TrapInfo) -> x86_32::TrapInfo {
    let TrapInfo { vector, flags, cs, address, .. } = from;
    x86_32::TrapInfo { vector, flags, cs, address: address as u32 }
}

fn wide_registers(from: &x86_32::UserRegs) -> UserRegs {
    UserRegs {
        rax: from.eax.into(),
        rbx: from.ebx.into(),
        rcx: from.ecx.into(),
        rdx: from.edx.into(),
        rsi: from.esi.into(),
        rdi: from.edi.into(),
        rbp: from.ebp.into(),
        rsp: from.esp.into(),
        rip: from.eip.into(),
        rflags: from.eflags.into(),
        saved_upcall_mask: from.saved_upcall_mask,
        cs: from.cs,
        ss: from.ss,
        ds: from.ds,
        es: from.es,
        fs: from.fs,
        gs: from.gs,
        ..UserRegs::zeroed()
    }
}

fn narrow_registers(from: &UserRegs) -> x86_32::UserRegs {
    x86_32::UserRegs {
        eax: from.rax as u32,
        ebx: from.rbx as u32,
        ecx: from.rcx as u32,
        edx: from.rdx as u32,
        esi: from.rsi as u32,
        edi: from.rdi as u32,
        ebp: from.rbp as u32,
        esp: from.rsp as u32,
        eip: from.rip as u32,
        eflags: from.rflags as u32,
        saved_upcall_mask: from.saved_upcall_mask,
        cs: from.cs,
        ss: from.ss,
        ds: from.ds,
        es: from.es,
        fs: from.fs,
        gs: from.gs,
        ..x86_32::UserRegs::zeroed()
    }
}

/// All of a vcpu. Kernel and programs have the same page tables; CR3 names a frame as it does with 64
/// bits.
#[inline(never)]
pub fn wide_context(from: &x86_32::GuestContext) -> GuestContext {
    let mut ctrlreg = from.ctrlreg.map(u64::from);
    ctrlreg[1] = 0;
    ctrlreg[3] = cr3_to_mfn(from.ctrlreg[3]) << 12;
    GuestContext {
        fpu_ctxt: from.fpu_ctxt,
        flags: from.flags.into(),
        user_regs: wide_registers(&from.user_regs),
        trap_ctxt: from.trap_ctxt.map(wide_trap),
        ldt_base: from.ldt_base.into(),
        ldt_ents: from.ldt_ents.into(),
        gdt_frames: from.gdt_frames.map(u64::from),
        gdt_ents: from.gdt_ents.into(),
        kernel_ss: from.kernel_ss.into(),
        kernel_sp: from.kernel_sp.into(),
        ctrlreg,
        debugreg: from.debugreg.map(u64::from),
        event_callback_eip: from.event_callback_eip.into(),
        failsafe_callback_eip: from.failsafe_callback_eip.into(),
        vm_assist: from.vm_assist.into(),
        ..GuestContext::zeroed()
    }
}

/// The same, back. The kernel is called in its flat code segment.
#[inline(never)]
pub fn narrow_context(from: &GuestContext) -> x86_32::GuestContext {
    let mut ctrlreg = from.ctrlreg.map(|value| value as u32);
    ctrlreg[3] = mfn_to_cr3(from.ctrlreg[3] >> 12);
    let kernel_code = x86_32::FLAT_KERNEL_CS.into();
    x86_32::GuestContext {
        fpu_ctxt: from.fpu_ctxt,
        flags: from.flags as u32,
        user_regs: narrow_registers(&from.user_regs),
        trap_ctxt: from.trap_ctxt.map(narrow_trap),
        ldt_base: from.ldt_base as u32,
        ldt_ents: from.ldt_ents as u32,
        gdt_frames: from.gdt_frames.map(|mfn| mfn as u32),
        gdt_ents: from.gdt_ents as u32,
        kernel_ss: from.kernel_ss as u32,
        kernel_sp: from.kernel_sp as u32,
        ctrlreg,
        debugreg: from.debugreg.map(|value| value as u32),
        event_callback_cs: kernel_code,
        event_callback_eip: from.event_callback_eip as u32,
        failsafe_callback_cs: kernel_code,
        failsafe_callback_eip: from.failsafe_callback_eip as u32,
        vm_assist: from.vm_assist as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A structure of any bytes.
    fn any_of<T: Plain + core::fmt::Debug>() -> impl Strategy<Value = T> {
        prop::collection::vec(any::<u8>(), size_of::<T>()).prop_map(|bytes| {
            // SAFETY: any bytes make a plain value, and there are as many.
            unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
        })
    }

    fn bytes<T: Plain>(value: &T) -> Vec<u8> {
        let place = core::ptr::from_ref(value).cast::<u8>();
        // SAFETY: the value's own bytes; it is of integers without padding.
        unsafe { core::slice::from_raw_parts(place, size_of::<T>()) }.to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever a context of 32 bits holds is there again after the way through 64 bits.
        #[test]
        fn a_context_comes_back(mut context in any_of::<x86_32::GuestContext>()) {
            context.ctrlreg[1] = 0;
            context.event_callback_cs = x86_32::FLAT_KERNEL_CS.into();
            context.failsafe_callback_cs = x86_32::FLAT_KERNEL_CS.into();
            let registers = &mut context.user_regs;
            // What has no place in registers.
            registers.error_code = 0;
            registers.entry_vector = 0;
            registers.pad0 = 0;
            (registers.pad1, registers.pad2, registers.pad3) = (0, 0, 0);
            (registers.pad4, registers.pad5) = (0, 0);
            let back = narrow_context(&wide_context(&context));
            prop_assert_eq!(bytes(&back), bytes(&context));
        }

        #[test]
        fn halves_make_a_word(value in any::<u64>(), mfn in any::<u32>()) {
            prop_assert_eq!(word(halves(value)), value);
            prop_assert_eq!(cr3_to_mfn(mfn_to_cr3(mfn.into())), u64::from(mfn));
        }
    }

    #[test]
    fn what_is_wide_is_where_it_should_be() {
        let mut context = x86_32::GuestContext::zeroed();
        context.user_regs.eip = 0xc010_0000;
        context.trap_ctxt[3] =
            x86_32::TrapInfo { vector: 14, flags: 4, cs: 0xe019, address: 0xc000_1234 };
        context.gdt_frames[13] = u32::MAX;
        context.ctrlreg[3] = mfn_to_cr3(0x12_3456);
        let wide = wide_context(&context);
        assert_eq!(wide.user_regs.rip, 0xc010_0000);
        let TrapInfo { vector, flags, cs, address, .. } = wide.trap_ctxt[3];
        assert_eq!((vector, flags, cs, address), (14, 4, 0xe019, 0xc000_1234));
        assert_eq!((wide.gdt_frames[13], wide.ctrlreg[3]), (0xffff_ffff, 0x1_2345_6000));
    }
}
