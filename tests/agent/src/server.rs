//! The poll loop between the port and the running command.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use agent::frame::{Decoder, Frame};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGCHLD, SIGTERM};
use svc_daemon::Signals;

use crate::running::Running;

/// While nobody is at the other end, poll returns at once for ever: look again this often.
const NOBODY_THERE: Duration = Duration::from_millis(200);

/// The agent: one port, at most one command.
#[derive(Debug)]
pub struct Server {
    port: File,
    signals: Signals,
    decoder: Decoder,
    running: Option<Running>,
}

impl Server {
    /// An agent on an open port.
    pub fn new(port: File) -> io::Result<Self> {
        let signals = Signals::new(&[SIGCHLD, SIGTERM])?;
        Ok(Self { port, signals, decoder: Decoder::default(), running: None })
    }

    /// Serves until SIGTERM.
    pub fn serve(&mut self) -> io::Result<()> {
        loop {
            let port = self.wait()?;
            if self.signals.pending().contains(&SIGTERM) {
                self.stop_command();
                return Ok(());
            }
            if port.contains(PollFlags::POLLIN) {
                self.read_port()?;
            } else if port.contains(PollFlags::POLLHUP) {
                self.decoder.clear();
                self.stop_command();
                std::thread::sleep(NOBODY_THERE);
            }
            self.pass_output()?;
        }
    }

    /// Waits until something can be done; says what about the port.
    fn wait(&self) -> io::Result<PollFlags> {
        let mut fds = vec![
            PollFd::new(self.port.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let pipes = self.running.iter().flat_map(Running::pipes);
        fds.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => Ok(fds[0].revents().unwrap_or(PollFlags::empty())),
            Err(nix::Error::EINTR) => Ok(PollFlags::empty()),
            Err(error) => Err(error.into()),
        }
    }

    fn read_port(&mut self) -> io::Result<()> {
        let mut bytes = [0; 65536];
        let count = self.port.read(&mut bytes)?;
        self.decoder.feed(&bytes[..count]);
        while let Some(frame) = self.decoder.next_frame() {
            self.obey(frame)?;
        }
        Ok(())
    }

    fn obey(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Hello(nonce) => {
                self.stop_command();
                self.send(&Frame::Hello(nonce))
            }
            Frame::Run(command) => {
                self.stop_command();
                match Running::start(&command) {
                    Ok(running) => self.running = Some(running),
                    Err(error) => self.send(&Frame::Failed(format!("/bin/sh: {error}")))?,
                }
                Ok(())
            }
            Frame::Cancel => {
                if let Some(running) = &self.running {
                    running.kill();
                }
                Ok(())
            }
            // Only dom0 sends these.
            Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exit(_) | Frame::Failed(_) => Ok(()),
        }
    }

    /// Sends what the command printed, and its status when it has ended and the pipes are empty.
    fn pass_output(&mut self) -> io::Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        // Asked before the pipes are read: what the shell printed is in them by then. A pipe holds
        // no more than one piece, so one more look is enough, however much a background process
        // that was left behind goes on printing.
        let ended = running.ended()?;
        for frame in running.output() {
            self.send(&frame)?;
        }
        match ended {
            Some(status) => self.send(&Frame::Exit(status)),
            None => {
                self.running = Some(running);
                Ok(())
            }
        }
    }

    fn stop_command(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }

    fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.port.write_all(&frame.encode())
    }
}
