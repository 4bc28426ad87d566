//! The pseudo-terminal of one guest.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;

/// A raw pseudo-terminal; its other end is kept open, so that it lives while nobody is attached.
#[derive(Debug)]
pub(crate) struct Pty {
    master: File,
    _slave: OwnedFd,
    path: PathBuf,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let pair = openpty(None, None)?;
        for end in [pair.master.as_fd(), pair.slave.as_fd()] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        let mut attributes = tcgetattr(&pair.slave)?;
        cfmakeraw(&mut attributes);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &attributes)?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let path = ttyname(&pair.slave)?;
        Ok(Self { master: File::from(pair.master), _slave: pair.slave, path })
    }

    /// What a client opens.
    pub(crate) fn path(&self) -> &std::path::Path {
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
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"login: \n\x03");
        client.write_all(b"root\r").unwrap();
        let mut typed = [0; 16];
        assert_eq!(pty.read(&mut typed).unwrap(), 5);
        assert_eq!(&typed[..5], b"root\r");
        assert_eq!(pty.read(&mut typed).unwrap(), 0);
    }
}
