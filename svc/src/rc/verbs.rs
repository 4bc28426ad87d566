//! run_rc_command of rc.subr(8): the verbs of a script, done by the framework. Messages and exit
//! statuses are NetBSD's.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};

use super::conf::{self, Conf, ConfError};
use super::sync::{is_enabled, not_set_properly};
use super::verdict::{Goal, Verdict, is_up, judge};
use crate::contract::Contracts;
use crate::fmri::{self, Fmri};
use crate::host::{Host, Instance};
use crate::repo::actions::switch;
use crate::repo::{Repo, RepoError};
use crate::state::State;

/// How long a start waits for other services.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a wait for processes is shown.
const TICK: Duration = Duration::from_secs(2);

const VERBS: &str = "start stop restart rcvar reload status poll";

/// What a script says of itself, and what it was called with.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The script as it was called.
    pub script: String,
    /// What messages call it.
    pub name: String,
    /// The variable of rc.conf; may be empty.
    pub rcvar: String,
    /// The instance, or empty: one that `name` is short for.
    pub fmri: String,
    /// The program; may be empty.
    pub command: String,
    /// The file with the daemon's process number; may be empty.
    pub pidfile: String,
    /// The verb with its prefix, if there is one.
    pub verb: Option<String>,
    /// Whether the system calls it at boot, which must not complain about what is switched off.
    pub boots: bool,
}

