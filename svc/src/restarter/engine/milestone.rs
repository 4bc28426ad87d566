//! Milestones: what is outside of one's dependencies counts as disabled (svcadm(8)).

use std::collections::BTreeSet;

use super::{Engine, Milestone};
use crate::fmri::Fmri;
use crate::state::State;

impl Engine {
    pub(super) fn go_to(&mut self, milestone: Milestone) {
        self.milestone = milestone;
        self.is_redrawn = false;
    }

    /// Whether an instance may run as far as the milestone is concerned.
    pub fn is_inside(&self, fmri: &Fmri) -> bool {
        self.vertices.get(fmri).is_some_and(|vertex| !vertex.barred)
    }

    /// Finds out who is inside if that may have changed, and has the others go down; those that are
    /// new are looked at for the first time.
    pub(super) fn redraw(&mut self) {
        if std::mem::replace(&mut self.is_redrawn, true) || self.shutdown {
            return;
        }
        let inside = self.inside();
        let is_barred = |fmri: &Fmri| inside.as_ref().is_some_and(|all| !all.contains(fmri));
        let moved = self.vertices.iter_mut().filter_map(|(fmri, vertex)| {
            let before = std::mem::replace(&mut vertex.barred, is_barred(fmri));
            let is_new = vertex.state == State::Uninitialized;
            (is_new || before != vertex.barred).then(|| (fmri.clone(), is_new))
        });
        for (fmri, is_new) in moved.collect::<Vec<_>>() {
            match is_new {
                true => self.initialize(&fmri),
                false => self.apply_enabled(&fmri),
            }
            self.check_description(&fmri);
        }
    }

    /// The milestone and all that it depends on; `None` if everything may run.
    fn inside(&self) -> Option<BTreeSet<Fmri>> {
        let mut rest = match &self.milestone {
            Milestone::All => return None,
            Milestone::Nothing => vec![],
            Milestone::Instance(fmri) => vec![fmri],
        };
        let mut inside = BTreeSet::new();
        while let Some(fmri) = rest.pop() {
            if inside.insert(fmri.clone()) {
                rest.extend(self.dependencies(fmri));
            }
        }
        Some(inside)
    }
}
