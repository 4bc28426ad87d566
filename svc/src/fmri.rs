//! FMRIs, the names of services, instances and properties, and how an administrator may
//! abbreviate them (smf(7), svcs(1)).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::glob;

/// The longest name of a service, instance, property group or property, in bytes.
pub const NAME_MAX: usize = 119;

/// What separates an entity from its property group and property.
const PROPERTIES: &str = "/:properties/";

/// A service (`svc:/system/xvm/xend`) or an instance of one (`svc:/system/xvm/xend:default`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fmri {
    /// The service's name, without a leading slash: `system/xvm/xend`.
    pub service: String,
    /// The instance's name, or `None` for the service itself.
    pub instance: Option<String>,
}

/// Why a text is no FMRI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("FMRI \"{text}\" is invalid: {why}")]
pub struct FmriError {
    /// What was given.
    pub text: String,
    why: &'static str,
}

impl Fmri {
    /// Reads `svc:/S`, `svc:/S:I`, `svc://localhost/S:I` or `svc:S:I`.
    pub fn parse(text: &str) -> Result<Self, FmriError> {
        let fail = |why| FmriError { text: text.to_owned(), why };
        let path = strip_scheme(text).ok_or_else(|| fail("it does not begin with svc:/"))?;
        let (service, instance) = match path.split_once(':') {
            Some((service, instance)) => (service, Some(instance)),
            None => (path, None),
        };
        if !is_service_name(service) {
            return Err(fail("bad service name"));
        }
        if instance.is_some_and(|name| !is_name(name)) {
            return Err(fail("bad instance name"));
        }
        Ok(Self { service: service.to_owned(), instance: instance.map(str::to_owned) })
    }

    /// The FMRI of the service that this belongs to.
    pub fn service(&self) -> Self {
        Self { service: self.service.clone(), instance: None }
    }

    /// The FMRI of the service's instance `name`.
    pub fn with_instance(&self, name: &str) -> Self {
        Self { service: self.service.clone(), instance: Some(name.to_owned()) }
    }

    /// Whether this names an instance.
    pub fn is_instance(&self) -> bool {
        self.instance.is_some()
    }

    /// The name of the instance's log file: `system-xvm-xend:default.log`.
    pub fn log_name(&self) -> String {
        let service = self.service.replace('/', "-");
        let instance = self.instance.as_deref().unwrap_or("default");
        format!("{service}:{instance}.log")
    }
}

impl fmt::Display for Fmri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "svc:/{}", self.service)?;
        self.instance.iter().try_for_each(|name| write!(f, ":{name}"))
    }
}

impl FromStr for Fmri {
    type Err = FmriError;

    fn from_str(text: &str) -> Result<Self, FmriError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Fmri {
    type Error = FmriError;

    fn try_from(text: String) -> Result<Self, FmriError> {
        Self::parse(&text)
    }
}

impl From<Fmri> for String {
    fn from(fmri: Fmri) -> Self {
        fmri.to_string()
    }
}

/// A property group or a property: `svc:/S:I/:properties/PG[/PROP]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PropFmri {
    /// The service or instance.
    pub entity: Fmri,
    /// The property group's name.
    pub pg: String,
    /// The property's name, or `None` for the whole group.
    pub prop: Option<String>,
}

impl PropFmri {
    /// Reads the full form; abbreviations are not allowed here.
    pub fn parse(text: &str) -> Result<Self, FmriError> {
        let fail = |why| FmriError { text: text.to_owned(), why };
        let (entity, path) =
            text.split_once(PROPERTIES).ok_or_else(|| fail("it names no property"))?;
        let entity = Fmri::parse(entity)?;
        let (pg, prop) = match path.split_once('/') {
            Some((pg, prop)) => (pg, Some(prop)),
            None => (path, None),
        };
        if !is_name(pg) {
            return Err(fail("bad property group name"));
        }
        if prop.is_some_and(|name| !is_name(name)) {
            return Err(fail("bad property name"));
        }
        Ok(Self { entity, pg: pg.to_owned(), prop: prop.map(str::to_owned) })
    }
}

impl fmt::Display for PropFmri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PROPERTIES}{}", self.entity, self.pg)?;
        self.prop.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

/// Whether `name` may name an instance, a property group or a property (uu_check_name):
/// a letter, then letters, digits, `_`, `.`, `-`; an optional `DOMAIN,` in front.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && match name.split_once(',') {
            Some((domain, rest)) => is_identifier(domain) && is_identifier(rest),
            None => is_identifier(name),
        }
}

/// Whether `name` may name a service: names joined by `/`.
pub fn is_service_name(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('/').all(is_name)
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// What follows `svc:`, `svc:/` or `svc://localhost/`.
fn strip_scheme(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("svc:")?;
    let rest = rest.strip_prefix("//localhost").unwrap_or(rest);
    Some(rest.strip_prefix('/').unwrap_or(rest))
}

/// Which of `all` an operand means: a full FMRI, an abbreviation of one, or a pattern.
///
/// With a colon the part after it is the instance and the part before it, if any, the service or
/// its last components; without one the word is either. `svc:` in front prefers a service of
/// exactly that name. Patterns are matched against whole FMRIs.
pub fn matches(word: &str, all: &[Fmri]) -> Vec<Fmri> {
    let found: Vec<&Fmri> = if glob::is_pattern(word) {
        let pattern = match strip_scheme(word) {
            Some(path) => format!("svc:/{path}"),
            None => format!("svc:/{word}"),
        };
        all.iter().filter(|fmri| glob::matches(&pattern, &fmri.to_string())).collect()
    } else {
        abbreviated(word, all)
    };
    found.into_iter().cloned().collect()
}

fn abbreviated<'a>(word: &str, all: &'a [Fmri]) -> Vec<&'a Fmri> {
    let full = strip_scheme(word);
    let word = full.unwrap_or(word);
    let select = |service_matches: fn(&str, &str) -> bool| -> Vec<&Fmri> {
        all.iter().filter(|fmri| means(word, fmri, service_matches)).collect()
    };
    let exact = if full.is_some() { select(|part, service| part == service) } else { Vec::new() };
    if exact.is_empty() { select(is_tail_of) } else { exact }
}

