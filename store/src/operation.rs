//! What WRITE, MKDIR, RM and SET_PERMS do to a tree, and who may look at what.
//!
//! An operation is first planned (rights and quotas are checked, nothing is changed) and comes
//! out as edits. The same plan serves a request, a transaction's own view, and its commit.

use std::sync::Arc;

use crate::path::Path;
use crate::perms::{Access, Caller, Perms};
use crate::quota::{Quota, Quotas};
use crate::tree::{Edit, Node, Tree, node_size};
use crate::wire::Errno;

/// A request that changes nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets a value; makes the node and its parents.
    Write(Path, Arc<[u8]>),
    /// Makes a node and its parents.
    Mkdir(Path),
    /// Removes a node and all below it.
    Rm(Path),
    /// Sets permissions.
    SetPerms(Path, Arc<Perms>),
}

/// The node at `path`, if `caller` may access it in the way that `allowed` asks for.
///
/// Fails with EACCES if it may not, and with ENOENT for a missing node only if the nearest
/// node above it would have been accessible: others shall not learn what exists.
pub fn find<'t>(
    tree: &'t Tree,
    caller: Caller,
    path: &Path,
    allowed: fn(Access) -> bool,
) -> Result<&'t Arc<Node>, Errno> {
    let found = tree.get(path);
    let asked = found.unwrap_or_else(|| tree.nearest(path));
    if !allowed(asked.perms().access(caller)) {
        return Err(Errno::Acces);
    }
    found.ok_or(Errno::NoEnt)
}

/// A view of the tree for one caller and under its limits.
#[derive(Debug, Clone, Copy)]
pub struct View<'t> {
    /// The tree.
    pub tree: &'t Tree,
    /// Who asks.
    pub caller: Caller,
    /// The limits of unprivileged domains.
    pub quotas: &'t Quotas,
}

impl Operation {
    /// The path it is about.
    pub fn path(&self) -> &Path {
        match self {
            Operation::Write(path, _)
            | Operation::Mkdir(path)
            | Operation::Rm(path)
            | Operation::SetPerms(path, _) => path,
        }
    }

    /// The edits that carry it out; none if there is nothing to do.
    pub fn plan(&self, view: View<'_>) -> Result<Vec<Edit>, Errno> {
        match self {
            Operation::Write(path, value) => view.write(path, value),
            Operation::Mkdir(path) => view.mkdir(path),
            Operation::Rm(path) => view.rm(path),
            Operation::SetPerms(path, perms) => view.set_perms(path, perms),
        }
    }
}

