//! svccfg as a person types it: prompts, values over several lines, completion, errors that end
//! nothing.

use crate::fixture::System;
use crate::terminal::Terminal;

struct Typist {
    terminal: Terminal,
}

impl Typist {
    fn at(system: &System, args: &[&str]) -> Self {
        let mut command = system.command(env!("CARGO_BIN_EXE_svccfg"), args);
        command.env("TERM", "dumb").env("HOME", system.path());
        Self { terminal: Terminal::start(&mut command) }
    }

    /// Types `line` at the prompt `prompt`, and waits for the answer.
    fn says(&mut self, prompt: &str, line: &str, answer: &str) {
        self.terminal.expect(prompt);
        self.terminal.press(&format!("{line}\r"));
        if !answer.is_empty() {
            self.terminal.expect(answer);
        }
    }
}

const SERVICE: &str = "svc:/system/xvm/xend> ";

#[test]
fn a_session_is_a_conversation() {
    let system = System::with_xend();
    let mut typist = Typist::at(&system, &[]);
    typist.says("svc:> ", "select xend", "");
    typist.says(SERVICE, "listprop config/dom0-min-mem", "config/dom0-min-mem  integer  196");
    typist.says(SERVICE, "frobnicate", "Unknown command \"frobnicate\"");
    typist.says(SERVICE, "setprop config/hosts = astring: (\"a b\" # and more", "");
    typist.says("> ", "c\"\"", "");
    typist.says("> ", ")", "");
    typist.says(SERVICE, "listprop config/hosts", "config/hosts  astring  \"a b\" \"c\" \"\"");
    typist.says(SERVICE, "setprop config/default-nic = \"\"", "");
    typist.says(SERVICE, "setprop config/keymap = astring: \"one", "");
    typist.says("> ", "two\"", "");
    typist.says(SERVICE, "select xend:default", "");
    typist.says("svc:/system/xvm/xend:default> ", "selectsnap running", "");
    typist.says("[running]svc:/system/xvm/xend:default> ", "set", "noverbose");
    typist.says("[running]svc:/system/xvm/xend:default> ", "end", "");
    assert_eq!(typist.terminal.end(), Some(0));
    assert_eq!(system.svcprop(&["-cp", "config/hosts", "xend"]).ok(), "a\\ b c \"\"\n");
    assert_eq!(system.svcprop(&["-cp", "config/default-nic", "xend"]).ok(), "\"\"\n");
    assert_eq!(system.svcprop(&["-cp", "config/keymap", "xend"]).ok(), "one\\\ntwo\n");
}

const CONFIG: &str = "<property_group name='config' type='application'/>";

/// A manifest whose template wants a group `config`.
fn manifest(name: &str, groups: &str) -> String {
    format!(
        "<?xml version='1.0'?><!DOCTYPE service_bundle SYSTEM 'x'>
         <service_bundle type='manifest' name='t'><service name='{name}' type='service' version='1'>
         <create_default_instance enabled='false'/>{groups}<template>
         <pg_pattern name='config' type='application' required='true'>
         <description><loctext xml:lang='C'>settings of {name}</loctext></description>
         </pg_pattern></template></service></service_bundle>"
    )
}

#[test]
fn the_end_of_input_ends_it_and_templates_are_kept_to() {
    let system = System::start();
    let file = system.write("a.xml", &manifest("a", ""));
    let mut typist = Typist::at(&system, &[]);
    typist.says("svc:> ", &format!("import {file}"), "Import of");
    system.svccfg(&["import", &system.write("b.xml", &manifest("b", CONFIG))]).ok();
    typist.says("svc:> ", "select b", "");
    typist.says("svc:/b> ", "listpg config", "config  application\r\n    settings of b\r\n");
    typist.says("svc:/b> ", "unselect", "");
    typist.terminal.expect("svc:> ");
    typist.terminal.press("\x04");
    assert_eq!(typist.terminal.end(), Some(0));
    assert_eq!(system.svccfg(&["list"]).ok(), "b\n", "the first was not imported");
}
