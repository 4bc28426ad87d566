//! Patterns read from the property groups that keep them; how those are made is in
//! `manifest::xml::pattern`.

use std::ops::RangeInclusive;

use super::Level;
use crate::fmri::Fmri;
use crate::value::{Groups, PropType, PropertyGroup};

/// The types of the groups.
const PG_PATTERN: &str = "template_pg_pattern";
const PROP_PATTERN: &str = "template_prop_pattern";

/// The language of the texts.
const LOCALE: &str = "C";

/// What is said of a property group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgPattern {
    /// Where it is said.
    pub level: Level,
    /// By whom.
    pub source: Fmri,
    /// The group's name; empty for any.
    pub name: String,
    /// The group's type; empty for any.
    pub ty: String,
    /// Whether the group must be there.
    pub required: bool,
    /// What it is called.
    pub common_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What is said of its properties.
    pub properties: Vec<PropPattern>,
    pub(super) target: String,
}

/// What is said of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropPattern {
    /// Its name.
    pub name: String,
    /// Its type, if it must have one.
    pub ty: Option<PropType>,
    /// Whether it must be there.
    pub required: bool,
    /// What it is called.
    pub common_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it is measured in.
    pub units: Option<String>,
    /// Whether people should see or change it.
    pub visibility: Option<String>,
    /// How many values it has, if that is said.
    pub cardinality: Option<RangeInclusive<u64>>,
    /// The characters between the parts of a value.
    pub separators: Vec<char>,
    /// The values that are explained.
    pub values: Vec<ValueText>,
    /// What a value must be one of, if it may not be anything.
    pub constraint: Choice,
    /// What people are offered.
    pub choices: Choice,
}

/// A value and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueText {
    /// The value.
    pub value: String,
    /// What it is called.
    pub common_name: Option<String>,
    /// What it does.
    pub description: Option<String>,
}

/// Some values and ranges of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The values.
    pub values: Vec<String>,
    /// The ranges.
    pub ranges: Vec<RangeInclusive<i128>>,
}

impl Choice {
    /// Whether there is nothing to choose from.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.ranges.is_empty()
    }

    /// Whether `value` is one of them.
    pub fn allows(&self, value: &str) -> bool {
        let number = || value.parse::<i128>().ok();
        self.values.iter().any(|allowed| allowed == value)
            || number()
                .is_some_and(|number| self.ranges.iter().any(|range| range.contains(&number)))
    }
}

impl PgPattern {
    /// The patterns in `groups`, which are attached to `source`.
    pub(super) fn all(level: Level, source: &Fmri, groups: &Groups) -> Vec<Self> {
        let patterns = groups.iter().filter(|(_, group)| group.ty == PG_PATTERN);
        let read = |(pg, group): (&String, &PropertyGroup)| {
            let is_of = |(_, property): &(&String, &PropertyGroup)| {
                property.ty == PROP_PATTERN && property.first("pg_pattern") == Some(pg)
            };
            Self {
                level,
                source: source.clone(),
                name: text(group, "name").unwrap_or_default(),
                ty: text(group, "type").unwrap_or_default(),
                required: is_true(group, "required"),
                common_name: said(group, "common_name_"),
                description: said(group, "description_"),
                properties: groups.iter().filter(is_of).map(|(_, group)| property(group)).collect(),
                target: text(group, "target").unwrap_or_default(),
            }
        };
        patterns.map(read).collect()
    }

    /// Whether it is about a group of that name and type.
    pub(super) fn is_for(&self, name: &str, ty: &str) -> bool {
        (self.name.is_empty() || self.name == name) && (self.ty.is_empty() || self.ty == ty)
    }

    /// What it says of a property.
    pub fn property(&self, name: &str) -> Option<&PropPattern> {
        self.properties.iter().find(|property| property.name == name)
    }
}

fn property(group: &PropertyGroup) -> PropPattern {
    let count = |name: &str| group.get(name).and_then(|property| property.as_count());
    let values = list(group, "values_name").into_iter().map(|value| {
        let code = format!("value_{}_", crate::manifest::encode32(value.as_bytes()));
        let common_name = said(group, &format!("{code}common_name_"));
        let description = said(group, &format!("{code}description_"));
        ValueText { value, common_name, description }
    });
    PropPattern {
        name: text(group, "name").unwrap_or_default(),
        ty: text(group, "type").and_then(|ty| ty.parse().ok()),
        required: is_true(group, "required"),
        common_name: said(group, "common_name_"),
        description: said(group, "description_"),
        units: said(group, "units_"),
        visibility: text(group, "visibility"),
        cardinality: count("cardinality_min").zip(count("cardinality_max")).map(|(a, b)| a..=b),
        separators: list(group, "internal_separators").concat().chars().collect(),
        values: values.collect(),
        constraint: choice(group, "constraint"),
        choices: choice(group, "choices"),
    }
}

/// The values and ranges that properties beginning with `prefix` list.
fn choice(group: &PropertyGroup, prefix: &str) -> Choice {
    let mut values = list(group, &format!("{prefix}_name"));
    let mut ranges = ranges(group, prefix);
    for included in list(group, &format!("{prefix}_include_values")) {
        match included.as_str() {
            "values" => values.extend(list(group, "values_name")),
            "constraints" => {
                values.extend(list(group, "constraint_name"));
                ranges.extend(self::ranges(group, "constraint"));
            }
            _ => {}
        }
    }
    Choice { values, ranges }
}

fn ranges(group: &PropertyGroup, prefix: &str) -> Vec<RangeInclusive<i128>> {
    let number = |text: &str| {
        let spelled = PropType::Integer.check(text).or_else(|_| PropType::Count.check(text));
        spelled.ok()?.parse::<i128>().ok()
    };
    let range = |text: String| {
        let (least, most) = text.split_once(',')?;
        Some(number(least)?..=number(most)?)
    };
    list(group, &format!("{prefix}_range")).into_iter().filter_map(range).collect()
}

fn list(group: &PropertyGroup, name: &str) -> Vec<String> {
    group.get(name).map(|property| property.values.clone()).unwrap_or_default()
}

fn text(group: &PropertyGroup, name: &str) -> Option<String> {
    group.first(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn is_true(group: &PropertyGroup, name: &str) -> bool {
    group.first(name) == Some("true")
}

/// A text for people, in one line.
fn said(group: &PropertyGroup, prefix: &str) -> Option<String> {
    let text = group.first(&format!("{prefix}{LOCALE}"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}
