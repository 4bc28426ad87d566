//! `svcadm milestone`: which milestones there are, and what one means for each instance.

use std::collections::BTreeSet;

use svc::cli::SVCADM;
use svc::fmri::Fmri;
use svc::host::{Host, RESTARTER};
use svc::repo::{Repo, actions};

use crate::goal::{Awaited, Goal};
use crate::options::Options;
use crate::{Error, own_instance};

/// The major milestones, in the order in which they are reached.
const MAJOR: [&str; 3] = [
    "svc:/milestone/single-user:default",
    "svc:/milestone/multi-user:default",
    "svc:/milestone/multi-user-server:default",
];

/// A milestone as `svc.startd` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Milestone {
    All,
    None,
    Instance(Fmri),
}

impl Milestone {
    /// Reads a name: `all`, `none`, a major milestone, which may be abbreviated, or the instance of
    /// another one: `svc:/milestone/NAME:INSTANCE`, where the instance may be left out.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            _ => {
                let major = MAJOR.into_iter().find(|fmri| is_meant(name, fmri));
                let fmri = Fmri::parse(major.unwrap_or(name)).ok()?;
                let is_one = fmri.service.starts_with("milestone/");
                let fmri = if fmri.is_instance() { fmri } else { fmri.with_instance("default") };
                is_one.then_some(Self::Instance(fmri))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::None => "none".to_owned(),
            Self::Instance(fmri) => fmri.to_string(),
        }
    }
}

/// Whether `name` is whole components of `fmri`, up to its instance or its end.
fn is_meant(name: &str, fmri: &str) -> bool {
    fmri.match_indices(name).any(|(start, _)| {
        let (before, after) = (&fmri[..start], &fmri[start + name.len()..]);
        (before.is_empty() || before.ends_with('/')) && (after.is_empty() || after.starts_with(':'))
    })
}

/// The usage of the subcommand.
pub(crate) fn usage() -> String {
    let synopsis = SVCADM.subcommand("milestone").map_or("", |subcommand| subcommand.synopsis);
    let major: String = MAJOR.iter().map(|fmri| format!("\n\t{fmri}")).collect();
    format!(
        "Usage: svcadm {synopsis}\n\n\
         \t-d\tmake the specified milestone the default for system boot\n\n\
         \tMilestones can be specified using an FMRI or abbreviation.\n\
         \tThe major milestones are as follows:\n\n\tall\n\tnone{major}"
    )
}

/// Asks `svc.startd` to go to `milestone`; returns what to wait for.
pub(crate) fn go(
    repo: &Repo,
    host: &Host,
    milestone: &Milestone,
    at_boot: bool,
    options: &Options,
) -> Result<Vec<Awaited>, Error> {
    let fail = |line: String| Err(Error::Failed(line));
    let restarter = Fmri::parse(RESTARTER).map_err(|error| Error::Failed(error.to_string()))?;
    if !host.instances.contains_key(&restarter) {
        return fail(format!("No such instance \"{restarter}\" (is svc.startd running?)."));
    }
    if let Milestone::Instance(fmri) = milestone
        && !host.instances.contains_key(fmri)
    {
        return fail(format!("No such instance \"{fmri}\"."));
    }
    if let (Some(own), Some(_)) = (own_instance(), options.wait) {
        return fail(format!("a method of {own} cannot wait for all services (use no -s)."));
    }
    repo.commit(actions::milestone(&restarter, &milestone.name(), at_boot)).map_err(|error| {
        match error.is_denied() {
            true => Error::Failed(format!("{restarter}: Permission denied.")),
            false => Error::Repo(error),
        }
    })?;
    let inside = subgraph(host, milestone);
    let others = host.instances.iter().filter(|(fmri, _)| **fmri != restarter);
    let awaited = others.map(|(fmri, instance)| {
        let runs = inside.contains(fmri) && instance.is_enabled_for_good();
        let goal = if runs { Goal::Running } else { Goal::Stopped };
        Awaited { fmri: fmri.clone(), goal, asked: restarter.clone() }
    });
    Ok(awaited.collect())
}

/// The instances that may run: the milestone and all that it depends on.
fn subgraph(host: &Host, milestone: &Milestone) -> BTreeSet<Fmri> {
    let mut todo: Vec<&Fmri> = match milestone {
        Milestone::All => host.instances.keys().collect(),
        Milestone::None => Vec::new(),
        Milestone::Instance(fmri) => vec![fmri],
    };
    let mut inside = BTreeSet::new();
    while let Some(fmri) = todo.pop() {
        if !inside.insert(fmri.clone()) {
            continue;
        }
        let wanted = host.instances.get(fmri).into_iter().flat_map(|i| i.wanted_services());
        todo.extend(wanted.flat_map(|name| host.named(name)).map(|(fmri, _)| fmri));
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};

    #[test]
    fn milestones_are_abbreviated_at_components() {
        let multi_user = Milestone::Instance(Fmri::parse(MAJOR[1]).unwrap());
        for name in ["multi-user", "milestone/multi-user", "multi-user:default", MAJOR[1]] {
            assert_eq!(Milestone::parse(name), Some(multi_user.clone()), "{name}");
        }
        for name in ["user", "multi", "milestone", ":default", "", "network"] {
            assert_eq!(Milestone::parse(name), None, "{name}");
        }
        assert_eq!(Milestone::parse("all"), Some(Milestone::All));
        let other = Milestone::Instance(Fmri::parse("svc:/milestone/guests:default").unwrap());
        for name in ["svc:/milestone/guests", "svc:/milestone/guests:default"] {
            assert_eq!(Milestone::parse(name), Some(other.clone()), "{name}");
        }
        assert_eq!(Milestone::parse("svc:/network/guests:default"), None);
    }

    #[test]
    fn all_that_a_milestone_depends_on_may_run() {
        let host = Sample::default()
            .instance("a", "online", true)
            .instance("b", "online", true)
            .instance("c", "online", true)
            .instance("d", "online", true)
            .needs("a", "optional_all", "svc:/b")
            .needs("b", "require_all", "svc:/c:default")
            .needs("b", "exclude_all", "svc:/d")
            .host();
        let inside = subgraph(&host, &Milestone::Instance(fmri("a")));
        assert_eq!(inside, ["a", "b", "c"].map(fmri).into());
        assert_eq!(subgraph(&host, &Milestone::None), BTreeSet::new());
    }
}
