//! `svcs -w`: a live view of the whole screen.
//!
//! One thread keeps a [`Host`] up to date with the repository; the main one draws it and waits for
//! keys, signals and news.

mod frame;
mod keys;
mod terminal;
mod view;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use svc::fmri::Fmri;
use svc::host::Host;
use svc::repo::{Repo, RepoError};
use svc_daemon::Signals;

use crate::{explain, tail};
use terminal::Terminal;
use view::{Details, View, Wish};

/// How often logs are looked at, and times grow older.
const TICK: u16 = 1000;
/// Changes that come together are read together.
const TOGETHER: Duration = Duration::from_millis(50);
/// The pause after the repository was lost.
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a log can be shown.
const LOG_LINES: usize = 40;

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input or output is something else.
    #[error("-w needs a terminal; use svcs without it to print a list.")]
    NoTerminal,
    #[error(transparent)]
    Terminal(#[from] io::Error),
    #[error(transparent)]
    Repo(#[from] RepoError),
}

/// What the other threads report: a line for the user, or nothing but that something changed.
type News = Option<String>;

/// A way to report.
#[derive(Clone)]
struct Reporter {
    news: Sender<News>,
    wake: Arc<UnixStream>,
}

impl Reporter {
    /// Returns whether somebody still listens.
    fn report(&self, news: News) -> bool {
        let told = self.news.send(news).is_ok();
        told && (&*self.wake).write_all(&[0]).is_ok()
    }
}

/// Shows the instances in `chosen`, or the enabled ones, or all, until the user has enough.
pub fn watch(chosen: &[Fmri], all: bool) -> Result<(), Error> {
    // First, so that no signal ends this while the terminal is raw.
    let mut signals = Signals::new(&[SIGWINCH, SIGTERM, SIGINT, SIGHUP])?;
    let Some(mut terminal) = Terminal::open()? else { return Err(Error::NoTerminal) };
    let repo = Repo::connect()?;
    let generation = repo.generation()?;
    let host = Arc::new(Mutex::new(Host::load(&repo)?));
    let (mut woken, wake) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    let (sender, news) = channel();
    let reporter = Reporter { news: sender, wake: Arc::new(wake) };
    let (shared, reports) = (Arc::clone(&host), reporter.clone());
    thread::spawn(move || keep_up(&repo, generation, &shared, &reports));
    let mut view = View { all, ..View::default() };
    loop {
        show(&mut view, &lock(&host), chosen);
        let (width, height) = terminal.size();
        terminal.draw(&frame::frame(&view, width, height))?;
        let has_keys = wait(&terminal, &signals, &woken)?;
        if signals.pending().iter().any(|signal| *signal != SIGWINCH) {
            return Ok(());
        }
        let _ = woken.read(&mut [0; 256]);
        take_news(&news, &mut view);
        if has_keys && !obey(&terminal, &mut view, &reporter)? {
            return Ok(());
        }
    }
}

fn lock(host: &Mutex<Host>) -> MutexGuard<'_, Host> {
    // It is replaced instance by instance, so it is whole whatever happened to the other thread.
    host.lock().unwrap_or_else(PoisonError::into_inner)
}

fn show(view: &mut View, host: &Host, chosen: &[Fmri]) {
    view.show(host, chosen, SystemTime::now());
    view.details = match view.selected() {
        None => Details::default(),
        Some(fmri) => {
            let log = host.instances.get(fmri).and_then(|instance| instance.logfile());
            let lines = log.map(|path| tail::lines(Path::new(path), LOG_LINES));
            let log = lines.and_then(Result::ok).unwrap_or_default();
            Details { reasons: explain::reasons(host, fmri), log }
        }
    };
}

/// Waits for anything; returns whether there are keys to read.
fn wait(terminal: &Terminal, signals: &Signals, woken: &UnixStream) -> io::Result<bool> {
    let fds = [terminal.input(), signals.as_fd(), woken.as_fd()];
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut fds, PollTimeout::from(TICK)) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fds[0].any().unwrap_or(false))
}

fn take_news(news: &Receiver<News>, view: &mut View) {
    if let Some(line) = news.try_iter().flatten().last() {
        view.message = line;
    }
}

/// Does what the keys say; returns whether the view goes on.
fn obey(terminal: &Terminal, view: &mut View, reporter: &Reporter) -> io::Result<bool> {
    let bytes = terminal.read()?;
    if bytes.is_empty() {
        return Ok(false);
    }
    for key in keys::parse(&bytes) {
        match view.press(key) {
            None => {}
            Some(Wish::Quit) => return Ok(false),
            Some(Wish::Run(subcommand, fmri)) => {
                view.message = format!("svcadm {subcommand} {fmri}");
                let reporter = reporter.clone();
                thread::spawn(move || run(subcommand, &fmri, &reporter));
            }
        }
    }
    Ok(true)
}

/// Has svcadm(8) do it, and reports what it says.
fn run(subcommand: &str, fmri: &Fmri, reporter: &Reporter) {
    let mut command = Command::new(svcadm());
    let output = command.args([subcommand, &fmri.to_string()]).stdin(Stdio::null()).output();
    let said = match output {
        Err(error) => format!("svcadm: {error}"),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().collect::<Vec<_>>().join(" "),
    };
    if !said.is_empty() {
        reporter.report(Some(tail::printable(&said)));
    }
}

/// The svcadm that belongs to this command.
fn svcadm() -> PathBuf {
    let sibling = std::env::current_exe().map(|own| own.with_file_name("svcadm"));
    let places = sibling.into_iter().chain(["/usr/sbin/svcadm".into()]);
    places.into_iter().find(|path| path.exists()).unwrap_or_else(|| "svcadm".into())
}

/// Keeps `host` as the repository has it, as long as somebody looks.
fn keep_up(repo: &Repo, mut generation: u64, host: &Mutex<Host>, reporter: &Reporter) {
    loop {
        let news = match next(repo, &mut generation, host) {
            Ok(()) => None,
            Err(error) => {
                thread::sleep(PAUSE);
                Some(error.to_string())
            }
        };
        if !reporter.report(news) {
            return;
        }
    }
}

/// Waits for changes and reads what changed.
fn next(repo: &Repo, generation: &mut u64, host: &Mutex<Host>) -> Result<(), RepoError> {
    repo.changes_since(*generation, None)?;
    thread::sleep(TOGETHER);
    let (now, changed) = repo.changes_since(*generation, Some(Duration::ZERO))?;
    let changed: BTreeSet<Fmri> = changed.into_iter().map(|changed| changed.fmri).collect();
    let news = Host::read_again(repo, &changed)?;
    lock(host).replace(news);
    *generation = now;
    Ok(())
}
