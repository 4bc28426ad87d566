//! The loop: changes in the repository and ends of processes in, methods and states out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{Id as WaitId, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use svc_daemon::Signals;

use super::config::{self, Description};
use super::engine::{Action, Engine, Event, Look, Method, Model, Outcome, StopReason};
use super::follow::follow;
use super::log;
use super::publish::{self, Processes};
use super::run::{Begun, Runner};
use crate::fmri::Fmri;
use crate::repo::{Change, Changed, Repo, RepoError, View, snapshots, socket_path};
use crate::state::State;
use crate::value::{PropType, PropertyGroup};

/// How long configd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an instance is, beside what the engine knows.
struct Instance {
    description: Description,
    processes: Processes,
    shown: Option<Look>,
    since: SystemTime,
}

/// The restarter.
pub struct Daemon {
    repo: Repo,
    engine: Engine,
    runner: Runner,
    instances: BTreeMap<Fmri, Instance>,
    events: VecDeque<Event>,
    changed: BTreeSet<Fmri>,
    progress: Progress,
    changes: Receiver<Vec<Changed>>,
    wake: UnixStream,
    signals: Signals,
    began: Instant,
    shutdown: bool,
}

impl Daemon {
    /// Connects to the repository, imports new manifests, and takes up what an earlier restarter
    /// left.
    pub fn open() -> io::Result<Self> {
        let signals = Signals::new(&[SIGCHLD, SIGTERM, SIGINT])?;
        set_child_subreaper(true)?;
        let repo = Repo::connect_to(&socket_path(), PATIENCE).map_err(io::Error::other)?;
        import(&repo);
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let progress = match Progress::load() {
            Some(progress) => progress,
            None => Progress::begin(repo.generation().map_err(io::Error::other)?),
        };
        let changes = follow(progress.generation, waker);
        let mut daemon = Self {
            repo,
            engine: Engine::new(),
            runner: Runner::open()?,
            instances: BTreeMap::new(),
            events: VecDeque::new(),
            changed: BTreeSet::new(),
            progress,
            changes,
            wake,
            signals,
            began: Instant::now(),
            shutdown: false,
        };
        for fmri in daemon.repo.instances().map_err(io::Error::other)? {
            daemon.take_up(fmri).map_err(io::Error::other)?;
        }
        daemon.settle();
        Ok(daemon)
    }

