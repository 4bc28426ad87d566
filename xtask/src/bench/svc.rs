//! `cargo xtask bench svc`: many trivial services under our supervisor and under others.
//!
//! Every supervisor runs the same program, which tells a pipe when it starts, so what is measured
//! is when services run and not when a supervisor says so.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::arrivals::Arrivals;
use super::peers::{self, Peer, Services};
use super::{processes, transactions};
use crate::{host, programs, project};

const NEEDED: &[host::Needed] = &[
    host::Needed { file: "s6-svscan", package: "s6" },
    host::Needed { file: "runsvdir", package: "runit" },
    host::Needed { file: "supervisord", package: "supervisor" },
    host::Needed { file: "sqlite3", package: "sqlite3" },
];
/// The table that docs/ keeps.
const TABLE: &str = "docs/bench-svc.md";
/// A supervisor that starts nothing for so long won't.
const PATIENCE: Duration = Duration::from_secs(60);
/// For what a supervisor does after its last start.
const SETTLE: Duration = Duration::from_secs(3);
/// How many services are killed, one after the other.
const KILLS: usize = 21;
/// How often a list is asked for, if not so much time has gone by.
const LISTS: usize = 5;
const LONG: Duration = Duration::from_secs(10);
/// How often everything is measured, in turns: the machine's own speed changes from minute to minute.
const ROUNDS: usize = 3;
/// A supervisor's own files, in its folder.
const SUPERVISOR: &str = "supervisor";

/// What `cargo xtask bench svc` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many services
    #[arg(value_name = "COUNT", default_values_t = [500, 10_000])]
    counts: Vec<usize>,
    /// Only these supervisors
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the tables to docs/bench-svc.md, too
    #[arg(long)]
    write: bool,
}

/// What was measured of one supervisor with one number of services.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: Duration,
    restart: Duration,
    /// KiB of the supervisor's processes for one service.
    memory: f64,
    list: Duration,
}

impl Row {
    /// The median of each column.
    fn median(rows: &[Self]) -> Self {
        Self {
            start: middle(rows.iter().map(|row| row.start)),
            restart: middle(rows.iter().map(|row| row.restart)),
            memory: middle(rows.iter().map(|row| row.memory)),
            list: middle(rows.iter().map(|row| row.list)),
        }
    }
}

/// The median of what is there, which is something.
fn middle<T: PartialOrd>(all: impl Iterator<Item = T>) -> T {
    let mut all: Vec<T> = all.collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    all.swap_remove(all.len() / 2)
}

/// What the rounds gave for one supervisor, or why it can't be measured.
type Found = Result<Vec<Row>>;

/// Measures, and prints a table.
pub fn bench(arguments: &Arguments) -> Result<()> {
    host::install_missing(NEEDED)?;
    let mut cargo = programs::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--bins",
        "--package=svc",
        "--package=svc-configd",
    ]);
    let programs = programs::build_static(cargo)?;
    let startd = programs.iter().find(|file| file.ends_with("svc-startd"));
    let folder = startd.and_then(|file| file.parent()).context("no svc-startd")?;
    let service = build_service()?;
    processes::adopt_orphans()?;
    processes::allow_files()?;
    let peers: Vec<_> = peers::all(folder)
        .into_iter()
        .filter(|peer| {
            arguments.only.is_empty() || arguments.only.iter().any(|only| only == peer.name())
        })
        .collect();
    // All are removed at the end: ext4 takes long to make files where many were removed lately.
    let folders = tempfile::tempdir()?;
    let mut found: Vec<Vec<Found>> =
        arguments.counts.iter().map(|_| peers.iter().map(|_| Ok(Vec::new())).collect()).collect();
    for round in 0..ROUNDS {
        for (&count, found) in arguments.counts.iter().zip(&mut found) {
            for (peer, found) in peers.iter().zip(found) {
                let Ok(rows) = found else { continue };
                eprintln!("{}, {count} services", peer.name());
                let folder = folders.path().join(format!("{}-{count}-{round}", peer.name()));
                let row = measure(peer.as_ref(), count, &folder, &service);
                processes::end_all()?;
                peer.clean_up(&folder.join(SUPERVISOR))?;
                match row {
                    Ok(row) => rows.push(row),
                    Err(error) => *found = Err(error),
                }
            }
        }
    }
    let mut text = String::from(HEAD);
    for (&count, found) in arguments.counts.iter().zip(&found) {
        let rows: Vec<_> = peers.iter().map(|peer| peer.name()).zip(found).collect();
        text += &table(count, &rows);
    }
    if let ([few, .., many], [short, .., long]) = (&arguments.counts[..], &found[..]) {
        text += &growth((*few, short), (*many, long), &peers);
    }
    text += &transactions::table(folder)?;
    println!("{text}");
    if arguments.write {
        std::fs::write(project::root().join(TABLE), text)?;
    }
    Ok(())
}

/// The program that all supervisors run.
fn build_service() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "xtask", "--bin", "bench-service"]);
    host::output(build.current_dir(project::root()))?;
    let here = std::env::current_exe()?;
    Ok(here.with_file_name("bench-service"))
}

