//! An instance against its templates.

use std::fmt;

use super::{Level, PgPattern, PropPattern, Templates};
use crate::fmri::Fmri;
use crate::value::{Groups, PropType, Property};

/// Something that isn't as a template says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which instance.
    pub fmri: Fmri,
    /// The property group, or the property with its group.
    pub what: String,
    /// What is wrong with it.
    pub kind: Kind,
    /// Whose template says so.
    pub source: Fmri,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A required group isn't there.
    MissingGroup,
    /// A group has another type than the one named.
    GroupType(String),
    /// A required property isn't there.
    MissingProperty,
    /// A property has another type than this one.
    PropertyType(PropType),
    /// It has so many values, and should have at least and at most so many.
    Cardinality(usize, u64, u64),
    /// It has this value, which is not among those allowed.
    Value(String),
    /// The restarter's or the global template is about the same group.
    Redefined(Fmri),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fmri, what, kind, source } = self;
        match kind {
            Kind::MissingGroup => write!(f, "Required property group \"{what}\" is missing"),
            Kind::GroupType(ty) => write!(f, "Property group \"{what}\" is not of type \"{ty}\""),
            Kind::MissingProperty => write!(f, "Required property \"{what}\" is missing"),
            Kind::PropertyType(ty) => write!(f, "Property \"{what}\" is not of type \"{ty}\""),
            Kind::Cardinality(count, least, most) => {
                let most =
                    if *most == u64::MAX { "any number".to_owned() } else { most.to_string() };
                write!(f, "Property \"{what}\" has {count} values instead of {least} to {most}")
            }
            Kind::Value(value) => {
                write!(f, "Property \"{what}\" has the illegal value \"{value}\"")
            }
            Kind::Redefined(other) => {
                write!(f, "The template for property group \"{what}\" redefines that of {other}")
            }
        }?;
        write!(f, ": {fmri} (template of {source})")
    }
}

/// Checks `groups`, what `fmri` has and inherits.
pub fn validate(fmri: &Fmri, groups: &Groups, templates: &Templates) -> Vec<Violation> {
    let mut check = Check { fmri, groups, templates, found: Vec::new() };
    for (number, pattern) in templates.patterns.iter().enumerate() {
        check.required(number, pattern);
        check.redefined(number, pattern);
    }
    for (name, group) in groups.iter().filter(|(_, group)| !group.ty.starts_with("template")) {
        let Some(pattern) = templates.group(name, &group.ty) else { continue };
        for property in &pattern.properties {
            check.property(pattern, property, name, group.get(&property.name));
        }
    }
    check.found
}

struct Check<'a> {
    fmri: &'a Fmri,
    groups: &'a Groups,
    templates: &'a Templates,
    found: Vec<Violation>,
}

