//! Are an instance's dependencies satisfied, and can they be? Cycles.

use std::path::Path;

use super::{Dependency, Engine, Entity, Grouping, Vertex};
use crate::fmri::Fmri;
use crate::state::State;

/// Whether a dependency is fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Satisfaction {
    /// Not, and nothing will change that but an administrator.
    Never,
    /// Not yet.
    NotYet,
    /// It is.
    Yes,
}

use Satisfaction::{Never, NotYet, Yes};

impl Engine {
    /// All dependency groups of an instance together.
    pub(super) fn satisfaction(
        &self,
        vertex: &Vertex,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Satisfaction {
        self.satisfaction_below(vertex, exists, &mut Vec::new())
    }

    /// `path` holds the instances whose dependencies are being looked at, against endless descent.
    fn satisfaction_below<'a>(
        &'a self,
        vertex: &'a Vertex,
        exists: &dyn Fn(&Path) -> bool,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let groups = vertex.config.dependencies.iter();
        groups.map(|group| self.group(group, exists, path)).min().unwrap_or(Yes)
    }

    fn group<'a>(
        &'a self,
        group: &'a Dependency,
        exists: &dyn Fn(&Path) -> bool,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let mut each: Vec<Satisfaction> = Vec::new();
        for entity in &group.entities {
            each.push(match (group.grouping, entity) {
                (Grouping::ExcludeAll, entity) => self.excluded(entity, exists),
                (Grouping::OptionalAll, Entity::Service(fmri)) => self.optional(fmri, exists, path),
                (_, Entity::Service(fmri)) => self.required(fmri, exists, path),
                // Files are assumed not to appear by themselves.
                (_, Entity::File(file)) => {
                    if exists(file) {
                        Yes
                    } else {
                        Never
                    }
                }
            });
        }
        match group.grouping {
            Grouping::RequireAny => each.into_iter().max().unwrap_or(Yes),
            _ => each.into_iter().min().unwrap_or(Yes),
        }
    }

    /// The instances that a name stands for: itself, or all of the service.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a Fmri,
    ) -> impl Iterator<Item = (&'a Fmri, &'a Vertex)> {
        let is_meant = move |fmri: &Fmri| match name.instance {
            Some(_) => fmri == name,
            None => fmri.service == name.service,
        };
        self.vertices.iter().filter(move |(fmri, _)| is_meant(fmri))
    }

    /// A service counts as any one of its instances.
    fn required<'a>(
        &'a self,
        name: &'a Fmri,
        exists: &dyn Fn(&Path) -> bool,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let mut best = Never;
        for (fmri, vertex) in self.named(name) {
            best = best.max(self.instance(fmri, vertex, exists, path));
        }
        best
    }

    fn instance<'a>(
        &'a self,
        fmri: &'a Fmri,
        vertex: &'a Vertex,
        exists: &dyn Fn(&Path) -> bool,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        match vertex.state {
            // On its way down it is not to be relied on any more.
            State::Online | State::Degraded if vertex.stop.is_some() => NotYet,
            State::Online | State::Degraded => Yes,
            State::Uninitialized => NotYet,
            State::Disabled | State::Maintenance => Never,
            State::Offline if path.contains(&fmri) => Never,
            State::Offline if vertex.is_busy() => NotYet,
            State::Offline => {
                path.push(fmri);
                let below = self.satisfaction_below(vertex, exists, path);
                path.pop();
                below.min(NotYet)
            }
        }
    }

    /// An optional service is fine when it runs and when it can't come up.
    fn optional<'a>(
        &'a self,
        name: &'a Fmri,
        exists: &dyn Fn(&Path) -> bool,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let fine = |state| if state == NotYet { NotYet } else { Yes };
        let each: Vec<_> = self.named(name).collect();
        each.into_iter()
            .map(|(fmri, vertex)| fine(self.instance(fmri, vertex, exists, path)))
            .min()
            .unwrap_or(Yes)
    }

    /// What runs, or would if it could, is not going away by itself.
    fn excluded(&self, entity: &Entity, exists: &dyn Fn(&Path) -> bool) -> Satisfaction {
        match entity {
            Entity::File(file) if exists(file) => Never,
            Entity::File(_) => Yes,
            Entity::Service(name) => {
                let each = self.named(name).map(|(_, vertex)| match vertex.state {
                    State::Disabled | State::Maintenance => Yes,
                    State::Uninitialized => NotYet,
                    State::Offline | State::Online | State::Degraded => Never,
                });
                each.min().unwrap_or(Yes)
            }
        }
    }

    /// The cycle that an instance is in, from itself to itself, if there is one.
    pub(super) fn cycle_through(&self, start: &Fmri) -> Option<Vec<Fmri>> {
        let mut path = vec![start.clone()];
        let mut seen = Vec::new();
        self.search(start, start, &mut path, &mut seen).then_some(path)
    }

    fn search(&self, at: &Fmri, goal: &Fmri, path: &mut Vec<Fmri>, seen: &mut Vec<Fmri>) -> bool {
        let Some(vertex) = self.vertices.get(at) else { return false };
        let groups = vertex.config.dependencies.iter();
        let groups = groups.filter(|group| group.grouping != Grouping::ExcludeAll);
        for entity in groups.flat_map(|group| &group.entities) {
            let Entity::Service(name) = entity else { continue };
            for (next, _) in self.named(name) {
                path.push(next.clone());
                if next == goal {
                    return true;
                }
                if !seen.contains(next) {
                    seen.push(next.clone());
                    if self.search(next, goal, path, seen) {
                        return true;
                    }
                }
                path.pop();
            }
        }
        false
    }
}
