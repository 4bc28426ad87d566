//! A guest's settings as calls change them: those it runs with, those it is defined with.

use xend::config::GuestConfig;
use xend::rpc::Value;

use super::domain;
use crate::error::{Code, Error, Result};
use crate::guest::Guest;
use crate::protocol::Domain;
use crate::session::Call;

/// What a change affects (`virDomainModificationImpact`).
mod impact {
    pub const LIVE: u32 = 1;
    pub const CONFIG: u32 = 2;
}

/// What a call is to affect of a guest.
#[derive(Debug, Clone)]
pub struct Affected {
    /// The guest.
    pub guest: Guest,
    /// As it runs.
    pub live: bool,
    /// As it is defined.
    pub config: bool,
}

/// What `flags` mean for a guest as it is now. Those beside the impact must be among `others`.
pub fn affected(call: &Call, domain: &Domain, flags: u32, others: u32) -> Result<Affected> {
    known_flags(flags, impact::LIVE | impact::CONFIG | others)?;
    let guest = domain::find(call, domain)?;
    let active = guest.is_active();
    let current = flags & (impact::LIVE | impact::CONFIG) == 0;
    let live = if current { active } else { flags & impact::LIVE != 0 };
    let config = if current { !active } else { flags & impact::CONFIG != 0 };
    if live && !active {
        return Err(Error::state("domain is not running"));
    }
    if config && !guest.persistent {
        return Err(Error::state("transient domains do not have any persistent config"));
    }
    Ok(Affected { guest, live, config })
}

/// Refuses flags that nobody here knows: what they ask for would be left undone silently.
pub fn known_flags(flags: u32, known: u32) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::invalid(format!("unsupported flags ({unknown:#x})"))),
    }
}

/// How xend knows a guest.
pub fn id(guest: &Guest) -> Value {
    guest.uuid.to_string().into()
}

/// The settings of a guest, as it is defined or as it runs.
pub fn of(call: &Call, guest: &Guest, defined: bool) -> Result<GuestConfig> {
    if defined {
        let definition = call.xend().definition(&guest.name);
        let none = || Error::state(format!("domain '{}' has no definition", guest.name));
        return Ok(GuestConfig::clone(&definition.ok_or_else(none)?.config));
    }
    let config = call.xend().ask("xend.domain.config", vec![id(guest), false.into()])?;
    GuestConfig::from_sxp(&config).map_err(Error::internal)
}

/// Changes a guest's definition.
pub fn redefine(
    call: &Call,
    guest: &Guest,
    change: impl FnOnce(&mut GuestConfig) -> Result<()>,
) -> Result<()> {
    let mut config = of(call, guest, true)?;
    change(&mut config)?;
    config.check().map_err(|reason| Error::new(Code::InvalidArg, reason))?;
    call.xend().tell("xend.domain.new", vec![config.to_sxp()]).map(drop)
}

/// KiB as the MiB that xend counts in; what is not whole is rounded up.
pub fn mebibytes(kib: u64) -> u64 {
    kib.div_ceil(1024)
}
