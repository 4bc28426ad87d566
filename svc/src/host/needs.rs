//! Are an instance's dependencies satisfied, as far as published states tell, and if not, what
//! stands in the way (smf(7))?

use std::path::Path;

use super::{Host, Instance};
use crate::fmri::Fmri;
use crate::restarter::engine::Satisfaction::{self, NotYet, Yes};
use crate::restarter::engine::{Entity, Grouping, Judge, Services, Standing};
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

impl Services for Host {
    fn named<'a>(&'a self, name: &'a Fmri) -> impl Iterator<Item = (&'a Fmri, Standing<'a>)> {
        Host::named(self, name).map(|(fmri, instance)| (fmri, instance.standing()))
    }

    fn exists(&self, file: &Path) -> bool {
        self.has_file(file)
    }
}

impl Instance {
    fn standing(&self) -> Standing<'_> {
        match self.state() {
            Some(State::Online | State::Degraded) => Standing::Up,
            // Enabled a moment ago, it is about to leave that state.
            Some(State::Disabled) if self.is_enabled() => Standing::Moving,
            Some(State::Disabled | State::Maintenance) => Standing::Down,
            None | Some(State::Uninitialized) => Standing::Moving,
            Some(State::Offline) if self.next_state().is_some() => Standing::Moving,
            Some(State::Offline) => Standing::Waiting(&self.dependencies),
        }
    }
}

/// Finds out what instances of a host wait for.
pub struct Needs<'a> {
    host: &'a Host,
    judge: Judge<'a, Host>,
}

impl<'a> Needs<'a> {
    /// Of the instances of this host.
    pub fn new(host: &'a Host) -> Self {
        Self { host, judge: Judge::new(host) }
    }

    /// All dependency groups of `instance` together.
    pub fn satisfaction(&mut self, instance: &'a Instance) -> Satisfaction {
        self.judge.all(&instance.dependencies)
    }

    /// What keeps `instance` from starting, apart from itself.
    pub fn obstacles(&mut self, instance: &'a Instance) -> Vec<Obstacle<'a>> {
        let mut found = Vec::new();
        for group in &instance.dependencies {
            if self.judge.group(group) == Yes {
                continue;
            }
            for entity in &group.entities {
                if self.judge.entity(group.grouping, entity) != Yes {
                    found.extend(self.obstacles_of(group.grouping, entity));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn obstacles_of(&mut self, grouping: Grouping, entity: &'a Entity) -> Vec<Obstacle<'a>> {
        let excludes = grouping == Grouping::ExcludeAll;
        let name = match entity {
            Entity::File(path) if excludes => return vec![Obstacle::File(path)],
            Entity::File(path) => return vec![Obstacle::NoFile(path)],
            Entity::Service(name) => name,
        };
        let mut found = Vec::new();
        for (fmri, standing) in Services::named(self.host, name) {
            let blocks = match (grouping, standing) {
                (Grouping::ExcludeAll, Standing::Down) => continue,
                (Grouping::ExcludeAll, _) => {
                    found.push(Obstacle::Running(fmri));
                    continue;
                }
                (Grouping::OptionalAll, _) => self.judge.instance(fmri, standing) == NotYet,
                _ => self.judge.instance(fmri, standing) != Yes,
            };
            if blocks {
                found.push(Obstacle::Stopped(fmri));
            }
        }
        if found.is_empty() { vec![Obstacle::Absent(name)] } else { found }
    }
}

impl Host {
    /// All dependency groups of `instance` together.
    pub fn satisfaction(&self, instance: &Instance) -> Satisfaction {
        Judge::new(self).all(&instance.dependencies)
    }

    /// What keeps `instance` from starting, apart from itself.
    pub fn obstacles<'a>(&'a self, instance: &'a Instance) -> Vec<Obstacle<'a>> {
        Needs::new(self).obstacles(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sample::{Sample, fmri};
    use crate::restarter::engine::Satisfaction::Never;

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
        assert_eq!(verdict(online.clone().needs("xend", "exclude_all", "svc:/store")), Never);
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

    /// Layers in which each waits for both of the layer below: paths without number.
    #[test]
    fn what_is_known_is_not_asked_again() {
        let mut sample = Sample::default().instance("a0", "disabled", false);
        for layer in 1..40 {
            for name in ["a", "b"].map(|letter| format!("{letter}{layer}")) {
                sample = sample.instance(&name, "offline", true);
                for below in ["a", "b"].map(|letter| format!("svc:/{letter}{}", layer - 1)) {
                    sample = sample.needs(&name, "require_all", &below);
                }
            }
        }
        let host = sample.instance("b0", "disabled", true).host();
        assert_eq!(host.satisfaction(&host.instances[&fmri("a39")]), Never);
    }

    /// The cycle counts as one that won't come up only for those in it.
    #[test]
    fn a_way_around_a_cycle_is_found() {
        let host = Sample::default()
            .instance("a", "offline", true)
            .needs("a", "require_any", "svc:/b")
            .instance("b", "offline", true)
            .needs("b", "require_all", "svc:/a")
            .instance("c", "offline", true)
            .needs("c", "require_all", "svc:/b")
            .instance("d", "offline", true)
            .needs("d", "require_all", "svc:/a")
            .instance("x", "uninitialized", true);
        let mut host = host.host();
        let a = host.instances.get_mut(&fmri("a")).unwrap();
        a.dependencies[0].entities.push(Entity::Service(fmri("x")));
        let mut needs = Needs::new(&host);
        for name in ["d", "c", "a", "b"] {
            assert_eq!(needs.satisfaction(&host.instances[&fmri(name)]), NotYet, "{name}");
        }
    }
}
