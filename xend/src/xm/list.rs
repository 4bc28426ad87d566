//! `xm list`, `vcpu-list`, `uptime`, `domid`, `domname`: what there is, in xm's columns.

use super::getopt::{Opt, Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::config::cpus::ranges;
use crate::rpc::Value;
use crate::sxp;

pub(super) const LIST: Command = Command {
    name: "list",
    arguments: "[options] [Domain, ...]",
    help: "List information about all/some domains.",
    options: &[
        flag('l', "long", "Output all VM details in SXP"),
        Opt {
            short: None,
            long: "state",
            value: Some("<state>"),
            help: "Select only VMs with the specified state",
        },
    ],
    words: (0, usize::MAX),
    run: run_list,
};

pub(super) const VCPU_LIST: Command = Command {
    name: "vcpu-list",
    arguments: "[Domain, ...]",
    help: "List the VCPUs for all/some domains.",
    options: &[],
    words: (0, usize::MAX),
    run: run_vcpu_list,
};

pub(super) const UPTIME: Command = Command {
    name: "uptime",
    arguments: "[-s] [Domain, ...]",
    help: "Print uptime for all/some domains.",
    options: &[flag('s', "short", "Print like uptime(1), with the time of day")],
    words: (0, usize::MAX),
    run: run_uptime,
};

pub(super) const DOMID: Command = Command {
    name: "domid",
    arguments: "<DomainName>",
    help: "Convert a domain name to domain id.",
    options: &[],
    words: (1, 1),
    run: run_domid,
};

pub(super) const DOMNAME: Command = Command {
    name: "domname",
    arguments: "<DomId>",
    help: "Convert a domain id to domain name.",
    options: &[],
    words: (1, 1),
    run: run_domname,
};

fn run_domid(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let name = parsed.words[0].as_str();
    let domain = xend.call("xend.domain", vec![name.into()])?;
    // One that is only defined has none.
    let not_running = || XmError::Failed(format!("Domain '{name}' is not running"));
    println!("{}", sxp::text(&domain, "domid").ok_or_else(not_running)?);
    Ok(())
}

fn run_domname(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let domain = xend.call("xend.domain", vec![parsed.words[0].as_str().into()])?;
    println!("{}", sxp::text(&domain, "name").unwrap_or_default());
    Ok(())
}

/// The named domains, or all that are in `state`.
fn domains(
    xend: &mut Xend,
    names: &[String],
    state: &str,
    full: bool,
) -> Result<Vec<Value>, XmError> {
    if !names.is_empty() {
        let mut one =
            |name: &String| xend.call("xend.domain", vec![name.as_str().into(), full.into()]);
        return names.iter().map(&mut one).collect();
    }
    // Those that are only defined are listed when they are asked for.
    let (state, defined) = if state == "live" { ("all", false) } else { (state, true) };
    let there = |domain: &Value| {
        defined || sxp::value(domain, "domid").is_some() || sxp::value(domain, "phase").is_some()
    };
    let params = vec![true.into(), state.into(), full.into()];
    match xend.call("xend.domains_with_state", params)? {
        Value::Array(domains) => Ok(domains.into_iter().filter(there).collect()),
        _ => Err(XmError::Failed("xend answered no list".to_owned())),
    }
}

fn run_list(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    if parsed.has("state") && !parsed.words.is_empty() {
        let reason = "You may specify either a state or a particular VM, but not both";
        return Err(XmError::Usage(reason.to_owned()));
    }
    let state = parsed.value("state").unwrap_or("live");
    let long = parsed.has("long");
    let domains = domains(xend, &parsed.words, state, long)?;
    if long {
        domains.iter().for_each(|domain| println!("{}", sxp::pretty(domain)));
    } else {
        print!("{}", brief(&domains));
    }
    Ok(())
}

/// The table of `xm list`.
pub fn brief(domains: &[Value]) -> String {
    let (name, id, mem, vcpus, state, time) = ("Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    let head = format!("{name:<40} {id:>5} {mem:>5} {vcpus:>5} {state:>10} {time:>9}\n");
    let row = |domain: &Value| {
        let text = |name| sxp::text(domain, name).unwrap_or_default();
        let vcpus = sxp::int(domain, "online_vcpus").or_else(|| sxp::int(domain, "vcpus"));
        format!(
            "{:<40} {:>5} {:>5} {:>5} {:>10} {:>8.1}\n",
            text("name"),
            text("domid"),
            sxp::int(domain, "memory").unwrap_or(0),
            vcpus.unwrap_or(0),
            text("state"),
            sxp::number(domain, "cpu_time").unwrap_or(0.0),
        )
    };
    head + &domains.iter().map(row).collect::<String>()
}

fn run_vcpu_list(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    // A guest that is just being made anew has no vcpus.
    let domains = domains(xend, &parsed.words, "all", false)?;
    let domids = domains.iter().filter_map(|domain| sxp::text(domain, "domid"));
    let node = xend.call("xend.node.info", vec![])?;
    let processors = sxp::int(&node, "nr_cpus").unwrap_or(0);
    let mut table = format!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} {}\n",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "CPU Affinity"
    );
    for domid in domids {
        let domain = xend.call("xend.domain.getVCPUInfo", vec![domid.into()])?;
        let rows = sxp::children(&domain, "vcpu").map(|vcpu| vcpu_row(&domain, vcpu, processors));
        table.extend(rows);
    }
    print!("{table}");
    Ok(())
}

