//! Changes that depend on what was read: they are made only if nobody else changed that meanwhile,
//! so that of two administrators' edits none is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{Repo, RepoError};
use super::wire::Change;
use crate::fmri::Fmri;

/// How often changes are made up anew because somebody else was faster. Who is slower than that
/// a hundred times in a row is told so rather than kept waiting.
const ATTEMPTS: usize = 100;

/// A property group of a service or an instance.
type Place = (Fmri, String);

impl Change {
    /// The property group that the step is about, if it is about one.
    fn place(&self) -> Option<(&Fmri, &str)> {
        match self {
            Self::AddPg { fmri, pg, .. }
            | Self::DelPg { fmri, pg }
            | Self::SetProp { fmri, pg, .. }
            | Self::DelProp { fmri, pg, .. } => Some((fmri, pg)),
            _ => None,
        }
    }
}

fn places(changes: &[Change]) -> BTreeSet<(&Fmri, &str)> {
    changes.iter().filter_map(Change::place).collect()
}

/// `changes`, refused if somebody changed a property group that they are about after generation
/// `since`.
pub fn guarded(since: u64, changes: Vec<Change>) -> Vec<Change> {
    Guard::new(since).guarded(changes)
}

impl Repo {
    /// Commits the changes that `decide` makes of what it reads. If somebody else was faster with
    /// one of the property groups, it reads and decides again. Returns what the last decision was
    /// about besides the changes.
    pub fn edit<T, E: From<RepoError>>(
        &self,
        mut decide: impl FnMut() -> Result<(Vec<Change>, T), E>,
    ) -> Result<T, E> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let since = self.generation()?;
            let (changes, about) = decide()?;
            if changes.is_empty() {
                return Ok(about);
            }
            match self.commit(guarded(since, changes)) {
                Err(error) if error.is_stale() && attempts < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(about),
            }
        }
    }
}

/// What somebody has in front of him who edits for a while, commit by commit.
#[derive(Debug)]
pub struct Guard {
    since: u64,
    own: BTreeMap<Place, u64>,
}

impl Guard {
    /// Everything as it was in generation `since`.
    pub fn new(since: u64) -> Self {
        Self { since, own: BTreeMap::new() }
    }

    /// `changes`, refused if one of their property groups isn't as it was then, or as it has been
    /// left since by commits under this guard.
    pub fn guarded(&self, changes: Vec<Change>) -> Vec<Change> {
        let unchanged = |(fmri, pg): (&Fmri, &str)| {
            let place = (fmri.clone(), pg.to_owned());
            let since = self.own.get(&place).copied().unwrap_or(self.since);
            let (fmri, pg) = place;
            Change::Unchanged { fmri, pg, since }
        };
        let guards: Vec<Change> = places(&changes).into_iter().map(unchanged).collect();
        [guards, changes].concat()
    }

    /// Remembers that `changes` were committed, which made `generation`.
    pub fn committed(&mut self, changes: &[Change], generation: u64) {
        for (fmri, pg) in places(changes) {
            self.own.insert((fmri.clone(), pg.to_owned()), generation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delete(pg: &str) -> Change {
        Change::DelPg { fmri: Fmri::parse("svc:/a:x").unwrap(), pg: pg.to_owned() }
    }

    fn guards(changes: &[Change]) -> Vec<(&str, u64)> {
        let guard = |change| match change {
            &Change::Unchanged { ref pg, since, .. } => Some((pg.as_str(), since)),
            _ => None,
        };
        changes.iter().filter_map(guard).collect()
    }

    #[test]
    fn each_group_is_guarded_once() {
        let changes = guarded(7, vec![delete("b"), delete("a"), delete("b")]);
        assert_eq!(guards(&changes), [("a", 7), ("b", 7)]);
        assert_eq!(changes.len(), 5, "and all is done");
        let entity = Change::AddService(Fmri::parse("svc:/a").unwrap());
        assert_eq!(guarded(7, vec![entity.clone()]), [entity]);
    }

    #[test]
    fn ones_own_edits_are_no_surprise() {
        let mut guard = Guard::new(7);
        guard.committed(&[delete("a")], 9);
        assert_eq!(guards(&guard.guarded(vec![delete("a"), delete("b")])), [("a", 9), ("b", 7)]);
    }
}
