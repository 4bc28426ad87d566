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
/// So many looks in a row a guest that reboots may be missing, before it is taken for gone.
const MISSING: u32 = 120;

fn stop(xend: &mut Xend, parsed: &Parsed, reason: &str) -> Outcome {
    let names = match (parsed.has("all"), parsed.words.first()) {
        (true, None) => guests(xend)?,
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
        let before = restarts(xend, &name)?;
        xend.call("xend.domain.shutdown", vec![name.as_str().into(), reason.into()])?;
        asked.insert(name, before);
    }
    match (parsed.has("wait"), reason) {
        (false, _) => Ok(()),
        (true, "reboot") => wait_reboot(xend, asked),
        (true, _) => wait_shutdown(xend, asked),
    }
}

/// The names of the guests that run.
fn guests(xend: &mut Xend) -> Result<Vec<String>, XmError> {
    let all = xend.call("xend.domains", vec![false.into()])?;
    let control = xend.call("xend.domain", vec![0.into()])?;
    let control = sxp::text(&control, "name").unwrap_or_default();
    let names = all.as_array().unwrap_or_default().iter().filter_map(Value::as_str);
    Ok(names.filter(|name| *name != control).map(str::to_owned).collect())
}

fn restarts(xend: &mut Xend, name: &str) -> Result<i64, XmError> {
    let count = xend.call("xend.domain.getRestartCount", vec![name.into()])?;
    Ok(count.as_int().unwrap_or(0))
}

fn wait_shutdown(xend: &mut Xend, mut waiting: BTreeMap<String, i64>) -> Outcome {
    loop {
        let alive = guests(xend)?;
        waiting.retain(|name, _| {
            let lives = alive.contains(name);
            if !lives {
                println!("Domain {name} terminated");
            }
            lives
        });
        if waiting.is_empty() {
            println!("All domains terminated");
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

fn wait_reboot(xend: &mut Xend, mut waiting: BTreeMap<String, i64>) -> Outcome {
    let mut missing: BTreeMap<String, u32> = BTreeMap::new();
    let mut lost = Vec::new();
    while !waiting.is_empty() {
        std::thread::sleep(LOOK);
        let alive = guests(xend)?;
        for name in waiting.keys().cloned().collect::<Vec<_>>() {
            if !alive.contains(&name) {
                let looks = missing.entry(name.clone()).or_default();
                *looks += 1;
                if *looks > MISSING {
                    waiting.remove(&name);
                    lost.push(name);
                }
            } else if restarts(xend, &name)? != waiting[&name] {
                println!("Domain {name} rebooted");
                waiting.remove(&name);
            }
        }
    }
    if lost.is_empty() {
        println!("All domains rebooted");
        return Ok(());
    }
    Err(XmError::Failed(format!("these did not come back: {}", lost.join(", "))))
}
