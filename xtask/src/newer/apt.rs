//! apt for a newer Debian than this host's: with folders and a configuration of its own, by which
//! nothing is installed yet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::step;
use crate::{host, project};

/// Debian's release.
const RELEASE: &str = "trixie";
/// What Debian's archives are signed with (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The folder that packages were unpacked to, which `choose` names or has downloaded. Remove it to
/// follow the archive.
pub fn unpacked(name: &str, choose: impl Fn(&Apt) -> Result<()>) -> Result<PathBuf> {
    let root = project::build().join(RELEASE).join(name);
    if !root.is_dir() {
        let what = format!("download and unpack {name} of {RELEASE}");
        step(&what, || unpack(&root, choose))?;
    }
    Ok(root)
}

fn unpack(root: &Path, choose: impl Fn(&Apt) -> Result<()>) -> Result<()> {
    fs::create_dir_all(project::build().join(RELEASE))?;
    let folder = tempfile::tempdir_in(project::build())?;
    let apt = Apt::new(folder.path())?;
    host::output(apt.command("apt-get").arg("update"))?;
    choose(&apt)?;
    // Unpacked beside and renamed: a folder with the final name is complete.
    let unpacked = folder.path().join("root");
    for archive in fs::read_dir(apt.archives())? {
        let archive = archive?.path();
        if archive.extension().is_some_and(|end| end == "deb") {
            host::output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&unpacked))?;
        }
    }
    Ok(fs::rename(unpacked, root)?)
}

/// The newer release's apt.
#[derive(Debug)]
pub struct Apt<'f>(&'f Path);

impl<'f> Apt<'f> {
    fn new(folder: &'f Path) -> Result<Self> {
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let site = mirror()?;
        let source = format!("deb [signed-by={KEYRING} target=Packages] {site} {RELEASE} main\n");
        fs::write(folder.join("sources.list"), source)?;
        fs::write(folder.join("status"), "")?;
        Ok(Self(folder))
    }

    /// Downloads a package, and all that it needs.
    pub fn with_all_it_needs(&self, package: &str) -> Result<()> {
        let words = ["install", "--yes", "--no-install-recommends", "--download-only", package];
        host::output(self.command("apt-get").args(words)).map(drop)
    }

    /// Downloads a package alone.
    pub fn alone(&self, package: &str) -> Result<()> {
        let mut apt = self.command("apt-get");
        host::output(apt.args(["download", package]).current_dir(self.archives())).map(drop)
    }

    /// The packages that a package depends on.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let said = host::output(self.command("apt-cache").args(["depends", package]))?;
        Ok(said
            .lines()
            .filter_map(|line| Some(line.split_once("Depends: ")?.1.to_owned()))
            .collect())
    }

    fn archives(&self) -> PathBuf {
        self.0.join("archives")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::SourceParts", "none"),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::Status", "status"),
            ("Dir::Cache::Archives", "archives"),
        ];
        for (option, name) in own {
            command.arg("-o").arg(format!("{option}={}", self.0.join(name).display()));
        }
        let others = [
            "Dir::Cache::PkgCache=",
            "Dir::Cache::SrcPkgCache=",
            "APT::Architecture=amd64",
            "Acquire::Languages=none",
            // Locks are this host's.
            "Debug::NoLocking=true",
            // The folder is ours alone.
            "APT::Sandbox::User=",
        ];
        for option in others {
            command.args(["-o", option]);
        }
        command
    }
}

/// Where this host has Debian's packages from.
fn mirror() -> Result<String> {
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format", "$(SITE)"]);
    apt.args(["Created-By: Packages", "Label: Debian", "Component: main"]);
    let sites = host::output(&mut apt)?;
    let first = sites.lines().next().context("apt has no source of Debian's packages")?;
    Ok(first.to_owned())
}
