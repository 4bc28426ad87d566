//! What a file of shell assignments says, without a shell: `NAME=value`, quotes, comments,
//! `${VAR}` and `. FILE`. Everything else is skipped, so commands never run.

use std::ops::Range;

/// What is of interest in a file, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// `NAME=value`, and where in the text the value is, quotes included.
    Assign { name: String, value: Word, span: Range<usize> },
    /// `. FILE`.
    Source(Word),
}

/// A word in pieces.
pub(super) type Word = Vec<Piece>;

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is; also an expansion that only a shell could make.
    Text(String),
    /// The value of a variable.
    Variable(String),
}

/// The value of `word`, with variables looked up by `lookup`.
pub(super) fn expand(word: &[Piece], lookup: impl Fn(&str) -> Option<String>) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Variable(name) => lookup(name).unwrap_or_default(),
    };
    word.iter().map(piece).collect()
}

/// The statements of `text`.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let mut reader = Reader { text, at: 0 };
    let mut statements = Vec::new();
    while reader.at < text.len() {
        command(&reader.command(), &mut statements);
    }
    statements
}

/// A word of a command, and where it is.
struct Spanned {
    word: Word,
    span: Range<usize>,
    /// The name and where the value begins, if the word is an assignment.
    assigns: Option<(String, usize)>,
}

fn command(words: &[Spanned], statements: &mut Vec<Statement>) {
    let plain = |word: &Spanned| match word.word.as_slice() {
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    };
    let first = words.first().and_then(plain);
    if let (Some("." | "source"), Some(file)) = (first.as_deref(), words.get(1)) {
        statements.push(Statement::Source(file.word.clone()));
        return;
    }
    let exports = matches!(first.as_deref(), Some("export" | "readonly"));
    let words = &words[usize::from(exports)..];
    // In front of a command an assignment is for that command only.
    if words.iter().any(|word| word.assigns.is_none()) {
        return;
    }
    for Spanned { word, span, assigns } in words {
        let Some((name, start)) = assigns else { continue };
        let value = strip(word, name.len() + 1);
        statements.push(Statement::Assign { name: name.clone(), value, span: *start..span.end });
    }
}

/// `word` without its first `length` bytes, which are in its first piece.
fn strip(word: &[Piece], length: usize) -> Word {
    let Some((Piece::Text(first), rest)) = word.split_first() else { return word.to_vec() };
    let left = Piece::Text(first[length..].to_owned());
    std::iter::once(left).chain(rest.iter().cloned()).collect()
}

/// The length of the name at the start of `text`, 0 if there is none.
fn name_length(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// The words up to the end of the command, which is taken, too.
    fn command(&mut self) -> Vec<Spanned> {
        let mut words = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '\n' | ';' | '&' | '|' | '(' | ')' => {
                    self.next();
                    break;
                }
                ' ' | '\t' | '\r' => {
                    self.next();
                }
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                '\\' if self.rest().starts_with("\\\n") => self.at += 2,
                _ => words.push(self.word()),
            }
        }
        words
    }

    fn word(&mut self) -> Spanned {
        let start = self.at;
        let length = name_length(self.rest());
        let assigns = (length > 0 && self.rest()[length..].starts_with('='))
            .then(|| (self.rest()[..length].to_owned(), start + length + 1));
        let mut word = vec![Piece::Text(String::new())];
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' => break,
                '\'' => self.single_quoted(&mut word),
                '"' => self.double_quoted(&mut word),
                _ => self.piece(&mut word, false),
            }
        }
        Spanned { word, span: start..self.at, assigns }
    }

    fn single_quoted(&mut self, word: &mut Word) {
        self.next();
        let length = self.rest().find('\'').unwrap_or(self.rest().len());
        push(word, &self.rest()[..length]);
        self.at += length;
        self.next();
    }

    fn double_quoted(&mut self, word: &mut Word) {
        self.next();
        while let Some(c) = self.peek() {
            if c == '"' {
                self.next();
                return;
            }
            self.piece(word, true);
        }
    }

    /// One character or one expansion.
    fn piece(&mut self, word: &mut Word, quoted: bool) {
        let start = self.at;
        match self.next() {
            Some('\\') => match self.next() {
                Some('\n') | None => {}
                Some(c) if quoted && !"$`\"\\".contains(c) => push(word, &format!("\\{c}")),
                Some(c) => push(word, c.encode_utf8(&mut [0; 4])),
            },
            Some('$') => self.expansion(word),
            Some('`') => {
                self.at += self.rest().find('`').map_or(self.rest().len(), |length| length + 1);
                push(word, &self.text[start..self.at]);
            }
            Some(c) => push(word, c.encode_utf8(&mut [0; 4])),
            None => {}
        }
    }

    /// What follows a `$`.
    fn expansion(&mut self, word: &mut Word) {
        let start = self.at - 1;
        let rest = self.rest();
        let length = name_length(rest);
        if length > 0 {
            word.push(Piece::Variable(rest[..length].to_owned()));
            self.at += length;
            return;
        }
        let length = rest.strip_prefix('{').map_or(0, name_length);
        if length > 0 && rest[length + 1..].starts_with('}') {
            word.push(Piece::Variable(rest[1..=length].to_owned()));
            self.at += length + 2;
            return;
        }
        match rest.chars().next() {
            Some('{') => self.skip_nested('{', '}'),
            Some('(') => self.skip_nested('(', ')'),
            _ => {}
        }
        push(word, &self.text[start..self.at]);
    }

    /// Goes behind what closes the bracket that is next.
    fn skip_nested(&mut self, open: char, close: char) {
        let mut depth = 0usize;
        while let Some(c) = self.next() {
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
            }
            if depth == 0 {
                return;
            }
        }
    }
}

