//! One running command: a shell in a process group of its own, with two pipes to read.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use agent::frame::Frame;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What a pipe holds when nobody changed it (pipe(7)).
const PIPE_SIZE: usize = 65536;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command on its way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Running {
    /// Starts `/bin/sh -c command` with an empty standard input.
    pub fn start(command: &[u8]) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .env("PATH", PATH)
            .env("HOME", "/root")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        for pipe in stdout.iter().map(AsFd::as_fd).chain(stderr.iter().map(AsFd::as_fd)) {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { child, stdout, stderr })
    }

    /// The pipes that may still bring output.
    pub fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.stdout.iter().map(AsFd::as_fd).chain(self.stderr.iter().map(AsFd::as_fd))
    }

    /// What the pipes hold now: one piece of each, a whole pipe long.
    pub fn output(&mut self) -> Vec<Frame> {
        let out = read_some(&mut self.stdout).map(Frame::Stdout);
        let err = read_some(&mut self.stderr).map(Frame::Stderr);
        out.into_iter().chain(err).collect()
    }

    /// The exit status in the shell's counting, once the shell itself has ended.
    pub fn ended(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(status_number))
    }

    /// Kills the process group.
    pub fn kill(&self) {
        // The group may be gone already, which is what was wanted.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
    }

    /// Kills the process group and waits for the shell.
    pub fn end(mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn status_number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// One piece from a pipe; closes the pipe at its end.
fn read_some(pipe: &mut Option<impl Read>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PIPE_SIZE];
    match pipe.as_mut()?.read(&mut bytes) {
        Ok(0) => *pipe = None,
        Ok(count) => {
            bytes.truncate(count);
            return Some(bytes);
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
        Err(_) => *pipe = None,
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn finish(mut running: Running) -> (i32, Vec<Frame>) {
        let mut frames = Vec::new();
        loop {
            let ended = running.ended().unwrap();
            let now = running.output();
            let quiet = now.is_empty();
            frames.extend(now);
            match ended {
                Some(status) if quiet => return (status, frames),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    #[test]
    fn output_and_status_come_back_apart() {
        let (status, frames) = finish(Running::start(b"echo a; echo b >&2; exit 7").unwrap());
        assert_eq!(status, 7);
        assert!(frames.contains(&Frame::Stdout(b"a\n".to_vec())));
        assert!(frames.contains(&Frame::Stderr(b"b\n".to_vec())));
    }

    #[test]
    fn a_killed_command_reports_the_signal_and_takes_its_children_along() {
        let running = Running::start(b"sleep 1000 & wait").unwrap();
        running.kill();
        assert_eq!(finish(running).0, 128 + 9);
    }

    #[test]
    fn a_background_process_does_not_hold_the_answer() {
        let running = Running::start(b"sleep 3 & echo $!").unwrap();
        let started = std::time::Instant::now();
        assert_eq!(finish(running).0, 0);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}
