//! How svccfg shows property groups and properties: names in a column, values quoted so that a
//! person can tell them apart.

use std::fmt::Write;

use svc::glob;
use svc::value::{Groups, Property};

/// What of the groups is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The groups alone.
    Groups,
    /// The groups and their properties.
    Properties,
}

/// `groups` as a table. A pattern selects groups with all that is in them, or single properties
/// by their whole name.
pub fn table(groups: &Groups, pattern: Option<&str>, depth: Depth) -> String {
    let wanted = |name: &str| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let mut rows = Vec::new();
    for (pg, group) in groups {
        let whole = wanted(pg);
        if whole {
            let mark = if group.persistent { "" } else { "\tNONPERSISTENT" };
            rows.push((pg.clone(), format!("{}{mark}", group.ty)));
        }
        if depth == Depth::Groups {
            continue;
        }
        for (name, property) in &group.props {
            let name = format!("{pg}/{name}");
            if whole || wanted(&name) {
                rows.push((name, format!("{:<7} {}", property.ty, values(property))));
            }
        }
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, rest) in rows {
        let _ = writeln!(text, "{name:<width$}  {rest}");
    }
    text
}

/// Those of `groups` that a pattern selects, as [`table`] does.
pub fn matching(groups: &Groups, pattern: Option<&str>) -> Groups {
    let Some(pattern) = pattern else { return groups.clone() };
    let mut found = Groups::new();
    for (pg, group) in groups {
        let whole = glob::matches(pattern, pg);
        let mut part = group.clone();
        part.props.retain(|name, _| whole || glob::matches(pattern, &format!("{pg}/{name}")));
        if whole || !part.props.is_empty() {
            found.insert(pg.clone(), part);
        }
    }
    found
}

/// The values, each after a blank.
fn values(property: &Property) -> String {
    let several_texts = property.values.len() > 1 && property.ty.is_string();
    let mut text = String::new();
    for value in &property.values {
        text.push(' ');
        if several_texts || value.contains([' ', '\t', '\n', '"', '(', ')']) {
            text.push_str(&quoted(value));
        } else {
            text.push_str(value);
        }
    }
    text
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::{PropType, PropertyGroup};

    fn groups() -> Groups {
        let mut config = PropertyGroup::new("application");
        for (name, ty, values) in [
            ("default-nic", PropType::Astring, &[""][..]),
            ("dom0-min-mem", PropType::Integer, &["196"]),
            ("enable-dump", PropType::Boolean, &["false"]),
            ("hosts", PropType::Astring, &["^host1.?.*$ ^localhost$"]),
            ("list", PropType::Astring, &["a", "b \"c\\"]),
            ("none", PropType::Count, &[]),
        ] {
            config.props.insert(name.into(), Property::new(ty, values).unwrap());
        }
        let mut restarter = PropertyGroup::new("framework");
        restarter.persistent = false;
        Groups::from([("config".into(), config), ("restarter".into(), restarter)])
    }

    #[test]
    fn names_align_and_values_are_quoted_where_needed() {
        assert_eq!(
            table(&groups(), Some("config"), Depth::Properties),
            "config               application\n\
             config/default-nic   astring  \n\
             config/dom0-min-mem  integer  196\n\
             config/enable-dump   boolean  false\n\
             config/hosts         astring  \"^host1.?.*$ ^localhost$\"\n\
             config/list          astring  \"a\" \"b \\\"c\\\\\"\n\
             config/none          count   \n"
        );
    }

    #[test]
    fn patterns_select_groups_or_properties() {
        let only = table(&groups(), Some("config/dom0*"), Depth::Properties);
        assert_eq!(only, "config/dom0-min-mem  integer  196\n");
        let listed = table(&groups(), None, Depth::Groups);
        assert_eq!(listed, "config     application\nrestarter  framework\tNONPERSISTENT\n");
        assert_eq!(
            table(&groups(), Some("rest*"), Depth::Groups),
            "restarter  framework\tNONPERSISTENT\n"
        );
    }
}
