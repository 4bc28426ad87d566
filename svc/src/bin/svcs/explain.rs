//! `svcs -x`: what doesn't run, why, and whom that hurts (svcs(1)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use svc::clock;
use svc::fmri::Fmri;
use svc::host::needs::Obstacle;
use svc::host::{Host, Instance, RESTARTER};
use svc::restarter::engine::Satisfaction;
use svc::state::State;

use crate::reason::{self, Reason};

/// Where messages are explained, unless the restarter's `msg/base` says otherwise.
const BASE: &str = "http://illumos.org/msg/";
/// A line with a reason that is longer than this is broken.
const WIDTH: usize = 80;

/// Why an instance doesn't run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause<'a> {
    /// From the instance to the one that is to blame.
    path: Vec<&'a Fmri>,
    what: What<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What<'a> {
    /// The last of the path, by itself.
    Own(Reason),
    /// What the last of the path depends on.
    Obstacle(Obstacle<'a>),
}

/// All that was found out about a host.
pub struct Explanation<'a> {
    host: &'a Host,
    causes: BTreeMap<&'a Fmri, Vec<Cause<'a>>>,
    /// Who would run but for an instance.
    impact: BTreeMap<&'a Fmri, BTreeSet<&'a Fmri>>,
}

impl<'a> Explanation<'a> {
    /// Finds out why what doesn't run doesn't.
    pub fn new(host: &'a Host) -> Self {
        let mut explanation = Self { host, causes: BTreeMap::new(), impact: BTreeMap::new() };
        for (fmri, instance) in &host.instances {
            let mut causes = Vec::new();
            find(host, fmri, instance, &mut Vec::new(), &mut causes);
            explanation.causes.insert(fmri, causes);
            if instance.is_enabled() {
                for culprit in blockers(host, instance) {
                    explanation.impact.entry(culprit).or_default().insert(fmri);
                }
            }
        }
        explanation
    }

    /// The instances at the root of what doesn't work, those that hurt most first.
    pub fn roots(&self) -> Vec<&'a Fmri> {
        let mut roots: Vec<_> = self.causes.keys().copied().filter(|f| self.is_root(f)).collect();
        roots.sort_by_key(|fmri| std::cmp::Reverse(self.impact_of(fmri).len()));
        roots
    }

    fn is_root(&self, fmri: &Fmri) -> bool {
        let instance = &self.host.instances[fmri];
        match instance.state() {
            Some(State::Online | State::Degraded) => false,
            Some(State::Disabled) => {
                instance.is_enabled() || instance.gave_up() || !self.impact_of(fmri).is_empty()
            }
            Some(State::Maintenance) => true,
            // Held up by another instance it is no root; that one is.
            _ => self.causes[fmri].iter().any(|cause| cause.path.len() == 1),
        }
    }

    fn impact_of(&self, fmri: &Fmri) -> Vec<&'a Fmri> {
        self.impact.get(fmri).into_iter().flatten().copied().collect()
    }

    /// The block on one instance.
    pub fn block(&self, fmri: &Fmri, verbose: bool) -> String {
        let Some(instance) = self.host.instances.get(fmri) else { return String::new() };
        let mut text = String::new();
        let name = instance.common_name().unwrap_or_else(|| "?".to_owned());
        let state = instance.first("restarter", "state").unwrap_or("uninitialized");
        let since = instance.since().map(clock::long);
        let since = since.map_or(String::new(), |since| format!(" since {since}"));
        // Writing to a string does not fail.
        let _ = write!(text, "{fmri} ({name})\n State: {state}{since}\n");
        for cause in self.causes.get(fmri).into_iter().flatten() {
            self.cause(cause, verbose, &mut text);
        }
        for (title, section, path) in instance.manual_pages() {
            let _ = match (verbose, path) {
                (false, _) => writeln!(text, "   See: {title}({section})"),
                (true, ":default") => writeln!(text, "   See: man -s {section} {title}"),
                (true, path) => writeln!(text, "   See: man -M {path} -s {section} {title}"),
            };
        }
        if let Some(log) = instance.logfile() {
            let _ = writeln!(text, "   See: {log}");
        }
        self.impact_line(fmri, instance, verbose, &mut text);
        text
    }

    fn cause(&self, cause: &Cause, verbose: bool, text: &mut String) {
        let (reason, code) = match &cause.what {
            What::Own(reason) if cause.path.len() == 1 => reason.clone(),
            What::Own(_) => {
                let culprit = cause.path[cause.path.len() - 1];
                let clause = reason::clause(&self.host.instances[culprit]);
                (blame(culprit, clause), "GE")
            }
            What::Obstacle(Obstacle::Running(other)) => {
                (format!("Service {other} is running."), "FJ")
            }
            What::Obstacle(Obstacle::Stopped(other) | Obstacle::Absent(other)) => {
                (format!("Dependency {other} is absent."), "E2")
            }
            What::Obstacle(Obstacle::NoFile(path)) => {
                (format!("Dependency file://localhost{} is absent.", path.display()), "E2")
            }
            What::Obstacle(Obstacle::File(path)) => {
                (format!("File {} is present.", path.display()), "FJ")
            }
        };
        let _ = writeln!(text, "Reason: {reason}");
        if verbose && cause.path.len() > 1 {
            for (depth, hop) in cause.path.iter().enumerate() {
                let label = if depth == 0 { "  Path: " } else { "        " };
                let _ = writeln!(text, "{label}{:indent$}{hop}", "", indent = 2 * depth);
            }
        }
        let restarter = Fmri::parse(RESTARTER).ok();
        let restarter = restarter.and_then(|fmri| self.host.instances.get(&fmri));
        let base = restarter.and_then(|it| it.first("msg", "base")).unwrap_or(BASE);
        let _ = writeln!(text, "   See: {base}SMF-8000-{code}");
    }

    fn impact_line(&self, fmri: &Fmri, instance: &Instance, verbose: bool, text: &mut String) {
        let impact = self.impact_of(fmri);
        let many = match impact.as_slice() {
            [] if is_running(instance) => return text.push_str("Impact: None.\n"),
            [] => return text.push_str("Impact: This service is not running.\n"),
            [_] => "1 dependent service is".to_owned(),
            many => format!("{} dependent services are", many.len()),
        };
        if !verbose {
            let _ = writeln!(text, "Impact: {many} not running.  (Use -v for list.)");
            return;
        }
        let _ = writeln!(text, "Impact: {many} not running:");
        for dependent in impact {
            let _ = writeln!(text, "        {dependent}");
        }
    }
}

