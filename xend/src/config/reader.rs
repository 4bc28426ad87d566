//! Typed access to the variables of a guest file and of the command line.
//!
//! Every complaint names the text and the place the value came from.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::{ConfigError, Problem, Source};
use super::parser::Variables;
use super::value::{Item, Value};

/// A value and the text it came from.
#[derive(Debug, Clone)]
pub struct Sourced {
    /// The value and its place.
    pub item: Item,
    /// The text.
    pub source: Source,
}

impl Sourced {
    /// An error about this value.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        Problem::at(self.item.at, reason).within(&self.source)
    }
}

/// All variables, those of the command line before those of the file.
#[derive(Debug)]
pub struct Reader {
    values: BTreeMap<String, (Sourced, bool)>,
    file: Source,
    warnings: Vec<String>,
}

impl Reader {
    /// Puts `overrides` over the variables of the file that is called `file`.
    pub fn new(file: Source, variables: Variables, overrides: Variables) -> Self {
        let mut values = BTreeMap::new();
        for (source, variables) in [(&file, variables), (&Source::CommandLine, overrides)] {
            for (name, variable) in variables {
                let sourced = Sourced { item: variable.item, source: source.clone() };
                values.insert(name, (sourced, variable.used));
            }
        }
        Self { values, file, warnings: Vec::new() }
    }

    /// An error about the file as a whole.
    pub fn error(&self, reason: impl Into<String>) -> ConfigError {
        Problem::general(reason).within(&self.file)
    }

    /// Notes a warning about `value`.
    pub fn warn(&mut self, value: &Sourced, reason: impl Into<String>) {
        self.warnings.push(value.error(reason).to_string());
    }

    /// Takes a variable out; one that is `None` counts as not there.
    pub fn take(&mut self, name: &str) -> Option<Sourced> {
        let (value, _) = self.values.remove(name)?;
        (value.item.value != Value::None).then_some(value)
    }

    /// A string. Numbers are taken for their digits, since xm and xl do so.
    pub fn text(&mut self, name: &str) -> Result<Option<(String, Sourced)>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = match &value.item.value {
            Value::Str(text) => text.trim().to_owned(),
            Value::Int(int) => int.to_string(),
            other => return Err(wrong_type(&value, name, "a string", other)),
        };
        super::check_text(name, &text).map_err(|reason| value.error(reason))?;
        Ok((!text.is_empty()).then_some((text, value)))
    }

    /// A string of many lines, perhaps; what it may hold is checked with the guest.
    pub fn note(&mut self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.item.value {
            Value::Str(note) => Ok(Some(note).filter(|note| !note.is_empty())),
            ref other => Err(wrong_type(&value, name, "a string", other)),
        }
    }

    /// A number in `range`; digits in quotes are taken for a number, since xm and xl do so.
    pub fn count(
        &mut self,
        name: &str,
        unit: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value.item.value {
            Value::Int(int) => Some(*int),
            Value::Str(text) => text.trim().parse().ok(),
            other => return Err(wrong_type(&value, name, "a number", other)),
        };
        let count = number.and_then(|number| u64::try_from(number).ok());
        match count.filter(|count| range.contains(count)) {
            Some(count) => Ok(Some(count)),
            None => Err(value.error(format!(
                "{name} = {} is no number from {} to {}{unit}",
                value.item.value.repr(),
                range.start(),
                range.end(),
            ))),
        }
    }

    /// A list of strings, each with its place.
    pub fn list(
        &mut self,
        name: &str,
        example: &str,
    ) -> Result<Vec<(String, Sourced)>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let Value::List(items) = value.item.value else {
            let kind = value.item.value.kind();
            let reason = format!("{name} must be a list, as in {name} = ['{example}'], not {kind}");
            return Err(value.error(reason));
        };
        let source = value.source;
        let member = |item: Item| {
            let sourced = Sourced { item, source: source.clone() };
            match &sourced.item.value {
                Value::Str(text) => Ok((text.clone(), sourced)),
                other => {
                    Err(wrong_type(&sourced, &format!("a member of {name}"), "a string", other))
                }
            }
        };
        items.into_iter().map(member).collect()
    }

    /// Ends the reading: what nobody took is not known here. Helper variables, those that other
    /// assignments used, are no mistake.
    pub fn finish(mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.values);
        for (name, (value, used)) in rest {
            if !used {
                self.warn(&value, format!("'{name}' has no meaning here and is ignored"));
            }
        }
        self.warnings
    }
}

fn wrong_type(value: &Sourced, name: &str, wanted: &str, found: &Value) -> ConfigError {
    value.error(format!("{name} must be {wanted}, not {}", found.kind()))
}
