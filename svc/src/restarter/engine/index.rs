//! Who names whom. What an instance means to the groups that name it is counted there, so that a
//! change at one is brought to those whom it concerns, and nobody else is looked at.

use std::collections::BTreeMap;
use std::path::Path;

use super::rules::{Satisfaction, Tally};
use super::vertex::{File, Meaning, Vertex};
use super::{Action, Config, Dependency, Engine, Entity, Grouping};
use crate::fmri::Fmri;

/// A service or instance as the groups of one grouping see it.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// What its instances mean.
    instances: Tally,
    /// The groups that name it, by their number, once for each time.
    named_by: BTreeMap<Fmri, Vec<usize>>,
}

/// The names in dependencies, by [`Grouping`].
pub(super) type Topics = BTreeMap<Fmri, [Topic; Grouping::ALL.len()]>;

impl Engine {
    /// The instances that a name stands for: itself, or all of the service.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a Fmri,
    ) -> impl Iterator<Item = (&'a Fmri, &'a Vertex)> {
        self.vertices.range(name..).take_while(move |(fmri, _)| match name.instance {
            Some(_) => *fmri == name,
            None => fmri.service == name.service,
        })
    }

    /// The instances that one depends on. Those that it excludes are none: two may well exclude
    /// each other.
    pub(super) fn dependencies<'a>(&'a self, fmri: &Fmri) -> impl Iterator<Item = &'a Fmri> {
        let groups = self.vertices.get(fmri).map_or(&[][..], |vertex| &vertex.config.dependencies);
        let wanted = groups.iter().filter(|group| group.grouping != Grouping::ExcludeAll);
        wanted.flat_map(Dependency::services).flat_map(|name| self.named(name)).map(|(on, _)| on)
    }

    /// The dependency groups that name an instance or its service, and whose they are.
    pub(super) fn named_by(&self, fmri: &Fmri) -> impl Iterator<Item = (&Fmri, &Dependency)> {
        let names = [self.topics.get(fmri), self.topics.get(&fmri.service())];
        let named_by = names.into_iter().flatten().flatten().flat_map(|topic| &topic.named_by);
        named_by.flat_map(|(citing, groups)| {
            let dependencies = &self.vertices[citing].config.dependencies;
            groups.iter().map(move |group| (citing, &dependencies[*group]))
        })
    }

    /// The instance, to be changed and looked at again.
    pub(super) fn change(&mut self, fmri: &Fmri) -> Option<&mut Vertex> {
        let vertex = self.vertices.get_mut(fmri)?;
        self.dirty.insert(fmri.clone());
        Some(vertex)
    }

    pub(super) fn insert(&mut self, fmri: &Fmri, mut vertex: Vertex) {
        let config = vertex.config.clone();
        vertex.config.dependencies.clear();
        self.vertices.insert(fmri.clone(), vertex);
        self.describe(fmri, config);
    }

    /// Gives an instance another description.
    pub(super) fn describe(&mut self, fmri: &Fmri, config: Config) {
        let Some(vertex) = self.change(fmri) else { return };
        let before = std::mem::replace(&mut vertex.config, config);
        if vertex.config.dependencies == before.dependencies {
            return;
        }
        vertex.unchecked = true;
        let dependencies = vertex.config.dependencies.clone();
        for name in before.dependencies.iter().flat_map(Dependency::services) {
            self.forget_citation(name, fmri);
        }
        let groups: Vec<Tally> = dependencies
            .iter()
            .enumerate()
            .map(|(number, group)| {
                let services = group.services();
                services.map(|name| self.cite(name, group.grouping, fmri, number)).collect()
            })
            .collect();
        let each = dependencies.iter().zip(&groups);
        let together = each.map(|(group, entities)| group.grouping.of_group(entities)).collect();
        if let Some(vertex) = self.vertices.get_mut(fmri) {
            (vertex.groups, vertex.together) = (groups, together);
            vertex.files = files(&dependencies);
        }
    }

    /// Notes that a group names a service; returns what that means to the group now.
    fn cite(&mut self, name: &Fmri, grouping: Grouping, by: &Fmri, group: usize) -> Satisfaction {
        if !self.topics.contains_key(name) {
            let topics = Grouping::ALL.map(|grouping| {
                let said = self.named(name).filter_map(|(_, vertex)| vertex.said);
                let instances = said.map(|meaning| meaning[grouping as usize]).collect();
                Topic { instances, named_by: BTreeMap::new() }
            });
            self.topics.insert(name.clone(), topics);
        }
        let Some(topics) = self.topics.get_mut(name) else { return Satisfaction::Never };
        let topic = &mut topics[grouping as usize];
        topic.named_by.entry(by.clone()).or_default().push(group);
        grouping.of_service(&topic.instances)
    }

    fn forget_citation(&mut self, name: &Fmri, by: &Fmri) {
        let Some(topics) = self.topics.get_mut(name) else { return };
        topics.iter_mut().for_each(|topic| drop(topic.named_by.remove(by)));
        if topics.iter().all(|topic| topic.named_by.is_empty()) {
            self.topics.remove(name);
        }
    }

    pub(super) fn forget(&mut self, fmri: &Fmri) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        let said = vertex.said.take();
        let dependencies = std::mem::take(&mut vertex.config.dependencies);
        for name in dependencies.iter().flat_map(Dependency::services) {
            self.forget_citation(name, fmri);
        }
        self.tell(fmri, said, None);
        // Or whom it waits for would hold somebody that isn't there.
        self.wait_no_more(fmri);
        let vertex = self.vertices.remove(fmri);
        self.busy.remove(fmri);
        self.release(fmri);
        self.actions.push(Action::Changed(fmri.clone()));
        let Some(vertex) = vertex else { return };
        if let Some(delegate) = vertex.delegate.filter(|delegate| delegate.is_added) {
            self.actions.push(Action::Remove { to: delegate.to, fmri: fmri.clone() });
        }
        if let Some(config) = vertex.heir {
            self.configure(fmri.clone(), *config);
        }
    }

    /// Looks at an instance that may have changed, and tells those that name it if so.
    pub(super) fn reconsider(&mut self, fmri: &Fmri, exists: &dyn Fn(&Path) -> bool) {
        let Some(vertex) = self.vertices.get_mut(fmri) else { return };
        vertex.look_for_files(exists);
        match vertex.is_busy() {
            true => self.busy.insert(fmri.clone()),
            false => self.busy.remove(fmri),
        };
        let has_stopped = !vertex.is_active();
        let meaning = Some(vertex.meaning());
        let before = std::mem::replace(&mut vertex.said, meaning);
        if before != meaning {
            self.tell(fmri, before, meaning);
        }
        if has_stopped {
            self.release(fmri);
        }
    }

    fn tell(&mut self, fmri: &Fmri, before: Option<Meaning>, now: Option<Meaning>) {
        for name in [fmri.clone(), fmri.service()] {
            let Some(topics) = self.topics.get_mut(&name) else { continue };
            for (grouping, topic) in Grouping::ALL.into_iter().zip(topics) {
                let of = |meaning: Option<Meaning>| meaning.map(|each| each[grouping as usize]);
                let old = grouping.of_service(&topic.instances);
                of(before).into_iter().for_each(|one| topic.instances.remove(one));
                of(now).into_iter().for_each(|one| topic.instances.add(one));
                let new = grouping.of_service(&topic.instances);
                if old == new {
                    continue;
                }
                for (citing, groups) in &topic.named_by {
                    let Some(vertex) = self.vertices.get_mut(citing) else { continue };
                    groups.iter().for_each(|group| vertex.count(*group, Some(old), new));
                    self.dirty.insert(citing.clone());
                }
            }
        }
    }
}

