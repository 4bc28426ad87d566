//! XML as text: elements with their attributes in order, indented by two, quoted as svccfg(8) does.

use std::fmt::Write;

/// An element to be written.
#[derive(Debug, Clone)]
pub struct Node {
    name: String,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
    text: Option<String>,
}

impl Node {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: Vec::new(), children: Vec::new(), text: None }
    }

    pub fn with(mut self, attribute: &'static str, value: &str) -> Self {
        self.attributes.push((attribute, value.to_owned()));
        self
    }

    pub fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    pub fn containing(mut self, children: impl IntoIterator<Item = Node>) -> Self {
        self.children.extend(children);
        self
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// This element with all that is in it.
    pub fn render(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let _ = write!(out, "{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}='{}'", escaped(value));
        }
        if let Some(text) = &self.text {
            let _ = writeln!(out, ">{}</{}>", escaped(text), self.name);
        } else if self.children.is_empty() {
            out.push_str("/>\n");
        } else {
            out.push_str(">\n");
            self.children.iter().for_each(|child| child.render(out, depth + 1));
            let _ = writeln!(out, "{indent}</{}>", self.name);
        }
    }
}

/// Whether XML can hold `c` at all.
pub fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `text` such that a reader gets it back as it is, in an attribute as well as between tags.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            // Unescaped they become blanks.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
