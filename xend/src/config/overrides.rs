//! `key=value` arguments of `xm create`, which take precedence over the file.

use super::error::{ConfigError, Pos, Problem, Source};
use super::parser::{Variable, Variables, parse_expression};
use super::value::{Item, Value};

/// The settings that a command line may name: all that have a meaning.
const KEYS: [&str; 23] = [
    "name",
    "uuid",
    "memory",
    "maxmem",
    "vcpus",
    "maxvcpus",
    "cpus",
    "kernel",
    "ramdisk",
    "root",
    "extra",
    "cmdline",
    "disk",
    "vif",
    "on_poweroff",
    "on_shutdown",
    "on_reboot",
    "on_crash",
    "bootloader",
    "type",
    "builder",
    "localtime",
    "on_watchdog",
];

/// Reads the arguments. `disk` and `vif` may be repeated: each names one more.
pub fn parse(arguments: &[String]) -> Result<Variables, ConfigError> {
    let mut variables = Variables::new();
    for argument in arguments {
        let refuse = |reason| Problem::general(reason).within(&Source::CommandLine);
        let (key, text) = argument
            .split_once('=')
            .ok_or_else(|| refuse(format!("'{argument}' is not of the form KEY=VALUE")))?;
        if !KEYS.contains(&key) {
            return Err(refuse(format!("'{key}' is no setting of a guest")));
        }
        let value = value_of(key, text).map_err(|problem| problem.within(&Source::CommandLine))?;
        put(&mut variables, key, value);
    }
    Ok(variables)
}

const PLACE: Pos = Pos { line: 1, column: 1 };

/// A shell has eaten the quotes that a file would have: what is no list, no quoted string and no
/// number is a string.
fn value_of(key: &str, text: &str) -> Result<Value, Problem> {
    let listed = matches!(key, "disk" | "vif");
    let value = match text.trim_start().chars().next() {
        Some('[' | '"' | '\'') => parse_expression(text)?.value,
        _ => match parse_expression(text).map(|item| item.value) {
            Ok(value @ Value::Int(_)) if !listed => value,
            _ => Value::Str(text.to_owned()),
        },
    };
    Ok(match value {
        single @ Value::Str(_) if listed => Value::List(vec![Item { value: single, at: PLACE }]),
        other => other,
    })
}

fn put(variables: &mut Variables, key: &str, value: Value) {
    let more = match (variables.remove(key).map(|old| old.item.value), value) {
        (Some(Value::List(mut old)), Value::List(new)) => {
            old.extend(new);
            Value::List(old)
        }
        (_, value) => value,
    };
    let item = Item { value: more, at: PLACE };
    variables.insert(key.to_owned(), Variable { item, at: PLACE, used: false });
}
