//! Guests that are defined, whether they run or not: the guest files in /etc/xen, and those
//! elsewhere that /etc/xen/auto leads to.
//!
//! There is no other place: `xm create`, an editor, the service that starts guests and libvirt's
//! clients all mean these files. A file is read again when it has changed. What is no guest's file
//! is left alone. A guest is defined under its name; of two files for one name the first counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::config::{self, CONFIG_DIR, GuestConfig};

/// Files and links in it say which guests are started when the host comes up.
const AUTO: &str = "auto";
/// Identities of guests whose file has none are made of their name and this.
const NAMESPACE: Uuid = Uuid::from_u128(0xe5ca_1005_0000_5000_8000_0000_0000_0000);

/// A guest's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its file.
    pub path: PathBuf,
    /// What the file says; with an identity, even if the file has none.
    pub config: GuestConfig,
    /// It is started when the host comes up.
    pub autostart: bool,
}

/// The identity of a guest that nobody gave one: the same each time.
pub fn identity(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// What tells that a file is another than it was.
type Stamp = (i64, i64, u64, u64);

/// The definitions of a host.
#[derive(Debug)]
pub struct Definitions {
    dir: PathBuf,
    /// What was read of each file, and when it was changed. Held while files are changed.
    read: Mutex<BTreeMap<PathBuf, (Stamp, Option<GuestConfig>)>>,
}

impl Default for Definitions {
    fn default() -> Self {
        Self::new(CONFIG_DIR)
    }
}

type Files<'d> = MutexGuard<'d, BTreeMap<PathBuf, (Stamp, Option<GuestConfig>)>>;

impl Definitions {
    /// The definitions in `dir`, and in its `auto`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), read: Mutex::default() }
    }

    fn lock(&self) -> Files<'_> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by name.
    pub fn all(&self) -> BTreeMap<String, Definition> {
        self.scan(&mut self.lock())
    }

    /// The one that a name or a UUID means.
    pub fn find(&self, wanted: &str) -> Option<Definition> {
        let mut all = self.all();
        if let Some(definition) = all.remove(wanted) {
            return Some(definition);
        }
        let uuid = Uuid::try_parse(wanted).ok()?;
        all.into_values().find(|definition| definition.config.uuid == Some(uuid))
    }

    fn scan(&self, files: &mut Files) -> BTreeMap<String, Definition> {
        let auto: BTreeSet<PathBuf> =
            entries(&self.dir.join(AUTO)).into_iter().filter_map(|(_, real)| real).collect();
        let mut paths: Vec<PathBuf> =
            entries(&self.dir).into_iter().filter_map(|(_, real)| real).collect();
        paths.extend(auto.iter().cloned());
        files.retain(|path, _| paths.contains(path));
        let mut all = BTreeMap::new();
        for path in paths {
            let Some(config) = read(files, &path) else { continue };
            let autostart = auto.contains(&path);
            all.entry(config.name.clone()).or_insert(Definition { path, config, autostart });
        }
        all
    }

    /// Defines a guest, in place of what is defined under its name. Returns it, and whether there
    /// was one. When this returns it is on disk.
    pub fn save(&self, mut config: GuestConfig) -> Result<(Definition, bool), String> {
        config.check()?;
        let uuid = *config.uuid.get_or_insert_with(|| identity(&config.name));
        let mut files = self.lock();
        let all = self.scan(&mut files);
        let twin = all.values().find(|it| it.config.uuid == Some(uuid));
        if let Some(twin) = twin.filter(|twin| twin.config.name != config.name) {
            return Err(format!(
                "domain '{}' is already defined with uuid {uuid}",
                twin.config.name
            ));
        }
        let old = all.get(&config.name);
        let path = match old {
            Some(old) => old.path.clone(),
            None => self.vacant(&config.name)?,
        };
        replace(&path, &config.to_file())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        files.remove(&path);
        let autostart = old.is_some_and(|old| old.autostart);
        Ok((Definition { path, config, autostart }, old.is_some()))
    }

    /// Where a guest of that name is to be defined; what else is there is not touched.
    fn vacant(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.dir.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(format!("{} is there, and is no guest's file", path.display()));
        }
        Ok(path)
    }

    /// Takes a definition back, and the links that start its guest.
    pub fn remove(&self, definition: &Definition) -> Result<(), String> {
        let _files = self.lock();
        let path = &definition.path;
        let remove = || {
            self.unlink(path)?;
            fs::remove_file(path)?;
            sync(path)
        };
        remove().map_err(|error: io::Error| format!("{}: {error}", path.display()))
    }

    /// Removes the links in `auto` that lead to `path`.
    fn unlink(&self, path: &Path) -> io::Result<()> {
        for (entry, real) in entries(&self.dir.join(AUTO)) {
            if real.as_deref() == Some(path) && entry.is_symlink() {
                fs::remove_file(&entry)?;
                sync(&entry)?;
            }
        }
        Ok(())
    }

    /// Has a guest started when the host comes up, or not.
    pub fn set_autostart(&self, definition: &Definition, start: bool) -> Result<(), String> {
        let _files = self.lock();
        let auto = self.dir.join(AUTO);
        if start == definition.autostart {
            return Ok(());
        }
        if !start && definition.path.parent() == Some(&auto) {
            return Err(format!(
                "{} is no link: the guest is defined there",
                definition.path.display()
            ));
        }
        let change = || {
            if !start {
                return self.unlink(&definition.path);
            }
            fs::create_dir_all(&auto)?;
            let link = auto.join(&definition.config.name);
            // One that leads nowhere starts nothing.
            if link.is_symlink() && !link.exists() {
                fs::remove_file(&link)?;
            }
            symlink(&definition.path, &link)?;
            sync(&link)
        };
        change().map_err(|error| format!("{}: {error}", auto.display()))
    }
}

