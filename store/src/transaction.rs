//! Transactions: a private version of the tree, and what must still be so at the end.
//!
//! A transaction remembers which nodes it looked at or changed. It commits if each of them is
//! in the current tree as it was at the start; its operations are then carried out anew there,
//! so whatever else happened in between stays. The outcome is as if all of it had happened just
//! then. Two transactions that make different children of one node don't conflict, nor does one
//! conflict with anything it never touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::operation::{Operation, View};
use crate::path::Path;
use crate::perms::Caller;
use crate::quota::{Quota, Quotas};
use crate::tree::{Node, Tree};
use crate::wire::Errno;

/// What a transaction depends on at one path, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// The permissions: they say what may be made below, and are inherited there.
    Perms,
    /// The node's existence, value and permissions.
    Node,
    /// These, and the names of the children.
    Children,
    /// Everything below.
    Subtree,
}

/// An open transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    start: Tree,
    tree: Tree,
    operations: Vec<Operation>,
    touched: BTreeMap<Path, Touch>,
    lost: bool,
}

impl Transaction {
    /// A transaction that starts with `tree`.
    pub fn new(tree: &Tree) -> Self {
        Self {
            start: tree.clone(),
            tree: tree.clone(),
            operations: Vec::new(),
            touched: BTreeMap::new(),
            lost: false,
        }
    }

    /// A transaction that was open when the daemon died: it goes on and ends with EAGAIN.
    pub fn lost(tree: &Tree) -> Self {
        Self { lost: true, ..Self::new(tree) }
    }

    /// Its own view of the tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The operations to carry out at the end.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Notes that the outcome depends on `path`. ENOSPC if a domain touches too much.
    pub fn touch(
        &mut self,
        path: &Path,
        touch: Touch,
        caller: Caller,
        quotas: &Quotas,
    ) -> Result<(), Errno> {
        self.note(path, touch, caller, quotas)?;
        let mut upwards = std::iter::successors(Some(path.clone()), Path::parent);
        let nearest = upwards.find(|above| self.tree.get(above).is_some());
        match nearest {
            Some(nearest) if nearest != *path => self.note(&nearest, Touch::Perms, caller, quotas),
            _ => Ok(()),
        }
    }

    fn note(
        &mut self,
        path: &Path,
        touch: Touch,
        caller: Caller,
        quotas: &Quotas,
    ) -> Result<(), Errno> {
        if let Some(before) = self.touched.get_mut(path) {
            *before = touch.max(*before);
            return Ok(());
        }
        if !caller.is_privileged() {
            quotas.check(Quota::TransactionNodes, self.touched.len() + 1)?;
        }
        self.touched.insert(path.clone(), touch);
        Ok(())
    }

    /// Carries out an operation in the transaction's own view.
    pub fn perform(
        &mut self,
        operation: Operation,
        caller: Caller,
        quotas: &Quotas,
    ) -> Result<(), Errno> {
        let touch = match operation {
            Operation::Rm(_) => Touch::Subtree,
            _ => Touch::Node,
        };
        self.touch(operation.path(), touch, caller, quotas)?;
        if let (Touch::Subtree, Some(parent)) = (touch, operation.path().parent()) {
            // Whether it is an error that the node is missing depends on its parent.
            if self.tree.get(operation.path()).is_none() {
                self.touch(&parent, Touch::Node, caller, quotas)?;
            }
        }
        let edits = operation.plan(View { tree: &self.tree, caller, quotas })?;
        edits.iter().for_each(|edit| self.tree.apply(edit));
        if !edits.is_empty() {
            self.operations.push(operation);
        }
        Ok(())
    }

    /// Is everything that it touched in `now` as it was at the start?
    pub fn holds_in(&self, now: &Tree) -> bool {
        let same = |(path, &touch): (&Path, &Touch)| match (self.start.get(path), now.get(path)) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now) || same_node(then, now, touch),
            (None, None) => self.start.nearest(path).perms() == now.nearest(path).perms(),
            _ => false,
        };
        !self.lost && self.touched.iter().all(same)
    }
}

