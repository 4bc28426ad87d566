//! `xm info`, `dmesg`, `log`: about the host and xend itself.

use std::io::Write;

use super::getopt::{Parsed, flag};
use super::{Command, Outcome, Xend, XmError};
use crate::rpc::Value;
use crate::sxp;

pub(super) const INFO: Command = Command {
    name: "info",
    arguments: "[-c|--config]",
    help: "Get information about Xen host.",
    options: &[flag('c', "config", "List Xend configuration parameters")],
    words: (0, 0),
    run: run_info,
};

pub(super) const DMESG: Command = Command {
    name: "dmesg",
    arguments: "[-c|--clear]",
    help: "Read and/or clear Xen's message buffer.",
    options: &[flag('c', "clear", "Clear dmesg buffer as well as printing it")],
    words: (0, 0),
    run: run_dmesg,
};

pub(super) const LOG: Command = Command {
    name: "log",
    arguments: "",
    help: "Print Xend log",
    options: &[],
    words: (0, 0),
    run: |xend, _| {
        let log = xend.call("xend.node.log", vec![])?;
        print_text(&log)
    },
};

fn run_info(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let (method, width) = match parsed.has("config") {
        true => ("xend.node.config", 38),
        false => ("xend.node.info", 23),
    };
    let answer = xend.call(method, vec![])?;
    for member in answer.as_array().unwrap_or_default() {
        let Some(name) = sxp::name(member) else { continue };
        let value = match member.as_array().and_then(|member| member.get(1)) {
            Some(Value::Int(int)) => int.to_string(),
            Some(Value::Str(text)) if !text.is_empty() => text.clone(),
            _ => "(none)".to_owned(),
        };
        println!("{name:<width$}: {value}");
    }
    Ok(())
}

fn run_dmesg(xend: &mut Xend, parsed: &Parsed) -> Outcome {
    let method = if parsed.has("clear") { "xend.node.dmesg.clear" } else { "xend.node.dmesg.info" };
    let messages = xend.call(method, vec![])?;
    print_text(&messages)
}

fn print_text(text: &Value) -> Outcome {
    let text = text.as_str().unwrap_or_default();
    let failed = |error| XmError::Failed(format!("cannot print: {error}"));
    std::io::stdout().write_all(text.as_bytes()).map_err(failed)
}
