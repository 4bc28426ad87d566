//! `svcs -x`: what doesn't run, why, and whom that hurts (svcs(1)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use svc::clock;
use svc::fmri::Fmri;
use svc::host::needs::{Needs, Obstacle};
use svc::host::{Host, Instance, RESTARTER};
use svc::restarter::engine::Satisfaction;
use svc::state::State;

use crate::reason::{self, Reason};

/// Where messages are explained, unless the restarter's `msg/base` says otherwise.
const BASE: &str = "http://illumos.org/msg/";
/// A line with a reason that is longer than this is broken.
const WIDTH: usize = 80;

/// Where manual pages are that name no folder.
const MANUAL: &str = "/usr/share/man";

/// Why an instance doesn't run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause<'a> {
    /// From the instance to the one that is to blame.
    path: Vec<&'a Fmri>,
    what: What<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What<'a> {
    /// The last of the path doesn't run, by itself.
    Own(Reason),
    /// The last of the path runs, and the one before it excludes that.
    Runs,
    /// The last of the path needs what isn't there, or excludes a file that is.
    Missing(Obstacle<'a>),
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
        let mut needs = Needs::new(host);
        for (fmri, instance) in &host.instances {
            explanation.causes.insert(fmri, Search::causes_of(host, &mut needs, fmri));
            if instance.is_enabled() {
                for culprit in blockers(host, &mut needs, instance) {
                    if culprit == fmri {
                        continue;
                    }
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
        let hurts = !self.impact_of(fmri).is_empty();
        match instance.state() {
            Some(State::Disabled) => instance.is_enabled() || instance.gave_up() || hurts,
            Some(State::Maintenance) => true,
            // Held up by another instance it is no root; that one is.
            Some(State::Offline) => self.causes[fmri].iter().any(|cause| cause.path.len() == 1),
            // What runs may be in the way of another.
            _ => hurts,
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
        for (title, section, folder) in instance.manual_pages() {
            let folder = if folder == ":default" { MANUAL } else { folder };
            let _ = match verbose {
                false => writeln!(text, "   See: {title}({section})"),
                true => writeln!(text, "   See: man -M {folder} -s {section} {title}"),
            };
        }
        for place in instance.documents().chain(instance.logfiles()) {
            let _ = writeln!(text, "   See: {place}");
        }
        self.impact_line(fmri, instance, verbose, &mut text);
        text
    }

    fn cause(&self, cause: &Cause, verbose: bool, text: &mut String) {
        let culprit = cause.path[cause.path.len() - 1];
        let instance = &self.host.instances[culprit];
        let is_own = cause.path.len() == 1;
        let (reason, code) = sentence(self.host, cause);
        let _ = writeln!(text, "Reason: {reason}");
        if is_own && instance.auxiliary() == "service_request" {
            let requester = instance.requester().and_then(|name| self.instance(name));
            for log in requester.into_iter().flat_map(Instance::logfiles) {
                let _ = writeln!(text, "   See: {log}");
            }
        }
        let base = self.instance(RESTARTER).and_then(|restarter| restarter.first("msg", "base"));
        let _ = writeln!(text, "   See: {}SMF-8000-{code}", base.unwrap_or(BASE));
        if verbose && !is_own {
            for (depth, hop) in cause.path.iter().enumerate() {
                let label = if depth == 0 { "  Path: " } else { "        " };
                let _ = writeln!(text, "{label}{:indent$}{hop}", "", indent = 2 * depth);
            }
        }
    }

    fn instance(&self, name: &str) -> Option<&'a Instance> {
        self.host.instances.get(&Fmri::parse(name).ok()?)
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

/// Why an instance doesn't run, a sentence each.
pub fn reasons(host: &Host, fmri: &Fmri) -> Vec<String> {
    let Some((fmri, _)) = host.instances.get_key_value(fmri) else { return Vec::new() };
    let causes = Search::causes_of(host, &mut Needs::new(host), fmri);
    let words = |cause| sentence(host, cause).0.split_whitespace().collect::<Vec<_>>().join(" ");
    causes.iter().map(words).collect()
}

/// What is said of a cause.
fn sentence(host: &Host, cause: &Cause) -> Reason {
    let culprit = cause.path[cause.path.len() - 1];
    let is_own = cause.path.len() == 1;
    match &cause.what {
        What::Own(reason) if is_own => reason.clone(),
        What::Own(_) => (blame(culprit, reason::clause(&host.instances[culprit])), "GE"),
        What::Runs => (format!("Service {culprit} is running."), "FJ"),
        What::Missing(obstacle) if is_own => missing(*obstacle),
        What::Missing(_) => (blame(culprit, "has missing dependencies."), "GE"),
    }
}

/// What isn't there, or is and should not.
fn missing(obstacle: Obstacle) -> Reason {
    match obstacle {
        Obstacle::Running(fmri) => (format!("Service {fmri} is running."), "FJ"),
        Obstacle::Stopped(fmri) | Obstacle::Absent(fmri) => {
            (format!("Dependency {fmri} is absent."), "E2")
        }
        Obstacle::NoFile(path) => {
            (format!("Dependency file://localhost{} is absent.", path.display()), "E2")
        }
        Obstacle::File(path) => (format!("File {} is present.", path.display()), "FJ"),
    }
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
fn blockers<'a>(
    host: &'a Host,
    needs: &mut Needs<'a>,
    instance: &'a Instance,
) -> BTreeSet<&'a Fmri> {
    let mut found = BTreeSet::new();
    let mut open = vec![instance];
    while let Some(instance) = open.pop() {
        if is_running(instance) || reason::of(host, instance).is_some() {
            continue;
        }
        for obstacle in needs.obstacles(instance) {
            if let Obstacle::Stopped(next) | Obstacle::Running(next) = obstacle
                && found.insert(next)
            {
                open.push(&host.instances[next]);
            }
        }
    }
    found
}

/// The search for what keeps an instance from running.
struct Search<'a, 'n> {
    host: &'a Host,
    needs: &'n mut Needs<'a>,
    /// From the instance to the one that is looked at.
    path: Vec<&'a Fmri>,
    seen: BTreeSet<&'a Fmri>,
    causes: Vec<Cause<'a>>,
}

impl<'a, 'n> Search<'a, 'n> {
    fn causes_of(host: &'a Host, needs: &'n mut Needs<'a>, fmri: &'a Fmri) -> Vec<Cause<'a>> {
        let (seen, causes) = (BTreeSet::new(), Vec::new());
        let mut search = Self { host, needs, path: Vec::new(), seen, causes };
        search.visit(fmri);
        search.causes
    }

    /// Looks at an instance, the first time that it is met.
    fn visit(&mut self, fmri: &'a Fmri) {
        if self.seen.insert(fmri) {
            self.path.push(fmri);
            self.explore(&self.host.instances[fmri]);
            self.path.pop();
        }
    }

    fn explore(&mut self, instance: &'a Instance) {
        if let Some(reason) = reason::of(self.host, instance) {
            return self.blame(What::Own(reason));
        }
        if is_running(instance) {
            return;
        }
        let mut missing = false;
        for obstacle in self.needs.obstacles(instance) {
            match obstacle {
                Obstacle::Stopped(next) => self.visit(next),
                Obstacle::Running(next) if self.is_awaited_by(next) => {
                    let line = format!("Excludes {next}, which waits for it.");
                    self.blame(What::Own((line, "HP")));
                }
                Obstacle::Running(next) => {
                    self.path.push(next);
                    self.blame(What::Runs);
                    self.path.pop();
                }
                // Of another instance it is enough to say that something is missing.
                _ if missing && self.path.len() > 1 => {}
                obstacle => {
                    missing = true;
                    self.blame(What::Missing(obstacle));
                }
            }
        }
        if self.needs.satisfaction(instance) == Satisfaction::Yes {
            // It is about to start, or its restarter is not there.
            let unknown = || ("Unknown.".to_owned(), "AR");
            let reason = reason::restarter(self.host, instance).unwrap_or_else(unknown);
            self.blame(What::Own(reason));
        }
    }

    /// Whether `other` waits, directly or not, for the one that is looked at to come or to go.
    fn is_awaited_by(&mut self, other: &'a Fmri) -> bool {
        let awaited = blockers(self.host, self.needs, &self.host.instances[other]);
        self.path.last().is_some_and(|fmri| awaited.contains(fmri))
    }

    fn blame(&mut self, what: What<'a>) {
        self.causes.push(Cause { path: self.path.clone(), what });
    }
}

#[cfg(test)]
mod tests;