impl View<'_> {
    fn find(&self, path: &Path, allowed: fn(Access) -> bool) -> Result<&Arc<Node>, Errno> {
        find(self.tree, self.caller, path, allowed)
    }

    fn check(&self, quota: Quota, used: usize) -> Result<(), Errno> {
        if self.caller.is_privileged() { Ok(()) } else { self.quotas.check(quota, used) }
    }

    fn write(&self, path: &Path, value: &Arc<[u8]>) -> Result<Vec<Edit>, Errno> {
        match self.find(path, Access::writes) {
            Ok(node) => {
                let size = node_size(value.len(), node.perms().len(), node.names_len());
                self.check(Quota::NodeSize, size)?;
                Ok(vec![Edit::Value { path: path.clone(), value: Arc::clone(value) }])
            }
            Err(Errno::NoEnt) => self.create(path, value),
            Err(error) => Err(error),
        }
    }

    fn mkdir(&self, path: &Path) -> Result<Vec<Edit>, Errno> {
        match self.find(path, Access::writes) {
            Ok(_) => Ok(Vec::new()),
            Err(Errno::NoEnt) => self.create(path, &[].into()),
            Err(error) => Err(error),
        }
    }

    /// Makes the node and every missing one above it, with the permissions of the nearest that
    /// exists.
    fn create(&self, path: &Path, value: &Arc<[u8]>) -> Result<Vec<Edit>, Errno> {
        let nearest = self.tree.nearest(path);
        let perms = Arc::new(nearest.perms().inherited_by(self.caller));
        let mut missing = vec![path.clone()];
        let mut above = path.parent();
        while let Some(parent) = above.filter(|parent| self.tree.get(parent).is_none()) {
            above = parent.parent();
            missing.push(parent);
        }
        self.check(Quota::Nodes, self.tree.owned(perms.owner()) + missing.len())?;
        self.check(Quota::NodeSize, node_size(value.len(), perms.len(), 0))?;
        let top = missing.last().map_or(0, |top| top.name().len() + 1);
        self.check(Quota::NodeSize, nearest.size() + top)?;
        let value_of = |made: &Path| if made == path { Arc::clone(value) } else { [].into() };
        let make = |made: Path| {
            let value = value_of(&made);
            Edit::Create { path: made, value, perms: Arc::clone(&perms) }
        };
        Ok(missing.into_iter().rev().map(make).collect())
    }

    fn rm(&self, path: &Path) -> Result<Vec<Edit>, Errno> {
        match self.find(path, Access::writes) {
            Ok(_) if path.is_root() => Err(Errno::Inval),
            Ok(_) => Ok(vec![Edit::Remove { path: path.clone() }]),
            Err(Errno::NoEnt) => {
                let parent = path.parent().ok_or(Errno::NoEnt)?;
                self.find(&parent, Access::writes).map(|_| Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn set_perms(&self, path: &Path, perms: &Arc<Perms>) -> Result<Vec<Edit>, Errno> {
        self.check(Quota::NodePermissions, perms.len())?;
        // A missing node is told to those who could have made it.
        let node = self.find(path, Access::writes)?;
        if !node.perms().is_owner(self.caller) {
            return Err(Errno::Acces);
        }
        if !self.caller.is_privileged() && perms.owner() != node.perms().owner() {
            return Err(Errno::Perm);
        }
        let size = node_size(node.value().len(), perms.len(), node.names_len());
        self.check(Quota::NodeSize, size)?;
        Ok(vec![Edit::Perms { path: path.clone(), perms: Arc::clone(perms) }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        tree: Tree,
        quotas: Quotas,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self { tree: Tree::new(0), quotas: Quotas::default() };
            world.run(0, write("/local/domain/3", "")).unwrap();
            world.run(0, set_perms("/local/domain/3", "n3 r4")).unwrap();
            world
        }

        fn run(&mut self, domid: u16, operation: Operation) -> Result<(), Errno> {
            let caller = Caller::domain(domid);
            let view = View { tree: &self.tree, caller, quotas: &self.quotas };
            let edits = operation.plan(view)?;
            edits.iter().for_each(|edit| self.tree.apply(edit));
            self.tree.check().unwrap();
            Ok(())
        }

        fn perms(&self, text: &str) -> String {
            self.tree.get(&path(text)).unwrap().perms().to_string()
        }
    }

    fn path(text: &str) -> Path {
        Path::parse_any(text.as_bytes(), 3).unwrap()
    }

    fn write(text: &str, value: &str) -> Operation {
        Operation::Write(path(text), value.as_bytes().into())
    }

    fn set_perms(text: &str, perms: &str) -> Operation {
        let perms = perms.split(' ').map(|perm| perm.parse().unwrap()).collect();
        Operation::SetPerms(path(text), Arc::new(Perms::new(perms).unwrap()))
    }

    #[test]
    fn parents_are_made_and_rights_inherited() {
        let mut world = World::new();
        world.run(3, write("a/b", "x")).unwrap();
        world.run(0, write("/local/domain/3/c/d", "x")).unwrap();
        assert_eq!(world.perms("a"), "n3 r4");
        assert_eq!(world.perms("c/d"), "n3 r4");
        assert_eq!(world.perms("/local"), "n0");
    }

    #[test]
    fn strangers_learn_nothing_and_change_nothing() {
        let mut world = World::new();
        world.run(3, write("a", "x")).unwrap();
        assert_eq!(world.run(4, write("a", "y")), Err(Errno::Acces));
        assert_eq!(world.run(4, write("new", "y")), Err(Errno::Acces));
        assert_eq!(world.run(5, Operation::Rm(path("nothing"))), Err(Errno::Acces));
        let look = |domid, text| {
            find(&world.tree, Caller::domain(domid), &path(text), Access::reads).map(drop)
        };
        assert_eq!(look(4, "a"), Ok(()));
        assert_eq!(look(4, "b"), Err(Errno::NoEnt));
        assert_eq!(look(5, "a"), Err(Errno::Acces));
        assert_eq!(look(5, "b"), Err(Errno::Acces));
    }

    #[test]
    fn removing_what_is_not_there_is_fine_unless_the_parent_is_missing_too() {
        let mut world = World::new();
        assert_eq!(world.run(3, Operation::Rm(path("gone"))), Ok(()));
        assert_eq!(world.run(3, Operation::Rm(path("gone/too"))), Err(Errno::NoEnt));
        assert_eq!(world.run(0, Operation::Rm(Path::root())), Err(Errno::Inval));
    }

    #[test]
    fn only_owners_set_permissions_and_only_domain_0_gives_nodes_away() {
        let mut world = World::new();
        assert_eq!(world.run(3, set_perms("x", "n3")), Err(Errno::NoEnt));
        world.run(3, write("a", "x")).unwrap();
        world.run(3, set_perms("a", "r3 b4")).unwrap();
        assert_eq!(world.run(4, set_perms("a", "b4")), Err(Errno::Acces));
        assert_eq!(world.run(3, set_perms("a", "b4")), Err(Errno::Perm));
        world.run(0, set_perms("a", "b4")).unwrap();
        assert_eq!((world.tree.owned(3), world.tree.owned(4)), (1, 1));
    }

    #[test]
    fn special_watches_are_domain_0s_to_share() {
        let mut world = World::new();
        assert_eq!(world.run(3, set_perms("@releaseDomain", "n0 r3")), Err(Errno::Acces));
        world.run(0, set_perms("@releaseDomain", "n0 r3")).unwrap();
        assert_eq!(world.perms("@releaseDomain"), "n0 r3");
    }

    #[test]
    fn quotas_hold_domains_but_not_domain_0() {
        let mut world = World::new();
        world.quotas.set(Quota::Nodes, 3);
        world.run(3, write("a", "x")).unwrap();
        assert_eq!(world.run(3, write("b/c", "x")), Err(Errno::NoSpc));
        world.run(3, write("b", "x")).unwrap();
        assert_eq!(world.run(3, Operation::Mkdir(path("c"))), Err(Errno::NoSpc));
        world.run(0, write("/local/domain/3/d/e", "x")).unwrap();
        let big = "v".repeat(2048);
        assert_eq!(world.run(3, write("a", &big)), Err(Errno::NoSpc));
        world.run(0, write("/local/domain/3/a", &big)).unwrap();
        let many = "n3 r4 r5 r6 r7 r8";
        assert_eq!(world.run(3, set_perms("b", many)), Err(Errno::NoSpc));
        world.run(0, set_perms("b", many)).unwrap();
    }

    #[test]
    fn a_crowded_directory_counts_as_a_big_node() {
        let mut world = World::new();
        let name = |at: usize| format!("{at:03}{}", "n".repeat(96));
        let made = (0..).take_while(|&at| world.run(3, write(&name(at), "")).is_ok()).count();
        assert_eq!(made, (2048 - 24 - 16) / 100);
    }
}
