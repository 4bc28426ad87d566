//! Services that exclude what relies on them: they can't both run. That is no cycle to be broken,
//! as one of the two may well be disabled; but an administrator has to know.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Dependency, Engine, Grouping};
use crate::fmri::Fmri;

impl Engine {
    /// Tells of contradictions among those that are to run, if one of `starts`, whose descriptions
    /// are new, has to do with them.
    pub(super) fn tell_contradictions(&mut self, starts: &[Fmri]) {
        let mut found = BTreeSet::new();
        // Whoever is on a way from what is excluded to who excludes it gets to the latter.
        for excluder in self.below(starts.iter()).into_keys() {
            for excluded in self.excluded(excluder) {
                let Some(way) = self.way(excluded, excluder) else { continue };
                let is_new = way.iter().any(|fmri| starts.contains(fmri));
                if is_new && way.iter().all(|fmri| self.vertices[fmri].config.enabled) {
                    found.insert((excluder.clone(), way));
                }
            }
        }
        for (excluder, way) in found {
            let names: Vec<String> = way.iter().map(Fmri::to_string).collect();
            let line = format!("Excludes what relies on it: {}", names.join(" -> "));
            self.actions.push(Action::Warn(excluder, line));
        }
    }

    /// The instances that one excludes.
    fn excluded<'a>(&'a self, fmri: &Fmri) -> impl Iterator<Item = &'a Fmri> {
        let groups = self.vertices.get(fmri).map_or(&[][..], |vertex| &vertex.config.dependencies);
        let excluding = groups.iter().filter(|group| group.grouping == Grouping::ExcludeAll);
        excluding.flat_map(Dependency::services).flat_map(|name| self.named(name)).map(|(on, _)| on)
    }

    /// All that some rely on, themselves included, each with who led there first.
    fn below<'a>(&'a self, starts: impl Iterator<Item = &'a Fmri>) -> BTreeMap<&'a Fmri, &'a Fmri> {
        let mut from: BTreeMap<_, _> = starts.map(|start| (start, start)).collect();
        let mut open: Vec<_> = from.keys().copied().collect();
        while let Some(fmri) = open.pop() {
            for next in self.dependencies(fmri) {
                from.entry(next).or_insert_with(|| {
                    open.push(next);
                    fmri
                });
            }
        }
        from
    }

    /// How `start` relies on `end`, if it does: both and those between.
    fn way(&self, start: &Fmri, end: &Fmri) -> Option<Vec<Fmri>> {
        let from = self.below(std::iter::once(start));
        let mut way = vec![*from.get_key_value(end)?.0];
        while way[way.len() - 1] != start {
            way.push(from[way[way.len() - 1]]);
        }
        way.reverse();
        Some(way.into_iter().cloned().collect())
    }
}
