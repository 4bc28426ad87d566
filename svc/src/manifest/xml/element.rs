//! An XML element read attribute by attribute and child by child, so that every complaint names
//! the line, the column and the element.

use roxmltree::{Node, NodeType};

use crate::fmri;
use crate::manifest::reader::SyntaxError;

pub type Result<T> = std::result::Result<T, SyntaxError>;

/// The namespaces of `xi:include`: that of the recommendation, and of a draft that illumos uses.
const INCLUDES: [&str; 2] = ["http://www.w3.org/2001/XInclude", "http://www.w3.org/2003/XInclude"];

/// An element of the document.
#[derive(Clone, Copy)]
pub struct Element<'d, 'i> {
    node: Node<'d, 'i>,
}

impl<'d, 'i> Element<'d, 'i> {
    pub fn new(node: Node<'d, 'i>) -> Self {
        Self { node }
    }

    pub fn name(&self) -> &'d str {
        self.node.tag_name().name()
    }

    /// A complaint about this element.
    pub fn error(&self, message: impl std::fmt::Display) -> SyntaxError {
        let text = self.node.document().input_text();
        SyntaxError::new(text, self.node.range().start, format!("<{}>: {message}", self.name()))
    }

    /// The complaint that this element doesn't belong here.
    pub fn unexpected(&self) -> SyntaxError {
        match self.node.parent_element() {
            Some(parent) => self.error(format!("is not allowed in <{}>", parent.tag_name().name())),
            None => self.error("is not a service_bundle"),
        }
    }

    /// Checks that this is an element `name` with no attributes but `attributes`.
    pub fn expect(&self, name: &str, attributes: &[&str]) -> Result<()> {
        if self.name() != name || self.node.tag_name().namespace().is_some() {
            return Err(self.unexpected());
        }
        self.allow(attributes)
    }

    /// Whether this is `xi:NAME`.
    pub fn is_xi(&self, name: &str) -> bool {
        let namespace = self.node.tag_name().namespace();
        self.name() == name && namespace.is_some_and(|uri| INCLUDES.contains(&uri))
    }

    /// Checks that there are no attributes but `attributes`.
    pub fn allow(&self, attributes: &[&str]) -> Result<()> {
        let stranger = self.node.attributes().find(|a| !attributes.contains(&a.name()));
        match stranger {
            Some(attribute) => Err(self.error(format!("unknown attribute {}", attribute.name()))),
            None => Ok(()),
        }
    }

    /// An attribute, in whichever namespace.
    pub fn attribute(&self, name: &str) -> Option<&'d str> {
        self.node.attributes().find(|a| a.name() == name).map(|a| a.value())
    }

    /// An attribute that must be there.
    pub fn required(&self, name: &str) -> Result<&'d str> {
        self.attribute(name).ok_or_else(|| self.error(format!("attribute {name} is missing")))
    }

    /// An attribute that must be there, with one of the values `allowed`.
    pub fn one_of(&self, name: &str, allowed: &[&str]) -> Result<&'d str> {
        let value = self.required(name)?;
        if allowed.contains(&value) {
            return Ok(value);
        }
        let allowed = allowed.join(", ");
        Err(self.error(format!("attribute {name} is \"{value}\", which is none of {allowed}")))
    }

    /// An attribute `true` or `false`, if it is there.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        if self.attribute(name).is_none() {
            return Ok(None);
        }
        self.one_of(name, &["true", "false"]).map(|value| Some(value == "true"))
    }

    /// The attribute `name`, which must be a name in the sense of smf(7).
    pub fn valid_name(&self, name: &str) -> Result<&'d str> {
        let value = self.required(name)?;
        self.check_name(value)?;
        Ok(value)
    }

    /// Checks that `name` may name a property group, a property or an instance.
    pub fn check_name(&self, name: &str) -> Result<()> {
        if fmri::is_name(name) {
            return Ok(());
        }
        Err(self.error(format!("\"{name}\" can't be a name: letters, digits, _ . - only")))
    }

    /// The elements inside, where there may be nothing else but comments.
    pub fn children(&self) -> Result<Vec<Element<'d, 'i>>> {
        let mut elements = Vec::new();
        for node in self.node.children() {
            match node.node_type() {
                NodeType::Element => elements.push(Element { node }),
                NodeType::Text if !node.text().unwrap_or_default().trim().is_empty() => {
                    return Err(self.error("text is not allowed here"));
                }
                _ => {}
            }
        }
        Ok(elements)
    }

    /// Checks that nothing is inside.
    pub fn childless(&self) -> Result<()> {
        self.children()?.first().map_or(Ok(()), |child| Err(child.unexpected()))
    }

    /// The text inside, where there may be nothing else but comments.
    pub fn text(&self) -> Result<String> {
        let mut text = String::new();
        for node in self.node.children() {
            match node.node_type() {
                NodeType::Element => return Err(Element { node }.unexpected()),
                NodeType::Text => text.push_str(node.text().unwrap_or_default()),
                _ => {}
            }
        }
        Ok(text)
    }
}