fn vcpu_row(domain: &Value, vcpu: &Value, processors: i64) -> String {
    let is = |name| sxp::int(vcpu, name).unwrap_or(0) != 0;
    let (cpu, state) = if is("online") {
        let running = if is("running") { 'r' } else { '-' };
        let blocked = if is("blocked") { 'b' } else { '-' };
        (sxp::text(vcpu, "cpu").unwrap_or_default(), format!("{running}{blocked}-"))
    } else {
        ("-".to_owned(), "--p".to_owned())
    };
    let text = |name| sxp::text(domain, name).unwrap_or_default();
    format!(
        "{:<32} {:>5} {:>5} {cpu:>5} {state:>5}  {:>8.1} {}\n",
        text("name"),
        text("domid"),
        sxp::int(vcpu, "number").unwrap_or(0),
        sxp::number(vcpu, "cpu_time").unwrap_or(0.0),
        affinity(sxp::value(vcpu, "cpumap"), processors),
    )
}

fn affinity(cpus: Option<&Value>, processors: i64) -> String {
    let cpus = cpus.and_then(Value::as_array).unwrap_or_default();
    let cpus: Vec<u32> =
        cpus.iter().filter_map(Value::as_int).filter_map(|cpu| u32::try_from(cpu).ok()).collect();
    match cpus.as_slice() {
        [] => "no cpus".to_owned(),
        all if all.len() as i64 >= processors => "any cpu".to_owned(),
        some => ranges(some.iter().copied()),
    }
}

fn run_uptime(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let short = parsed.has("short");
    let domains = domains(xend, &parsed.words, "live", false)?;
    if !short {
        println!("{:<33} {:>4} Uptime ", "Name", "ID");
    }
    for domain in &domains {
        let text = |name| sxp::text(domain, name).unwrap_or_default();
        let (name, domid) = (text("name"), text("domid"));
        let up = spell(seconds_up(domain), !short);
        if short {
            println!(" {} up {up}, {name} ({domid})", time_of_day());
        } else {
            println!("{name:<32} {domid:>5} {up}");
        }
    }
    Ok(())
}

/// How long a domain has been there, in seconds. A domain that is not xend's has no beginning
/// that xend knew; for the control domain its kernel knows.
fn seconds_up(domain: &Value) -> u64 {
    if sxp::int(domain, "domid") == Some(0) {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split('.').next().and_then(|seconds| seconds.parse().ok());
        return seconds.unwrap_or(0);
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
    let started = sxp::number(domain, "start_time").unwrap_or(now);
    (now - started).max(0.0).round() as u64
}

fn spell(seconds: u64, with_seconds: bool) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    let seconds = if with_seconds { format!(":{:02}", seconds % 60) } else { String::new() };
    format!("{days}{hours:>2}:{minutes:02}{seconds}")
}

/// The time of day as the host's clock has it (UTC: the control domain has no time zones).
fn time_of_day() -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    format!("{:02}:{:02}:{:02}", now / 3600 % 24, now / 60 % 60, now % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sxp::{list, pair};

    #[test]
    fn the_columns_are_those_of_xm() {
        let domain = list(
            "domain",
            [
                pair("name", "Domain-0"),
                pair("domid", 0),
                pair("memory", 64),
                pair("online_vcpus", 1),
                pair("state", "r-----"),
                pair("cpu_time", 282.1),
            ],
        );
        assert_eq!(
            brief(&[domain]),
            "Name                                        ID   Mem VCPUs      State   Time(s)\n\
             Domain-0                                     0    64     1     r-----    282.1\n"
        );
    }

    #[test]
    fn vcpus_are_listed_with_where_they_may_run() {
        let domain = list("domain", [pair("name", "juliet"), pair("domid", 3)]);
        let vcpu = |online: i64, cpus: &[i64]| {
            list(
                "vcpu",
                [
                    pair("number", 1),
                    pair("online", online),
                    pair("running", 0),
                    pair("blocked", 1),
                    pair("cpu_time", 1.25),
                    pair("cpu", 2),
                    pair("cpumap", cpus.iter().copied().collect::<Value>()),
                ],
            )
        };
        assert_eq!(
            vcpu_row(&domain, &vcpu(1, &[0, 1, 3]), 4),
            "juliet                               3     1     2   -b-       1.2 0-1,3\n"
        );
        assert!(vcpu_row(&domain, &vcpu(0, &[0, 1]), 2).contains("    -   --p  "));
        assert!(vcpu_row(&domain, &vcpu(1, &[0, 1]), 2).ends_with(" any cpu\n"));
    }

    #[test]
    fn an_uptime_is_spelled() {
        assert_eq!(spell(59, true), " 0:00:59");
        assert_eq!(spell(86_400 + 3 * 3600 + 61, true), "1 day,  3:01:01");
        assert_eq!(spell(2 * 86_400, false), "2 days,  0:00");
    }
}
