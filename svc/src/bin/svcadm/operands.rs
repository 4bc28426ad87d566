//! Which instances the operands mean (svcadm(8)): of several that one abbreviation fits none.

use svc::fmri::{self, Fmri};
use svc::glob;
use svc::host::Host;
use svc::state::State;

/// What the operands mean, and what is to be said about those that mean nothing certain.
#[derive(Debug, Default)]
pub struct Chosen {
    pub instances: Vec<Fmri>,
    pub complaints: Vec<String>,
}

/// Finds the instances of `operands`; with `state` those in that state, and no operands.
pub fn resolve(operands: &[String], state: Option<State>, host: &Host) -> Chosen {
    let mut chosen = Chosen::default();
    if state.is_some() {
        let found = host.instances.iter().filter(|(_, instance)| instance.state() == state);
        chosen.instances = found.map(|(fmri, _)| fmri.clone()).collect();
        return chosen;
    }
    let all: Vec<Fmri> = host.instances.keys().cloned().collect();
    for operand in operands {
        match one(operand, &all) {
            Ok(found) => chosen.instances.extend(found),
            Err(complaint) => chosen.complaints.push(complaint),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    chosen.instances.retain(|fmri| seen.insert(fmri.clone()));
    chosen
}

fn one(operand: &str, all: &[Fmri]) -> Result<Vec<Fmri>, String> {
    let found = fmri::matches(operand, all);
    if found.len() == 1 || (glob::is_pattern(operand) && !found.is_empty()) {
        return Ok(found);
    }
    if operand.starts_with("lrc:") {
        return Err(format!("FMRI \"{operand}\" is a legacy service."));
    }
    let is_full = operand.starts_with("svc:") && !glob::is_pattern(operand);
    if is_full && Fmri::parse(operand).is_err() {
        return Err(format!("FMRI \"{operand}\" is invalid."));
    }
    Err(match found.as_slice() {
        [] => format!("Pattern '{operand}' doesn't match any instances"),
        [first, ..] if is_full && found.iter().all(|fmri| fmri.service == first.service) => {
            let service = first.service();
            format!("operation on service {service} is ambiguous; instance specification needed.")
        }
        several => {
            let list: String = several.iter().map(|fmri| format!("\n  {fmri}")).collect();
            format!("Pattern '{operand}' matches multiple instances:{list}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};

    fn all() -> Vec<Fmri> {
        let extra = Fmri::parse("svc:/network/smtp:a").unwrap();
        vec![extra.clone(), extra.with_instance("b"), fmri("system/xend"), fmri("xend")]
    }

    #[test]
    fn only_a_pattern_means_several() {
        assert_eq!(one("system/xend", &all()).unwrap(), [fmri("system/xend")]);
        assert_eq!(one("*xend*", &all()).unwrap().len(), 2);
        let complaint = |operand| one(operand, &all()).unwrap_err();
        assert_eq!(
            complaint("xend"),
            "Pattern 'xend' matches multiple instances:\n  svc:/system/xend:default\n  svc:/xend:default"
        );
        assert_eq!(
            complaint("svc:/network/smtp"),
            "operation on service svc:/network/smtp is ambiguous; instance specification needed."
        );
        for operand in ["none", "x?", "svc:/none"] {
            let expected = format!("Pattern '{operand}' doesn't match any instances");
            assert_eq!(complaint(operand), expected);
        }
        assert_eq!(complaint("svc:/a:b:c"), "FMRI \"svc:/a:b:c\" is invalid.");
        assert_eq!(complaint("lrc:/etc/x"), "FMRI \"lrc:/etc/x\" is a legacy service.");
    }

    #[test]
    fn a_state_selects() {
        let host =
            Sample::default().instance("a", "maintenance", true).instance("b", "online", true);
        let chosen = resolve(&[], Some(State::Maintenance), &host.host());
        assert_eq!(chosen.instances, [fmri("a")]);
        let host = Sample::default().instance("a", "online", true).host();
        let twice = ["a".to_owned(), ":default".to_owned()];
        assert_eq!(resolve(&twice, None, &host).instances, [fmri("a")]);
    }
}
