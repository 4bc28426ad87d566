//! A guest as xend lists it, in libvirt's terms.

use uuid::Uuid;
use xend::definitions::Definition;
use xend::rpc::Value;
use xend::sxp;

use crate::protocol::Domain;

/// The state of a domain (`virDomainState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    NoState = 0,
    Running = 1,
    Paused = 3,
    Shutdown = 4,
    Shutoff = 5,
    Crashed = 6,
}

impl State {
    /// Why it is in that state (`virDomainRunningReason` and its kin).
    pub fn reason(self) -> i32 {
        match self {
            // Booted, on the user's request, on the user's request.
            Self::Running | Self::Paused | Self::Shutdown => 1,
            Self::NoState | Self::Shutoff | Self::Crashed => 0,
        }
    }
}

/// A guest, or the control domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uuid: Uuid,
    /// Its number while it runs.
    pub domid: Option<u16>,
    /// How it is.
    pub state: State,
    /// The memory it has, in KiB.
    pub memory: u64,
    /// The memory it may have, in KiB.
    pub max_memory: u64,
    /// The vcpus it has.
    pub vcpus: u32,
    /// The vcpus it uses.
    pub online_vcpus: u32,
    /// The time its vcpus ran, in nanoseconds.
    pub cpu_time: u64,
    /// It has a definition, and stays when it stops.
    pub persistent: bool,
    /// It is started when the host comes up.
    pub autostart: bool,
}

impl Guest {
    /// Reads one of xend's `(domain ...)`.
    pub fn from_sxp(domain: &Value) -> Option<Self> {
        let count = |name| sxp::int(domain, name).and_then(|int| u64::try_from(int).ok());
        let kib = |name| count(name).unwrap_or(0).saturating_mul(1024);
        let small = |name| count(name).and_then(|count| u32::try_from(count).ok());
        let vcpus = small("vcpus").unwrap_or(0);
        let domid = count("domid").and_then(|domid| u16::try_from(domid).ok());
        Some(Self {
            name: sxp::text(domain, "name")?,
            uuid: sxp::text(domain, "uuid")?.parse().ok()?,
            domid,
            state: state(domain, domid.is_some()),
            memory: kib("memory"),
            max_memory: kib("maxmem"),
            vcpus,
            online_vcpus: small("online_vcpus").unwrap_or(vcpus),
            cpu_time: (sxp::number(domain, "cpu_time").unwrap_or(0.0) * 1e9) as u64,
            persistent: domid == Some(0) || count("persistent") == Some(1),
            autostart: sxp::text(domain, "on_xend_start").as_deref() == Some("start"),
        })
    }

    /// One that is defined, and nothing more.
    pub fn defined(definition: &Definition) -> Self {
        let config = &definition.config;
        Self {
            name: config.name.clone(),
            uuid: config.uuid.unwrap_or_default(),
            domid: None,
            state: State::Shutoff,
            memory: config.memory * 1024,
            max_memory: config.maxmem * 1024,
            vcpus: config.vcpus,
            online_vcpus: config.vcpus,
            cpu_time: 0,
            persistent: true,
            autostart: definition.autostart,
        }
    }

    /// It runs, or is kept from running.
    pub fn is_active(&self) -> bool {
        self.state != State::Shutoff
    }

    /// How clients name it.
    pub fn domain(&self) -> Domain {
        let id = self.domid.filter(|_| self.is_active()).map_or(-1, i32::from);
        Domain { name: self.name.clone(), uuid: self.uuid, id }
    }
}

fn state(domain: &Value, there: bool) -> State {
    match sxp::text(domain, "status").as_deref() {
        _ if sxp::text(domain, "phase").as_deref() == Some("creating") => State::Paused,
        Some("running" | "restarting") => State::Running,
        Some("paused" | "suspended") => State::Paused,
        Some("shutdown") => State::Shutdown,
        Some("crashed") => State::Crashed,
        // One that is just made anew is on its way back.
        Some("halted") if sxp::text(domain, "phase").is_some() => State::Running,
        Some("halted") => State::Shutoff,
        _ if there => State::NoState,
        _ => State::Shutoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xend::sxp::{list, pair};

    fn domain(members: &[(&str, &str)]) -> Option<Guest> {
        let members = members.iter().map(|(name, value)| pair(name, *value));
        Guest::from_sxp(&list("domain", members))
    }

    const UUID: &str = "00000000-0000-0000-0000-000000000007";

    #[test]
    fn what_xend_lists_is_read() {
        let running = [
            ("name", "juliet"),
            ("uuid", UUID),
            ("domid", "7"),
            ("status", "running"),
            ("memory", "64"),
        ];
        let guest = domain(&running).unwrap();
        assert_eq!((guest.domain().id, guest.memory, guest.state), (7, 65536, State::Running));
        assert!(guest.is_active() && !guest.persistent && !guest.autostart);
        let defined =
            [("name", "juliet"), ("uuid", UUID), ("status", "halted"), ("persistent", "1")];
        let guest = domain(&defined).unwrap();
        assert_eq!((guest.domain().id, guest.state), (-1, State::Shutoff));
        assert!(!guest.is_active() && guest.persistent);
        assert!(domain(&[("name", "juliet")]).is_none());
    }
}
