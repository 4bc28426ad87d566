//! `service_bundle` XML, the form that manifests and profiles have on illumos
//! (service_bundle(5)), in and out. What an element means is in `words`; here is how it is spelled.

mod element;
mod entity;
mod export;
mod notify;
pub(super) mod pattern;
mod template;
mod write;

pub use export::{XmlError, to_xml};

use roxmltree::{Document, Error, ParsingOptions};

use super::reader::SyntaxError;
use super::{Bundle, BundleKind, Include, Manifest};
use element::{Element, Result};

/// The longest document, in bytes: larger than any manifest, small enough to hold.
const SIZE_MAX: usize = 16 << 20;
/// The most elements, attributes' owners and texts in a document.
const NODES_MAX: u32 = 1 << 20;
/// How deep bundles may be nested in each other.
const NESTING_MAX: usize = 8;

/// Every kind of bundle with its name.
const KINDS: [(BundleKind, &str); 3] = [
    (BundleKind::Manifest, "manifest"),
    (BundleKind::Profile, "profile"),
    (BundleKind::Archive, "archive"),
];

/// Reads a bundle.
pub fn parse_xml(text: &str) -> Result<Bundle> {
    if text.len() > SIZE_MAX {
        let message = format!("the file is larger than {} MiB", SIZE_MAX >> 20);
        return Err(SyntaxError::new(text, 0, message));
    }
    // A document can be tiny and its entities expand to anything; manifests have no use for them.
    if let Some(at) = text.find("<!ENTITY") {
        return Err(SyntaxError::new(text, at, "entity declarations are not allowed in manifests"));
    }
    let options = ParsingOptions { allow_dtd: true, nodes_limit: NODES_MAX, entity_resolver: None };
    let document = Document::parse_with_options(text, options).map_err(malformed)?;
    bundle(Element::new(document.root_element()), NESTING_MAX)
}

fn malformed(error: Error) -> SyntaxError {
    let message = match &error {
        Error::NodesLimitReached => format!("there are more than {NODES_MAX} elements and texts"),
        // The library says where at the end of its sentence; we say it in front.
        error => {
            let sentence = error.to_string();
            let place = sentence.rfind(" at ").unwrap_or(sentence.len());
            sentence[..place].to_owned()
        }
    };
    let place = error.pos();
    let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    SyntaxError { line: number(place.row), column: number(place.col), message }
}

fn bundle(element: Element<'_, '_>, nesting: usize) -> Result<Bundle> {
    element.expect("service_bundle", &["type", "name"])?;
    let word = element.one_of("type", &KINDS.map(|(_, name)| name))?;
    let kind = KINDS.iter().find(|(_, name)| *name == word).map_or(BundleKind::Manifest, |k| k.0);
    let mut found = Bundle {
        kind,
        name: element.required("name")?.to_owned(),
        services: vec![],
        includes: vec![],
    };
    for child in element.children()? {
        let services = match child.name() {
            "service" => vec![entity::service(child, kind)?],
            "service_bundle" => {
                let mut inner = nested(child, kind, nesting)?;
                found.includes.append(&mut inner.includes);
                inner.services
            }
            "include" if child.is_xi("include") => {
                found.includes.push(include(child)?);
                continue;
            }
            _ => return Err(child.unexpected()),
        };
        for service in services {
            found.add(service).map_err(|message| child.error(message))?;
        }
    }
    Ok(found)
}

fn include(element: Element<'_, '_>) -> Result<Include> {
    element.allow(&["href", "parse", "encoding"])?;
    if element.attribute("parse").is_some() {
        element.one_of("parse", &["xml"])?;
    }
    let href = element.required("href")?.to_owned();
    let fallbacks = element.children()?;
    for fallback in &fallbacks {
        if !fallback.is_xi("fallback") {
            return Err(fallback.unexpected());
        }
        // What stands in for a file that isn't there: nothing, in all bundles that there are.
        fallback.childless()?;
    }
    Ok(Include { href, is_optional: !fallbacks.is_empty() })
}

fn nested(element: Element<'_, '_>, kind: BundleKind, nesting: usize) -> Result<Bundle> {
    if nesting == 0 {
        return Err(element.error("bundles are nested too deeply"));
    }
    let inner = bundle(element, nesting - 1)?;
    if inner.kind != kind {
        return Err(element.error("a bundle's type differs from that of the one around it"));
    }
    Ok(inner)
}

impl Bundle {
    /// Adds a service, which must not be there yet.
    pub(super) fn add(&mut self, new: Manifest) -> std::result::Result<(), String> {
        if self.services.iter().any(|known| known.service == new.service) {
            return Err(format!("{} is described twice", new.service));
        }
        self.services.push(new);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
