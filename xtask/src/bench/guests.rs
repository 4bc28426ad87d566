//! `cargo xtask bench guests`: one guest, made and destroyed by xm on our hypervisor and by xl on stock
//! Xen, and what it gets of its disk, its network and the hypervisor.
//!
//! All that is read or written is in dom0's memory: nothing that is measured waits for the host.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use super::counted::{self, All, Arguments, Figures};
use crate::images::{self, Hypervisor, Toolstack};
use crate::modules::Kernel;
use crate::packages::{self, Packages};
use crate::step::step;
use crate::tree::{Node, Tree};
use crate::{cpio, guest, host, modules, programs, project};

/// The table that docs/ keeps.
const TABLE: &str = "docs/bench-guests.md";
/// In the guest, loaded by `bench-guest`.
const MODULES: &[&str] = &["xen-blkfront", "xen-evtchn", "xen-gntalloc", "xen-netfront"];

/// Who makes the guest, on what.
struct Peer {
    name: &'static str,
    hypervisor: Hypervisor,
    toolstack: Toolstack,
    command: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "xen",
        hypervisor: Hypervisor::Xen,
        toolstack: Toolstack::Stock,
        command: "/usr/local/bin/xl",
    },
    Peer {
        name: "escalus",
        hypervisor: Hypervisor::Escalus,
        toolstack: Toolstack::Escalus,
        command: "/usr/sbin/xm",
    },
];

/// What is shown of virtual nanoseconds.
#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Instructions,
}
use Unit::{Instructions, Seconds};

/// Rows of the table: the measurement's name, what it says, and its unit.
const ROWS: &[(&str, &str, Unit)] = &[
    ("create-first", "create, from a bzImage that wasn't seen before", Seconds),
    (
        "create-named",
        "create, the first, from a bzImage that a configuration in /etc/xen names",
        Seconds,
    ),
    ("create-again", "create, from the same bzImage again", Seconds),
    ("create-unpacked", "create, from the bare vmlinux", Seconds),
    (
        "begun-first",
        "to the guest's first process, from a bzImage that wasn't seen before",
        Seconds,
    ),
    (
        "begun-named",
        "to the guest's first process, the first, from a bzImage that a configuration in /etc/xen names",
        Seconds,
    ),
    ("begun-again", "to the guest's first process, from the same bzImage again", Seconds),
    ("begun-unpacked", "to the guest's first process, from the bare vmlinux", Seconds),
    ("destroy-unpacked", "destroy", Seconds),
    ("disk-read", "MiB read from the disk", Instructions),
    ("disk-write", "MiB written to the disk", Instructions),
    ("disk-read-page", "page read from the disk", Instructions),
    ("disk-write-page", "page written to the disk", Instructions),
    ("net-receive", "MiB from dom0, by TCP", Instructions),
    ("net-send", "MiB to dom0, by TCP", Instructions),
    ("net-round-trip", "byte to dom0 and back, by TCP", Instructions),
    ("event", "event, from dom0 to the guest and back", Instructions),
    ("copy", "grant copy of a page", Instructions),
    ("copy-many", "grant copy of 16 pages at once", Instructions),
    ("switch", "switch from one domain to another", Instructions),
    ("call", "null hypercall of a program in dom0", Instructions),
    ("getppid", "getppid in dom0", Instructions),
    ("getppid-guest", "getppid in the guest", Instructions),
];

/// Measures, and prints a table.
pub fn bench(arguments: &Arguments) -> Result<()> {
    let machines = prepare(PEERS.iter().filter(|peer| arguments.wants(peer.name)))?;
    let mut all = All::new();
    for (peer, folder) in &machines {
        all.insert(peer.name, step(peer.name, || measure(peer, folder.path()))?);
    }
    arguments.show(TABLE, HEAD, &table(&all), all.len() == PEERS.len())
}

/// A folder for each, with what it boots from.
fn prepare<'a>(peers: impl Iterator<Item = &'a Peer>) -> Result<Vec<(&'a Peer, TempDir)>> {
    let _lock = project::lock()?;
    host::install_missing(host::ALWAYS)?;
    let packages = packages::unpack()?;
    let build = || build("bench-host").and_then(|host| Ok((host, build("bench-guest")?)));
    let (host, guest) = step("build what measures", build)?;
    let guest = step("make the guest", || guest_initramfs(&packages, &guest))?;
    let machine = |peer: &'a Peer| -> Result<_> {
        let mut initramfs = images::initramfs(peer.toolstack, &packages)?;
        initramfs.push(part_of_dom0(peer, &packages, &host, &guest)?);
        let files = images::boot_files(peer.hypervisor, &packages, initramfs)?;
        Ok((peer, counted::folder(&files)?))
    };
    peers.map(machine).collect()
}

fn build(name: &str) -> Result<PathBuf> {
    let mut build = programs::cargo();
    build.args(["build", "--quiet", "--release", "--package", "bench", "--bin", name]);
    let programs = programs::build_static(build)?;
    programs.into_iter().next().with_context(|| format!("cargo made no {name}"))
}