fn means(word: &str, fmri: &Fmri, service_matches: fn(&str, &str) -> bool) -> bool {
    let instance = fmri.instance.as_deref();
    match word.split_once(':') {
        Some(("", name)) => instance == Some(name),
        Some((service, name)) => instance == Some(name) && service_matches(service, &fmri.service),
        None => instance == Some(word) || service_matches(word, &fmri.service),
    }
}

/// Whether `part` is the whole of `service` or ends it after a slash.
fn is_tail_of(part: &str, service: &str) -> bool {
    service
        .strip_suffix(part)
        .is_some_and(|head| !part.is_empty() && (head.is_empty() || head.ends_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_an_fmri_is_read() {
        let xend = Fmri { service: "system/xvm/xend".into(), instance: Some("default".into()) };
        for text in [
            "svc:/system/xvm/xend:default",
            "svc://localhost/system/xvm/xend:default",
            "svc:system/xvm/xend:default",
        ] {
            assert_eq!(Fmri::parse(text).unwrap(), xend, "{text}");
        }
        assert_eq!(xend.to_string(), "svc:/system/xvm/xend:default");
        assert_eq!(xend.service().to_string(), "svc:/system/xvm/xend");
        assert_eq!(xend.log_name(), "system-xvm-xend:default.log");
    }

    #[test]
    fn bad_fmris_are_refused() {
        for text in [
            "",
            "xend",
            "svc:",
            "svc:/",
            "svc:/a:",
            "svc:/a:b:c",
            "svc:/a//b",
            "svc:/a/",
            "svc:/1a",
            "svc:/a b",
            "svc://elsewhere/a",
            "svc:/a:b/:properties/c",
            "lrc:/etc/rc3_d/S42x",
        ] {
            assert!(Fmri::parse(text).is_err(), "{text}");
        }
        assert!(Fmri::parse(&format!("svc:/{}", "a".repeat(NAME_MAX + 1))).is_err());
    }

    #[test]
    fn property_fmris_are_read() {
        let text = "svc:/system/xvm/xend:default/:properties/config/dom0-min-mem";
        let fmri = PropFmri::parse(text).unwrap();
        assert_eq!((fmri.pg.as_str(), fmri.prop.as_deref()), ("config", Some("dom0-min-mem")));
        assert_eq!(fmri.to_string(), text);
        let group = PropFmri::parse("svc:/a/:properties/config").unwrap();
        assert_eq!((group.entity.to_string().as_str(), group.prop), ("svc:/a", None));
        for text in ["svc:/a", "svc:/a/:properties/", "svc:/a/:properties/p/", "a/:properties/p"] {
            assert!(PropFmri::parse(text).is_err(), "{text}");
        }
    }

    fn find(word: &str) -> Vec<String> {
        let all = [
            "svc:/network/smtp:sendmail",
            "svc:/network/smtp:postfix",
            "svc:/system/xvm/xend:default",
            "svc:/xend:default",
            "svc:/system/xvm/store:default",
        ]
        .map(|text| Fmri::parse(text).unwrap());
        matches(word, &all).iter().map(Fmri::to_string).collect()
    }

    #[test]
    fn abbreviations_follow_the_manual() {
        for word in [
            "sendmail",
            ":sendmail",
            "smtp:sendmail",
            "network/smtp:sendmail",
            "svc:/smtp:sendmail",
        ] {
            assert_eq!(find(word), ["svc:/network/smtp:sendmail"], "{word}");
        }
        assert_eq!(find("network/smtp").len(), 2);
        for word in ["mail", "network", "network/smt", "twork/smtp", "", ":", "svc:/", "smtp:"] {
            assert!(find(word).is_empty(), "{word}");
        }
    }

    #[test]
    fn a_scheme_prefers_the_exact_service() {
        assert_eq!(find("xend").len(), 2);
        assert_eq!(find("svc:/xend"), ["svc:/xend:default"]);
        assert_eq!(find("svc:system/xvm/xend"), ["svc:/system/xvm/xend:default"]);
        assert_eq!(find("svc:/store"), ["svc:/system/xvm/store:default"]);
    }

    #[test]
    fn patterns_match_whole_fmris() {
        assert_eq!(find("*xvm*").len(), 2);
        assert_eq!(find("system/xvm/*").len(), 2);
        assert_eq!(find("svc:system/xvm/*").len(), 2);
        assert!(find("xvm*").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(text in "svc:/[a-z]{1,3}(/[a-zA-Z][a-z0-9_.-]{0,3}){0,3}(:[a-z]{1,4})?") {
            let fmri = Fmri::parse(&text).unwrap();
            prop_assert_eq!(fmri.to_string(), text);
        }

        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC{0,40}") {
            let _ = Fmri::parse(&text);
            let _ = PropFmri::parse(&text);
            find(&text);
        }

        /// Every tail of whole components finds the instance, every other tail does not.
        #[test]
        fn only_whole_components_abbreviate(cut in 0usize..15) {
            let fmri = Fmri::parse("svc:/system/xvm/console:default").unwrap();
            let tail = &fmri.service[cut..];
            let whole = cut == 0 || fmri.service.as_bytes()[cut - 1] == b'/';
            prop_assert_eq!(!matches(tail, std::slice::from_ref(&fmri)).is_empty(), whole);
        }
    }
}
