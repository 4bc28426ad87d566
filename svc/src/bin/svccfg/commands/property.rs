//! Property groups and properties of the selection.

use svc::glob;
use svc::repo::{Change, View};
use svc::template::Templates;
use svc::value::{PropType, Property, PropertyGroup};

use super::{Command, syntax, words};
use crate::lexer::Token;
use crate::listing::{self, Depth};
use crate::session::{Result, Session, fail};

pub const COMMANDS: &[Command] = &[
    Command { name: "addpg", run: addpg },
    Command { name: "addpropvalue", run: addpropvalue },
    Command { name: "delpg", run: delpg },
    Command { name: "delprop", run: delprop },
    Command { name: "delpropvalue", run: delpropvalue },
    Command { name: "listpg", run: listpg },
    Command { name: "listprop", run: listprop },
    Command { name: "setprop", run: setprop },
];

fn listpg(session: &mut Session, args: &[Token]) -> Result<()> {
    let pattern = words("listpg", args, 0, 1)?.first().copied();
    let mut groups = session.groups()?;
    groups.retain(|pg, _| pattern.is_none_or(|pattern| glob::matches(pattern, pg)));
    let table = listing::table(&groups, None, Depth::Groups);
    if !session.interactive {
        return session.print(&table);
    }
    // A person is told what they are for, too.
    let templates = Templates::edited(session.repo()?, session.selected()?)?;
    let mut text = String::new();
    for (line, (pg, group)) in table.lines().zip(&groups) {
        text.extend([line, "\n"]);
        let about = templates.group(pg, &group.ty).and_then(|about| about.description.as_deref());
        about.into_iter().for_each(|about| text.extend(["    ", about, "\n"]));
    }
    session.print(&text)
}

fn listprop(session: &mut Session, args: &[Token]) -> Result<()> {
    let pattern = words("listprop", args, 0, 1)?.first().copied();
    session.print(&listing::table(&session.groups()?, pattern, Depth::Properties))
}

fn addpg(session: &mut Session, args: &[Token]) -> Result<()> {
    let words = words("addpg", args, 2, 3)?;
    let persistent = match words.get(2) {
        None | Some(&"p") => true,
        Some(&"P") => false,
        Some(flag) => return fail(format!("Invalid property group flag {flag}.")),
    };
    let fmri = session.editable()?.clone();
    let (pg, ty) = (words[0].to_owned(), words[1].to_owned());
    if session.repo()?.property(&fmri, &pg, "", &View::Direct)?.is_some() {
        return fail("Property group already exists.");
    }
    session.commit(vec![Change::AddPg { fmri, pg, ty, persistent }])
}

fn delpg(session: &mut Session, args: &[Token]) -> Result<()> {
    let pg = words("delpg", args, 1, 1)?[0];
    if pg.contains('/') {
        return fail(format!("Invalid property group name \"{pg}\"."));
    }
    delete(session, pg)
}

fn delprop(session: &mut Session, args: &[Token]) -> Result<()> {
    delete(session, words("delprop", args, 1, 1)?[0])
}

fn delete(session: &mut Session, name: &str) -> Result<()> {
    session.edit(|session| {
        let fmri = session.editable()?.clone();
        let change = match name.split_once('/') {
            None => {
                group(session, name, "")?;
                Change::DelPg { fmri, pg: name.to_owned() }
            }
            Some((pg, prop)) => {
                existing(session, pg, prop)?;
                Change::DelProp { fmri, pg: pg.to_owned(), prop: prop.to_owned() }
            }
        };
        Ok(vec![change])
    })
}

/// A group of the selection, with property `prop` alone.
fn group(session: &Session, pg: &str, prop: &str) -> Result<PropertyGroup> {
    match session.repo()?.property(session.editable()?, pg, prop, &View::Direct)? {
        Some(group) => Ok(group),
        None => fail(format!("No such property group \"{pg}\".")),
    }
}

/// A property of the selection.
fn existing(session: &Session, pg: &str, prop: &str) -> Result<Property> {
    match group(session, pg, prop)?.props.remove(prop) {
        Some(property) => Ok(property),
        None => fail(format!("No such property {pg}/{prop}.")),
    }
}

fn split(name: &str) -> Result<(&str, &str)> {
    match name.split_once('/') {
        Some(parts) => Ok(parts),
        None => fail("Property names must contain a `/'."),
    }
}

/// `[type:] value`, or `[type:] (value...)`, as a type and values.
fn type_and_values(args: &[Token]) -> Option<(Option<&str>, Vec<&str>)> {
    let (ty, args) = match args {
        [Token::Word(word), rest @ ..] if word.ends_with(':') && !rest.is_empty() => {
            (word.strip_suffix(':'), rest)
        }
        args => (None, args),
    };
    let values = match args {
        [Token::Open, values @ .., Token::Close] => values,
        [value] => std::slice::from_ref(value),
        _ => return None,
    };
    let values: Option<Vec<&str>> = values.iter().map(Token::text).collect();
    Some((ty, values?))
}

