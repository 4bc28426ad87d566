//! The environment of methods: setenv and unsetenv.

use svc::fmri::Fmri;
use svc::getopt;
use svc::repo::{Change, View};

use super::property::{add_value, remove_values};
use super::{Command, syntax, words};
use crate::lexer::Token;
use crate::session::{NO_INSTANCE, Result, Session, fail};

pub const COMMANDS: &[Command] =
    &[Command { name: "setenv", run: setenv }, Command { name: "unsetenv", run: unsetenv }];

/// The property that holds `NAME=value` for each variable.
const ENVIRONMENT: &str = "environment";
const CONTEXT: &str = "method_context";
const METHOD: &str = "method";

fn setenv(session: &mut Session, args: &[Token]) -> Result<()> {
    run(session, "setenv", args)
}

fn unsetenv(session: &mut Session, args: &[Token]) -> Result<()> {
    run(session, "unsetenv", args)
}

/// Where a variable is set.
enum Place {
    Start,
    Service,
    Instance,
    Method(String),
}

fn run(session: &mut Session, command: &'static str, args: &[Token]) -> Result<()> {
    let words = words(command, args, 1, 5)?.into_iter().map(str::to_owned);
    let Ok((options, operands)) = getopt::parse(words, "sim:") else { return syntax(command) };
    let place = match options.as_slice() {
        [] => Place::Start,
        [('s', _)] => Place::Service,
        [('i', _)] => Place::Instance,
        [('m', Some(method))] => Place::Method(method.clone()),
        _ => return syntax(command),
    };
    let (name, value) = match (command, operands.as_slice()) {
        ("setenv", [name, value]) => (name, Some(value)),
        ("unsetenv", [name]) => (name, None),
        _ => return syntax(command),
    };
    let (target, group) = locate(session, &place)?;
    if value.is_some() && group == CONTEXT {
        let (fmri, pg, ty) = (target.clone(), group.clone(), "framework".to_owned());
        session.commit(vec![Change::AddPg { fmri, pg, ty, persistent: true }])?;
    }
    let selection = session.selection.replace(target);
    let done = change(session, &group, name, value);
    session.selection = selection;
    done
}

/// The entity and the property group of a place.
fn locate(session: &Session, place: &Place) -> Result<(Fmri, String)> {
    let selected = session.editable()?.clone();
    let is_method = |fmri: &Fmri, pg: &str| -> Result<bool> {
        let group = session.repo()?.pg(fmri, pg, &View::Direct)?;
        Ok(group.is_some_and(|group| group.ty == METHOD))
    };
    match place {
        Place::Service => Ok((selected.service(), CONTEXT.to_owned())),
        Place::Instance if selected.is_instance() => Ok((selected, CONTEXT.to_owned())),
        Place::Instance => fail(NO_INSTANCE),
        Place::Method(method) if is_method(&selected, method)? => Ok((selected, method.clone())),
        Place::Method(method) => fail(format!("Couldn't find the method \"{method}\".")),
        Place::Start => {
            for fmri in [&selected, &selected.service()] {
                if is_method(fmri, "start")? {
                    return Ok((fmri.clone(), "start".to_owned()));
                }
            }
            fail("Couldn't find start method; please specify a method with '-m'.")
        }
    }
}

/// Replaces or removes variable `name` in group `pg` of the selection.
fn change(session: &Session, pg: &str, name: &str, value: Option<&String>) -> Result<()> {
    let group = session.repo()?.pg(session.editable()?, pg, &View::Direct)?;
    let set_before = group.and_then(|mut group| group.props.remove(ENVIRONMENT));
    let is_it = |entry: &str| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    match (set_before, value) {
        (None, None) => return fail(format!("No such property {pg}/{ENVIRONMENT}.")),
        (None, Some(_)) => {}
        (Some(property), _) => remove_values(session, pg, ENVIRONMENT, property, is_it)?,
    }
    match value {
        Some(value) => {
            add_value(session, pg, ENVIRONMENT, Some("astring"), &format!("{name}={value}"))
        }
        None => Ok(()),
    }
}
