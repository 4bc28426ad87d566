//! `xm mem-set`, `mem-max`, `vcpu-set`, `vcpu-pin`, `sched-credit`: what a running guest has of the
//! host.

use super::getopt::{Opt, Parsed};
use super::{Command, Outcome, Xend, XmError};
use crate::config::CpuSet;
use crate::rpc::Value;
use crate::sxp;

pub(super) const MEM_SET: Command = Command {
    name: "mem-set",
    arguments: "<Domain> <Mem>",
    help: "Set the current memory usage for a domain, in MiB.",
    options: &[],
    words: (2, 2),
    run: |xend, parsed| set_number(xend, parsed, "xend.domain.setMemoryTarget"),
};

pub(super) const MEM_MAX: Command = Command {
    name: "mem-max",
    arguments: "<Domain> <Mem>",
    help: "Set the maximum amount reservation for a domain, in MiB.",
    options: &[],
    words: (2, 2),
    run: |xend, parsed| set_number(xend, parsed, "xend.domain.maxmem_set"),
};

pub(super) const VCPU_SET: Command = Command {
    name: "vcpu-set",
    arguments: "<Domain> <vCPUs>",
    help: "Set the number of active VCPUs for a domain.",
    options: &[],
    words: (2, 2),
    run: |xend, parsed| set_number(xend, parsed, "xend.domain.setVCpuCount"),
};

pub(super) const VCPU_PIN: Command = Command {
    name: "vcpu-pin",
    arguments: "<Domain> <VCPU|all> <CPUs|all>",
    help: "Set which CPUs a VCPU can use.",
    options: &[],
    words: (3, 3),
    run: run_vcpu_pin,
};

/// An option with a number.
const fn number_of(
    short: char,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt { short: Some(short), long, value: Some(value), help }
}

pub(super) const SCHED_CREDIT: Command = Command {
    name: "sched-credit",
    arguments: "[-d <Domain> [-w <Weight>] [-c <Cap>]]",
    help: "Get or set the share of the processors that domains have.",
    options: &[
        number_of('d', "domain", "<Domain>", "Domain to show or to change"),
        number_of('w', "weight", "<Weight>", "Its share, in proportion to others' (1 to 65535)"),
        number_of('c', "cap", "<Cap>", "The most it gets, in percent of one processor; 0 is any"),
    ],
    words: (0, 0),
    run: run_sched_credit,
};

fn number<T: std::str::FromStr>(what: &str, word: &str) -> Result<T, XmError> {
    word.parse().map_err(|_| XmError::Usage(format!("{what} must be a number, not '{word}'")))
}

/// Sets what the second word says.
fn set_number(xend: &mut Xend, parsed: &Parsed, method: &str) -> Outcome {
    let wanted: u32 = number("the second argument", &parsed.words[1])?;
    xend.call(method, vec![parsed.words[0].as_str().into(), i64::from(wanted).into()]).map(drop)
}

fn run_vcpu_pin(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let [domain, vcpu, cpus] = [0, 1, 2].map(|index| parsed.words[index].as_str());
    let cpus = CpuSet::parse(cpus).map_err(XmError::Usage)?.text();
    let vcpus: Vec<i64> = match vcpu {
        "all" => {
            let info = xend.call("xend.domain.getVCPUInfo", vec![domain.into()])?;
            sxp::children(&info, "vcpu").filter_map(|vcpu| sxp::int(vcpu, "number")).collect()
        }
        one => vec![i64::from(number::<u32>("VCPU", one)?)],
    };
    for vcpu in vcpus {
        let params = vec![domain.into(), vcpu.into(), cpus.as_str().into()];
        xend.call("xend.domain.pincpu", params)?;
    }
    Ok(())
}

fn run_sched_credit(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let given = |name: &str| parsed.value(name).map(|word| number::<u16>(name, word)).transpose();
    let (weight, cap) = (given("weight")?, given("cap")?);
    let Some(domain) = parsed.value("domain") else {
        if weight.or(cap).is_some() {
            return Err(XmError::Usage("Must specify a domain with -d".to_owned()));
        }
        return show_all(xend);
    };
    if weight.or(cap).is_none() {
        let shown = xend.call("xend.domain", vec![domain.into()])?;
        print!("{HEAD}{}", row(xend, &shown)?);
        return Ok(());
    }
    if weight == Some(0) {
        return Err(XmError::Usage("a weight is from 1 to 65535".to_owned()));
    }
    let (old_weight, old_cap) = share(xend, domain)?;
    let weight = weight.map_or(old_weight, i64::from);
    let cap = cap.map_or(old_cap, i64::from);
    let params = vec![domain.into(), weight.into(), cap.into()];
    xend.call("xend.domain.sched_credit_set", params).map(drop)
}

const HEAD: &str = "Name                                ID Weight  Cap\n";

fn show_all(xend: &mut Xend) -> Outcome {
    let all =
        xend.call("xend.domains_with_state", vec![true.into(), "all".into(), false.into()])?;
    let domains = all.as_array().unwrap_or_default().iter();
    let mut table = HEAD.to_owned();
    for domain in domains.filter(|domain| sxp::value(domain, "domid").is_some()) {
        table += &row(xend, domain)?;
    }
    print!("{table}");
    Ok(())
}

fn row(xend: &mut Xend, domain: &Value) -> Result<String, XmError> {
    let text = |name| sxp::text(domain, name).unwrap_or_default();
    let (weight, cap) = share(xend, &text("domid"))?;
    Ok(format!("{:<33} {:>4} {weight:>6} {cap:>4}\n", text("name"), text("domid")))
}

fn share(xend: &mut Xend, domain: &str) -> Result<(i64, i64), XmError> {
    let share = xend.call("xend.domain.sched_credit_get", vec![domain.into()])?;
    let member = |name| sxp::int(&share, name);
    let both = member("weight").zip(member("cap"));
    both.ok_or_else(|| XmError::Failed("xend answered no weight and cap".to_owned()))
}
