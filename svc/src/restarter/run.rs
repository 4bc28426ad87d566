//! Methods as processes: started in their contract, timed, followed to their end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::config::Description;
use super::engine::{Method, Model, Outcome};
use super::log;
use super::method;
use super::numbers::Numbers;
use super::spawn::{make_reason_folder, reason, reason_file, spawn};
use crate::contract::{Contracts, Id, Watch};
use crate::fmri::Fmri;

/// How long killed processes may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// How long another restarter is waited for that is about to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// How often time limits are looked after.
const PAUSE: Duration = Duration::from_millis(500);

/// What came of an attempt to start a method.
#[derive(Debug)]
pub(crate) enum Begun {
    /// There is nothing to wait for.
    Over(Outcome),
    /// It counts as if its process had ended like this.
    Failed(ExitStatus),
    /// A process runs.
    Running {
        /// The process.
        pid: i32,
    },
    /// Processes were signalled; it is over when they are gone.
    Waiting,
}

#[derive(Debug)]
enum Phase {
    /// The method's process runs.
    Process(i32),
    /// The instance's contract has to become empty.
    Emptying,
}

#[derive(Debug)]
struct Running {
    method: Method,
    phase: Phase,
    /// The contract of the method's process.
    own: Option<Id>,
    /// The instance's contract.
    primary: Option<Id>,
    deadline: Option<Instant>,
    /// The time is over and everything was killed.
    killed: bool,
    timeout_retry: bool,
}

/// A method's process that has ended.
#[derive(Debug)]
pub(crate) struct Reaped {
    /// Whose it was.
    pub(crate) fmri: Fmri,
    /// Which it was.
    pub(crate) method: Method,
    /// What came of the method, if that is known by now.
    pub(crate) outcome: Option<Outcome>,
    /// What it said to the administrator.
    pub(crate) reason: Option<String>,
}

/// All methods that run.
pub(crate) struct Runner {
    pub(crate) watch: Watch,
    pub(crate) numbers: Numbers,
    running: BTreeMap<Fmri, Running>,
    /// Contracts with processes that outlived being killed; they are killed again.
    left_alive: BTreeSet<Id>,
    /// Held as long as we run: two restarters would start everything twice.
    _lock: Flock<fs::File>,
}

impl Runner {
    pub(crate) fn open() -> io::Result<Self> {
        let lock = lock()?;
        make_reason_folder()?;
        Ok(Self {
            watch: Watch::open(Contracts::open()?)?,
            numbers: Numbers::default(),
            running: BTreeMap::new(),
            left_alive: BTreeSet::new(),
            _lock: lock,
        })
    }

    /// Takes up an instance's contract from an earlier restarter; in a child's, `leader` is the
    /// process that counts. The method that was left running, if any, is killed.
    pub(crate) fn adopt(&mut self, contract: Option<Id>, leader: Option<i32>, method: Option<Id>) {
        if let Some(method) = method {
            self.kill(BTreeSet::from([method]));
        }
        let Some(contract) = contract else { return };
        self.watch.add(contract, None);
        if let Some(leader) = leader {
            self.watch.lead(contract, leader);
        }
    }

    /// Whether all that a stop method has to do is done: the instance's processes are gone, and the
    /// method has none.
    pub(crate) fn has_stopped(
        &self,
        fmri: &Fmri,
        description: &Description,
        primary: Option<Id>,
    ) -> bool {
        let Some(spec) = description.methods.get(Method::Stop) else { return false };
        let name = Method::Stop.name();
        let command = method::Command::parse(&spec.exec, fmri, name, &description.groups);
        matches!(command, Ok(method::Command::True | method::Command::Kill(_)))
            && primary.is_none_or(|id| self.watch.is_empty(id))
    }

    /// Starts a method in contract `own`, of an instance whose contract is `primary`.
    pub(crate) fn start(
        &mut self,
        fmri: &Fmri,
        method: Method,
        description: &Description,
        own: Id,
        primary: Option<Id>,
    ) -> Begun {
        let Some(spec) = description.methods.get(method) else {
            log::write(fmri, &format!("Method property group '{}' is not present.", method.name()));
            return self.begin(fmri, method, None, None, primary, description);
        };
        let command = method::Command::parse(&spec.exec, fmri, method.name(), &description.groups);
        match command {
            Err(reason) => {
                log::write(fmri, &reason);
                Begun::Over(Outcome::Fatal)
            }
            Ok(method::Command::True) => {
                self.begin(fmri, method, None, spec.timeout, primary, description)
            }
            Ok(method::Command::Kill(signal)) => {
                log::write(fmri, &format!("Executing {} method ({}).", method.name(), spec.exec));
                if let Some(primary) = primary {
                    self.watch.contracts().signal(primary, signal);
                }
                self.begin(fmri, method, None, spec.timeout, primary, description)
            }
            Ok(method::Command::Shell(command)) => {
                log::write(fmri, &format!("Executing {} method (\"{command}\").", method.name()));
                match spawn(&mut self.watch, fmri, method.name(), spec, own, &command) {
                    Ok(pid) => {
                        let process = Some((pid, own));
                        self.begin(fmri, method, process, spec.timeout, primary, description)
                    }
                    Err(error) => {
                        let status = error.status();
                        log::write(fmri, &error.to_string());
                        log::write(fmri, &method::describe(method.name(), status));
                        Begun::Failed(status)
                    }
                }
            }
        }
    }

