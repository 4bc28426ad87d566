//! `svcs`: shows how services are doing, and explains why one isn't well (svcs(1)).

mod columns;
mod explain;
mod follow;
mod graph;
mod long;
mod operands;
mod options;
mod pending;
mod processes;
mod reason;
#[cfg(test)]
#[path = "../../../tests/common/sample.rs"]
mod sample;
mod tail;
mod watch;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::rc::legacy::{self, Legacy};
use svc::repo::{Repo, RepoError};

use columns::Row;
use explain::Explanation;
use follow::Log;
use graph::{Format, Graph};
use operands::Chosen;
use options::{Mode, Options};
use pending::Pending;

/// Why nothing could be shown.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("svcs: {0}")]
    Watch(#[from] watch::Error),
    #[error("svcs: {0}")]
    Repo(#[from] RepoError),
    #[error("svcs: {0}")]
    Output(#[from] io::Error),
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(misuse) => {
            eprintln!("{misuse}");
            return ExitCode::from(misuse.code());
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows what is wanted; returns whether every operand meant something.
fn run(options: &Options) -> Result<bool, Error> {
    if options.mode == Mode::Help {
        io::stdout().write_all(options::help().as_bytes())?;
        return Ok(true);
    }
    let repo = Repo::connect()?;
    let host = match options.mode {
        Mode::List | Mode::Log | Mode::Watch => Host::overview(&repo, &options.wanted())?,
        _ => Host::load(&repo)?,
    };
    let legacy = match options.mode {
        Mode::List => legacy::all(&repo)?,
        _ => Vec::new(),
    };
    let Chosen { instances: chosen, legacy, complete } = operands::choose(options, &host, legacy);
    let text = match options.mode {
        Mode::Long => long(options, &repo, &host, rows(&host, &chosen))?,
        Mode::Watch => return show(options, chosen, complete),
        Mode::Log if options.follow => {
            return Ok(follow(&rows(&host, &chosen))? && complete);
        }
        Mode::Graph => graph(options, &Graph::new(&host, &chosen)),
        Mode::Explain => explain(options, &host, &chosen),
        Mode::Log => logs(&rows(&host, &chosen)),
        _ => list(options, &host, &related(options.mode, &host, chosen), &legacy),
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(complete)
}

/// What `-d` and `-D` show instead of the chosen.
fn related(mode: Mode, host: &Host, chosen: BTreeSet<Fmri>) -> BTreeSet<Fmri> {
    match mode {
        Mode::Dependencies => {
            let instances = chosen.iter().filter_map(|fmri| host.instances.get(fmri));
            let wanted = instances.flat_map(|instance| instance.wanted_services());
            wanted.flat_map(|name| host.named(name)).map(|(fmri, _)| fmri.clone()).collect()
        }
        Mode::Dependents => chosen.iter().flat_map(|fmri| host.dependents(fmri)).cloned().collect(),
        _ => chosen,
    }
}

type Found<'a> = (&'a Fmri, &'a Instance);

fn rows<'a>(host: &'a Host, chosen: &BTreeSet<Fmri>) -> Vec<Found<'a>> {
    chosen.iter().filter_map(|fmri| host.instances.get_key_value(fmri)).collect()
}

fn list(options: &Options, host: &Host, chosen: &BTreeSet<Fmri>, legacy: &[Legacy]) -> String {
    let now = SystemTime::now();
    let instances = rows(host, chosen).into_iter();
    let instances = instances.map(|(fmri, instance)| Row::Instance(fmri, instance));
    let mut rows: Vec<Row> = legacy.iter().map(Row::Legacy).chain(instances).collect();
    columns::sort(&mut rows, &options.keys);
    let mut text = String::new();
    if options.header {
        text.push_str(&columns::header(&options.columns));
    }
    for row in rows {
        text.push_str(&columns::row(&options.columns, row, now));
        if let (true, Row::Instance(_, instance)) = (options.processes, row) {
            let processes = processes::of(instance);
            processes.iter().for_each(|process| text.push_str(&processes::line(process, now)));
        }
    }
    text
}

fn long(options: &Options, repo: &Repo, host: &Host, rows: Vec<Found>) -> Result<String, Error> {
    let mut blocks = Vec::new();
    for row in rows {
        let pending = match Pending::read(repo, row.0, row.1) {
            // Deleted since.
            Err(error) if error.is_not_found() => Pending::default(),
            pending => pending?,
        };
        let processes = if options.processes { processes::of(row.1) } else { Vec::new() };
        blocks.push(long::text(host, row, &pending, &processes, options.verbose));
    }
    Ok(blocks.join("\n"))
}

fn explain(options: &Options, host: &Host, chosen: &BTreeSet<Fmri>) -> String {
    let explanation = Explanation::new(host);
    let shown = match options.operands.as_slice() {
        [] => explanation.roots(),
        _ => chosen.iter().collect(),
    };
    let block = |fmri| {
        let log = host.instances.get(fmri).and_then(Instance::logfile);
        let log = log.filter(|_| options.verbose).map(|path| tail::block(Path::new(path)));
        explanation.block(fmri, options.verbose) + &log.unwrap_or_default()
    };
    shown.into_iter().map(block).collect::<Vec<_>>().join("\n")
}

fn graph(options: &Options, graph: &Graph) -> String {
    match options.format {
        Format::Text => graph::text(graph, options.header),
        Format::Dot => graph::dot(graph),
        Format::Svg => graph::svg(graph),
    }
}

fn logs(rows: &[Found]) -> String {
    let files = rows.iter().flat_map(|(_, instance)| instance.logfiles());
    files.map(|path| format!("{path}\n")).collect()
}

/// Shows instances until the user has enough. Nothing is shown if no operand means anything.
fn show(options: &Options, chosen: BTreeSet<Fmri>, complete: bool) -> Result<bool, Error> {
    let named: Vec<Fmri> =
        if options.operands.is_empty() { Vec::new() } else { chosen.into_iter().collect() };
    if complete || !named.is_empty() {
        watch::watch(&named, options.all)?;
    }
    Ok(complete)
}

/// Follows the logs of instances, each line with the name of its own if there are several.
/// Returns, if it does, whether each had one.
fn follow(rows: &[Found]) -> Result<bool, Error> {
    let mut logs = Vec::new();
    for (fmri, instance) in rows {
        let prefix = if rows.len() > 1 { format!("{}: ", short(fmri)) } else { String::new() };
        match instance.logfile() {
            Some(path) => logs.push(Log::open(Path::new(path), prefix)),
            None => eprintln!("svcs: {fmri} has no log yet."),
        }
    }
    if !logs.is_empty() {
        follow::follow(logs)?;
    }
    Ok(rows.is_empty())
}

/// An FMRI without its scheme.
fn short(fmri: &Fmri) -> String {
    fmri.to_string().trim_start_matches("svc:/").to_owned()
}
