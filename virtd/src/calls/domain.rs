//! Calls that find domains and tell how they are.

use uuid::Uuid;

use crate::error::{Code, Error, Result};
use crate::guest::{Guest, State};
use crate::protocol::Domain;
use crate::session::Call;

/// Which domains to list (`virConnectListAllDomainsFlags`), in groups of which each, if any of
/// it is wanted, must hold for a domain.
mod filter {
    pub const ACTIVE: u32 = 1 << 0;
    pub const INACTIVE: u32 = 1 << 1;
    pub const PERSISTENT: u32 = 1 << 2;
    pub const TRANSIENT: u32 = 1 << 3;
    pub const RUNNING: u32 = 1 << 4;
    pub const PAUSED: u32 = 1 << 5;
    pub const SHUTOFF: u32 = 1 << 6;
    pub const OTHER: u32 = 1 << 7;
    pub const MANAGED_SAVE: u32 = 1 << 8;
    pub const NO_MANAGED_SAVE: u32 = 1 << 9;
    pub const AUTOSTART: u32 = 1 << 10;
    pub const NO_AUTOSTART: u32 = 1 << 11;
    pub const HAS_SNAPSHOT: u32 = 1 << 12;
    pub const NO_SNAPSHOT: u32 = 1 << 13;
    pub const HAS_CHECKPOINT: u32 = 1 << 14;
    pub const NO_CHECKPOINT: u32 = 1 << 15;

    pub const GROUPS: [u32; 7] = [
        ACTIVE | INACTIVE,
        PERSISTENT | TRANSIENT,
        RUNNING | PAUSED | SHUTOFF | OTHER,
        MANAGED_SAVE | NO_MANAGED_SAVE,
        AUTOSTART | NO_AUTOSTART,
        HAS_SNAPSHOT | NO_SNAPSHOT,
        HAS_CHECKPOINT | NO_CHECKPOINT,
    ];
}

/// What of [`filter`] holds for a guest.
fn properties(guest: &Guest) -> u32 {
    let either = |truth, yes, no| if truth { yes } else { no };
    let state = match guest.state {
        State::Running => filter::RUNNING,
        State::Paused => filter::PAUSED,
        State::Shutoff => filter::SHUTOFF,
        _ => filter::OTHER,
    };
    either(guest.is_active(), filter::ACTIVE, filter::INACTIVE)
        | either(guest.persistent, filter::PERSISTENT, filter::TRANSIENT)
        | either(guest.autostart, filter::AUTOSTART, filter::NO_AUTOSTART)
        | state
        | filter::NO_MANAGED_SAVE
        | filter::NO_SNAPSHOT
        | filter::NO_CHECKPOINT
}

fn wanted(guest: &Guest, flags: u32) -> bool {
    let properties = properties(guest);
    filter::GROUPS.iter().all(|group| flags & group == 0 || flags & group & properties != 0)
}

/// The domains that `flags` select, and how many there are.
pub fn list_all(call: &Call, (results, flags): (i32, u32)) -> Result<(Vec<Domain>, u32)> {
    let guests = call.xend().guests()?;
    let chosen = guests.all().iter().filter(|guest| wanted(guest, flags));
    let domains: Vec<Domain> = chosen.map(Guest::domain).collect();
    let count = domains.len() as u32;
    Ok((if results != 0 { domains } else { Vec::new() }, count))
}

/// The guests that `flags` select.
pub fn all_wanted(call: &Call, flags: u32) -> Result<Vec<Guest>> {
    let guests = call.xend().guests()?;
    Ok(guests.all().iter().filter(|guest| wanted(guest, flags)).cloned().collect())
}

/// How many domains run.
pub fn count(call: &Call, (): ()) -> Result<i32> {
    Ok(all_wanted(call, filter::ACTIVE)?.len() as i32)
}

/// The numbers of those that run.
pub fn ids(call: &Call, most: i32) -> Result<Vec<i32>> {
    let guests = all_wanted(call, filter::ACTIVE)?;
    let ids = guests.iter().map(|guest| guest.domain().id);
    Ok(ids.take(usize::try_from(most).unwrap_or(0)).collect())
}

/// How many domains are defined and don't run.
pub fn count_defined(call: &Call, (): ()) -> Result<i32> {
    Ok(all_wanted(call, filter::INACTIVE)?.len() as i32)
}