fn is_running(instance: &Instance) -> bool {
    instance.state().is_some_and(State::is_running)
}

/// That a service is to blame, on two lines if one would be too long.
fn blame(culprit: &Fmri, clause: &str) -> String {
    let line = format!("Service {culprit} {clause}");
    if "Reason: ".len() + line.len() <= WIDTH {
        return line;
    }
    format!("Service {culprit}\n        {clause}")
}

/// All that directly or indirectly keep `instance` from running.
fn blockers<'a>(host: &'a Host, instance: &'a Instance) -> BTreeSet<&'a Fmri> {
    let mut found = BTreeSet::new();
    let mut open = vec![instance];
    while let Some(instance) = open.pop() {
        if is_running(instance) || reason::of(instance).is_some() {
            continue;
        }
        for obstacle in host.obstacles(instance) {
            if let Obstacle::Stopped(next) = obstacle
                && found.insert(next)
            {
                open.push(&host.instances[next]);
            }
        }
    }
    found
}

/// Appends what keeps `instance` from running, following others to the end. `path` leads to it.
fn find<'a>(
    host: &'a Host,
    fmri: &'a Fmri,
    instance: &'a Instance,
    path: &mut Vec<&'a Fmri>,
    causes: &mut Vec<Cause<'a>>,
) {
    path.push(fmri);
    let known = causes.iter().any(|cause| cause.path.last() == path.last());
    if !known {
        explore(host, instance, path, causes);
    }
    path.pop();
}

fn explore<'a>(
    host: &'a Host,
    instance: &'a Instance,
    path: &mut Vec<&'a Fmri>,
    causes: &mut Vec<Cause<'a>>,
) {
    if let Some(reason) = reason::of(instance) {
        causes.push(Cause { path: path.clone(), what: What::Own(reason) });
        return;
    }
    if is_running(instance) {
        return;
    }
    let satisfied = host.satisfaction(instance) == Satisfaction::Yes;
    for obstacle in host.obstacles(instance) {
        match obstacle {
            Obstacle::Stopped(next) if path.contains(&next) => {}
            Obstacle::Stopped(next) => find(host, next, &host.instances[next], path, causes),
            obstacle => causes.push(Cause { path: path.clone(), what: What::Obstacle(obstacle) }),
        }
    }
    if satisfied {
        // It is about to start, or its restarter is not there.
        let what = What::Own(("Unknown.".to_owned(), "AR"));
        causes.push(Cause { path: path.clone(), what });
    }
}

#[cfg(test)]
mod tests;
