//! Where things are in the store (xenstore-paths(7)).

use uuid::Uuid;

use crate::host::DomId;

/// A domain's own folder.
pub fn domain(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// The folder of what stays the same when a guest is made anew.
pub fn vm(uuid: Uuid) -> String {
    format!("/vm/{uuid}")
}

/// What the stock toolstack keeps of a domain; written so that `xl` knows our guests.
pub fn libxl(domid: DomId) -> String {
    format!("/libxl/{domid}")
}

/// The kinds of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Disks.
    Vbd,
    /// Network interfaces.
    Vif,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vbd, Self::Vif];

    /// The name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Vif => "vif",
        }
    }

    /// The folder of a domain's backends of this kind.
    pub fn backends(self, domid: DomId) -> String {
        format!("/local/domain/0/backend/{}/{domid}", self.name())
    }
}

/// A device of a domain. Its backend is in the control domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Whose it is.
    pub domid: DomId,
    /// What it is.
    pub kind: Kind,
    /// Its number among those of its kind.
    pub devid: u32,
}

impl Device {
    /// The guest's side.
    pub fn frontend(&self) -> String {
        format!("{}/device/{}/{}", domain(self.domid), self.kind.name(), self.devid)
    }

    /// The control domain's side.
    pub fn backend(&self) -> String {
        format!("{}/{}", self.kind.backends(self.domid), self.devid)
    }

    /// What the stock toolstack keeps of it.
    pub fn libxl(&self) -> String {
        format!("{}/device/{}/{}", libxl(self.domid), self.kind.name(), self.devid)
    }

    /// Where the kernel's backend writes why it gave up (`xenbus_dev_fatal`).
    pub fn error(&self) -> String {
        let kind = self.kind.name();
        format!("/local/domain/0/error/backend/{kind}/{}/{}/error", self.domid, self.devid)
    }
}
