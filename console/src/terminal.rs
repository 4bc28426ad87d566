//! A guest's terminal: what it printed waits here until a client is attached.
//!
//! The kernel keeps a few kilobytes for a terminal that nobody reads, always the oldest. So
//! nothing is written to it before a client has opened it; until then the backlog keeps the
//! newest. That somebody opens or closes a terminal is seen through inotify(7).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::poll::{PollFd, PollFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::backlog::Backlog;
use crate::pty::Pty;

/// The least that is kept, whatever the toolstack says: a ring full must pass in any case.
const LEAST_BACKLOG: usize = 4096;

/// A terminal, and what has yet to be written to it.
#[derive(Debug)]
pub(crate) struct Terminal {
    pty: Pty,
    backlog: Backlog,
    watch: WatchDescriptor,
    clients: usize,
}

impl Terminal {
    /// Makes one that keeps `limit` bytes for a late client.
    pub(crate) fn open(watcher: &Watcher, limit: usize) -> io::Result<Self> {
        let pty = Pty::open()?;
        let watch = watcher.watch(pty.path())?;
        let backlog = Backlog::new(limit.max(LEAST_BACKLOG));
        Ok(Self { pty, backlog, watch, clients: 0 })
    }

    /// What a client opens.
    pub(crate) fn path(&self) -> &Path {
        self.pty.path()
    }

    /// What the guest printed.
    pub(crate) fn print(&mut self, bytes: &[u8]) {
        self.backlog.push(bytes);
        self.flush();
    }

    /// Writes what attached clients have room for.
    pub(crate) fn flush(&mut self) {
        while self.clients > 0 && !self.backlog.is_empty() {
            match self.pty.write(self.backlog.front()) {
                Ok(count) if count > 0 => self.backlog.consume(count),
                _ => return,
            }
        }
    }

    /// Takes what was typed, at most a buffer full.
    pub(crate) fn typed(&self, bytes: &mut [u8]) -> usize {
        self.pty.read(bytes).unwrap_or(0)
    }

    /// Whether everything has reached those for whom it was.
    pub(crate) fn is_drained(&self) -> bool {
        self.clients == 0 || (self.backlog.is_empty() && !self.pty.is_unread())
    }

    /// Clients came and went.
    pub(crate) fn count_clients(&mut self, seen: &Seen) {
        if let Some(change) = seen.changes.get(&self.watch) {
            self.clients = self.clients.saturating_add_signed(*change);
        }
        if seen.lost {
            // Better a terminal that fills up than a client that sees nothing.
            self.clients = self.clients.max(1);
        }
        self.flush();
    }

    /// What to wait for; `wants_input` if the guest has room for something typed.
    pub(crate) fn poll_fd(&self, wants_input: bool) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, wants_input);
        flags.set(PollFlags::POLLOUT, self.clients > 0 && !self.backlog.is_empty());
        PollFd::new(self.pty.as_fd(), flags)
    }

    /// Ends it: clients see the end of the file.
    pub(crate) fn close(self, watcher: &Watcher) {
        // The kernel forgets the watch by itself when the terminal's name goes.
        let _ = watcher.inotify.rm_watch(self.watch);
    }
}

/// Sees clients come and go. Its descriptor is readable when one did.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: Inotify,
}

/// What a watcher saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    changes: BTreeMap<WatchDescriptor, isize>,
    /// There were too many events to keep count.
    lost: bool,
}

impl Watcher {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { inotify: Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)? })
    }

    fn watch(&self, path: &Path) -> io::Result<WatchDescriptor> {
        Ok(self.inotify.add_watch(path, AddWatchFlags::IN_OPEN | AddWatchFlags::IN_CLOSE)?)
    }

    /// What happened since the last call; never blocks.
    pub(crate) fn take(&self) -> Seen {
        let mut seen = Seen::default();
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                seen.lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                let change = seen.changes.entry(event.wd).or_default();
                *change += isize::from(event.mask.contains(AddWatchFlags::IN_OPEN));
                *change -= isize::from(event.mask.intersects(AddWatchFlags::IN_CLOSE));
            }
        }
        seen
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::io::Read;

    fn attach(terminal: &Terminal) -> File {
        OpenOptions::new().read(true).write(true).open(terminal.path()).unwrap()
    }

    fn read(client: &mut File, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_late_client_sees_the_recent_past() {
        let watcher = Watcher::open().unwrap();
        let mut terminal = Terminal::open(&watcher, 5000).unwrap();
        for number in 0..10_000 {
            terminal.print(format!("{number:04}\n").as_bytes());
        }
        assert!(terminal.is_drained(), "nobody is there to see it");
        let mut client = attach(&terminal);
        terminal.count_clients(&watcher.take());
        assert_eq!(read(&mut client, 5), b"9000\n");
        let mut text = Vec::new();
        while text.len() < 4995 {
            terminal.flush();
            text.extend(read(&mut client, 5));
        }
        assert!(text.ends_with(b"9998\n9999\n"));
        assert!(terminal.is_drained());
    }

    #[test]
    fn what_is_printed_between_two_clients_waits_for_the_second() {
        let watcher = Watcher::open().unwrap();
        let mut terminal = Terminal::open(&watcher, 0).unwrap();
        let mut first = attach(&terminal);
        terminal.count_clients(&watcher.take());
        terminal.print(b"one\n");
        assert_eq!(read(&mut first, 4), b"one\n");
        drop(first);
        terminal.count_clients(&watcher.take());
        terminal.print(b"two\n");
        let mut second = attach(&terminal);
        terminal.count_clients(&watcher.take());
        assert_eq!(read(&mut second, 4), b"two\n");
    }

    #[test]
    fn a_client_that_does_not_read_stops_nothing() {
        let watcher = Watcher::open().unwrap();
        let mut terminal = Terminal::open(&watcher, 8192).unwrap();
        let _client = attach(&terminal);
        terminal.count_clients(&watcher.take());
        for _ in 0..10_000 {
            terminal.print(&[b'x'; 100]);
        }
        assert!(!terminal.is_drained());
    }
}
