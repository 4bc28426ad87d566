//! `svcs -L -f`: what is added to logs, as it is added, whatever happens to their files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::tail;

/// A log that is followed.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    /// In front of every line.
    prefix: String,
    file: Option<File>,
    /// How much of the file has been read.
    position: u64,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Log {
    /// A log from its last lines on. It need not be there yet.
    pub fn open(path: &Path, prefix: String) -> Self {
        let mut file = File::open(path).ok();
        let start = file.as_mut().map(|file| tail::start_of_last(file, tail::LINES));
        let position = start.and_then(Result::ok).unwrap_or(0);
        Self { path: path.to_owned(), prefix, file, position, rest: Vec::new() }
    }

    /// Writes the lines that are new.
    fn catch_up(&mut self, out: &mut impl Write) -> io::Result<()> {
        loop {
            if self.file.is_none() {
                self.file = File::open(&self.path).ok();
                self.position = 0;
            }
            let Some(file) = &mut self.file else { return Ok(()) };
            let metadata = file.metadata()?;
            if metadata.len() < self.position {
                // Truncated: it begins anew.
                self.position = 0;
                self.rest.clear();
            }
            file.seek(SeekFrom::Start(self.position))?;
            self.position += file.read_to_end(&mut self.rest)? as u64;
            self.write_lines(out)?;
            let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
            match fs::metadata(&self.path) {
                Ok(now) if id(&now) != id(&metadata) => self.end_file(out)?,
                // Without a successor the old file is as good as any.
                _ => return Ok(()),
            }
        }
    }

    fn write_lines(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        for line in self.rest[..=end].split_inclusive(|byte| *byte == b'\n') {
            out.write_all(self.prefix.as_bytes())?;
            out.write_all(line)?;
        }
        self.rest.drain(..=end);
        Ok(())
    }

    /// Another file has taken the place of this one.
    fn end_file(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.rest.push(b'\n');
            self.write_lines(out)?;
        }
        self.file = None;
        Ok(())
    }
}

/// Follows logs until nobody reads what is written.
pub fn follow(mut logs: Vec<Log>) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let events = AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_MOVED_TO;
    // Folders, since files come and go.
    for folder in logs.iter().filter_map(|log| log.path.parent()).collect::<BTreeSet<_>>() {
        inotify.add_watch(folder, events).map_err(|error| {
            io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", folder.display()))
        })?;
    }
    let mut out = io::stdout();
    logs.iter_mut().try_for_each(|log| log.catch_up(&mut out))?;
    loop {
        out.flush()?;
        wait(&inotify, &out)?;
        let changed = changed(&inotify)?;
        let concerned = |log: &&mut Log| match &changed {
            Some(names) => log.path.file_name().is_some_and(|name| names.contains(name)),
            None => true,
        };
        logs.iter_mut().filter(concerned).try_for_each(|log| log.catch_up(&mut out))?;
    }
}

/// Waits for a change; an error if the reader has gone.
fn wait(inotify: &Inotify, out: &impl AsFd) -> io::Result<()> {
    let mut fds = [
        PollFd::new(inotify.as_fd(), PollFlags::POLLIN),
        PollFd::new(out.as_fd(), PollFlags::empty()),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    match fds[1].revents() {
        Some(events) if events.intersects(gone) => Err(ErrorKind::BrokenPipe.into()),
        _ => Ok(()),
    }
}

/// The names of the files that changed; `None` if that got lost.
fn changed(inotify: &Inotify) -> io::Result<Option<BTreeSet<OsString>>> {
    let events = match inotify.read_events() {
        Err(nix::Error::EAGAIN) => Vec::new(),
        events => events?,
    };
    Ok(events.into_iter().map(|event| event.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use tempfile::TempDir;

    struct Fixture {
        folder: TempDir,
        log: Log,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            fs::write(&path, text).unwrap();
            let log = Log::open(&path, "a: ".to_owned());
            Self { folder, log }
        }

        fn add(&self, text: &str) {
            let options = OpenOptions::new().append(true).create(true).clone();
            options.open(&self.log.path).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            fs::rename(&self.log.path, self.folder.path().join("log.0")).unwrap();
        }

        fn news(&mut self) -> String {
            let mut out = Vec::new();
            self.log.catch_up(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    #[test]
    fn whole_lines_are_told_once() {
        let mut fixture = Fixture::new(&"old\n".repeat(20));
        assert_eq!(fixture.news(), "a: old\n".repeat(tail::LINES));
        fixture.add("one\ntw");
        assert_eq!(fixture.news(), "a: one\n");
        assert_eq!(fixture.news(), "");
        fixture.add("o\n");
        assert_eq!(fixture.news(), "a: two\n");
    }

    #[test]
    fn a_rotated_log_is_read_to_its_end_first() {
        let mut fixture = Fixture::new("");
        fixture.add("before\nunfinished");
        fixture.rotate();
        assert_eq!(fixture.news(), "a: before\n", "no successor yet");
        fixture.add("after\n");
        assert_eq!(fixture.news(), "a: unfinished\na: after\n");
    }

    #[test]
    fn a_truncated_log_begins_anew() {
        let mut fixture = Fixture::new("long enough\nhalf");
        assert_eq!(fixture.news(), "a: long enough\n");
        fs::write(&fixture.log.path, "new\n").unwrap();
        assert_eq!(fixture.news(), "a: new\n");
    }

    #[test]
    fn a_log_may_come_later() {
        let mut fixture = Fixture::new("");
        fs::remove_file(&fixture.log.path).unwrap();
        fixture.log = Log::open(&fixture.log.path.clone(), String::new());
        assert_eq!(fixture.news(), "");
        fixture.add("first\n");
        assert_eq!(fixture.news(), "first\n");
    }
}
