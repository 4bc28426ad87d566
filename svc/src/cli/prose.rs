//! Prose for mdoc(7). An empty line begins a paragraph; lines with four blanks before them are
//! shown as they are. Options, commands and what is typed are in backquotes, what stands for
//! something is in asterisks, and `svcs(1)` is a manual page.

/// The longest line that is written.
const WIDTH: usize = 100;

/// The lines of `text`.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if paragraph.starts_with("    ") {
            lines.extend(paragraph.lines().map(|line| format!(".Dl {}", escaped(line.trim()))));
            continue;
        }
        if number > 0 {
            lines.push(".Pp".to_owned());
        }
        lines.extend(Writer::write(paragraph));
    }
    lines
}

/// `text` without what marks its parts, in lines for a terminal.
pub fn plain(text: &str) -> String {
    const TERMINAL: usize = 80;
    let mut lines = vec![String::new()];
    for word in text.replace(['`', '*'], "").split_whitespace() {
        let last = lines.last_mut().filter(|line| line.len() + word.len() < TERMINAL);
        match last {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Words(&'a str),
    Typed(&'a str),
    Argument(&'a str),
    Page(&'a str, &'a str),
}

/// The part that `text` begins with, and the rest.
fn first_part(text: &str) -> (Part<'_>, &str) {
    for (mark, part) in [('`', Part::Typed as fn(_) -> _), ('*', Part::Argument)] {
        if let Some((inner, rest)) = text.strip_prefix(mark).and_then(|t| t.split_once(mark)) {
            return (part(inner), rest);
        }
    }
    if let Some((name, section, rest)) = page(text) {
        return (Part::Page(name, section), rest);
    }
    // Up to the next mark, or the next word that is a page.
    let starts = text.char_indices().skip(1).filter(|&(at, c)| {
        c == '`'
            || c == '*'
            || (text[..at].ends_with([' ', '\n', '(']) && page(&text[at..]).is_some())
    });
    let end = starts.map(|(at, _)| at).next().unwrap_or(text.len());
    (Part::Words(&text[..end]), &text[end..])
}

/// A manual page, as in `svcs(1)`, at the beginning of `text`.
fn page(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('(')?;
    let (section, rest) = rest.split_once(')')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_page = !name.is_empty() && name.chars().all(is_name) && section.len() == 1;
    (is_page && section.chars().all(|c| c.is_ascii_digit())).then_some((name, section, rest))
}

/// Lines being written.
#[derive(Default)]
struct Writer {
    lines: Vec<String>,
    line: String,
}

impl Writer {
    fn write(mut text: &str) -> Vec<String> {
        let mut writer = Self::default();
        while !text.is_empty() {
            let (part, rest) = first_part(text);
            text = match part {
                Part::Words(words) => {
                    writer.words(words);
                    rest
                }
                Part::Typed(typed) => match typed.strip_prefix('-') {
                    Some(letters) => writer.call("Fl", letters, rest),
                    None => writer.call("Ic", typed, rest),
                },
                Part::Argument(name) => writer.call("Ar", name, rest),
                Part::Page(name, section) => writer.call("Xr", &format!("{name} {section}"), rest),
            };
        }
        writer.end_line();
        writer.lines
    }

    /// Adds words; each sentence begins a line.
    fn words(&mut self, words: &str) {
        for word in words.split_whitespace() {
            let ended = self.line.ends_with(['.', '?', '!']);
            if ended || self.line.len() + word.len() >= WIDTH {
                self.end_line();
            }
            if !self.line.is_empty() {
                self.line.push(' ');
            }
            self.line.push_str(word);
        }
    }

    /// Adds a call of a macro, with the punctuation that follows; returns what is left of `rest`.
    fn call<'a>(&mut self, name: &str, arguments: &str, rest: &'a str) -> &'a str {
        let before = self.line.strip_suffix('(').map(|line| line.trim_end().to_owned());
        let is_in_parentheses = before.is_some();
        if let Some(line) = before {
            self.line = line;
        }
        self.end_line();
        let open = if is_in_parentheses { "No ( Ns " } else { "" };
        let arguments: Vec<String> = arguments.split_whitespace().map(argument).collect();
        let mut line = format!(".{open}{name} {}", arguments.join(" "));
        let after = rest.trim_start_matches(['.', ',', ';', ':', ')', '?', '!']);
        let punctuation = &rest[..rest.len() - after.len()];
        punctuation.chars().for_each(|c| line.extend([' ', c]));
        // What follows without a blank belongs to the word.
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let glued = &after[..end];
        if !glued.is_empty() {
            line.push_str(&format!(" Ns {glued}"));
        }
        self.lines.push(line);
        &after[end..]
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.lines.push(escaped(&self.line));
            self.line.clear();
        }
    }
}

/// A word that no macro takes for another.
fn argument(word: &str) -> String {
    let is_macro = word.len() == 2 && word.starts_with(|c: char| c.is_ascii_uppercase());
    let is_punctuation = word.len() == 1 && !word.starts_with(|c: char| c.is_ascii_alphanumeric());
    let guard = if is_macro || is_punctuation { "\\&" } else { "" };
    format!("{guard}{}", escaped(word).replace('"', "\\(dq"))
}

/// A line of text that roff takes as it is.
fn escaped(line: &str) -> String {
    let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{}", line.replace('\\', "\\e"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_macros() {
        assert_eq!(
            lines("It waits with `-s` (see `svcadm -v`), as svcs(1) shows. A *service* is\none."),
            [
                "It waits with",
                ".Fl s",
                "(see",
                ".Ic svcadm -v ) ,",
                "as",
                ".Xr svcs 1",
                "shows.",
                "A",
                ".Ar service",
                "is one.",
            ]
        );
    }

    #[test]
    fn paragraphs_and_examples_stay_apart() {
        assert_eq!(
            lines("One. Two\\.\n\n    svcs -x\n\n'Three' (`a`)."),
            ["One.", "Two\\e.", ".Dl svcs -x", ".Pp", "\\&'Three'", ".No ( Ns Ic a ) ."]
        );
        assert_eq!(plain("with `-s`, a *file*"), "with -s, a file");
    }
}
