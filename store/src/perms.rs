//! Permissions of a node: an owner, what everybody may do, and what single domains may do.

use std::fmt;
use std::str::FromStr;

/// A domain's number.
pub type DomId = u16;

/// What a domain may do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nothing.
    None,
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    Both,
}

impl Access {
    /// Is reading allowed?
    pub fn reads(self) -> bool {
        matches!(self, Access::Read | Access::Both)
    }

    /// Is writing allowed?
    pub fn writes(self) -> bool {
        matches!(self, Access::Write | Access::Both)
    }

    fn letter(self) -> char {
        match self {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        }
    }
}

/// One entry of a node's permissions, written as `r5`.
///
/// The first entry of a list names the owner, and what all domains without an entry may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Perm {
    /// Whose right it is.
    pub domid: DomId,
    /// The right.
    pub access: Access,
}

impl Perm {
    /// The right `access` for `domid`.
    pub fn new(domid: DomId, access: Access) -> Self {
        Self { domid, access }
    }
}

impl fmt::Display for Perm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.access.letter(), self.domid)
    }
}

/// Not a permission: a letter of `nrwb` and a domain's number were expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no permission (n, r, w or b, then a domain's number)")]
pub struct BadPerm(pub String);

impl FromStr for Perm {
    type Err = BadPerm;

    fn from_str(text: &str) -> Result<Self, BadPerm> {
        let bad = || BadPerm(text.to_owned());
        let mut chars = text.chars();
        let access = match chars.next() {
            Some('n') => Access::None,
            Some('r') => Access::Read,
            Some('w') => Access::Write,
            Some('b') => Access::Both,
            _ => return Err(bad()),
        };
        let domid = chars.as_str();
        // parse() alone would take a sign.
        if !domid.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self { domid: domid.parse().map_err(|_| bad())?, access })
    }
}
