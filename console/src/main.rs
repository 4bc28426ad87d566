//! `xenconsoled`: serves the consoles of all guests.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use console::daemon::{Config, Daemon};
use svc_daemon::{LogTo, Options};

/// Serves the consoles of all guests
#[derive(Parser)]
#[command(name = "xenconsoled", version)]
struct Cli {
    /// Where to keep the process id
    #[arg(long, value_name = "FILE", default_value = "/run/xenconsoled.pid")]
    pid_file: PathBuf,
    /// Stay in the foreground
    #[arg(short = 'i', long, visible_alias = "interactive")]
    no_fork: bool,
    /// What to log
    #[arg(long, value_enum, default_value = "all")]
    log: What,
    /// Where to keep logs
    #[arg(long, value_name = "DIR", default_value = "/var/log/xen/console")]
    log_dir: PathBuf,
    /// Put a log aside when it has this many bytes, 0 for never [default: the service's property
    /// config/log-limit]
    #[arg(long, value_name = "BYTES")]
    log_limit: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    None,
    Guest,
    Hv,
    All,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = Options {
        name: "xenconsoled",
        pid_file: Some(cli.pid_file),
        foreground: cli.no_fork,
        log: LogTo::Stderr,
        level: "info".to_owned(),
    };
    let config = Config {
        log_dir: cli.log_dir,
        log_limit: cli.log_limit,
        log_guests: matches!(cli.log, What::Guest | What::All),
        log_hypervisor: matches!(cli.log, What::Hv | What::All),
    };
    let ready = match svc_daemon::detach(&options) {
        Ok(ready) => ready,
        Err(error) => return failed(&error),
    };
    let daemon = match Daemon::open(config) {
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
    eprintln!("xenconsoled: {error}");
    ExitCode::FAILURE
}
