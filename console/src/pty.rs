//! A pseudo-terminal that passes every byte as it is.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;

/// A raw pseudo-terminal; its other end is kept open, so that it lives while nobody is attached.
#[derive(Debug)]
pub(crate) struct Pty {
    master: File,
    slave: OwnedFd,
    path: PathBuf,
}

nix::ioctl_read_bad!(
    /// Bytes that can be read (tty_ioctl(4)).
    unread_bytes,
    libc::FIONREAD,
    libc::c_int
);

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let pair = openpty(None, None)?;
        for end in [pair.master.as_fd(), pair.slave.as_fd()] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        let mut attributes = tcgetattr(&pair.slave)?;
        cfmakeraw(&mut attributes);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &attributes)?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let path = ttyname(&pair.slave)?;
        Ok(Self { master: File::from(pair.master), slave: pair.slave, path })
    }

    /// What a client opens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what the terminal takes; says how much.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        nothing_if_blocked((&self.master).write(bytes))
    }

    /// Reads what was typed, at most a buffer full.
    pub(crate) fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        nothing_if_blocked((&self.master).read(bytes))
    }

    /// Whether a client has yet to read something that was written.
    pub(crate) fn is_unread(&self) -> bool {
        let mut count = 0;
        // SAFETY: the request writes one int.
        let asked = unsafe { unread_bytes(self.slave.as_raw_fd(), &mut count) };
        asked.is_ok() && count > 0
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn nothing_if_blocked(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn bytes_pass_unchanged_in_both_directions() {
        let pty = Pty::open().unwrap();
        let mut client = OpenOptions::new().read(true).write(true).open(pty.path()).unwrap();
        assert_eq!(pty.write(b"login: \n\x03").unwrap(), 9);
        let mut bytes = [0; 9];
        client.read_exact(&mut bytes[..1]).unwrap();
        assert!(pty.is_unread());
        client.read_exact(&mut bytes[1..]).unwrap();
        assert_eq!(&bytes, b"login: \n\x03");
        assert!(!pty.is_unread());
        client.write_all(b"root\r").unwrap();
        let mut typed = [0; 16];
        assert_eq!(pty.read(&mut typed).unwrap(), 5);
        assert_eq!(&typed[..5], b"root\r");
        assert_eq!(pty.read(&mut typed).unwrap(), 0);
    }
}
