//! All that a machine boots from, made or found in the build folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Packages};
use crate::programs::{self, Program};
use crate::step::step;
use crate::{disk, dom0, guest, host, hypervisor, project, stock};

/// Guests' kernels for tests, in dom0; those of 32 bits.
const SMALL: &str = "/usr/lib/escalus/small";
const NARROW: [(&str, &str); 2] =
    [("small", "/usr/lib/escalus/small32"), ("narrow", "/usr/lib/escalus/narrow")];

/// What is under dom0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Hypervisor {
    /// Ours.
    #[default]
    Escalus,
    /// Stock Xen 4.17 from Debian.
    Xen,
}

/// What manages guests in dom0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Toolstack {
    /// Ours.
    Escalus,
    /// Debian's xl, with our store and console.
    Xl,
    /// Debian's xl, xenstored and xenconsoled.
    Stock,
}

/// Files to boot from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// What a boot loader loads.
    pub boot: BootFiles,
    /// dom0's data disk as it is at first.
    pub disk: PathBuf,
}

/// What a boot loader loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// The hypervisor, a multiboot file.
    pub hypervisor: PathBuf,
    /// dom0's kernel.
    pub kernel: PathBuf,
    /// dom0's initramfs, in parts: cpio archives to be joined.
    pub initramfs: Vec<PathBuf>,
}

/// Installs, builds and assembles what isn't there yet. Hold the build folder's lock.
pub fn prepare(hypervisor: Hypervisor, toolstack: Toolstack) -> Result<Images> {
    host::install_missing(host::ALWAYS)?;
    let packages = packages::unpack()?;
    let initramfs = initramfs(toolstack, &packages)?;
    let disk =
        step("make guests and data disk", || disk::data_disk(&guest::make(&packages)?, &packages))?;
    let boot = boot_files(hypervisor, &packages, initramfs)?;
    Ok(Images { boot, disk })
}

/// dom0's initramfs, in parts.
pub fn initramfs(toolstack: Toolstack, packages: &Packages) -> Result<Vec<PathBuf>> {
    let mut programs = step("build our programs", programs::build)?;
    programs.push(Program { place: SMALL, file: hypervisor::build_kernel("small")? });
    for (name, place) in NARROW {
        programs.push(Program { place, file: hypervisor::build_narrow_kernel(name)? });
    }
    step("assemble dom0", || {
        let mut parts = vec![dom0::initramfs(packages, &programs)?];
        if toolstack != Toolstack::Escalus {
            parts.push(stock::initramfs(packages, toolstack == Toolstack::Stock)?);
        }
        Ok(parts)
    })
}

/// What a boot loader loads, with that initramfs.
pub fn boot_files(
    hypervisor: Hypervisor,
    packages: &Packages,
    initramfs: Vec<PathBuf>,
) -> Result<BootFiles> {
    let hypervisor = match hypervisor {
        Hypervisor::Escalus => hypervisor::build()?,
        Hypervisor::Xen => xen(packages)?,
    };
    let kernel = format!("boot/vmlinuz-{}", packages.kernel_release());
    let kernel = packages.file(&packages.kernel, &kernel)?;
    Ok(BootFiles { hypervisor, kernel, initramfs })
}

impl Images {
    /// Links or copies the images into `folder`, so that a later build can't change them under a
    /// machine that is about to read them.
    pub fn put_into(&self, folder: &Path) -> Result<()> {
        link(&self.disk, &folder.join("var.img"))?;
        self.boot.put_into(folder)
    }
}

impl BootFiles {
    /// Links or copies the files into `folder`: `hypervisor`, `vmlinuz`, `dom0.cpio`.
    pub fn put_into(&self, folder: &Path) -> Result<()> {
        link(&self.hypervisor, &folder.join("hypervisor"))?;
        link(&self.kernel, &folder.join("vmlinuz"))?;
        let mut initramfs = fs::File::create(folder.join("dom0.cpio"))?;
        for part in &self.initramfs {
            io::copy(&mut fs::File::open(part)?, &mut initramfs)?;
        }
        Ok(())
    }
}

fn link(file: &Path, to: &Path) -> Result<()> {
    fs::hard_link(file, to)
        .with_context(|| format!("cannot link {} to {}", file.display(), to.display()))
}

/// Debian's Xen, unpacked: QEMU's multiboot loader takes no gzip.
pub fn xen(packages: &Packages) -> Result<PathBuf> {
    let packed = packages.file(packages::XEN, "boot/xen-4.17-amd64.gz")?;
    project::cached("xen-4.17-amd64", &packed.display().to_string(), |path| {
        let out = fs::File::create(path)?;
        let status = Command::new("gzip").arg("-dc").arg(&packed).stdout(out).status()?;
        anyhow::ensure!(status.success(), "gzip failed on {}", packed.display());
        Ok(())
    })
}
