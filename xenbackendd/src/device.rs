//! A backend's name in the store, and what is to be done with it.

use std::fmt;

use xen::abi::xenbus::State;

/// Where this domain's backends are.
pub const ROOT: &str = "/local/domain/0/backend";

/// Kinds of devices that need preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A disk.
    Vbd,
    /// A network interface.
    Vif,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Vbd, Kind::Vif];

    /// Its folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vbd => "vbd",
            Kind::Vif => "vif",
        }
    }
}

/// One backend: `backend/KIND/DOMID/DEVID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Disk or interface.
    pub kind: Kind,
    /// Whose.
    pub domid: u16,
    /// Its number.
    pub devid: u32,
}

impl Device {
    /// The device that `path` (absolute) is of or inside of.
    pub fn from_path(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix(ROOT)?.strip_prefix('/')?.split('/');
        let kind = parts.next()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some(Self { kind, domid: parts.next()?.parse().ok()?, devid: parts.next()?.parse().ok()? })
    }

    /// Its path in the store.
    pub fn path(&self) -> String {
        format!("{ROOT}/{}", self.relative())
    }

    /// Its path below [`ROOT`].
    pub fn relative(&self) -> String {
        format!("{}/{}/{}", self.kind.name(), self.domid, self.devid)
    }

    /// The name of its record.
    pub fn record_name(&self) -> String {
        self.relative().replace('/', "-")
    }

    /// The device that a record is of.
    pub fn from_record_name(name: &str) -> Option<Self> {
        Self::from_path(&format!("{ROOT}/{}", name.replace('-', "/")))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of domain {}", self.kind.name(), self.devid, self.domid)
    }
}

/// What the store says of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The backend's state; `None` when its nodes are gone.
    pub state: Option<State>,
    /// The toolstack wants it.
    pub online: bool,
}

/// What we did for a device so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Nothing.
    Nothing,
    /// It is prepared.
    Prepared,
    /// It could not be, and the toolstack was told.
    Failed,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wait for another change.
    Wait,
    /// Prepare it.
    Prepare,
    /// Put everything back.
    PutBack,
    /// Forget that it failed.
    Forget,
}

/// Decides what to do for a device.
pub fn next_step(seen: Seen, done: Done) -> Step {
    let over = match seen.state {
        None => true,
        // Closed and still wanted: the frontend may connect again.
        Some(State::Closed) => !seen.online,
        Some(_) => false,
    };
    match done {
        Done::Prepared if over => Step::PutBack,
        Done::Failed if seen.state.is_none() => Step::Forget,
        Done::Nothing => {
            let driver_is_there =
                (Some(State::InitWait)..=Some(State::Connected)).contains(&seen.state);
            if driver_is_there && seen.online { Step::Prepare } else { Step::Wait }
        }
        Done::Prepared | Done::Failed => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_records_name_devices() {
        let disk = Device { kind: Kind::Vbd, domid: 7, devid: 51712 };
        assert_eq!(Device::from_path("/local/domain/0/backend/vbd/7/51712/state"), Some(disk));
        assert_eq!(Device::from_path(&disk.path()), Some(disk));
        assert_eq!(Device::from_record_name(&disk.record_name()), Some(disk));
        for path in [
            "/local/domain/0/backend",
            "/local/domain/0/backend/vbd/7",
            "/x/vbd/7/1",
            "/local/domain/0/backend/vfb/7/0",
            "/local/domain/0/backend/vbd/seven/0",
        ] {
            assert_eq!(Device::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn steps_follow_the_backends_state() {
        let seen = |state, online| Seen { state: Some(state), online };
        let gone = Seen { state: None, online: false };
        let table = [
            (seen(State::Initialising, true), Done::Nothing, Step::Wait),
            (seen(State::InitWait, true), Done::Nothing, Step::Prepare),
            (seen(State::Connected, true), Done::Nothing, Step::Prepare),
            (seen(State::InitWait, false), Done::Nothing, Step::Wait),
            (gone, Done::Nothing, Step::Wait),
            (seen(State::Connected, true), Done::Prepared, Step::Wait),
            (seen(State::Closing, false), Done::Prepared, Step::Wait),
            (seen(State::Closed, true), Done::Prepared, Step::Wait),
            (seen(State::Closed, false), Done::Prepared, Step::PutBack),
            (gone, Done::Prepared, Step::PutBack),
            (seen(State::InitWait, true), Done::Failed, Step::Wait),
            (gone, Done::Failed, Step::Forget),
        ];
        for (seen, done, step) in table {
            assert_eq!(next_step(seen, done), step, "{seen:?} {done:?}");
        }
    }
}
