//! virsh of a newer libvirt than that of dom0's Debian, for dom0, with all its libraries.
//!
//! apt finds out what it needs and downloads it, in folders of its own: this host's apt knows
//! nothing of it, and nothing is installed. It lies on the data disk, as the other clients do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::libraries::Installer;
use crate::step::step;
use crate::tree::Tree;
use crate::{host, project};

/// Debian's release that it is from, and the package that has it.
const RELEASE: &str = "trixie";
const PACKAGE: &str = "libvirt-clients";
/// What Debian's archives are signed with (package debian-archive-keyring).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where it is in dom0, and where that is on the data disk.
const FOLDER: &str = "/var/lib/newer-clients";
const ON_DISK: &str = "lib/newer-clients";
/// What it is called in dom0.
const NAME: &str = "virsh-newer";

/// Puts it, and what it needs, on the data disk.
pub fn on_disk(disk: &mut Tree) -> Result<()> {
    let root = unpacked()?;
    let mut installer = Installer::with_loader(&root, &format!("{ON_DISK}/lib"));
    installer.program(disk, &format!("{ON_DISK}/bin/virsh"), &root.join("usr/bin/virsh"))
}

/// Puts the script that runs it into dom0.
pub fn in_dom0(dom0: &mut Tree) {
    let script = format!(
        "#!/bin/sh\n\
         exec {FOLDER}/lib/ld-linux-x86-64.so.2 --library-path {FOLDER}/lib {FOLDER}/bin/virsh \"$@\"\n"
    );
    dom0.text(&format!("usr/bin/{NAME}"), script, 0o755);
}

/// The folder that the package and all that it needs were unpacked to. Remove it to follow the
/// archive.
fn unpacked() -> Result<PathBuf> {
    let root = project::build().join(RELEASE);
    if !root.is_dir() {
        step(&format!("download and unpack {PACKAGE} of {RELEASE}"), || unpack(&root))?;
    }
    Ok(root)
}

fn unpack(root: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(project::build())?;
    let apt = Apt::new(folder.path())?;
    host::output(apt.get().arg("update"))?;
    let words = ["install", "--yes", "--no-install-recommends", "--download-only", PACKAGE];
    host::output(apt.get().args(words))?;
    // Unpacked beside and renamed: a folder with the final name is complete.
    let unpacked = folder.path().join("root");
    for archive in fs::read_dir(folder.path().join("archives"))? {
        let archive = archive?.path();
        if archive.extension().is_some_and(|end| end == "deb") {
            host::output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&unpacked))?;
        }
    }
    Ok(fs::rename(unpacked, root)?)
}

/// apt with a configuration of its own, by which nothing is installed yet.
struct Apt<'f>(&'f Path);

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

    fn get(&self) -> Command {
        let mut command = Command::new("apt-get");
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
