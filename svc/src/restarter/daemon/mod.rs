//! The loop: changes in the repository and ends of processes in, methods and states out.

mod checks;
mod delegated;
mod milestone;
mod owners;
mod processes;
mod progress;
mod record;
mod repository;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use svc_daemon::Signals;

use super::config::Description;
use super::delegates::Delegates;
use super::engine::{Action, Engine, Event, Look, Method, Milestone, Model, Outcome};
use super::follow::{News, follow};
use super::log;
use super::method;
use super::publish::Processes;
use super::run::{Begun, Runner};
use crate::fmri::Fmri;
use crate::memory;
use crate::repo::{Change, Repo, socket_path};
use checks::Checks;
use owners::Owners;
use progress::Progress;
pub use progress::obeyed;
use record::temporarily_disabled;

/// How long configd may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an instance is, beside what the engine knows.
struct Instance {
    description: Description,
    processes: Processes,
    /// What its method last said to the administrator.
    reason: Option<String>,
    shown: Option<Look>,
    /// What the repository knows of its processes, or is about to.
    saved: Option<Processes>,
    since: SystemTime,
}

/// In boxes, as the nodes of a tree are half empty.
type Instances = BTreeMap<Fmri, Box<Instance>>;

/// The restarter.
pub struct Daemon {
    repo: Repo,
    engine: Engine,
    runner: Runner,
    delegates: Delegates,
    instances: Instances,
    owners: Owners,
    events: VecDeque<Event>,
    changed: BTreeSet<Fmri>,
    /// What the repository has not taken yet: states, and snapshots of what is started.
    unsaved: Vec<(Fmri, Vec<Change>)>,
    unsaved_snapshots: Vec<(Fmri, Vec<Change>)>,
    /// Methods that wait until the repository knows that they run.
    to_run: Vec<(Fmri, Method)>,
    /// Those of which it knows.
    to_run_now: Vec<(Fmri, Method)>,
    /// Killed, and not gone yet.
    dying: BTreeMap<Fmri, u64>,
    checks: Checks,
    progress: Progress,
    milestone: Milestone,
    changes: Receiver<News>,
    wake: UnixStream,
    signals: Signals,
    began: Instant,
    /// Much was done, and took memory that is not needed any more.
    is_bloated: bool,
    shutdown: bool,
}

