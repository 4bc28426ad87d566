//! How values are typed to svccfg: through a shell, in a file, on standard input. What is set is
//! read back by svcprop, and listprop's and export's spellings are read back by svccfg.

use std::io::Write;
use std::process::Stdio;

use svc::fmri::Fmri;
use svc::repo::View;

use crate::fixture::{Done, System};

/// What `config/x` of a service holds, byte by byte.
fn values(system: &System) -> Vec<String> {
    let fmri = Fmri::parse("svc:/system/xvm/xend").unwrap();
    let group = system.repo().pg(&fmri, "config", &View::Direct).unwrap().unwrap();
    group.get("x").map(|property| property.values.clone()).unwrap_or_default()
}

fn through_stdin(system: &System, text: &str) -> Done {
    let mut child = system
        .command(env!("CARGO_BIN_EXE_svccfg"), &["-s", "xend"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// What svccfg reads, and the values that it comes to.
const SPELLINGS: &[(&str, &[&str])] = &[
    ("x", &["x"]),
    ("\"\"", &[""]),
    ("astring: \"\"", &[""]),
    ("astring:\"\"", &[""]),
    ("\"a b\"", &["a b"]),
    ("a\\b", &["a\\b"]),
    ("\"a\\\\b\"", &["a\\b"]),
    ("\"a\\.b\"", &["a.b"]),
    ("\"say \\\"hi\\\"\"", &["say \"hi\""]),
    ("\"a # b\"", &["a # b"]),
    ("a#b", &["a#b"]),
    ("a # b", &["a"]),
    ("it's", &["it's"]),
    ("'a'", &["'a'"]),
    ("$HOME", &["$HOME"]),
    ("\"a=b\"", &["a=b"]),
    ("\"(a) > b\"", &["(a) > b"]),
    ("\"line\nbreak\ttab\"", &["line\nbreak\ttab"]),
    ("\"grüße ☃\"", &["grüße ☃"]),
    ("astring:", &["astring:"]),
    ("http://x:80/", &["http://x:80/"]),
    ("-5", &["-5"]),
    ("()", &[]),
    ("(\"\")", &[""]),
    ("(a)", &["a"]),
    ("(a b)", &["a", "b"]),
    ("astring:(a\"b c\"d)", &["a", "b c", "d"]),
    ("(\n  a # first\n\n  \"b\"\n)", &["a", "b"]),
    ("astring: (a \"b)\" \"(c\")", &["a", "b)", "(c"]),
];

#[test]
fn a_file_and_standard_input_are_read_alike() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/x", "=", "astring:", "()"]).ok();
    for (spelling, expected) in SPELLINGS {
        for text in [
            format!("setprop config/x = {spelling}\n"),
            format!("setprop config/x={spelling}"),
            format!("\n# {{\"(\n\tsetprop  config/x\t= {spelling} \n"),
        ] {
            let script = format!("select xend\n{text}");
            let file = system.write("script", &script);
            system.svccfg(&["-s", "xend", "setprop", "config/x", "=", "other"]).ok();
            system.svccfg(&["-f", &file]).ok();
            assert_eq!(values(&system), *expected, "{text}");
            system.svccfg(&["-s", "xend", "setprop", "config/x", "=", "other"]).ok();
            through_stdin(&system, &text).ok();
            assert_eq!(values(&system), *expected, "{text}");
        }
    }
}

/// As the shell leaves them: it takes one level of quotes, svccfg the other (svccfg(8)).
#[test]
fn a_command_line_is_read_after_the_shell() {
    let system = System::with_xend();
    system.svccfg(&["-s", "xend", "setprop", "config/x", "=", "astring:", "()"]).ok();
    let table: &[(&str, &[&str])] = &[
        (r#"= x"#, &["x"]),
        (r#"=x"#, &["x"]),
        (r#"= \"\""#, &[""]),
        (r#"= '""'"#, &[""]),
        (r#"= """#, &[""]),
        (r#"=\"\""#, &[""]),
        (r#"= astring: """#, &[""]),
        (r#"= '"a b"'"#, &["a b"]),
        (r#"= \"a b\""#, &["a b"]),
        (r#"= "\"a  b\"""#, &["a  b"]),
        (r#"= '("a b" c)'"#, &["a b", "c"]),
        (r#"= \(a b\)"#, &["a", "b"]),
        (r#"= astring: \( \"a b\" \"\" \)"#, &["a b", ""]),
        (r#"= '"^host1\.?.*$ ^localhost$"'"#, &["^host1.?.*$ ^localhost$"]),
        (r#"= '"a\\b"'"#, &["a\\b"]),
        (r#"= 'a\b'"#, &["a\\b"]),
        (r#"= '"a # b"'"#, &["a # b"]),
        (r#"= "'a'""#, &["'a'"]),
        ("= '\"a\nb\"'", &["a\nb"]),
    ];
    for (typed, expected) in table {
        system.svccfg(&["-s", "xend", "setprop", "config/x", "=", "other"]).ok();
        system.shell(&format!("svccfg -s xend setprop config/x {typed}")).ok();
        assert_eq!(values(&system), *expected, "{typed}");
    }
    for typed in
        [r#"= a b"#, "=", r#"= "a b""#, r#"= '"a'"#, r#"= '(a'"#, "x", "= = x", r#"= a \> b"#]
    {
        let error = system.shell(&format!("svccfg -s xend setprop config/x {typed}"));
        assert!(error.failed().starts_with("svccfg: Syntax error"), "{typed}");
    }
}

/// Nothing that is shown reads back as something else.
#[test]
fn what_is_shown_is_read_back() {
    let system = System::with_xend();
    let odd = [
        "",
        " ",
        "\"",
        "\\",
        "\\\"",
        "a\\",
        "(",
        ")",
        "#",
        "# a",
        "=",
        "a=b",
        ">",
        "\t",
        "\n",
        "a\nb\n",
        "'",
        "`$(rm)`",
        "&amp;<x>]]>",
        "ü",
        "\u{1}",
        "astring:",
        "\r",
    ];
    let quoted = |value: &&str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let list: Vec<String> = odd.iter().map(quoted).collect();
    let set = |list: &str| {
        let file =
            system.write("script", &format!("select xend\nsetprop config/x = astring: ({list})\n"));
        system.svccfg(&["-f", &file]).ok();
    };
    set(&list.join(" "));
    assert_eq!(values(&system), odd);
    let shown = system.svccfg(&["-s", "xend", "listprop", "config/x"]).ok();
    let (_, shown) = shown.split_once("astring  ").unwrap();
    set("other");
    set(shown.trim_end_matches('\n'));
    assert_eq!(values(&system), odd, "{shown}");
    let toml = system.write("copy.toml", &system.shell("svccfg export -t xend").ok());
    let other = System::start();
    other.svccfg(&["import", &toml]).ok();
    assert_eq!(values(&other), odd);
}

#[test]
fn odd_names_are_names_like_others() {
    let system = System::with_xend();
    let long = "n".repeat(119);
    for name in ["a-b", "a.b", "a_b", "Z9", "dom,a", "set", "end", long.as_str()] {
        let script = format!(
            "select xend\naddpg {name} {name}\nsetprop {name}/{name} = astring: {name}\nlistprop {name}/{name}\n"
        );
        let listed = system.svccfg(&["-f", &system.write("script", &script)]).ok();
        assert_eq!(listed, format!("{name}/{name}  astring  {name}\n"));
    }
    for name in ["9a", "-a", "a b", "a/b", "a:b", "ä", "", &"n".repeat(120)] {
        let error = system.svccfg(&["-s", "xend", "addpg", name, "application"]).failed();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_value_may_be_a_megabyte() {
    let system = System::with_xend();
    let large = "a \"\\\n".repeat(1 << 18);
    assert!(large.len() > 1 << 20);
    let quoted = large.replace('\\', "\\\\").replace('"', "\\\"");
    let script =
        format!("select xend\nsetprop config/x = astring: \"{quoted}\"\nlistprop config/x\n");
    let listed = system.svccfg(&["-f", &system.write("script", &script)]).ok();
    assert_eq!(values(&system), [large.as_str()]);
    assert_eq!(listed, format!("config/x  astring  \"{quoted}\"\n"));
    let file = system.write("copy.toml", &system.shell("svccfg export -t xend").ok());
    let other = System::start();
    other.svccfg(&["import", &file]).ok();
    assert_eq!(values(&other), [large.as_str()]);
}

#[test]
fn a_hundred_thousand_properties_are_listed_and_exported() {
    const COUNT: usize = 100_000;
    let system = System::start();
    let lines: String =
        (0..COUNT).map(|number| format!("p{number} = \"value {number}\"\n")).collect();
    let manifest =
        format!("service = \"big\"\n[group.config.property]\n{lines}[instance.default]\n");
    system.svccfg(&["import", &system.write("big.toml", &manifest)]).ok();
    let listed = system.svccfg(&["-s", "svc:/big", "listprop"]).ok();
    assert_eq!(listed.lines().count(), COUNT + 1);
    assert!(listed.contains("config/p99999  astring  \"value 99999\"\n"));
    assert_eq!(system.svcprop(&["-c", "big:default"]).ok().lines().count(), COUNT);
    assert_eq!(system.svccfg(&["-s", "svc:/big", "listcust"]).ok(), "");
    let xml = system.svccfg(&["export", "svc:/big"]).ok();
    assert!(xml.contains("name='p99999' type='astring' value='value 99999'"));
    system.svccfg(&["-s", "svc:/big", "setprop", "config/p5", "=", "mine"]).ok();
    system.svccfg(&["import", &system.write("big.xml", &xml)]).ok();
    let listed = system.svccfg(&["-s", "svc:/big", "listprop", "config/p5"]).ok();
    assert_eq!(listed, "config/p5  astring  mine\n");
}
