//! What XML-RPC can say: values, calls, faults.

use std::collections::BTreeMap;

/// The codes of faults that clients of xend tell apart.
pub mod code {
    /// Something failed that should not.
    pub const INTERNAL: i64 = 1;
    /// The request could not be carried out; the text says why.
    pub const GENERIC: i64 = 2;
    /// There is no such domain; the text is what was asked for.
    pub const INVALID_DOMAIN: i64 = 3;
}

/// A value of XML-RPC, without its dates and binaries, which no method of xend uses.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing (an extension that every client knows).
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number; beyond 32 bits it travels as `i8`.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// Text.
    Str(String),
    /// Values in order.
    Array(Vec<Value>),
    /// Values by name.
    Struct(BTreeMap<String, Value>),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(members) => Some(members),
            _ => None,
        }
    }

    /// A number; clients send truth values for numbers and the other way round.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Bool(truth) => Some(i64::from(*truth)),
            _ => None,
        }
    }

    /// Truth as Python has it for the values that clients send as flags.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Bool(truth) => *truth,
            Self::Int(int) => *int != 0,
            Self::Str(text) => !text.is_empty(),
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which method.
    pub method: String,
    /// Its arguments.
    pub params: Vec<Value>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// One of [`code`].
    pub code: i64,
    /// Why.
    pub message: String,
}

impl Fault {
    /// A fault with one of the codes of [`code`].
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
