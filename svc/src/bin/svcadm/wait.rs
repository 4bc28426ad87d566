//! `-s`: waits until instances are as wanted, or it is clear that they won't be (svcadm(8)).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::repo::Repo;
use svc::restarter::daemon::obeyed;

use crate::Error;
use crate::goal::{Awaited, STUCK, Verdict, judge, unavailable};

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Duration>);

/// The time is over.
const LATE: u8 = 5;

/// The pause until the next look at how far the restarter is, which isn't in the repository.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits for all of `awaited`, given the host at a generation before they were asked for; returns
/// the exit status. Of several the lowest counts, which is the gravest.
pub(crate) fn until(
    repo: &Repo,
    (mut host, mut generation): (Host, u64),
    mut awaited: Vec<Awaited>,
    Patience(patience): Patience,
) -> Result<u8, Error> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut codes = BTreeSet::new();
    let mut pause = Some(Duration::ZERO);
    while !awaited.is_empty() {
        // Whoever isn't in this has been dealt with, and what came of it can be read from now on.
        let undealt = undealt(repo)?;
        let (next, changed) = repo.changes_since(generation, pause)?;
        generation = next;
        let changed = changed.into_iter().map(|change| change.fmri).collect();
        host.replace(Host::read_again(repo, &changed)?);
        awaited.retain(|each| match verdict(&host, each, undealt.as_ref()) {
            Verdict::Pending => true,
            Verdict::Reached => false,
            Verdict::Failed(code, message) => {
                eprintln!("svcadm: {message}");
                codes.insert(code);
                false
            }
        });
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) && !awaited.is_empty() {
            awaited.iter().for_each(|each| eprintln!("svcadm: {}", late(&host, each, patience)));
            codes.insert(LATE);
            break;
        }
        let looks_again = awaited.iter().any(|each| is_undealt(each, undealt.as_ref()));
        pause = [left, looks_again.then_some(PAUSE)].into_iter().flatten().min();
    }
    Ok(codes.first().copied().unwrap_or(0))
}

/// The instances of which something was asked that the restarter has not dealt with yet; `None`
/// if there is no restarter.
fn undealt(repo: &Repo) -> Result<Option<BTreeSet<Fmri>>, Error> {
    let Some(obeyed) = obeyed() else { return Ok(None) };
    let (_, changed) = repo.changes_since(obeyed, Some(Duration::ZERO))?;
    // The restarter's own group says what comes of it.
    let asked = changed.into_iter().filter(|change| change.pg.as_deref() != Some("restarter"));
    Ok(Some(asked.map(|change| change.fmri).collect()))
}

fn is_undealt(each: &Awaited, undealt: Option<&BTreeSet<Fmri>>) -> bool {
    undealt.is_some_and(|undealt| undealt.contains(&each.asked) || undealt.contains(&each.fmri))
}

fn verdict(host: &Host, each: &Awaited, undealt: Option<&BTreeSet<Fmri>>) -> Verdict {
    match undealt {
        None => Verdict::Failed(STUCK, unavailable(&each.fmri)),
        _ if is_undealt(each, undealt) => Verdict::Pending,
        _ => judge(host, &each.fmri, each.goal),
    }
}

fn late(host: &Host, each: &Awaited, patience: Option<Duration>) -> String {
    let state = |instance: &Instance| {
        let star = if instance.next_state().is_some() { "*" } else { "" };
        instance.state().map(|state| format!("{state}{star}"))
    };
    let state = host.instances.get(&each.fmri).and_then(state);
    let state = state.as_deref().unwrap_or("uninitialized");
    let seconds = patience.unwrap_or_default().as_secs();
    format!("Timed out after {seconds} seconds: instance \"{}\" is {state}.", each.fmri)
}