/// Why a verb can't be done, as one line.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// rc.conf can't be read.
    #[error("{0}")]
    Conf(#[from] ConfError),
    /// The repository can't be read or written.
    #[error("{0}")]
    Repo(#[from] RepoError),
    /// The message can't be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// A script stands for no instance or for several.
    #[error("{0}")]
    NoInstance(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Restart,
    Rcvar,
    Reload,
    Status,
    Poll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    /// Without a look at what runs.
    Fast,
    /// Whatever rc.conf says, and whether or not the program is there.
    Force,
    /// Whatever rc.conf says.
    One,
}

/// The prefix, if there is one, and what follows it.
fn split(text: &str) -> (Prefix, &str) {
    let prefixes = [("fast", Prefix::Fast), ("force", Prefix::Force), ("one", Prefix::One)];
    let split =
        prefixes.iter().find_map(|(word, prefix)| Some((*prefix, text.strip_prefix(word)?)));
    split.unwrap_or((Prefix::None, text))
}

fn parse(verb: &str) -> Option<Verb> {
    let verb = match verb {
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "restart" => Verb::Restart,
        "rcvar" => Verb::Rcvar,
        "reload" => Verb::Reload,
        "status" => Verb::Status,
        "poll" => Verb::Poll,
        _ => return None,
    };
    Some(verb)
}

/// Does what `call` asks for; returns the exit status.
pub fn run(call: &Call) -> Result<u8, VerbError> {
    let usage = || eprintln!("Usage: {} [fast|force|one]({VERBS})", call.script);
    let (prefix, word) = split(call.verb.as_deref().unwrap_or_default());
    if word.is_empty() {
        usage();
        return Ok(1);
    }
    // Without a look at what runs there is nothing to tell of it.
    let verb = parse(word)
        .filter(|verb| prefix != Prefix::Fast || !matches!(verb, Verb::Status | Verb::Poll));
    let Some(verb) = verb else {
        eprintln!("{}: unknown directive '{word}'.", call.script);
        usage();
        return Ok(1);
    };
    let conf = Conf::load(&call.name)?;
    let repo = Repo::connect()?;
    // What happens from here on is looked at when waiting.
    let generation = repo.generation()?;
    let host = Host::load(&repo)?;
    let (fmri, instance) = find(call, &host)?;
    let overrides = matches!(prefix, Prefix::One | Prefix::Force);
    let chosen = enabled(call, &conf, &repo, &fmri, !overrides)?;
    if verb == Verb::Rcvar {
        let value = if chosen || overrides { "YES" } else { "NO" };
        let line = if call.rcvar.is_empty() {
            String::new()
        } else {
            format!("${}={value}\n", call.rcvar)
        };
        write!(io::stdout(), "# {}\n{line}", call.name)?;
        return Ok(0);
    }
    if !chosen && !overrides {
        if !call.boots {
            eprintln!("${} is not enabled - see rc.conf(5).", call.rcvar);
            eprintln!("Use the following if you wish to perform the operation:");
            eprintln!("  {} one{word}", call.script);
        }
        return Ok(u8::from(!call.boots));
    }
    let script = Script { call, repo, generation, fmri, instance, prefix, chosen };
    match verb {
        Verb::Start => script.start(),
        Verb::Stop => script.stop(),
        Verb::Restart => script.restart(),
        Verb::Reload => script.reload(),
        Verb::Poll => script.poll(),
        Verb::Status | Verb::Rcvar => script.status(),
    }
}

/// The instance that the script stands for.
fn find(call: &Call, host: &Host) -> Result<(Fmri, Instance), VerbError> {
    let all: Vec<Fmri> = host.instances.keys().cloned().collect();
    let word = if call.fmri.is_empty() { &call.name } else { &call.fmri };
    match fmri::matches(word, &all).as_slice() {
        [one] => Ok((one.clone(), host.instances[one].clone())),
        [] => Err(VerbError::NoInstance(format!("there is no service {word}"))),
        _ => Err(VerbError::NoInstance(format!("{word} means several services"))),
    }
}

/// Whether it shall run: as rc.conf says, or else as the repository does. With `warns` a value that
/// means neither is complained about.
fn enabled(
    call: &Call,
    conf: &Conf,
    repo: &Repo,
    fmri: &Fmri,
    warns: bool,
) -> Result<bool, VerbError> {
    if call.rcvar.is_empty() {
        return Ok(true);
    }
    let Some(value) = conf.set(&call.rcvar) else { return Ok(is_enabled(repo, fmri)?) };
    Ok(conf::checkyesno(value).unwrap_or_else(|| {
        if warns {
            eprintln!("{}: WARNING: {}", call.script, not_set_properly(&call.rcvar));
        }
        false
    }))
}

/// A script whose verb is being done.
struct Script<'a> {
    call: &'a Call,
    repo: Repo,
    /// The repository's generation before anything was done.
    generation: u64,
    fmri: Fmri,
    /// The instance as it was then.
    instance: Instance,
    prefix: Prefix,
    /// Whether it shall run, as far as rc.conf and the repository say.
    chosen: bool,
}

impl Script<'_> {
    fn start(&self) -> Result<u8, VerbError> {
        let name = &self.call.name;
        if is_up(&self.instance) && self.prefix != Prefix::Fast {
            let pid = self.pids().first().map(|pid| format!(" (pid={pid})")).unwrap_or_default();
            eprintln!("{name} already running?{pid}.");
            return Ok(1);
        }
        if self.prefix != Prefix::Force && !is_executable(&self.call.command) {
            return Ok(0);
        }
        self.begin()
    }

    fn begin(&self) -> Result<u8, VerbError> {
        say(&format!("Starting {}.\n", self.call.name))?;
        self.repo.commit(switch(&self.fmri, true, !self.chosen))?;
        if self.instance.state() == Some(State::Maintenance) {
            self.repo.request(&self.fmri, "maint_off")?;
        }
        self.wait(Goal::Up)
    }

    fn stop(&self) -> Result<u8, VerbError> {
        let name = &self.call.name;
        let pids = self.pids();
        let runs = is_up(&self.instance) || self.instance.next_state().is_some();
        if !runs {
            // What waits to be started, or for an administrator, shall not start later.
            if self.instance.is_enabled() {
                self.repo.commit(switch(&self.fmri, false, true))?;
            }
            return Ok(self.not_running());
        }
        say(&format!("Stopping {name}.\n"))?;
        self.repo.commit(switch(&self.fmri, false, true))?;
        self.wait_showing(Goal::Down, &pids)
    }

    fn restart(&self) -> Result<u8, VerbError> {
        if !is_up(&self.instance) {
            self.not_running();
            return self.begin();
        }
        let name = &self.call.name;
        say(&format!("Stopping {name}.\nStarting {name}.\n"))?;
        self.repo.request(&self.fmri, "restart")?;
        self.wait(Goal::UpAgain(self.instance.since()))
    }

    fn reload(&self) -> Result<u8, VerbError> {
        if !is_up(&self.instance) {
            return Ok(self.not_running());
        }
        say(&format!("Reloading {} config files.\n", self.call.name))?;
        self.repo.request_refresh(&self.fmri)?;
        Ok(0)
    }

    fn status(&self) -> Result<u8, VerbError> {
        let name = &self.call.name;
        let up = is_up(&self.instance);
        let pids: Vec<String> = self.pids().iter().take(1).map(i32::to_string).collect();
        let line = match pids.as_slice() {
            _ if !up => format!("{name} is not running.\n"),
            // A service need not have processes.
            [] => format!("{name} is running.\n"),
            [pid, ..] => format!("{name} is running as pid {pid}.\n"),
        };
        say(&line)?;
        Ok(u8::from(!up))
    }

    fn poll(&self) -> Result<u8, VerbError> {
        let pids = self.pids();
        if !is_up(&self.instance) || pids.is_empty() {
            return Ok(0);
        }
        let mut progress = Progress::default();
        loop {
            let there = self.pids();
            let left: Vec<i32> = pids.iter().copied().filter(|pid| there.contains(pid)).collect();
            if left.is_empty() {
                progress.end()?;
                return Ok(0);
            }
            progress.show(&left)?;
            std::thread::sleep(TICK);
        }
    }

    fn not_running(&self) -> u8 {
        let pidfile = match self.call.pidfile.as_str() {
            "" => String::new(),
            path => format!(" (check {path})."),
        };
        eprintln!("{} not running?{pidfile}", self.call.name);
        1
    }

    /// The instance's processes, the daemon first.
    fn pids(&self) -> Vec<i32> {
        let contracts = Contracts::find();
        let ids = self.instance.contracts();
        let mut pids: Vec<i32> =
            contracts.iter().flat_map(|known| ids.iter().flat_map(|&id| known.pids(id))).collect();
        let text = match self.call.pidfile.as_str() {
            "" => String::new(),
            // Without the file the contract alone tells.
            path => std::fs::read_to_string(crate::root(path)).unwrap_or_default(),
        };
        let daemon: Option<i32> = text.trim().parse().ok();
        pids.sort_by_key(|pid| (Some(*pid) != daemon, *pid));
        pids
    }

    fn wait(&self, goal: Goal) -> Result<u8, VerbError> {
        self.wait_showing(goal, &[])
    }

    /// Waits for `goal`; what takes long is shown as a wait for `pids`.
    fn wait_showing(&self, goal: Goal, pids: &[i32]) -> Result<u8, VerbError> {
        let begun = Instant::now();
        let mut shown = begun;
        let mut generation = self.generation;
        let mut progress = Progress::default();
        let why = loop {
            let host = Host::load(&self.repo)?;
            match judge(&self.instance, &host, &self.fmri, goal) {
                Verdict::Reached => {
                    progress.end()?;
                    return Ok(0);
                }
                Verdict::Failed(why) => break why,
                Verdict::Blocked(why) if begun.elapsed() >= PATIENCE => break why,
                Verdict::Blocked(_) | Verdict::Pending => {}
            }
            generation = self.repo.changes_since(generation, Some(TICK))?.0;
            if shown.elapsed() >= TICK && !pids.is_empty() {
                shown = Instant::now();
                progress.show(pids)?;
            }
        };
        progress.end()?;
        let Self { call, fmri, .. } = self;
        let what = if goal == Goal::Down { "stopped" } else { "started" };
        eprintln!("{}: {} not {what}: {why}. See: svcs -xv {fmri}", call.script, call.name);
        Ok(1)
    }
}

