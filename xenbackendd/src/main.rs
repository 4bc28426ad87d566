//! `xenbackendd`: prepares what the kernel's backends serve.
//!
//! It watches `backend/` in the store. A disk's file gets a loop device, a network interface its
//! bridge; the result is written where toolstacks read it (`physical-device`, `hotplug-status`,
//! `hotplug-error`: Linux's hotplug scripts write the same nodes). When a backend closes,
//! everything is put back. Records under `/run/xenbackendd` let this survive SIGKILL.

mod daemon;
mod device;
mod loopdev;
mod net;
mod record;
mod script;
mod vbd;
mod vif;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use svc_daemon::{LogTo, Options};

/// Prepares disks and network interfaces for the kernel's Xen backends
#[derive(Parser)]
#[command(name = "xenbackendd", version)]
struct Cli {
    /// Where to keep the process id
    #[arg(long, value_name = "FILE", default_value = "/run/xenbackendd.pid")]
    pid_file: PathBuf,
    /// Stay in the foreground
    #[arg(short = 'f', long)]
    no_fork: bool,
    /// Log more
    #[arg(short, long)]
    debug: bool,
    /// Where to keep records of what is in use
    #[arg(long, value_name = "DIR", default_value = "/run/xenbackendd")]
    records: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = Options {
        name: "xenbackendd",
        pid_file: Some(cli.pid_file),
        foreground: cli.no_fork,
        log: LogTo::Stderr,
        level: if cli.debug { "debug" } else { "info" }.to_owned(),
    };
    let ready = match svc_daemon::detach(&options) {
        Ok(ready) => ready,
        Err(error) => return failed(&error),
    };
    let daemon = match daemon::Daemon::open(cli.records) {
        Ok(daemon) => daemon,
        Err(error) => ready.fail(1, &error.to_string()),
    };
    let _pid_file = ready.ready();
    match daemon.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("xenbackendd: {error}");
    ExitCode::FAILURE
}
