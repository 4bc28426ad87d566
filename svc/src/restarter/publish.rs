//! The `restarter` property group: how an instance is doing, for the commands to see.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::SystemTime;

use super::engine::Look;
use super::log;
use crate::clock;
use crate::contract::Id;
use crate::fmri::Fmri;
use crate::repo::Change;
use crate::value::{PropType, PropertyGroup};

const GROUP: &str = "restarter";

/// What is known of an instance's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Processes {
    /// Its contract.
    pub(crate) contract: Option<Id>,
    /// The contract of a stop or refresh method that runs now.
    pub(crate) transient: Option<Id>,
    /// The start method's process.
    pub(crate) start_pid: Option<i32>,
    /// When the start method began.
    pub(crate) start_time: Option<SystemTime>,
    /// How the start method ended.
    pub(crate) start_status: Option<ExitStatus>,
    /// How often it was started again since boot.
    pub(crate) restarts: u64,
}

/// The changes that show an instance as it is, if of its processes `before` is shown.
pub(crate) fn changes(
    fmri: &Fmri,
    look: &Look,
    since: SystemTime,
    processes: &Processes,
    before: Option<&Processes>,
) -> Vec<Change> {
    let set = |prop: &str, ty: PropType, values: Vec<String>| Change::SetProp {
        fmri: fmri.clone(),
        pg: GROUP.to_owned(),
        prop: prop.to_owned(),
        ty,
        values,
    };
    let text = |prop: &str, value: &str| set(prop, PropType::Astring, vec![value.to_owned()]);
    let mut changes = vec![
        Change::AddPg {
            fmri: fmri.clone(),
            pg: GROUP.to_owned(),
            ty: "framework".to_owned(),
            persistent: false,
        },
        text("state", look.state.name()),
        text("next_state", look.next.map_or("none", |state| state.name())),
        text("auxiliary_state", &look.auxiliary),
        set("state_timestamp", PropType::Time, vec![clock::to_property(since)]),
    ];
    if before.is_none() {
        changes.push(text("logfile", &log::shown_path(fmri)));
    }
    let earlier = before.map(Processes::shown).unwrap_or_default();
    let now = processes.shown().into_iter();
    let news = now.filter(|property| !earlier.contains(property));
    changes.extend(news.map(|(prop, ty, values)| set(prop, ty, values)));
    changes
}

impl Processes {
    /// As properties. One that is not known now stays as it was.
    fn shown(&self) -> Vec<(&'static str, PropType, Vec<String>)> {
        let ids = |id: Option<Id>| id.iter().map(Id::to_string).collect();
        let time = self.start_time.map(clock::to_property);
        let status = self.start_status.map(|status| status.into_raw().to_string());
        let restarts = (self.restarts > 0).then(|| self.restarts.to_string());
        let optional = [
            ("start_pid", PropType::Count, self.start_pid.map(|pid| pid.to_string())),
            ("start_method_timestamp", PropType::Time, time),
            ("restarts", PropType::Count, restarts),
            ("start_method_waitstatus", PropType::Integer, status),
        ];
        let mut shown = vec![
            ("contract", PropType::Count, ids(self.contract)),
            ("transient_contract", PropType::Count, ids(self.transient)),
        ];
        let known = optional.into_iter().filter_map(|(prop, ty, value)| Some((prop, ty, value?)));
        shown.extend(known.map(|(prop, ty, value)| (prop, ty, vec![value])));
        shown
    }
}

/// The change that shows which service asked for maintenance, if it is known.
pub(crate) fn requester(fmri: &Fmri, name: Option<&str>) -> Change {
    Change::SetProp {
        fmri: fmri.clone(),
        pg: GROUP.to_owned(),
        prop: "auxiliary_fmri".to_owned(),
        ty: PropType::Astring,
        values: name.map(str::to_owned).into_iter().collect(),
    }
}

/// What an earlier restarter wrote.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    pub(crate) look: Look,
    pub(crate) since: SystemTime,
    pub(crate) processes: Processes,
}

/// Reads the group back.
pub(crate) fn read(group: &PropertyGroup) -> Option<Earlier> {
    let state = |name: &str| group.first(name)?.parse().ok();
    let time = |name: &str| clock::from_property(group.first(name)?);
    let number = |name: &str| group.first(name)?.parse::<i64>().ok();
    let auxiliary = group.first("auxiliary_state").unwrap_or("none").to_owned();
    Some(Earlier {
        look: Look { state: state("state")?, next: state("next_state"), auxiliary },
        since: time("state_timestamp").unwrap_or_else(SystemTime::now),
        processes: Processes {
            contract: number("contract").map(|id| id as Id),
            transient: number("transient_contract").map(|id| id as Id),
            start_pid: number("start_pid").map(|pid| pid as i32),
            start_time: time("start_method_timestamp"),
            restarts: number("restarts").map_or(0, |restarts| restarts as u64),
            start_status: number("start_method_waitstatus")
                .map(|raw| ExitStatus::from_raw(raw as i32)),
        },
    })
}
