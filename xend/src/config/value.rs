//! The values a guest file can name, and what `+`, `-`, `*` and `%` make of them.

use super::error::{Pos, Problem};

/// No string that is put together may grow beyond this many bytes; a file is hostile input.
pub const MAX_STRING: usize = 64 * 1024;
/// No list may have more members than this.
pub const MAX_LIST: usize = 4096;

/// What stands to the right of a `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `None`: as if the key were not there.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string.
    Str(String),
    /// A list, or a tuple.
    List(Vec<Item>),
}

/// A value and the place where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// The place of its first character.
    pub at: Pos,
}

impl Value {
    /// What messages call a value of this type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
        }
    }

    /// The number it stands for in arithmetic; `True` is 1, as in Python.
    fn number(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            Self::Bool(truth) => Some(i64::from(*truth)),
            _ => None,
        }
    }

    /// As `str()` and `%s` write it.
    fn text(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(int) => int.to_string(),
            Self::Str(string) => string.clone(),
            Self::List(items) => {
                let members: Vec<String> = items.iter().map(|item| item.value.repr()).collect();
                format!("[{}]", members.join(", "))
            }
        }
    }

    /// As `repr()` and `%r` write it; a guest file reads it back as the same value.
    pub fn repr(&self) -> String {
        match self {
            Self::Str(string) => quote(string),
            other => other.text(),
        }
    }
}

/// `text` as a string literal.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for char in text.chars() {
        match char {
            '\'' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            char if char.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(char)));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('\'');
    quoted
}

/// `left op right`; `at` is the operator's place.
pub fn apply(op: &str, left: Item, right: Item, at: Pos) -> Result<Item, Problem> {
    let place = left.at;
    let value = match (op, left.value, right.value) {
        ("+", Value::Str(left), Value::Str(right)) => Value::Str(short(left + &right, at)?),
        ("+", Value::List(mut left), Value::List(right)) => {
            left.extend(right);
            Value::List(few(left, at)?)
        }
        ("*", Value::Str(text), count) | ("*", count, Value::Str(text))
            if count.number().is_some() =>
        {
            Value::Str(repeat(&text, count.number().unwrap_or(0), at)?)
        }
        ("%", Value::Str(format), args) => Value::Str(percent(&format, args, at)?),
        (op, left, right) => match (left.number(), right.number()) {
            (Some(left), Some(right)) => Value::Int(arithmetic(op, left, right, at)?),
            _ => {
                let (left, right) = (left.kind(), right.kind());
                return Err(Problem::at(at, format!("'{op}' can't join {left} and {right}")));
            }
        },
    };
    Ok(Item { value, at: place })
}

fn arithmetic(op: &str, left: i64, right: i64, at: Pos) -> Result<i64, Problem> {
    let result = match op {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        _ if right == 0 => return Err(Problem::at(at, "the divisor is zero")),
        // Python's result has the divisor's sign.
        _ => left
            .checked_rem(right)
            .map(|rest| if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }),
    };
    result.ok_or_else(|| Problem::at(at, "the number doesn't fit into 64 bits"))
}

fn repeat(text: &str, count: i64, at: Pos) -> Result<String, Problem> {
    let count = usize::try_from(count).unwrap_or(0);
    match text.len().checked_mul(count) {
        Some(length) if length <= MAX_STRING => Ok(text.repeat(count)),
        _ => Err(too_long(at)),
    }
}

fn too_long(at: Pos) -> Problem {
    Problem::at(at, format!("the string would be longer than {MAX_STRING} bytes"))
}

fn short(text: String, at: Pos) -> Result<String, Problem> {
    if text.len() > MAX_STRING { Err(too_long(at)) } else { Ok(text) }
}

fn few(items: Vec<Item>, at: Pos) -> Result<Vec<Item>, Problem> {
    if items.len() > MAX_LIST {
        return Err(Problem::at(at, format!("the list would have more than {MAX_LIST} members")));
    }
    Ok(items)
}

/// `format % args`, with `%s %r %d %i %u %x %X %o %c %%`, flags `-` and `0`, and a width.
fn percent(format: &str, args: Value, at: Pos) -> Result<String, Problem> {
    let single = !matches!(args, Value::List(_));
    let args = match args {
        Value::List(items) => items.into_iter().map(|item| item.value).collect(),
        other => vec![other],
    };
    let mut args = args.iter();
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (directive, after) = Directive::parse(after, at)?;
        rest = after;
        if directive.letter == '%' {
            out.push('%');
            continue;
        }
        let arg = args
            .next()
            .ok_or_else(|| Problem::at(at, "there are fewer values than '%' directives"))?;
        out.push_str(&directive.format(arg, at)?);
        out = short(out, at)?;
    }
    if args.next().is_some() {
        let reason = if single {
            "the string before '%' has no directive such as %s or %d"
        } else {
            "there are more values than '%' directives"
        };
        return Err(Problem::at(at, reason));
    }
    short(out + rest, at)
}

struct Directive {
    left: bool,
    zero: bool,
    width: usize,
    letter: char,
}

