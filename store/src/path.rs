//! Paths: checked once where they come in, absolute ever after.

use std::fmt;
use std::sync::Arc;

use crate::perms::DomId;
use crate::wire::{ABS_PATH_MAX, Errno, REL_PATH_MAX};

/// An absolute path of a node, or the name of a special watch (`@...`).
///
/// Paths compare as text, so all paths below one path follow each other in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// `/`.
    pub fn root() -> Self {
        Path("/".into())
    }

    /// `@introduceDomain`, which fires when a domain comes.
    pub fn introduce_domain() -> Self {
        Path("@introduceDomain".into())
    }

    /// `@releaseDomain`, which fires when a domain shuts down or goes.
    pub fn release_domain() -> Self {
        Path("@releaseDomain".into())
    }

    /// The base of a domain's relative paths.
    pub fn home(domid: DomId) -> Self {
        Path(format!("/local/domain/{domid}").into())
    }

    /// A node's path as the domain `home` sends it: absolute, or relative to its home.
    ///
    /// Fails with EINVAL for anything that the protocol document forbids.
    pub fn parse(text: &[u8], home: DomId) -> Result<Self, Errno> {
        let path = Self::parse_any(text, home)?;
        if path.is_special() { Err(Errno::Inval) } else { Ok(path) }
    }

    /// Like [`Path::parse`], but `@...` is allowed as well.
    pub fn parse_any(text: &[u8], home: DomId) -> Result<Self, Errno> {
        let text = str::from_utf8(text).map_err(|_| Errno::Inval)?;
        if text.starts_with(['/', '@']) {
            return Self::new(text).ok_or(Errno::Inval);
        }
        if text.len() > REL_PATH_MAX {
            return Err(Errno::Inval);
        }
        Self::new(&format!("/local/domain/{home}/{text}")).ok_or(Errno::Inval)
    }

    /// The path with this text, if it is an allowed one.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(&byte);
        let well_formed = text.starts_with(['/', '@'])
            && text.len() <= ABS_PATH_MAX
            && text.bytes().all(allowed)
            && !text.contains("//")
            && (text == "/" || !text.ends_with('/'));
        well_formed.then(|| Path(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is it the name of a special watch?
    pub fn is_special(&self) -> bool {
        self.0.starts_with('@')
    }

    /// Is it `/`?
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The names on the way from the root to the node.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The node's own name; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The path one level up; `None` for the root and for special watches.
    pub fn parent(&self) -> Option<Path> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/')? {
            0 => Some(Path::root()),
            at => Some(Path(self.0[..at].into())),
        }
    }

    /// The path of the child `name`.
    pub fn child(&self, name: &str) -> Path {
        let parent = if self.is_root() { "" } else { &self.0 };
        Path(format!("{parent}/{name}").into())
    }

    /// Is `self` equal to `other` or somewhere below it?
    pub fn is_within(&self, other: &Path) -> bool {
        if other.is_root() {
            return !self.is_special();
        }
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The text relative to the home of `home`, for watches that were set that way.
    pub fn relative_to(&self, home: DomId) -> &str {
        let base = format!("/local/domain/{home}/");
        self.0.strip_prefix(&base).unwrap_or(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_forbids_is_refused() {
        for bad in ["", "/a/", "//", "/a//b", "/a b", "/a\u{e9}", "/a.b", "/a+b"] {
            let path = Path::parse(bad.as_bytes(), 0);
            assert_eq!(path, Err(Errno::Inval), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(ABS_PATH_MAX));
        assert_eq!(Path::parse(long.as_bytes(), 0), Err(Errno::Inval));
        assert!(Path::parse(&long.as_bytes()[..ABS_PATH_MAX], 0).is_ok());
        let long = "a".repeat(REL_PATH_MAX + 1);
        assert_eq!(Path::parse(long.as_bytes(), 0), Err(Errno::Inval));
    }

    #[test]
    fn relative_paths_start_at_home_and_go_back_there() {
        let path = Path::parse(b"device/vif", 3).unwrap();
        assert_eq!(path.as_str(), "/local/domain/3/device/vif");
        assert_eq!(path.relative_to(3), "device/vif");
        assert_eq!(path.relative_to(4), path.as_str());
    }

    #[test]
    fn parents_children_and_names() {
        let path = Path::new("/a/b").unwrap();
        assert_eq!(path.parent(), Path::new("/a"));
        assert_eq!(path.parent().unwrap().parent(), Some(Path::root()));
        assert_eq!(Path::root().parent(), None);
        assert_eq!(Path::release_domain().parent(), None);
        assert_eq!(Path::root().child("a").child("b"), path);
        assert_eq!(path.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((path.name(), Path::root().name()), ("b", ""));
        assert!(path.is_within(&Path::root()) && path.is_within(&Path::new("/a").unwrap()));
        assert!(!Path::new("/ab").unwrap().is_within(&Path::new("/a").unwrap()));
        assert!(!Path::release_domain().is_within(&Path::root()));
    }
}
