//! Cycles of dependencies: whoever closes one goes to maintenance, and is told which it is.

use std::collections::BTreeSet;

use super::{Engine, Manager, Order};
use crate::fmri::Fmri;
use crate::state::State;

/// Why those are in maintenance who closed a cycle.
const CYCLE: &str = "dependency_cycle";

impl Engine {
    /// A description that can't be followed leads to maintenance, unless the service runs already.
    pub(super) fn check_description(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get(fmri) else { return };
        if vertex.state != State::Offline || vertex.is_busy() {
            return;
        }
        if vertex.config.manager == Manager::Nobody {
            self.enter(fmri, State::Maintenance, "invalid_restarter");
        } else if vertex.config.invalid {
            self.condemn(fmri, "invalid_dependency", Order::InvalidDependency);
        } else if vertex.unchecked {
            self.unchecked.push(fmri.clone());
        }
    }

    /// Sends those who close a cycle to maintenance: of those on it, who came last.
    pub(super) fn check_cycles(&mut self) {
        let unchecked = std::mem::take(&mut self.unchecked);
        for fmri in &unchecked {
            if let Some(vertex) = self.vertices.get_mut(fmri) {
                vertex.unchecked = false;
            }
        }
        self.tell_contradictions(&unchecked);
        let mut broken = BTreeSet::new();
        while let Some(cycle) = self.find_cycle(&unchecked, &broken) {
            let came = |fmri: &Fmri| unchecked.iter().rposition(|other| other == fmri);
            let at = (0..cycle.len()).max_by_key(|at| came(&cycle[*at])).unwrap_or_default();
            let fmri = cycle[at].clone();
            let vertex = &self.vertices[&fmri];
            if vertex.state == State::Offline && !vertex.is_busy() {
                let names = cycle.iter().cycle().skip(at).take(cycle.len() + 1);
                let names: Vec<String> = names.map(Fmri::to_string).collect();
                self.log(&fmri, &format!("Dependency cycle: {}", names.join(" -> ")));
                self.condemn(&fmri, CYCLE, Order::DependencyCycle);
            }
            broken.insert(fmri);
        }
    }

    /// A cycle that can be reached from `starts`, as the instances on it; those that lead through
    /// one of `broken`, or through one that was found to close a cycle before, don't count.
    fn find_cycle(&self, starts: &[Fmri], broken: &BTreeSet<Fmri>) -> Option<Vec<Fmri>> {
        let mut done = BTreeSet::new();
        for start in starts {
            // The way down to where we are, with those that are still to be visited from each.
            let mut way: Vec<(&Fmri, Vec<&Fmri>)> = Vec::new();
            let mut on_way = BTreeSet::new();
            let mut next = Some(start);
            loop {
                match next.filter(|fmri| !broken.contains(fmri)) {
                    Some(fmri) if on_way.contains(fmri) => {
                        let cycle = way.iter().map(|(on, _)| *on).skip_while(|on| *on != fmri);
                        return Some(cycle.cloned().collect());
                    }
                    Some(fmri) if !done.contains(fmri) => {
                        on_way.insert(fmri);
                        way.push((fmri, self.waited_for(fmri).collect()));
                    }
                    _ => {}
                }
                let Some((fmri, ahead)) = way.last_mut() else { break };
                next = ahead.pop();
                if next.is_none() {
                    on_way.remove(*fmri);
                    done.insert(*fmri);
                    way.pop();
                }
            }
        }
        None
    }

    /// The instances that have to come up first.
    fn waited_for<'a>(&'a self, fmri: &'a Fmri) -> impl Iterator<Item = &'a Fmri> {
        let is_broken = self.vertices.get(fmri).is_some_and(|vertex| vertex.auxiliary == CYCLE);
        self.dependencies(fmri).filter(move |_| !is_broken)
    }
}
