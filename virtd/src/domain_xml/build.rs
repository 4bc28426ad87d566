//! XML in the making: elements with their attributes, indented as libvirt does.

/// What has been written so far.
#[derive(Debug, Default)]
pub struct Builder {
    text: String,
    depth: usize,
}

/// Attributes of an element.
pub type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Builder {
    fn start(&mut self, name: &str, attributes: Attributes) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.extend(["<", name]);
        for (name, value) in attributes {
            self.text.extend([" ", name, "='"]);
            escape(value, &mut self.text);
            self.text.push('\'');
        }
    }

    /// An element with others inside, which `inside` writes.
    pub fn element(
        &mut self,
        name: &str,
        attributes: Attributes,
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.start(name, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.extend(["</", name, ">\n"]);
        self
    }

    /// An element with nothing inside.
    pub fn empty(&mut self, name: &str, attributes: Attributes) -> &mut Self {
        self.start(name, attributes);
        self.text.push_str("/>\n");
        self
    }

    /// An element with text inside.
    pub fn text(&mut self, name: &str, attributes: Attributes, text: &str) -> &mut Self {
        self.start(name, attributes);
        self.text.push('>');
        escape(text, &mut self.text);
        self.text.extend(["</", name, ">\n"]);
        self
    }

    /// Elements that are XML already.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        self.text.extend([xml, "\n"]);
        self
    }

    /// The XML.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A text as it stands in XML.
pub fn escaped(text: &str) -> String {
    let mut xml = String::new();
    escape(text, &mut xml);
    xml
}

/// Characters that XML 1.0 can't carry become U+FFFD.
fn escape(text: &str, xml: &mut String) {
    for char in text.chars() {
        match char {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\'' => xml.push_str("&apos;"),
            '"' => xml.push_str("&quot;"),
            '\t' | '\n' | '\r' => xml.push_str(&format!("&#{};", char as u32)),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => xml.push(char::REPLACEMENT_CHARACTER),
            _ => xml.push(char),
        }
    }
}
