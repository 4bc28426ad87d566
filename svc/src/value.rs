//! Typed property values: the types, how each is spelled, and what makes a value valid
//! (scf_value_create(3SCF)). Values are kept as canonical text, checked once at the door.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A property's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropType {
    /// `true` or `false`.
    Boolean,
    /// Unsigned, 64 bits.
    Count,
    /// Signed, 64 bits.
    Integer,
    /// Seconds and nanoseconds.
    Time,
    /// Text.
    Astring,
    /// Bytes, as pairs of hexadecimal digits.
    Opaque,
    /// UTF-8 text.
    Ustring,
    /// A URI.
    Uri,
    /// A URI that names a service or a file.
    Fmri,
    /// A host name or an address.
    Host,
    /// A dotted name.
    Hostname,
    /// An address of either family.
    NetAddress,
    /// IPv4, with an optional prefix length.
    #[serde(rename = "net_address_v4")]
    NetAddressV4,
    /// IPv6, with an optional prefix length.
    #[serde(rename = "net_address_v6")]
    NetAddressV6,
}

/// Every type with its name.
const NAMES: [(PropType, &str); 14] = [
    (PropType::Boolean, "boolean"),
    (PropType::Count, "count"),
    (PropType::Integer, "integer"),
    (PropType::Time, "time"),
    (PropType::Astring, "astring"),
    (PropType::Opaque, "opaque"),
    (PropType::Ustring, "ustring"),
    (PropType::Uri, "uri"),
    (PropType::Fmri, "fmri"),
    (PropType::Host, "host"),
    (PropType::Hostname, "hostname"),
    (PropType::NetAddress, "net_address"),
    (PropType::NetAddressV4, "net_address_v4"),
    (PropType::NetAddressV6, "net_address_v6"),
];

/// Why a value or a type name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No type has that name.
    #[error("Unknown type \"{0}\".")]
    UnknownType(String),
    /// The value doesn't fit its type.
    #[error("Invalid \"{ty}\" value \"{text}\": {why}.")]
    Invalid {
        /// The type.
        ty: PropType,
        /// The value.
        text: String,
        /// What a value of that type looks like.
        why: &'static str,
    },
}

impl PropType {
    /// Whether values are text, which listings quote.
    pub fn is_string(self) -> bool {
        !matches!(self, Self::Boolean | Self::Count | Self::Integer | Self::Time | Self::Opaque)
    }

    /// The type this one is derived from: whoever asks for that may read this.
    pub fn base(self) -> Option<Self> {
        match self {
            Self::Ustring => Some(Self::Astring),
            Self::Uri | Self::Host => Some(Self::Ustring),
            Self::Fmri => Some(Self::Uri),
            Self::Hostname | Self::NetAddress => Some(Self::Host),
            Self::NetAddressV4 | Self::NetAddressV6 => Some(Self::NetAddress),
            _ => None,
        }
    }

    /// Whether a value of this type may be read as `other`.
    pub fn is_a(self, other: Self) -> bool {
        self == other || self.base().is_some_and(|base| base.is_a(other))
    }

    /// Checks `text` and returns its canonical spelling.
    pub fn check(self, text: &str) -> Result<String, ValueError> {
        let canonical = match self {
            Self::Boolean => boolean(text),
            Self::Count => unsigned(text).map(|n| n.to_string()),
            Self::Integer => signed(text).map(|n| n.to_string()),
            Self::Time => time(text),
            Self::Opaque => opaque(text),
            Self::Astring | Self::Ustring => keep(text, !text.contains('\0')),
            Self::Uri => keep(text, is_uri(text)),
            Self::Fmri => keep(text, is_uri(text) && text.contains(":/") || is_svc(text)),
            Self::Host => keep(text, is_hostname(text) || is_v4(text) || is_v6(text)),
            Self::Hostname => keep(text, is_hostname(text)),
            Self::NetAddress => keep(text, is_v4(text) || is_v6(text)),
            Self::NetAddressV4 => keep(text, is_v4(text)),
            Self::NetAddressV6 => keep(text, is_v6(text)),
        };
        canonical.ok_or_else(|| ValueError::Invalid {
            ty: self,
            text: text.to_owned(),
            why: self.expectation(),
        })
    }

    fn expectation(self) -> &'static str {
        match self {
            Self::Boolean => "true or false is expected",
            Self::Count => "a whole number from 0 to 18446744073709551615 is expected",
            Self::Integer => "a whole number of 64 bits is expected",
            Self::Time => "SECONDS[.NANOSECONDS] is expected",
            Self::Opaque => "an even number of hexadecimal digits is expected",
            Self::Astring | Self::Ustring => "text can't hold a NUL",
            Self::Uri => "a URI is expected",
            Self::Fmri => "an FMRI such as svc:/NAME or file://localhost/PATH is expected",
            Self::Host => "a host name or an address is expected",
            Self::Hostname => "a host name is expected",
            Self::NetAddress => "an address is expected",
            Self::NetAddressV4 => "an IPv4 address is expected",
            Self::NetAddressV6 => "an IPv6 address is expected",
        }
    }
}

impl fmt::Display for PropType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(ty, _)| ty == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for PropType {
    type Err = ValueError;

    fn from_str(name: &str) -> Result<Self, ValueError> {
        let found = NAMES.iter().find(|(_, known)| *known == name).map(|(ty, _)| *ty);
        found.ok_or_else(|| ValueError::UnknownType(name.to_owned()))
    }
}

