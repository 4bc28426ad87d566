//! Are an instance's dependencies satisfied, as far as published states tell, and if not, what
//! stands in the way (smf(7))?

use std::path::Path;

use super::{Host, Instance};
use crate::fmri::Fmri;
use crate::restarter::engine::Satisfaction::{self, Never, NotYet, Yes};
use crate::restarter::engine::{Dependency, Entity, Grouping};
use crate::state::State;

/// Something that keeps an instance from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle<'a> {
    /// An instance that doesn't run.
    Stopped(&'a Fmri),
    /// An instance that must not run.
    Running(&'a Fmri),
    /// A service without instances, or no service at all.
    Absent(&'a Fmri),
    /// A file that isn't there.
    NoFile(&'a Path),
    /// A file that must not be there.
    File(&'a Path),
}

impl Host {
    /// All dependency groups of `instance` together.
    pub fn satisfaction(&self, instance: &Instance) -> Satisfaction {
        self.satisfaction_below(instance, &mut Vec::new())
    }

    /// What keeps `instance` from starting, apart from itself.
    pub fn obstacles<'a>(&'a self, instance: &'a Instance) -> Vec<Obstacle<'a>> {
        let mut found = Vec::new();
        for group in &instance.dependencies {
            if self.group(group, &mut Vec::new()) == Yes {
                continue;
            }
            for entity in &group.entities {
                if self.entity(group.grouping, entity, &mut Vec::new()) != Yes {
                    found.extend(self.obstacles_of(group.grouping, entity));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn obstacles_of<'a>(&'a self, grouping: Grouping, entity: &'a Entity) -> Vec<Obstacle<'a>> {
        let excludes = grouping == Grouping::ExcludeAll;
        let name = match entity {
            Entity::File(path) if excludes => return vec![Obstacle::File(path)],
            Entity::File(path) => return vec![Obstacle::NoFile(path)],
            Entity::Service(name) => name,
        };
        let found = self.named(name).filter_map(|(fmri, instance)| {
            if excludes {
                return (!is_out_of_the_way(instance)).then_some(Obstacle::Running(fmri));
            }
            let state = self.instance(fmri, instance, &mut Vec::new());
            let blocks =
                if grouping == Grouping::OptionalAll { state == NotYet } else { state != Yes };
            blocks.then_some(Obstacle::Stopped(fmri))
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() { vec![Obstacle::Absent(name)] } else { found }
    }

    /// `path` holds the instances whose dependencies are being looked at, against endless descent.
    fn satisfaction_below<'a>(
        &'a self,
        instance: &'a Instance,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let groups = instance.dependencies.iter();
        groups.map(|group| self.group(group, path)).min().unwrap_or(Yes)
    }

    fn group<'a>(&'a self, group: &'a Dependency, path: &mut Vec<&'a Fmri>) -> Satisfaction {
        let entities = group.entities.iter();
        let each = entities.map(|entity| self.entity(group.grouping, entity, path));
        let together = match group.grouping {
            Grouping::RequireAny => each.max(),
            _ => each.min(),
        };
        together.unwrap_or(Yes)
    }

    fn entity<'a>(
        &'a self,
        grouping: Grouping,
        entity: &'a Entity,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        let name = match entity {
            Entity::File(file) => {
                let wanted = grouping != Grouping::ExcludeAll;
                // Files are assumed not to come or go by themselves.
                return if self.has_file(file) == wanted { Yes } else { Never };
            }
            Entity::Service(name) => name,
        };
        let mut each = Vec::new();
        for (fmri, instance) in self.named(name) {
            each.push(match grouping {
                Grouping::ExcludeAll if is_out_of_the_way(instance) => Yes,
                Grouping::ExcludeAll => NotYet,
                _ => self.instance(fmri, instance, path),
            });
        }
        match grouping {
            Grouping::ExcludeAll => each.into_iter().min().unwrap_or(Yes),
            // An optional service is fine when it runs and when it can't come up.
            Grouping::OptionalAll if each.contains(&NotYet) => NotYet,
            Grouping::OptionalAll => Yes,
            // A service counts as any one of its instances.
            _ => each.into_iter().max().unwrap_or(Never),
        }
    }

    fn instance<'a>(
        &'a self,
        fmri: &'a Fmri,
        instance: &'a Instance,
        path: &mut Vec<&'a Fmri>,
    ) -> Satisfaction {
        match instance.state() {
            Some(State::Online | State::Degraded) => Yes,
            // Enabled a moment ago, it is about to leave that state.
            Some(State::Disabled) if instance.is_enabled() => NotYet,
            Some(State::Disabled | State::Maintenance) => Never,
            None | Some(State::Uninitialized) => NotYet,
            Some(State::Offline) if path.contains(&fmri) => Never,
            Some(State::Offline) if instance.next_state().is_some() => NotYet,
            Some(State::Offline) => {
                path.push(fmri);
                let below = self.satisfaction_below(instance, path);
                path.pop();
                below.min(NotYet)
            }
        }
    }
}

fn is_out_of_the_way(instance: &Instance) -> bool {
    matches!(instance.state(), Some(State::Disabled | State::Maintenance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sample::{Sample, fmri};

    #[test]
    fn what_is_in_the_way_is_found() {
        let host = Sample::default()
            .instance("store", "disabled", false)
            .instance("xend", "offline", true)
            .needs("xend", "require_all", "svc:/store")
            .instance("domains", "offline", true)
            .needs("domains", "require_all", "svc:/xend:default")
            .needs("domains", "optional_all", "svc:/store")
            .host();
        let domains = &host.instances[&fmri("domains")];
        assert_eq!(host.satisfaction(domains), Never);
        assert_eq!(host.obstacles(domains), [Obstacle::Stopped(&fmri("xend"))]);
    }

    #[test]
    fn what_may_still_come_is_waited_for() {
        let sample = Sample::default()
            .instance("store", "disabled", true)
            .instance("xend", "offline", true)
            .needs("xend", "require_all", "svc:/store");
        let verdict = |sample: Sample| {
            let host = sample.host();
            host.satisfaction(&host.instances[&fmri("xend")])
        };
        assert_eq!(verdict(sample.clone()), NotYet);
        let online = sample.clone().instance("store", "online", true);
        assert_eq!(verdict(online.clone()), Yes);
        assert_eq!(verdict(online.clone().needs("xend", "exclude_all", "svc:/store")), NotYet);
        assert_eq!(verdict(online.needs("xend", "require_all", "file:/etc/none")), Never);
        assert_eq!(verdict(sample.needs("xend", "require_any", "svc:/none")), Never);
    }

    #[test]
    fn a_cycle_ends() {
        let host = Sample::default()
            .instance("a", "offline", true)
            .instance("b", "offline", true)
            .needs("a", "require_all", "svc:/b")
            .needs("b", "require_all", "svc:/a")
            .host();
        assert_eq!(host.satisfaction(&host.instances[&fmri("a")]), Never);
    }
}
