//! The environment of methods: setenv and unsetenv.

use svc::fmri::Fmri;
use svc::repo::{Change, View};
use svc::value::{PropType, Property};

use super::{Command, options, syntax, words};
use crate::lexer::Token;
use crate::session::{NO_INSTANCE, Result, Session, fail};

pub const COMMANDS: &[Command] =
    &[Command { name: "setenv", run: setenv }, Command { name: "unsetenv", run: unsetenv }];

/// The property that holds `NAME=value` for each variable.
const ENVIRONMENT: &str = "environment";
const CONTEXT: &str = "method_context";
const METHOD: &str = "method";
/// The methods that start a service, whoever its restarter is (svccfg(8)).
const STARTS: [&str; 2] = ["start", "inetd_start"];

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
    let (options, args) = options(command, args)?;
    let operands = words(command, args, 1, 2)?;
    let place = match options.as_slice() {
        [] => Place::Start,
        [('s', _)] => Place::Service,
        [('i', _)] => Place::Instance,
        [('m', Some(method))] => Place::Method(method.clone()),
        _ => return syntax(command),
    };
    let (name, value) = match (command, operands.as_slice()) {
        ("setenv", [name, value]) => (*name, Some(*value)),
        ("unsetenv", [name]) => (*name, None),
        _ => return syntax(command),
    };
    session.edit(|session| {
        let (fmri, pg) = locate(session, &place)?;
        change(session, fmri, pg, name, value)
    })
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
            for method in STARTS {
                for fmri in [&selected, &selected.service()] {
                    if is_method(fmri, method)? {
                        return Ok((fmri.clone(), method.to_owned()));
                    }
                }
            }
            fail("Couldn't find start method; please specify a method with '-m'.")
        }
    }
}

/// Replaces or removes variable `name` in group `pg` of `fmri`.
fn change(
    session: &Session,
    fmri: Fmri,
    pg: String,
    name: &str,
    value: Option<&str>,
) -> Result<Vec<Change>> {
    let group = session.repo()?.pg(&fmri, &pg, &View::Direct)?;
    let before = group.and_then(|mut group| group.props.remove(ENVIRONMENT));
    let Property { ty, mut values } = match (before, value) {
        (Some(property), _) => property,
        (None, Some(_)) => Property { ty: PropType::Astring, values: Vec::new() },
        (None, None) => return fail(format!("No such property {pg}/{ENVIRONMENT}.")),
    };
    let is_it = |entry: &str| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with('='));
    values.retain(|entry| !is_it(entry));
    values.extend(value.map(|value| format!("{name}={value}")));
    let mut changes = Vec::new();
    if pg == CONTEXT {
        let (fmri, pg, ty) = (fmri.clone(), pg.clone(), "framework".to_owned());
        changes.push(Change::AddPg { fmri, pg, ty, persistent: true });
    }
    changes.push(Change::SetProp { fmri, pg, prop: ENVIRONMENT.to_owned(), ty, values });
    Ok(changes)
}
