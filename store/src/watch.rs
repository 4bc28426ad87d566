//! Watches, found by the path that changed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::connection::ConnId;
use crate::path::Path;
use crate::request::WatchKey;

/// One connection's interest in a path and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Who is told.
    pub conn: ConnId,
    /// Who is told about what.
    pub key: WatchKey,
}

/// All watches of all connections.
#[derive(Debug, Default)]
pub struct Watches {
    by_path: BTreeMap<Path, Vec<Arc<Watch>>>,
    counts: BTreeMap<ConnId, usize>,
}

impl Watches {
    /// Sets a watch; false if the connection has it already.
    pub fn add(&mut self, watch: Watch) -> bool {
        let here = self.by_path.entry(watch.key.path.clone()).or_default();
        if here.iter().any(|other| same(other, watch.conn, &watch.key)) {
            return false;
        }
        *self.counts.entry(watch.conn).or_default() += 1;
        here.push(Arc::new(watch));
        true
    }

    /// Ends a watch; false if the connection has none like that.
    pub fn remove(&mut self, conn: ConnId, key: &WatchKey) -> bool {
        let Some(here) = self.by_path.get_mut(&key.path) else { return false };
        let Some(at) = here.iter().position(|other| same(other, conn, key)) else { return false };
        here.remove(at);
        if here.is_empty() {
            self.by_path.remove(&key.path);
        }
        if let Some(count) = self.counts.get_mut(&conn) {
            *count -= 1;
        }
        true
    }

    /// Ends all watches of a connection.
    pub fn remove_all(&mut self, conn: ConnId) {
        if self.counts.remove(&conn).unwrap_or(0) == 0 {
            return;
        }
        self.by_path.retain(|_, here| {
            here.retain(|watch| watch.conn != conn);
            !here.is_empty()
        });
    }

    /// How many watches a connection has.
    pub fn count(&self, conn: ConnId) -> usize {
        self.counts.get(&conn).copied().unwrap_or(0)
    }

    /// Does the connection have this watch?
    pub fn has(&self, conn: ConnId, key: &WatchKey) -> bool {
        let here = self.by_path.get(&key.path);
        here.is_some_and(|here| here.iter().any(|other| same(other, conn, key)))
    }

    /// The watches that a change at `path` concerns: those on it and those above it.
    pub fn covering(&self, path: &Path) -> Vec<Arc<Watch>> {
        let upwards = std::iter::successors(Some(path.clone()), Path::parent);
        upwards.filter_map(|at| self.by_path.get(&at)).flatten().cloned().collect()
    }

    /// The watches below `path`, which its removal concerns as well.
    pub fn below(&self, path: &Path) -> Vec<Arc<Watch>> {
        let after = (Bound::Excluded(path.child("")), Bound::Unbounded);
        let paths = self.by_path.range(after).take_while(|(at, _)| at.is_within(path));
        paths.flat_map(|(_, here)| here).cloned().collect()
    }

    /// All watches.
    pub fn all(&self) -> impl Iterator<Item = &Watch> {
        self.by_path.values().flatten().map(|watch| &**watch)
    }
}

/// A watch is known by its path and its token.
fn same(watch: &Watch, conn: ConnId, key: &WatchKey) -> bool {
    watch.conn == conn && watch.key.token == key.token && watch.key.path == key.path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(conn: u64, path: &str, token: &str) -> Watch {
        let path = Path::new(path).unwrap();
        let key = WatchKey { path, token: token.as_bytes().into(), relative: false };
        Watch { conn: ConnId::Socket(conn), key }
    }

    fn tokens(watches: Vec<Arc<Watch>>) -> Vec<String> {
        let text = |watch: Arc<Watch>| String::from_utf8_lossy(&watch.key.token).into_owned();
        watches.into_iter().map(text).collect()
    }

    #[test]
    fn a_change_concerns_watches_on_it_and_above_it() {
        let mut watches = Watches::default();
        let at = [("/", "root"), ("/a", "a"), ("/a/b", "b"), ("/ab", "ab"), ("@x", "x")];
        for (path, token) in at {
            assert!(watches.add(watch(1, path, token)));
        }
        let covering = |path: &str| tokens(watches.covering(&Path::new(path).unwrap()));
        assert_eq!(covering("/a/b/c"), ["b", "a", "root"]);
        assert_eq!(covering("@x"), ["x"]);
        let below = |path: &str| tokens(watches.below(&Path::new(path).unwrap()));
        assert_eq!(below("/a"), ["b"]);
        assert_eq!(below("/a/b"), [""; 0]);
    }

    #[test]
    fn watches_are_known_by_connection_path_and_token() {
        let mut watches = Watches::default();
        assert!(watches.add(watch(1, "/a", "t")));
        assert!(!watches.add(watch(1, "/a", "t")));
        assert!(watches.add(watch(1, "/a", "u")) && watches.add(watch(2, "/a", "t")));
        assert_eq!(watches.count(ConnId::Socket(1)), 2);
        assert!(watches.remove(ConnId::Socket(1), &watch(1, "/a", "t").key));
        assert!(!watches.remove(ConnId::Socket(1), &watch(1, "/a", "t").key));
        watches.remove_all(ConnId::Socket(1));
        assert_eq!(watches.count(ConnId::Socket(1)), 0);
        assert_eq!(watches.all().count(), 1);
    }
}
