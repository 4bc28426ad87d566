//! The guests' kernel, initramfs and disk image.
//!
//! Every guest boots the same files; its name and address come from `ip=` in its configuration.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dom0::busybox;
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::tree::Tree;
use crate::{cpio, disk, modules, newer, project};

/// Loaded by `xtask/guest/initramfs/init`.
const MODULES: &[&str] = &["crc32c_generic", "ext4", "xen-blkfront", "xen-netfront"];
/// Size of a guest's disk in MiB.
const DISK_SIZE: u32 = 64;

/// What a guest boots from.
#[derive(Debug)]
pub struct Guest {
    /// Debian's stock bzImage.
    pub kernel: PathBuf,
    /// A cpio archive, not compressed.
    pub initramfs: PathBuf,
    /// Another one, of a newer release of Debian.
    pub newer_kernel: PathBuf,
    /// The same archive with its modules.
    pub newer_initramfs: PathBuf,
    /// An ext4 image of the root file system.
    pub disk: PathBuf,
}

/// Makes what isn't there yet.
pub fn make(packages: &Packages) -> Result<Guest> {
    let kernel = format!("boot/vmlinuz-{}", packages.kernel_release());
    let (newer_kernel, newer) = newer::kernel::unpacked()?;
    Ok(Guest {
        kernel: packages.file(&packages.kernel, &kernel)?,
        initramfs: initramfs(packages, &Kernel::of_dom0(packages)?)?,
        newer_kernel,
        newer_initramfs: initramfs(packages, &newer)?,
        disk: root_disk(packages)?,
    })
}

fn initramfs(packages: &Packages, kernel: &Kernel) -> Result<PathBuf> {
    let mut tree = bare(packages)?;
    modules::install(&mut tree, kernel, MODULES)?;
    tree.copy_folder("", &sources().join("initramfs"))?;
    project::cached(&format!("guest-{}.cpio", kernel.release), &tree.key()?, |path| {
        cpio::write_file(&tree, path)
    })
}

fn root_disk(packages: &Packages) -> Result<PathBuf> {
    let mut tree = bare(packages)?;
    tree.link("sbin/init", "/usr/bin/busybox");
    tree.copy_folder("", &sources().join("root"))?;
    tree.copy("etc/shadow", sources().join("root/etc/shadow"), 0o600);
    project::cached("guest.img", &tree.key()?, |path| disk::ext4(&tree, path, DISK_SIZE, "guest"))
}

/// Busybox, and folders to mount on.
pub fn bare(packages: &Packages) -> Result<Tree> {
    let mut tree = Tree::merged_usr();
    for folder in ["dev", "proc", "run", "sys", "var"] {
        tree.folder(folder, 0o755);
    }
    tree.folder("tmp", 0o1777);
    tree.folder("root", 0o700);
    tree.link("var/run", "/run");
    busybox(&mut tree, packages)?;
    Ok(tree)
}

fn sources() -> PathBuf {
    Path::new(project::root()).join("xtask/guest")
}
