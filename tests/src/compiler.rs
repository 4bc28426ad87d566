//! A disk with a compiler and something large to compile: Debian's tcc with the C library's
//! headers, and SQLite in one file of 9 MB. In dom0 it is a root of its own, entered by `chroot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::tree::Tree;
use xtask::{disk, host, programs, project};

const NEEDED: &[host::Needed] = &[
    host::Needed { file: "tcc", package: "tcc" },
    host::Needed { file: "/usr/include/stdio.h", package: "libc6-dev" },
];
/// The volume's name.
pub const VOLUME: &str = "compiler";
/// MiB: there is room for two files of a GiB.
const SIZE: u32 = 3072;
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
/// What a program is linked from, and what it and the compiler are loaded with.
const LIBRARY_FILES: &[&str] = &[
    "crt1.o",
    "crti.o",
    "crtn.o",
    "ld-linux-x86-64.so.2",
    "libc.so",
    "libc_nonshared.a",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
];
const HEADERS: &str = "/usr/include";
/// Folders of the C library's headers and the kernel's.
const HEADER_FOLDERS: &[&str] = &[
    "asm-generic",
    "linux",
    "x86_64-linux-gnu/asm",
    "x86_64-linux-gnu/bits",
    "x86_64-linux-gnu/gnu",
    "x86_64-linux-gnu/sys",
];
/// SQLite's files.
const SOURCES: &[&str] = &["sqlite3.c", "sqlite3.h"];
/// A program that uses SQLite; it prints `good` if all comes out right.
const USE: &str = include_str!("compiler/use.c");

/// Has the compiler make `sqlite3.o` in the folder of the sources, here and in dom0.
pub const COMPILE: &[&str] =
    &["tcc", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-c", "sqlite3.c", "-o"];

/// Makes the disk. Hold the build folder's lock.
pub fn disk() -> Result<PathBuf> {
    host::install_missing(NEEDED)?;
    let tree = tree()?;
    project::cached("compiler.img", &tree.key()?, |path| disk::ext4(&tree, path, SIZE, VOLUME))
}

fn tree() -> Result<Tree> {
    let mut tree = Tree::merged_usr();
    tree.folder("tmp", 0o1777);
    tree.copy("/bin/tcc", host::path("tcc"), 0o755);
    tree.copy_folder(&format!("{LIBRARIES}/tcc"), Path::new(&format!("{LIBRARIES}/tcc")))?;
    for file in LIBRARY_FILES {
        let place = format!("{LIBRARIES}/{file}");
        tree.copy(&place, &place, 0o755);
    }
    let loader = "/lib64/ld-linux-x86-64.so.2";
    tree.copy(loader, fs::canonicalize(loader)?, 0o755);
    for file in fs::read_dir(HEADERS).context(HEADERS)? {
        let path = file?.path();
        if path.is_file() {
            tree.copy(&path.display().to_string(), &path, 0o644);
        }
    }
    for folder in HEADER_FOLDERS {
        let folder = format!("{HEADERS}/{folder}");
        tree.copy_folder(&folder, Path::new(&folder))?;
    }
    for file in SOURCES {
        tree.copy(file, sources()?.join(file), 0o644);
    }
    tree.text("use.c", USE, 0o644);
    Ok(tree)
}

/// Where cargo keeps SQLite, of which one of our programs is made.
fn sources() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--offline"]).current_dir(project::root());
    // Crates for other systems were never downloaded.
    cargo.args(["--filter-platform", programs::TARGET]);
    let text = host::output(&mut cargo)?;
    let manifest = text
        .split('"')
        .find(|word| word.contains("/libsqlite3-sys-") && word.ends_with("/Cargo.toml"))
        .context("cargo knows no libsqlite3-sys")?;
    Ok(Path::new(manifest).with_file_name("sqlite3"))
}

/// The checksum of what the compiler makes of SQLite on this host.
pub fn checksum() -> Result<String> {
    let folder = tempfile::tempdir_in(project::build())?;
    let object = std::path::absolute(folder.path().join("sqlite3.o"))?;
    let mut compile = Command::new(COMPILE[0]);
    host::output(compile.args(&COMPILE[1..]).arg(&object).current_dir(sources()?))?;
    let sum = host::output(Command::new("md5sum").arg(&object))?;
    Ok(sum.split_whitespace().next().unwrap_or_default().to_owned())
}