fn setprop(session: &mut Session, args: &[Token]) -> Result<()> {
    let [name, Token::Equals, rest @ ..] = args else { return syntax("setprop") };
    let (Some(name), Some((ty, values))) = (name.text(), type_and_values(rest)) else {
        return syntax("setprop");
    };
    let (pg, prop) = split(name)?;
    session.edit(|session| {
        let ty = type_for(session, pg, prop, ty)?;
        set(session, pg, prop, ty, values.iter().copied().map(str::to_owned).collect())
    })
}

fn set(
    session: &Session,
    pg: &str,
    prop: &str,
    ty: PropType,
    values: Vec<String>,
) -> Result<Vec<Change>> {
    let fmri = session.editable()?.clone();
    let (pg, prop) = (pg.to_owned(), prop.to_owned());
    Ok(vec![Change::SetProp { fmri, pg, prop, ty, values }])
}

/// The type that a property is to have: that which it has, here or by inheritance, or the one
/// that is given. They must not differ: whoever reads the property relies on its type.
fn type_for(session: &Session, pg: &str, prop: &str, given: Option<&str>) -> Result<PropType> {
    let given = match given.map(str::parse::<PropType>) {
        Some(Err(error)) => return fail(error.to_string()),
        Some(Ok(ty)) => Some(ty),
        None => None,
    };
    let here = group(session, pg, prop)?.get(prop).map(|property| property.ty);
    match (here, given) {
        (Some(here), Some(given)) if here != given => {
            fail(format!("Property \"{pg}/{prop}\" is of type \"{here}\", not \"{given}\"."))
        }
        (Some(ty), _) | (None, Some(ty)) => Ok(ty),
        (None, None) => {
            let (repo, fmri) = (session.repo()?, session.editable()?);
            let inherited = repo.property(fmri, pg, prop, &View::Composed)?;
            if let Some(property) = inherited.as_ref().and_then(|group| group.get(prop)) {
                return Ok(property.ty);
            }
            let ty = inherited.map(|group| group.ty).unwrap_or_default();
            let templates = Templates::edited(repo, fmri)?;
            match templates.property(pg, &ty, prop).and_then(|pattern| pattern.ty) {
                Some(ty) => Ok(ty),
                None => fail("Type required for new properties."),
            }
        }
    }
}

fn addpropvalue(session: &mut Session, args: &[Token]) -> Result<()> {
    let Some((name, rest)) = args.split_first() else { return syntax("addpropvalue") };
    let (Some(name), Some((ty, values))) = (name.text(), type_and_values(rest)) else {
        return syntax("addpropvalue");
    };
    let [value] = values.as_slice() else { return syntax("addpropvalue") };
    let (pg, prop) = split(name)?;
    session.edit(|session| {
        let ty = type_for(session, pg, prop, ty)?;
        let before = group(session, pg, prop)?.props.remove(prop);
        let mut values = before.map_or(Vec::new(), |property| property.values);
        values.push((*value).to_owned());
        set(session, pg, prop, ty, values)
    })
}

fn delpropvalue(session: &mut Session, args: &[Token]) -> Result<()> {
    let words = words("delpropvalue", args, 2, 2)?;
    let (pg, prop) = split(words[0])?;
    session.edit(|session| {
        let Property { ty, mut values } = existing(session, pg, prop)?;
        values.retain(|value| !glob::matches(words[1], value));
        set(session, pg, prop, ty, values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer::statements;

    #[test]
    fn values_with_and_without_a_type() {
        let parse = |text: &str| {
            let tokens = statements(text).unwrap().remove(0).tokens;
            type_and_values(&tokens).map(|(ty, values)| {
                (ty.map(str::to_owned), values.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
        };
        let values = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let astring = Some("astring".to_owned());
        assert_eq!(parse("x"), Some((None, values(&["x"]))));
        assert_eq!(parse("astring: x"), Some((astring.clone(), values(&["x"]))));
        assert_eq!(parse("astring: (\"a b\" c)"), Some((astring.clone(), values(&["a b", "c"]))));
        assert_eq!(parse("astring: ()"), Some((astring, values(&[]))));
        assert_eq!(parse("http://x:80"), Some((None, values(&["http://x:80"]))));
        assert_eq!(parse("colon:"), Some((None, values(&["colon:"]))), "nothing follows");
        assert_eq!(parse("\"quoted:\" x"), None);
        for text in ["a b", "(a", "a)", "= x", "(a > b)"] {
            let tokens = statements(text).map(|mut all| all.remove(0).tokens);
            assert!(tokens.is_err() || type_and_values(&tokens.unwrap()).is_none(), "{text}");
        }
    }
}
