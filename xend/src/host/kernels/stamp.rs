//! What tells that a file is the same as it was.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// A file that was changed so shortly before it was read may be changed again in the same tick.
pub const TICK: Duration = Duration::from_secs(2);

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of a file as it is now.
    pub fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether another change will change it.
    pub fn is_old(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since = seconds.try_into().ok().zip(nanoseconds.try_into().ok());
        let since = since.map(|(seconds, nanos)| Duration::new(seconds, nanos));
        let age = since.and_then(|since| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since).ok()
        });
        age.is_some_and(|age| age > TICK)
    }
}