/// A property: one type and any number of values in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// The type of every value.
    pub ty: PropType,
    /// The values in canonical text.
    pub values: Vec<String>,
}

impl Property {
    /// A property whose values were checked.
    pub fn new<S: AsRef<str>>(ty: PropType, values: &[S]) -> Result<Self, ValueError> {
        let values = values.iter().map(|text| ty.check(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { ty, values })
    }

    /// The first value.
    pub fn first(&self) -> Option<&str> {
        self.values.first().map(String::as_str)
    }

    /// The first value as a boolean, if the type is `boolean`.
    pub fn as_bool(&self) -> Option<bool> {
        if self.ty == PropType::Boolean { self.first()?.parse().ok() } else { None }
    }

    /// The first value as an integer, if the type is `integer`.
    pub fn as_integer(&self) -> Option<i64> {
        if self.ty == PropType::Integer { self.first()?.parse().ok() } else { None }
    }

    /// The first value as a count, if the type is `count`.
    pub fn as_count(&self) -> Option<u64> {
        if self.ty == PropType::Count { self.first()?.parse().ok() } else { None }
    }

    /// The first value, if the type is text.
    pub fn as_str(&self) -> Option<&str> {
        if self.ty.is_string() { self.first() } else { None }
    }
}

/// A property group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyGroup {
    /// Its type: `framework`, `application`, `dependency`, `method`, `template`, ...
    pub ty: String,
    /// Whether it survives a boot.
    pub persistent: bool,
    /// The properties by name.
    pub props: BTreeMap<String, Property>,
    /// Whether the reader may not see the values, and so got none of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concealed: bool,
}

impl PropertyGroup {
    /// An empty persistent group.
    pub fn new(ty: &str) -> Self {
        let props = BTreeMap::new();
        Self { ty: ty.to_owned(), persistent: true, props, concealed: false }
    }

    /// The property `name`.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.props.get(name)
    }

    /// Whether values can be hidden at all in groups of this type (smf_security(7)).
    pub fn may_be_protected(&self) -> bool {
        self.ty == "application"
    }

    /// Whether only those see the values who have an authorization for it. To others all
    /// properties are there, without a value.
    pub fn is_protected(&self) -> bool {
        let marked = |property: &Property| property.ty.is_string();
        self.may_be_protected() && self.get("read_authorization").is_some_and(marked)
    }

    /// Takes the values away, for a reader who may not see them.
    pub fn conceal(&mut self) {
        self.omit_values();
        self.concealed = true;
    }

    /// Leaves the properties without values.
    pub fn omit_values(&mut self) {
        self.props.values_mut().for_each(|property| property.values.clear());
    }

    /// The first value of property `name`, whatever its type.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.get(name)?.first()
    }
}

/// The property groups of a service, an instance or a snapshot level, by name.
pub type Groups = BTreeMap<String, PropertyGroup>;

fn keep(text: &str, valid: bool) -> Option<String> {
    valid.then(|| text.to_owned())
}

fn boolean(text: &str) -> Option<String> {
    match text {
        "true" | "t" | "1" => Some("true".to_owned()),
        "false" | "f" | "0" => Some("false".to_owned()),
        _ => None,
    }
}

/// A number as strtoull(3) reads it with base 0: `0x` hexadecimal, `0` octal.
fn unsigned(text: &str) -> Option<u64> {
    let (digits, radix) = if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        (hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    };
    // from_str_radix takes a sign, which is not a digit.
    let plain = digits.starts_with(|c: char| c.is_digit(radix));
    if plain { u64::from_str_radix(digits, radix).ok() } else { None }
}

fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => 0i64.checked_sub_unsigned(unsigned(digits)?),
        None => i64::try_from(unsigned(text.strip_prefix('+').unwrap_or(text))?).ok(),
    }
}

fn time(text: &str) -> Option<String> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = seconds.strip_prefix('-').unwrap_or(seconds);
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    // Nanoseconds count upwards from the second, so there is no minus zero.
    let value: i64 = seconds.parse().ok()?;
    let minus_zero = value == 0 && seconds.starts_with('-');
    (!minus_zero).then(|| format!("{value}.{fraction:0<9}"))
}

fn opaque(text: &str) -> Option<String> {
    let valid = text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| text.to_ascii_lowercase())
}

/// RFC 3986 in outline: an optional scheme, then characters that a URI may hold, with every
/// percent sign followed by two hexadecimal digits.
fn is_uri(text: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !" \"<>\\^`{|}".contains(c);
    let escapes_are_whole = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    let scheme_is_whole = match text.split_once(':') {
        Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        }
        _ => true,
    };
    !text.is_empty() && text.chars().all(allowed) && escapes_are_whole && scheme_is_whole
}

/// `svc:` without a slash is accepted too: administrators type it.
fn is_svc(text: &str) -> bool {
    text.starts_with("svc:") && crate::fmri::Fmri::parse(text).is_ok()
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_v4(text: &str) -> bool {
    is_address::<Ipv4Addr>(text, 32)
}

fn is_v6(text: &str) -> bool {
    is_address::<Ipv6Addr>(text, 128)
}

fn is_address<A: FromStr>(text: &str, longest_prefix: u8) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let prefix_fits = |prefix: &str| {
        prefix.bytes().all(|b| b.is_ascii_digit())
            && prefix.parse::<u8>().is_ok_and(|bits| bits <= longest_prefix)
    };
    address.parse::<A>().is_ok() && prefix.is_none_or(prefix_fits)
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
