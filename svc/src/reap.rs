//! Children that have ended, of any signal: `nix` knows no real-time signals, and would leave
//! those that died of one uncollected.

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::libc;

/// A child that has ended; it stays as it is until [`collect`] is called.
pub fn ended() -> Option<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid(2) writes to the structure it is given; if it doesn't, all zeroes are a valid
    // value, too, and say that there is no child.
    let pid = unsafe {
        match libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) {
            0 => info.assume_init().si_pid(),
            _ => 0,
        }
    };
    (pid > 0).then_some(pid)
}

/// Waits for the end of a child, and collects it.
pub fn wait_for(pid: i32) -> io::Result<ExitStatus> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes to the number it is given and keeps no pointer.
    match unsafe { libc::waitpid(pid, &mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(ExitStatus::from_raw(status)),
    }
}

/// Collects a child that has ended; `None` if it isn't one.
pub fn collect(pid: i32) -> Option<ExitStatus> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes to the number it is given and keeps no pointer.
    let found = unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
    (found == pid).then(|| ExitStatus::from_raw(status))
}
