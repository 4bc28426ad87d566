//! The stock toolstack as a second archive for dom0: what ours is compared with, and what shows
//! that a fault isn't ours. Services keep their names; the manifests in `xtask/stock` say what
//! runs under them.

use std::path::PathBuf;

use anyhow::Result;

use crate::libraries::Installer;
use crate::packages::Packages;
use crate::tree::Tree;
use crate::{cpio, project};

/// Packages that dom0 has only with the stock toolstack.
pub const PACKAGES: &[&str] = &[
    "liblzma5",
    "libncurses6",
    "libtinfo6",
    "libuuid1",
    "libyajl2",
    "libzstd1",
    "util-linux",
    "xen-utils-4.17",
    "xen-utils-common",
    "zlib1g",
];

const BIN: &str = "usr/lib/xen-4.17/bin";
const PROGRAMS: &[&str] =
    &["xen-init-dom0", "xenconsole", "xenconsoled", "xenstored", "xentop", "xl"];

/// Makes the archive; the kernel unpacks it over the one of [`crate::dom0`]. With `daemons` the
/// store and the console daemon are stock as well, not only xl.
pub fn initramfs(packages: &Packages, daemons: bool) -> Result<PathBuf> {
    let tree = tree(packages, daemons)?;
    let name = if daemons { "stock.cpio" } else { "xl.cpio" };
    project::cached(name, &tree.key()?, |path| cpio::write_file(&tree, path))
}

fn tree(packages: &Packages, daemons: bool) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut installer = Installer::new(packages);
    for name in PROGRAMS {
        let path = format!("{BIN}/{name}");
        installer.program(&mut tree, &path, &packages.file("xen-utils-4.17", &path)?)?;
        // Where Debian has wrappers that choose a version.
        tree.link(&format!("usr/local/bin/{name}"), format!("/{path}"));
    }
    // For the hotplug scripts' locking; busybox has none.
    installer.program(
        &mut tree,
        "/usr/bin/flock",
        &packages.file("util-linux", "usr/bin/flock")?,
    )?;
    // Loaded by name when a thread ends.
    installer.library(&mut tree, "libgcc_s.so.1")?;
    let scripts = packages.root("xen-utils-common")?.join("etc/xen/scripts");
    tree.copy_folder("etc/xen/scripts", &scripts)?;
    let manifests = project::root().join("xtask/stock");
    tree.copy_folder("usr/lib/svc/manifest", &manifests.join("xl"))?;
    if daemons {
        tree.copy_folder("usr/lib/svc/manifest", &manifests.join("daemons"))?;
    }
    Ok(tree)
}