/// What a guest's kernel finds: the program as the first process, and what it calls.
fn guest_initramfs(packages: &Packages, program: &Path) -> Result<PathBuf> {
    let mut tree = guest::bare(packages)?;
    tree.put("dev/console", Node::Device { number: (5, 1), mode: 0o600 });
    modules::install(&mut tree, &Kernel::of_dom0(packages)?, MODULES)?;
    tree.copy("init", program, 0o755);
    project::cached("bench-guest.cpio", &tree.key()?, |path| cpio::write_file(&tree, path))
}

/// What dom0 has for the measurement, beside the toolstack: a service, and all that guests need.
fn part_of_dom0(peer: &Peer, packages: &Packages, host: &Path, guest: &Path) -> Result<PathBuf> {
    let sources = project::root().join("xtask");
    let kernel = format!("boot/vmlinuz-{}", packages.kernel_release());
    let kernel = packages.file(&packages.kernel, &kernel)?;
    let mut tree = Tree::default();
    tree.copy_folder("etc", &sources.join("bench/etc"))?;
    tree.copy("boot/bench/vmlinuz", &kernel, 0o644);
    tree.copy("boot/bench/vmlinux", unpacked(&kernel)?, 0o644);
    tree.copy("boot/bench/initrd", guest, 0o644);
    tree.copy("usr/lib/escalus/bench-host", host, 0o755);
    let manifest = fs::read_to_string(sources.join("bench/manifest/bench.toml"))?;
    let manifest = manifest.replace("COMMAND", peer.command);
    tree.text("usr/lib/svc/manifest/bench.toml", manifest, 0o644);
    // No guest starts by itself.
    let domains = sources.join("stock/xl/domains.toml");
    tree.copy("usr/lib/svc/manifest/domains.toml", domains, 0o644);
    let name = format!("bench-{}.cpio", peer.name);
    project::cached(&name, &tree.key()?, |path| cpio::write_file(&tree, path))
}

/// The ELF file in Debian's kernel.
fn unpacked(kernel: &Path) -> Result<PathBuf> {
    let key = format!("{} {}", kernel.display(), project::stamp(kernel)?);
    project::cached("bench-vmlinux", &key, |path| {
        let unpacked = builder::unpack(fs::read(kernel)?, builder::MAX_KERNEL)
            .map_err(|error| anyhow!(error))?;
        Ok(fs::write(path, unpacked)?)
    })
}

/// Boots, and reads what the program in dom0 says.
fn measure(peer: &Peer, folder: &Path) -> Result<Figures> {
    let mut command = counted::machine();
    command.args(["-kernel", "hypervisor", "-append", "console=com1 dom0_mem=1280M,max:1280M"]);
    command.args(["-initrd", "vmlinuz console=hvc0 quiet var=memory,dom0.cpio"]);
    // Without it dom0 has no random numbers for minutes, and xl waits for them.
    command.args(["-device", "virtio-rng-pci"]);
    counted::measure(peer.name, command, folder)
}

const HEAD: &str = "# Guests beside Xen 4.17 and xl\n\n\
Written by `cargo xtask bench guests --write`: a guest of 256 MiB with Debian's kernel, the same files\n\
and the same configuration, made by `xm` on our hypervisor and by `xl`, with C xenstored and\n\
xenconsoled, on stock Xen 4.17. The processor is emulated and counts instructions, each of which takes\n\
two virtual nanoseconds; there is one, for dom0 and the guest together. Disk, kernel and ramdisk are\n\
in dom0's memory. What has no unit is instructions.\n\n\
A first create takes longer than the next because the kernel is unpacked, which takes xend nearly as\n\
many instructions as liblzma; what came of it is kept by digest. A kernel that nobody named before is\n\
unpacked while its administrator waits: there the goal, a third of what xl takes, is missed. One that\n\
a configuration in /etc/xen names is unpacked before, when nothing else goes on. It costs as much, but\n\
nobody waits: its first create is measured after dom0 was left alone for a minute of virtual time, and\n\
after the other guests. What follows until the guest's first process is mostly Debian's kernel itself,\n\
and of a MiB or a page of disk or network Linux in dom0 and in the guest.\n\n";

fn table(all: &All) -> String {
    let mut text =
        String::from("| | xl on Xen | Escalus | Escalus / Xen |\n| --- | --- | --- | --- |\n");
    for (name, what, unit) in ROWS {
        let of = |peer: &str| all.get(peer).and_then(|figures| figures.get(*name)).copied();
        let figure = |peer| match (of(peer), unit) {
            (Some(value), Seconds) => format!("{:.2} s", value / 1e9),
            (Some(value), Instructions) => format!("{:.0}", value / 2.0),
            (None, _) => "-".to_owned(),
        };
        let ratio = match (of("escalus"), of("xen")) {
            (Some(ours), Some(xens)) => format!("**{:.2}**", ours / xens),
            _ => "-".to_owned(),
        };
        let _ = writeln!(text, "| {what} | {} | {} | {ratio} |", figure("xen"), figure("escalus"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rows_in_their_unit() {
        let ours = counted::parse("bench getppid 500\nbench create-first 1500000000\n");
        let xen = counted::parse("bench getppid 1000\n");
        let table = table(&All::from([("escalus", ours), ("xen", xen)]));
        assert!(table.contains("| getppid in dom0 | 500 | 250 | **0.50** |"), "{table}");
        assert!(table.contains("seen before | - | 1.50 s | - |"), "{table}");
    }
}
