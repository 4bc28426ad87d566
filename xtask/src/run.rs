//! `cargo xtask run`: boots dom0 for a person at its console, or for one command.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::host::Stream;
use anyhow::{Context, Result};

use crate::images::{self, Hypervisor, Images, Toolstack};
use crate::qemu::{Console, Machine, Model, Options};
use crate::step::step;
use crate::{disk, project};

const BOOT_TIMEOUT: Duration = Duration::from_secs(300);
const POWEROFF_TIMEOUT: Duration = Duration::from_secs(120);
/// Waits in dom0 until everything for guests is up, or says by its exit status that it can't be.
pub const WAIT_FOR_SERVICES: &str = "svcadm enable -st svc:/milestone/xvm:default";
/// A day: an interactive command is ended by its user.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(86_400);

/// What `cargo xtask run` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run CMD in dom0 without a terminal, give its output and exit status, and power off
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Keep what is written to dom0's disk, in build/kept.img, for later runs with this option
    #[arg(long)]
    keep_disk: bool,
    /// The machine's memory in MiB (768 of them are dom0's)
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1024..))]
    memory: u32,
    /// The machine's processors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    cpus: u32,
    /// The processors' model, as the emulator names it
    #[arg(long, value_name = "MODEL", default_value = "qemu64")]
    cpu: String,
    /// What is under dom0
    #[arg(long, value_enum, default_value = "escalus")]
    hypervisor: Hypervisor,
    /// What manages guests in dom0
    #[arg(long, value_enum, default_value = "escalus")]
    toolstack: Toolstack,
}

/// Boots as `arguments` say. The exit code is the command's with `--exec`, else the emulator's.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let lock = project::lock()?;
    let images = images::prepare(arguments.hypervisor, arguments.toolstack)?;
    let options = Options {
        memory: arguments.memory,
        cpus: arguments.cpus,
        console: if arguments.exec.is_some() { Console::Log } else { Console::Terminal },
        bare: false,
        kept_disk: arguments.keep_disk.then(|| kept_disk(&images)).transpose()?,
        model: Model { cpu: arguments.cpu.clone(), ..Model::default() },
        hypervisor_options: "",
    };
    if arguments.exec.is_none() {
        eprintln!("  boot: leave with `poweroff`; Ctrl-a x ends the emulator at once\n");
    }
    let machine = Machine::start(&images, &options)?;
    drop(lock);
    match &arguments.exec {
        Some(command) => exec(machine, command),
        None => at_the_console(machine),
    }
}

fn at_the_console(mut machine: Machine) -> Result<ExitCode> {
    let status = machine.wait()?;
    Ok(exit_code(status.code().unwrap_or(1)))
}

fn exec(mut machine: Machine, command: &str) -> Result<ExitCode> {
    let mut agent = step("boot dom0", || machine.agent(BOOT_TIMEOUT))?;
    let services = || match agent.run(WAIT_FOR_SERVICES, BOOT_TIMEOUT, |_, _| Ok(()))? {
        0 => Ok(()),
        _ => Err(anyhow::anyhow!("services are missing")),
    };
    if step("start services", services).is_err() {
        eprintln!("  (try --exec 'svcs -xv')");
    }
    let pass_on = |stream, bytes: &[u8]| match stream {
        Stream::Stdout => write_now(io::stdout(), bytes),
        Stream::Stderr => write_now(io::stderr(), bytes),
    };
    let status = agent.run(command, COMMAND_TIMEOUT, pass_on)?;
    step("power off", || {
        agent.run("poweroff", POWEROFF_TIMEOUT, |_, _| Ok(())).ok();
        machine.wait_for(POWEROFF_TIMEOUT)
    })?;
    Ok(exit_code(status))
}

fn write_now(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

fn exit_code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

/// The disk that outlives runs: at first a copy of the images' own.
fn kept_disk(images: &Images) -> Result<PathBuf> {
    let kept = project::build().join("kept.img");
    disk::keep(&images.disk, &kept).context("cannot keep the disk")?;
    eprintln!("  disk: {} (remove it to start afresh)", kept.display());
    Ok(std::path::absolute(kept)?)
}
