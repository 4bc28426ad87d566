//! xenstored: the store's daemon. See xenstored(8).

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::Signal;
use store::daemon::Daemon;
use svc_daemon::{LogTo, Ready, Signals};

/// The store: a tree of small values through which domains and toolstack talk.
#[derive(Debug, Parser)]
#[command(name = "xenstored", version, about)]
struct Options {
    /// Keep the process id in this file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Stay in the foreground.
    #[arg(short = 'N', long)]
    no_fork: bool,
    /// Serve tools on the sockets only, even if there is a hypervisor.
    #[arg(short = 'D', long)]
    no_domains: bool,
    /// Log to this file instead of standard error.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// The least severe messages that are logged.
    #[arg(long, value_name = "LEVEL", default_value = "info",
          value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let start = svc_daemon::Options {
        name: "xenstored",
        pid_file: options.pid_file.clone(),
        foreground: options.no_fork,
        log: options.log_file.clone().map_or(LogTo::Stderr, LogTo::File),
        level: options.log_level.clone(),
    };
    match svc_daemon::detach(&start) {
        Ok(ready) => serve(&options, ready),
        Err(error) => {
            eprintln!("xenstored: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options, ready: Ready) -> ExitCode {
    let folder = env::var_os("XENSTORED_RUNDIR").map_or("/run/xenstored".into(), PathBuf::from);
    let with_domains = !options.no_domains && xen::sys::is_control_domain();
    let signals = Signals::new(&[Signal::SIGTERM as i32, Signal::SIGINT as i32]);
    let started = signals.and_then(|signals| Ok((signals, Daemon::start(&folder, with_domains)?)));
    let (mut signals, mut daemon) = match started {
        Ok(started) => started,
        Err(error) => ready.fail(1, &error.to_string()),
    };
    let _pid_file = ready.ready();
    let clients = if with_domains { "domains and tools" } else { "tools only (no hypervisor)" };
    tracing::info!("serving {clients} in {}", folder.display());
    match daemon.run(&mut signals) {
        Ok(()) => {
            tracing::info!("ended by a signal");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}