    /// Serves until SIGTERM; then stops everything, dependents first.
    pub fn serve(mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            if self.signals.pending().iter().any(|signal| *signal != SIGCHLD) && !self.shutdown {
                log::global("stopping all services");
                self.shutdown = true;
                self.events.push_back(Event::Shutdown);
            }
            self.reap();
            let _ = self.wake.read(&mut [0; 256]);
            while let Ok(changed) = self.changes.try_recv() {
                self.repository_changed(changed);
            }
            for (fmri, method, outcome) in self.runner.poll() {
                self.method_over(fmri, method, outcome);
            }
            self.watch_contracts();
            self.events.push_back(Event::Tick);
            self.settle();
            if self.shutdown && self.engine.is_quiet() {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let mut fds =
            [self.wake.as_fd(), self.signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let pause = PollTimeout::try_from(self.runner.pause()).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, pause) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// An instance of the repository, as it is found at start.
    fn take_up(&mut self, fmri: Fmri) -> Result<(), RepoError> {
        let earlier = self.repo.pg(&fmri, "restarter", &View::Direct)?;
        let earlier = earlier.as_ref().and_then(publish::read);
        let Some(description) = self.describe(&fmri)? else { return Ok(()) };
        let config = description.config.clone();
        let instance = Instance {
            description,
            processes: Processes::default(),
            shown: None,
            since: SystemTime::now(),
        };
        let instance = self.instances.entry(fmri.clone()).or_insert(instance);
        let Some(earlier) = earlier else {
            self.events.push_back(Event::Configure(fmri, config));
            return Ok(());
        };
        instance.since = earlier.since;
        instance.processes = earlier.processes;
        let (state, next) = (earlier.look.state, earlier.look.next);
        let auxiliary = earlier.look.auxiliary.clone();
        instance.shown = Some(earlier.look);
        if !state.is_running() && next.is_some() {
            // A start method was running; it begins anew.
            if let Some(contract) = instance.processes.contract.take() {
                self.runner.contracts.kill(contract);
            }
        }
        self.events.push_back(Event::Adopt(fmri.clone(), config.clone(), state, auxiliary));
        match (state.is_running(), next) {
            (true, Some(State::Maintenance)) => {
                self.events.push_back(Event::Maintenance(fmri.clone()))
            }
            (true, Some(State::Offline)) => self.events.push_back(Event::Restart(fmri.clone())),
            _ => {}
        }
        self.events.push_back(Event::Configure(fmri, config));
        Ok(())
    }

    /// Reads an instance's description; `None` if it says nothing of being enabled, which keeps
    /// it from its restarter (smf(7)).
    fn describe(&self, fmri: &Fmri) -> Result<Option<Description>, RepoError> {
        let Some(enabled) = self.enabled(fmri)? else { return Ok(None) };
        if !self.repo.snapshots(fmri)?.iter().any(|name| name == snapshots::RUNNING) {
            self.repo.snapshot(fmri, snapshots::RUNNING)?;
        }
        let groups = self.repo.pgs(fmri, &View::Running)?;
        Ok(Some(config::read(groups, enabled)))
    }

    /// What counts at the moment: the temporary setting before the lasting one.
    fn enabled(&self, fmri: &Fmri) -> Result<Option<bool>, RepoError> {
        let read = |group: &str| -> Result<Option<bool>, RepoError> {
            let group = self.repo.pg(fmri, group, &View::Composed)?;
            Ok(group.and_then(|group| group.get("enabled")?.as_bool()))
        };
        let lasting = read("general")?;
        Ok(lasting.map(|_| read("general_ovr")).transpose()?.flatten().or(lasting))
    }

    fn repository_changed(&mut self, changed: Vec<Changed>) {
        let mut done = BTreeSet::new();
        for Changed { fmri, pg } in changed {
            if !fmri.is_instance() || !done.insert((fmri.clone(), pg.clone())) {
                continue;
            }
            let result = match pg.as_deref() {
                None => self.came_or_went(&fmri),
                Some("general" | "general_ovr") => self.enabled_changed(&fmri),
                Some("restarter_actions") => self.requested(&fmri),
                Some(_) => Ok(()),
            };
            match result {
                Ok(()) => {}
                Err(error) if error.is_not_found() => self.events.push_back(Event::Delete(fmri)),
                Err(error) => log::global(&format!("{fmri}: {error}")),
            }
        }
        self.settle();
        if let Ok(generation) = self.repo.generation() {
            self.progress.generation = generation;
            self.progress.save();
        }
    }

    fn came_or_went(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        match self.describe(fmri)? {
            Some(_) if !self.instances.contains_key(fmri) => self.take_up(fmri.clone()),
            _ => Ok(()),
        }
    }

    fn enabled_changed(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        let Some(enabled) = self.enabled(fmri)? else { return Ok(()) };
        let Some(instance) = self.instances.get_mut(fmri) else {
            return self.take_up(fmri.clone());
        };
        instance.description.config.enabled = enabled;
        let config = instance.description.config.clone();
        self.events.push_back(Event::Configure(fmri.clone(), config));
        Ok(())
    }

    /// Obeys the requests that are newer than those obeyed before.
    fn requested(&mut self, fmri: &Fmri) -> Result<(), RepoError> {
        let group = self.repo.pg(fmri, "restarter_actions", &View::Direct)?;
        let mut requests = self.progress.news(fmri, group.as_ref());
        requests.sort_by_key(|(_, time)| *time);
        for (action, _) in requests {
            let fmri = fmri.clone();
            match action.as_str() {
                "refresh" => self.refresh(fmri)?,
                "restart" => self.events.push_back(Event::Restart(fmri)),
                "maint_on" => self.events.push_back(Event::Maintenance(fmri)),
                "maint_off" | "restore" => self.events.push_back(Event::Clear(fmri)),
                other => log::global(&format!("{fmri}: unknown request \"{other}\"")),
            }
        }
        Ok(())
    }

    fn refresh(&mut self, fmri: Fmri) -> Result<(), RepoError> {
        let Some(description) = self.describe(&fmri)? else { return Ok(()) };
        let config = description.config.clone();
        match self.instances.get_mut(&fmri) {
            Some(instance) => instance.description = description,
            None => return self.take_up(fmri),
        }
        self.events.push_back(Event::Configure(fmri.clone(), config));
        self.events.push_back(Event::Refresh(fmri));
        Ok(())
    }

    /// Feeds the engine all events there are, does what it wants, and shows the result.
    fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            let now = self.began.elapsed().as_millis() as u64;
            let exists = |path: &Path| crate::root(&path.to_string_lossy()).exists();
            for action in self.engine.handle(event, now, &exists) {
                self.act(action);
            }
        }
        self.show();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Log(fmri, line) => log::write(&fmri, &line),
            Action::Changed(fmri) => drop(self.changed.insert(fmri)),
            Action::Run(fmri, method) => self.run(fmri, method),
            Action::TempDisable(fmri) => {
                if let Err(error) = self.repo.commit(temporarily_disabled(&fmri)) {
                    log::global(&format!("{fmri}: {error}"));
                }
            }
        }
    }

    fn run(&mut self, fmri: Fmri, method: Method) {
        let Some(instance) = self.instances.get_mut(&fmri) else { return };
        if method == Method::Start {
            instance.processes =
                Processes { start_time: Some(SystemTime::now()), ..Default::default() };
        }
        let primary = instance.processes.contract;
        match self.runner.start(&fmri, method, &instance.description, primary) {
            Begun::Over(outcome) => self.method_over(fmri, method, outcome),
            Begun::Running { pid, contract } if method == Method::Start => {
                instance.processes.start_pid = Some(pid);
                instance.processes.contract = Some(contract);
                if instance.description.config.model == Model::Child {
                    self.method_over(fmri, method, Outcome::Ok);
                }
            }
            Begun::Running { .. } | Begun::Waiting => {}
        }
    }

    fn method_over(&mut self, fmri: Fmri, method: Method, outcome: Outcome) {
        if let Some(instance) = self.instances.get_mut(&fmri) {
            let is_transient = instance.description.config.model == Model::Transient;
            let came_up = matches!(outcome, Outcome::Ok | Outcome::Degraded | Outcome::NoDaemon);
            let forgets = match method {
                Method::Start => !came_up || is_transient || outcome == Outcome::NoDaemon,
                Method::Stop => true,
                Method::Refresh => false,
            };
            if forgets {
                instance.processes.contract = None;
            }
        }
        self.events.push_back(Event::Done(fmri, method, outcome));
    }

    /// Collects ended children: methods, and daemons that have nobody else.
    fn reap(&mut self) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(WaitId::All, look) {
            let Some(pid) = status.pid() else { return };
            // As long as it isn't collected, its contract can be found out.
            let contract = self.runner.contracts.of(pid.as_raw());
            let _ = waitpid(pid, None);
            self.ended(pid, status, contract);
        }
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus, contract: Option<u64>) {
        let (raw, core) = match status {
            WaitStatus::Exited(_, code) => (code << 8, None),
            WaitStatus::Signaled(_, signal, core) => (signal as i32, Some(core)),
            _ => return,
        };
        let exit = ExitStatus::from_raw(raw);
        if let Some((fmri, method, outcome)) = self.runner.reaped(pid.as_raw(), exit) {
            if method == Method::Start
                && let Some(instance) = self.instances.get_mut(&fmri)
            {
                instance.processes.start_status = Some(exit);
            }
            if let Some(outcome) = outcome {
                self.method_over(fmri, method, outcome);
            }
            return;
        }
        let owner = self.instances.iter_mut().find(|(_, instance)| {
            instance.processes.start_pid == Some(pid.as_raw())
                || (contract.is_some() && instance.processes.contract == contract)
        });
        let Some((fmri, instance)) = owner else { return };
        let is_child = instance.description.config.model == Model::Child;
        let reason = match core {
            _ if is_child && instance.processes.start_pid == Some(pid.as_raw()) => {
                instance.processes.start_status = Some(exit);
                StopReason::Exited
            }
            Some(true) if !is_child && !instance.description.ignore_core => StopReason::Core,
            Some(false) if !is_child && !instance.description.ignore_signal => StopReason::Signal,
            _ => return,
        };
        self.events.push_back(Event::Stopped(fmri.clone(), reason));
    }

    /// Notices services whose last process has gone.
    fn watch_contracts(&mut self) {
        for (fmri, instance) in &self.instances {
            let empty = match (instance.description.config.model, instance.processes.contract) {
                (Model::Transient, _) | (_, None) => false,
                (_, Some(contract)) => {
                    self.engine.is_watched(fmri) && self.runner.contracts.pids(contract).is_empty()
                }
            };
            if empty {
                self.events.push_back(Event::Stopped(fmri.clone(), StopReason::Exited));
            }
        }
    }

    /// Writes the states that changed to the repository, all at once.
    fn show(&mut self) {
        let mut changes = Vec::new();
        for fmri in std::mem::take(&mut self.changed) {
            let Some(look) = self.engine.look(&fmri) else {
                self.instances.remove(&fmri);
                continue;
            };
            let Some(instance) = self.instances.get_mut(&fmri) else { continue };
            let before = instance.shown.replace(look.clone()).map(|look| look.state);
            if before != Some(look.state) {
                instance.since = SystemTime::now();
                announce(&fmri, &look);
                if look.state.is_running() && !before.is_some_and(State::is_running) {
                    changes.push(Change::CopySnapshot {
                        fmri: fmri.clone(),
                        from: snapshots::RUNNING.to_owned(),
                        to: snapshots::START.to_owned(),
                    });
                }
            }
            changes.extend(publish::changes(&fmri, &look, instance.since, &instance.processes));
        }
        if !changes.is_empty()
            && let Err(error) = self.repo.commit(changes)
        {
            log::global(&format!("cannot write states: {error}"));
        }
    }
}