impl Vertex {
    /// Counts an entity of a group as `new`, that was counted as `old`.
    fn count(&mut self, group: usize, old: Option<Satisfaction>, new: Satisfaction) {
        let grouping = self.config.dependencies[group].grouping;
        let entities = &mut self.groups[group];
        self.together.remove(grouping.of_group(entities));
        old.into_iter().for_each(|old| entities.remove(old));
        entities.add(new);
        self.together.add(grouping.of_group(entities));
    }

    /// Files are looked for whenever an instance is looked at, and not watched.
    fn look_for_files(&mut self, exists: &dyn Fn(&Path) -> bool) {
        let mut files = std::mem::take(&mut self.files);
        for file in &mut files {
            let grouping = self.config.dependencies[file.group].grouping;
            let now = grouping.of_file(exists(&file.path));
            self.count(file.group, file.counted.replace(now), now);
        }
        self.files = files;
    }
}

/// The files in dependencies, not looked for yet.
fn files(dependencies: &[Dependency]) -> Vec<File> {
    let each = dependencies.iter().enumerate().flat_map(|(group, dependency)| {
        dependency.entities.iter().filter_map(move |entity| match entity {
            Entity::File(path) => Some(File { group, path: path.clone(), counted: None }),
            Entity::Service(_) => None,
        })
    });
    each.collect()
}
