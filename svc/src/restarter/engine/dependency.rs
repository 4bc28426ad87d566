//! An instance's dependencies in the graph: whether they are satisfied, and its cycles.

use std::collections::BTreeSet;
use std::path::Path;

use super::rules::{Judge, Satisfaction, Services, Standing};
use super::{Engine, Entity, Grouping, Vertex};
use crate::fmri::Fmri;
use crate::state::State;

/// The graph as it is now, with the files that there are.
struct Now<'a> {
    engine: &'a Engine,
    exists: &'a dyn Fn(&Path) -> bool,
}

impl Services for Now<'_> {
    fn named<'a>(&'a self, name: &'a Fmri) -> impl Iterator<Item = (&'a Fmri, Standing<'a>)> {
        self.engine.named(name).map(|(fmri, vertex)| (fmri, vertex.standing()))
    }

    fn exists(&self, file: &Path) -> bool {
        (self.exists)(file)
    }
}

impl Vertex {
    fn standing(&self) -> Standing<'_> {
        match self.state {
            // On its way down it is not to be relied on any more.
            State::Online | State::Degraded if self.stop.is_some() => Standing::Moving,
            State::Online | State::Degraded => Standing::Up,
            State::Uninitialized => Standing::Moving,
            State::Disabled | State::Maintenance => Standing::Down,
            State::Offline if self.is_busy() => Standing::Moving,
            State::Offline => Standing::Waiting(&self.config.dependencies),
        }
    }
}

impl Engine {
    /// All dependency groups of an instance together.
    pub(super) fn satisfaction(
        &self,
        vertex: &Vertex,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Satisfaction {
        Judge::new(&Now { engine: self, exists }).all(&vertex.config.dependencies)
    }

    /// The instances that a name stands for: itself, or all of the service.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a Fmri,
    ) -> impl Iterator<Item = (&'a Fmri, &'a Vertex)> {
        self.vertices.named(name)
    }

    /// The cycle that an instance is in, from itself to itself, if there is one.
    pub(super) fn cycle_through(&self, start: &Fmri) -> Option<Vec<Fmri>> {
        let mut path = vec![start.clone()];
        let mut seen = BTreeSet::new();
        self.search(start, start, &mut path, &mut seen).then_some(path)
    }

    fn search(
        &self,
        at: &Fmri,
        goal: &Fmri,
        path: &mut Vec<Fmri>,
        seen: &mut BTreeSet<Fmri>,
    ) -> bool {
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
                if seen.insert(next.clone()) && self.search(next, goal, path, seen) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
}
