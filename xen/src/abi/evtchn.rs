//! Event channels (event_channel.h) and virtual interrupts (xen.h).

use super::{DomId, plain};

/// A domain shut down, crashed or died.
pub const VIRQ_DOM_EXC: u32 = 3;
/// The hypervisor's console ring has new text.
pub const VIRQ_CON_RING: u32 = 8;

/// Make a port that another domain may bind to.
pub const ALLOC_UNBOUND: u64 = 6;

/// Argument of [`ALLOC_UNBOUND`] (`evtchn_alloc_unbound`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AllocUnbound {
    /// Whose port.
    pub dom: DomId,
    /// Who may bind to it.
    pub remote_dom: DomId,
    /// The port (out).
    pub port: u32,
}

plain!(AllocUnbound);
