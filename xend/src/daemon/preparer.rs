//! Unpacks the kernels that guests' files name before a guest is made of them, when nobody waits for
//! xend: after its start, and when a file has changed. Whatever is wrong with a kernel is said once;
//! who makes a guest of it is told then.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use builder::MAX_KERNEL;
use nix::errno::Errno;
use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::definitions::All;
use crate::domain::Manager;
use crate::host::kernels::{Kernels, Stamp, TICK};

/// So long after a change, others may follow; when it is over, a file can be known by its stamp.
const SETTLED: Duration = TICK.saturating_add(Duration::from_secs(1));
/// What there is of memory, and how much of it could be had.
const MEMORY: (&str, &str) = ("/proc/meminfo", "MemAvailable:");

/// Starts the thread that prepares kernels.
pub fn start(manager: Arc<Manager>, kernels: Arc<Kernels>) -> io::Result<()> {
    let prepare = move || {
        std::thread::sleep(SETTLED);
        if let Err(error) = prepare_always(&manager, Preparer::new(kernels)) {
            tracing::warn!("kernels aren't prepared any more: {error}");
        }
    };
    std::thread::Builder::new().name("preparer".to_owned()).spawn(prepare).map(drop)
}

/// Watches are made anew each time: what they are for may have changed, and nothing that happens
/// after a look is missed.
fn prepare_always(manager: &Manager, mut preparer: Preparer) -> nix::Result<()> {
    let definitions = &manager.host().definitions;
    loop {
        let changes = Changes::new()?;
        definitions.folders().iter().for_each(|folder| changes.watch(folder));
        let all = definitions.all();
        folders(&all).iter().for_each(|folder| changes.watch(folder));
        preparer.prepare(&all);
        changes.wait()?;
        std::thread::sleep(SETTLED);
    }
}

/// Where a change may be one of a guest's file or of a kernel, or of what leads there.
fn folders(all: &All) -> BTreeSet<PathBuf> {
    let files = all.values().flat_map(|it| [it.path.as_path(), it.config.kernel.as_path()]);
    let files = files.flat_map(|file| [Some(file.to_owned()), fs::canonicalize(file).ok()]);
    files.flatten().filter_map(|file| file.parent().map(Path::to_owned)).collect()
}

/// Changes in folders.
struct Changes(Inotify);

impl Changes {
    fn new() -> nix::Result<Self> {
        Inotify::init(InitFlags::IN_CLOEXEC).map(Self)
    }

    /// Nothing changes in a folder that isn't there.
    fn watch(&self, folder: &Path) {
        let events = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        if let Err(error) = self.0.add_watch(folder, events) {
            tracing::debug!("cannot watch {}: {error}", folder.display());
        }
    }

    fn wait(&self) -> nix::Result<()> {
        loop {
            match self.0.read_events() {
                Err(Errno::EINTR) => {}
                events => return events.map(drop),
            }
        }
    }
}

/// What prepares kernels, each once while its file doesn't change.
struct Preparer {
    kernels: Arc<Kernels>,
    /// Those that were tried, and what their files were.
    tried: HashMap<PathBuf, Option<Stamp>>,
}

impl Preparer {
    fn new(kernels: Arc<Kernels>) -> Self {
        Self { kernels, tried: HashMap::new() }
    }

    /// Prepares the kernels of guests.
    fn prepare(&mut self, all: &All) {
        let named: BTreeSet<&Path> = all.values().map(|it| it.config.kernel.as_path()).collect();
        self.tried.retain(|kernel, _| named.contains(kernel.as_path()));
        for kernel in named {
            let stamp = fs::metadata(kernel).ok().map(|metadata| Stamp::of(&metadata));
            if self.tried.get(kernel) == Some(&stamp) {
                continue;
            }
            match self.prepare_one(kernel) {
                Ok(()) => tracing::debug!("{} is prepared", kernel.display()),
                Err(error) => tracing::info!("{} isn't prepared: {error}", kernel.display()),
            }
            self.tried.insert(kernel.to_owned(), stamp);
        }
    }

    /// Kernels that aren't packed are what they should be.
    fn prepare_one(&self, kernel: &Path) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let file = open(kernel).map_err(text)?;
        if !builder::is_packed(&file) {
            return Ok(());
        }
        let size = file.metadata().map_err(text)?.len();
        let most = spare_memory().map_err(text)?.checked_sub(size);
        let most = most.filter(|_| size <= MAX_KERNEL).ok_or("it is too large")?.min(MAX_KERNEL);
        self.kernels.prepare(file, |packed| builder::unpack(packed, most))
    }
}

/// Opens what is a file, and not what something happens to when it is opened.
fn open(path: &Path) -> io::Result<File> {
    let not_a_file = || io::Error::other("not a file");
    if !fs::metadata(path)?.is_file() {
        return Err(not_a_file());
    }
    // It may be another one now.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
}

