//! What templates say of the selection and its properties: describe.

use std::fmt::Write;

use svc::glob;
use svc::repo::View;
use svc::value::{Groups, PropertyGroup};

use super::{Command, switches, words};
use crate::lexer::Token;
use crate::session::{Result, Session};

pub const COMMANDS: &[Command] = &[Command { name: "describe", run: describe }];

/// The language of texts.
const LOCALE: &str = "C";

fn describe(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([verbose, templates], args) = switches("describe", args, ['v', 't'])?;
    let pattern = words("describe", args, 0, 1)?.first().copied();
    let fmri = session.selected()?.clone();
    // Templates are the service's; an instance inherits them.
    let groups = session.repo()?.pgs(&fmri, &View::Composed)?;
    let mut text = String::new();
    if pattern.is_none() {
        let names = groups.get("tm_common_name").and_then(|group| group.first(LOCALE));
        let _ = writeln!(text, "{fmri}  {}", names.unwrap_or_default());
        if verbose && let Some(about) = said(groups.get("tm_description"), LOCALE) {
            let _ = writeln!(text, "    {about}");
        }
    }
    let wanted = |name: &str| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    for (pg, group) in groups.iter().filter(|(pg, _)| !pg.starts_with("tm_")) {
        if wanted(pg) {
            let _ = writeln!(text, "{pg}  {}", group.ty);
        }
        for (name, property) in &group.props {
            let whole = format!("{pg}/{name}");
            if !wanted(pg) && !wanted(&whole) {
                continue;
            }
            let value = if templates { String::new() } else { property.values.join(" ") };
            let _ = writeln!(text, "{whole}  {}  {value}", property.ty);
            let about = pattern_of(&groups, pg, name);
            for (prefix, always) in [("common_name_", true), ("description_", verbose)] {
                if always && let Some(said) = said(about, &format!("{prefix}{LOCALE}")) {
                    let _ = writeln!(text, "    {said}");
                }
            }
        }
    }
    session.print(&text)
}

/// One line of what a group says.
fn said(group: Option<&PropertyGroup>, prop: &str) -> Option<String> {
    let text = group?.first(prop)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The template of a property (smf_template(7)), wherever its group's template is bound.
fn pattern_of<'a>(groups: &'a Groups, pg: &str, prop: &str) -> Option<&'a PropertyGroup> {
    let ending = format!("_{pg}_{prop}");
    let found = groups.iter().find(|(name, group)| {
        name.starts_with("tm_proppat_")
            && name.ends_with(&ending)
            && group.first("prop_name").is_none_or(|name| name == prop)
    });
    found.map(|(_, group)| group)
}
