//! `cargo xtask bench hypervisor`: one kernel and one small program under our hypervisor, under
//! stock Xen and on the bare emulator.
//!
//! The emulator counts instructions.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::counted::{self, All, Arguments, Figures};
use crate::images::{self, Hypervisor};
use crate::packages::{self, Packages};
use crate::step::step;
use crate::tree::{Node, Tree};
use crate::{cpio, host, programs, project};

/// The table that docs/ keeps.
const TABLE: &str = "docs/bench-hypervisor.md";

/// What is under the kernel, and how it is told to be.
struct Peer {
    name: &'static str,
    hypervisor: Option<Hypervisor>,
    options: &'static str,
}

/// Each as the processor needs it, and then without what is there against speculation.
const PEERS: &[Peer] = &[
    Peer { name: "bare", hypervisor: None, options: "" },
    Peer { name: "xen", hypervisor: Some(Hypervisor::Xen), options: "" },
    Peer { name: "escalus", hypervisor: Some(Hypervisor::Escalus), options: "" },
    Peer { name: "xen-plain", hypervisor: Some(Hypervisor::Xen), options: " spec-ctrl=no xpti=no" },
    Peer {
        name: "escalus-plain",
        hypervisor: Some(Hypervisor::Escalus),
        options: " spec-ctrl=no xpti=no",
    },
];

/// Rows of the table: the measurement's name, what it says, and what divides its nanoseconds.
const ROWS: &[(&str, &str)] = &[
    ("hypercall", "null hypercall, beyond the ioctl that carries it"),
    ("getppid", "getppid"),
    ("fault", "page fault"),
    ("mmap", "mmap and munmap of 16 pages"),
    ("mprotect", "mprotect of 16 pages"),
    ("fork", "fork and wait"),
    ("exec", "fork, exec and wait"),
    ("pipe", "pipe, to another process and back"),
    ("event", "event, to oneself and back"),
    ("boot", "from reset to dom0's first process"),
    ("image", "bytes of the image"),
    ("kept", "bytes of 2 GiB kept from domains"),
];

/// Measures, and prints a table.
pub fn bench(arguments: &Arguments) -> Result<()> {
    let machines = prepare(PEERS.iter().filter(|peer| arguments.wants(peer.name)))?;
    let mut all = All::new();
    for (peer, folder) in &machines {
        let mut figures = step(peer.name, || measure(peer, folder.path()))?;
        if peer.hypervisor.is_some() {
            let image = fs::metadata(folder.path().join("hypervisor"))?;
            figures.insert("image".into(), image.len() as f64);
        }
        all.insert(peer.name, figures);
    }
    arguments.show(TABLE, HEAD, &table(&all), all.len() == PEERS.len())
}

/// A folder for each, with what it boots from.
fn prepare<'a>(peers: impl Iterator<Item = &'a Peer>) -> Result<Vec<(&'a Peer, TempDir)>> {
    let _lock = project::lock()?;
    host::install_missing(host::ALWAYS)?;
    let packages = packages::unpack()?;
    let initramfs = initramfs(&packages)?;
    let machine = |peer: &'a Peer| -> Result<_> {
        let hypervisor = peer.hypervisor.unwrap_or(Hypervisor::Xen);
        let files = images::boot_files(hypervisor, &packages, vec![initramfs.clone()])?;
        Ok((peer, counted::folder(&files)?))
    };
    peers.map(machine).collect()
}