/// So many bytes of memory may be taken for what nobody asked for: half of what there is.
fn spare_memory() -> io::Result<u64> {
    let (file, field) = MEMORY;
    let text = fs::read_to_string(file)?;
    let words = text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
    let kib: Option<u64> = words.and_then(|kib| kib.parse().ok());
    let kib = kib.ok_or_else(|| io::Error::other(format!("{file} has no {field}")))?;
    Ok(kib * 1024 / 2)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::definitions::Definitions;

    /// lz4's legacy format: one chunk of five bytes, which has four bytes as they are.
    const PACKED: &[u8] = b"\x02\x21\x4c\x18\x05\0\0\0\x40\x7fELF";

    struct Place {
        folder: tempfile::TempDir,
        definitions: Definitions,
        preparer: Preparer,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let etc = folder.path().join("etc");
            fs::create_dir_all(etc.join("auto")).unwrap();
            let preparer = Preparer::new(Arc::new(Kernels::new(folder.path().join("kernels"))));
            Self { folder, definitions: Definitions::new(etc), preparer }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// A guest's file that names a kernel.
        fn define(&self, name: &str, kernel: &Path) {
            let text = format!("kernel = '{}'", kernel.display());
            fs::write(self.path(name), text).unwrap();
        }

        /// Prepares, and counts what is kept then.
        fn prepare(&mut self) -> usize {
            self.preparer.prepare(&self.definitions.all());
            fs::read_dir(self.path("kernels")).map_or(0, Iterator::count)
        }
    }

    #[test]
    fn what_guests_files_name_is_prepared_once() {
        let mut place = Place::new();
        let kernel = place.path("vmlinuz");
        fs::write(&kernel, PACKED).unwrap();
        // Neither says that anything is to be unpacked.
        fs::write(place.path("etc/xl.conf"), "autoballoon = 'off'").unwrap();
        fs::write(place.path("etc/python"), "import os\nkernel = os.environ").unwrap();
        assert_eq!(place.prepare(), 0);
        place.define("etc/romeo", &kernel);
        assert_eq!(place.prepare(), 1);
        // Whoever removed it knows why.
        fs::remove_dir_all(place.path("kernels")).unwrap();
        assert_eq!(place.prepare(), 0);
        fs::write(&kernel, [PACKED, b"!"].concat()).unwrap();
        assert_eq!(place.prepare(), 1);
    }

    #[test]
    fn guests_in_auto_count_and_links_are_followed() {
        let mut place = Place::new();
        fs::write(place.path("vmlinuz-1"), PACKED).unwrap();
        fs::create_dir(place.path("boot")).unwrap();
        symlink("../vmlinuz-1", place.path("boot/vmlinuz")).unwrap();
        place.define("juliet", &place.path("boot/vmlinuz"));
        symlink("../../juliet", place.path("etc/auto/juliet")).unwrap();
        let watched = folders(&place.definitions.all());
        let expected = [place.path(""), place.path("boot")].map(|path| path.components().collect());
        assert_eq!(watched, BTreeSet::from(expected));
        assert_eq!(place.prepare(), 1);
    }

    #[test]
    fn what_is_no_packed_kernel_does_no_harm() {
        let mut place = Place::new();
        mkfifo(&place.path("fifo"), Mode::S_IRWXU).unwrap();
        fs::write(place.path("elf"), b"\x7fELF").unwrap();
        fs::write(place.path("damaged"), &PACKED[..PACKED.len() - 1]).unwrap();
        fs::write(place.path("other"), b"text").unwrap();
        File::create(place.path("huge")).unwrap().set_len(MAX_KERNEL + 1).unwrap();
        let kernels = ["fifo", "elf", "damaged", "other", "huge", "missing", "etc"];
        for kernel in kernels {
            place.define(&format!("etc/{kernel}"), &place.path(kernel));
        }
        place.define("etc/device", Path::new("/dev/zero"));
        assert_eq!(place.prepare(), 0);
        assert_eq!(place.preparer.tried.len(), kernels.len() + 1);
        let error = |kernel| place.preparer.prepare_one(&place.path(kernel));
        assert_eq!(error("elf"), Ok(()));
        assert_eq!(error("fifo"), Err("not a file".to_owned()));
        assert_eq!(error("etc"), Err("not a file".to_owned()));
        assert_eq!(error("huge"), Err("it is too large".to_owned()));
        assert!(error("damaged").is_err() && error("other").is_err());
    }

    #[test]
    fn changes_end_the_waiting() {
        let place = Place::new();
        let changes = Changes::new().unwrap();
        place.definitions.folders().iter().for_each(|folder| changes.watch(folder));
        place.define("etc/auto/romeo", Path::new("/vmlinuz"));
        changes.wait().unwrap();
        let changes = Changes::new().unwrap();
        changes.watch(&place.path("missing"));
        changes.watch(&place.path("etc"));
        place.define("etc/romeo.new", Path::new("/vmlinuz"));
        changes.wait().unwrap();
    }
}
