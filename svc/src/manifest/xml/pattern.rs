//! `pg_pattern` and `prop_pattern`: which property groups and properties a service knows, what
//! they hold, and how to say it to people. Kept as groups of the types that smf_template(7) names.

use super::element::{Element, Result};
use super::entity::{Place, checked, create, flag_property, set};
use super::template::texts;
use crate::manifest::Level;
use crate::value::PropType::{self, Astring, Count};
use crate::value::{Property, PropertyGroup};

/// The types of the groups.
const PG_PATTERN: &str = "template_pg_pattern";
const PROP_PATTERN: &str = "template_prop_pattern";
/// What the names of the groups begin with.
const PG_PREFIX: &str = "tm_pgpat";
const PROP_PREFIX: &str = "tm_proppat_";
/// The one service whose patterns may be about all services.
const GLOBAL: &str = "svc:/system/svc/global";

const TARGETS: [&str; 4] = ["this", "instance", "delegate", "all"];
const VISIBILITIES: [&str; 3] = ["hidden", "readonly", "readwrite"];

pub fn pg_pattern(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&["name", "type", "required", "target"])?;
    let name = element.attribute("name").unwrap_or_default();
    let ty = element.attribute("type").unwrap_or_default();
    // What identifies the pattern is in the name of its group, and in those of its properties'.
    let unique = match (name, ty) {
        ("", "") => "_".to_owned(),
        ("", ty) => format!("t_{ty}"),
        (name, "") => format!("n_{name}"),
        (name, _) => format!("nt_{name}"),
    };
    let target = match element.attribute("target") {
        Some(_) => element.one_of("target", &TARGETS)?,
        None => TARGETS[0],
    };
    check_target(element, place, target)?;
    let required = element.flag("required")?.unwrap_or(false);
    let pg = format!("{PG_PREFIX}{unique}");
    let group = create(element, level, &pg, PG_PATTERN)?;
    set(element, group, "name", checked(element, Astring, &[name])?)?;
    set(element, group, "type", checked(element, Astring, &[ty])?)?;
    set(element, group, "target", checked(element, Astring, &[target])?)?;
    set(element, group, "required", flag_property(required))?;
    let mut properties = Vec::new();
    for child in element.children()? {
        match child.name() {
            "common_name" => texts(child, group, "common_name_")?,
            "description" => texts(child, group, "description_")?,
            "prop_pattern" => properties.push(child),
            _ => return Err(child.unexpected()),
        }
    }
    properties.into_iter().try_for_each(|child| prop_pattern(child, level, &pg, &unique))
}

fn check_target(element: Element<'_, '_>, place: Place<'_>, target: &str) -> Result<()> {
    let allowed = match target {
        "instance" => !place.fmri.is_instance(),
        "delegate" => place.is_restarter,
        "all" => place.fmri.to_string() == GLOBAL,
        _ => true,
    };
    let whose = match target {
        "instance" => "a service",
        "delegate" => "a restarter",
        _ => GLOBAL,
    };
    if allowed {
        return Ok(());
    }
    Err(element.error(format!("target \"{target}\" is only for a pattern of {whose}")))
}

fn prop_pattern(element: Element<'_, '_>, level: &mut Level, pg: &str, unique: &str) -> Result<()> {
    element.allow(&["name", "type", "required"])?;
    let name = element.valid_name("name")?;
    let ty = element.attribute("type").unwrap_or_default();
    let required = element.flag("required")?.unwrap_or(false);
    if !ty.is_empty() && ty.parse::<PropType>().is_err() {
        return Err(element.error(format!("unknown type \"{ty}\"")));
    }
    if ty.is_empty() && required {
        return Err(element.error("a required property needs a type"));
    }
    let group = create(element, level, &format!("{PROP_PREFIX}{unique}_{name}"), PROP_PATTERN)?;
    set(element, group, "pg_pattern", checked(element, Astring, &[pg])?)?;
    set(element, group, "name", checked(element, Astring, &[name])?)?;
    set(element, group, "type", checked(element, Astring, &[ty])?)?;
    set(element, group, "required", flag_property(required))?;
    for child in element.children()? {
        match child.name() {
            "common_name" => texts(child, group, "common_name_")?,
            "description" => texts(child, group, "description_")?,
            "units" => texts(child, group, "units_")?,
            "visibility" => {
                child.allow(&["value"])?;
                let value = child.one_of("value", &VISIBILITIES)?;
                set(child, group, "visibility", checked(child, Astring, &[value])?)?;
            }
            "cardinality" => cardinality(child, group)?,
            "internal_separators" => separators(child, group)?,
            "values" => values(child, group, "values", &["value"])?,
            "constraints" => values(child, group, "constraint", &["value", "range"])?,
            "choices" => values(child, group, "choices", &["value", "range", "include_values"])?,
            _ => return Err(child.unexpected()),
        }
    }
    Ok(())
}

