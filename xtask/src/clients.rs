//! libvirt's stock clients, for dom0: Debian's virsh, virt-install, and Python with libvirt's
//! binding.
//!
//! They and their libraries lie on the data disk, where they don't cost boot time. What stands in
//! `/usr/bin` is a script for each, which runs the program with those libraries.

use anyhow::Result;

use crate::libraries::{Installer, LOADER};
use crate::packages::Packages;
use crate::tree::Tree;

/// Packages that only these clients need.
pub const PACKAGES: &[&str] = &[
    "gir1.2-freedesktop",
    "gir1.2-glib-2.0",
    "gir1.2-libosinfo-1.0",
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
    "libgirepository-1.0-1",
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
    "libosinfo-1.0-0",
    "libp11-kit0",
    "libpcre2-8-0",
    "libpsl5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libreadline8",
    "librtmp1",
    "libsasl2-2",
    "libselinux1",
    "libsoup-3.0-0",
    "libsqlite3-0",
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
    "libxslt1.1",
    "python3-certifi",
    "python3-chardet",
    "python3-charset-normalizer",
    "python3-gi",
    "python3-idna",
    "python3-libvirt",
    "python3-libxml2",
    "python3-requests",
    "python3-six",
    "python3-urllib3",
    "python3.11-minimal",
    "virtinst",
];

/// Where they are in dom0, and where that is on the data disk.
const FOLDER: &str = "/var/lib/clients";
const ON_DISK: &str = "lib/clients";

/// Name, package, and the program in it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("python3", "python3.11-minimal", "usr/bin/python3.11"),
    ("virsh", "libvirt-clients", "usr/bin/virsh"),
];
/// Folders of packages that are put there as they are.
const FOLDERS: &[(&str, &str)] = &[
    ("gir1.2-freedesktop", TYPELIBS),
    ("gir1.2-glib-2.0", TYPELIBS),
    ("gir1.2-libosinfo-1.0", TYPELIBS),
    ("libpython3.11-minimal", "usr/lib/python3.11"),
    ("libpython3.11-stdlib", "usr/lib/python3.11"),
    ("python3-certifi", MODULES),
    ("python3-chardet", MODULES),
    ("python3-charset-normalizer", MODULES),
    ("python3-gi", MODULES),
    ("python3-idna", MODULES),
    ("python3-libvirt", MODULES),
    ("python3-libxml2", MODULES),
    ("python3-requests", MODULES),
    ("python3-six", MODULES),
    ("python3-urllib3", MODULES),
    ("virtinst", VIRTINST),
];
const MODULES: &str = "usr/lib/python3/dist-packages";
const TYPELIBS: &str = "usr/lib/x86_64-linux-gnu/girepository-1.0";
/// Where virt-install looks for its modules.
const VIRTINST: &str = "usr/share/virt-manager";
/// What Python's modules load, which nobody links to.
const LIBRARIES: &[&str] = &[
    "libexpat.so.1",
    "libgirepository-1.0.so.1",
    "libosinfo-1.0.so.0",
    "libvirt-lxc.so.0",
    "libvirt-qemu.so.0",
    "libvirt.so.0",
    "libxml2.so.2",
];

/// Puts the programs, and what they need, on the data disk.
pub fn on_disk(disk: &mut Tree, packages: &Packages) -> Result<()> {
    let mut installer = Installer::into(packages, &format!("{ON_DISK}/lib"));
    for (name, package, path) in PROGRAMS {
        let program = packages.file(package, path)?;
        installer.program(disk, &format!("{ON_DISK}/bin/{name}"), &program)?;
    }
    for (package, folder) in FOLDERS {
        disk.copy_folder(&format!("{ON_DISK}/{folder}"), &packages.root(package)?.join(folder))?;
    }
    for library in LIBRARIES {
        installer.library(disk, library)?;
    }
    let virt_install = packages.file("virtinst", "usr/bin/virt-install")?;
    disk.copy(&format!("{ON_DISK}/bin/virt-install"), virt_install, 0o755);
    Ok(())
}

/// Puts the scripts that run them into dom0.
pub fn in_dom0(dom0: &mut Tree) {
    for (name, ..) in PROGRAMS {
        let script = format!(
            "#!/bin/sh\n\
             export PYTHONHOME={FOLDER}/usr PYTHONPATH={FOLDER}/{MODULES}\n\
             export GI_TYPELIB_PATH={FOLDER}/{TYPELIBS}\n\
             exec {LOADER} --library-path {FOLDER}/lib {FOLDER}/bin/{name} \"$@\"\n"
        );
        dom0.text(&format!("usr/bin/{name}"), script, 0o755);
    }
    let script = format!("#!/bin/sh\nexec python3 {FOLDER}/bin/virt-install \"$@\"\n");
    dom0.text("usr/bin/virt-install", script, 0o755);
    dom0.link(VIRTINST, format!("{FOLDER}/{VIRTINST}"));
}
