//! `cargo xtask image`: one file that GRUB 2 boots on a BIOS, from a CD or a disk, with everything
//! on it: the hypervisor, dom0, the guests' images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::images::{self, Hypervisor, Images, Toolstack};
use crate::packages;
use crate::step::step;
use crate::{disk, guest, host, project};

/// Programs that make the file.
const NEEDED: &[host::Needed] = &[
    host::Needed { file: "grub-mkrescue", package: "grub-common" },
    host::Needed { file: "/usr/lib/grub/i386-pc/multiboot2.mod", package: "grub-pc-bin" },
    host::Needed { file: "xorriso", package: "xorriso" },
    host::Needed { file: "mksquashfs", package: "squashfs-tools" },
];
/// The volume's name, by which `xtask/dom0/init` finds it, and the files on it.
const VOLUME: &str = "ESCALUS";
const BOOT: &str = "xtask/image";

/// What `cargo xtask image` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to write the image
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What is under dom0
    #[arg(long, value_enum, default_value = "escalus")]
    hypervisor: Hypervisor,
    /// What manages guests in dom0
    #[arg(long, value_enum, default_value = "escalus")]
    toolstack: Toolstack,
}

/// Makes the image, and says where it is.
pub fn image(arguments: &Arguments) -> Result<ExitCode> {
    let _lock = project::lock()?;
    let images = images::prepare(arguments.hypervisor, arguments.toolstack)?;
    let made = make(&images)?;
    let path = match &arguments.output {
        Some(path) => {
            fs::copy(&made, path).with_context(|| format!("cannot write {}", path.display()))?;
            path
        }
        None => &made,
    };
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes the image (again, if anything on it changed). Hold the build folder's lock.
pub fn make(images: &Images) -> Result<PathBuf> {
    let packages = packages::unpack()?;
    let data = disk::data_tree(&guest::make(&packages)?, &packages)?;
    let mut key = data.key()?;
    let files = &images.boot;
    for file in files.initramfs.iter().chain([&files.hypervisor, &files.kernel]) {
        key += &project::stamp(file)?;
    }
    for name in ["grub.cfg", "menu.lst"] {
        key += &fs::read_to_string(project::root().join(BOOT).join(name))?;
    }
    step("make the image", || {
        project::cached("escalus.iso", &key, |path| {
            let folder = tempfile::tempdir_in(project::build())?;
            let boot = folder.path().join("boot");
            fs::create_dir_all(boot.join("grub"))?;
            images.boot.put_into(&boot)?;
            pack(&boot.join("hypervisor"), &boot.join("xen.gz"))?;
            for name in ["grub.cfg", "menu.lst"] {
                fs::copy(project::root().join(BOOT).join(name), boot.join("grub").join(name))?;
            }
            disk::squashfs(&data, &boot.join("var.squashfs"))?;
            write(folder.path(), path)
        })
    })
}

/// Writes an image of a folder that has GRUB's configuration in `boot/grub`.
pub fn write(folder: &Path, path: &Path) -> Result<()> {
    host::install_missing(NEEDED)?;
    let mut mkrescue = Command::new("grub-mkrescue");
    mkrescue.arg("--directory=/usr/lib/grub/i386-pc").arg("--output").arg(path);
    mkrescue.arg(folder).args(["--", "-volid", VOLUME]);
    host::output(&mut mkrescue).map(drop)
}

/// Packs a file with gzip, which GRUB unpacks, and removes it.
pub fn pack(file: &Path, packed: &Path) -> Result<()> {
    let out = fs::File::create(packed)?;
    let status = Command::new("gzip").args(["-9nc"]).arg(file).stdout(out).status()?;
    anyhow::ensure!(status.success(), "gzip failed on {}", file.display());
    Ok(fs::remove_file(file)?)
}
