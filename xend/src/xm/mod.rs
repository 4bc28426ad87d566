//! xm: the administrator's command. It reads guest files, asks xend, and prints.
//!
//! Each subcommand is a [`Command`]: its grammar, its help and what it does. Names, options and
//! columns are those of the historic xm. Exit status: 0 done, 1 not done, 2 not understood.

mod console;
mod control;
mod create;
mod defined;
mod getopt;
mod help;
mod host;
mod list;
mod tune;

use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::rpc::client::{CallError, Client};
use crate::rpc::{SOCKET, Value, code};
use crate::settings::Settings;
use getopt::{Opt, Parsed};

pub use create::create_guest;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum XmError {
    /// It was not understood; the usage is printed as well.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// It could not be done, and the user doesn't want to hear of it.
    #[error("")]
    Silent,
}

impl From<CallError> for XmError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Connection(error) => Self::Failed(unreachable(&error)),
            CallError::Fault(fault) if fault.code == code::INVALID_DOMAIN => {
                Self::Failed(format!("Domain '{}' does not exist.", fault.message))
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ConfigError> for XmError {
    fn from(error: ConfigError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn unreachable(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "Most commands need root access. Please try again as root.".to_owned();
    }
    let reason = match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    };
    format!("Unable to connect to xend: {reason}. Is xend running? (svcadm enable xend)")
}

type Outcome = Result<(), XmError>;

/// A subcommand.
struct Command {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    options: &'static [Opt],
    /// How many words it takes at least and at most.
    words: (usize, usize),
    run: fn(&mut Xend, &Parsed) -> Outcome,
}

/// All of them, in the order in which help lists them.
const COMMANDS: &[&Command] = &[
    &console::CONSOLE,
    &create::CREATE,
    &defined::DELETE,
    &control::DESTROY,
    &list::DOMID,
    &list::DOMNAME,
    &list::LIST,
    &tune::MEM_MAX,
    &tune::MEM_SET,
    &defined::NEW,
    &control::PAUSE,
    &control::REBOOT,
    &tune::SCHED_CREDIT,
    &control::SHUTDOWN,
    &defined::START,
    &control::UNPAUSE,
    &list::UPTIME,
    &list::VCPU_LIST,
    &tune::VCPU_PIN,
    &tune::VCPU_SET,
    &host::DMESG,
    &host::INFO,
    &host::LOG,
    &help::HELP,
];

/// xend, which is connected to when it is first asked.
#[derive(Default)]
pub struct Xend(Option<Client>);

impl Xend {
    /// Calls a method.
    pub fn call(&mut self, method: &str, params: Vec<Value>) -> Result<Value, XmError> {
        let client = match &mut self.0 {
            Some(client) => client,
            none => none.insert(connect().map_err(CallError::from)?),
        };
        Ok(client.call(method, params)?)
    }
}

/// Connects to xend: at `$XM_SERVER`, at the usual place, or where its settings say.
fn connect() -> io::Result<Client> {
    if let Some(server) = std::env::var_os("XM_SERVER") {
        let path = server.as_bytes();
        let path = path.strip_prefix(b"httpu://").unwrap_or(path);
        return Client::connect(Path::new(std::ffi::OsStr::from_bytes(path)));
    }
    let usual = Client::connect(Path::new(SOCKET));
    if !matches!(&usual, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return usual;
    }
    match elsewhere() {
        Some(path) => Client::connect(&path),
        None => usual,
    }
}

fn elsewhere() -> Option<PathBuf> {
    let (settings, _) = Settings::load().ok()?;
    (settings.socket != Path::new(SOCKET)).then_some(settings.socket)
}

/// Runs xm with these arguments, without the program's own name. Returns the exit status.
pub fn run(arguments: &[String]) -> u8 {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", help::short());
        return 2;
    };
    if matches!(name.as_str(), "-h" | "--help") {
        print!("{}", help::long());
        return 0;
    }
    let Some(command) = lookup(name) else {
        eprintln!("Error: Subcommand {name} not found!");
        eprint!("{}", help::short());
        return 2;
    };
    if rest.iter().take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h") {
        print!("{}", help::of(command));
        return 0;
    }
    match understood(command, rest).and_then(|parsed| (command.run)(&mut Xend::default(), &parsed))
    {
        Ok(()) => 0,
        Err(XmError::Silent) => 1,
        Err(XmError::Failed(reason)) => {
            eprintln!("Error: {reason}");
            1
        }
        Err(XmError::Usage(reason)) => {
            eprintln!("Error: {reason}");
            eprint!("{}", help::of(command));
            2
        }
    }
}

/// The command of that name, or the only one that begins so.
fn lookup(name: &str) -> Option<&'static Command> {
    if let Some(exact) = COMMANDS.iter().find(|command| command.name == name) {
        return Some(exact);
    }
    let mut similar =
        COMMANDS.iter().filter(|command| name.len() > 1 && command.name.starts_with(name));
    match (similar.next(), similar.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn understood(command: &Command, arguments: &[String]) -> Result<Parsed, XmError> {
    let parsed = getopt::parse(arguments, command.options).map_err(XmError::Usage)?;
    let (least, most) = command.words;
    if (least..=most).contains(&parsed.words.len()) {
        return Ok(parsed);
    }
    let mut reason = format!("'xm {}' requires ", command.name);
    let plural = if least == 1 { "" } else { "s" };
    let _ = match (least, most) {
        (0, 0) => write!(reason, "no arguments."),
        (least, usize::MAX) => write!(reason, "at least {least} argument{plural}."),
        (least, most) if least == most => write!(reason, "{least} argument{plural}."),
        (least, most) => write!(reason, "between {least} and {most} arguments."),
    };
    Err(XmError::Usage(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_be_shortened_while_it_is_clear() {
        let name = |word| lookup(word).map(|command| command.name);
        assert_eq!(name("list"), Some("list"));
        assert_eq!(name("cr"), Some("create"));
        assert_eq!(name("do"), None);
        assert_eq!(name("l"), None);
        assert_eq!(name("migrate"), None);
    }

    #[test]
    fn the_number_of_arguments_is_checked() {
        let reason = |name: &str, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            match understood(lookup(name).unwrap(), &words) {
                Err(XmError::Usage(reason)) => reason,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(reason("destroy", &[]), "'xm destroy' requires 1 argument.");
        assert_eq!(reason("dmesg", &["x"]), "'xm dmesg' requires no arguments.");
        assert_eq!(reason("destroy", &["-x", "y"]), "option -x not recognized");
    }

    #[test]
    fn who_is_not_there_is_named_with_a_hint() {
        let refused = io::Error::from_raw_os_error(nix::libc::ECONNREFUSED);
        assert_eq!(
            unreachable(&refused),
            "Unable to connect to xend: Connection refused. Is xend running? (svcadm enable xend)"
        );
        let denied = io::Error::from_raw_os_error(nix::libc::EACCES);
        assert!(unreachable(&denied).contains("as root"));
    }
}
