//! The files that unpacked kernels are kept in, by name, and room for them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::time::SystemTime;

/// So many are kept: those that were used last.
pub const MOST: usize = 4;
/// How the name of a file ends while it is written.
const UNFINISHED: &str = ".new";

/// A folder of files, made when it is needed. A file with a kernel's name is whole.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Opens a kept kernel, and has it count as used just now.
    pub fn open(&self, name: &str) -> io::Result<File> {
        let path = self.0.join(name);
        let file = File::open(&path)?;
        // If it doesn't, it is only removed sooner.
        let used = File::options().write(true).open(path);
        let _ = used.and_then(|it| it.set_modified(SystemTime::now()));
        Ok(file)
    }

    /// Whether a kernel is kept.
    pub fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Keeps a kernel, which counts as used at that time.
    pub fn write(&self, name: &str, bytes: &[u8], used: SystemTime) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let new = self.0.join(format!("{name}{UNFINISHED}"));
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(bytes)?;
            file.set_modified(used)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&new, self.0.join(name))).inspect_err(|_| {
            // Half of it is of no use.
            let _ = fs::remove_file(&new);
        })
    }

    /// Removes those that weren't used for the longest time, so that those that are `coming` fit.
    pub fn make_room(&self, coming: &HashSet<String>) -> io::Result<()> {
        let mut kept = self.kept(coming)?;
        kept.sort();
        let spare = (kept.len() + coming.len()).saturating_sub(MOST);
        kept.iter().take(spare).try_for_each(|(_, name)| self.remove(name))
    }

    /// Whether those that are `coming` fit without that.
    pub fn has_room(&self, coming: &HashSet<String>) -> io::Result<bool> {
        Ok(self.kept(coming)?.len() + coming.len() <= MOST)
    }

    /// When those were used that aren't `coming`, and their names. What an earlier process left
    /// half written goes.
    fn kept(&self, coming: &HashSet<String>) -> io::Result<Vec<(SystemTime, String)>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match name.strip_suffix(UNFINISHED) {
                _ if coming.contains(&name) => (),
                Some(begun) if coming.contains(begun) => (),
                Some(_) => self.remove(&name)?,
                // Another thread may just have removed it.
                None => {
                    kept.extend(entry.metadata().and_then(|it| it.modified()).map(|at| (at, name)))
                }
            }
        }
        Ok(kept)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
