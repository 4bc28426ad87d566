//! xend's S-expressions. On the wire they are nested arrays of XML-RPC: `["memory", 256]`.

use crate::rpc::Value;

/// `(name value)`.
pub fn pair(name: &str, value: impl Into<Value>) -> Value {
    Value::Array(vec![name.into(), value.into()])
}

/// `(name member...)`.
pub fn list(name: &str, members: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(std::iter::once(name.into()).chain(members).collect())
}

/// The name of an expression: its first member.
pub fn name(sxp: &Value) -> Option<&str> {
    sxp.as_array()?.first()?.as_str()
}

/// The members of `sxp` that are expressions called `wanted`.
pub fn children<'v>(sxp: &'v Value, wanted: &str) -> impl Iterator<Item = &'v Value> {
    let members = sxp.as_array().unwrap_or_default();
    members.iter().filter(move |member| name(member) == Some(wanted))
}

/// The value of the first member `(wanted value)`.
pub fn value<'v>(sxp: &'v Value, wanted: &str) -> Option<&'v Value> {
    children(sxp, wanted).next()?.as_array()?.get(1)
}

/// The text of the first member `(wanted text)`; numbers are given as digits.
pub fn text(sxp: &Value, wanted: &str) -> Option<String> {
    match value(sxp, wanted)? {
        Value::Str(text) => Some(text.clone()),
        Value::Int(int) => Some(int.to_string()),
        _ => None,
    }
}

/// The number of the first member `(wanted number)`; digits as text are taken, as clients send
/// either.
pub fn int(sxp: &Value, wanted: &str) -> Option<i64> {
    match value(sxp, wanted)? {
        Value::Str(text) => text.parse().ok(),
        other => other.as_int(),
    }
}

/// The number with a fraction of the first member `(wanted number)`.
pub fn number(sxp: &Value, wanted: &str) -> Option<f64> {
    match value(sxp, wanted)? {
        Value::Double(number) => Some(*number),
        Value::Int(int) => Some(*int as f64),
        _ => None,
    }
}

/// The expression as `xm list -l` prints it: what has no expressions inside stands on one line.
pub fn pretty(sxp: &Value) -> String {
    let mut out = String::new();
    write(sxp, 0, &mut out);
    out
}

fn write(sxp: &Value, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    out.push_str(&indent);
    let members = sxp.as_array().unwrap_or_default();
    if !members.iter().any(|member| member.as_array().is_some()) {
        out.push_str(&flat(sxp));
        return;
    }
    let atoms = members.iter().take_while(|member| member.as_array().is_none());
    let atoms: Vec<String> = atoms.map(flat).collect();
    out.push('(');
    out.push_str(&atoms.join(" "));
    for member in &members[atoms.len()..] {
        out.push('\n');
        write(member, depth + 1, out);
    }
    out.push('\n');
    out.push_str(&indent);
    out.push(')');
}

fn flat(sxp: &Value) -> String {
    match sxp {
        Value::Nil => "()".to_owned(),
        Value::Bool(truth) => i32::from(*truth).to_string(),
        Value::Int(int) => int.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Str(text) => quoted(text),
        Value::Array(members) => {
            format!("({})", members.iter().map(flat).collect::<Vec<_>>().join(" "))
        }
        Value::Struct(members) => {
            let pair = |(name, value): (&String, &Value)| format!("({name} {})", flat(value));
            format!("({})", members.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
    }
}

/// An atom stands bare unless it would be read as something else.
fn quoted(text: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./:+=,@%^*".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name() {
        let sxp = list("domain", [pair("name", "juliet"), pair("memory", 256), pair("n", "7")]);
        assert_eq!(text(&sxp, "name").as_deref(), Some("juliet"));
        assert_eq!(
            (int(&sxp, "memory"), int(&sxp, "n"), int(&sxp, "x")),
            (Some(256), Some(7), None)
        );
        assert_eq!(number(&sxp, "memory"), Some(256.0));
        assert_eq!(name(&sxp), Some("domain"));
        assert_eq!(value(&Value::Nil, "name"), None);
    }

    #[test]
    fn it_is_printed_as_people_know_it() {
        let vif = list("vif", [pair("mac", "00:16:3e:00:00:01"), pair("ip", "")]);
        let sxp = list("domain", [pair("name", "it's"), list("device", [vif])]);
        assert_eq!(
            pretty(&sxp),
            "(domain\n    (name 'it\\'s')\n    (device\n        (vif\n            \
             (mac 00:16:3e:00:00:01)\n            (ip '')\n        )\n    )\n)"
        );
    }
}
