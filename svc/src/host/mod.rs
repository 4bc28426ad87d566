//! The instances of a host as the commands see them: what the repository says, read once.
//!
//! [`Host`] is plain data, so that what the commands conclude from it is tested without a
//! repository. [`needs`] judges dependencies by the states that the restarter published.

pub mod needs;
#[cfg(test)]
#[path = "../../tests/common/sample.rs"]
pub(crate) mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::SystemTime;

use crate::clock;
use crate::fmri::Fmri;
use crate::repo::{Repo, RepoError, View};
use crate::restarter::config;
use crate::restarter::engine::{Dependency, Entity};
use crate::state::State;
use crate::value::{Groups, PropertyGroup};

/// The restarter of every instance that names no other.
pub const RESTARTER: &str = "svc:/system/svc/restarter:default";

/// A property group, and the properties in it that are wanted.
pub type Wanted = (&'static str, &'static [&'static str]);

/// Everything the commands look at.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The instances in order.
    pub instances: BTreeMap<Fmri, Instance>,
    /// The files among the dependencies that are there.
    pub files: BTreeSet<PathBuf>,
    /// Those that can't be looked for, in a folder that is closed to us, say.
    pub unknown_files: BTreeSet<PathBuf>,
}

/// One instance.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    /// Its property groups as it sees them, but `general` as edited: that counts at once.
    pub groups: Groups,
    /// Its dependency groups.
    pub dependencies: Vec<Dependency>,
}

impl Host {
    /// Reads all instances.
    pub fn load(repo: &Repo) -> Result<Self, RepoError> {
        let mut host = Self::default();
        let mut general = repo.pg_of_all("general", &[], &View::Composed)?;
        let all = repo.instances()?;
        let groups = repo.pgs_of(&all, &View::Running)?;
        for (fmri, groups) in all.into_iter().zip(groups) {
            let general = general.remove(&fmri);
            if let Some(groups) = groups {
                host.instances.insert(fmri, Instance::composed(groups, general));
            }
        }
        host.look_for_files();
        Ok(host)
    }

    /// Reads the instances among `changed`, and those of the services among it; what is gone is
    /// `None`.
    pub fn read_again(
        repo: &Repo,
        changed: &BTreeSet<Fmri>,
    ) -> Result<Vec<(Fmri, Option<Instance>)>, RepoError> {
        let mut concerned = changed.clone();
        if changed.iter().any(|fmri| !fmri.is_instance()) {
            let all = repo.instances()?.into_iter();
            concerned.extend(all.filter(|fmri| changed.contains(&fmri.service())));
        }
        let read = |fmri: Fmri| {
            let general = match repo.pg(&fmri, "general", &View::Composed) {
                Err(error) if error.is_not_found() => return Ok((fmri, None)),
                general => general?,
            };
            let instance = Instance::read(repo, &fmri, general)?;
            Ok((fmri, instance))
        };
        concerned.into_iter().filter(Fmri::is_instance).map(read).collect()
    }

    /// Takes in what [`Host::read_again`] found.
    pub fn replace(&mut self, news: Vec<(Fmri, Option<Instance>)>) {
        for (fmri, instance) in news {
            match instance {
                Some(instance) => drop(self.instances.insert(fmri, instance)),
                None => drop(self.instances.remove(&fmri)),
            }
        }
        self.look_for_files();
    }

    fn look_for_files(&mut self) {
        let dependencies = self.instances.values().flat_map(|instance| &instance.dependencies);
        let files = dependencies.flat_map(|dependency| &dependency.entities).filter_map(|entity| {
            match entity {
                Entity::File(path) => Some(path.clone()),
                Entity::Service(_) => None,
            }
        });
        let all: BTreeSet<PathBuf> = files.collect();
        (self.files, self.unknown_files) = Default::default();
        for path in all {
            match crate::root(&path.to_string_lossy()).try_exists() {
                Ok(true) => drop(self.files.insert(path)),
                Ok(false) => {}
                Err(_) => drop(self.unknown_files.insert(path)),
            }
        }
    }

