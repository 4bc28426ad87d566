//! Where the hypervisor starts the kernel, and what it says of itself (elfnote.h).

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use xen::abi::start_info::StartInfo;

use crate::{answer, hypercall, memory, traps};

/// Bytes of the stack.
const STACK: usize = 64 << 10;

global_asm!(
    r#"
    .macro note type
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 3f - 2f, \type
    .asciz "Xen"
2:
    .endm
    .macro end_note
3:  .balign 4
    .popsection
    .endm

    note 6
    .asciz "escalus-test"
    end_note
    note 7
    .asciz "1"
    end_note
    note 5
    .asciz "xen-3.0"
    end_note
    note 8
    .asciz "generic"
    end_note
    note 9
    .asciz "yes"
    end_note
    note 3
    .quad VIRT_BASE
    end_note
    note 4
    .quad 0
    end_note
    note 1
    .quad entry
    end_note
    note 12
    .quad 0xffff800000000000
    end_note
    // May be domain 0 (XENFEAT_dom0).
    note 17
    .long 1 << 11
    end_note

    .globl entry
entry:
    cld
    lea rsp, [rip + stack + {stack}]
    xor ebp, ebp
    mov rdi, rsi
    call {start}
    ud2

    .section .bss.stack, "aw", @nobits
    .balign 4096
stack: .skip {stack}
    .text
    "#,
    stack = const STACK,
    start = sym start,
);

unsafe extern "Rust" {
    /// What this kernel does, with its command line.
    safe fn main(line: &'static str);
}

/// A page that a daemon in domain 0 shares.
pub struct Shared {
    /// Its address.
    pub page: u64,
    /// The port that belongs to it.
    pub port: u32,
}

/// The console's page.
pub fn console() -> Shared {
    let info = info();
    Shared { page: memory::address(info.console_mfn), port: info.console_evtchn }
}

/// The store's page.
pub fn store() -> Shared {
    let info = info();
    Shared { page: memory::address(info.store_mfn), port: info.store_evtchn }
}

static INFO: AtomicPtr<StartInfo> = AtomicPtr::new(ptr::null_mut());

/// What the kernel was told at its start.
pub fn info() -> &'static StartInfo {
    // SAFETY: the builder left it there, and nobody changes it.
    unsafe { &*INFO.load(Ordering::Relaxed) }
}

extern "C" fn start(place: *mut StartInfo) -> ! {
    INFO.store(place, Ordering::Relaxed);
    let info = info();
    memory::init(info);
    traps::init();
    let length = info.cmd_line.iter().position(|byte| *byte == 0).unwrap_or(0);
    main(core::str::from_utf8(&info.cmd_line[..length]).unwrap_or_default());
    hypercall::end()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    answer::line(format_args!("panic: {}", info.message()));
    if let Some(place) = info.location() {
        answer::line(format_args!("at {}:{}", place.file(), place.line()));
    }
    hypercall::end()
}
