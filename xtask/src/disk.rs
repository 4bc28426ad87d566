//! dom0's data disk: an ext4 image for `/var` that every run sees unchanged, or keeps.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::guest::Guest;
use crate::packages::Packages;
use crate::tree::Tree;
use crate::{clients, host, newer, packages, project};

/// Fixed, so that equal contents give equal images.
const UUID: &str = "e5ca1005-0000-4000-8000-000000000001";

/// What guests boot, by its name in dom0's `/boot`: Debian's kernel of dom0's release and of a newer
/// one, and kernels of 64 and of 32 bits that load another one from the guest's disk.
pub const KERNELS: [&str; 6] = [
    "vmlinuz-guest",
    "initrd-guest",
    "vmlinuz-newer",
    "initrd-newer",
    "grub-x86_64-xen.bin",
    "grub-i386-xen.bin",
];
/// Where the package of the last two has them.
const GRUB: &str = "usr/lib/grub-xen";

/// The guests that have a configuration in `xtask/dom0/etc/xen`.
const GUESTS: &[&str] = &["escalus", "rosaline"];

/// Makes the disk (again, if anything in it changed).
pub fn data_disk(guest: &Guest, packages: &Packages) -> Result<PathBuf> {
    let tree = data_tree(guest, packages)?;
    project::cached("var.img", &tree.key()?, |path| ext4(&tree, path, 1024, "var"))
}

/// What is on the disk at first.
pub fn data_tree(guest: &Guest, packages: &Packages) -> Result<Tree> {
    let mut tree = Tree::default();
    for folder in
        ["etc/upper", "etc/work", "lib/xen/images", "lib/xend", "log/xen/console", "svc/log"]
    {
        tree.folder(folder, 0o755);
    }
    tree.folder("tmp", 0o1777);
    for name in GUESTS {
        tree.copy(&format!("lib/xen/images/{name}.img"), &guest.disk, 0o600);
    }
    let Guest { kernel, initramfs, newer_kernel, newer_initramfs, .. } = guest;
    let grub = |name| packages.file(packages::GRUB, &format!("{GRUB}/{name}"));
    let (grub, grub_32) = (grub(KERNELS[4])?, grub(KERNELS[5])?);
    let kernels = [kernel, initramfs, newer_kernel, newer_initramfs, &grub, &grub_32];
    for (name, file) in KERNELS.into_iter().zip(kernels) {
        tree.copy(&format!("lib/xen/boot/{name}"), file, 0o644);
    }
    clients::on_disk(&mut tree, packages)?;
    newer::virsh::on_disk(&mut tree)?;
    tree.link("run", "/run");
    tree.link("lock", "/run/lock");
    Ok(tree)
}

/// Makes `kept`, a copy of `original` that a machine may change for good, unless it is there.
pub fn keep(original: &Path, kept: &Path) -> Result<()> {
    if kept.exists() {
        return Ok(());
    }
    let new = kept.with_extension("new");
    let mut copy = Command::new("cp");
    host::output(copy.args(["--sparse=always", "--reflink=auto"]).arg(original).arg(&new))?;
    Ok(std::fs::rename(new, kept)?)
}

/// Makes an ext4 image of `mib` MiB (sparse) with the tree in it, owned by root.
pub fn ext4(tree: &Tree, path: &Path, mib: u32, label: &str) -> Result<()> {
    let folder = tempfile::tempdir_in(path.parent().unwrap_or(Path::new(".")))?;
    tree.write_to(folder.path())?;
    // In a user namespace of their own, an ordinary user's files look like root's.
    let mut command = if host::is_root() { host::tool("mkfs.ext4") } else { in_namespace() };
    command.args(["-q", "-F", "-L", label, "-U", UUID, "-E", "root_owner=0:0,lazy_itable_init=1"]);
    // Boot loaders for guests read only ext4 without these two.
    command.args(["-O", "^64bit,^metadata_csum", "-m", "0", "-d"]);
    host::output(command.arg(folder.path()).arg(path).arg(format!("{mib}M"))).map(drop)
}

/// Packs a tree as a file system that is only read, owned by root.
pub fn squashfs(tree: &Tree, path: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(path.parent().unwrap_or(Path::new(".")))?;
    tree.write_to(folder.path())?;
    let mut command = host::tool("mksquashfs");
    command.arg(folder.path()).arg(path);
    command.args(["-quiet", "-no-progress", "-all-root", "-comp", "gzip"]);
    host::output(&mut command).map(drop)
}

fn in_namespace() -> Command {
    let mut command = host::tool("unshare");
    command.arg("--map-root-user").arg(host::path("mkfs.ext4"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_holds_the_tree_and_root_owns_it() {
        let mut tree = Tree::default();
        tree.text("d/file", "contents", 0o640);
        tree.link("d/link", "file");
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        ext4(&tree, &image, 8, "test").unwrap();
        let debugfs = |request: &str| {
            host::output(host::tool("debugfs").args(["-R", request]).arg(&image)).unwrap()
        };
        assert_eq!(debugfs("cat d/file"), "contents");
        let stat = debugfs("stat d/file");
        assert!(stat.contains("Mode:  0640"), "{stat}");
        assert!(stat.contains("User:     0   Group:     0"), "{stat}");
        assert!(debugfs("stat d/link").contains("Type: symlink"));
        assert!(!debugfs("features").contains("64bit"));
    }
}