    /// Reads of all instances only these properties of these groups: a few questions, however many
    /// instances there are.
    pub fn overview(repo: &Repo, wanted: &[Wanted]) -> Result<Self, RepoError> {
        let mut host = Self::default();
        for fmri in repo.instances()? {
            host.instances.insert(fmri, Instance::default());
        }
        // What the restarter says of an instance is said of nothing else.
        let view = |pg| if pg == "restarter" { &View::Direct } else { &View::Composed };
        let questions: Vec<_> = wanted.iter().map(|(pg, props)| (*pg, *props, view(*pg))).collect();
        for ((pg, _), groups) in wanted.iter().zip(repo.pgs_of_all(&questions)?) {
            for (fmri, group) in groups {
                let instance = host.instances.entry(fmri).or_default();
                instance.groups.insert((*pg).to_owned(), group);
            }
        }
        Ok(host)
    }

    /// The instances that a dependency's FMRI stands for: itself, or all of the service.
    pub fn named<'a>(
        &'a self,
        name: &'a Fmri,
    ) -> impl Iterator<Item = (&'a Fmri, &'a Instance)> + 'a {
        // The instances of a service follow each other, after the service itself.
        let candidates = self.instances.range(name..);
        candidates.take_while(move |(fmri, _)| is_meant(name, fmri))
    }

    /// The milestone that the system is at, unless that is all there is.
    pub fn milestone(&self) -> Option<&str> {
        let master = self.instances.get(&Fmri::parse(RESTARTER).ok()?)?;
        let set = |group| master.first(group, "milestone");
        set("options_ovr").or_else(|| set("options")).filter(|name| *name != "all")
    }

    /// Whether the file of a dependency is there.
    pub fn has_file(&self, path: &Path) -> bool {
        self.files.contains(path)
    }

    /// The instances that depend on `fmri` in any grouping but `exclude_all`.
    pub fn dependents<'a>(&'a self, fmri: &'a Fmri) -> impl Iterator<Item = &'a Fmri> + 'a {
        let depends = move |instance: &Instance| {
            let mut wanted = instance.wanted_services();
            wanted.any(|name| is_meant(name, fmri))
        };
        self.instances.iter().filter(move |(_, instance)| depends(instance)).map(|(fmri, _)| fmri)
    }
}

/// Whether the FMRI of a dependency stands for instance `fmri`.
fn is_meant(name: &Fmri, fmri: &Fmri) -> bool {
    name == fmri || (!name.is_instance() && name.service == fmri.service)
}

impl Instance {
    /// An instance with these property groups.
    pub fn new(groups: Groups) -> Self {
        let dependencies = config::read(groups.clone(), true).config.dependencies;
        Self { groups, dependencies }
    }

    /// Reads an instance; `None` if it was deleted since.
    fn read(
        repo: &Repo,
        fmri: &Fmri,
        general: Option<PropertyGroup>,
    ) -> Result<Option<Self>, RepoError> {
        match repo.pgs(fmri, &View::Running) {
            Err(error) if error.is_not_found() => Ok(None),
            groups => Ok(Some(Self::composed(groups?, general))),
        }
    }

    fn composed(mut groups: Groups, general: Option<PropertyGroup>) -> Self {
        groups.remove("general");
        groups.extend(general.map(|group| ("general".to_owned(), group)));
        Self::new(groups)
    }

    /// The first value of a property.
    pub fn first(&self, pg: &str, prop: &str) -> Option<&str> {
        self.groups.get(pg)?.first(prop)
    }

    fn boolean(&self, pg: &str, prop: &str) -> Option<bool> {
        self.groups.get(pg)?.get(prop)?.as_bool()
    }

    /// The state, unless the restarter published none yet.
    pub fn state(&self) -> Option<State> {
        self.first("restarter", "state")?.parse().ok()
    }

    /// The state that the method now running leads to.
    pub fn next_state(&self) -> Option<State> {
        self.first("restarter", "next_state")?.parse().ok()
    }

    /// Why it is in that state, in the restarter's word.
    pub fn auxiliary(&self) -> &str {
        self.first("restarter", "auxiliary_state").unwrap_or("none")
    }

