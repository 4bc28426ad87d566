//! What a process died of, as far as Linux tells (process(5) of illumos).
//!
//! Linux tells only the parent, so we learn it of methods and of orphans; of a member whose parent
//! is a member, too, only that parent learns it. And it doesn't tell who sent a signal: one that a
//! member sent another looks as if it came from outside. What can be told apart is a signal that
//! the kernel raises for what the process itself did or asked for, as SIGPIPE or SIGALRM.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::libc;

/// What a process died of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It exited, or was ended by a signal of its own making.
    Own,
    /// A signal that dumps core, whether the limits let it or not.
    Core,
    /// A signal from outside.
    Signal,
    /// Memory that is broken.
    Hardware,
}

/// Where the kernel says what it has done.
const KERNEL_LOG: &str = "/dev/kmsg";
/// The longest record of the kernel's log.
const RECORD: usize = 8192;

/// What process `pid` died of.
pub(crate) fn of(pid: i32, status: ExitStatus) -> Death {
    let is_hardware = || kernel_log().iter().any(|line| names_broken_memory(line, pid));
    match status.signal() {
        Some(libc::SIGBUS) if is_hardware() => Death::Hardware,
        Some(signal) if status.core_dumped() || dumps_core(signal) => Death::Core,
        Some(signal) if is_own(signal) => Death::Own,
        Some(_) => Death::Signal,
        None => Death::Own,
    }
}

/// Whether that is the signal's default action (signal(7)).
fn dumps_core(signal: i32) -> bool {
    use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU};
    let signals = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU];
    signals.contains(&signal) || signal == libc::SIGXFSZ
}

/// Whether the kernel raises the signal for the process itself.
fn is_own(signal: i32) -> bool {
    use libc::{SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGVTALRM};
    [SIGALRM, SIGIO, SIGPIPE, SIGPROF, SIGVTALRM].contains(&signal)
}

/// Whether a line says that the process was killed for memory that is broken.
fn names_broken_memory(line: &str, pid: i32) -> bool {
    line.contains(&format!(":{pid} due to hardware memory corruption"))
}

/// The kernel's log, if we may read it; a read gives one record and never waits for the next.
fn kernel_log() -> Vec<String> {
    let options = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(KERNEL_LOG);
    let Ok(mut file) = options else { return Vec::new() };
    let mut record = [0; RECORD];
    let mut lines = Vec::new();
    while let Ok(length @ 1..) = file.read(&mut record) {
        lines.push(String::from_utf8_lossy(&record[..length]).into_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_tell_apart() {
        // A pid that no log names.
        let died_of = |raw: i32| of(-5, ExitStatus::from_raw(raw));
        const WITH_CORE: i32 = 0x80;
        assert_eq!(died_of(3 << 8), Death::Own);
        assert_eq!(died_of(libc::SIGKILL), Death::Signal);
        assert_eq!(died_of(libc::SIGTERM), Death::Signal);
        assert_eq!(died_of(34), Death::Signal);
        assert_eq!(died_of(libc::SIGPIPE), Death::Own);
        assert_eq!(died_of(libc::SIGSEGV), Death::Core);
        assert_eq!(died_of(libc::SIGABRT | WITH_CORE), Death::Core);
        assert_eq!(died_of(libc::SIGBUS), Death::Core);
    }

    #[test]
    fn broken_memory_is_told_by_the_kernel_log() {
        let line =
            "3,1,5,-;mce: Killing xend:812 due to hardware memory corruption fault at 7f00\n";
        assert!(names_broken_memory(line, 812));
        assert!(!names_broken_memory(line, 81));
        let other = "3,1,5,-;Memory failure: 0x1234: Sending SIGBUS to xend:812 due to hardware memory corruption\n";
        assert!(names_broken_memory(other, 812));
        assert!(!names_broken_memory("6,2,5,-;eth0: link is up\n", 812));
    }
}
