//! `svcprop`: prints properties of services and instances (svcprop(1)).

use std::io::{self, Write};
use std::process::ExitCode;

use svc::fmri::{self, Fmri, PropFmri};
use svc::getopt;
use svc::glob;
use svc::repo::{Repo, RepoError, View};
use svc::value::{Groups, Property, PropertyGroup};

const USAGE: &str = "\
Usage: svcprop [-fqtv] [-C | -c | -s snapshot] [-p [name/]name]... \n         {FMRI | pattern}...
       svcprop -w [-fqtv] [-p [name/]name] {FMRI | pattern}";

/// Why nothing, or not everything, was printed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{USAGE}")]
    Usage,
    #[error("svcprop: {0}\n{USAGE}")]
    BadOption(String),
    #[error("svcprop: {0}")]
    Failed(String),
    #[error("svcprop: {0}")]
    Repo(#[from] RepoError),
    #[error("svcprop: cannot write: {0}")]
    Output(#[from] io::Error),
}

struct Options {
    view: View,
    wanted: Vec<Wanted>,
    types: bool,
    full_names: bool,
    quiet: bool,
    verbose: bool,
    wait: bool,
}

/// What `-p` or a property FMRI selects.
#[derive(Debug, Clone)]
struct Wanted {
    pg: String,
    prop: Option<String>,
}

/// An operand's entity, and what of it is wanted.
struct Target {
    entity: Fmri,
    wanted: Vec<Wanted>,
}

fn main() -> ExitCode {
    let result = options(std::env::args().skip(1)).and_then(|(options, operands)| {
        let outcome = run(&options, &operands);
        let hidden = options.quiet && !options.verbose;
        outcome.map_err(|error| (error, hidden)).or_else(|(error, hidden)| match error {
            Error::Failed(_) | Error::Repo(RepoError::Refused(_)) if hidden => Ok(false),
            error => Err(error),
        })
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            let usage = matches!(error, Error::Usage | Error::BadOption(_));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

fn options(args: impl Iterator<Item = String>) -> Result<(Options, Vec<String>), Error> {
    let (given, operands) = getopt::parse(args, "Ccfp:qs:tvw").map_err(Error::BadOption)?;
    let mut options = Options {
        view: View::Running,
        wanted: Vec::new(),
        types: false,
        full_names: false,
        quiet: false,
        verbose: false,
        wait: false,
    };
    let mut views = 0;
    for (letter, argument) in given {
        let argument = argument.unwrap_or_default();
        match letter {
            'C' => options.view = View::Direct,
            'c' => options.view = View::Composed,
            's' => options.view = View::Snapshot(argument),
            'p' => options.wanted.push(Wanted::parse(&argument)),
            't' => options.types = true,
            'f' => options.full_names = true,
            'q' => options.quiet = true,
            'v' => options.verbose = true,
            _ => options.wait = true,
        }
        views += u32::from(matches!(letter, 'C' | 'c' | 's'));
    }
    let waits_for_much = options.wait && (options.wanted.len() > 1 || operands.len() > 1);
    if operands.is_empty() || views > 1 || (options.wait && views > 0) || waits_for_much {
        return Err(Error::Usage);
    }
    if options.wait {
        options.view = View::Direct;
    }
    Ok((options, operands))
}

impl Wanted {
    fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((pg, prop)) => Self { pg: pg.to_owned(), prop: Some(prop.to_owned()) },
            None => Self { pg: text.to_owned(), prop: None },
        }
    }
}

/// Prints what is wanted; returns whether all of it was there.
fn run(options: &Options, operands: &[String]) -> Result<bool, Error> {
    let repo = Repo::connect()?;
    let mut targets = Vec::new();
    for operand in operands {
        targets.extend(resolve(&repo, operand, &options.wanted)?);
    }
    if options.wait {
        wait(&repo, &targets)?;
    }
    let one_property = match targets.as_slice() {
        [target] => matches!(target.wanted.as_slice(), [Wanted { prop: Some(_), .. }]),
        _ => false,
    };
    let style = if options.full_names || targets.len() > 1 {
        Style::Full
    } else if options.types || !one_property {
        Style::Named
    } else {
        Style::Values
    };
    let mut complete = true;
    let mut text = String::new();
    for target in &targets {
        let missing = print_target(&repo, target, &options.view, style, &mut text)?;
        complete &= missing.is_empty();
        if !options.quiet || options.verbose {
            missing.iter().for_each(|line| eprintln!("svcprop: {line}"));
        }
    }
    if !options.quiet {
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(complete)
}

fn resolve(repo: &Repo, operand: &str, wanted: &[Wanted]) -> Result<Vec<Target>, Error> {
    if let Ok(PropFmri { entity, pg, prop }) = PropFmri::parse(operand) {
        return match wanted {
            [] => Ok(vec![Target { entity, wanted: vec![Wanted { pg, prop }] }]),
            _ => Err(Error::Failed(format!("-p makes no sense with a property FMRI: {operand}"))),
        };
    }
    let target = |entity| Target { entity, wanted: wanted.to_vec() };
    let services = repo.services()?;
    // The full name of a service means the service; short for it, its instances.
    if let Ok(fmri) = Fmri::parse(operand)
        && services.contains(&fmri)
    {
        return Ok(vec![target(fmri)]);
    }
    let mut found = fmri::matches(operand, &repo.instances()?);
    if found.is_empty() && !glob::is_pattern(operand) {
        found = fmri::matches(operand, &services);
    }
    if found.is_empty() {
        return Err(Error::Failed(format!("Pattern '{operand}' doesn't match any entities")));
    }
    Ok(found.into_iter().map(target).collect())
}

/// Waits until the one wanted property group changes.
fn wait(repo: &Repo, targets: &[Target]) -> Result<(), Error> {
    let [Target { entity, wanted }] = targets else {
        return Err(Error::Failed("-w waits for one service or instance only".to_owned()));
    };
    let [Wanted { pg, .. }] = wanted.as_slice() else { return Err(Error::Usage) };
    let mut generation = repo.generation()?;
    if repo.pg(entity, pg, &View::Direct)?.is_none() {
        return Err(Error::Failed(missing_group(entity, pg)));
    }
    loop {
        let (next, changed) = repo.changes_since(generation, None)?;
        generation = next;
        let concerns =
            |c: &svc::repo::Changed| c.fmri == *entity && c.pg.as_ref().is_none_or(|g| g == pg);
        if changed.iter().any(concerns) {
            return Ok(());
        }
    }
}

/// How a property is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// One value a line.
    Values,
    /// `PG/PROP TYPE VALUE...`
    Named,
    /// `FMRI TYPE VALUE...`
    Full,
}

/// Appends what is wanted of one entity; returns complaints about what isn't there.
fn print_target(
    repo: &Repo,
    target: &Target,
    view: &View,
    style: Style,
    text: &mut String,
) -> Result<Vec<String>, RepoError> {
    let Target { entity, wanted } = target;
    let groups = if wanted.is_empty() {
        repo.pgs(entity, view)?
    } else {
        let mut groups = Groups::new();
        for Wanted { pg, .. } in wanted {
            groups.extend(repo.pg(entity, pg, view)?.map(|group| (pg.clone(), group)));
        }
        groups
    };
    if wanted.is_empty() {
        groups.iter().for_each(|(pg, group)| print_group(entity, pg, group, style, text));
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for Wanted { pg, prop } in wanted {
        match (groups.get(pg), prop) {
            (None, None) => missing.push(missing_group(entity, pg)),
            (Some(group), None) => print_group(entity, pg, group, style, text),
            (group, Some(prop)) => match group.and_then(|group| group.get(prop)) {
                Some(property) => print_property(entity, pg, prop, property, style, text),
                None => missing.push(missing_property(entity, pg, prop)),
            },
        }
    }
    Ok(missing)
}

fn kind(entity: &Fmri) -> &'static str {
    if entity.is_instance() { "instance" } else { "service" }
}

fn missing_group(entity: &Fmri, pg: &str) -> String {
    format!("Couldn't find property group '{pg}' for {} '{entity}'.", kind(entity))
}

fn missing_property(entity: &Fmri, pg: &str, prop: &str) -> String {
    format!("Couldn't find property '{pg}/{prop}' for {} '{entity}'.", kind(entity))
}

fn print_group(entity: &Fmri, pg: &str, group: &PropertyGroup, style: Style, text: &mut String) {
    for (prop, property) in &group.props {
        print_property(entity, pg, prop, property, style, text);
    }
}

fn print_property(
    entity: &Fmri,
    pg: &str,
    prop: &str,
    property: &Property,
    style: Style,
    text: &mut String,
) {
    let values: Vec<String> = property.values.iter().map(|value| escaped(value)).collect();
    if style == Style::Values {
        values.iter().for_each(|value| text.extend([value.as_str(), "\n"]));
        return;
    }
    let name = match style {
        Style::Full => {
            let (entity, pg, prop) = (entity.clone(), pg.to_owned(), Some(prop.to_owned()));
            PropFmri { entity, pg, prop }.to_string()
        }
        _ => format!("{pg}/{prop}"),
    };
    let mut line = format!("{name} {}", property.ty);
    values.iter().for_each(|value| line.extend([" ", value]));
    text.extend([&line, "\n"]);
}

/// A value as a shell would have to read it: metacharacters with a backslash, nothing as `""`.
fn escaped(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if ";&()|^<>\n \t\\\"'`".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_for_a_shell() {
        assert_eq!(escaped(""), "\"\"");
        assert_eq!(escaped("^host1.?.*$ ^localhost$"), "\\^host1.?.*$\\ \\^localhost$");
        assert_eq!(escaped("a'b"), "a\\'b");
        assert_eq!(escaped("plain-1.5"), "plain-1.5");
    }

    #[test]
    fn bad_usage_is_told() {
        let parse = |words: &[&str]| options(words.iter().map(|&word| word.to_owned()));
        for words in [&[][..], &["-c", "-C", "x"], &["-w", "x", "y"], &["-w", "-c", "x"], &["-p"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(parse(&["-p", "a/b", "-p", "c", "x", "y"]).is_ok());
    }
}
