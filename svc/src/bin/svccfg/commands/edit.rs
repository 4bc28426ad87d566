//! Editing the selection's properties in an editor: editprop.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command as Process;

use svc::fmri::Fmri;
use svc::repo::Guard;
use svc::value::{Groups, Property, PropertyGroup};
use tempfile::NamedTempFile;

use super::{Command, words};
use crate::lexer::{self, Token};
use crate::session::{Result, Session, fail};

pub const COMMANDS: &[Command] = &[Command { name: "editprop", run: editprop }];

/// Groups that describe the service rather than set it up.
const FRAMEWORK: [&str; 4] = ["dependency", "framework", "method", "template"];

fn editprop(session: &mut Session, args: &[Token]) -> Result<()> {
    words("editprop", args, 0, 0)?;
    let since = session.repo()?.generation()?;
    let text = script(session.editable()?, &session.groups()?);
    let file = edit(&text)?;
    // Whoever was in the editor for an hour doesn't undo what others did in that hour.
    session.guard = Some(Guard::new(since));
    let done = run(session, file.path());
    session.guard = None;
    done.or_else(|error| {
        let kept = file.into_temp_path().keep().map_err(|error| error.error)?;
        fail(format!("{error} What was edited is kept in {}.", kept.display()))
    })
}

/// Does what a file says.
fn run(session: &mut Session, file: &Path) -> Result<()> {
    // By name: many editors write another file and rename it.
    let edited = fs::read_to_string(file)?;
    let Ok(statements) = lexer::statements(&edited) else {
        return fail("Syntax error in what was edited: a quote or a parenthesis is not closed.");
    };
    statements.iter().try_for_each(|statement| session.execute(statement))
}

/// The commands that make the properties of `fmri` as they are, none of them in force yet.
fn script(fmri: &Fmri, groups: &Groups) -> String {
    let mut text = format!("# Take the # off a line to have it done.\n\nselect {fmri}\n\n");
    for (pg, group) in groups {
        if is_application(group) {
            text += &format!("# Property group \"{pg}\"\n# delprop {pg}\n");
            text += &format!("# addpg {pg} {}\n", group.ty);
            for (name, property) in &group.props {
                text += &format!("# setprop {pg}/{name} = {}\n", typed(property));
            }
            text.push('\n');
        }
    }
    text
}

fn is_application(group: &PropertyGroup) -> bool {
    group.persistent && !FRAMEWORK.contains(&group.ty.as_str())
}

fn typed(property: &Property) -> String {
    let quote = |value: &String| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    };
    let values: Vec<String> = property.values.iter().map(quote).collect();
    match values.as_slice() {
        [value] => format!("{}: {value}", property.ty),
        values => format!("{}: ({})", property.ty, values.join(" ")),
    }
}

/// What the administrator's editor makes of a text.
fn edit(text: &str) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::with_prefix("svccfg.")?;
    file.write_all(text.as_bytes())?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into());
    // A shell, since the variable may hold options, too.
    let line = format!("exec {editor} \"$1\"");
    let status = Process::new("/bin/sh").args(["-c", &line, "sh"]).arg(file.path()).status()?;
    if !status.success() {
        return fail(format!("{editor} ended with {status}; nothing is done."));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::PropType;

    #[test]
    fn what_is_offered_sets_what_is_there() {
        let mut group = PropertyGroup::new("application");
        let values = vec!["a \"b\"".to_owned(), "c\\d".to_owned()];
        group.props.insert("x".to_owned(), Property { ty: PropType::Astring, values });
        let groups = Groups::from([("config".to_owned(), group)]);
        let text = script(&Fmri::parse("svc:/a").unwrap(), &groups);
        let line = text.lines().find_map(|line| line.strip_prefix("# setprop ")).unwrap();
        let tokens = lexer::statements(&format!("setprop {line}\n")).unwrap().remove(0).tokens;
        let words: Vec<_> = tokens.iter().filter_map(Token::text).collect();
        assert!(words.ends_with(&["a \"b\"", "c\\d"]), "{words:?}");
        assert_eq!(lexer::statements(&text).unwrap().len(), 1, "all but select is commented out");
    }
}
