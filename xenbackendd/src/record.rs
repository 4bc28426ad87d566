//! What is in use for which device: one small file each, written before the thing is done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::device::Device;

/// What a device uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A loop device on a file.
    Loop {
        /// `/dev/loopN` is N.
        number: u32,
        /// The file.
        file: PathBuf,
        /// The guest may write.
        writable: bool,
    },
    /// A block device of dom0's.
    Block {
        /// Which.
        path: PathBuf,
        /// The guest may write.
        writable: bool,
    },
    /// A network interface.
    Interface {
        /// Its name.
        name: String,
    },
    /// Whatever a script of the administrator's did.
    Script {
        /// Which.
        path: PathBuf,
    },
}

impl Use {
    fn to_line(&self) -> String {
        let mode = |writable: &bool| if *writable { "w" } else { "r" };
        match self {
            Use::Loop { number, file, writable } => {
                format!("loop {number} {} {}", mode(writable), file.display())
            }
            Use::Block { path, writable } => format!("block {} {}", mode(writable), path.display()),
            Use::Interface { name } => format!("interface {name}"),
            Use::Script { path } => format!("script {}", path.display()),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let (kind, rest) = line.trim_end_matches('\n').split_once(' ')?;
        Some(match kind {
            "loop" => {
                let (number, rest) = rest.split_once(' ')?;
                let (mode, file) = rest.split_once(' ')?;
                Use::Loop { number: number.parse().ok()?, file: file.into(), writable: mode == "w" }
            }
            "block" => {
                let (mode, path) = rest.split_once(' ')?;
                Use::Block { path: path.into(), writable: mode == "w" }
            }
            "interface" => Use::Interface { name: rest.to_owned() },
            "script" => Use::Script { path: rest.into() },
            _ => return None,
        })
    }
}

/// The records, in memory and on disk.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    uses: BTreeMap<Device, Use>,
}

impl Records {
    /// Reads what an earlier run left.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut uses = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            match read(&path) {
                Some((device, used)) => drop(uses.insert(device, used)),
                // Half-written: it was never renamed, so nothing was done yet.
                None => fs::remove_file(&path)?,
            }
        }
        Ok(Self { folder, uses })
    }

    /// What a device uses.
    pub fn get(&self, device: &Device) -> Option<&Use> {
        self.uses.get(device)
    }

    /// All devices and what they use.
    pub fn iter(&self) -> impl Iterator<Item = (&Device, &Use)> {
        self.uses.iter()
    }

    /// Notes that a device is about to use something.
    pub fn insert(&mut self, device: Device, used: Use) -> io::Result<()> {
        let new = self.folder.join(".new");
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{}", used.to_line())?;
        file.sync_all()?;
        fs::rename(&new, self.folder.join(device.record_name()))?;
        self.uses.insert(device, used);
        Ok(())
    }

    /// Notes that a device uses nothing any more.
    pub fn remove(&mut self, device: &Device) -> io::Result<()> {
        self.uses.remove(device);
        match fs::remove_file(self.folder.join(device.record_name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn read(path: &Path) -> Option<(Device, Use)> {
    let device = Device::from_record_name(path.file_name()?.to_str()?)?;
    Some((device, Use::from_line(&fs::read_to_string(path).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Kind;

    #[test]
    fn records_survive_and_half_written_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let device = |kind, devid| Device { kind, domid: 3, devid };
        let all = [
            (device(Kind::Vbd, 1), Use::Loop { number: 4, file: "/a b/c".into(), writable: true }),
            (device(Kind::Vbd, 2), Use::Block { path: "/dev/vdb".into(), writable: false }),
            (device(Kind::Vbd, 3), Use::Script { path: "/etc/xen/scripts/block-x".into() }),
            (device(Kind::Vif, 0), Use::Interface { name: "rosaline".into() }),
        ];
        let mut records = Records::open(folder.path().to_owned()).unwrap();
        for (device, used) in &all {
            records.insert(*device, used.clone()).unwrap();
        }
        fs::write(folder.path().join(".new"), "loop").unwrap();
        let mut again = Records::open(folder.path().to_owned()).unwrap();
        let read: Vec<_> = again.iter().map(|(device, used)| (*device, used.clone())).collect();
        assert_eq!(read, all);
        again.remove(&all[0].0).unwrap();
        again.remove(&all[0].0).unwrap();
        assert_eq!(Records::open(folder.path().to_owned()).unwrap().iter().count(), 3);
    }
}
