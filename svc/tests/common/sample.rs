//! Hosts made up for unit tests of what the library and the commands conclude from them.

use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::value::{PropType, Property, PropertyGroup};

/// A host being described.
#[derive(Debug, Clone, Default)]
pub struct Sample(Host);

/// The instance `default` of service `name`.
///
/// # Panics
/// If that is no name.
pub fn fmri(name: &str) -> Fmri {
    Fmri::parse(&format!("svc:/{name}:default")).expect("a service's name")
}

impl Sample {
    /// Adds an instance, or changes it.
    pub fn instance(self, name: &str, state: &str, enabled: bool) -> Self {
        let enabled = enabled.to_string();
        self.set(name, "restarter", PropType::Astring, "state", state)
            .set(name, "restarter", PropType::Astring, "next_state", "none")
            .set(name, "restarter", PropType::Time, "state_timestamp", "1700000000.000000000")
            .set(name, "general", PropType::Boolean, "enabled", &enabled)
    }

    /// Adds a dependency group.
    pub fn needs(self, name: &str, grouping: &str, entity: &str) -> Self {
        let groups = self.0.instances.get(&fmri(name)).map_or(0, |i| i.groups.len());
        let pg = format!("dependency{groups}");
        let astring = PropType::Astring;
        self.set(name, &pg, astring, "grouping", grouping)
            .set(name, &pg, astring, "restart_on", "none")
            .set(name, &pg, PropType::Fmri, "entities", entity)
    }

    /// Sets a property.
    pub fn set(mut self, name: &str, pg: &str, ty: PropType, prop: &str, value: &str) -> Self {
        let instance = self.0.instances.entry(fmri(name)).or_default();
        let mut groups = std::mem::take(&mut instance.groups);
        let pg_type = if pg.starts_with("dependency") { "dependency" } else { "framework" };
        let group = groups.entry(pg.to_owned()).or_insert_with(|| PropertyGroup::new(pg_type));
        group.props.insert(prop.to_owned(), Property { ty, values: vec![value.to_owned()] });
        *instance = Instance::new(groups);
        self
    }

    /// The host.
    pub fn host(self) -> Host {
        self.0
    }
}
