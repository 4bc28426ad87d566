//! Calls that give a domain's XML, or turn a guest's file into XML and back.

use std::path::Path;

use xend::config::{self, Source};

use super::domain::find;
use super::settings::{self, known_flags};
use crate::domain_xml;
use crate::error::{Code, Error, Result};
use crate::live;
use crate::protocol::Domain;
use crate::session::Call;

/// What the XML is to hold (`virDomainXMLFlags`).
mod flag {
    pub const SECURE: u32 = 1;
    pub const INACTIVE: u32 = 2;
    pub const UPDATE_CPU: u32 = 4;
    pub const MIGRATABLE: u32 = 8;
}

/// A domain's XML: as it runs, or as it is defined if it does not run or that is asked for.
pub fn describe(call: &Call, (domain, flags): (Domain, u32)) -> Result<String> {
    known_flags(flags, flag::SECURE | flag::INACTIVE | flag::UPDATE_CPU | flag::MIGRATABLE)?;
    if call.is_read_only() && flags & (flag::SECURE | flag::MIGRATABLE) != 0 {
        return Err(Error::new(
            Code::OperationDenied,
            "virDomainGetXMLDesc with secure or migratable flag",
        ));
    }
    let guest = find(call, &domain)?;
    let defined = guest.persistent && guest.domid != Some(0);
    if !guest.is_active() || (flags & flag::INACTIVE != 0 && defined) {
        return Ok(domain_xml::write(&settings::of(call, &guest, true)?, None));
    }
    match settings::of(call, &guest, false) {
        Ok(config) => {
            let live = live::of(guest.domid.unwrap_or_default());
            Ok(domain_xml::write(&config, Some(&live)))
        }
        // The control domain, or one that another toolstack has made.
        Err(error) if error.code == Code::OperationFailed => Ok(domain_xml::write_foreign(&guest)),
        Err(error) => Err(error),
    }
}

fn check_format(format: &str) -> Result<()> {
    match format {
        "xen-xm" | "xen-xl" => Ok(()),
        other => Err(Error::invalid(format!("unsupported config type {other}"))),
    }
}

/// XML of a guest's file. xm's and xl's files are one grammar here.
pub fn from_native(_: &Call, (format, text, flags): (String, String, u32)) -> Result<String> {
    check_format(&format)?;
    known_flags(flags, 0)?;
    let source = Source::File(format.into());
    let (config, _) = config::parse(&text, source, &[], "", Path::new("/"))
        .map_err(|error| Error::unsupported(error.to_string()))?;
    Ok(domain_xml::write(&config, None))
}

/// A guest's file of XML.
pub fn to_native(_: &Call, (format, xml, flags): (String, String, u32)) -> Result<String> {
    check_format(&format)?;
    known_flags(flags, 0)?;
    Ok(domain_xml::domain(&xml)?.to_file())
}

/// The kind of operating system that a domain runs: paravirtualized ones are `linux`.
pub fn os_type(call: &Call, domain: Domain) -> Result<String> {
    find(call, &domain).map(|_| "linux".to_owned())
}