fn cardinality(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<()> {
    element.allow(&["min", "max"])?;
    element.childless()?;
    let least = element.attribute("min").filter(|text| !text.is_empty()).unwrap_or("0");
    let most = element.attribute("max").filter(|text| !text.is_empty());
    let least = checked(element, Count, &[least.trim()])?;
    let most = checked(element, Count, &[most.unwrap_or("18446744073709551615").trim()])?;
    if most.as_count() < least.as_count() {
        return Err(element.error("max is less than min"));
    }
    set(element, group, "cardinality_min", least)?;
    set(element, group, "cardinality_max", most)
}

fn separators(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<()> {
    element.allow(&[])?;
    let values: Vec<String> = element.text()?.chars().map(String::from).collect();
    if values.is_empty() {
        return Err(element.error("there are no separators"));
    }
    set(element, group, "internal_separators", Property { ty: Astring, values })
}

/// The values that an element names one by one, as ranges, or by reference: lists in properties
/// that begin with `prefix`.
fn values(
    element: Element<'_, '_>,
    group: &mut PropertyGroup,
    prefix: &str,
    allowed: &[&str],
) -> Result<()> {
    element.allow(&[])?;
    for child in element.children()? {
        let kind = child.name();
        if !allowed.contains(&kind) {
            return Err(child.unexpected());
        }
        let (suffix, text) = match kind {
            "value" => ("name", value(child, group)?),
            "range" => ("range", range(child)?),
            _ => {
                child.allow(&["type"])?;
                ("include_values", child.one_of("type", &["constraints", "values"])?.to_owned())
            }
        };
        let list = group.props.entry(format!("{prefix}_{suffix}"));
        let list = list.or_insert(Property { ty: Astring, values: Vec::new() });
        list.values.push(text);
    }
    Ok(())
}

/// A value, with the texts about it in properties that it names.
fn value(element: Element<'_, '_>, group: &mut PropertyGroup) -> Result<String> {
    element.allow(&["name"])?;
    let name = element.required("name")?;
    let code = encode32(name.as_bytes());
    for child in element.children()? {
        match child.name() {
            text @ ("common_name" | "description") => {
                texts(child, group, &format!("value_{code}_{text}_"))?;
            }
            _ => return Err(child.unexpected()),
        }
    }
    Ok(name.to_owned())
}

fn range(element: Element<'_, '_>) -> Result<String> {
    element.allow(&["min", "max"])?;
    element.childless()?;
    let (least, most) = (element.required("min")?, element.required("max")?);
    let number = |text: &str| {
        let property = checked(element, PropType::Integer, &[text]);
        let property = property.or_else(|_| checked(element, Count, &[text]))?;
        let number = property.first().and_then(|text| text.parse::<i128>().ok());
        number.ok_or_else(|| element.error("a range is of numbers"))
    };
    if number(most)? < number(least)? {
        return Err(element.error("max is less than min"));
    }
    Ok(format!("{least},{most}"))
}

/// Base 32 as RFC 4648 has it, padded with `-`, which a property's name may hold.
pub fn encode32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(padded);
        let digits = (chunk.len() * 8).div_ceil(5);
        for position in 0..8 {
            let index = usize::try_from(bits >> (35 - 5 * position) & 31).unwrap_or_default();
            text.push(if position < digits { char::from(ALPHABET[index]) } else { '-' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::encode32;

    #[test]
    fn base_32_of_the_rfc() {
        for (plain, code) in [
            ("", ""),
            ("f", "MY------"),
            ("fo", "MZXQ----"),
            ("foo", "MZXW6---"),
            ("foob", "MZXW6YQ-"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI------"),
        ] {
            assert_eq!(encode32(plain.as_bytes()), code);
        }
    }
}
