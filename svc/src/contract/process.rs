//! One process: what proc(5) says of it, and a hold on it (pidfd) that never means another one,
//! even when its number is given out again. Needs Linux 5.3.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::sys::signal::Signal;

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    /// A process whose first thread has ended may have others; only without is it a zombie.
    pub(super) is_alive: bool,
}

impl Stat {
    pub(super) fn read(pid: i32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// The name in the second field may hold anything, blanks and `)` too.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let threads: u32 = fields.get(17)?.parse().ok()?;
        let has_ended = matches!(*fields.first()?, "Z" | "X" | "x");
        Some(Self { parent: fields.get(1)?.parse().ok()?, is_alive: !has_ended || threads > 1 })
    }
}

/// The numbers of all processes there are.
pub(super) fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A hold on a process.
#[derive(Debug)]
pub(super) struct PidFd(OwnedFd);

impl PidFd {
    pub(super) fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open(2) takes two numbers and no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has succeeded, so this is a new descriptor, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Sends a signal to this process, or to none if it is gone.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let info = std::ptr::null::<libc::siginfo_t>();
        let (call, fd) = (libc::SYS_pidfd_send_signal, self.0.as_raw_fd());
        // SAFETY: pidfd_send_signal(2) may be given no siginfo; the descriptor is open.
        match unsafe { libc::syscall(call, fd, signal as i32, info, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsFd for PidFd {
    /// Readable as soon as the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let line = |state: &str, threads: u32| {
            format!("1 (a) b) {state} 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 {threads} 0 777 0")
        };
        let stat = |is_alive| Some(Stat { parent: 7, is_alive });
        assert_eq!(Stat::parse(&line("S", 1)), stat(true));
        assert_eq!(Stat::parse(&line("Z", 1)), stat(false));
        assert_eq!(Stat::parse(&line("Z", 2)), stat(true));
        assert_eq!(Stat::parse("1 (a"), None);
    }

    #[test]
    fn a_hold_is_on_one_process_only() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let held = PidFd::open(child.id() as i32).unwrap();
        assert!(Stat::read(child.id() as i32).unwrap().is_alive);
        held.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        let error = held.signal(Signal::SIGKILL).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    }
}
