//! `cargo xtask bench`: measurements, each with its peers in the same run.

mod arrivals;
mod counted;
mod guests;
mod hypervisor;
mod peers;
mod processes;
mod svc;
mod transactions;
mod virtd;

use std::process::ExitCode;

use anyhow::Result;

/// What `cargo xtask bench` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Supervisors of many services: ours, s6, runit, supervisord, systemd
    Svc(svc::Arguments),
    /// Hypervisors under one kernel, in counted instructions: ours, stock Xen, none
    Hypervisor(counted::Arguments),
    /// Guests by our toolstack on our hypervisor, and by xl on stock Xen, in counted instructions
    Guests(counted::Arguments),
    /// virtd beside stock libvirtd with its test driver
    Virtd(virtd::Arguments),
}

/// Measures and prints a table.
pub fn bench(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Svc(arguments) => svc::bench(arguments)?,
        What::Hypervisor(arguments) => hypervisor::bench(arguments)?,
        What::Guests(arguments) => guests::bench(arguments)?,
        What::Virtd(arguments) => virtd::bench(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
