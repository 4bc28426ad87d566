//! A TOML document read key by key, so that every complaint names its line and column.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a manifest, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// One sentence.
    pub message: String,
}

impl SyntaxError {
    /// Places `message` at the byte offset `at` of `text`.
    pub fn new(text: &str, at: usize, message: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, message: message.into() }
    }
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// A value and where it is.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    text: &'t str,
    at: usize,
    value: &'t DeValue<'t>,
}

impl<'t> Value<'t> {
    fn new(text: &'t str, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { text, at: value.span().start, value: value.get_ref() }
    }

    /// A complaint about this value.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.text, self.at, message)
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        Err(self.error(format!("{what} is expected, not {}", article(self.value.type_str()))))
    }

    /// A string.
    pub fn string(&self) -> Result<&'t str> {
        self.value.as_str().map_or_else(|| self.expected("a string"), Ok)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool> {
        self.value.as_bool().map_or_else(|| self.expected("true or false"), Ok)
    }

    /// A table.
    pub fn table(&self) -> Result<Table<'t>> {
        match self.value {
            DeValue::Table(table) => Ok(Table::new(self.text, self.at, table)),
            _ => self.expected("a table"),
        }
    }

    /// The elements of a list; any other value is a list of one.
    pub fn list(&self) -> Vec<Value<'t>> {
        match self.value {
            DeValue::Array(array) => array.iter().map(|v| Value::new(self.text, v)).collect(),
            _ => vec![*self],
        }
    }

    /// Whether this is a table.
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// The property type that a plain TOML value stands for, with the value as text.
    pub fn scalar(&self) -> Result<(crate::value::PropType, String)> {
        use crate::value::PropType;
        match self.value {
            DeValue::String(text) => Ok((PropType::Astring, text.to_string())),
            DeValue::Boolean(value) => Ok((PropType::Boolean, value.to_string())),
            DeValue::Integer(number) => {
                match i128::from_str_radix(number.as_str(), number.radix()) {
                    Ok(value) => Ok((PropType::Integer, value.to_string())),
                    Err(_) => Err(self.error("the number is too large")),
                }
            }
            _ => self.expected("a string, a whole number, or true or false"),
        }
    }
}

/// A table whose keys are taken one after the other; what is left over is an error.
pub struct Table<'t> {
    text: &'t str,
    at: usize,
    entries: BTreeMap<&'t str, (usize, Value<'t>)>,
}

impl<'t> Table<'t> {
    fn new(text: &'t str, at: usize, table: &'t DeTable<'t>) -> Self {
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let key: &'t Spanned<std::borrow::Cow<'t, str>> = key;
            (key.get_ref().as_ref(), (key.span().start, Value::new(text, value)))
        };
        Self { text, at, entries: table.iter().map(entry).collect() }
    }

    /// The value of `key`, if it is there.
    pub fn take(&mut self, key: &str) -> Option<Value<'t>> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// The value of `key`, which must be there.
    pub fn require(&mut self, key: &str) -> Result<Value<'t>> {
        let missing = || SyntaxError::new(self.text, self.at, format!("\"{key}\" is missing"));
        self.entries.remove(key).map(|(_, value)| value).ok_or_else(missing)
    }

    /// All that is left, by key, each with a complaint maker's position at its key.
    pub fn rest(self) -> impl Iterator<Item = (Key<'t>, Value<'t>)> {
        let text = self.text;
        self.entries.into_iter().map(move |(name, (at, value))| (Key { text, at, name }, value))
    }

    /// Complains about the first key that nobody took.
    pub fn finish(self) -> Result<()> {
        match self.entries.iter().min_by_key(|(_, (at, _))| *at) {
            Some((key, (at, _))) => {
                Err(SyntaxError::new(self.text, *at, format!("unknown key \"{key}\"")))
            }
            None => Ok(()),
        }
    }
}

/// A key that is a name of the manifest's choosing.
#[derive(Clone, Copy)]
pub struct Key<'t> {
    text: &'t str,
    at: usize,
    /// The name.
    pub name: &'t str,
}

impl Key<'_> {
    /// A complaint about this key.
    pub fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.text, self.at, message)
    }
}

/// Reads a whole document with `read`.
pub fn document<T>(text: &str, read: impl FnOnce(Table<'_>) -> Result<T>) -> Result<T> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        SyntaxError::new(text, at, error.message().lines().collect::<Vec<_>>().join(", "))
    })?;
    read(Table::new(text, 0, table.get_ref()))
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
