//! Calls about what is said of a domain: its title, its description, what management tools keep
//! with it.

use xend::config::Notes;

use super::domain::find;
use super::settings::{self, affected, id, known_flags, redefine};
use crate::domain_xml::metadata;
use crate::error::{Code, Error, Result};
use crate::protocol::Domain;
use crate::session::Call;

/// What is said (`virDomainMetadataType`).
mod kind {
    pub const DESCRIPTION: i32 = 0;
    pub const TITLE: i32 = 1;
    pub const ELEMENT: i32 = 2;
}

/// `VIR_DOMAIN_AFFECT_LIVE` and `VIR_DOMAIN_AFFECT_CONFIG`.
const LIVE: u32 = 1;
const CONFIG: u32 = 2;

fn unknown(kind: i32) -> Error {
    Error::invalid(format!("unknown metadata type {kind}"))
}

/// What is said of a domain, as it runs or as it is defined.
pub fn get(
    call: &Call,
    (domain, kind, uri, flags): (Domain, i32, Option<String>, u32),
) -> Result<String> {
    known_flags(flags, LIVE | CONFIG)?;
    let guest = find(call, &domain)?;
    if flags & LIVE != 0 && !guest.is_active() {
        return Err(Error::state("domain is not running"));
    }
    let defined = flags & CONFIG != 0 || !guest.is_active();
    // Whoever lists titles asks for that of each guest, so the list's definitions must do.
    let config = if defined {
        call.xend().guests()?.definition(&guest.name)
    } else {
        match settings::of(call, &guest, false) {
            Ok(config) => Some(config.into()),
            // Nobody says anything of what another toolstack has made.
            Err(error) if error.code == Code::OperationFailed => None,
            Err(error) => return Err(error),
        }
    };
    let notes = config.map(|config| config.notes.clone()).unwrap_or_default();
    let (what, said) = match kind {
        kind::DESCRIPTION => ("description", notes.description),
        kind::TITLE => ("title", notes.title),
        kind::ELEMENT => {
            let uri = uri.ok_or_else(|| Error::invalid("the metadata's namespace is missing"))?;
            ("element", metadata::get(&notes.metadata.unwrap_or_default(), &uri)?)
        }
        other => return Err(unknown(other)),
    };
    let missing = format!("Requested metadata element is not present: {what}");
    said.ok_or_else(|| Error::new(Code::NoDomainMetadata, missing))
}

/// What is to be said: its kind, the text, and for an element its prefix and its namespace.
type Said = (i32, Option<String>, Option<String>, Option<String>);

fn say(notes: &mut Notes, (kind, text, key, uri): &Said) -> Result<()> {
    let text = text.clone().filter(|text| !text.is_empty());
    match *kind {
        kind::DESCRIPTION => notes.description = text,
        kind::TITLE => notes.title = text,
        kind::ELEMENT => {
            let missing = || Error::invalid("the metadata's namespace or its prefix is missing");
            let uri = uri.as_deref().ok_or_else(missing)?;
            let key = key.as_deref().unwrap_or_default();
            if text.is_some() && key.is_empty() {
                return Err(missing());
            }
            let old = notes.metadata.as_deref().unwrap_or_default();
            let new = metadata::set(old, uri, key, text.as_deref())?;
            notes.metadata = Some(new).filter(|new| !new.is_empty());
        }
        other => return Err(unknown(other)),
    }
    notes.check().map_err(Error::invalid)
}

/// The arguments of [`set`]: domain, kind, text, prefix, namespace, flags.
type Arguments = (Domain, i32, Option<String>, Option<String>, Option<String>, u32);

/// Sets what is said of a domain, as it runs or as it is defined.
pub fn set(call: &Call, (domain, kind, text, key, uri, flags): Arguments) -> Result<()> {
    let it = affected(call, &domain, flags, 0)?;
    let said = (kind, text, key, uri);
    if it.live {
        let mut notes = settings::of(call, &it.guest, false)?.notes;
        say(&mut notes, &said)?;
        call.xend().tell("xend.domain.setNotes", vec![id(&it.guest), notes.to_sxp()])?;
    }
    if it.config {
        redefine(call, &it.guest, |config| say(&mut config.notes, &said))?;
    }
    Ok(())
}
