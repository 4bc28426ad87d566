//! The rules of dependencies (smf(7)): is a group satisfied, can it be?
//!
//! The graph engine keeps a [`Tally`] of each group and brings it up to date with each change; the
//! commands, which know what the restarters published, have a [`Judge`] look at everything once.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Dependency, Entity, Grouping};
use crate::fmri::Fmri;

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

/// How many of some are satisfied, how many are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally([usize; 3]);

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, one: Satisfaction) {
        self.0[one as usize] += 1;
    }

    /// Counts one less, which was counted before.
    pub fn remove(&mut self, one: Satisfaction) {
        self.0[one as usize] -= 1;
    }

    /// The worst, if there is any.
    pub fn least(&self) -> Option<Satisfaction> {
        [Never, NotYet, Yes].into_iter().find(|each| self.0[*each as usize] > 0)
    }

    /// The best, if there is any.
    pub fn most(&self) -> Option<Satisfaction> {
        [Yes, NotYet, Never].into_iter().find(|each| self.0[*each as usize] > 0)
    }
}

impl FromIterator<Satisfaction> for Tally {
    fn from_iter<I: IntoIterator<Item = Satisfaction>>(each: I) -> Self {
        let mut tally = Self::default();
        each.into_iter().for_each(|one| tally.add(one));
        tally
    }
}

impl Grouping {
    /// All there are.
    pub const ALL: [Self; 4] =
        [Self::RequireAll, Self::RequireAny, Self::OptionalAll, Self::ExcludeAll];

    /// What an instance means to such a group, if `required` is what it means to those that
    /// require it.
    pub fn of_instance(self, standing: &Standing, required: Satisfaction) -> Satisfaction {
        match (self, standing) {
            // What runs, or would if it could, is not going away by itself.
            (Self::ExcludeAll, Standing::Down) => Yes,
            (Self::ExcludeAll, Standing::Moving) => NotYet,
            (Self::ExcludeAll, _) => Never,
            // An optional service is fine when it runs and when it can't come up.
            (Self::OptionalAll, _) if required == NotYet => NotYet,
            (Self::OptionalAll, _) => Yes,
            _ => required,
        }
    }

    /// What a service means, given its instances.
    pub fn of_service(self, instances: &Tally) -> Satisfaction {
        match self {
            // A service counts as any one of its instances.
            Self::RequireAll | Self::RequireAny => instances.most().unwrap_or(Never),
            _ => instances.least().unwrap_or(Yes),
        }
    }

    /// What a file means.
    pub fn of_file(self, is_there: bool) -> Satisfaction {
        let is_wanted = self != Self::ExcludeAll;
        // Files are assumed not to come or go by themselves.
        if is_there == is_wanted { Yes } else { Never }
    }

    /// What the group comes to, given its entities.
    pub fn of_group(self, entities: &Tally) -> Satisfaction {
        let together = match self {
            Self::RequireAny => entities.most(),
            _ => entities.least(),
        };
        together.unwrap_or(Yes)
    }
}

/// How an instance stands, as far as its dependents care.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// It runs.
    Up,
    /// It is on its way to another state.
    Moving,
    /// It waits for these.
    Waiting(&'a [Dependency]),
    /// It needs an administrator to come up.
    Down,
}

/// What the rules are applied to.
pub trait Services {
    /// The instances that a name stands for: itself, or all of the service.
    fn named<'a>(&'a self, name: &'a Fmri) -> impl Iterator<Item = (&'a Fmri, Standing<'a>)>;

    /// Whether a file is there.
    fn exists(&self, file: &Path) -> bool;
}

/// Applies the rules. What it found out about an instance it doesn't look at again.
pub struct Judge<'a, S> {
    services: &'a S,
    /// The instances whose dependencies are being looked at, against endless descent.
    path: HashSet<&'a Fmri>,
    /// What the descent met the path again for holds only on that path.
    is_cut: bool,
    known: HashMap<&'a Fmri, Satisfaction>,
}

impl<'a, S: Services> Judge<'a, S> {
    /// A judge of `services` as they are now.
    pub fn new(services: &'a S) -> Self {
        Self { services, path: HashSet::new(), is_cut: false, known: HashMap::new() }
    }

    /// All dependency groups of an instance together.
    pub fn all(&mut self, groups: &'a [Dependency]) -> Satisfaction {
        groups.iter().map(|group| self.group(group)).min().unwrap_or(Yes)
    }

    /// One dependency group.
    pub fn group(&mut self, group: &'a Dependency) -> Satisfaction {
        let each = group.entities.iter().map(|entity| self.entity(group.grouping, entity));
        group.grouping.of_group(&each.collect())
    }

    /// One entity of a group.
    pub fn entity(&mut self, grouping: Grouping, entity: &'a Entity) -> Satisfaction {
        let services = self.services;
        let name = match entity {
            Entity::Service(name) => name,
            Entity::File(file) => return grouping.of_file(services.exists(file)),
        };
        let each = services.named(name).map(|(fmri, standing)| {
            let required = match grouping {
                Grouping::ExcludeAll => Never,
                _ => self.instance(fmri, standing),
            };
            grouping.of_instance(&standing, required)
        });
        grouping.of_service(&each.collect())
    }

    /// Whether an instance is what its dependents require.
    pub fn instance(&mut self, fmri: &'a Fmri, standing: Standing<'a>) -> Satisfaction {
        let groups = match standing {
            Standing::Up => return Yes,
            Standing::Moving => return NotYet,
            Standing::Down => return Never,
            Standing::Waiting(groups) => groups,
        };
        if let Some(known) = self.known.get(fmri) {
            return *known;
        }
        if !self.path.insert(fmri) {
            self.is_cut = true;
            return Never;
        }
        let verdict = self.all(groups).min(NotYet);
        self.path.remove(fmri);
        if !self.is_cut {
            self.known.insert(fmri, verdict);
        }
        self.is_cut &= !self.path.is_empty();
        verdict
    }
}
