//! The pipe in which the measured services say that they run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Room for all starts that may come before the reader looks.
const PIPE_SIZE: libc::c_int = 1 << 20;

/// Services' latest processes by their index, as far as the pipe told.
#[derive(Debug)]
pub struct Arrivals {
    path: PathBuf,
    pipe: File,
    rest: Vec<u8>,
    pids: BTreeMap<usize, i32>,
}

impl Arrivals {
    /// Makes the pipe in `folder`.
    pub fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("arrivals");
        mkfifo(&path, Mode::from_bits_truncate(0o600)).context("cannot make a pipe")?;
        // Open for writing, too, so that it doesn't end while no service has it open.
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let pipe = options.open(&path).context("cannot open a pipe")?;
        fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE)).context("cannot enlarge a pipe")?;
        Ok(Self { path, pipe, rest: Vec::new(), pids: BTreeMap::new() })
    }

    /// Where services write to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The service's latest process.
    pub fn pid(&self, index: usize) -> Option<i32> {
        self.pids.get(&index).copied()
    }

    /// Waits until `count` different services have started; fails when none did for `patience`.
    pub fn wait_for_all(&mut self, count: usize, patience: Duration) -> Result<()> {
        while self.pids.len() < count {
            let before = self.pids.len();
            let deadline = Instant::now() + patience;
            while self.pids.len() == before {
                if !self.read(deadline)? {
                    bail!("{before} of {count} services run, and no other came");
                }
            }
        }
        Ok(())
    }

    /// Waits for another process of a service than `old`.
    pub fn wait_for_another(&mut self, index: usize, old: i32, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        while self.pid(index) == Some(old) {
            if !self.read(deadline)? {
                bail!("service {index} was not started again");
            }
        }
        Ok(())
    }

    /// Takes in what comes before the deadline; false if nothing did.
    fn read(&mut self, deadline: Instant) -> Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout)? == 0 {
            return Ok(false);
        }
        let mut buffer = [0; 1 << 16];
        let length = self.pipe.read(&mut buffer)?;
        self.rest.extend_from_slice(&buffer[..length]);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let (index, pid) = arrival(&line).context("a service wrote nonsense")?;
            self.pids.insert(index, pid);
        }
        Ok(true)
    }
}

fn arrival(line: &[u8]) -> Option<(usize, i32)> {
    let (index, pid) = std::str::from_utf8(line).ok()?.trim_end().split_once(' ')?;
    Some((index.parse().ok()?, pid.parse().ok()?))
}
