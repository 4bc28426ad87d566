//! What `enable -r` enables: an instance and what it needs, needed things first (svcadm(8)).

use svc::fmri::Fmri;
use svc::host::{Host, Instance, RESTARTER};
use svc::restarter::engine::{Dependency, Entity, Grouping};

/// All that must be enabled for `fmri` to run. The error is one message for the user.
pub fn plan(host: &Host, fmri: &Fmri) -> Result<Vec<Fmri>, String> {
    let mut plan = Vec::new();
    visit(host, fmri, &mut Vec::new(), &mut plan)?;
    Ok(plan)
}

fn visit(
    host: &Host,
    fmri: &Fmri,
    path: &mut Vec<Fmri>,
    plan: &mut Vec<Fmri>,
) -> Result<(), String> {
    if plan.contains(fmri) {
        return Ok(());
    }
    if path.contains(fmri) {
        return Err(format!("{fmri}: Dependency cycle detected."));
    }
    let Some(instance) = host.instances.get(fmri) else {
        return Err(format!("No such instance \"{fmri}\"."));
    };
    path.push(fmri.clone());
    if let Some(restarter) = delegate(instance) {
        visit(host, &restarter, path, plan)?;
    }
    for group in &instance.dependencies {
        for next in required(host, fmri, group)? {
            visit(host, &next, path, plan)?;
        }
    }
    path.pop();
    plan.push(fmri.clone());
    Ok(())
}

/// Its restarter, if that is an instance that can be enabled like any other.
fn delegate(instance: &Instance) -> Option<Fmri> {
    let name = Some(instance.restarter()).filter(|name| *name != RESTARTER)?;
    Fmri::parse(name).ok()
}

/// The instances that `group` of `fmri` leaves no choice about.
fn required(host: &Host, fmri: &Fmri, group: &Dependency) -> Result<Vec<Fmri>, String> {
    let services = group.entities.iter().filter_map(|entity| match entity {
        Entity::Service(name) => Some(name),
        Entity::File(_) => None,
    });
    let instances = |name| host.named(name).map(|(fmri, _)| fmri.clone()).collect::<Vec<_>>();
    match group.grouping {
        Grouping::RequireAll => {
            let each = services.map(|name| one_of(fmri, instances(name)));
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Grouping::RequireAny => one_of(fmri, services.flat_map(instances).collect()),
        Grouping::OptionalAll | Grouping::ExcludeAll => Ok(Vec::new()),
    }
}

/// Of several instances the user must choose. That there is none shows when `fmri` doesn't start.
fn one_of(fmri: &Fmri, instances: Vec<Fmri>) -> Result<Vec<Fmri>, String> {
    if instances.len() < 2 {
        return Ok(instances);
    }
    let list: String = instances.iter().map(|instance| format!("\n  {instance}")).collect();
    Err(format!("{fmri} requires one of:{list}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let host = ["store", "xend", "console", "domains", "bridge"]
            .into_iter()
            .fold(Sample::default(), |sample, name| sample.instance(name, "disabled", false))
            .needs("xend", "require_all", "svc:/store")
            .needs("console", "require_all", "svc:/store")
            .needs("domains", "require_all", "svc:/xend")
            .needs("domains", "require_any", "svc:/console:default")
            .needs("domains", "optional_all", "svc:/bridge")
            .needs("domains", "require_all", "file:/etc/xen")
            .instance("guests", "disabled", false)
            .set("domains", "general", PropType::Fmri, "restarter", "svc:/guests:default")
            .host();
        let plan = plan(&host, &fmri("domains")).unwrap();
        assert_eq!(plan, ["guests", "store", "xend", "console", "domains"].map(fmri));
    }

    #[test]
    fn cycles_and_choices_are_refused() {
        let sample = Sample::default()
            .instance("a", "disabled", false)
            .instance("b", "disabled", false)
            .needs("a", "require_all", "svc:/b")
            .needs("b", "require_all", "svc:/a");
        let error = plan(&sample.host(), &fmri("a")).unwrap_err();
        assert_eq!(error, "svc:/a:default: Dependency cycle detected.");
        let error = one_of(&fmri("a"), vec![fmri("b"), fmri("c")]).unwrap_err();
        assert_eq!(error, "svc:/a:default requires one of:\n  svc:/b:default\n  svc:/c:default");
    }
}
