//! `cargo xtask`: the project's own commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, boots and tests Escalus")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and boot dom0 in the emulator
    Run(xtask::run::Arguments),
    /// Run every test, those that boot dom0 included
    Test(xtask::test::Arguments),
    /// Write manifests/*.xml, the form for illumos, from manifests/*.toml
    Manifests,
    /// Write the manual pages and completions of the service commands
    Docs,
    /// Throw random hypercalls and faults at the hypervisor, from a kernel made for that
    Fuzz(xtask::kernels::Arguments),
    /// Write one file that GRUB boots, from a CD or a disk, to dom0
    Image(xtask::image::Arguments),
    /// Measure, with the peers in the same run
    Bench(xtask::bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Run(arguments) => xtask::run::run(&arguments),
        Task::Test(arguments) => xtask::test::test(&arguments),
        Task::Manifests => xtask::manifests::write(),
        Task::Docs => xtask::docs::write(),
        Task::Fuzz(arguments) => xtask::kernels::fuzz(&arguments),
        Task::Image(arguments) => xtask::image::image(&arguments),
        Task::Bench(arguments) => xtask::bench::bench(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
