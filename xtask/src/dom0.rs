//! dom0's file system: Debian's userland pieces, kernel modules, our programs and configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::libraries::Installer;
use crate::modules::Kernel;
use crate::packages::Packages;
use crate::programs::Program;
use crate::tree::{Node, Tree};
use crate::{clients, cpio, disk, host, modules, newer, project};

/// Loaded by `xtask/dom0/init`.
const MODULES: &[&str] = &[
    "ahci",
    "ata_piix",
    "bridge",
    "crc32c_generic",
    "e1000",
    "e1000e",
    "ext4",
    "isofs",
    "loop",
    "overlay",
    "sd_mod",
    "squashfs",
    "sr_mod",
    "virtio_blk",
    "virtio_console",
    "virtio_net",
    "virtio_pci",
    "virtio_rng",
    "xen-blkback",
    "xen-evtchn",
    "xen-gntalloc",
    "xen-gntdev",
    "xen-netback",
    "xen-privcmd",
    "xenfs",
];

const XENSTORE_TOOLS: &[&str] = &["chmod", "exists", "list", "ls", "read", "rm", "watch", "write"];

/// Busybox applets that would stand in the way of our own programs.
const NOT_FROM_BUSYBOX: &[&str] = &["init", "linuxrc"];

/// Makes the initramfs (again, if anything in it changed).
pub fn initramfs(packages: &Packages, programs: &[Program]) -> Result<PathBuf> {
    let tree = tree(packages, programs)?;
    project::cached("dom0.cpio", &tree.key()?, |path| cpio::write_file(&tree, path))
}

fn tree(packages: &Packages, programs: &[Program]) -> Result<Tree> {
    let mut tree = Tree::merged_usr();
    for folder in ["dev", "proc", "sys", "run", "mnt", "var", "usr/local/bin"] {
        tree.folder(folder, 0o755);
    }
    tree.folder("tmp", 0o1777);
    tree.folder("root", 0o700);
    // The kernel gives /dev/console to /init as its terminal before anything is mounted.
    tree.put("dev/console", Node::Device { number: (5, 1), mode: 0o600 });
    busybox(&mut tree, packages)?;
    let mut installer = Installer::new(packages);
    installer.program(&mut tree, "/bin/bash", &packages.file("bash", "bin/bash")?)?;
    for tool in XENSTORE_TOOLS {
        let file = packages.file("xenstore-utils", &format!("usr/bin/xenstore-{tool}"))?;
        installer.program(&mut tree, &format!("/usr/bin/xenstore-{tool}"), &file)?;
    }
    clients::in_dom0(&mut tree);
    newer::virsh::in_dom0(&mut tree);
    modules::install(&mut tree, &Kernel::of_dom0(packages)?, MODULES)?;
    tree.copy_folder("", &project::root().join("xtask/dom0"))?;
    tree.copy("etc/shadow", project::root().join("xtask/dom0/etc/shadow"), 0o600);
    // On the data disk, where they don't cost boot time.
    for file in disk::KERNELS {
        tree.link(&format!("boot/{file}"), format!("/var/lib/xen/boot/{file}"));
    }
    services(&mut tree)?;
    documents(&mut tree)?;
    for program in programs {
        tree.copy(program.place, &program.file, 0o755);
    }
    Ok(tree)
}

/// Busybox and a link for each of its applets.
pub fn busybox(tree: &mut Tree, packages: &Packages) -> Result<()> {
    let busybox = packages.file("busybox-static", "bin/busybox")?;
    let applets = host::output(Command::new(&busybox).arg("--list-full"))?;
    for applet in applets.lines() {
        let name = applet.rsplit('/').next().unwrap_or(applet);
        if !NOT_FROM_BUSYBOX.contains(&name) {
            tree.link(applet, "/usr/bin/busybox");
        }
    }
    tree.copy("/bin/busybox", busybox, 0o755);
    Ok(())
}

/// Manifests, methods and rc scripts, which lie in the project as they are.
fn services(tree: &mut Tree) -> Result<()> {
    for file in files(&project::root().join("manifests"), "toml")? {
        tree.copy(&format!("/lib/svc/manifest/{}", name(&file)?), &file, 0o644);
    }
    for folder in ["method", "share"] {
        let from = project::root().join("manifests").join(folder);
        tree.copy_folder(&format!("/lib/svc/{folder}"), &from)?;
    }
    let rc = project::root().join("rc.d");
    tree.copy_folder("/etc", &rc)?;
    // Where pkgsrc leaves the scripts for an administrator to copy.
    for script in ["xenbackendd", "xend"] {
        let place = format!("/usr/pkg/share/examples/rc.d/{script}");
        tree.copy(&place, rc.join("rc.d").join(script), 0o755);
    }
    Ok(())
}

/// Manual pages, and what shells complete of commands (`cargo xtask docs` makes most of them).
fn documents(tree: &mut Tree) -> Result<()> {
    for section in ["1", "5", "8"] {
        for file in files(&project::root().join("docs/man"), section)? {
            tree.copy(&format!("/usr/share/man/man{section}/{}", name(&file)?), &file, 0o644);
        }
    }
    let completions = project::root().join("completions");
    tree.copy_folder("/usr/share/bash-completion/completions", &completions.join("bash"))?;
    tree.copy_folder("/usr/share/zsh/vendor-completions", &completions.join("zsh"))
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|e| e.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    Ok(paths)
}

fn name(file: &Path) -> Result<&str> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.with_context(|| format!("odd file name {}", file.display()))
}
