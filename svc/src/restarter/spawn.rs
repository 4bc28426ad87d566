//! A method's process, in its contract and context, with its output in the instance's log. A shell
//! executes it, where the command line is one for a shell.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::config::MethodSpec;
use super::context::MISCONFIGURED;
use super::log;
use super::method::RESTARTER;
use crate::contract::{Id, Watch};
use crate::fmri::Fmri;
use crate::program::Program;

/// What the process that can't execute a method ends with (smf_method(7)).
const EXEC_FAILED: i32 = 10;

/// What the kernel says of a file that it can't execute by itself.
const NOT_A_PROGRAM: i32 = nix::libc::ENOEXEC;

/// Where methods leave their reasons.
const REASONS: &str = "/run/svc/reason";

/// How much of a method's reason is kept, in bytes.
const REASON_MAX: u64 = 1024;

/// Why a method's process could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotStart {
    #[error("{0}")]
    Context(String),
    #[error("Method cannot be executed: {0}.")]
    Exec(#[from] io::Error),
}

impl CannotStart {
    /// How the process would have ended.
    pub(crate) fn status(&self) -> ExitStatus {
        let code = match self {
            Self::Context(_) => MISCONFIGURED,
            Self::Exec(_) => EXEC_FAILED,
        };
        ExitStatus::from_raw(code << 8)
    }
}

/// Starts the method called `name`, whose command line is `command`, in contract `contract`.
pub(crate) fn spawn(
    watch: &mut Watch,
    fmri: &Fmri,
    name: &str,
    spec: &MethodSpec,
    contract: Id,
    command: &str,
) -> Result<i32, CannotStart> {
    let context = spec.context().resolve().map_err(CannotStart::Context)?;
    context.notes.iter().for_each(|note| log::write(fmri, note));
    context.user().map_or(Ok(()), |user| offer_reason_file(contract, user))?;
    let in_shell = format!("exec {command}");
    let by_shell = ["/bin/sh", "-c", &in_shell];
    let start = |watch: &mut Watch, words: &[&str]| -> Result<i32, CannotStart> {
        let mut process = Program::new(words[0]);
        process.args(&words[1..]).output(log::of_instance(fmri)?);
        set_environment(&mut process, fmri, name, spec, contract);
        watch.join(contract, &mut process)?;
        let new_session = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
        // SAFETY: the step makes one system call.
        unsafe { process.before(new_session) };
        context.clone().apply(&mut process);
        Ok(process.spawn()?)
    };
    let pid = match plain(command).map(|words| start(watch, &words)) {
        // A script that doesn't say whose it is is the shell's.
        Some(Err(CannotStart::Exec(error))) if error.raw_os_error() == Some(NOT_A_PROGRAM) => {
            start(watch, &by_shell)?
        }
        Some(started) => started?,
        None => start(watch, &by_shell)?,
    };
    watch.add(contract, Some(pid));
    Ok(pid)
}

/// The words of a command line that means nothing special to a shell: to ask one would double the
/// cost of a start.
fn plain(command: &str) -> Option<Vec<&str>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./- ".contains(c);
    let words: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
    let is_path = words.first().is_some_and(|program| program.starts_with('/'));
    (is_path && command.chars().all(is_plain)).then_some(words)
}

fn set_environment(
    process: &mut Program,
    fmri: &Fmri,
    name: &str,
    spec: &MethodSpec,
    contract: Id,
) {
    process.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    for setting in &spec.context().environment {
        match setting.split_once('=') {
            Some((name, value)) if !name.is_empty() && !name.starts_with("SMF_") => {
                process.env(name, value);
            }
            _ => log::write(fmri, &format!("Ignoring bad environment setting \"{setting}\".")),
        }
    }
    process
        .env("SMF_FMRI", fmri.to_string())
        .env("SMF_METHOD", name)
        .env("SMF_RESTARTER", RESTARTER)
        .env("SMF_ZONENAME", "global")
        .env("SMF_REASON_FILE", reason_file(contract));
}

/// Where a method leaves its reason for ending as it does (smf_method_exit in smf_include.sh).
pub(crate) fn reason_file(contract: Id) -> PathBuf {
    crate::root(REASONS).join(contract.to_string())
}

/// Makes the folder of these files; in it methods that are run by us make theirs themselves.
pub(crate) fn make_reason_folder() -> io::Result<()> {
    fs::create_dir_all(crate::root(REASONS))
}

/// Makes the file for a method that is run by another user.
fn offer_reason_file(contract: Id, user: u32) -> io::Result<()> {
    let file = reason_file(contract);
    fs::write(&file, "")?;
    std::os::unix::fs::chown(&file, Some(user), None)
}

/// The reason that the method of a contract has left: one line, not too long.
pub(crate) fn reason(contract: Id) -> Option<String> {
    let mut text = Vec::new();
    fs::File::open(reason_file(contract)).ok()?.take(REASON_MAX).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next_back()?.replace('\0', " ");
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_not_change_goes_without_one() {
        assert_eq!(plain("/bin/x  -a b=c").unwrap(), ["/bin/x", "-a", "b=c"]);
        for special in ["x", "A=b /bin/x", "/bin/x $A", "/bin/x 'a'", "/bin/x >y", "/bin/x;", ""] {
            assert_eq!(plain(special), None, "{special}");
        }
    }
}
