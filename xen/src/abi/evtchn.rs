//! Event channels (event_channel.h) and virtual interrupts (xen.h).

use super::{DomId, plain};

/// A domain shut down, crashed or died.
pub const VIRQ_DOM_EXC: u32 = 3;
/// The hypervisor's console ring has new text.
pub const VIRQ_CON_RING: u32 = 8;

/// Make a port that is joined to another domain's.
pub const BIND_INTERDOMAIN: u64 = 0;
/// Make a port for a virtual interrupt.
pub const BIND_VIRQ: u64 = 1;
/// Make a port for a device's interrupt.
pub const BIND_PIRQ: u64 = 2;
/// Let a port go.
pub const CLOSE: u64 = 3;
/// Raise the other end of a port.
pub const SEND: u64 = 4;
/// What a port is.
pub const STATUS: u64 = 5;
/// Make a port that another domain may bind to.
pub const ALLOC_UNBOUND: u64 = 6;
/// Make a port from one vcpu to another.
pub const BIND_IPI: u64 = 7;
/// Another vcpu hears a port's events.
pub const BIND_VCPU: u64 = 8;
/// Hear a port's events again, those that waited too.
pub const UNMASK: u64 = 9;
/// Let all of a domain's ports go.
pub const RESET: u64 = 10;
/// Have queues of events: where a vcpu's begin.
pub const INIT_CONTROL: u64 = 11;
/// A page for the events of more ports.
pub const EXPAND_ARRAY: u64 = 12;
/// Which queue a port's events go to.
pub const SET_PRIORITY: u64 = 13;

/// A port that is free.
pub const STATUS_CLOSED: u32 = 0;
/// One that another domain has not bound to yet.
pub const STATUS_UNBOUND: u32 = 1;
/// One that is joined to another domain's.
pub const STATUS_INTERDOMAIN: u32 = 2;
/// One for a device's interrupt.
pub const STATUS_PIRQ: u32 = 3;
/// One for a virtual interrupt.
pub const STATUS_VIRQ: u32 = 4;
/// One between vcpus.
pub const STATUS_IPI: u32 = 5;

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
