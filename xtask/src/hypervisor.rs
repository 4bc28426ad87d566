//! Building our own hypervisor, for a target without an operating system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::flat;
use crate::host::{self, Needed};
use crate::programs;
use crate::step::step;

const TARGET: &str = "x86_64-unknown-none";
const ARGUMENTS: &[&str] =
    &["--package", "hypervisor", "--features", "image", "--bin", "escalus", "--profile", "image"];
const KERNELS: &[&str] = &["--package", "kernels", "--features", "image", "--release"];
/// Debian's compiler, and the library's source of the same version.
const DEBIANS: &[Needed] = &[
    Needed { file: "/usr/bin/rustc", package: "rustc-web" },
    Needed { file: "/usr/lib/rustlib/src/rust/library/core/Cargo.toml", package: "rust-web-src" },
];

/// Where the target's own library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    /// The toolchain has it.
    Installed,
    /// It is built from Debian's source by Debian's compiler.
    FromSource,
}

/// Builds the image: a multiboot file. Hold the build folder's lock.
pub fn build() -> Result<PathBuf> {
    let library = library()?;
    step("build the hypervisor", || {
        let mut cargo = programs::cargo();
        cargo.arg("build").args(ARGUMENTS).args(["--quiet", "--target", TARGET]);
        if library == Library::FromSource {
            from_source(&mut cargo)?;
        }
        let files = programs::executables(cargo).context("the hypervisor did not build")?;
        flat::make(files.first().context("cargo made no hypervisor")?)
    })
}

/// Builds one of the kernels that exercise it.
pub fn build_kernel(name: &str) -> Result<PathBuf> {
    let library = library()?;
    step(&format!("build the kernel `{name}`"), || {
        let mut cargo = programs::cargo();
        cargo.arg("build").args(KERNELS).args(["--bin", name, "--quiet", "--target", TARGET]);
        if library == Library::FromSource {
            from_source(&mut cargo)?;
        }
        let files = programs::executables(cargo).context("the kernel did not build")?;
        files.into_iter().next().context("cargo made no kernel")
    })
}

/// Checks the source of the image, and of the kernels that exercise it, as the rest of the workspace
/// is checked.
pub fn clippy() -> Result<[Command; 2]> {
    let library = library()?;
    let check = |words: &[&str]| -> Result<Command> {
        let mut cargo = programs::cargo();
        // Debian has no clippy of its version; what compiles without a warning is as good as known.
        let is_installed = library == Library::Installed;
        cargo.arg(if is_installed { "clippy" } else { "check" }).args(words);
        cargo.args(["--quiet", "--target", TARGET]);
        match library {
            Library::Installed => drop(cargo.args(["--", "-D", "warnings"])),
            Library::FromSource => from_source(&mut cargo)?,
        }
        Ok(cargo)
    };
    Ok([check(ARGUMENTS)?, check(KERNELS)?])
}

/// Finds the target's library, or has it installed, and says which way.
fn library() -> Result<Library> {
    if is_installed()? {
        return Ok(Library::Installed);
    }
    let add = || host::output(Command::new("rustup").args(["target", "add", TARGET]));
    if step(&format!("install Rust's library for {TARGET}"), add).is_ok() && is_installed()? {
        return Ok(Library::Installed);
    }
    eprintln!("  it is built from Debian's source instead");
    host::install_missing(DEBIANS)?;
    Ok(Library::FromSource)
}

fn is_installed() -> Result<bool> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    Ok(Path::new(host::output(&mut rustc)?.trim()).is_dir())
}

/// Has cargo build the library, too; its source has to be the compiler's own.
fn from_source(cargo: &mut Command) -> Result<()> {
    let sysroot = host::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let tools = Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
    cargo.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", tools.join("rust-lld"));
    Ok(())
}
