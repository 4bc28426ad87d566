//! libvirt's stock clients, for dom0: Debian's virsh, and Python with libvirt's binding.
//!
//! They and their libraries lie on the data disk, where they don't cost boot time. What stands in
//! `/usr/bin` is a script for each, which runs the program with those libraries.

use anyhow::Result;

use crate::libraries::{Installer, LOADER};
use crate::packages::Packages;
use crate::tree::Tree;

/// Packages that only these clients need.
pub const PACKAGES: &[&str] = &[
    "libacl1",
    "libapparmor1",
    "libaudit1",
    "libblkid1",
    "libbrotli1",
    "libcap-ng0",
    "libcom-err2",
    "libcurl3-gnutls",
    "libexpat1",
    "libffi8",
    "libglib2.0-0",
    "libgmp10",
    "libgnutls30",
    "libgssapi-krb5-2",
    "libhogweed6",
    "libicu72",
    "libidn2-0",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "libldap-2.5-0",
    "libmount1",
    "libnettle8",
    "libnghttp2-14",
    "libnl-3-200",
    "libnuma1",
    "libp11-kit0",
    "libpcre2-8-0",
    "libpsl5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libreadline8",
    "librtmp1",
    "libsasl2-2",
    "libselinux1",
    "libssh-4",
    "libssh2-1",
    "libssl3",
    "libstdc++6",
    "libtasn1-6",
    "libtirpc3",
    "libunistring2",
    "libvirt-clients",
    "libvirt0",
    "libxml2",
    "python3-libvirt",
    "python3.11-minimal",
];

/// Where they are in dom0, and where that is on the data disk.
const FOLDER: &str = "/var/lib/clients";
const ON_DISK: &str = "lib/clients";

/// Name, package, and the program in it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("python3", "python3.11-minimal", "usr/bin/python3.11"),
    ("virsh", "libvirt-clients", "usr/bin/virsh"),
];
const PYTHON: &str = "usr/lib/python3.11";
const MODULES: &str = "usr/lib/python3/dist-packages";

/// Puts the programs, and what they need, on the data disk.
pub fn on_disk(disk: &mut Tree, packages: &Packages) -> Result<()> {
    let mut installer = Installer::into(packages, &format!("{ON_DISK}/lib"));
    for (name, package, path) in PROGRAMS {
        let program = packages.file(package, path)?;
        installer.program(disk, &format!("{ON_DISK}/bin/{name}"), &program)?;
    }
    for package in ["libpython3.11-minimal", "libpython3.11-stdlib"] {
        let folder = packages.root(package)?.join(PYTHON);
        disk.copy_folder(&format!("{ON_DISK}/{PYTHON}"), &folder)?;
    }
    let modules = packages.root("python3-libvirt")?.join(MODULES);
    disk.copy_folder(&format!("{ON_DISK}/{MODULES}"), &modules)?;
    for module in ["libvirt.so.0", "libvirt-qemu.so.0", "libvirt-lxc.so.0", "libexpat.so.1"] {
        installer.library(disk, module)?;
    }
    Ok(())
}

/// Puts the scripts that run them into dom0.
pub fn in_dom0(dom0: &mut Tree) {
    for (name, ..) in PROGRAMS {
        let script = format!(
            "#!/bin/sh\n\
             export PYTHONHOME={FOLDER}/usr PYTHONPATH={FOLDER}/{MODULES}\n\
             exec {LOADER} --library-path {FOLDER}/lib {FOLDER}/bin/{name} \"$@\"\n"
        );
        dom0.text(&format!("usr/bin/{name}"), script, 0o755);
    }
}
