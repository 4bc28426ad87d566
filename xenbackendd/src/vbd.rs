//! Disks: a block device of dom0's, or a file behind a loop device.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

use crate::device::Device;
use crate::loopdev;
use crate::record::{Records, Use};

/// What the toolstack wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Path, or a name below `/dev`.
    pub params: String,
    /// The guest may write.
    pub writable: bool,
    /// Others may use it too, whatever comes of it (mode `w!`).
    pub shared: bool,
}

impl Wish {
    /// From the nodes `params` and `mode`.
    pub fn new(params: &str, mode: &str) -> Result<Self, String> {
        if params.is_empty() {
            return Err("no device or file is named".to_owned());
        }
        if params.contains(['\n', '\0']) {
            return Err(format!("{params:?} can't be a path here"));
        }
        let (writable, shared) = match mode {
            "r" | "ro" => (false, false),
            "w" | "rw" => (true, false),
            "w!" => (true, true),
            _ => return Err(format!("mode '{mode}' is none of r, w, w!")),
        };
        Ok(Self { params: params.to_owned(), writable, shared })
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.params)
    }
}

/// A prepared disk, as the kernel's backend wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `major:minor`, hexadecimal.
    pub physical_device: String,
    /// The block device.
    pub path: PathBuf,
}

/// Two users that can't share: one writes.
fn clash(wish: &Wish, other_writes: bool) -> bool {
    !wish.shared && (wish.writable || other_writes)
}

/// Prepares a disk; what it uses is recorded before it is done.
pub fn prepare(device: &Device, wish: &Wish, records: &mut Records) -> Result<Disk, String> {
    let path = wish.path();
    let named = |error: io::Error| format!("{}: {error}", path.display());
    let metadata = fs::metadata(&path).map_err(named)?;
    if metadata.is_dir() {
        return Err(format!("{}: is a directory", path.display()));
    }
    for (other, used) in records.iter().filter(|(other, _)| *other != device) {
        if let Some(writes) = uses(used, &metadata)
            && clash(wish, writes)
        {
            return Err(format!("{}: is in use by {other}", path.display()));
        }
    }
    if metadata.file_type().is_block_device() {
        if let Some(place) = mounted(metadata.rdev(), wish) {
            return Err(format!("{}: is mounted on {place} in dom0", path.display()));
        }
        let used = Use::Block { path: path.clone(), writable: wish.writable };
        records.insert(*device, used).map_err(named)?;
        return described(&path).map_err(named);
    }
    if !metadata.is_file() {
        return Err(format!("{}: is neither a file nor a block device", path.display()));
    }
    let number = attach(device, &path, wish.writable, records).map_err(named)?;
    described(&loopdev::path(number)).map_err(named)
}

/// Puts a file behind a free loop device.
fn attach(device: &Device, file: &Path, writable: bool, records: &mut Records) -> io::Result<u32> {
    loop {
        let number = loopdev::free()?;
        records.insert(*device, Use::Loop { number, file: file.to_owned(), writable })?;
        match loopdev::attach(number, file, writable) {
            Ok(()) => return Ok(number),
            // Somebody else took it between the two steps.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => {
                records.remove(device)?;
                return Err(error);
            }
        }
    }
}

/// Whether a record is of the same file or device, and if so, whether it writes.
fn uses(used: &Use, metadata: &fs::Metadata) -> Option<bool> {
    let (path, writable) = match used {
        Use::Loop { file, writable, .. } => (file, writable),
        Use::Block { path, writable } => (path, writable),
        Use::Interface { .. } | Use::Script { .. } => return None,
    };
    let other = fs::metadata(path).ok()?;
    let both_blocks = other.file_type().is_block_device() && metadata.file_type().is_block_device();
    let same = if both_blocks {
        other.rdev() == metadata.rdev()
    } else {
        (other.dev(), other.ino()) == (metadata.dev(), metadata.ino())
    };
    same.then_some(*writable)
}

/// Where a block device is mounted in dom0, if that keeps a guest from having it.
fn mounted(rdev: u64, wish: &Wish) -> Option<String> {
    let device = format!("{}:{}", major(rdev), minor(rdev));
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut mounts = mount.filter(|fields| fields.get(2) == Some(&device.as_str()));
    mounts.find_map(|fields| {
        let writes = fields.get(5)?.split(',').any(|option| option == "rw");
        clash(wish, writes).then(|| fields.get(4).unwrap_or(&"?").to_string())
    })
}

fn described(block: &Path) -> io::Result<Disk> {
    let rdev = fs::metadata(block)?.rdev();
    let physical_device = format!("{:x}:{:x}", major(rdev), minor(rdev));
    Ok(Disk { physical_device, path: block.to_owned() })
}

/// Finds a disk again that an earlier run prepared, or `None` if it was not completed.
pub fn find_again(used: &Use) -> Option<Disk> {
    match used {
        Use::Loop { number, file, .. } if loopdev::serves(*number, file) => {
            described(&loopdev::path(*number)).ok()
        }
        Use::Block { path, .. } => described(path).ok(),
        _ => None,
    }
}

/// Lets go of what a disk uses.
pub fn put_back(used: &Use) -> io::Result<()> {
    match used {
        Use::Loop { number, file, .. } if loopdev::serves(*number, file) => {
            loopdev::detach(*number)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Kind;

    fn device(devid: u32) -> Device {
        Device { kind: Kind::Vbd, domid: 1, devid }
    }

    #[test]
    fn wishes_are_read_strictly() {
        assert!(Wish::new("/a", "w").unwrap().writable);
        assert!(Wish::new("/a", "w!").unwrap().shared);
        assert!(!Wish::new("/a", "r").unwrap().writable);
        for (params, mode) in [("", "w"), ("/a", "x"), ("/a\nloop 1 w /b", "w")] {
            assert!(Wish::new(params, mode).is_err());
        }
        assert_eq!(Wish::new("vg/disk", "r").unwrap().path(), Path::new("/dev/vg/disk"));
    }

    #[test]
    fn a_file_is_written_by_one_guest_only() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::write(&image, [0; 4096]).unwrap();
        let image = image.to_str().unwrap().to_owned();
        let mut records = Records::open(folder.path().join("records")).unwrap();
        let wish = |mode| Wish::new(&image, mode).unwrap();
        let disk = prepare(&device(1), &wish("w"), &mut records).unwrap();
        assert!(disk.path.starts_with("/dev") && disk.physical_device.starts_with("7:"));
        let error = prepare(&device(2), &wish("r"), &mut records).unwrap_err();
        assert!(error.contains("in use by vbd 1 of domain 1"), "{error}");
        let used = records.get(&device(1)).unwrap().clone();
        assert_eq!(find_again(&used), Some(disk));
        put_back(&used).unwrap();
        assert_eq!(find_again(&used), None);
    }

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut records = Records::open(folder.path().join("records")).unwrap();
        for (params, word) in
            [("/no/such/file", "No such file"), ("/etc", "directory"), ("/dev/null", "neither")]
        {
            let error =
                prepare(&device(1), &Wish::new(params, "r").unwrap(), &mut records).unwrap_err();
            assert!(error.contains(params) && error.contains(word), "{error}");
        }
        assert_eq!(records.iter().count(), 0);
    }
}
