//! The instances and who names whom, so that a change is looked at where it matters and nowhere
//! else: ten thousand services are no slower, each, than ten.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Index;

use super::{Config, Dependency, Entity, Vertex};
use crate::fmri::Fmri;
use crate::state::State;

/// All instances, and which of them have to be looked at again.
#[derive(Debug, Default)]
pub(super) struct Graph {
    vertices: BTreeMap<Fmri, Vertex>,
    /// For each service or instance that a dependency names: who names it.
    citations: BTreeMap<Fmri, BTreeSet<Fmri>>,
    /// Changed since the last [`Self::next`].
    touched: BTreeSet<Fmri>,
    /// To be looked at.
    dirty: BTreeSet<Fmri>,
}

impl Index<&Fmri> for Graph {
    type Output = Vertex;

    fn index(&self, fmri: &Fmri) -> &Vertex {
        &self.vertices[fmri]
    }
}

impl Graph {
    pub(super) fn get(&self, fmri: &Fmri) -> Option<&Vertex> {
        self.vertices.get(fmri)
    }

    /// An instance to change; it, and all whom the change may concern, are looked at again.
    pub(super) fn get_mut(&mut self, fmri: &Fmri) -> Option<&mut Vertex> {
        let vertex = self.vertices.get_mut(fmri)?;
        self.touched.insert(fmri.clone());
        Some(vertex)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Fmri, &Vertex)> {
        self.vertices.iter()
    }

    pub(super) fn insert(&mut self, fmri: &Fmri, vertex: Vertex) {
        self.remove(fmri);
        self.cite(fmri, &vertex.config.dependencies);
        self.vertices.insert(fmri.clone(), vertex);
        self.touched.insert(fmri.clone());
    }

    /// Gives an instance another description.
    pub(super) fn describe(&mut self, fmri: &Fmri, config: Config) {
        if let Some(mut vertex) = self.remove(fmri) {
            vertex.config = config;
            self.insert(fmri, vertex);
        }
    }

    pub(super) fn remove(&mut self, fmri: &Fmri) -> Option<Vertex> {
        let vertex = self.vertices.remove(fmri)?;
        self.touched.insert(fmri.clone());
        for name in services(&vertex.config.dependencies) {
            if let Some(citing) = self.citations.get_mut(name) {
                citing.remove(fmri);
                if citing.is_empty() {
                    self.citations.remove(name);
                }
            }
        }
        Some(vertex)
    }

    fn cite(&mut self, fmri: &Fmri, dependencies: &[Dependency]) {
        for name in services(dependencies) {
            self.citations.entry(name.clone()).or_default().insert(fmri.clone());
        }
    }

    /// The instances that a name stands for: itself, or all of the service.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a Fmri,
    ) -> impl Iterator<Item = (&'a Fmri, &'a Vertex)> {
        let from_here = self.vertices.range(name..);
        from_here.take_while(move |(fmri, _)| match name.instance {
            Some(_) => *fmri == name,
            None => fmri.service == name.service,
        })
    }

    /// The instances with a dependency on `fmri` or its service.
    pub(super) fn citing(&self, fmri: &Fmri) -> impl Iterator<Item = &Fmri> {
        let by_name = self.citations.get(fmri);
        let by_service = self.citations.get(&fmri.service());
        by_name.into_iter().chain(by_service).flatten()
    }

    /// Has an instance looked at again without a change.
    pub(super) fn look_again(&mut self, fmri: Fmri) {
        self.dirty.insert(fmri);
    }

    /// The next instance to look at.
    pub(super) fn next(&mut self) -> Option<Fmri> {
        while let Some(fmri) = self.touched.pop_first() {
            self.spread(&fmri);
            self.dirty.insert(fmri);
        }
        self.dirty.pop_first()
    }

    /// A change concerns those above, through all that wait themselves: whether they can ever come
    /// up may have changed. And those below, who may wait for the end of `fmri` before theirs.
    fn spread(&mut self, fmri: &Fmri) {
        let mut concerned: BTreeSet<Fmri> = BTreeSet::new();
        let mut rest: Vec<Fmri> = self.citing(fmri).cloned().collect();
        while let Some(above) = rest.pop() {
            let waits = self.get(&above).is_some_and(|vertex| vertex.state == State::Offline);
            if concerned.insert(above.clone()) && waits {
                rest.extend(self.citing(&above).cloned());
            }
        }
        let dependencies = self.get(fmri).map(|vertex| &vertex.config.dependencies);
        let below = dependencies.into_iter().flat_map(|groups| services(groups));
        let below: Vec<Fmri> =
            below.flat_map(|name| self.named(name)).map(|(fmri, _)| fmri.clone()).collect();
        self.dirty.extend(concerned);
        self.dirty.extend(below);
    }
}

fn services(dependencies: &[Dependency]) -> impl Iterator<Item = &Fmri> {
    dependencies.iter().flat_map(|group| &group.entities).filter_map(|entity| match entity {
        Entity::Service(name) => Some(name),
        Entity::File(_) => None,
    })
}