fn push(word: &mut Word, text: &str) {
    match word.last_mut() {
        Some(Piece::Text(last)) => last.push_str(text),
        _ => word.push(Piece::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name, value and the value's source of each assignment; variables show in angle brackets.
    fn assigned(text: &str) -> Vec<(String, String, String)> {
        let of = |statement| match statement {
            Statement::Assign { name, value, span } => {
                let value = value.iter().map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Variable(name) => format!("<{name}>"),
                });
                Some((name, value.collect(), text[span].to_owned()))
            }
            Statement::Source(_) => None,
        };
        statements(text).into_iter().filter_map(of).collect()
    }

    fn values(text: &str) -> Vec<(String, String)> {
        assigned(text).into_iter().map(|(name, value, _)| (name, value)).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn assignments_are_found_wherever_they_stand() {
        let text = "# a=1\na=YES # on\n b='N O';c=\"x y\" d=\n  export e=5\nf=${a}/$b\"${c}\"\n";
        let found = values(text);
        let expected =
            [("a", "YES"), ("b", "N O"), ("c", "x y"), ("d", ""), ("e", "5"), ("f", "<a>/<b><c>")];
        assert_eq!(found, expected.map(|(name, value)| pair(name, value)));
        assert_eq!(assigned("x=\"a\"'b'c;")[0].2, "\"a\"'b'c");
        assert_eq!(values("a=x#y\\ z\\\n1"), [pair("a", "x#y z1")]);
        assert_eq!(values("guests=\"a\nb\""), [pair("guests", "a\nb")]);
    }

    #[test]
    fn other_commands_are_skipped() {
        assert!(values("a=1 command\necho a=1 \"; b=2\"\n1a=3\n'a'=3\n=4\n").is_empty());
        assert_eq!(values("a=$(x; b=1) c=${d:-e f} g=`h;i=1`\n").len(), 3);
        assert_eq!(values("[ -f x ] && a=1"), [pair("a", "1")]);
    }

    #[test]
    fn files_are_sourced() {
        let expected = vec![
            Statement::Source(vec![Piece::Text("/etc/x".to_owned())]),
            Statement::Source(vec![Piece::Text("/y".to_owned())]),
        ];
        assert_eq!(statements(". /etc/x\nsource '/y'"), expected);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-c=${}()'\"`;#&\\\\ \n.é]{0,60}") {
            for statement in statements(&text) {
                if let Statement::Assign { span, .. } = statement {
                    prop_assert!(text.get(span).is_some());
                }
            }
        }

        #[test]
        fn a_quoted_value_is_read_back(value in "[^'\0]{0,30}") {
            prop_assert_eq!(values(&format!("x='{value}'")), [pair("x", &value)]);
        }
    }
}
