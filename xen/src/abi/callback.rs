//! Entry points, one at a time (callback.h).

/// Set one.
pub const REGISTER: u64 = 0;
/// Do without one.
pub const UNREGISTER: u64 = 1;

/// Of events.
pub const EVENT: u16 = 0;
/// Of faults on the way back to the guest.
pub const FAILSAFE: u16 = 1;
/// Of system calls.
pub const SYSCALL: u16 = 2;
/// Of non-maskable interrupts.
pub const NMI: u16 = 4;
/// Of `sysenter`.
pub const SYSENTER: u16 = 5;
/// Of 32-bit programs' system calls.
pub const SYSCALL32: u16 = 7;

/// Events are masked as it is entered.
pub const MASK_EVENTS: u16 = 1 << 0;