/// The program as the kernel's first process, and two modules that it loads.
fn initramfs(packages: &Packages) -> Result<PathBuf> {
    let mut build = programs::cargo();
    build.args(["build", "--quiet", "--release", "--package", "bench", "--bin", "bench-dom0"]);
    let programs = programs::build_static(build)?;
    let program = programs.first().context("cargo made no bench-dom0")?;
    let mut tree = Tree::default();
    for folder in ["dev", "proc", "sys"] {
        tree.folder(folder, 0o755);
    }
    tree.put("dev/console", Node::Device { number: (5, 1), mode: 0o600 });
    tree.copy("init", program, 0o755);
    for module in ["xen-privcmd", "xen-evtchn"] {
        let drivers = format!("lib/modules/{}/kernel/drivers/xen", packages.kernel_release());
        let file = packages.file(&packages.kernel, &format!("{drivers}/{module}.ko"))?;
        tree.copy(&format!("{module}.ko"), file, 0o644);
    }
    project::cached("bench.cpio", &tree.key()?, |path| cpio::write_file(&tree, path))
}

/// Boots, and reads what the program says.
fn measure(peer: &Peer, folder: &Path) -> Result<Figures> {
    let mut command = counted::machine();
    if peer.hypervisor.is_some() {
        command.args(["-kernel", "hypervisor", "-append"]);
        command.arg(format!("console=com1 dom0_mem=1024M,max:1024M{}", peer.options));
        command.args(["-initrd", "vmlinuz console=hvc0 quiet,dom0.cpio"]);
    } else {
        command.args(["-kernel", "vmlinuz", "-append", "console=ttyS0 quiet"]);
        command.args(["-initrd", "dom0.cpio"]);
    }
    counted::measure(peer.name, command, folder)
}

const HEAD: &str = "# Our hypervisor beside Xen 4.17\n\n\
Written by `cargo xtask bench hypervisor --write`: Debian's kernel and one small program\n\
(`tests/bench`) under our hypervisor, under stock Xen 4.17 and alone, on a processor\n\
that is emulated and counts instructions. Figures are instructions for each, but where they are\n\
bytes. In brackets: how many times the kernel alone. The first ratio compares both as they protect\n\
themselves from speculation when nobody says otherwise. On this processor, which has no SMEP, that is\n\
to overwrite the return stack buffer when a guest is left: Xen does it on each entry, ours where its\n\
entry code goes on to call anything. Xen has thunks for indirect branches and returns and fences\n\
behind checks, too; ours has none. The second compares with the options `spec-ctrl=no xpti=no` on\n\
both; Xen's thunks are compiled in, and stay.\n\n";

fn table(all: &All) -> String {
    let mut text = String::from(
        "| | kernel alone | Xen | Escalus | Escalus / Xen | Xen, plain | Escalus / Xen, plain |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, what) in ROWS {
        let of = |peer: &str| all.get(peer).and_then(|figures| figures.get(*name)).copied();
        let unit = if matches!(*name, "image" | "kept") { 1.0 } else { 2.0 };
        let bare = of("bare");
        let figure = |peer| match (of(peer), bare) {
            (Some(value), Some(bare)) => format!("{:.0} ({:.2})", value / unit, value / bare),
            (Some(value), None) => format!("{:.0}", value / unit),
            _ => "-".to_owned(),
        };
        let ratio = |ours, xens| match (of(ours), of(xens)) {
            (Some(ours), Some(xens)) => format!("**{:.2}**", ours / xens),
            _ => "-".to_owned(),
        };
        let alone = bare.map_or("-".to_owned(), |value| format!("{:.0}", value / unit));
        let _ = writeln!(
            text,
            "| {what} | {alone} | {} | {} | {} | {} | {} |",
            figure("xen"),
            figure("escalus"),
            ratio("escalus", "xen"),
            figure("xen-plain"),
            ratio("escalus-plain", "xen-plain"),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rows_with_ratios() {
        let ours = counted::parse("bench boot 24000\n");
        let xen = counted::parse("bench boot 48000\n");
        let bare = counted::parse("bench boot 12000\n");
        let all = All::from([("escalus", ours), ("xen", xen), ("bare", bare)]);
        let row = "| 6000 | 24000 (4.00) | 12000 (2.00) | **0.50** | - | - |";
        assert!(table(&all).contains(row), "{}", table(&all));
    }
}