    /// Since when it is in its state.
    pub fn since(&self) -> Option<SystemTime> {
        clock::from_property(self.first("restarter", "state_timestamp")?)
    }

    /// The numbers of its contracts.
    pub fn contracts(&self) -> Vec<u64> {
        let property = self.groups.get("restarter").and_then(|group| group.get("contract"));
        let values = property.map(|property| property.values.as_slice()).unwrap_or_default();
        values.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Who starts and stops it, as its description says.
    pub fn restarter(&self) -> &str {
        let named = self.first("general", "restarter").filter(|name| !name.is_empty());
        named.unwrap_or(RESTARTER)
    }

    /// Who asked for its maintenance, if a service did.
    pub fn requester(&self) -> Option<&str> {
        self.first("restarter", "auxiliary_fmri")
    }

    /// The paths of its logs: that of early boot, then the one in use.
    pub fn logfiles(&self) -> impl Iterator<Item = &str> {
        ["alt_logfile", "logfile"].into_iter().filter_map(|prop| self.first("restarter", prop))
    }

    /// The path of its log.
    pub fn logfile(&self) -> Option<&str> {
        self.first("restarter", "logfile")
    }

    /// How its start method ended: a status as wait(2) gives it.
    pub fn start_status(&self) -> Option<i32> {
        let property = self.groups.get("restarter")?.get("start_method_waitstatus")?;
        property.as_integer()?.try_into().ok()
    }

    /// How often it was started again since boot.
    pub fn restarts(&self) -> u64 {
        self.first("restarter", "restarts").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether it shall run at the next boot.
    pub fn is_enabled_for_good(&self) -> bool {
        self.boolean("general", "enabled").unwrap_or(false)
    }

    /// Whether it shall run now.
    pub fn is_enabled(&self) -> bool {
        self.boolean("general_ovr", "enabled").unwrap_or_else(|| self.is_enabled_for_good())
    }

    /// Whether that is so until the next boot only.
    pub fn is_temporary(&self) -> bool {
        self.is_enabled() != self.is_enabled_for_good()
    }

    /// Why it is temporarily enabled or disabled.
    pub fn comment(&self) -> Option<&str> {
        self.first("general_ovr", "comment").filter(|text| !text.is_empty())
    }

    /// Whether its start method switched it off until the next boot (`SMF_EXIT_TEMP_DISABLE`).
    pub fn gave_up(&self) -> bool {
        const TEMP_DISABLE: i32 = 101;
        let code = self.start_status().and_then(|raw| ExitStatus::from_raw(raw).code());
        let told = self.comment().is_some() || code == Some(TEMP_DISABLE);
        !self.is_enabled() && self.is_temporary() && told
    }

    /// Its name for humans.
    pub fn common_name(&self) -> Option<String> {
        let name = self.first("tm_common_name", "C")?;
        Some(name.replace('\n', " "))
    }

    /// The services it depends on, those of `exclude_all` groups left out.
    pub fn wanted_services(&self) -> impl Iterator<Item = &Fmri> {
        use crate::restarter::engine::Grouping::ExcludeAll;
        let wanted = self.dependencies.iter().filter(|group| group.grouping != ExcludeAll);
        wanted.flat_map(|group| &group.entities).filter_map(|entity| match entity {
            Entity::Service(fmri) => Some(fmri),
            Entity::File(_) => None,
        })
    }

    /// The manual pages as (title, section, folder).
    pub fn manual_pages(&self) -> Vec<(&str, &str, &str)> {
        let pages = self.template("tm_man_");
        pages
            .filter_map(|group| {
                let folder = group.first("manpath").unwrap_or(":default");
                Some((group.first("title")?, group.first("section")?, folder))
            })
            .collect()
    }

    /// Where there is more to read.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        self.template("tm_doc_").filter_map(|group| group.first("uri"))
    }

    fn template(&self, prefix: &str) -> impl Iterator<Item = &PropertyGroup> {
        let groups = self.groups.iter().filter(move |(name, _)| name.starts_with(prefix));
        groups.map(|(_, group)| group)
    }
}
