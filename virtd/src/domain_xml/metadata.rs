//! What management tools keep with a guest: elements of namespaces of their own, one of each, as
//! text. They are handed in and out without their namespace, as libvirt does.

use roxmltree::{Document, Node};

use super::build::escaped;
use super::read::{malformed, parse};
use crate::error::Result;

/// The text of all elements below the one that `parent` is. Each must bring its namespaces itself.
pub fn inside(xml: &str, parent: Node) -> Result<String> {
    let elements = parent.children().filter(Node::is_element);
    let texts: Vec<&str> = elements.map(|element| &xml[element.range()]).collect();
    let text = texts.join("\n");
    parse(&wrapped(&text))?;
    Ok(text)
}

/// Whether a text is elements that each bring their namespaces themselves: it may come from a guest
/// file, which anybody may have written.
pub fn is_whole(elements: &str) -> bool {
    parse(&wrapped(elements)).is_ok()
}

fn wrapped(elements: &str) -> String {
    format!("<metadata>{elements}</metadata>")
}

fn is_of(element: &Node, uri: &str) -> bool {
    element.is_element() && element.tag_name().namespace() == Some(uri)
}

/// The element of a namespace, without that namespace.
pub fn get(elements: &str, uri: &str) -> Result<Option<String>> {
    let xml = wrapped(elements);
    let document = parse(&xml)?;
    let found = document.root_element().children().find(|element| is_of(element, uri));
    Ok(found.map(|element| plain(&xml, element, uri)))
}

/// An element's text without prefixes of the namespace, and without their declarations.
fn plain(xml: &str, element: Node, uri: &str) -> String {
    let mut cuts = Vec::new();
    for node in element.descendants().filter(|node| is_of(node, uri)) {
        let (start, text) = (node.range().start, &xml[node.range()]);
        let prefix = prefix(text);
        if prefix.is_empty() {
            cuts.extend(declaration(text, "xmlns").map(|(at, length)| (start + at, length)));
            continue;
        }
        cuts.push((start + 1, prefix.len() + 1));
        let declared = declaration(text, &format!("xmlns:{prefix}"));
        cuts.extend(declared.map(|(at, length)| (start + at, length)));
        if !text.ends_with("/>")
            && let Some(end) = text.rfind("</")
        {
            cuts.push((start + end + 2, prefix.len() + 1));
        }
    }
    cuts.sort_unstable();
    let (mut out, mut at) = (String::new(), element.range().start);
    for (start, length) in cuts {
        out.push_str(&xml[at..start]);
        at = start + length;
    }
    out.push_str(&xml[at..element.range().end]);
    out
}

/// The name in an element's start tag, as it is written.
fn qualified_name(text: &str) -> &str {
    let name = &text[1..];
    let end = name.find(|char: char| char.is_whitespace() || "/>".contains(char));
    &name[..end.unwrap_or(name.len())]
}

fn prefix(text: &str) -> &str {
    qualified_name(text).split_once(':').map_or("", |(prefix, _)| prefix)
}

/// Where in an element's start tag an attribute is, and its length with the blank before it.
fn declaration(text: &str, attribute: &str) -> Option<(usize, usize)> {
    let tag = &text[..text.find('>')?];
    let at = tag.find(&format!(" {attribute}="))?;
    let value = at + attribute.len() + 2;
    let quote = tag[value..].chars().next()?;
    let length = tag[value + 1..].find(quote)?;
    Some((at, value + length + 2 - at))
}

/// The elements with that of a namespace replaced by `new`, whose root gets the namespace under the
/// prefix `key`; or taken away.
pub fn set(elements: &str, uri: &str, key: &str, new: Option<&str>) -> Result<String> {
    let xml = wrapped(elements);
    let document = parse(&xml)?;
    let others = document.root_element().children().filter(Node::is_element);
    let others = others.filter(|element| !is_of(element, uri));
    let mut kept: Vec<String> = others.map(|element| xml[element.range()].to_owned()).collect();
    if let Some(new) = new {
        kept.push(qualified(new, &parse(new)?, uri, key));
    }
    let text = kept.join("\n");
    match parse(&wrapped(&text)) {
        Ok(_) => Ok(text),
        Err(error) => Err(malformed(format!("the metadata with the prefix '{key}': {error}"))),
    }
}

fn qualified(new: &str, document: &Document, uri: &str, key: &str) -> String {
    let root = document.root_element();
    let (text, local) = (&new[root.range()], root.tag_name().name());
    let rest = &text[1 + qualified_name(text).len()..];
    let start = format!("<{key}:{local} xmlns:{key}='{}'", escaped(uri));
    match rest.rfind("</").filter(|_| !text.ends_with("/>")) {
        Some(end) => format!("{start}{}</{key}:{local}>", &rest[..end]),
        None => start + rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OS: &str =
        "<l:info xmlns:l=\"http://l\" x='1'><l:os id='a'/><b>l:</b><l:c >d</l:c></l:info>";

    #[test]
    fn elements_are_had_without_their_namespace() {
        let both = format!("{OS}\n<n xmlns='http://n'/>");
        let info = "<info x='1'><os id='a'/><b>l:</b><c >d</c></info>";
        assert_eq!(get(&both, "http://l").unwrap().as_deref(), Some(info));
        assert_eq!(get(&both, "http://n").unwrap().as_deref(), Some("<n/>"));
        assert_eq!(get(&both, "http://x").unwrap(), None);
        assert_eq!(get("", "http://x").unwrap(), None);
    }

    #[test]
    fn there_is_one_element_of_each_namespace() {
        let one = set(OS, "http://k", "k", Some("<?xml version='1.0'?><a b='c'><d/></a>")).unwrap();
        assert_eq!(one, format!("{OS}\n<k:a xmlns:k='http://k' b='c'><d/></k:a>"));
        let other = set(&one, "http://k", "k", Some("<e/>")).unwrap();
        assert_eq!(get(&other, "http://k").unwrap().as_deref(), Some("<e/>"));
        assert_eq!(set(&other, "http://k", "k", None).unwrap(), OS);
        for (key, new) in [("a b", "<e/>"), ("k", "<e"), ("k", "<e/><f/>"), ("", "<e/>")] {
            assert!(set(OS, "http://k", key, Some(new)).is_err(), "{key} {new}");
        }
    }

    #[test]
    fn namespaces_declared_elsewhere_are_refused() {
        let xml = "<d xmlns:l='http://l'><metadata><l:x/></metadata></d>";
        let document = parse(xml).unwrap();
        let metadata = document.root_element().first_child().unwrap();
        assert!(inside(xml, metadata).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "(<(a:)?[a-z]( xmlns:a='u'| xmlns=\"u\")? ?/?>|</(a:)?[a-z]>|\\PC){0,9}",
            key in "[a-z:<' ]{0,3}",
        ) {
            let _ = get(&text, "u");
            let _ = set(&text, "u", &key, Some(&text));
            let _ = set(&text, "u", &key, None);
        }
    }
}
