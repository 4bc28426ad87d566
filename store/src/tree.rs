//! The tree: immutable nodes behind `Arc`s, so that a transaction keeps the tree it started
//! with for the price of a pointer, and an edit copies only nodes that somebody else holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::path::Path;
use crate::perms::{Access, DomId, Perms};

/// A node: a value, permissions, children.
#[derive(Debug, Clone)]
pub struct Node {
    value: Arc<[u8]>,
    perms: Arc<Perms>,
    children: BTreeMap<Arc<str>, Arc<Node>>,
    /// The sum of the children's names, each with its nul, in bytes.
    names_len: usize,
    generation: u64,
}

impl Node {
    fn new(value: Arc<[u8]>, perms: Arc<Perms>, generation: u64) -> Self {
        Self { value, perms, children: BTreeMap::new(), names_len: 0, generation }
    }

    /// The value.
    pub fn value(&self) -> &Arc<[u8]> {
        &self.value
    }

    /// The permissions.
    pub fn perms(&self) -> &Arc<Perms> {
        &self.perms
    }

    /// The names of the children, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.children.keys().map(|name| &**name)
    }

    /// The children, in the order of their names.
    pub fn children(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.children.values()
    }

    /// Length of the list of children as DIRECTORY answers it, in bytes.
    pub fn names_len(&self) -> usize {
        self.names_len
    }

    /// Changes whenever value, permissions or the list of children change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the quota `node-size` counts, in bytes: a header, permissions, value, children.
    pub fn size(&self) -> usize {
        node_size(self.value.len(), self.perms.len(), self.names_len)
    }
}

/// The size that `node-size` limits. C xenstored counts its database record that way, and
/// guests were written against its limit.
pub fn node_size(value_len: usize, perms: usize, names_len: usize) -> usize {
    24 + 8 * perms + value_len + names_len
}

/// One change of the tree; what the journal keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Makes a node; its parent exists.
    Create {
        /// Where.
        path: Path,
        /// Its value.
        value: Arc<[u8]>,
        /// Its permissions.
        perms: Arc<Perms>,
    },
    /// Gives a node another value.
    Value {
        /// Which node.
        path: Path,
        /// The new value.
        value: Arc<[u8]>,
    },
    /// Gives a node other permissions.
    Perms {
        /// Which node.
        path: Path,
        /// The new permissions.
        perms: Arc<Perms>,
    },
    /// Removes a node and all below it.
    Remove {
        /// Which node.
        path: Path,
    },
}

/// A version of the whole tree. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Tree {
    root: Arc<Node>,
    /// The nodes behind special watches: only their permissions matter.
    specials: Arc<BTreeMap<Path, Arc<Node>>>,
    /// How many nodes each domain owns.
    owned: Arc<BTreeMap<DomId, usize>>,
    generation: u64,
}

impl Tree {
    /// A tree of a root and the special watches, all of them domain 0's alone. Generations
    /// count on from `generation`.
    pub fn new(generation: u64) -> Self {
        let perms = Arc::new(Perms::owned(0, Access::None));
        let node = Arc::new(Node::new([].into(), perms, generation));
        let specials = [Path::introduce_domain(), Path::release_domain()];
        Self {
            root: Arc::clone(&node),
            specials: Arc::new(specials.map(|path| (path, Arc::clone(&node))).into()),
            owned: Arc::new([(0, 1)].into()),
            generation,
        }
    }

    /// The node at `path`.
    pub fn get(&self, path: &Path) -> Option<&Arc<Node>> {
        if path.is_special() {
            return self.specials.get(path);
        }
        path.names().try_fold(&self.root, |node, name| node.children.get(name))
    }

