//! Programs of Debian packages together with the shared libraries they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use elf::ElfBytes;
use elf::abi::DT_NEEDED;
use elf::endian::AnyEndian;

use crate::packages::Packages;
use crate::tree::Tree;

/// Where libraries are, in packages and in dom0.
const FOLDERS: &[&str] =
    &["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/xen-4.17/lib/x86_64-linux-gnu"];
/// What runs a dynamic program.
pub const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Copies dynamic programs into a tree, each library once.
#[derive(Debug)]
pub struct Installer<'a> {
    roots: Vec<&'a Path>,
    folder: String,
    /// What loads the libraries goes where they go.
    own_loader: bool,
    installed: BTreeSet<String>,
}

impl<'a> Installer<'a> {
    /// An installer that looks for libraries in `packages`.
    pub fn new(packages: &'a Packages) -> Self {
        Self::into(packages, "/usr/lib/x86_64-linux-gnu")
    }

    /// An installer that puts libraries into `folder`, but for the one that loads all others.
    pub fn into(packages: &'a Packages, folder: &str) -> Self {
        let roots = packages.roots().collect();
        Self { roots, folder: folder.to_owned(), own_loader: false, installed: BTreeSet::new() }
    }

    /// An installer that looks for libraries in one unpacked `root`, and puts them into `folder`
    /// with what loads them: they need not be of dom0's release.
    pub fn with_loader(root: &'a Path, folder: &str) -> Self {
        let roots = vec![root];
        Self { roots, folder: folder.to_owned(), own_loader: true, installed: BTreeSet::new() }
    }

    /// Copies the program `from` to `place`, with the libraries it needs, and theirs.
    pub fn program(&mut self, tree: &mut Tree, place: &str, from: &Path) -> Result<()> {
        tree.copy(place, from, 0o755);
        self.needed_by(tree, from)
    }

    fn needed_by(&mut self, tree: &mut Tree, from: &Path) -> Result<()> {
        let mut open = needed(from)?;
        while let Some(name) = open.pop() {
            if self.installed.contains(&name) {
                continue;
            }
            let file = self.find(&name).with_context(|| {
                format!("{} needs {name}, which is in no package we unpack", from.display())
            })?;
            open.extend(needed(&file)?);
            self.install(tree, &name, &file)?;
            self.installed.insert(name);
        }
        Ok(())
    }

    /// Copies a library that is loaded by name at run time, with the libraries it needs.
    pub fn library(&mut self, tree: &mut Tree, name: &str) -> Result<()> {
        let file = self.find(name).with_context(|| format!("no package has {name}"))?;
        self.install(tree, name, &file)?;
        self.needed_by(tree, &file)
    }

    fn install(&self, tree: &mut Tree, name: &str, file: &Path) -> Result<()> {
        // Links between names of a library are resolved: only the name that is asked for counts.
        let file = fs::canonicalize(file)?;
        let place = if LOADER.ends_with(name) && !self.own_loader {
            LOADER.to_owned()
        } else {
            format!("{}/{name}", self.folder)
        };
        tree.copy(&place, file, 0o755);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        let places = self.roots.iter().flat_map(|root| FOLDERS.iter().map(|f| root.join(f)));
        places.map(|folder| folder.join(name)).find(|file| file.exists())
    }
}

/// The names of the libraries that an ELF file asks for.
fn needed(file: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let read = || -> Result<Vec<String>, elf::ParseError> {
        let elf = ElfBytes::<AnyEndian>::minimal_parse(&bytes)?;
        let common = elf.find_common_data()?;
        let (Some(dynamic), Some(strings)) = (common.dynamic, common.dynsyms_strs) else {
            return Ok(Vec::new());
        };
        let names = dynamic.iter().filter(|entry| entry.d_tag == DT_NEEDED);
        names.map(|entry| strings.get(entry.d_val() as usize).map(str::to_owned)).collect()
    };
    read().with_context(|| format!("{} is no ELF file", file.display()))
}