impl Daemon {
    /// Connects to the repository, imports new manifests, and takes up what an earlier restarter
    /// left.
    pub fn open() -> io::Result<Self> {
        let signals = Signals::new(&[SIGCHLD, SIGTERM, SIGINT])?;
        set_child_subreaper(true)?;
        let runner = Runner::open()?;
        let delegates = Delegates::open()?;
        let repo = Repo::connect_to(&socket_path(), PATIENCE).map_err(io::Error::other)?;
        import(&repo);
        take_in_rc_conf(&repo);
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let progress = match Progress::load() {
            Some(progress) => progress,
            None => Progress::begin(repo.generation().map_err(io::Error::other)?),
        };
        progress.save();
        let changes = follow(progress.generation, waker);
        let mut daemon = Self {
            repo,
            engine: Engine::new(),
            runner,
            delegates,
            instances: Instances::new(),
            owners: Owners::default(),
            events: VecDeque::new(),
            changed: BTreeSet::new(),
            unsaved: Vec::new(),
            unsaved_snapshots: Vec::new(),
            to_run: Vec::new(),
            to_run_now: Vec::new(),
            dying: BTreeMap::new(),
            checks: Checks::default(),
            progress,
            milestone: Milestone::default(),
            changes,
            wake,
            signals,
            began: Instant::now(),
            is_bloated: true,
            shutdown: false,
        };
        daemon.end_old_checks();
        milestone::appear(&daemon.repo).map_err(io::Error::other)?;
        daemon.take_up_milestone().map_err(io::Error::other)?;
        let all = daemon.repo.instances().map_err(io::Error::other)?;
        daemon.take_up(all).map_err(io::Error::other)?;
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
            while let Ok((generation, changed)) = self.changes.try_recv() {
                self.repository_changed(generation, changed);
            }
            self.hear_restarters();
            self.runner.watch.look();
            for (fmri, method, outcome) in self.runner.poll() {
                self.method_over(fmri, method, outcome);
            }
            self.watch_dying();
            self.watch_contracts();
            self.run_checks();
            self.events.push_back(Event::Tick);
            self.settle();
            self.tidy();
            if self.shutdown && self.engine.is_quiet() {
                return Ok(());
            }
        }
    }

    /// Gives memory back that was needed for many at a time.
    fn tidy(&mut self) {
        if std::mem::take(&mut self.is_bloated) {
            memory::release();
        }
    }

    fn wait(&self) -> io::Result<()> {
        let fds = [self.wake.as_fd(), self.signals.as_fd(), self.runner.watch.as_fd()];
        let fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let mut fds: Vec<_> = fds.into_iter().chain(self.delegates.interests()).collect();
        let pause = PollTimeout::try_from(self.runner.pause()).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, pause) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Feeds the engine all events there are, shows the result, and does what it wants. What is
    /// about to run is on record before it does: should we be killed, the next of us finds it. A
    /// crowd is dealt with in parts, for what is written of all at once takes much memory; while
    /// one part is written, the one before is run.
    fn settle(&mut self) {
        loop {
            while !self.events.is_empty() {
                let events = std::mem::take(&mut self.events);
                let now = self.began.elapsed().as_millis() as u64;
                let exists = |path: &Path| crate::root(&path.to_string_lossy()).exists();
                for action in self.engine.handle(events, now, &exists) {
                    self.act(action);
                }
            }
            self.show();
            let sent = self.record();
            for (fmri, method) in std::mem::take(&mut self.to_run_now) {
                self.run(fmri, method);
            }
            let is_recorded = self.is_recorded(sent) || self.shutdown;
            if !is_recorded {
                return;
            }
            let is_shown = |(fmri, _): &mut (Fmri, Method)| !self.changed.contains(fmri);
            self.to_run_now = self.to_run.extract_if(.., is_shown).collect();
            if self.to_run_now.is_empty() && self.changed.is_empty() && self.events.is_empty() {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Log(fmri, line) => log::write(&fmri, &line),
            Action::Warn(fmri, line) => log::warn(&fmri, &line),
            Action::Changed(fmri) => drop(self.changed.insert(fmri)),
            Action::Run(fmri, method) => self.prepare(fmri, method),
            Action::BreakOff(fmri) => self.break_off(&fmri),
            Action::Kill(fmri) => self.kill(fmri),
            Action::Dump(fmri) => self.dump(&fmri),
            Action::Abandon(fmri) => self.abandon(&fmri),
            Action::Add { .. } | Action::Remove { .. } => self.tell_restarter(action),
            Action::Order { .. } | Action::Synced(_) => self.tell_restarter(action),
            Action::TempDisable(fmri) => {
                let reason = self.instances.get_mut(&fmri).and_then(|i| i.reason.take());
                self.unsaved.push((fmri.clone(), temporarily_disabled(&fmri, reason)));
            }
        }
    }

    /// Gives a method that is about to run its contract.
    fn prepare(&mut self, fmri: Fmri, method: Method) {
        let Some(instance) = self.instances.get_mut(&fmri) else { return };
        let contract = match self.runner.numbers.next() {
            Ok(contract) => Some(contract),
            Err(error) => {
                log::global(&format!("{fmri}: no contract: {error}"));
                return self.events.push_back(Event::Done(fmri, method, Outcome::Fatal));
            }
        };
        if method == Method::Start {
            let start_time = Some(SystemTime::now());
            let earlier = &instance.processes;
            let restarts = earlier.restarts + u64::from(earlier.start_time.is_some());
            instance.processes = Processes { contract, start_time, restarts, ..Default::default() };
            if let Some(id) = contract {
                self.owners.note(id, &fmri, &self.instances);
            }
        } else {
            instance.processes.transient = contract;
            let primary = instance.processes.contract;
            if method == Method::Stop
                && self.runner.has_stopped(&fmri, &instance.description, primary)
            {
                // Nothing runs that the next of us would have to know of.
                return self.run(fmri, method);
            }
        }
        self.to_run.push((fmri, method));
    }

    fn run(&mut self, fmri: Fmri, method: Method) {
        let Some(instance) = self.instances.get_mut(&fmri) else { return };
        let (service, transient) = (instance.processes.contract, instance.processes.transient);
        let (own, primary) =
            if method == Method::Start { (service, None) } else { (transient, service) };
        let Some(own) = own else { return };
        match self.runner.start(&fmri, method, &instance.description, own, primary) {
            Begun::Over(outcome) => self.method_over(fmri, method, outcome),
            Begun::Failed(status) => {
                if method == Method::Start {
                    instance.processes.start_status = Some(status);
                }
                self.method_over(fmri, method, method::outcome(method, status));
            }
            Begun::Running { pid } if method == Method::Start => {
                instance.processes.start_pid = Some(pid);
                self.changed.insert(fmri.clone());
                if instance.description.config.model == Model::Child {
                    self.method_over(fmri, method, Outcome::Ok);
                }
            }
            Begun::Running { .. } | Begun::Waiting => {}
        }
    }

    fn method_over(&mut self, fmri: Fmri, method: Method, outcome: Outcome) {
        if let Some(instance) = self.instances.get_mut(&fmri) {
            let untracked = instance.description.config.model == Model::Transient;
            let processes = &mut instance.processes;
            let forgets = match (method, outcome) {
                (Method::Start, Outcome::NoDaemon) => true,
                (Method::Start, Outcome::Ok | Outcome::Degraded) => untracked,
                (Method::Stop, outcome) => outcome == Outcome::Ok,
                _ => false,
            };
            if method != Method::Start {
                processes.transient = None;
            }
            if forgets && let Some(contract) = processes.contract.take() {
                self.runner.watch.remove(contract);
            }
        }
        self.events.push_back(Event::Done(fmri, method, outcome));
    }
}

/// Has `/etc/rc.conf` its say, where it says anything (docs/rc.md).
fn take_in_rc_conf(repo: &Repo) {
    if !crate::root("/etc/rc.d").is_dir() {
        return;
    }
    match crate::rc::sync(repo) {
        Ok(warnings) => warnings.iter().for_each(|warning| log::global(warning)),
        Err(error) => log::global(&format!("rc.conf: {error}")),
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
            for fmri in &report.removed {
                log::global(&format!("{fmri} is removed: its manifest is gone"));
            }
        }
    }
}
