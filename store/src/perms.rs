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

    /// In the order of the type.
    const LETTERS: [(Access, char); 4] =
        [(Access::None, 'n'), (Access::Read, 'r'), (Access::Write, 'w'), (Access::Both, 'b')];

    /// The access with this number in the order of the type.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::LETTERS.get(usize::from(number)).map(|row| row.0)
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
        write!(f, "{}{}", Access::LETTERS[self.access as usize].1, self.domid)
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
        let first = chars.next().ok_or_else(bad)?;
        let row = Access::LETTERS.iter().find(|row| row.1 == first);
        let access = row.ok_or_else(bad)?.0;
        let domid = chars.as_str();
        // parse() alone would take a sign.
        if !domid.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self { domid: domid.parse().map_err(|_| bad())?, access })
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The domain; tools on the host's sockets speak for domain 0.
    pub domid: DomId,
    /// A domain whose rights the caller has as well (SET_TARGET).
    pub target: Option<DomId>,
}

impl Caller {
    /// The domain `domid` for itself.
    pub fn domain(domid: DomId) -> Self {
        Self { domid, target: None }
    }

    /// May it do everything?
    pub fn is_privileged(self) -> bool {
        self.domid == 0
    }

    fn is(self, domid: DomId) -> bool {
        self.domid == domid || self.target == Some(domid)
    }
}

/// The permissions of a node: the owner's entry, then those of single domains. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Perms(Vec<Perm>);

impl Perms {
    /// A list of entries; `None` if it is empty.
    pub fn new(entries: Vec<Perm>) -> Option<Self> {
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// Owned by `domid`; all others may do `access`.
    pub fn owned(domid: DomId, access: Access) -> Self {
        Self(vec![Perm::new(domid, access)])
    }

    /// The owner.
    pub fn owner(&self) -> DomId {
        self.0[0].domid
    }

    /// How many entries there are.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries, the owner's first.
    pub fn entries(&self) -> &[Perm] {
        &self.0
    }

    /// May `caller` do everything here, set permissions included?
    pub fn is_owner(&self, caller: Caller) -> bool {
        caller.is_privileged() || caller.is(self.owner())
    }

    /// What `caller` may do.
    pub fn access(&self, caller: Caller) -> Access {
        if self.is_owner(caller) {
            return Access::Both;
        }
        let own = self.0[1..].iter().find(|perm| caller.is(perm.domid));
        own.unwrap_or(&self.0[0]).access
    }

    /// What a node gets that `caller` makes below this one: the same permissions, owned by
    /// the caller unless it is privileged.
    pub fn inherited_by(&self, caller: Caller) -> Self {
        let mut entries = self.0.clone();
        if !caller.is_privileged() {
            entries[0].domid = caller.domid;
        }
        Self(entries)
    }

    /// Without the entries of `domid` (never the owner's); `None` if it has none.
    pub fn without(&self, domid: DomId) -> Option<Self> {
        let stays = |at: usize, perm: &Perm| at == 0 || perm.domid != domid;
        let entries = self.0.iter().enumerate().filter(|&(at, perm)| stays(at, perm));
        let entries: Vec<_> = entries.map(|(_, &perm)| perm).collect();
        (entries.len() < self.0.len()).then_some(Self(entries))
    }
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self.0.iter().map(Perm::to_string).collect();
        f.write_str(&entries.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perms(text: &str) -> Perms {
        Perms::new(text.split(' ').map(|perm| perm.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn entries_are_written_as_they_are_read() {
        for text in ["n0", "r1", "w7", "b65535"] {
            assert_eq!(text.parse::<Perm>().unwrap().to_string(), text);
        }
        for text in ["", "r", "x1", "r+1", "r-1", "r65536", "r1 ", "R1"] {
            assert!(text.parse::<Perm>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_owner_and_domain_0_may_do_all_and_others_what_the_list_says() {
        let perms = perms("r3 w4 n5");
        let access = |domid| perms.access(Caller::domain(domid));
        assert_eq!([0, 3, 4, 5, 6].map(access), {
            [Access::Both, Access::Both, Access::Write, Access::None, Access::Read]
        });
        assert!(!perms.is_owner(Caller::domain(4)));
    }

    #[test]
    fn a_device_models_domain_has_the_rights_of_its_target() {
        let model = Caller { domid: 9, target: Some(3) };
        assert!(perms("n3").is_owner(model));
        assert_eq!(perms("n1 r3").access(model), Access::Read);
        assert_eq!(perms("n1 r4").access(model), Access::None);
    }

    #[test]
    fn a_child_belongs_to_who_makes_it() {
        assert_eq!(perms("n0 b3").inherited_by(Caller::domain(3)), perms("n3 b3"));
        assert_eq!(perms("n7 b3").inherited_by(Caller::domain(0)), perms("n7 b3"));
    }
}
