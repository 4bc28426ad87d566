//! Building our own hypervisor, for a target without an operating system, and kernels that exercise
//! it, some of 32 bits.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::flat;
use crate::host::{self, Needed};
use crate::programs;
use crate::step::step;

const TARGET: &str = "x86_64-unknown-none";
/// The target of kernels of 32 bits: one that has no SSE, and whose operating system is not used.
const NARROW_TARGET: &str = "i586-unknown-linux-gnu";
const ARGUMENTS: &[&str] =
    &["--package", "hypervisor", "--features", "image", "--bin", "escalus", "--profile", "image"];
const KERNELS: &[&str] = &["--package", "kernels", "--features", "image", "--release"];
const NARROW_KERNELS: &[&str] = &["--package", "kernels", "--features", "narrow", "--release"];
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
    let library = library(TARGET)?;
    step("build the hypervisor", || {
        let mut cargo = programs::cargo();
        cargo.arg("build").args(ARGUMENTS).args(["--quiet", "--target", TARGET]);
        if library == Library::FromSource {
            from_source(&mut cargo, TARGET)?;
        }
        let files = programs::executables(cargo).context("the hypervisor did not build")?;
        flat::make(files.first().context("cargo made no hypervisor")?)
    })
}

/// Builds one of the kernels that exercise it.
pub fn build_kernel(name: &str) -> Result<PathBuf> {
    build_kernel_for(name, KERNELS, TARGET)
}

/// Builds one of 32 bits.
pub fn build_narrow_kernel(name: &str) -> Result<PathBuf> {
    build_kernel_for(name, NARROW_KERNELS, NARROW_TARGET)
}

fn build_kernel_for(name: &str, arguments: &[&str], target: &str) -> Result<PathBuf> {
    let library = library(target)?;
    step(&format!("build the kernel `{name}` for {target}"), || {
        let mut cargo = programs::cargo();
        cargo.arg("build").args(arguments).args(["--bin", name, "--quiet", "--target", target]);
        if library == Library::FromSource {
            from_source(&mut cargo, target)?;
        }
        let files = programs::executables(cargo).context("the kernel did not build")?;
        files.into_iter().next().context("cargo made no kernel")
    })
}

/// Checks the source of the image, and of the kernels that exercise it, as the rest of the workspace
/// is checked.
pub fn clippy() -> Result<[Command; 3]> {
    let check = |words: &[&str], target: &str| -> Result<Command> {
        let library = library(target)?;
        let mut cargo = programs::cargo();
        // Debian has no clippy of its version; what compiles without a warning is as good as known.
        let is_installed = library == Library::Installed;
        cargo.arg(if is_installed { "clippy" } else { "check" }).args(words);
        cargo.args(["--quiet", "--target", target]);
        match library {
            Library::Installed => drop(cargo.args(["--", "-D", "warnings"])),
            Library::FromSource => from_source(&mut cargo, target)?,
        }
        Ok(cargo)
    };
    Ok([check(ARGUMENTS, TARGET)?, check(KERNELS, TARGET)?, check(NARROW_KERNELS, NARROW_TARGET)?])
}

/// Finds a target's library, or has it installed, and says which way.
fn library(target: &str) -> Result<Library> {
    if is_installed(target)? {
        return Ok(Library::Installed);
    }
    let add = || host::output(Command::new("rustup").args(["target", "add", target]));
    if step(&format!("install Rust's library for {target}"), add).is_ok() && is_installed(target)? {
        return Ok(Library::Installed);
    }
    eprintln!("  it is built from Debian's source instead");
    host::install_missing(DEBIANS)?;
    Ok(Library::FromSource)
}

fn is_installed(target: &str) -> Result<bool> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]);
    Ok(Path::new(host::output(&mut rustc)?.trim()).is_dir())
}

/// Has cargo build the library, too; its source has to be the compiler's own.
fn from_source(cargo: &mut Command, target: &str) -> Result<()> {
    let sysroot = host::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let tools = Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
    cargo.args(["-Zbuild-std=core,alloc", "-Zbuild-std-features=compiler-builtins-mem"]);
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    let variable = target.replace('-', "_").to_uppercase();
    cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), tools.join("rust-lld"));
    Ok(())
}
