//! A restarter in Rust: every instance of it is a process that runs the command in its property
//! `run/exec`, by default one that sleeps. docs/restarter-protocol.md says what it has to do.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use svc::delegate::{Event, Order, Report, Restarter};
use svc::fmri::Fmri;
use svc::repo::{Repo, View};
use svc::state::State;

/// How often we look whether processes have ended that aren't our children any more.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Instance {
    state: State,
    pid: Option<i32>,
}

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let own: Fmri = std::env::var("SMF_FMRI")?.parse()?;
    let repo = Repo::connect()?;
    let mut restarter = Restarter::new(own);
    let mut instances = BTreeMap::new();
    loop {
        let event = restarter.next_event(Some(PAUSE))?;
        if let Some(report) = event.and_then(|event| obey(&repo, &mut instances, event)) {
            restarter.report(&report)?;
        }
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|end| end.pid().is_some()) {}
        for (fmri, instance) in &mut instances {
            if instance.pid.is_some_and(|pid| !lives(pid)) {
                (instance.state, instance.pid) = (State::Offline, None);
                let report = Report::new(fmri.clone(), State::Offline);
                let processes = Some(Vec::new());
                restarter.report(&Report { error: true, processes, ..report })?;
            }
        }
    }
}

/// Does what an event asks for; returns the answer, if it wants one.
fn obey(repo: &Repo, all: &mut BTreeMap<Fmri, Instance>, event: Event) -> Option<Report> {
    let (fmri, id, error) = match event {
        Event::AddInstance { id, instance, enabled, state, processes, .. } => {
            let pid = processes.into_iter().find(|pid| lives(*pid));
            let now = match (state, pid) {
                (State::Maintenance, _) => State::Maintenance,
                (_, Some(_)) => State::Online,
                (_, None) if enabled => State::Offline,
                (_, None) => State::Disabled,
            };
            all.insert(instance.clone(), Instance { state: now, pid });
            (instance, id, state.is_running() && !now.is_running())
        }
        Event::Order { order, id, instance } => {
            let found = all.get_mut(&instance)?;
            found.state = perform(repo, &instance, found, order);
            (instance, id, false)
        }
        Event::RemoveInstance { instance, .. } => {
            all.remove(&instance);
            return None;
        }
        Event::Error { message, .. } => {
            eprintln!("{message}");
            return None;
        }
        Event::Bound { .. } | Event::Synced => return None,
    };
    let instance = &all[&fmri];
    let processes = Some(instance.pid.into_iter().collect());
    Some(Report { error, processes, ..Report::new(fmri, instance.state).answering(id) })
}

/// Does what is ordered; returns the state that this leads to.
fn perform(repo: &Repo, fmri: &Fmri, instance: &mut Instance, order: Order) -> State {
    let state = instance.state;
    match order {
        Order::Start if state == State::Offline => match start(repo, fmri) {
            Ok(pid) => {
                instance.pid = Some(pid);
                State::Online
            }
            Err(error) => {
                eprintln!("{fmri}: {error}");
                State::Maintenance
            }
        },
        Order::Enable if state == State::Disabled => State::Offline,
        Order::AdminMaintOff if state == State::Maintenance => State::Offline,
        Order::AdminDegraded => State::Degraded,
        Order::AdminRestore => State::Online,
        Order::Start | Order::Enable | Order::AdminMaintOff | Order::AdminRefresh => state,
        Order::AdminMaintOnImmediate => {
            instance.pid = None;
            State::Maintenance
        }
        Order::Disable => stop(instance, State::Disabled),
        Order::Stop | Order::StopReset | Order::AdminRestart if state == State::Disabled => state,
        Order::Stop | Order::StopReset | Order::AdminRestart => stop(instance, State::Offline),
        Order::AdminMaintOn | Order::DependencyCycle | Order::InvalidDependency => {
            stop(instance, State::Maintenance)
        }
    }
}

fn start(repo: &Repo, fmri: &Fmri) -> Result<i32, Error> {
    let group = repo.pg(fmri, "run", &View::Running)?;
    let exec = group.as_ref().and_then(|group| group.first("exec")).unwrap_or("sleep 1000");
    let mut shell = Command::new("/bin/sh");
    let child = shell.args(["-c", &format!("exec {exec}")]).stdin(Stdio::null()).spawn()?;
    Ok(child.id() as i32)
}

fn stop(instance: &mut Instance, state: State) -> State {
    if let Some(pid) = instance.pid.take() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    state
}

/// Whether a process is there that has not ended.
fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