fn same_node(then: &Node, now: &Node, touch: Touch) -> bool {
    let same_perms = then.perms() == now.perms();
    let same = same_perms && then.value() == now.value();
    match touch {
        Touch::Perms => same_perms,
        Touch::Node => same,
        Touch::Children => same && then.names().eq(now.names()),
        Touch::Subtree => {
            let below = |(then, now): (&Arc<Node>, &Arc<Node>)| {
                Arc::ptr_eq(then, now) || same_node(then, now, touch)
            };
            same && then.names().eq(now.names()) && then.children().zip(now.children()).all(below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perms::Perms;

    const DOM0: Caller = Caller { domid: 0, target: None };

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    fn write(text: &str, value: &str) -> Operation {
        Operation::Write(path(text), value.as_bytes().into())
    }

    fn run(tree: &mut Tree, operation: &Operation) {
        let quotas = Quotas::default();
        let edits = operation.plan(View { tree, caller: DOM0, quotas: &quotas }).unwrap();
        edits.iter().for_each(|edit| tree.apply(edit));
    }

    fn sample() -> Tree {
        let mut tree = Tree::new(0);
        for text in ["/a/b", "/a/c", "/d"] {
            run(&mut tree, &write(text, "0"));
        }
        tree
    }

    /// Does a transaction of `mine` still hold after `theirs` came in between?
    fn holds(mine: &[Operation], looks: &[(&str, Touch)], theirs: &[Operation]) -> bool {
        let mut tree = sample();
        let mut transaction = Transaction::new(&tree);
        let quotas = Quotas::default();
        for (text, touch) in looks {
            transaction.touch(&path(text), *touch, DOM0, &quotas).unwrap();
        }
        for operation in mine {
            let _ = transaction.perform(operation.clone(), DOM0, &quotas);
        }
        theirs.iter().for_each(|operation| run(&mut tree, operation));
        transaction.holds_in(&tree)
    }

    #[test]
    fn what_it_was_refused_must_still_be_refused() {
        let perms = |text: &str| Arc::new(Perms::new(vec![text.parse().unwrap()]).unwrap());
        let open = || [Operation::SetPerms(path("/a"), perms("b0"))];
        assert!(!holds(&[], &[("/a/new", Touch::Node)], &open()));
        assert!(holds(&[], &[("/a/b", Touch::Node)], &open()));
    }

    #[test]
    fn what_it_did_not_touch_does_not_matter() {
        assert!(holds(&[write("/a/b", "1")], &[], &[write("/a/c", "1")]));
        assert!(holds(&[write("/a/new", "1")], &[], &[write("/a/other", "1")]));
        assert!(holds(&[], &[("/a", Touch::Node)], &[write("/a/new", "1")]));
    }

    #[test]
    fn what_it_read_or_wrote_does() {
        assert!(!holds(&[], &[("/a/b", Touch::Node)], &[write("/a/b", "1")]));
        assert!(!holds(&[], &[("/x", Touch::Node)], &[write("/x", "1")]));
        assert!(!holds(&[Operation::Rm(path("/x/y"))], &[], &[write("/x", "1")]));
        assert!(!holds(&[write("/a/b", "1")], &[], &[write("/a/b", "2")]));
        assert!(!holds(&[write("/a/b", "1")], &[], &[Operation::Rm(path("/a"))]));
        assert!(!holds(&[], &[("/a", Touch::Children)], &[write("/a/new", "1")]));
    }

    #[test]
    fn a_removed_subtree_must_be_untouched() {
        let mine = [Operation::Rm(path("/a"))];
        assert!(holds(&mine, &[], &[write("/d", "1")]));
        assert!(!holds(&mine, &[], &[write("/a/b", "1")]));
    }

    #[test]
    fn the_same_again_is_no_conflict() {
        let theirs = [write("/a/b", "1"), write("/a/b", "0")];
        assert!(holds(&[], &[("/a/b", Touch::Node)], &theirs));
    }

    #[test]
    fn one_that_was_lost_never_holds() {
        let tree = sample();
        assert!(!Transaction::lost(&tree).holds_in(&tree));
    }
}
