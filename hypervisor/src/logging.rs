//! Messages: those that are important enough are printed, with the hypervisor's mark.

use core::fmt::Arguments;
use core::sync::atomic::{AtomicU16, Ordering};

use hypervisor::loglevel::{Level, Rate, Threshold};
use hypervisor::options::Options;

use crate::arch::{console, time};
use crate::lock::Mutex;

/// What messages are about. Their thresholds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The hypervisor and the machine.
    Host = 0,
    /// What a guest does, which may do it often.
    Guest = 1,
}

/// Before the command line is read all is printed that Xen would.
static THRESHOLDS: [AtomicU16; 2] =
    [AtomicU16::new(packed(Threshold::HOST)), AtomicU16::new(packed(Threshold::GUEST))];
static RATE: Mutex<Rate> = Mutex::new(Rate::new());

const fn packed(threshold: Threshold) -> u16 {
    u16::from_le_bytes([threshold.always, threshold.limited])
}

/// Has messages printed as the command line says.
pub fn set_up(options: &Options) {
    for (place, threshold) in THRESHOLDS.iter().zip([options.log, options.guest_log]) {
        place.store(packed(threshold), Ordering::Relaxed);
    }
}

/// Whether a message is to be printed; says how many weren't before, which came too often.
pub fn allows(about: About, level: Level) -> bool {
    let [always, limited] = THRESHOLDS[about as usize].load(Ordering::Relaxed).to_le_bytes();
    Threshold { always, limited }.allows(level, || {
        // Nothing comes often before there is a time.
        let now = if time::has_begun() { time::now() } else { 0 };
        let refused = RATE.lock().allow(now);
        if let Some(refused @ 1..) = refused {
            crate::log!("{refused} messages came too often and are missing");
        }
        refused.is_some()
    })
}

/// Prints a line, if it is to be printed; use [`crate::note!`].
pub fn line(level: Level, text: Arguments<'_>) {
    if allows(About::Host, level) {
        console::print(format_args!("(XEN) {text}\n"));
    }
}

/// Prints a line with the hypervisor's mark, whatever is to be printed: what somebody asked for, and
/// reports.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::print!("(XEN) {}\n", format_args!($($argument)*)) };
}

/// Prints a line of some importance, a level of [`hypervisor::loglevel::Level`].
#[macro_export]
macro_rules! note {
    ($level:ident, $($argument:tt)*) => {
        $crate::logging::line(hypervisor::loglevel::Level::$level, format_args!($($argument)*))
    };
}
