//! Debian packages that run in dom0 or under it: downloaded with apt and unpacked, not installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::step::step;
use crate::{clients, host, project, stock};

/// The meta package whose dependency is the current kernel package.
const KERNEL_META: &str = "linux-image-amd64";
/// The hypervisor.
pub const XEN: &str = "xen-hypervisor-4.17-amd64";

/// A kernel for guests that loads another one from their disk.
pub const GRUB: &str = "grub-xen-host";

/// What goes into dom0 besides the kernel and the hypervisor: programs, and the libraries they need.
const USERLAND: &[&str] = &[
    "bash",
    "busybox-static",
    "libc6",
    "libgcc-s1",
    "libtinfo6",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenmisc4.17",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "xenstore-utils",
];

/// Unpacked packages by name.
#[derive(Debug)]
pub struct Packages {
    /// The kernel package's name, which has the kernel's release in it.
    pub kernel: String,
    roots: BTreeMap<String, PathBuf>,
}

impl Packages {
    /// The folder a package was unpacked to.
    pub fn root(&self, package: &str) -> Result<&Path> {
        let root = self.roots.get(package);
        root.map(PathBuf::as_path).ok_or_else(|| anyhow!("package {package} was not unpacked"))
    }

    /// A file of a package; it must exist.
    pub fn file(&self, package: &str, path: &str) -> Result<PathBuf> {
        let file = self.root(package)?.join(path);
        if !file.exists() {
            bail!("package {package} has no file {path}");
        }
        Ok(file)
    }

    /// All folders, to search for libraries.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.values().map(PathBuf::as_path)
    }

    /// The kernel's release, such as `6.1.0-56-amd64`.
    pub fn kernel_release(&self) -> &str {
        self.kernel.trim_start_matches("linux-image-")
    }
}

/// Unpacks every package, downloading those that are not there yet.
///
/// Versions are looked up once per build folder: remove `build/packages` to follow the archive.
pub fn unpack() -> Result<Packages> {
    let index = match Index::load() {
        Some(index) => index,
        None => step("look up packages", || Index::look_up()?.save())?,
    };
    let folder = folder();
    let missing: Vec<&str> =
        index.names().filter(|name| !folder.join(index.folder_name(name)).is_dir()).collect();
    if !missing.is_empty() {
        step(&format!("download and unpack {} packages", missing.len()), || {
            download(&index, &missing)
        })?;
    }
    let roots =
        index.names().map(|name| (name.to_owned(), folder.join(index.folder_name(name)))).collect();
    Ok(Packages { kernel: index.kernel, roots })
}

fn folder() -> PathBuf {
    project::build().join("packages")
}

/// Which version of which package; kept so that a later start need not ask apt.
#[derive(Debug)]
struct Index {
    kernel: String,
    /// Package name to the name of its archive file.
    archives: BTreeMap<String, String>,
}

impl Index {
    fn wanted(kernel: &str) -> Vec<&str> {
        let lists = USERLAND.iter().chain(stock::PACKAGES).chain(clients::PACKAGES);
        lists.copied().chain([XEN, GRUB, kernel]).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.archives.keys().map(String::as_str)
    }

    fn folder_name(&self, package: &str) -> &str {
        self.archives[package].trim_end_matches(".deb")
    }

    /// The saved index, unless it is of another list of packages.
    fn load() -> Option<Self> {
        let text = fs::read_to_string(folder().join("index")).ok()?;
        let mut lines = text.lines();
        let kernel = lines.next()?.to_owned();
        let pair = |line: &str| {
            let (name, archive) = line.split_once(' ')?;
            Some((name.to_owned(), archive.to_owned()))
        };
        let archives: BTreeMap<_, _> = lines.map(pair).collect::<Option<_>>()?;
        let wanted = Self::wanted(&kernel);
        let complete = wanted.iter().all(|name| archives.contains_key(*name));
        complete.then_some(Self { kernel, archives })
    }

    fn save(self) -> Result<Self> {
        fs::create_dir_all(folder())?;
        let lines = self.archives.iter().map(|(name, archive)| format!("{name} {archive}\n"));
        let text = format!("{}\n{}", self.kernel, lines.collect::<String>());
        fs::write(folder().join("index"), text)?;
        Ok(self)
    }

    fn look_up() -> Result<Self> {
        Self::ask_apt().or_else(|_| {
            host::update_lists()?;
            Self::ask_apt()
        })
    }

    fn ask_apt() -> Result<Self> {
        let depends = host::output(Command::new("apt-cache").args(["depends", KERNEL_META]))?;
        let kernel = depends
            .split_whitespace()
            .find(|word| word.starts_with("linux-image-") && *word != KERNEL_META)
            .with_context(|| format!("{KERNEL_META} depends on no kernel"))?
            .to_owned();
        let wanted = Self::wanted(&kernel);
        let mut ask = Command::new("apt-get");
        let uris = host::output(ask.args(["download", "--print-uris"]).args(&wanted))?;
        let archives = archive_names(&uris);
        for name in wanted {
            if !archives.contains_key(name) {
                bail!("apt has no package {name}");
            }
        }
        Ok(Self { kernel, archives })
    }
}

/// Package names and archive names from lines like `'URI' NAME_VERSION_ARCH.deb SIZE HASH`.
fn archive_names(uris: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let archive = line.split_whitespace().nth(1)?;
        let (name, _) = archive.split_once('_')?;
        Some((name.to_owned(), archive.to_owned()))
    };
    uris.lines().filter_map(pair).collect()
}

fn download(index: &Index, names: &[&str]) -> Result<()> {
    let folder = folder();
    let archives = tempfile::tempdir_in(&folder)?;
    let mut apt = Command::new("apt-get");
    host::output(apt.arg("download").args(names).current_dir(&archives))?;
    for name in names {
        let archive = archives.path().join(&index.archives[*name]);
        if !archive.exists() {
            project::remove(&folder.join("index"))?;
            bail!("apt now has another version of {name}; start again");
        }
        // Unpacked beside and renamed: a folder with the final name is complete.
        let unpacked = archives.path().join(name);
        host::output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
        fs::rename(unpacked, folder.join(index.folder_name(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_names_come_from_print_uris() {
        let uris = "'http://deb.example/pool/b/busybox-static_1%2b1_amd64.deb' \
                    busybox-static_1%3a1.35.0-4_amd64.deb 928188 SHA256:3d3f\nW: unsandboxed\n";
        let names = archive_names(uris);
        assert_eq!(names["busybox-static"], "busybox-static_1%3a1.35.0-4_amd64.deb");
        assert_eq!(names.len(), 1);
    }
}