/// The names of those that are defined and don't run.
pub fn names_defined(call: &Call, most: i32) -> Result<Vec<String>> {
    let guests = all_wanted(call, filter::INACTIVE)?;
    let names = guests.into_iter().map(|guest| guest.name);
    Ok(names.take(usize::try_from(most).unwrap_or(0)).collect())
}

/// Nothing is saved of any domain: no memory image, no snapshot.
pub fn has_none(call: &Call, (domain, _flags): (Domain, u32)) -> Result<i32> {
    find(call, &domain).map(|_| 0)
}

/// The guest that a client names, as it was a moment ago.
pub fn find(call: &Call, domain: &Domain) -> Result<Guest> {
    let guests = call.xend().guests()?;
    let guest = guests.by_uuid(domain.uuid).cloned();
    guest.ok_or_else(|| {
        let (uuid, name) = (domain.uuid, &domain.name);
        Error::new(Code::NoDomain, format!("no domain with matching uuid '{uuid}' ({name})"))
    })
}

/// As [`find`], but one that runs.
pub fn find_active(call: &Call, domain: &Domain) -> Result<Guest> {
    let guest = find(call, domain)?;
    if guest.is_active() { Ok(guest) } else { Err(Error::state("domain is not running")) }
}

fn lookup(call: &Call, what: &str, matches: impl Fn(&Guest) -> bool) -> Result<Domain> {
    let guests = call.xend().guests()?;
    let guest = guests.all().iter().find(|guest| matches(guest));
    let missing = || Error::new(Code::NoDomain, format!("no domain with matching {what}"));
    guest.map(Guest::domain).ok_or_else(missing)
}

/// The domain with that number.
pub fn lookup_by_id(call: &Call, id: i32) -> Result<Domain> {
    lookup(call, &format!("id {id}"), |guest| guest.domid.is_some_and(|it| i32::from(it) == id))
}

/// The domain with that name.
pub fn lookup_by_name(call: &Call, name: String) -> Result<Domain> {
    lookup(call, &format!("name '{name}'"), |guest| guest.name == name)
}

/// The domain with that identity.
pub fn lookup_by_uuid(call: &Call, uuid: Uuid) -> Result<Domain> {
    lookup(call, &format!("uuid '{uuid}'"), |guest| guest.uuid == uuid)
}

/// State and why.
pub fn state(call: &Call, (domain, _flags): (Domain, u32)) -> Result<(i32, i32)> {
    let state = find(call, &domain)?.state;
    Ok((state as i32, state.reason()))
}

/// State, most memory and memory in KiB, vcpus, and the time they ran in nanoseconds.
pub fn info(call: &Call, domain: Domain) -> Result<(u32, u64, u64, u32, u64)> {
    let guest = call.xend().guest(find(call, &domain)?.uuid)?;
    Ok((guest.state as u32, guest.max_memory, guest.memory, guest.online_vcpus, guest.cpu_time))
}

/// Whether it runs.
pub fn is_active(call: &Call, domain: Domain) -> Result<bool> {
    Ok(find(call, &domain)?.is_active())
}

/// Whether it has a definition.
pub fn is_persistent(call: &Call, domain: Domain) -> Result<bool> {
    Ok(find(call, &domain)?.persistent)
}

/// Whether a running domain's definition has changed since it started: it is never told apart.
pub fn is_updated(call: &Call, domain: Domain) -> Result<bool> {
    find(call, &domain).map(|_| false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_of_flags_must_hold() {
        let guest = Guest {
            name: "juliet".to_owned(),
            uuid: Uuid::nil(),
            domid: Some(1),
            state: State::Paused,
            memory: 1,
            max_memory: 1,
            vcpus: 1,
            online_vcpus: 1,
            cpu_time: 0,
            persistent: true,
            autostart: false,
        };
        use filter::*;
        for flags in [0, ACTIVE, ACTIVE | INACTIVE, RUNNING | PAUSED, ACTIVE | NO_AUTOSTART] {
            assert!(wanted(&guest, flags), "{flags:#x}");
        }
        for flags in [INACTIVE, RUNNING, ACTIVE | AUTOSTART, TRANSIENT, HAS_SNAPSHOT] {
            assert!(!wanted(&guest, flags), "{flags:#x}");
        }
    }
}
