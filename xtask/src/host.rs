//! Programs of the build host: running them, and installing the missing ones.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::step;

/// A file of a Debian package that must be installed here.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// A program's name, or a path.
    pub file: &'static str,
    /// The package that has it.
    pub package: &'static str,
}

/// What every start needs.
pub const ALWAYS: &[Needed] = &[
    Needed { file: "qemu-system-x86_64", package: "qemu-system-x86" },
    Needed { file: "depmod", package: "kmod" },
    Needed { file: "mkfs.ext4", package: "e2fsprogs" },
    Needed { file: "cc", package: "gcc" },
];

/// Installs what is missing when we are root; otherwise fails with the line to type.
pub fn install_missing(needed: &[Needed]) -> Result<()> {
    let missing: Vec<&str> =
        needed.iter().filter(|n| find(n.file).is_none()).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let words = ["install", "-y", "--no-install-recommends"];
    if !is_root() {
        let line = format!("sudo apt-get {} {}", words.join(" "), missing.join(" "));
        bail!("some packages are missing; type this, then start again:\n\n    {line}\n");
    }
    let install = || {
        let mut apt = Command::new("apt-get");
        // Somebody else may be installing just now.
        apt.args(["-o", "DPkg::Lock::Timeout=300"]).args(words);
        apt.args(&missing).env("DEBIAN_FRONTEND", "noninteractive");
        output(&mut apt).map(drop)
    };
    step(&format!("install {}", missing.join(", ")), || {
        install().or_else(|_| {
            update_lists()?;
            install()
        })
    })
}

/// Fetches apt's package lists; only root can.
pub fn update_lists() -> Result<()> {
    if !is_root() {
        bail!("apt knows too little; type this, then start again:\n\n    sudo apt-get update\n");
    }
    output(Command::new("apt-get").arg("update")).map(drop)
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A command for a program that may be outside an ordinary user's search path.
pub fn tool(name: &str) -> Command {
    Command::new(path(name))
}

/// Where a program is; the name alone when it isn't found.
pub fn path(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| name.into())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Runs `command` to its end and gives its standard output; when it fails the error has its
/// standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let line = format!("{name} {}", arguments.join(" "));
    let result =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {name}"))?;
    if !result.status.success() {
        let stderr = String::from_utf8_lossy(&result.stderr);
        bail!("`{line}` failed with {}:\n{}", result.status, stderr.trim_end());
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}
