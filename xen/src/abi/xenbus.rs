//! States of a split device (io/xenbus.h).

/// Where one end of a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum State {
    /// Nothing is known.
    Unknown = 0,
    /// The device's nodes were made.
    Initialising = 1,
    /// Waiting for the other end or for the hotplug steps.
    InitWait = 2,
    /// Waiting for the other end to connect.
    Initialised = 3,
    /// In use.
    Connected = 4,
    /// Going away.
    Closing = 5,
    /// Gone.
    Closed = 6,
    /// Being changed.
    Reconfiguring = 7,
    /// Changed.
    Reconfigured = 8,
}

impl State {
    /// The state with this number; an impossible one is [`State::Unknown`].
    pub fn from_number(number: u32) -> Self {
        use State::*;
        let states = [
            Unknown,
            Initialising,
            InitWait,
            Initialised,
            Connected,
            Closing,
            Closed,
            Reconfiguring,
            Reconfigured,
        ];
        states.get(number as usize).copied().unwrap_or(Unknown)
    }
}
