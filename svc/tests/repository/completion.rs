//! What shells complete, by the scripts that are installed, with names from the repository.

use std::path::Path;

use svc::cli::{Command, SVCADM, SVCCFG, SVCPROP, SVCS, completion};

use crate::fixture::System;

/// A shell, asked for the words that it offers after a line.
type Offered = fn(&System, &Command, &str) -> Vec<String>;

fn run(system: &System, shell: &str, args: &[&str]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_BIN_EXE_svcs")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = system.command(shell, args).env("PATH", path).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    words.sort();
    words
}

/// As readline gets them.
fn in_bash(system: &System, command: &Command, line: &str) -> Vec<String> {
    let script = system.write(command.name, &completion::bash::script(command));
    // The bar is where the cursor is, if not at the end.
    let at = line.find('|').unwrap_or(line.len());
    let test = format!(
        ". {script}; COMP_WORDBREAKS=':= '; COMP_LINE=\"$1\"; COMP_POINT={at}\n\
         _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        name = command.name
    );
    run(system, "bash", &["-c", &test, "bash", &line.replacen('|', "", 1)])
}

/// As its completion system gets them.
fn in_zsh(system: &System, command: &Command, line: &str) -> Vec<String> {
    let name = format!("_{}", command.name);
    let script = system.write(&name, &completion::zsh::script(command));
    let test = system.write("offered.zsh", include_str!("offered.zsh"));
    let notes = system.write("notes", "");
    run(system, "zsh", &["-f", &test, &script, line, &notes])
}

fn commands_options_and_words(offered: Offered) {
    let system = System::with_xend();
    let svcadm = |line: &str| offered(&system, &SVCADM, line);
    assert_eq!(svcadm("svcadm en"), ["enable"]);
    assert_eq!(svcadm("svcadm enable -"), ["-T", "-r", "-s", "-t"]);
    assert_eq!(svcadm("svcadm -S main"), ["maintenance"]);
    assert_eq!(svcadm("svcadm mark d"), ["degraded"]);
    assert!(svcadm("svcadm enable -T ").is_empty());
    assert_eq!(svcadm("svcadm milestone a"), ["all"]);
    assert_eq!(offered(&system, &SVCPROP, "svcprop -s ru"), ["running"]);
    assert_eq!(offered(&system, &SVCCFG, "svccfg -s xend listp"), ["listpg", "listprop"]);
    assert_eq!(offered(&system, &SVCCFG, "svccfg extract -l m"), ["manifest"]);
}

fn services_and_properties(offered: Offered) {
    let system = System::with_xend();
    let svcadm = |line: &str| offered(&system, &SVCADM, line);
    assert_eq!(svcadm("svcadm mark -It maintenance xe"), ["xend:default"]);
    assert_eq!(svcadm("svcadm disable -c enable sys"), ["system/xvm/xend:default"]);
    assert_eq!(offered(&system, &SVCCFG, "svccfg -s sys"), ["system/xvm/xend:default"]);
    let properties = ["config/default-nic", "config/dom0-min-mem"];
    for command in ["setprop", "delprop", "addpropvalue", "listprop", "describe -v"] {
        let line = format!("svccfg -s xend {command} config/d");
        assert_eq!(offered(&system, &SVCCFG, &line), properties, "{line}");
    }
    assert_eq!(offered(&system, &SVCCFG, "svccfg -s xend delpg star")[0], "start");
    assert!(offered(&system, &SVCCFG, "svccfg setprop config/d").is_empty(), "of nothing");
}

#[test]
fn bash_completes_commands_options_and_words() {
    commands_options_and_words(in_bash);
    let system = System::with_xend();
    let columns = in_bash(&system, &SVCS, "svcs -o FMRI,ST");
    assert_eq!(columns, ["FMRI,STA", "FMRI,STATE", "FMRI,STIME"]);
}

#[test]
fn bash_completes_services_and_properties() {
    services_and_properties(in_bash);
    let system = System::with_xend();
    // Readline has replaced what is before the colon already.
    let fmri = in_bash(&system, &SVCADM, "svcadm -v restart svc:/sys");
    assert_eq!(fmri, ["/system/xvm/xend:default"]);
    assert_eq!(in_bash(&system, &SVCADM, "svcadm restart xend:d"), ["default"]);
    let group = in_bash(&system, &SVCPROP, "svcprop -p general| xend");
    assert_eq!(group, ["general", "general/enabled"]);
    let manifest = system.write("a.toml", "");
    let line = format!("svccfg import {}", &manifest[..manifest.len() - 1]);
    assert_eq!(in_bash(&system, &SVCCFG, &line), [manifest]);
}

/// A host need not have zsh.
fn has_zsh() -> bool {
    ["/usr/bin/zsh", "/bin/zsh"].iter().any(|path| Path::new(path).exists())
}

#[test]
fn zsh_completes_commands_options_and_words() {
    if has_zsh() {
        commands_options_and_words(in_zsh);
        let columns = in_zsh(&System::with_xend(), &SVCS, "svcs -o FMRI,ST");
        assert_eq!(columns, ["STA", "STATE", "STIME"]);
    }
}

#[test]
fn zsh_completes_services_and_properties() {
    if has_zsh() {
        services_and_properties(in_zsh);
        let system = System::with_xend();
        let fmri = in_zsh(&system, &SVCADM, "svcadm -v restart svc:/sys");
        assert_eq!(fmri, ["svc:/system/xvm/xend:default"]);
    }
}
