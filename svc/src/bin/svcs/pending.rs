//! Changes of an instance's properties that have no effect yet: edited but not refreshed, or
//! refreshed but not seen by the processes, which were started before (smf(7), snapshots).

use svc::fmri::Fmri;
use svc::host::Instance;
use svc::repo::{Repo, RepoError, View, snapshots};
use svc::state::State;
use svc::value::{Groups, PropertyGroup};

/// Properties as `group/property`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// A refresh would make them visible.
    pub edited: Vec<String>,
    /// A restart would.
    pub refreshed: Vec<String>,
}

impl Pending {
    /// Compares what is edited with the snapshots `running` and `start`.
    pub fn read(repo: &Repo, fmri: &Fmri, instance: &Instance) -> Result<Self, RepoError> {
        let Some(running) = snapshot(repo, fmri, snapshots::RUNNING)? else {
            return Ok(Self::default());
        };
        let edited = differences(&repo.pgs(fmri, &View::Composed)?, &running, is_kept);
        let mut pending = Self { edited, refreshed: Vec::new() };
        if instance.state().is_some_and(State::is_running)
            && let Some(start) = snapshot(repo, fmri, snapshots::START)?
        {
            pending.refreshed = differences(&running, &start, needs_restart);
        }
        Ok(pending)
    }
}

fn snapshot(repo: &Repo, fmri: &Fmri, name: &str) -> Result<Option<Groups>, RepoError> {
    match repo.pgs(fmri, &View::Snapshot(name.to_owned())) {
        Err(error) if error.is_not_found() => Ok(None),
        groups => groups.map(Some),
    }
}

/// Whether a refresh concerns the group: `general` counts at once, and what is not persistent is
/// in no snapshot.
fn is_kept(name: &str, group: &PropertyGroup) -> bool {
    group.persistent && name != "general"
}

/// Whether processes may have read the group when they were started. Dependencies, what startd
/// is told, and the other methods are heeded from the refresh on.
fn needs_restart(name: &str, group: &PropertyGroup) -> bool {
    match group.ty.as_str() {
        "dependency" | "template" => false,
        "method" => name == "start",
        "framework" => name == "method_context",
        _ => is_kept(name, group),
    }
}

/// The properties that are not the same in both, of groups that count.
fn differences(a: &Groups, b: &Groups, counts: fn(&str, &PropertyGroup) -> bool) -> Vec<String> {
    let missing = |from: &Groups, pg: &str, prop: &str| {
        from.get(pg).is_none_or(|group| group.get(prop).is_none())
    };
    let mut found = Vec::new();
    for (pg, group) in a.iter().filter(|(pg, group)| counts(pg, group)) {
        let other = b.get(pg);
        let changed = group
            .props
            .iter()
            .filter(|(prop, property)| other.and_then(|other| other.get(prop)) != Some(property));
        found.extend(changed.map(|(prop, _)| format!("{pg}/{prop}")));
    }
    for (pg, group) in b.iter().filter(|(pg, group)| counts(pg, group)) {
        let gone = group.props.keys().filter(|prop| missing(a, pg, prop));
        found.extend(gone.map(|prop| format!("{pg}/{prop}")));
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::{PropType, Property};

    fn groups(props: &[(&str, &str, &str, &str)]) -> Groups {
        let mut groups = Groups::new();
        for (pg, ty, prop, value) in props {
            let group = groups.entry((*pg).to_owned()).or_insert_with(|| PropertyGroup::new(ty));
            let property = Property { ty: PropType::Astring, values: vec![(*value).to_owned()] };
            group.props.insert((*prop).to_owned(), property);
        }
        groups
    }

    #[test]
    fn changed_new_and_deleted_properties_differ() {
        let a = groups(&[
            ("config", "application", "same", "1"),
            ("config", "application", "changed", "1"),
            ("config", "application", "new", "1"),
            ("general", "framework", "enabled", "true"),
        ]);
        let b = groups(&[
            ("config", "application", "same", "1"),
            ("config", "application", "changed", "2"),
            ("old", "application", "gone", "1"),
        ]);
        let expected = ["config/changed", "config/new", "old/gone"];
        assert_eq!(differences(&a, &b, is_kept), expected);
        assert_eq!(differences(&b, &a, is_kept), expected);
        assert!(differences(&a, &a, is_kept).is_empty());
    }

    #[test]
    fn only_what_processes_have_read_needs_a_restart() {
        let all = groups(&[
            ("config", "application", "port", "1"),
            ("store", "dependency", "entities", "svc:/a"),
            ("startd", "framework", "duration", "child"),
            ("method_context", "framework", "user", "root"),
            ("start", "method", "exec", "x"),
            ("stop", "method", "exec", "y"),
            ("tm_common_name", "template", "C", "z"),
        ]);
        let found = differences(&all, &Groups::new(), needs_restart);
        assert_eq!(found, ["config/port", "method_context/user", "start/exec"]);
    }
}
