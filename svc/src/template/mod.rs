//! Templates (smf_template(7)): which property groups and properties a service knows, what they
//! are for, and which values they may have. They are kept as property groups themselves, as
//! manifests deliver them; an instance is checked against them.

mod pattern;
mod validate;

pub use pattern::{PgPattern, PropPattern, ValueText};
pub use validate::{Violation, validate};

use crate::fmri::Fmri;
use crate::repo::{Repo, RepoError, View};
use crate::value::Groups;

/// The restarter of whoever names no other.
const MASTER: &str = "svc:/system/svc/restarter:default";
/// Whose templates may be about all services.
const GLOBAL: &str = "svc:/system/svc/global";

/// Where a template is, in the order in which one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// At the instance itself.
    Instance,
    /// At its service.
    Service,
    /// At its restarter.
    Restarter,
    /// For all.
    Global,
}

impl Level {
    /// The targets that a pattern there may have to be about the instance (`pg_pattern` in
    /// service_bundle(5)).
    fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Instance => &["this"],
            Self::Service => &["this", "instance"],
            Self::Restarter => &["delegate"],
            Self::Global => &["all"],
        }
    }
}

/// The templates for one instance, or for a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates {
    patterns: Vec<PgPattern>,
}

impl Templates {
    /// Those in the groups of `fmri`, which counts at `level`.
    pub fn add(&mut self, level: Level, fmri: &Fmri, groups: &Groups) {
        let of_target = |pattern: &PgPattern| level.targets().contains(&pattern.target.as_str());
        self.patterns.extend(PgPattern::all(level, fmri, groups).into_iter().filter(of_target));
        // The most specific one counts: by place, then by what it says of name and type.
        self.patterns.sort_by_key(|p| (p.level, p.name.is_empty(), p.ty.is_empty()));
    }

    /// Those for `fmri`, which has the groups `instance` of its own (none if it is a service) and
    /// inherits those of its `service`. Restarters and others are looked up in `repo`, if there is
    /// one.
    pub fn of(
        repo: Option<&Repo>,
        fmri: &Fmri,
        instance: &Groups,
        service: &Groups,
    ) -> Result<Self, RepoError> {
        let mut templates = Self::default();
        templates.add(Level::Instance, fmri, instance);
        templates.add(Level::Service, &fmri.service(), service);
        let Some(repo) = repo else { return Ok(templates) };
        let named = |groups: &Groups| {
            let restarter = groups.get("general")?.first("restarter")?.to_owned();
            (!restarter.is_empty()).then_some(restarter)
        };
        let restarter = named(instance).or_else(|| named(service)).unwrap_or(MASTER.to_owned());
        for (level, name) in [(Level::Restarter, restarter.as_str()), (Level::Global, GLOBAL)] {
            let Ok(whose) = Fmri::parse(name) else { continue };
            match repo.pgs(&whose, &View::Composed) {
                Err(error) if error.is_not_found() => {}
                groups => templates.add(level, &whose, &groups?),
            }
        }
        Ok(templates)
    }

    /// Those of an instance and its service among the groups that it has and inherits.
    pub fn composed(fmri: &Fmri, groups: &Groups) -> Self {
        let mut templates = Self::default();
        templates.add(Level::Instance, fmri, groups);
        templates.add(Level::Service, &fmri.service(), groups);
        templates
    }

    /// Those for `fmri` as it is edited now.
    pub fn edited(repo: &Repo, fmri: &Fmri) -> Result<Self, RepoError> {
        let service = repo.pgs(&fmri.service(), &View::Direct)?;
        let instance = match fmri.is_instance() {
            true => repo.pgs(fmri, &View::Direct)?,
            false => Groups::new(),
        };
        Self::of(Some(repo), fmri, &instance, &service)
    }

    /// The pattern for a group of that name and type.
    pub fn group(&self, name: &str, ty: &str) -> Option<&PgPattern> {
        self.patterns.iter().find(|pattern| pattern.is_for(name, ty))
    }

    /// The pattern for a property of such a group.
    pub fn property(&self, pg: &str, ty: &str, prop: &str) -> Option<&PropPattern> {
        self.group(pg, ty)?.property(prop)
    }
}