fn measure(peer: &dyn Peer, count: usize, folder: &Path, service: &Path) -> Result<Row> {
    std::fs::create_dir(folder)?;
    let mut arrivals = Arrivals::new(folder)?;
    let command = format!("{} {}", service.display(), arrivals.path().display());
    let services = Services { count, command };
    let own = folder.join(SUPERVISOR);
    std::fs::create_dir(&own)?;
    peer.prepare(&own, &services)?;
    let started = Instant::now();
    for mut command in peer.start(&own) {
        command.spawn().with_context(|| format!("cannot start {}", peer.name()))?;
    }
    arrivals.wait_for_all(count, PATIENCE)?;
    let start = started.elapsed();
    std::thread::sleep(SETTLE);
    let all = processes::descendants()?;
    let supervisors = all.iter().filter(|(_, name)| *name != "bench-service");
    let memory = processes::memory(supervisors.map(|(pid, _)| *pid)) as f64 / count as f64;
    let restart = restarts(&mut arrivals, count)?;
    let mut list = Duration::MAX;
    let asked = Instant::now();
    for number in 0..LISTS {
        if number == 0 || asked.elapsed() < LONG {
            list = list.min(listing(peer, &own)?);
        }
    }
    Ok(Row { start, restart, memory, list })
}

/// The median time from SIGKILL to a new process.
fn restarts(arrivals: &mut Arrivals, count: usize) -> Result<Duration> {
    let mut times = Vec::new();
    for number in 0..KILLS {
        let index = number * count / KILLS;
        let pid = arrivals.pid(index).context("a service is missing")?;
        let started = Instant::now();
        processes::kill(pid)?;
        arrivals.wait_for_another(index, pid, PATIENCE)?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn listing(peer: &dyn Peer, folder: &Path) -> Result<Duration> {
    let started = Instant::now();
    let status = peer.list(folder).status()?;
    // supervisorctl and sv say by their status how services are.
    if status.code().is_none() {
        bail!("{} could not list its services: {status}", peer.name());
    }
    Ok(started.elapsed())
}

const HEAD: &str = "# Supervisors of many services\n\n\
Written by `cargo xtask bench svc --write`. All run the same trivial program on the same machine,\n\
one supervisor after the other, three rounds of it, and medians are shown.\n\
Start: from the supervisor's start until the last service runs. Restart: from SIGKILL of a service\n\
to its next process, the median. Memory: of all processes of the supervisor, shared pages in parts,\n\
for one service. List: the states of all services. In brackets: how many times ours. Ours and\n\
systemd start services in the order of a tree of dependencies, the others have none; systemd is only\n\
there where it booted the host, and dinit isn't there, as Debian 12 doesn't have it.\n";

fn table(count: usize, rows: &[(&str, &Found)]) -> String {
    let mut text = format!(
        "\n## {count} services\n\n| supervisor | start | restart | memory | list |\n\
         | --- | --- | --- | --- | --- |\n"
    );
    let ours = rows.iter().find_map(|(_, rows)| rows.as_ref().ok()).map(|rows| Row::median(rows));
    let mut notes = String::new();
    for (name, rows) in rows {
        let row = match rows {
            Ok(rows) => Row::median(rows),
            Err(error) => {
                let _ = writeln!(text, "| {name} | - | - | - | - |");
                let _ = writeln!(notes, "\n{name} could not be measured: {error:#}.");
                continue;
            }
        };
        let ours = ours.unwrap_or(row);
        let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        let _ = writeln!(
            text,
            "| {name} | {:.2} s ({:.1}) | {:.1} ms ({:.1}) | {:.1} KiB ({:.1}) | {:.0} ms ({:.1}) |",
            row.start.as_secs_f64(),
            ratio(row.start, ours.start),
            row.restart.as_secs_f64() * 1e3,
            ratio(row.restart, ours.restart),
            row.memory,
            row.memory / ours.memory,
            row.list.as_secs_f64() * 1e3,
            ratio(row.list, ours.list),
        );
    }
    text + &notes
}

/// How much longer many services take than few, in the same round.
fn growth(few: (usize, &[Found]), many: (usize, &[Found]), peers: &[Box<dyn Peer>]) -> String {
    let mut text = String::new();
    for ((short, long), peer) in few.1.iter().zip(many.1).zip(peers) {
        let (Ok(short), Ok(long)) = (short, long) else { continue };
        let times: Vec<f64> = short
            .iter()
            .zip(long)
            .map(|(short, long)| long.start.as_secs_f64() / short.start.as_secs_f64())
            .collect();
        let each: Vec<_> = times.iter().map(|times| format!("{times:.1}")).collect();
        let _ = writeln!(
            text,
            "\nWith {} {} services take {:.1} times as long to start as {}, the median of {}.",
            peer.name(),
            many.0,
            middle(times.into_iter()),
            few.0,
            each.join(", "),
        );
    }
    text
}