/// What is in a folder and might be a guest's file, in order of name, and where each leads.
fn entries(folder: &Path) -> Vec<(PathBuf, Option<PathBuf>)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| crate::xendomains::wanted(path));
    paths.sort();
    paths
        .into_iter()
        .map(|path| (fs::canonicalize(&path).ok(), path))
        .map(|(r, p)| (p, r))
        .collect()
}

/// The guest of a file, read anew if the file has changed.
fn read(files: &mut Files, path: &Path) -> Option<GuestConfig> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let stamp = (metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.len());
    if let Some((known, config)) = files.get(path)
        && *known == stamp
    {
        return config.clone();
    }
    let config = match config::load(path, &[], Path::new("/")) {
        Ok((config, _)) => {
            let uuid = config.uuid.unwrap_or_else(|| identity(&config.name));
            Some(GuestConfig { uuid: Some(uuid), ..config })
        }
        Err(error) => {
            tracing::debug!("no guest is defined by {error}");
            None
        }
    };
    files.insert(path.to_owned(), (stamp, config.clone()));
    config
}

/// Replaces a file whole. What is written begins with a dot, which is no guest's file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync(path)
}

/// Makes the entry of `path` in its folder lasting.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    fn guest(text: &str) -> GuestConfig {
        parse(text, Source::CommandLine, &[], "juliet", Path::new("/")).unwrap().0
    }

    fn place() -> (tempfile::TempDir, Definitions) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(AUTO)).unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        (dir, Definitions::new(real))
    }

    #[test]
    fn files_are_definitions_and_definitions_are_files() {
        let (dir, definitions) = place();
        fs::write(dir.path().join("romeo.cfg"), "name='romeo'; kernel='/k'").unwrap();
        fs::write(dir.path().join("xl.conf"), "autoballoon='off'").unwrap();
        fs::create_dir(dir.path().join("scripts")).unwrap();
        let names = || definitions.all().into_keys().collect::<Vec<_>>();
        assert_eq!(names(), ["romeo"]);
        let romeo = definitions.find("romeo").unwrap();
        assert_eq!(definitions.find(&identity("romeo").to_string()), Some(romeo.clone()));
        // A change goes where the guest is defined.
        let changed = GuestConfig { memory: 64, ..romeo.config };
        let (saved, known) = definitions.save(changed).unwrap();
        assert!(known && saved.path.ends_with("romeo.cfg"));
        assert_eq!(definitions.find("romeo").unwrap().config.memory, 64);
        let (_, known) = definitions.save(guest("kernel='/k'")).unwrap();
        assert!(!known);
        assert_eq!(names(), ["juliet", "romeo"]);
        assert!(definitions.save(guest("name='scripts'; kernel='/k'")).is_err());
        let twin = format!("name='tybalt'; kernel='/k'; uuid='{}'", identity("juliet"));
        assert!(definitions.save(guest(&twin)).unwrap_err().contains("'juliet'"));
        definitions.remove(&definitions.find("romeo").unwrap()).unwrap();
        assert_eq!(names(), ["juliet"]);
    }

    #[test]
    fn links_say_what_is_started() {
        let (dir, definitions) = place();
        definitions.save(guest("kernel='/k'")).unwrap();
        let juliet = || definitions.find("juliet").unwrap();
        assert!(!juliet().autostart);
        definitions.set_autostart(&juliet(), true).unwrap();
        assert!(juliet().autostart && dir.path().join("auto/juliet").is_symlink());
        definitions.set_autostart(&juliet(), true).unwrap();
        definitions.set_autostart(&juliet(), false).unwrap();
        assert!(!juliet().autostart && !dir.path().join("auto/juliet").exists());
        // What an administrator linked under a name of his own.
        symlink("../juliet", dir.path().join("auto/10-first")).unwrap();
        assert!(juliet().autostart);
        definitions.remove(&juliet()).unwrap();
        assert!(!dir.path().join("auto/10-first").is_symlink());
        // A guest's file may lie there itself.
        fs::write(dir.path().join("auto/paris"), "kernel='/k'").unwrap();
        let paris = definitions.find("paris").unwrap();
        assert!(paris.autostart);
        assert!(definitions.set_autostart(&paris, false).unwrap_err().contains("defined there"));
    }
}
