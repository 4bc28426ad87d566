//! `xm destroy`, `pause`, `unpause`, `shutdown`, `reboot`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::getopt::{Opt, Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::rpc::Value;
use crate::sxp;

pub(super) const DESTROY: Command = Command {
    name: "destroy",
    arguments: "<Domain>",
    help: "Terminate a domain immediately.",
    options: &[],
    words: (1, 1),
    run: |xend, parsed| simple(xend, parsed, "xend.domain.destroy"),
};

pub(super) const PAUSE: Command = Command {
    name: "pause",
    arguments: "<Domain>",
    help: "Pause execution of a domain.",
    options: &[],
    words: (1, 1),
    run: |xend, parsed| simple(xend, parsed, "xend.domain.pause"),
};

pub(super) const UNPAUSE: Command = Command {
    name: "unpause",
    arguments: "<Domain>",
    help: "Unpause a paused domain.",
    options: &[],
    words: (1, 1),
    run: |xend, parsed| simple(xend, parsed, "xend.domain.unpause"),
};

const WAIT: Opt = flag('w', "wait", "Wait until it is done");
const ALL: Opt = flag('a', "all", "All guests");

pub(super) const SHUTDOWN: Command = Command {
    name: "shutdown",
    arguments: "<Domain> [-waRH]",
    help: "Shutdown a domain.",
    options: &[
        WAIT,
        ALL,
        flag('H', "halt", "Shutdown without reboot"),
        flag('R', "reboot", "Shutdown and reboot"),
    ],
    words: (0, 1),
    run: run_shutdown,
};

pub(super) const REBOOT: Command = Command {
    name: "reboot",
    arguments: "<Domain> [-wa]",
    help: "Reboot a domain.",
    options: &[WAIT, ALL],
    words: (0, 1),
    run: |xend, parsed| stop(xend, parsed, "reboot"),
};

fn simple(xend: &mut Xend, parsed: &Parsed, method: &str) -> Outcome {
    xend.call(method, vec![parsed.words[0].as_str().into()]).map(drop)
}

fn run_shutdown(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    match (parsed.has("halt"), parsed.has("reboot")) {
        (true, true) => Err(XmError::Usage("Can't specify halt and reboot".to_owned())),
        (true, false) => stop(xend, parsed, "halt"),
        (false, true) => stop(xend, parsed, "reboot"),
        (false, false) => stop(xend, parsed, "poweroff"),
    }
}

/// How often to look whether guests are done.
const LOOK: Duration = Duration::from_millis(500);

fn stop(xend: &mut Xend, parsed: &Parsed, reason: &str) -> Outcome {
    let guests = guests(xend)?;
    let names = match (parsed.has("all"), parsed.words.first()) {
        (true, None) => guests.keys().cloned().collect(),
        (false, Some(wanted)) => {
            let domain = xend.call("xend.domain", vec![wanted.as_str().into()])?;
            vec![sxp::text(&domain, "name").unwrap_or_default()]
        }
        (false, None) => return Err(XmError::Usage("No domain parameter given".to_owned())),
        (true, Some(_)) => {
            return Err(XmError::Usage("You may name a domain or give -a, not both".to_owned()));
        }
    };
    let mut asked = BTreeMap::new();
    for name in names {
        xend.call("xend.domain.shutdown", vec![name.as_str().into(), reason.into()])?;
        let before = guests.get(&name).map_or(0, |guest| guest.restarts);
        asked.insert(name, before);
    }
    match (parsed.has("wait"), reason) {
        (false, _) => Ok(()),
        (true, "reboot") => wait_reboot(xend, asked),
        (true, _) => wait_shutdown(xend, asked),
    }
}

/// Where a guest is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Guest {
    phase: String,
    restarts: i64,
}

impl Guest {
    /// Whether a guest that had been made anew `before` times lives again since.
    fn is_back(&self, before: i64) -> bool {
        self.phase == "running" && self.restarts > before
    }

    /// Whether it is what it was, or on its way to something else.
    fn is_busy(&self, before: i64) -> bool {
        self.phase != "preserved" && self.restarts == before
    }
}

/// All guests, by name.
fn guests(xend: &mut Xend) -> Result<BTreeMap<String, Guest>, XmError> {
    let all =
        xend.call("xend.domains_with_state", vec![true.into(), "all".into(), false.into()])?;
    let guest = |domain: &Value| {
        let restarts = sxp::int(domain, "restart_count").unwrap_or(0);
        // A domain that another toolstack made has no phase known here; it is there or it isn't.
        let phase = sxp::text(domain, "phase").unwrap_or_else(|| "running".to_owned());
        (sxp::text(domain, "name").unwrap_or_default(), Guest { phase, restarts })
    };
    let domains = all.as_array().unwrap_or_default().iter();
    // Neither the control domain nor those that are only defined.
    let there = |domain: &&Value| {
        sxp::int(domain, "domid").map_or(sxp::text(domain, "phase").is_some(), |domid| domid != 0)
    };
    let domains = domains.filter(there);
    Ok(domains.map(guest).collect())
}

fn wait_shutdown(xend: &mut Xend, mut waiting: BTreeMap<String, i64>) -> Outcome {
    loop {
        let guests = guests(xend)?;
        waiting.retain(|name, before| {
            let busy = guests.get(name).is_some_and(|guest| guest.is_busy(*before));
            if !busy {
                println!("Domain {name} terminated");
            }
            busy
        });
        if waiting.is_empty() {
            println!("All domains terminated");
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

fn wait_reboot(xend: &mut Xend, mut waiting: BTreeMap<String, i64>) -> Outcome {
    let mut lost = Vec::new();
    while !waiting.is_empty() {
        std::thread::sleep(LOOK);
        let guests = guests(xend)?;
        waiting.retain(|name, before| match guests.get(name) {
            Some(guest) if guest.is_back(*before) => {
                println!("Domain {name} rebooted");
                false
            }
            Some(guest) if guest.phase != "preserved" => true,
            _ => {
                lost.push(name.clone());
                false
            }
        });
    }
    if lost.is_empty() {
        println!("All domains rebooted");
        return Ok(());
    }
    Err(XmError::Failed(format!("these did not come back: {}", lost.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_stopped_when_its_setting_is_carried_out() {
        let guest = |phase: &str, restarts| Guest { phase: phase.to_owned(), restarts };
        assert!(guest("running", 2).is_busy(2));
        assert!(guest("destroying", 2).is_busy(2));
        assert!(!guest("preserved", 2).is_busy(2));
        // It was asked to power off, and has on_poweroff = 'restart'.
        assert!(!guest("running", 3).is_busy(2));
        assert!(guest("running", 3).is_back(2));
        assert!(!guest("restarting", 3).is_back(2));
        assert!(!guest("running", 2).is_back(2));
    }
}