/// Imports manifests that are new, and says what went wrong; services that are fine go on.
fn import(repo: &Repo) {
    let folder = crate::root("/lib/svc/manifest");
    if !folder.is_dir() {
        return;
    }
    match crate::manifest::import_new(repo, &folder) {
        Err(error) => log::global(&format!("manifests: {error}")),
        Ok(report) => {
            report.warnings.iter().for_each(|warning| log::global(warning));
            report.failures.iter().for_each(|failure| log::global(&failure.to_string()));
        }
    }
}

/// Says on the console what an administrator has to know.
fn announce(fmri: &Fmri, look: &Look) {
    if look.state != State::Maintenance {
        return;
    }
    let name = fmri.to_string();
    let name = name.trim_start_matches("svc:/");
    let how = match look.auxiliary.as_str() {
        "administrative_request" => {
            return log::global(&format!(
                "{name} transitioned to maintenance by request (see 'svcs -xv' for details)"
            ));
        }
        "method_failed" => "failed fatally",
        "fault_threshold_reached" | "restarting_too_quickly" => "failed repeatedly",
        "invalid_dependency" | "dependency_cycle" => "misconfigured",
        _ => "failed",
    };
    log::global(&format!("{name} {how}: transitioned to maintenance (see 'svcs -xv' for details)"));
}

