//! A newer kernel than dom0's, for guests that are to show that they don't depend on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::apt;
use crate::modules::Kernel;

/// The package whose dependency is the current kernel package.
const META: &str = "linux-image-amd64";

/// The kernel's files: its image, and where its modules are.
pub fn unpacked() -> Result<(PathBuf, Kernel)> {
    let root = apt::unpacked(META, |apt| {
        let all = apt.depends(META)?;
        let package = all.iter().find(|name| name.starts_with("linux-image-"));
        apt.alone(package.with_context(|| format!("{META} depends on no kernel"))?)
    })?;
    // depmod looks for modules there.
    if !root.join("lib").exists() {
        symlink("usr/lib", root.join("lib"))?;
    }
    let mut releases = fs::read_dir(root.join("lib/modules"))?;
    let release = releases.next().context("the newer kernel has no modules")??.file_name();
    let release = release.to_string_lossy().into_owned();
    Ok((root.join(format!("boot/vmlinuz-{release}")), Kernel { root, release }))
}