    /// The node at `path`, or the nearest one above it that exists.
    pub fn nearest(&self, path: &Path) -> &Arc<Node> {
        let mut node = &self.root;
        for name in path.names() {
            match node.children.get(name) {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    /// How many nodes `domid` owns.
    pub fn owned(&self, domid: DomId) -> usize {
        self.owned.get(&domid).copied().unwrap_or(0)
    }

    /// How many nodes there are.
    pub fn count_nodes(&self) -> usize {
        self.owned.values().sum()
    }

    /// Applies one edit. An edit that doesn't fit the tree is ignored.
    pub fn apply(&mut self, edit: &Edit) {
        self.generation += 1;
        match edit {
            Edit::Create { path, value, perms } => self.create(path, value, perms),
            Edit::Value { path, value } => {
                let value = Arc::clone(value);
                self.change(path, |node| node.value = value);
            }
            Edit::Perms { path, perms } => self.set_perms(path, perms),
            Edit::Remove { path } => self.remove(path),
        }
    }

    fn create(&mut self, path: &Path, value: &Arc<[u8]>, perms: &Arc<Perms>) {
        if self.get(path).is_some() {
            return;
        }
        let Some(parent) = path.parent() else { return };
        let node = Node::new(Arc::clone(value), Arc::clone(perms), self.generation);
        let name: Arc<str> = path.name().into();
        let made = self.change(&parent, |parent| {
            parent.names_len += name.len() + 1;
            parent.children.insert(name, Arc::new(node));
        });
        if made {
            self.count(perms.owner(), 1);
        }
    }

    fn set_perms(&mut self, path: &Path, perms: &Arc<Perms>) {
        let Some(node) = self.get(path) else { return };
        let before = node.perms.owner();
        self.change(path, |node| node.perms = Arc::clone(perms));
        if !path.is_special() {
            self.count(before, -1);
            self.count(perms.owner(), 1);
        }
    }

    fn remove(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        let Some(node) = self.get(path).cloned() else { return };
        self.change(&parent, |parent| {
            parent.names_len -= path.name().len() + 1;
            parent.children.remove(path.name());
        });
        let mut left = vec![node];
        while let Some(node) = left.pop() {
            self.count(node.perms.owner(), -1);
            left.extend(node.children.values().cloned());
        }
    }

    /// Lets `change` at the node, after copying what other versions of the tree share with it.
    fn change(&mut self, path: &Path, change: impl FnOnce(&mut Node)) -> bool {
        // A look first: nothing shall be copied for a node that isn't there.
        if self.get(path).is_none() {
            return false;
        }
        let node = if path.is_special() {
            Arc::make_mut(&mut self.specials).get_mut(path)
        } else {
            path.names().try_fold(&mut self.root, |node: &mut Arc<Node>, name| {
                Arc::make_mut(node).children.get_mut(name)
            })
        };
        let Some(node) = node.map(Arc::make_mut) else { return false };
        node.generation = self.generation;
        change(node);
        true
    }

    fn count(&mut self, domid: DomId, change: isize) {
        let owned = Arc::make_mut(&mut self.owned);
        let count = owned.entry(domid).or_default();
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            owned.remove(&domid);
        }
    }

    /// Every node but the special ones, each before those below it.
    pub fn nodes(&self) -> impl Iterator<Item = (Path, &Arc<Node>)> {
        let mut left = vec![(Path::root(), &self.root)];
        std::iter::from_fn(move || {
            let (path, node) = left.pop()?;
            let children = node.children.iter().rev();
            left.extend(children.map(|(name, child)| (path.child(name), child)));
            Some((path, node))
        })
    }

    /// The nodes behind the special watches.
    pub fn specials(&self) -> impl Iterator<Item = (&Path, &Arc<Node>)> {
        self.specials.iter()
    }

    /// The edits that make this tree out of a new one.
    pub fn edits(&self) -> Vec<Edit> {
        let make = |(path, node): (Path, &Arc<Node>)| {
            let (value, perms) = (Arc::clone(&node.value), Arc::clone(&node.perms));
            match path.is_root() {
                false => vec![Edit::Create { path, value, perms }],
                true => {
                    vec![Edit::Value { path: path.clone(), value }, Edit::Perms { path, perms }]
                }
            }
        };
        let special = |(path, node): (&Path, &Arc<Node>)| Edit::Perms {
            path: path.clone(),
            perms: Arc::clone(&node.perms),
        };
        self.nodes().flat_map(make).chain(self.specials().map(special)).collect()
    }

    /// The edits that remove a dead domain: its nodes with all below them, and its entries in
    /// other nodes' permissions.
    pub fn without(&self, domid: DomId) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut left: Vec<(Path, &Arc<Node>)> = vec![(Path::root(), &self.root)];
        left.extend(self.specials().map(|(path, node)| (path.clone(), node)));
        while let Some((path, node)) = left.pop() {
            if node.perms.owner() == domid && !path.is_root() && !path.is_special() {
                edits.push(Edit::Remove { path });
                continue;
            }
            let children = node.children.iter();
            left.extend(children.map(|(name, child)| (path.child(name), child)));
            if let Some(perms) = node.perms.without(domid) {
                edits.push(Edit::Perms { path, perms: Arc::new(perms) });
            }
        }
        edits
    }

    /// Counts everything anew; says what doesn't agree with what was kept on the way.
    pub fn check(&self) -> Result<(), String> {
        let mut owned: BTreeMap<DomId, usize> = BTreeMap::new();
        for (path, node) in self.nodes() {
            *owned.entry(node.perms.owner()).or_default() += 1;
            let names_len: usize = node.names().map(|name| name.len() + 1).sum();
            if names_len != node.names_len {
                return Err(format!("{path}: children of {names_len} bytes, {}", node.names_len));
            }
        }
        if owned != *self.owned {
            return Err(format!("nodes owned: {owned:?}, counted as {:?}", self.owned));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn create(text: &str, owner: DomId) -> Edit {
        let perms = Arc::new(Perms::owned(owner, Access::Read));
        Edit::Create { path: path(text), value: text.as_bytes().into(), perms }
    }

    fn sample() -> Tree {
        let mut tree = Tree::new(0);
        for (text, owner) in [("/a", 0), ("/a/b", 5), ("/a/b/c", 0), ("/d", 5)] {
            tree.apply(&create(text, owner));
        }
        tree
    }

    #[test]
    fn an_older_version_keeps_what_it_had() {
        let old = sample();
        let mut new = old.clone();
        new.apply(&Edit::Value { path: path("/a/b/c"), value: (*b"new").into() });
        new.apply(&Edit::Remove { path: path("/d") });
        assert_eq!(**old.get(&path("/a/b/c")).unwrap().value(), *b"/a/b/c");
        assert!(old.get(&path("/d")).is_some() && new.get(&path("/d")).is_none());
        let shared = |tree: &Tree| Arc::as_ptr(tree.get(&path("/a")).unwrap());
        assert_ne!(shared(&old), shared(&new));
        old.check().unwrap();
        new.check().unwrap();
    }

    #[test]
    fn owners_are_counted() {
        let mut tree = sample();
        assert_eq!((tree.owned(0), tree.owned(5), tree.count_nodes()), (3, 2, 5));
        tree.apply(&Edit::Remove { path: path("/a") });
        assert_eq!((tree.owned(0), tree.owned(5)), (1, 1));
        let perms = Arc::new(Perms::owned(0, Access::None));
        tree.apply(&Edit::Perms { path: path("/d"), perms });
        assert_eq!((tree.owned(0), tree.owned(5)), (2, 0));
        tree.check().unwrap();
    }

    #[test]
    fn edits_that_do_not_fit_are_ignored() {
        let mut tree = sample();
        for edit in [create("/x/y", 1), create("/a", 1), Edit::Remove { path: Path::root() }] {
            tree.apply(&edit);
        }
        assert_eq!(tree.count_nodes(), 5);
        tree.check().unwrap();
    }

    #[test]
    fn a_dead_domain_leaves_nothing() {
        let mut tree = sample();
        let perms = Perms::new(["n0", "r5", "r6"].map(|perm| perm.parse().unwrap()).to_vec());
        tree.apply(&Edit::Perms { path: path("/a"), perms: Arc::new(perms.unwrap()) });
        for edit in tree.without(5) {
            tree.apply(&edit);
        }
        assert_eq!(tree.nodes().map(|(path, _)| path).collect::<Vec<_>>(), [path("/"), path("/a")]);
        assert_eq!(tree.get(&path("/a")).unwrap().perms().to_string(), "n0 r6");
        assert!(tree.without(5).is_empty());
    }

    #[test]
    fn its_own_edits_make_it_again() {
        let tree = sample();
        let mut again = Tree::new(7);
        tree.edits().iter().for_each(|edit| again.apply(edit));
        assert_eq!(tree.edits(), again.edits());
        again.check().unwrap();
    }

    #[test]
    fn a_generation_follows_value_perms_and_children() {
        let mut tree = sample();
        let at = |tree: &Tree, text: &str| tree.get(&path(text)).unwrap().generation();
        let (a, b) = (at(&tree, "/a"), at(&tree, "/a/b"));
        tree.apply(&create("/a/b/new", 0));
        assert_eq!(at(&tree, "/a"), a);
        assert_ne!(at(&tree, "/a/b"), b);
    }
}