fn temporarily_disabled(fmri: &Fmri) -> Vec<Change> {
    let pg = "general_ovr".to_owned();
    // The method may have made the group to leave its reason in it.
    vec![
        Change::AddPg {
            fmri: fmri.clone(),
            pg: pg.clone(),
            ty: "framework".to_owned(),
            persistent: false,
        },
        Change::SetProp {
            fmri: fmri.clone(),
            pg,
            prop: "enabled".to_owned(),
            ty: PropType::Boolean,
            values: vec!["false".to_owned()],
        },
    ]
}

/// How far the repository's changes are dealt with; kept over a restart of the restarter, so that
/// no request is lost and none is obeyed twice.
#[derive(Debug)]
struct Progress {
    generation: u64,
    /// The newest request that was obeyed before this process began, in ns since 1970.
    before: i64,
    /// The newest of each instance's requests since, by action.
    obeyed: BTreeMap<(Fmri, String), i64>,
}

impl Progress {
    fn begin(generation: u64) -> Self {
        Self { generation, before: 0, obeyed: BTreeMap::new() }
    }

    fn load() -> Option<Self> {
        let text = fs::read_to_string(crate::root("/run/svc/startd.progress")).ok()?;
        let (generation, before) = text.trim().split_once(' ')?;
        let before = before.parse().ok()?;
        Some(Self { before, ..Self::begin(generation.parse().ok()?) })
    }

    fn save(&self) {
        let newest = self.obeyed.values().copied().max().unwrap_or(0).max(self.before);
        let path = crate::root("/run/svc/startd.progress");
        let new = path.with_extension("new");
        let written = fs::write(&new, format!("{} {newest}\n", self.generation));
        if let Err(error) = written.and_then(|()| fs::rename(&new, &path)) {
            log::global(&format!("{}: {error}", path.display()));
        }
    }

    /// The requests in the group that are new, with their times.
    fn news(&mut self, fmri: &Fmri, group: Option<&PropertyGroup>) -> Vec<(String, i64)> {
        let mut news = Vec::new();
        for (action, property) in group.iter().flat_map(|group| &group.props) {
            let Some(time) = property.as_integer() else { continue };
            let key = (fmri.clone(), action.clone());
            let known = self.obeyed.get(&key).copied().unwrap_or(self.before);
            if time > known {
                self.obeyed.insert(key, time);
                news.push((action.clone(), time));
            }
        }
        news
    }
}
