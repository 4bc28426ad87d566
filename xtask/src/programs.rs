//! Our own programs, built as static release binaries, and their places in dom0.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::project;

/// What programs for dom0 are built for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where a program goes.
const PLACES: &[(&str, &str)] = &[
    ("execd", "/usr/lib/escalus/execd"),
    ("init", "/sbin/init"),
    ("lsvcrun", "/lib/svc/bin/lsvcrun"),
    ("probe", "/usr/lib/escalus/probe"),
    ("rc-run", "/lib/svc/bin/rc-run"),
    ("rcorder", "/sbin/rcorder"),
    ("svc-configd", "/lib/svc/bin/svc.configd"),
    ("svc-startd", "/lib/svc/bin/svc.startd"),
    ("svcadm", "/usr/sbin/svcadm"),
    ("svccfg", "/usr/sbin/svccfg"),
    ("svcprop", "/usr/bin/svcprop"),
    ("svcs", "/usr/bin/svcs"),
    ("virtd", "/usr/sbin/virtd"),
    ("xenbackendd", "/usr/sbin/xenbackendd"),
    ("xenconsoled", "/usr/sbin/xenconsoled"),
    ("xend", "/usr/sbin/xend"),
    ("xendomains", "/usr/lib/xen/bin/xendomains"),
    ("xenstored", "/usr/sbin/xenstored"),
    ("xm", "/usr/sbin/xm"),
];

/// A built program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its path in dom0.
    pub place: &'static str,
    /// Its path here.
    pub file: PathBuf,
}

/// Builds every binary of the workspace's default members.
pub fn build() -> Result<Vec<Program>> {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--release", "--bins"]);
    let files = build_static(cargo).context("the programs for dom0 did not build")?;
    let program = |file: PathBuf| Ok(Program { place: place(&file)?, file });
    let mut programs = files.into_iter().map(program).collect::<Result<Vec<_>>>()?;
    programs.sort_by_key(|program| program.place);
    Ok(programs)
}

/// Runs `cargo build ...` so that programs need no library, and gives them.
pub fn build_static(mut cargo: Command) -> Result<Vec<PathBuf>> {
    // With --target the flags reach what is built for dom0 only, not build scripts and macros.
    cargo.args(["--target", TARGET]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    executables(cargo)
}

/// A command that builds something of this workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project::root());
    cargo
}

/// Runs `cargo build ...` and gives the executables that it made.
pub fn executables(mut cargo: Command) -> Result<Vec<PathBuf>> {
    cargo.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let result = cargo.output().context("cannot run cargo")?;
    if !result.status.success() {
        bail!("cargo build failed");
    }
    let messages = String::from_utf8_lossy(&result.stdout);
    let files = messages.lines().map(executable).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// The executable that one of cargo's messages tells of.
fn executable(message: &str) -> Result<Option<PathBuf>> {
    let message: serde_json::Value =
        serde_json::from_str(message).context("cargo printed something that isn't JSON")?;
    Ok(message["executable"].as_str().map(PathBuf::from))
}

pub(crate) fn place(file: &std::path::Path) -> Result<&'static str> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let known = PLACES.iter().find(|(program, _)| *program == name);
    known.map(|&(_, place)| place).with_context(|| {
        format!("where does {name} belong in dom0? Add it to PLACES in xtask/src/programs.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let artifact = r#"{"reason":"compiler-artifact","executable":"/t/release/svcs"}"#;
        assert_eq!(executable(artifact).unwrap(), Some("/t/release/svcs".into()));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#).unwrap(), None);
        assert!(executable("warning: x").is_err());
    }

    #[test]
    fn a_program_without_a_place_is_named() {
        assert_eq!(place("/t/release/xm".as_ref()).unwrap(), "/usr/sbin/xm");
        let error = place("/t/release/frob".as_ref()).unwrap_err().to_string();
        assert!(error.contains("frob"), "{error}");
    }
}
