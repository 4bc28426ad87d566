//! How svcprop(1) prints properties.

use svc::fmri::{Fmri, PropFmri};
use svc::value::{Property, PropertyGroup};

/// What comes before the values of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing.
    Values,
    /// `PG/PROP TYPE`
    Named,
    /// `FMRI TYPE`
    Full,
}

impl Style {
    /// With names and types at least: how whole property groups are printed.
    fn of_group(self) -> Self {
        if self == Self::Values { Self::Named } else { self }
    }
}

/// The lines of a property group.
pub(crate) fn group(style: Style, entity: &Fmri, pg: &str, group: &PropertyGroup) -> String {
    let style = style.of_group();
    let line = |(prop, property): (&String, &Property)| {
        self::property(style, entity, (pg, prop), property)
    };
    group.props.iter().map(line).collect()
}

/// The line of a property of group `pg`.
pub(crate) fn property(
    style: Style,
    entity: &Fmri,
    (pg, prop): (&str, &str),
    property: &Property,
) -> String {
    let values: Vec<String> = property.values.iter().map(|value| escaped(value)).collect();
    let values = values.join(" ");
    match style {
        Style::Values => format!("{values}\n"),
        Style::Named => format!("{pg}/{prop} {} {values}\n", property.ty),
        Style::Full => {
            let (entity, pg, prop) = (entity.clone(), pg.to_owned(), Some(prop.to_owned()));
            format!("{} {} {values}\n", PropFmri { entity, pg, prop }, property.ty)
        }
    }
}

/// A value as a shell would have to read it: metacharacters with a backslash, nothing as `""`.
fn escaped(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if ";&()|^<>\n \t\\\"'`".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::PropType;

    #[test]
    fn values_are_escaped_for_a_shell() {
        assert_eq!(escaped(""), "\"\"");
        assert_eq!(escaped("^host1.?.*$ ^localhost$"), "\\^host1.?.*$\\ \\^localhost$");
        assert_eq!(escaped("a'b"), "a\\'b");
        assert_eq!(escaped("plain-1.5"), "plain-1.5");
    }

    #[test]
    fn values_are_in_one_line() {
        let entity = Fmri::parse("svc:/a:b").unwrap();
        let values = ["one two", "", "three"].map(str::to_owned).to_vec();
        let hosts = Property { ty: PropType::Astring, values };
        let line = |style| property(style, &entity, ("config", "hosts"), &hosts);
        assert_eq!(line(Style::Values), "one\\ two \"\" three\n");
        assert_eq!(line(Style::Named), "config/hosts astring one\\ two \"\" three\n");
        let full = "svc:/a:b/:properties/config/hosts astring one\\ two \"\" three\n";
        assert_eq!(line(Style::Full), full);
        let none = Property { ty: PropType::Count, values: Vec::new() };
        assert_eq!(property(Style::Values, &entity, ("a", "b"), &none), "\n");
        assert_eq!(property(Style::Named, &entity, ("a", "b"), &none), "a/b count \n");
    }
}