    fn begin(
        &mut self,
        fmri: &Fmri,
        method: Method,
        process: Option<(i32, Id)>,
        timeout: Option<Duration>,
        primary: Option<Id>,
        description: &Description,
    ) -> Begun {
        let phase = match process {
            Some((pid, _))
                if method == Method::Start && description.config.model == Model::Child =>
            {
                // The process is the service; nobody waits for its end.
                return Begun::Running { pid };
            }
            Some((pid, _)) => Phase::Process(pid),
            None if method == Method::Stop
                && primary.is_some_and(|id| !self.watch.is_empty(id)) =>
            {
                Phase::Emptying
            }
            None => return Begun::Over(Outcome::Ok),
        };
        let own = process.map(|(_, contract)| contract);
        let running = Running {
            method,
            phase,
            own,
            primary: if method == Method::Start { own } else { primary },
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            killed: false,
            timeout_retry: description.timeout_retry,
        };
        self.running.insert(fmri.clone(), running);
        process.map_or(Begun::Waiting, |(pid, _)| Begun::Running { pid })
    }

    /// A process has ended. If it was a method's, says whose, and what is known by now.
    pub(crate) fn reaped(&mut self, pid: i32, status: ExitStatus) -> Option<Reaped> {
        let is_it = |running: &Running| matches!(running.phase, Phase::Process(of) if of == pid);
        let (fmri, running) = self.running.iter_mut().find(|(_, running)| is_it(running))?;
        let (fmri, method) = (fmri.clone(), running.method);
        log::write(&fmri, &method::describe(method.name(), status));
        let mut outcome = method::outcome(method, status);
        match method {
            Method::Stop if outcome == Outcome::Ok || running.killed => {
                if running.primary.is_some() {
                    running.phase = Phase::Emptying;
                    return Some(Reaped { fmri, method, outcome: None, reason: None });
                }
                outcome = Outcome::Ok;
            }
            Method::Start if running.killed && !running.timeout_retry => outcome = Outcome::Fatal,
            _ => {}
        }
        let reason = running.own.and_then(reason);
        self.finish(&fmri);
        Some(Reaped { fmri, method, outcome: Some(outcome), reason })
    }

    /// Ends what a method used.
    fn finish(&mut self, fmri: &Fmri) {
        let Some(running) = self.running.remove(fmri) else { return };
        if let Some(own) = running.own {
            let _ = fs::remove_file(reason_file(own));
        }
        if running.method != Method::Start {
            let stopped = running.primary.filter(|_| running.method == Method::Stop);
            let primary = stopped.filter(|id| self.watch.is_empty(*id));
            running.own.into_iter().chain(primary).for_each(|id| self.watch.remove(id));
        }
    }

    /// Kills a method's process, and forgets the method.
    pub(crate) fn break_off(&mut self, fmri: &Fmri) {
        if let Some(own) = self.running.get(fmri).and_then(|running| running.own) {
            self.kill(BTreeSet::from([own]));
        }
        self.finish(fmri);
    }

    /// Looks after time limits and contracts that have to become empty.
    pub(crate) fn poll(&mut self) -> Vec<(Fmri, Method, Outcome)> {
        let left_alive = std::mem::take(&mut self.left_alive);
        self.kill(left_alive.into_iter().filter(|id| !self.watch.is_empty(*id)).collect());
        let now = Instant::now();
        let (mut over, mut to_kill) = (Vec::new(), BTreeSet::new());
        for (fmri, running) in &mut self.running {
            let late = running.deadline.is_some_and(|deadline| now >= deadline);
            let is_empty = match running.phase {
                Phase::Emptying => running.primary.is_none_or(|id| self.watch.is_empty(id)),
                Phase::Process(_) => false,
            };
            if is_empty {
                over.push((fmri.clone(), running.method, Outcome::Ok));
            } else if late && running.killed {
                if matches!(running.phase, Phase::Emptying) {
                    over.push((fmri.clone(), running.method, Outcome::Failed));
                }
            } else if late {
                let contract = running.own.or(running.primary).unwrap_or(0);
                let line =
                    format!("Method or service exit timed out.  Killing contract {contract}.");
                log::write(fmri, &line);
                log::global(&format!("{fmri}: {line}"));
                running.killed = true;
                running.deadline = Some(now + AFTER_KILL);
                let with_service = running.method != Method::Refresh;
                let primary = running.primary.filter(|_| with_service);
                to_kill.extend(running.own.into_iter().chain(primary));
            }
        }
        self.kill(to_kill);
        over.iter().for_each(|(fmri, ..)| self.finish(fmri));
        over
    }

    /// Kills what is in these contracts; who can't be killed at once is tried again.
    pub(crate) fn kill(&mut self, ids: BTreeSet<Id>) {
        if let Err(error) = self.watch.contracts().kill_all(&ids) {
            log::global(&format!("contracts {ids:?}: {error}"));
            self.left_alive.extend(ids);
        }
    }

    /// How long to sleep at most.
    pub(crate) fn pause(&self) -> Duration {
        self.watch.pause().unwrap_or(PAUSE).min(PAUSE)
    }
}

/// Makes sure that no other restarter runs here. One that was just killed may have left a child
/// between fork and exec, which holds the lock for a moment.
fn lock() -> io::Result<Flock<fs::File>> {
    let path = crate::root("/run/svc/startd.lock");
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = fs::File::create(&path)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, nix::Error::EAGAIN)) if Instant::now() < deadline => file,
            Err((_, nix::Error::EAGAIN)) => {
                let message = format!("another svc.startd holds {}", path.display());
                return Err(io::Error::other(message));
            }
            Err((_, error)) => return Err(error.into()),
        };
        std::thread::sleep(Duration::from_millis(10));
    }
}
