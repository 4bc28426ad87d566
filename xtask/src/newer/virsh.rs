//! virsh of a newer libvirt than that of dom0's Debian, for dom0, with all its libraries. It lies on
//! the data disk, as the other clients do.

use anyhow::Result;

use super::apt;
use crate::libraries::Installer;
use crate::tree::Tree;

/// The package that has it.
const PACKAGE: &str = "libvirt-clients";

/// Where it is in dom0, and where that is on the data disk.
const FOLDER: &str = "/var/lib/newer-clients";
const ON_DISK: &str = "lib/newer-clients";
/// What it is called in dom0.
const NAME: &str = "virsh-newer";

/// Puts it, and what it needs, on the data disk.
pub fn on_disk(disk: &mut Tree) -> Result<()> {
    let root = apt::unpacked(PACKAGE, |apt| apt.with_all_it_needs(PACKAGE))?;
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
