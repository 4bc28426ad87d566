//! Calls that make guests, define them, and have them start and stop.

use xend::config::GuestConfig;

use super::domain::{find, find_active};
use super::settings::{self, id, known_flags};
use crate::domain_xml;
use crate::error::{Error, Result};
use crate::guest::Guest;
use crate::protocol::Domain;
use crate::session::Call;

/// How to start (`virDomainCreateFlags`).
mod start {
    pub const PAUSED: u32 = 1;
    pub const BYPASS_CACHE: u32 = 1 << 2;
    pub const FORCE_BOOT: u32 = 1 << 3;
    pub const VALIDATE: u32 = 1 << 4;
    /// Those that change nothing where nothing is cached or saved.
    pub const KNOWN: u32 = PAUSED | BYPASS_CACHE | FORCE_BOOT | VALIDATE;
}

/// The guest of that name, as clients name it.
fn by_name(call: &Call, name: &str) -> Result<Domain> {
    super::domain::lookup_by_name(call, name.to_owned())
}

/// Starts a guest that is defined.
pub fn create(call: &Call, domain: Domain) -> Result<()> {
    create_with_flags(call, (domain, 0)).map(drop)
}

/// Starts a guest that is defined, perhaps paused.
pub fn create_with_flags(call: &Call, (domain, flags): (Domain, u32)) -> Result<Domain> {
    known_flags(flags, start::KNOWN)?;
    let guest = find(call, &domain)?;
    if guest.is_active() {
        return Err(Error::state("domain is already running"));
    }
    let paused = flags & start::PAUSED != 0;
    call.xend().tell("xend.domain.start", vec![id(&guest), paused.into()])?;
    by_name(call, &guest.name)
}

/// Makes a guest of XML; one that has no definition is gone when it stops.
pub fn create_xml(call: &Call, (xml, flags): (String, u32)) -> Result<Domain> {
    known_flags(flags, start::KNOWN)?;
    let config = domain_xml::domain(&xml)?;
    make(call, &config, flags & start::PAUSED != 0)
}

fn make(call: &Call, config: &GuestConfig, paused: bool) -> Result<Domain> {
    call.xend().tell("xend.domain.create", vec![config.to_sxp()])?;
    let name = || config.name.as_str().into();
    if !paused && let Err(error) = call.xend().tell("xend.domain.unpause", vec![name()]) {
        call.xend().tell("xend.domain.destroy", vec![name()])?;
        return Err(error);
    }
    by_name(call, &config.name)
}

/// Defines a guest by XML.
pub fn define_xml(call: &Call, xml: String) -> Result<Domain> {
    define_xml_flags(call, (xml, 0))
}

/// Defines a guest by XML.
pub fn define_xml_flags(call: &Call, (xml, flags): (String, u32)) -> Result<Domain> {
    /// `VIR_DOMAIN_DEFINE_VALIDATE`.
    const VALIDATE: u32 = 1;
    known_flags(flags, VALIDATE)?;
    let mut config = domain_xml::domain(&xml)?;
    // Without an identity in the XML it stays what it was.
    let old = call.xend().guests()?.all().iter().find(|it| it.name == config.name).cloned();
    if let Some(old) = old {
        let uuid = *config.uuid.get_or_insert(old.uuid);
        if uuid != old.uuid && (old.persistent || old.is_active()) {
            return Err(Error::new(
                crate::error::Code::OperationFailed,
                format!("domain '{}' already exists with uuid {}", old.name, old.uuid),
            ));
        }
    }
    call.xend().tell("xend.domain.new", vec![config.to_sxp()])?;
    by_name(call, &config.name)
}

/// Takes a guest's definition back.
pub fn undefine(call: &Call, domain: Domain) -> Result<()> {
    undefine_flags(call, (domain, 0))
}

/// Takes a guest's definition back; there is nothing else of it that flags could ask to remove.
pub fn undefine_flags(call: &Call, (domain, flags): (Domain, u32)) -> Result<()> {
    /// `VIR_DOMAIN_UNDEFINE_*`: managed save, snapshots, NVRAM, checkpoints, TPM.
    const KNOWN: u32 = 0xff;
    known_flags(flags, KNOWN)?;
    let guest = find(call, &domain)?;
    if !guest.persistent {
        return Err(Error::state("cannot undefine transient domain"));
    }
    call.xend().tell("xend.domain.delete", vec![id(&guest)]).map(drop)
}

fn ask_to_stop(call: &Call, domain: &Domain, reason: &str) -> Result<()> {
    let guest = find_active(call, domain)?;
    call.xend().tell("xend.domain.shutdown", vec![id(&guest), reason.into()]).map(drop)
}

/// Ways to ask (`VIR_DOMAIN_SHUTDOWN_*`, `VIR_DOMAIN_REBOOT_*`): a paravirtualized guest has one.
const PARAVIRT: u32 = 1 << 4;

/// Asks a guest to power off.
pub fn shutdown(call: &Call, domain: Domain) -> Result<()> {
    ask_to_stop(call, &domain, "poweroff")
}

/// Asks a guest to power off.
pub fn shutdown_flags(call: &Call, (domain, flags): (Domain, u32)) -> Result<()> {
    known_flags(flags, PARAVIRT)?;
    ask_to_stop(call, &domain, "poweroff")
}

/// Asks a guest to reboot.
pub fn reboot(call: &Call, (domain, flags): (Domain, u32)) -> Result<()> {
    known_flags(flags, PARAVIRT)?;
    ask_to_stop(call, &domain, "reboot")
}

/// Makes a guest anew without asking it.
pub fn reset(call: &Call, (domain, flags): (Domain, u32)) -> Result<()> {
    known_flags(flags, 0)?;
    let guest = find_active(call, &domain)?;
    let config = settings::of(call, &guest, false)?;
    call.xend().tell("xend.domain.destroy", vec![id(&guest)])?;
    make(call, &config, false).map(drop)
}

/// Ends a guest at once.
pub fn destroy(call: &Call, domain: Domain) -> Result<()> {
    destroy_flags(call, (domain, 0))
}

/// Ends a guest at once, however graceful that was to be: Xen has but one way.
pub fn destroy_flags(call: &Call, (domain, flags): (Domain, u32)) -> Result<()> {
    /// `VIR_DOMAIN_DESTROY_GRACEFUL`.
    const GRACEFUL: u32 = 1;
    known_flags(flags, GRACEFUL)?;
    simple(call, &domain, "xend.domain.destroy")
}

fn simple(call: &Call, domain: &Domain, method: &str) -> Result<()> {
    let guest: Guest = find_active(call, domain)?;
    call.xend().tell(method, vec![id(&guest)]).map(drop)
}

/// Keeps a guest from running.
pub fn suspend(call: &Call, domain: Domain) -> Result<()> {
    simple(call, &domain, "xend.domain.pause")
}

/// Lets a guest run on.
pub fn resume(call: &Call, domain: Domain) -> Result<()> {
    simple(call, &domain, "xend.domain.unpause")
}

/// Whether a guest is started when the host comes up.
pub fn autostart(call: &Call, domain: Domain) -> Result<bool> {
    Ok(find(call, &domain)?.autostart)
}

/// Has a guest started when the host comes up, or not.
pub fn set_autostart(call: &Call, (domain, start): (Domain, i32)) -> Result<()> {
    let guest = find(call, &domain)?;
    if !guest.persistent {
        return Err(Error::state("cannot set autostart for transient domain"));
    }
    let params = vec![id(&guest), (start != 0).into()];
    call.xend().tell("xend.domain.setAutostart", params).map(drop)
}
