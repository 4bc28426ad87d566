//! How a kernel begins, once it is entered, and what it is told.

use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::entry::{self, StartInfo};
use crate::{answer, memory, traps};

/// Bytes of the stack.
pub(crate) const STACK: usize = 64 << 10;

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
    Shared { page: memory::address(info.console_mfn), port: info.console_evtchn }
}

/// The store's page.
pub fn store() -> Shared {
    let info = info();
    Shared { page: memory::address(info.store_mfn), port: info.store_evtchn }
}

pub(crate) extern "C" fn start(place: *mut StartInfo) -> ! {
    INFO.store(place, Ordering::Relaxed);
    let info = info();
    memory::init(info);
    traps::init();
    let length = info.cmd_line.iter().position(|byte| *byte == 0).unwrap_or(0);
    main(core::str::from_utf8(&info.cmd_line[..length]).unwrap_or_default());
    entry::over(true)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    answer::line(format_args!("panic: {}", info.message()));
    if let Some(place) = info.location() {
        answer::line(format_args!("at {}:{}", place.file(), place.line()));
    }
    entry::over(false)
}
