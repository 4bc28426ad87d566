//! Where the hypervisor starts the kernel, and what it says of itself (elfnote.h).

use core::arch::global_asm;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use xen::abi::sched::{SHUTDOWN, SHUTDOWN_CRASH, SHUTDOWN_POWEROFF};
use xen::abi::x86_32::StartInfo;

use super::hypercall::{number, operation};
use super::{memory, traps};
use crate::answer;
use crate::ring::Channel;

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
    .long VIRT_BASE
    end_note
    note 4
    .long 0
    end_note
    note 1
    .long entry
    end_note
    note 2
    .long hypercall_page
    end_note
    note 12
    .long 0xf5800000
    end_note

    .globl entry
entry:
    cld
    lea esp, [stack + {stack}]
    xor ebp, ebp
    push esi
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

static INFO: AtomicPtr<StartInfo> = AtomicPtr::new(ptr::null_mut());

/// What the kernel was told at its start.
pub fn info() -> &'static StartInfo {
    // SAFETY: the builder left it there, and nobody changes it.
    unsafe { &*INFO.load(Ordering::Relaxed) }
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
    Shared { page: memory::address(info.console_mfn.into()), port: info.console_evtchn }
}

/// The store's page.
pub fn store() -> Shared {
    let info = info();
    Shared { page: memory::address(info.store_mfn.into()), port: info.store_evtchn }
}

extern "C" fn start(place: *mut StartInfo) -> ! {
    INFO.store(place, Ordering::Relaxed);
    let info = info();
    memory::init(info);
    traps::init();
    let length = info.cmd_line.iter().position(|byte| *byte == 0).unwrap_or(0);
    main(core::str::from_utf8(&info.cmd_line[..length]).unwrap_or_default());
    end(SHUTDOWN_POWEROFF)
}

/// Ends the domain, when all that was said has been heard.
pub fn end(reason: u8) -> ! {
    Channel::console(console()).drain();
    loop {
        operation(number::SCHED_OP, SHUTDOWN, &mut u32::from(reason));
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    answer::line(format_args!("panic: {}", info.message()));
    if let Some(place) = info.location() {
        answer::line(format_args!("at {}:{}", place.file(), place.line()));
    }
    end(SHUTDOWN_CRASH)
}