impl Check<'_> {
    fn report(&mut self, pattern: &PgPattern, what: &str, kind: Kind) {
        let (fmri, source) = (self.fmri.clone(), pattern.source.clone());
        self.found.push(Violation { fmri, what: what.to_owned(), kind, source });
    }

    /// A pattern that has a name is about the group of that name, if no more specific one is.
    fn required(&mut self, number: usize, pattern: &PgPattern) {
        let before = &self.templates.patterns[..number];
        if pattern.name.is_empty() || before.iter().any(|other| other.name == pattern.name) {
            return;
        }
        match self.groups.get(&pattern.name) {
            None if pattern.required => self.report(pattern, &pattern.name, Kind::MissingGroup),
            Some(group) if !pattern.is_for(&pattern.name, &group.ty) => {
                self.report(pattern, &pattern.name, Kind::GroupType(pattern.ty.clone()));
            }
            _ => {}
        }
    }

    /// A service has no business with what is the framework's.
    fn redefined(&mut self, number: usize, pattern: &PgPattern) {
        let same = |other: &&PgPattern| {
            other.level > Level::Service && (&other.name, &other.ty) == (&pattern.name, &pattern.ty)
        };
        if pattern.level > Level::Service {
            return;
        }
        if let Some(other) = self.templates.patterns[number..].iter().find(same) {
            self.report(pattern, &pattern.name, Kind::Redefined(other.source.clone()));
        }
    }

    fn property(
        &mut self,
        pattern: &PgPattern,
        expected: &PropPattern,
        pg: &str,
        found: Option<&Property>,
    ) {
        let what = format!("{pg}/{}", expected.name);
        let Some(property) = found else {
            if expected.required {
                self.report(pattern, &what, Kind::MissingProperty);
            }
            return;
        };
        if let Some(ty) = expected.ty.filter(|ty| *ty != property.ty) {
            return self.report(pattern, &what, Kind::PropertyType(ty));
        }
        let count = property.values.len();
        if let Some(range) = &expected.cardinality
            && !u64::try_from(count).is_ok_and(|count| range.contains(&count))
        {
            self.report(pattern, &what, Kind::Cardinality(count, *range.start(), *range.end()));
        }
        if expected.constraint.is_empty() {
            return;
        }
        for value in &property.values {
            let parts = value.split(|c| expected.separators.contains(&c));
            if let Some(part) = parts.into_iter().find(|part| !expected.constraint.allows(part)) {
                self.report(pattern, &what, Kind::Value(part.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse_xml;

    const TEMPLATE: &str = "<template>
        <pg_pattern name='config' type='application' required='true'>
          <prop_pattern name='port' type='count' required='true'>
            <cardinality min='1' max='2'/>
            <constraints><value name='0'/><range min='0x400' max='65535'/></constraints>
          </prop_pattern>
          <prop_pattern name='log' type='astring'>
            <internal_separators>,</internal_separators>
            <values><value name='info'/></values>
            <constraints><value name='debug'/></constraints>
          </prop_pattern>
        </pg_pattern>
        <pg_pattern type='extra'><prop_pattern name='x' type='count' required='true'/></pg_pattern>
        </template>";

    /// What is wrong with a service of these groups.
    fn violations(groups: &str) -> Vec<String> {
        let text = format!(
            "<?xml version='1.0'?><!DOCTYPE service_bundle SYSTEM 'x'>
             <service_bundle type='manifest' name='t'><service name='a' type='service' version='1'>
             {groups}{TEMPLATE}</service></service_bundle>"
        );
        let groups = parse_xml(&text).unwrap().services.remove(0).level.groups;
        let (service, instance) =
            (Fmri::parse("svc:/a").unwrap(), Fmri::parse("svc:/a:i").unwrap());
        let mut templates = Templates::default();
        templates.add(Level::Service, &service, &groups);
        let found = validate(&instance, &groups, &templates);
        let text = |violation: Violation| {
            let text = violation.to_string();
            text.strip_suffix(": svc:/a:i (template of svc:/a)").unwrap().to_owned()
        };
        found.into_iter().map(text).collect()
    }

    fn config(properties: &str) -> Vec<String> {
        violations(&format!(
            "<property_group name='config' type='application'>{properties}</property_group>"
        ))
    }

    #[test]
    fn what_fits_is_no_violation() {
        for port in ["0", "1024", "65535"] {
            assert_eq!(
                config(&format!(
                    "<propval name='port' type='count' value='{port}'/>
                     <propval name='log' type='astring' value='debug,debug'/>
                     <propval name='other' type='time' value='1'/>"
                )),
                [""; 0]
            );
        }
    }

    #[test]
    fn each_rule_is_checked() {
        assert_eq!(violations(""), ["Required property group \"config\" is missing"]);
        let other = violations("<property_group name='config' type='framework'/>");
        assert_eq!(other, ["Property group \"config\" is not of type \"application\""]);
        assert_eq!(config(""), ["Required property \"config/port\" is missing"]);
        let port = |ty: &str, value: &str| {
            config(&format!("<propval name='port' type='{ty}' value='{value}'/>"))
        };
        assert_eq!(port("astring", "0"), ["Property \"config/port\" is not of type \"count\""]);
        for value in ["1", "1023", "65536"] {
            let line = format!("Property \"config/port\" has the illegal value \"{value}\"");
            assert_eq!(port("count", value), [line]);
        }
        let none = config("<property name='port' type='count'/>");
        assert_eq!(none, ["Property \"config/port\" has 0 values instead of 1 to 2"]);
        let log = config(
            "<propval name='port' type='count' value='0'/>
             <propval name='log' type='astring' value='debug,info'/>",
        );
        assert_eq!(log, ["Property \"config/log\" has the illegal value \"info\""]);
    }

    #[test]
    fn a_pattern_without_a_name_is_for_all_of_its_type() {
        let extra = violations(
            "<property_group name='config' type='application'>
             <propval name='port' type='count' value='0'/></property_group>
             <property_group name='one' type='extra'><propval name='x' type='count' value='1'/>
             </property_group><property_group name='two' type='extra'/>",
        );
        assert_eq!(extra, ["Required property \"two/x\" is missing"]);
    }

    #[test]
    fn the_nearest_template_counts() {
        let fmri = Fmri::parse("svc:/a:i").unwrap();
        let pattern = |target: &str, name: &str, required: bool| {
            let mut groups = Groups::new();
            let mut group = crate::value::PropertyGroup::new("template_pg_pattern");
            let mut set = |prop: &str, value: &str| {
                let property = Property::new(PropType::Astring, &[value]).unwrap();
                group.props.insert(prop.to_owned(), property);
            };
            set("name", name);
            set("type", "application");
            set("target", target);
            set("required", if required { "true" } else { "false" });
            groups.insert("tm_pgpat".to_owned(), group);
            groups
        };
        let mut templates = Templates::default();
        templates.add(Level::Service, &fmri.service(), &pattern("instance", "x", true));
        assert_eq!(validate(&fmri, &Groups::new(), &templates).len(), 1);
        templates.add(Level::Instance, &fmri, &pattern("this", "x", false));
        assert_eq!(validate(&fmri, &Groups::new(), &templates), []);
        // A restarter's own template is not for its delegates.
        templates.add(Level::Restarter, &fmri, &pattern("this", "y", true));
        assert_eq!(validate(&fmri, &Groups::new(), &templates), []);
        templates.add(Level::Restarter, &fmri, &pattern("delegate", "x", true));
        let kinds: Vec<Kind> =
            validate(&fmri, &Groups::new(), &templates).into_iter().map(|v| v.kind).collect();
        assert_eq!(kinds, [Kind::Redefined(fmri.clone()), Kind::Redefined(fmri)]);
    }
}
