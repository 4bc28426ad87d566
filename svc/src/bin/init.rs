//! `init`: collects orphans and keeps `svc.configd` and `svc.startd` running. As process 1 it takes
//! the system down when it is asked to, by the signals that busybox's halt, poweroff and reboot
//! send; as a child of another init, or of anyone in a private root, the same signals stop the
//! services and end it. Everything else is somebody else's job.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::{set_child_subreaper, set_pdeathsig};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitid};
use nix::unistd::{Pid, sync};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use svc::reap;
use svc_daemon::Signals;

/// The order in which they are started.
const DAEMONS: [&str; 2] = ["/lib/svc/bin/svc.configd", "/lib/svc/bin/svc.startd"];
const CONFIGD: usize = 0;
const STARTD: usize = 1;
/// Held as long as we run, so that there is one of us only.
const LOCK: &str = "/run/svc/init.lock";
/// A daemon that dies at once is started again after this long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the services may take to stop.
const STOP_SERVICES: Duration = Duration::from_secs(300);
/// How long processes have between SIGTERM and SIGKILL at the very end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One of the two daemons.
struct Daemon {
    path: &'static str,
    pid: Option<Pid>,
    started: Option<Instant>,
}

impl Daemon {
    /// Starts the daemon if it should run and doesn't. Failing is no reason for process 1 to end.
    fn keep_running(&mut self) {
        if self.pid.is_some() || !self.rest().is_zero() {
            return;
        }
        self.started = Some(Instant::now());
        match self.start() {
            Ok(pid) => self.pid = Some(pid),
            Err(error) => eprintln!("init: {}: {error}", self.path),
        }
    }

    /// How long it is too soon to start it again.
    fn rest(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| PAUSE.saturating_sub(started.elapsed()))
    }

    fn start(&self) -> io::Result<Pid> {
        let private = svc::root(self.path);
        let program = if private.exists() { private } else { PathBuf::from(self.path) };
        let mut command = Command::new(program);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        // Who comes after us must not find others at work; both bear to be killed at any time.
        let die_with_us = || Ok(set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: the closure makes one system call, which is safe between fork and exec.
        unsafe { command.pre_exec(die_with_us) };
        Ok(Pid::from_raw(command.spawn()?.id() as i32))
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("init: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let is_first = std::process::id() == 1;
    if !is_first && std::env::args().len() > 1 {
        return Err(io::Error::other("no arguments; to stop the system use poweroff or reboot"));
    }
    let mut signals = Signals::new(&[SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
    let _lock = if is_first { None } else { Some(lock()?) };
    if !is_first {
        // What is orphaned while startd is away comes to us, not to the other init.
        set_child_subreaper(true)?;
    }
    let mut daemons = DAEMONS.map(|path| Daemon { path, pid: None, started: None });
    loop {
        daemons.iter_mut().for_each(Daemon::keep_running);
        let away = daemons.iter().filter(|daemon| daemon.pid.is_none());
        wait(&signals, away.map(Daemon::rest).min().unwrap_or(PAUSE));
        let came = signals.pending();
        collect(&mut daemons);
        if let Some(mode) = came.into_iter().find_map(wanted) {
            stop_services(&mut daemons, &mut signals);
            if is_first {
                end(mode);
            }
            stop_daemons(&mut daemons, &signals);
            return Ok(());
        }
    }
}

fn lock() -> io::Result<Flock<fs::File>> {
    let path = svc::root(LOCK);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let file = fs::File::create(&path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::Error::EAGAIN => io::Error::other(format!("another one holds {}", path.display())),
        error => error.into(),
    })
}

/// What a signal asks for.
fn wanted(signal: i32) -> Option<RebootMode> {
    match signal {
        SIGUSR1 => Some(RebootMode::RB_HALT_SYSTEM),
        SIGUSR2 => Some(RebootMode::RB_POWER_OFF),
        SIGTERM | SIGINT => Some(RebootMode::RB_AUTOBOOT),
        _ => None,
    }
}

fn wait(signals: &Signals, at_most: Duration) {
    // A whole millisecond more, as what is left of one would be no pause at all.
    let timeout = PollTimeout::try_from(at_most + Duration::from_millis(1));
    let timeout = timeout.unwrap_or(PollTimeout::ZERO);
    // Whatever poll says, the loop looks at everything again.
    let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
}

/// Collects whatever has ended.
fn collect(daemons: &mut [Daemon]) {
    while let Some(pid) = reap::ended() {
        reap::collect(pid);
        for daemon in daemons.iter_mut().filter(|daemon| daemon.pid == Some(Pid::from_raw(pid))) {
            daemon.pid = None;
        }
    }
}

/// Has startd stop all services, dependents first.
fn stop_services(daemons: &mut [Daemon; 2], signals: &mut Signals) {
    let Some(startd) = daemons[STARTD].pid else { return };
    let _ = kill(startd, Signal::SIGTERM);
    let deadline = Instant::now() + STOP_SERVICES;
    while daemons[STARTD].pid.is_some() && Instant::now() < deadline {
        // The repository has to last until the services are down.
        daemons[CONFIGD].keep_running();
        wait(signals, Duration::from_millis(100));
        signals.pending();
        collect(daemons);
    }
}

/// Ends the daemons themselves: startd, should it still be at it, first.
fn stop_daemons(daemons: &mut [Daemon; 2], signals: &Signals) {
    for at in [STARTD, CONFIGD] {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let deadline = Instant::now() + LAST_WORDS;
            if let Some(pid) = daemons[at].pid {
                let _ = kill(pid, signal);
            }
            while daemons[at].pid.is_some() && Instant::now() < deadline {
                wait(signals, Duration::from_millis(20));
                collect(daemons);
            }
        }
    }
}

/// Ends all processes, writes everything to disk, and leaves.
fn end(mode: RebootMode) -> ! {
    let everyone = Pid::from_raw(-1);
    let _ = kill(everyone, Signal::SIGTERM);
    let deadline = Instant::now() + LAST_WORDS;
    while Instant::now() < deadline && has_children() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = kill(everyone, Signal::SIGKILL);
    sync();
    if let Err(error) = unmount_all() {
        eprintln!("init: {error}");
    }
    sync();
    match reboot(mode) {
        Ok(never) => match never {},
        Err(error) => eprintln!("init: the kernel does not end: {error}"),
    }
    // Process 1 must not return.
    loop {
        std::thread::sleep(PAUSE);
    }
}

/// Whether there is anyone left, after collecting who has ended.
fn has_children() -> bool {
    while let Some(pid) = reap::ended() {
        reap::collect(pid);
    }
    let any = nix::sys::wait::Id::All;
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(any, flags) != Err(nix::Error::ECHILD)
}

/// Unmounts, the newest mount first; what is busy becomes read-only.
fn unmount_all() -> io::Result<()> {
    let table = fs::read_to_string("/proc/mounts")?;
    let places = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let on_disk = |(_, kind): &(&str, &str)| matches!(*kind, "ext4" | "ext3" | "ext2" | "overlay");
    let places: Vec<(&str, &str)> = places.filter(on_disk).collect();
    for (place, _) in places.into_iter().rev() {
        if umount2(place, MntFlags::empty()).is_err() {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            let _ = mount(None::<&str>, place, None::<&str>, flags, None::<&str>);
        }
    }
    Ok(())
}
