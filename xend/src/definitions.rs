//! Guests that are defined, whether they run or not: the guest files in /etc/xen, and those
//! elsewhere that /etc/xen/auto leads to.
//!
//! There is no other place: `xm create`, an editor, the service that starts guests and libvirt's
//! clients all mean these files. A file is read again when it has changed. What is no guest's file
//! is left alone. A guest is defined under its name; of two files for one name the first counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    pub config: Arc<GuestConfig>,
    /// It is started when the host comes up.
    pub autostart: bool,
}

/// The identity of a guest that nobody gave one: the same each time.
pub fn identity(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// All definitions of a host, by name.
pub type All = Arc<BTreeMap<String, Definition>>;

/// What tells that a file is another than it was.
type Stamp = (i64, i64, u64, u64);

/// A file that may be a guest's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    /// Its entry in its folder.
    entry: PathBuf,
    /// Where that leads.
    path: PathBuf,
    stamp: Stamp,
}

/// What was seen of the files, and read of them.
#[derive(Debug, Default)]
struct Known {
    /// The files in the folder, and those in its `auto`.
    seen: (Vec<Candidate>, Vec<Candidate>),
    /// What each says; nothing, if it is no guest's.
    files: HashMap<PathBuf, (Stamp, Option<Arc<GuestConfig>>)>,
    /// What all that comes to.
    all: All,
}

/// The definitions of a host.
#[derive(Debug)]
pub struct Definitions {
    dir: PathBuf,
    /// Held while files are changed.
    known: Mutex<Known>,
}

impl Default for Definitions {
    fn default() -> Self {
        Self::new(CONFIG_DIR)
    }
}

impl Definitions {
    /// The definitions in `dir`, and in its `auto`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), known: Mutex::default() }
    }

    /// Where they are, or what leads to them.
    pub fn folders(&self) -> [PathBuf; 2] {
        [self.dir.clone(), self.dir.join(AUTO)]
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them. As long as no file changes it is the same map each time.
    pub fn all(&self) -> All {
        self.scan(&mut self.lock())
    }

    /// The one that a name or a UUID means.
    pub fn find(&self, wanted: &str) -> Option<Definition> {
        let all = self.all();
        if let Some(definition) = all.get(wanted) {
            return Some(definition.clone());
        }
        let uuid = Uuid::try_parse(wanted).ok()?;
        all.values().find(|definition| definition.config.uuid == Some(uuid)).cloned()
    }

    fn scan(&self, known: &mut Known) -> All {
        let seen = self.folders().map(|folder| candidates(&folder)).into();
        if seen != known.seen {
            let (own, auto) = &seen;
            let started: HashSet<&Path> = auto.iter().map(|it| it.path.as_path()).collect();
            let mut files = HashMap::new();
            let mut all = BTreeMap::new();
            for Candidate { path, stamp, .. } in own.iter().chain(auto) {
                if files.contains_key(path) {
                    continue;
                }
                let config = match known.files.remove(path) {
                    Some((old, config)) if old == *stamp => config,
                    _ => read(path).map(Arc::new),
                };
                files.insert(path.clone(), (*stamp, config.clone()));
                let Some(config) = config else { continue };
                let autostart = started.contains(path.as_path());
                let definition = Definition { path: path.clone(), config, autostart };
                all.entry(definition.config.name.clone()).or_insert(definition);
            }
            *known = Known { seen, files, all: Arc::new(all) };
        }
        Arc::clone(&known.all)
    }

    /// Defines a guest, in place of what is defined under its name. Returns it, and whether there
    /// was one. When this returns it is on disk.
    pub fn save(&self, mut config: GuestConfig) -> Result<(Definition, bool), String> {
        config.check()?;
        let uuid = *config.uuid.get_or_insert_with(|| identity(&config.name));
        let mut known = self.lock();
        let all = self.scan(&mut known);
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
        // It is read again, whatever its stamp.
        known.files.remove(&path);
        known.seen = Default::default();
        let autostart = old.is_some_and(|old| old.autostart);
        Ok((Definition { path, config: Arc::new(config), autostart }, old.is_some()))
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
        let _known = self.lock();
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
        let auto = candidates(&self.dir.join(AUTO));
        for it in auto.iter().filter(|it| it.path == path && it.entry.is_symlink()) {
            fs::remove_file(&it.entry)?;
            sync(&it.entry)?;
        }
        Ok(())
    }

    /// Has a guest started when the host comes up, or not.
    pub fn set_autostart(&self, definition: &Definition, start: bool) -> Result<(), String> {
        let _known = self.lock();
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

/// What is in a folder and may be a guest's file, in order of name. It is looked at each time that
/// somebody asks for guests, so one look at a file must do.
fn candidates(folder: &Path) -> Vec<Candidate> {
    let entries = fs::canonicalize(folder).and_then(fs::read_dir);
    let entries = entries.into_iter().flatten().flatten();
    let mut found: Vec<Candidate> = entries.filter_map(|entry| candidate(&entry)).collect();
    found.sort_unstable_by(|one, other| one.entry.as_os_str().cmp(other.entry.as_os_str()));
    found
}

fn candidate(entry: &DirEntry) -> Option<Candidate> {
    if !crate::xendomains::is_wanted(&entry.file_name()) {
        return None;
    }
    let path = entry.path();
    let (path, metadata) = match entry.file_type().ok()?.is_symlink() {
        true => (fs::canonicalize(&path).ok()?, fs::metadata(&path).ok()?),
        false => (path, entry.metadata().ok()?),
    };
    let stamp = (metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.len());
    metadata.is_file().then(|| Candidate { entry: entry.path(), path, stamp })
}

/// The guest of a file.
fn read(path: &Path) -> Option<GuestConfig> {
    match config::load(path, &[], Path::new("/")) {
        Ok((config, _)) => {
            let uuid = config.uuid.unwrap_or_else(|| identity(&config.name));
            Some(GuestConfig { uuid: Some(uuid), ..config })
        }
        Err(error) => {
            tracing::debug!("no guest is defined by {error}");
            None
        }
    }
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
        let names = || definitions.all().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(), ["romeo"]);
        let romeo = definitions.find("romeo").unwrap();
        assert_eq!(definitions.find(&identity("romeo").to_string()), Some(romeo.clone()));
        // A change goes where the guest is defined.
        let changed = GuestConfig { memory: 64, ..GuestConfig::clone(&romeo.config) };
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
