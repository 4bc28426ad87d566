//! Numbers, structures and flags of the public headers, one module a header or a part of one.

pub mod assist;
pub mod callback;
pub mod console;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod evtchn;
pub mod grant;
pub mod hypercall;
pub mod memory;
pub mod mmuext;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod shared_info;
pub mod start_info;
pub mod sysctl;
pub mod vcpu;
pub mod version;
pub mod x86_32;
pub mod xenbus;
pub mod xs_wire;

/// A domain's number (`domid_t`, xen.h).
pub type DomId = u16;
/// The calling domain (`DOMID_SELF`, xen.h).
pub const DOMID_SELF: DomId = 0x7ff0;
/// Device memory, as if it were a domain's (`DOMID_IO`, xen.h).
pub const DOMID_IO: DomId = 0x7ff1;
/// Numbers from here on are no domain's (`DOMID_FIRST_RESERVED`, xen.h).
pub const DOMID_FIRST_RESERVED: DomId = 0x7ff0;
/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// The shift from bytes to pages.
pub const PAGE_SHIFT: u32 = 12;

/// Data that may be copied to and from the hypervisor byte by byte.
///
/// # Safety
/// Every bit pattern is a valid value, and the type holds no reference.
pub unsafe trait Plain: Copy {
    /// The value with all bits zero, which is what reserved fields want.
    fn zeroed() -> Self {
        // SAFETY: the trait's contract says that every bit pattern is valid.
        unsafe { core::mem::zeroed() }
    }
}

/// Declares structures and unions of integers [`Plain`].
macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: repr(C), made of integers and arrays of them only.
            unsafe impl $crate::abi::Plain for $name {}
        )+
    };
}
pub(crate) use plain;

/// Declares arguments of hypercalls: structures of integers, and what makes them [`Plain`].
#[macro_export]
macro_rules! plain_structs {
    ($($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Debug, Clone, Copy)]
            $vis struct $name { $($field: $type),+ }
            // SAFETY: repr(C), made of integers and arrays of them only.
            unsafe impl $crate::abi::Plain for $name {}
        )+
    };
}
pub use crate::plain_structs;

plain!(u8, u16, u32, u64, i16, i32, i64);

// SAFETY: as its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
