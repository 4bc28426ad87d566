//! What administrators ask of restarters (svcadm(8)), as changes to the repository. A request is a
//! property of the group `restarter_actions`, whose value is its time, so that each is a change.

use std::time::SystemTime;

use super::wire::Change;
use crate::fmri::Fmri;
use crate::value::PropType;

/// The group of requests.
const ACTIONS: &str = "restarter_actions";

/// The group that holds until the next boot and goes before `general`.
const OVERRIDE: &str = "general_ovr";

/// The changes that ask the restarter of `fmri` for `action`.
pub fn request(fmri: &Fmri, action: &str) -> Vec<Change> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = now.as_nanos().to_string();
    vec![group(fmri, ACTIONS, false), set(fmri, ACTIONS, action, PropType::Integer, &time)]
}

/// The changes that ask for a restart; with `dump` the processes shall leave core files first.
pub fn restart(fmri: &Fmri, dump: bool) -> Vec<Change> {
    const DUMP: &str = "do_dump";
    let mut changes = request(fmri, "restart");
    changes.push(match dump {
        true => set(fmri, ACTIONS, DUMP, PropType::Boolean, "true"),
        false => {
            let (pg, prop) = (ACTIONS.to_owned(), DUMP.to_owned());
            Change::DelProp { fmri: fmri.clone(), pg, prop }
        }
    });
    changes
}

/// The changes that ask for a mark, and say who asks: somebody at a terminal, or a program, which
/// may be a service (`auxiliary_tty` and `auxiliary_fmri` as svcadm(8) of illumos sets them).
pub fn mark(fmri: &Fmri, action: &str, at_terminal: bool, by: Option<&Fmri>) -> Vec<Change> {
    const BY: &str = "auxiliary_fmri";
    let mut changes = request(fmri, action);
    let at_terminal = at_terminal.to_string();
    changes.push(set(fmri, ACTIONS, "auxiliary_tty", PropType::Boolean, &at_terminal));
    changes.push(match by {
        Some(by) => set(fmri, ACTIONS, BY, PropType::Astring, &by.to_string()),
        None => {
            let (pg, prop) = (ACTIONS.to_owned(), BY.to_owned());
            Change::DelProp { fmri: fmri.clone(), pg, prop }
        }
    });
    changes
}

/// The changes that enable or disable `fmri`, for good or until the next boot.
pub fn switch(fmri: &Fmri, enabled: bool, temporary: bool) -> Vec<Change> {
    let pg = if temporary { OVERRIDE } else { "general" };
    let other = match temporary {
        // A reason that was given for an earlier setting isn't the reason for this one.
        true => {
            let (pg, prop) = (pg.to_owned(), "comment".to_owned());
            Change::DelProp { fmri: fmri.clone(), pg, prop }
        }
        false => Change::DelPg { fmri: fmri.clone(), pg: OVERRIDE.to_owned() },
    };
    let enabled = enabled.to_string();
    vec![group(fmri, pg, !temporary), set(fmri, pg, "enabled", PropType::Boolean, &enabled), other]
}

/// The changes that note why `fmri` was disabled, to come after [`switch`].
pub fn comment(fmri: &Fmri, text: &str) -> Vec<Change> {
    vec![group(fmri, OVERRIDE, false), set(fmri, OVERRIDE, "comment", PropType::Astring, text)]
}

/// The changes that have the master restarter `fmri` go to a milestone now; with `at_boot` at each
/// boot, too.
pub fn milestone(fmri: &Fmri, name: &str, at_boot: bool) -> Vec<Change> {
    let to = |pg: &str, persistent: bool| {
        [group(fmri, pg, persistent), set(fmri, pg, "milestone", PropType::Astring, name)]
    };
    let lasting = at_boot.then(|| to("options", true));
    lasting.into_iter().flatten().chain(to("options_ovr", false)).collect()
}

fn group(fmri: &Fmri, pg: &str, persistent: bool) -> Change {
    let (pg, ty) = (pg.to_owned(), "framework".to_owned());
    Change::AddPg { fmri: fmri.clone(), pg, ty, persistent }
}

fn set(fmri: &Fmri, pg: &str, prop: &str, ty: PropType, value: &str) -> Change {
    let (pg, prop, values) = (pg.to_owned(), prop.to_owned(), vec![value.to_owned()]);
    Change::SetProp { fmri: fmri.clone(), pg, prop, ty, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_for_good_is_kept() {
        let fmri = Fmri::parse("svc:/a:default").unwrap();
        for (temporary, group) in [(false, "general"), (true, "general_ovr")] {
            let changes = switch(&fmri, true, temporary);
            let [Change::AddPg { pg, persistent, .. }, Change::SetProp { values, .. }, last] =
                changes.as_slice()
            else {
                panic!("{changes:?}");
            };
            assert_eq!((pg.as_str(), *persistent), (group, !temporary));
            assert_eq!(values, &["true"]);
            assert_eq!(matches!(last, Change::DelPg { .. }), !temporary);
        }
        let groups = |at_boot| {
            let changes = milestone(&fmri, "all", at_boot);
            let of = |change| match change {
                Change::AddPg { pg, persistent, .. } => Some((pg, persistent)),
                _ => None,
            };
            changes.into_iter().filter_map(of).collect::<Vec<_>>()
        };
        let group = |name: &str, persistent| (name.to_owned(), persistent);
        assert_eq!(groups(false), [group("options_ovr", false)]);
        assert_eq!(groups(true), [group("options", true), group("options_ovr", false)]);
    }
}