/// The line that shows what is waited for, as wait_for_pids of rc.subr has it.
#[derive(Debug, Default)]
struct Progress {
    begun: bool,
}

impl Progress {
    fn show(&mut self, pids: &[i32]) -> io::Result<()> {
        let list: Vec<String> = pids.iter().map(i32::to_string).collect();
        let lead = if self.begun { ", " } else { "Waiting for PIDS: " };
        self.begun = true;
        say(&format!("{lead}{}", list.join(" ")))
    }

    fn end(&self) -> io::Result<()> {
        if self.begun { say(".\n") } else { Ok(()) }
    }
}

/// Prints at once: what follows may take a while.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn is_executable(command: &str) -> bool {
    let path = crate::root(command);
    command.is_empty() || (access(Path::new(&path), AccessFlags::X_OK).is_ok() && path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sample::{Sample, fmri};

    #[test]
    fn verbs_have_prefixes() {
        assert_eq!(split("start"), (Prefix::None, "start"));
        assert_eq!(split("onestop"), (Prefix::One, "stop"));
        assert_eq!(split("forcerestart"), (Prefix::Force, "restart"));
        assert_eq!(split("faststart"), (Prefix::Fast, "start"));
        assert_eq!(split("oneonestart"), (Prefix::One, "onestart"));
        assert_eq!(split("one"), (Prefix::One, ""));
        for word in ["", "Start", "onestart", "list"] {
            assert_eq!(parse(word), None, "{word}");
        }
        assert!(VERBS.split(' ').all(|verb| parse(verb).is_some()));
    }

    #[test]
    fn a_script_stands_for_one_instance() {
        let host =
            Sample::default().instance("x/xend", "online", true).instance("y/a", "online", true);
        let host = host.instance("z/a", "online", true).host();
        let found = |name: &str, fmri: &str| {
            let call = Call { name: name.into(), fmri: fmri.into(), ..Call::default() };
            find(&call, &host).map(|(fmri, _)| fmri).map_err(|error| error.to_string())
        };
        assert_eq!(found("xend", ""), Ok(fmri("x/xend")));
        assert_eq!(found("other", "svc:/y/a:default"), Ok(fmri("y/a")));
        assert_eq!(found("a", ""), Err("a means several services".to_owned()));
        assert_eq!(found("none", ""), Err("there is no service none".to_owned()));
    }
}
