//! The master restarter as an instance of the repository, and the milestone that is set there.

use std::time::SystemTime;

use super::Daemon;
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError, View};
use crate::restarter::engine::{Event, Look, Milestone};
use crate::restarter::log;
use crate::restarter::method::RESTARTER;
use crate::restarter::publish::{self, Processes};
use crate::state::State;
use crate::value::PropType;

/// Whether the instance is the master restarter, which is us.
pub(super) fn is_master(fmri: &Fmri) -> bool {
    Fmri::parse(RESTARTER).is_ok_and(|master| *fmri == master)
}

/// Makes the master restarter's instance, if it isn't there, and shows that it runs. It has no
/// snapshots: what is set on it counts at once.
pub(super) fn appear(repo: &Repo) -> Result<(), RepoError> {
    let Ok(master) = Fmri::parse(RESTARTER) else { return Ok(()) };
    if !repo.instances()?.contains(&master) {
        let (fmri, pg) = (master.clone(), "general".to_owned());
        let ty = "framework".to_owned();
        let general = Change::AddPg { fmri: fmri.clone(), pg: pg.clone(), ty, persistent: true };
        let (prop, ty, values) = ("enabled".to_owned(), PropType::Boolean, vec!["true".to_owned()]);
        let enabled = Change::SetProp { fmri: fmri.clone(), pg, prop, ty, values };
        repo.commit(vec![Change::AddInstance(fmri), general, enabled])?;
    }
    let look = Look { state: State::Online, next: None, auxiliary: "none".to_owned() };
    let shown = publish::changes(&master, &look, SystemTime::now(), &Processes::default(), None);
    repo.commit(shown).map(drop)
}

/// The milestone that counts: the one until the next boot, else the lasting one, else all.
fn read(repo: &Repo) -> Result<Milestone, RepoError> {
    let Ok(master) = Fmri::parse(RESTARTER) else { return Ok(Milestone::All) };
    for group in ["options_ovr", "options"] {
        let group = repo.pg(&master, group, &View::Composed)?;
        let Some(name) = group.as_ref().and_then(|group| group.first("milestone")) else {
            continue;
        };
        match (name, Fmri::parse(name)) {
            ("all", _) => return Ok(Milestone::All),
            ("none", _) => return Ok(Milestone::Nothing),
            (_, Ok(fmri)) if fmri.is_instance() => return Ok(Milestone::Instance(fmri)),
            _ => log::global(&format!("\"{name}\" is not a milestone; it is ignored")),
        }
    }
    Ok(Milestone::All)
}

impl Daemon {
    /// Begins with the milestone that is set, before anything is started.
    pub(super) fn take_up_milestone(&mut self) -> Result<(), RepoError> {
        self.milestone = read(&self.repo)?;
        self.events.push_back(Event::Milestone(self.milestone.clone()));
        Ok(())
    }

    /// Goes to another milestone. What was enabled or disabled until the next boot inside of it is
    /// forgotten.
    pub(super) fn milestone_changed(&mut self) -> Result<(), RepoError> {
        let milestone = read(&self.repo)?;
        if milestone == self.milestone {
            return Ok(());
        }
        self.milestone = milestone;
        self.events.push_back(Event::Milestone(self.milestone.clone()));
        self.settle();
        let pg = "general_ovr";
        let overridden = self.repo.pg_of_all(pg, &["enabled"], &View::Direct)?;
        let inside = overridden.into_keys().filter(|fmri| self.engine.is_inside(fmri));
        let changes = inside.map(|fmri| Change::DelPg { fmri, pg: pg.to_owned() }).collect();
        self.repo.commit(changes).map(drop)
    }
}
