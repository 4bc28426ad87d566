//! What bash completes, by the scripts that are installed, with names from the repository.

use svc::cli::{Command, SVCADM, SVCCFG, SVCPROP, SVCS, completion};

use crate::fixture::System;

/// The words that are offered after `line`, as readline gets them.
fn offered(system: &System, command: &Command, line: &str) -> Vec<String> {
    let script = system.write(command.name, &completion::bash(command));
    let test = format!(
        ". {script}; COMP_WORDBREAKS=':= '; COMP_LINE=\"$1\"; COMP_POINT=${{#COMP_LINE}}\n\
         _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        name = command.name
    );
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_svcs")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut bash = system.command("bash", &["-c", &test, "bash", line]);
    let output = bash.env("PATH", path).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{line}");
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn services_options_and_words_are_completed() {
    let system = System::with_xend();
    let svcadm = |line: &str| offered(&system, &SVCADM, line);
    assert_eq!(svcadm("svcadm en"), ["enable"]);
    assert_eq!(svcadm("svcadm enable -r"), ["-r"]);
    assert_eq!(svcadm("svcadm -S main"), ["maintenance"]);
    assert_eq!(svcadm("svcadm mark d"), ["degraded"]);
    assert_eq!(svcadm("svcadm mark -It maintenance xe"), ["xend:default"]);
    assert_eq!(svcadm("svcadm disable -c enable sys"), ["system/xvm/xend:default"]);
    // Readline has replaced what is before the colon already.
    assert_eq!(svcadm("svcadm -v restart svc:/sys"), ["/system/xvm/xend:default"]);
    assert_eq!(svcadm("svcadm restart xend:d"), ["default"]);
    assert_eq!(svcadm("svcadm milestone a"), ["all"]);
    assert!(svcadm("svcadm enable -T ").is_empty());
    assert_eq!(
        offered(&system, &SVCS, "svcs -o FMRI,ST"),
        ["FMRI,STA", "FMRI,STATE", "FMRI,STIME"]
    );
    assert_eq!(offered(&system, &SVCPROP, "svcprop -s ru"), ["running"]);
    assert_eq!(offered(&system, &SVCCFG, "svccfg -s xend listp"), ["listpg", "listprop"]);
    let manifest = system.write("a.toml", "");
    assert_eq!(
        offered(&system, &SVCCFG, &format!("svccfg import {}", &manifest[..manifest.len() - 1])),
        [manifest]
    );
}
