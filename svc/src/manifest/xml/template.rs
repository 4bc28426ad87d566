//! `template`: what a service is, for people, and which properties it knows.

use super::element::{Element, Result};
use super::entity::{Place, checked, create, enter, set, set_attribute};
use super::pattern;
use crate::manifest::{Level, words};
use crate::value::PropType::{Astring, Ustring};
use crate::value::PropertyGroup;

pub fn template(element: Element<'_, '_>, place: Place<'_>, level: &mut Level) -> Result<()> {
    element.allow(&[])?;
    for child in element.children()? {
        match child.name() {
            "documentation" => documentation(child, level)?,
            "pg_pattern" => pattern::pg_pattern(child, place, level)?,
            key => {
                let text = words::TEXTS.iter().find(|(known, _)| *known == key);
                let (_, pg) = text.ok_or_else(|| child.unexpected())?;
                texts(child, enter(child, level, pg, words::TEMPLATE)?, "")?;
            }
        }
    }
    Ok(())
}

/// The texts of an element, a property for each language, whose name begins with `prefix`.
pub fn texts(element: Element<'_, '_>, group: &mut PropertyGroup, prefix: &str) -> Result<()> {
    element.allow(&[])?;
    let children = element.children()?;
    if children.is_empty() {
        return Err(element.error("a loctext is expected"));
    }
    for child in children {
        child.expect("loctext", &["lang"])?;
        let name = format!("{prefix}{}", words::locale(child.required("lang")?));
        let text = child.text()?;
        let text = text.trim_matches(words::BLANK);
        if text.is_empty() {
            return Err(child.error("there is no text"));
        }
        set(child, group, &name, checked(child, Ustring, &[text])?)?;
    }
    Ok(())
}

fn documentation(element: Element<'_, '_>, level: &mut Level) -> Result<()> {
    element.allow(&[])?;
    for child in element.children()? {
        child.childless()?;
        match child.name() {
            "manpage" => {
                child.allow(&["title", "section", "manpath"])?;
                let (title, section) = (child.required("title")?, child.required("section")?);
                let name = words::manpage_group(title, section);
                let group = create(child, level, &name, words::TEMPLATE)?;
                set_attribute(child, group, "title", Astring)?;
                set_attribute(child, group, "section", Astring)?;
                let manpath = child.attribute("manpath").unwrap_or(":default");
                set(child, group, "manpath", checked(child, Astring, &[manpath])?)?;
            }
            "doc_link" => {
                child.allow(&["name", "uri"])?;
                let name = words::document_group(child.required("name")?);
                child.required("uri")?;
                let group = create(child, level, &name, words::TEMPLATE)?;
                set_attribute(child, group, "name", Astring)?;
                set_attribute(child, group, "uri", Astring)?;
            }
            _ => return Err(child.unexpected()),
        }
    }
    Ok(())
}
