//! `svcprop`: prints properties of services and instances (svcprop(1)).

mod options;
mod print;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;

use svc::fmri::Fmri;
use svc::repo::{Repo, RepoError, View};

use options::{Misuse, Options};
use print::Style;
use target::{Selection, Target};

/// Why nothing, or not everything, was printed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Misuse(#[from] Misuse),
    #[error("svcprop: {0}")]
    Failed(String),
    #[error("svcprop: {0}")]
    Repo(#[from] RepoError),
    #[error("svcprop: cannot write: {0}")]
    Output(#[from] io::Error),
}

fn main() -> ExitCode {
    let (options, operands) = match options::parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(misuse) => {
            eprintln!("{misuse}");
            return ExitCode::from(2);
        }
    };
    match run(&options, &operands) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(Error::Misuse(misuse)) => {
            eprintln!("{misuse}");
            ExitCode::from(2)
        }
        Err(_) if options.quiet => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what is wanted; returns whether all of it was there.
fn run(options: &Options, operands: &[String]) -> Result<bool, Error> {
    let repo = Repo::connect()?;
    let mut complete = true;
    let mut targets = Vec::new();
    for operand in operands {
        match target::resolve(&repo, operand, &options.wanted) {
            Ok(found) => targets.extend(found),
            Err(Error::Failed(line)) => {
                complete = false;
                tell(&line, !options.quiet);
            }
            Err(error) => return Err(error),
        }
    }
    if options.wait && complete {
        wait(&repo, &operands[0], &targets)?;
    }
    // Several entities are told apart by full names.
    let style = match () {
        () if options.full_names || targets.len() > 1 => Style::Full,
        () if options.types => Style::Named,
        () => Style::Values,
    };
    for target in &targets {
        let (text, missing) = print(&repo, target, &options.view, style)?;
        complete &= missing.is_empty();
        missing.iter().for_each(|line| tell(line, !options.quiet || options.verbose));
        if !options.quiet {
            io::stdout().write_all(text.as_bytes())?;
        }
    }
    Ok(complete)
}

fn tell(line: &str, is_wanted: bool) {
    if is_wanted {
        eprintln!("svcprop: {line}");
    }
}

/// What is wanted of one entity, and complaints about what isn't there.
fn print(
    repo: &Repo,
    Target { entity, selections }: &Target,
    view: &View,
    style: Style,
) -> Result<(String, Vec<String>), Error> {
    if matches!(view, View::Snapshot(_)) && !entity.is_instance() {
        return Err(Error::Failed("Only instances have snapshots.".to_owned()));
    }
    let mut text = String::new();
    let mut missing = Vec::new();
    if selections.is_empty() {
        let groups = repo.pgs(entity, view).map_err(without_snapshot(view))?;
        let lines = groups.iter().map(|(pg, group)| print::group(style, entity, pg, group));
        return Ok((lines.collect(), missing));
    }
    for Selection { pg, prop } in selections {
        let group = match prop {
            Some(prop) => repo.property(entity, pg, prop, view),
            None => repo.pg(entity, pg, view),
        };
        let group = group.map_err(without_snapshot(view))?;
        // The values are there, but not for this user (smf_security(7)).
        if group.as_ref().is_some_and(|group| group.concealed) {
            return Err(Error::Failed("Permission denied.".to_owned()));
        }
        match (&group, prop) {
            (None, _) => missing.push(missing_group(entity, pg)),
            (Some(group), None) => text.push_str(&print::group(style, entity, pg, group)),
            (Some(group), Some(prop)) => match group.get(prop) {
                None => missing.push(missing_property(entity, pg, prop)),
                Some(property) => {
                    text.push_str(&print::property(style, entity, (pg, prop), property));
                }
            },
        }
    }
    Ok((text, missing))
}

/// Tells that there is no such snapshot as SMF does.
fn without_snapshot(view: &View) -> impl Fn(RepoError) -> Error {
    let is_of_snapshot = matches!(view, View::Snapshot(_));
    move |error| match is_of_snapshot && error.is_not_found() {
        true => Error::Failed("No such snapshot.".to_owned()),
        false => Error::Repo(error),
    }
}

/// Waits until the one wanted property group changes.
fn wait(repo: &Repo, operand: &str, targets: &[Target]) -> Result<(), Error> {
    let [Target { entity, selections }] = targets else {
        let list: String = targets.iter().map(|target| format!("\n  {}", target.entity)).collect();
        return Err(Error::Failed(format!(
            "Pattern '{operand}' matches multiple instances:{list}"
        )));
    };
    let Some(Selection { pg, prop }) = selections.first() else {
        let line = format!("Cannot wait for {}.", with_article(entity));
        return Err(Misuse::Argument(line).into());
    };
    let not_found = || Error::Failed("Not found.".to_owned());
    let mut generation = repo.generation()?;
    let before = repo.pg(entity, pg, &View::Direct)?.ok_or_else(not_found)?;
    if prop.as_ref().is_some_and(|prop| before.get(prop).is_none()) {
        return Err(not_found());
    }
    loop {
        let (next, changed) = repo.changes_since(generation, None)?;
        generation = next;
        let concerns = |change: &svc::repo::Changed| {
            change.fmri == *entity && change.pg.as_ref().is_none_or(|changed| changed == pg)
        };
        if changed.iter().any(concerns) {
            break;
        }
    }
    match repo.pg(entity, pg, &View::Direct) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(not_found()),
        Err(error) if error.is_not_found() => Err(not_found()),
        Err(error) => Err(error.into()),
    }
}

fn with_article(entity: &Fmri) -> &'static str {
    if entity.is_instance() { "an instance" } else { "a service" }
}

fn kind(entity: &Fmri) -> &'static str {
    if entity.is_instance() { "instance" } else { "service" }
}

fn missing_group(entity: &Fmri, pg: &str) -> String {
    format!("Couldn't find property group `{pg}' for {} `{entity}'.", kind(entity))
}

fn missing_property(entity: &Fmri, pg: &str, prop: &str) -> String {
    format!("Couldn't find property `{pg}/{prop}' for {} `{entity}'.", kind(entity))
}
