//! Programs of the build host: running them, and installing the missing ones.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::step;

/// A program we call and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("depmod", "kmod"),
    ("mkfs.ext4", "e2fsprogs"),
    ("unshare", "util-linux"),
    ("cc", "gcc"),
];

/// Installs what is missing when we are root; otherwise fails with the line to type.
pub fn install_missing() -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| find(program).is_none()).map(|&(_, p)| p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !is_root() {
        bail!("some packages are missing; type this, then start again:\n\n    sudo {line}\n");
    }
    step(&format!("install {}", missing.join(", ")), || {
        let words: Vec<&str> = line.split(' ').collect();
        let install = || {
            output(
                Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"),
            )
        };
        install().or_else(|_| update_lists().and_then(|()| install())).map(drop)
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
    Command::new(find(name).unwrap_or_else(|| name.into()))
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