impl Directive {
    /// Reads what follows a `%`; returns it and the text after it.
    fn parse(text: &str, at: Pos) -> Result<(Self, &str), Problem> {
        let flags = text.len() - text.trim_start_matches(['-', '0']).len();
        let (flags, text) = text.split_at(flags);
        let digits = text.len() - text.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        let (width, text) = text.split_at(digits);
        let width = if width.is_empty() { Some(0) } else { width.parse().ok() };
        let width = width.filter(|width| *width <= MAX_STRING).ok_or_else(|| too_long(at))?;
        let mut chars = text.chars();
        let letter = chars
            .next()
            .ok_or_else(|| Problem::at(at, "the string before '%' ends in a lone '%'"))?;
        let (left, zero) = (flags.contains('-'), flags.contains('0'));
        Ok((Self { left, zero, width, letter }, chars.as_str()))
    }

    fn format(&self, arg: &Value, at: Pos) -> Result<String, Problem> {
        let number = || {
            arg.number().ok_or_else(|| {
                let reason = format!("%{} needs a number, not {}", self.letter, arg.kind());
                Problem::at(at, reason)
            })
        };
        let text = match self.letter {
            's' => arg.text(),
            'r' => arg.repr(),
            'd' | 'i' | 'u' => number()?.to_string(),
            'x' => signed(number()?, |magnitude| format!("{magnitude:x}")),
            'X' => signed(number()?, |magnitude| format!("{magnitude:X}")),
            'o' => signed(number()?, |magnitude| format!("{magnitude:o}")),
            'c' => self.character(arg, at)?,
            letter => {
                return Err(Problem::at(at, format!("'%{letter}' is not a known directive")));
            }
        };
        Ok(self.pad(text))
    }

    fn character(&self, arg: &Value, at: Pos) -> Result<String, Problem> {
        let single = match arg {
            Value::Str(text) if text.chars().count() == 1 => Some(text.clone()),
            Value::Int(code) => {
                u32::try_from(*code).ok().and_then(char::from_u32).map(|char| char.to_string())
            }
            _ => None,
        };
        single.ok_or_else(|| Problem::at(at, "%c needs one character"))
    }

    fn pad(&self, text: String) -> String {
        let width = self.width;
        if self.left {
            return format!("{text:<width$}");
        }
        if !self.zero || matches!(self.letter, 's' | 'r' | 'c') {
            return format!("{text:>width$}");
        }
        match text.strip_prefix('-') {
            Some(magnitude) => format!("-{magnitude:0>width$}", width = width.saturating_sub(1)),
            None => format!("{text:0>width$}"),
        }
    }
}

fn signed(number: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", digits(number.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Pos = Pos { line: 1, column: 1 };

    fn item(value: Value) -> Item {
        Item { value, at: AT }
    }

    fn string(text: &str) -> Item {
        item(Value::Str(text.to_owned()))
    }

    fn formatted(format: &str, args: &[Value]) -> Result<String, String> {
        let args = Value::List(args.iter().cloned().map(item).collect());
        percent(format, args, AT).map_err(|problem| problem.reason)
    }

    #[test]
    fn percent_formats_as_python_does() {
        let int = Value::Int;
        let str = |text: &str| Value::Str(text.to_owned());
        assert_eq!(formatted("vm%d", &[int(7)]).unwrap(), "vm7");
        assert_eq!(formatted("%s-%02d.img", &[str("a"), int(3)]).unwrap(), "a-03.img");
        assert_eq!(formatted("%02X:%x:%o", &[int(10), int(255), int(8)]).unwrap(), "0A:ff:10");
        assert_eq!(
            formatted("%5s|%-5s|%05d", &[str("a"), str("b"), int(-7)]).unwrap(),
            "    a|b    |-0007"
        );
        assert_eq!(formatted("100%%", &[]).unwrap(), "100%");
        assert_eq!(formatted("%r %c", &[str("a'b"), int(65)]).unwrap(), "'a\\'b' A");
        assert!(formatted("%d", &[str("x")]).unwrap_err().contains("needs a number"));
        assert!(formatted("%s %s", &[int(1)]).unwrap_err().contains("fewer"));
        assert!(formatted("%s", &[int(1), int(2)]).unwrap_err().contains("more"));
        assert!(formatted("%", &[int(1)]).unwrap_err().contains("lone"));
        assert!(formatted("%y", &[int(1)]).unwrap_err().contains("%y"));
        assert!(formatted("%999999999999s", &[int(1)]).unwrap_err().contains("longer"));
    }

    #[test]
    fn operators_join_what_belongs_together() {
        let joined = apply("+", string("a"), string("b"), AT).unwrap().value;
        assert_eq!(joined, Value::Str("ab".into()));
        let repeated = apply("*", string("ab"), item(Value::Int(2)), AT).unwrap().value;
        assert_eq!(repeated, Value::Str("abab".into()));
        let rest = apply("%", item(Value::Int(-7)), item(Value::Int(3)), AT).unwrap().value;
        assert_eq!(rest, Value::Int(2));
        let reason = |op, left, right| apply(op, left, right, AT).unwrap_err().reason;
        assert_eq!(
            reason("+", string("a"), item(Value::Int(1))),
            "'+' can't join a string and a number"
        );
        assert!(reason("*", string("abc"), item(Value::Int(i64::MAX))).contains("longer"));
        assert!(reason("+", item(Value::Int(i64::MAX)), item(Value::Int(1))).contains("64 bits"));
        assert!(reason("%", item(Value::Int(1)), item(Value::Int(0))).contains("zero"));
    }
}
