//! What xend keeps of each domain on disk, so that its death is no domain's death.
//!
//! One folder a domain, `/var/lib/xend/domains/UUID`, with one file in it that is replaced whole.
//! The record is written before the step it announces: whoever reads it after a crash knows what
//! may have been done.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::GuestConfig;
use crate::host::DomId;

/// Where records are kept.
pub const DIR: &str = "/var/lib/xend/domains";

/// Where a domain is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is being made; if that is interrupted, it is as if it had never been asked for.
    Creating,
    /// It lives.
    Running,
    /// It stopped, is cleaned away and made anew; if that is interrupted, it is begun again.
    Restarting,
    /// It stopped and is kept for somebody to look at.
    Preserved,
    /// It is being cleaned away.
    Destroying,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Preserved => "preserved",
            Self::Destroying => "destroying",
        }
    }
}

/// A domain as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its identity, and its handle in the hypervisor.
    pub uuid: Uuid,
    /// Its settings.
    pub config: GuestConfig,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its number, once it has one.
    pub domid: Option<DomId>,
    /// When it was made, in seconds since 1970.
    pub started: f64,
    /// How often it was made anew.
    pub restarts: u32,
    /// How often in a row it lived only for a moment.
    pub short_lives: u32,
    /// During which boot of the host this was written.
    pub boot_id: String,
}

/// The folder of records.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
}

impl Records {
    /// The records in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn folder(&self, uuid: Uuid) -> PathBuf {
        self.dir.join(uuid.to_string())
    }

    /// Writes a record; when this returns it is on disk.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        let folder = self.folder(record.uuid);
        fs::create_dir_all(&folder)?;
        let fresh = folder.join("domain.json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        fs::rename(&fresh, folder.join("domain.json"))?;
        sync(&folder)?;
        sync(&self.dir)
    }

    /// Forgets a record; no error if there is none.
    pub fn remove(&self, uuid: Uuid) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(uuid)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync(&self.dir),
        }
    }

    /// All records. What can't be read is left alone and complained of.
    pub fn load(&self) -> io::Result<(Vec<Record>, Vec<String>)> {
        fs::create_dir_all(&self.dir)?;
        let (mut records, mut complaints) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let Some(uuid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                continue;
            };
            match read(&path.join("domain.json"), uuid) {
                Ok(record) => records.push(record),
                // Made, but nothing written yet: nothing was done for it either.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.remove(uuid)?,
                Err(error) => complaints.push(format!("{}: {error}", path.display())),
            }
        }
        Ok((records, complaints))
    }
}

fn read(path: &Path, uuid: Uuid) -> io::Result<Record> {
    let record: Record = serde_json::from_slice(&fs::read(path)?)?;
    if record.uuid != uuid {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is another domain's record"));
    }
    Ok(record)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn record(uuid: u128) -> Record {
        let (config, _) =
            parse("kernel='/k'", Source::CommandLine, &[], "juliet", Path::new("/")).unwrap();
        Record {
            uuid: Uuid::from_u128(uuid),
            config,
            phase: Phase::Creating,
            domid: None,
            started: 1.5,
            restarts: 0,
            short_lives: 0,
            boot_id: "b".to_owned(),
        }
    }

    #[test]
    fn what_was_saved_is_there_after_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path().join("domains"));
        assert_eq!(records.load().unwrap().0, []);
        let mut first = record(1);
        records.save(&first).unwrap();
        first.phase = Phase::Running;
        first.domid = Some(3);
        records.save(&first).unwrap();
        records.save(&record(2)).unwrap();
        let again = Records::new(dir.path().join("domains"));
        let mut loaded = again.load().unwrap().0;
        loaded.sort_by_key(|record| record.uuid);
        assert_eq!(loaded, [first, record(2)]);
        again.remove(Uuid::from_u128(1)).unwrap();
        again.remove(Uuid::from_u128(1)).unwrap();
        assert_eq!(again.load().unwrap().0.len(), 1);
    }

    #[test]
    fn a_crash_while_saving_leaves_the_old_record_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        records.save(&record(1)).unwrap();
        let folder = records.folder(Uuid::from_u128(1));
        fs::write(folder.join("domain.json.new"), "{ half").unwrap();
        // Another one died after it had made its folder.
        fs::create_dir(records.folder(Uuid::from_u128(2))).unwrap();
        let (loaded, complaints) = records.load().unwrap();
        assert_eq!((loaded, complaints.len()), (vec![record(1)], 0));
        assert!(!records.folder(Uuid::from_u128(2)).exists());
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path());
        let folder = records.folder(Uuid::from_u128(1));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("domain.json"), "nonsense").unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let (loaded, complaints) = records.load().unwrap();
        assert_eq!((loaded.len(), complaints.len()), (0, 1));
        assert!(folder.exists());
    }
}
