//! The rules of dependencies (smf(7)): is a group satisfied, can it be?
//!
//! They serve the graph engine, which knows what its instances do, and the commands, which know
//! what the restarters published; [`Services`] is what the two have in common.

use std::collections::HashMap;
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
    path: Vec<&'a Fmri>,
    /// What the descent met the path again for holds only on that path.
    is_cut: bool,
    known: HashMap<&'a Fmri, Satisfaction>,
}

impl<'a, S: Services> Judge<'a, S> {
    /// A judge of `services` as they are now.
    pub fn new(services: &'a S) -> Self {
        Self { services, path: Vec::new(), is_cut: false, known: HashMap::new() }
    }

    /// All dependency groups of an instance together.
    pub fn all(&mut self, groups: &'a [Dependency]) -> Satisfaction {
        groups.iter().map(|group| self.group(group)).min().unwrap_or(Yes)
    }

    /// One dependency group.
    pub fn group(&mut self, group: &'a Dependency) -> Satisfaction {
        let each = group.entities.iter().map(|entity| self.entity(group.grouping, entity));
        let together = match group.grouping {
            Grouping::RequireAny => each.max(),
            _ => each.min(),
        };
        together.unwrap_or(Yes)
    }

    /// One entity of a group.
    pub fn entity(&mut self, grouping: Grouping, entity: &'a Entity) -> Satisfaction {
        let name = match entity {
            Entity::Service(name) => name,
            Entity::File(file) => {
                let wanted = grouping != Grouping::ExcludeAll;
                // Files are assumed not to come or go by themselves.
                return if self.services.exists(file) == wanted { Yes } else { Never };
            }
        };
        let services = self.services;
        let each = services.named(name).map(|(fmri, standing)| match grouping {
            Grouping::ExcludeAll => excluded(standing),
            // An optional service is fine when it runs and when it can't come up.
            Grouping::OptionalAll if self.instance(fmri, standing) == NotYet => NotYet,
            Grouping::OptionalAll => Yes,
            _ => self.instance(fmri, standing),
        });
        match grouping {
            // A service counts as any one of its instances.
            Grouping::RequireAll | Grouping::RequireAny => each.max().unwrap_or(Never),
            _ => each.min().unwrap_or(Yes),
        }
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
        if self.path.contains(&fmri) {
            self.is_cut = true;
            return Never;
        }
        self.path.push(fmri);
        let verdict = self.all(groups).min(NotYet);
        self.path.pop();
        if !self.is_cut {
            self.known.insert(fmri, verdict);
        }
        self.is_cut &= !self.path.is_empty();
        verdict
    }
}

/// What runs, or would if it could, is not going away by itself.
fn excluded(standing: Standing) -> Satisfaction {
    match standing {
        Standing::Down => Yes,
        Standing::Moving => NotYet,
        Standing::Up | Standing::Waiting(_) => Never,
    }
}
