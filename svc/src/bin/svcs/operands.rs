//! Which instances and scripts the operands mean.

use std::collections::BTreeSet;

use svc::fmri::{self, Fmri};
use svc::glob;
use svc::host::{Host, Instance};
use svc::rc::legacy::Legacy;

use crate::options::{Mode, Options};

/// What is shown.
pub struct Chosen {
    pub instances: BTreeSet<Fmri>,
    pub legacy: Vec<Legacy>,
    /// Every operand meant something.
    pub complete: bool,
}

/// What the operands mean; without operands what is shown then. Says on standard error which
/// operands mean nothing.
pub fn choose(options: &Options, host: &Host, legacy: Vec<Legacy>) -> Chosen {
    let all: Vec<Fmri> = host.instances.keys().cloned().collect();
    let mut chosen = Chosen { instances: BTreeSet::new(), legacy: Vec::new(), complete: true };
    for operand in &options.operands {
        let found = fmri::matches(operand, &all);
        let scripts = legacy.iter().filter(|legacy| is_meant(operand, &legacy.fmri));
        let scripts: Vec<&Legacy> = scripts.collect();
        if found.is_empty() && scripts.is_empty() {
            chosen.complete = false;
            eprintln!("svcs: {}", complaint(options.mode, operand));
        }
        chosen.instances.extend(found);
        chosen.legacy.extend(scripts.into_iter().cloned());
    }
    if options.operands.is_empty() {
        let listed = all.into_iter().filter(|fmri| is_listed(options, &host.instances[fmri]));
        chosen.instances.extend(listed);
        chosen.legacy = legacy;
    }
    if !options.restarters.is_empty() {
        chosen.instances.retain(|fmri| has_restarter(options, &host.instances[fmri]));
        chosen.legacy.clear();
    }
    chosen
}

/// Whether an instance is shown if none is named.
fn is_listed(options: &Options, instance: &Instance) -> bool {
    let all = options.all || options.mode == Mode::Graph || !options.restarters.is_empty();
    all || instance.is_enabled() || instance.is_enabled_for_good()
}

fn has_restarter(options: &Options, instance: &Instance) -> bool {
    Fmri::parse(instance.restarter()).is_ok_and(|fmri| options.restarters.contains(&fmri))
}

/// Whether an operand means a script. There are no abbreviations of those.
fn is_meant(operand: &str, fmri: &str) -> bool {
    operand == fmri || (operand.starts_with("lrc:") && glob::matches(operand, fmri))
}

fn complaint(mode: Mode, operand: &str) -> String {
    let is_plain = !glob::is_pattern(operand);
    if operand.starts_with("lrc:") && mode != Mode::List {
        return format!("Operation not supported for legacy service '{operand}'");
    }
    if operand.starts_with("svc:") && is_plain && Fmri::parse(operand).is_err() {
        return format!("FMRI \"{operand}\" is invalid.");
    }
    format!("Pattern '{operand}' doesn't match any instances")
}
