//! Cuts a guest file into tokens: the lexical rules of Python that people use in such files.
//!
//! Inside brackets a line end means nothing, elsewhere it ends the statement. Every token keeps
//! its place, because every error has to name one.

use super::error::{Pos, Problem};

/// A word of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// The end of a statement: a line end or `;`.
    End,
    /// A name or a keyword.
    Name(String),
    /// A whole number.
    Int(i64),
    /// A string, quotes and escapes resolved.
    Str(String),
    /// An operator or a bracket; `+=` is the only one of two characters that means something.
    Op(&'static str),
}

impl Token {
    /// How messages call it.
    pub fn describe(&self) -> String {
        match self {
            Self::End => "end of line".to_owned(),
            Self::Name(name) => format!("'{name}'"),
            Self::Int(number) => number.to_string(),
            Self::Str(_) => "string".to_owned(),
            Self::Op(op) => format!("'{op}'"),
        }
    }
}

const OPERATORS: [&str; 24] = [
    "+=", "==", "=", "+", "-", "*", "%", "/", "(", ")", "[", "]", "{", "}", ",", ".", ":", "<",
    ">", "!", "&", "|", "@", "~",
];

/// The tokens of `text` with their places. The last one is always [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token, Pos)>, Problem> {
    let mut lexer = Lexer { rest: text.trim_start_matches('\u{feff}'), at: START, open: vec![] };
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    if let Some((bracket, at)) = lexer.open.pop() {
        return Err(Problem::at(at, format!("'{bracket}' is never closed")));
    }
    found.push((Token::End, lexer.at));
    Ok(found)
}

const START: Pos = Pos { line: 1, column: 1 };

struct Lexer<'t> {
    rest: &'t str,
    at: Pos,
    open: Vec<(&'static str, Pos)>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let char = chars.next()?;
        self.rest = chars.as_str();
        if char == '\n' {
            self.at = Pos { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(char)
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.bump();
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(char) = self.peek().filter(|&char| belongs(char)) {
            taken.push(char);
            self.bump();
        }
        taken
    }

    fn next(&mut self) -> Result<Option<(Token, Pos)>, Problem> {
        loop {
            let at = self.at;
            let Some(char) = self.peek() else { return Ok(None) };
            match char {
                '\n' | ';' => {
                    self.bump();
                    if self.open.is_empty() {
                        return Ok(Some((Token::End, at)));
                    }
                    if char == ';' {
                        return Err(Problem::at(at, "unexpected ';' inside brackets"));
                    }
                }
                ' ' | '\t' | '\r' | '\u{c}' => {
                    self.bump();
                }
                '#' => {
                    self.take_while(|char| char != '\n');
                }
                '\\' => self.continue_line(at)?,
                _ => return self.token(char, at).map(|token| Some((token, at))),
            }
        }
    }

    fn continue_line(&mut self, at: Pos) -> Result<(), Problem> {
        self.bump();
        self.take_while(|char| char == '\r');
        match self.bump() {
            Some('\n') => Ok(()),
            _ => Err(Problem::at(at, "a backslash must be the last character of its line")),
        }
    }

    fn token(&mut self, char: char, at: Pos) -> Result<Token, Problem> {
        match char {
            '"' | '\'' => self.string(at, false).map(Token::Str),
            '0'..='9' => self.number(at),
            _ if char.is_alphabetic() || char == '_' => self.word(at),
            _ => self.operator(char, at),
        }
    }

    /// A name, or the prefix letters of a string.
    fn word(&mut self, at: Pos) -> Result<Token, Problem> {
        let word = self.take_while(|char| char.is_alphanumeric() || char == '_');
        if !matches!(self.peek(), Some('"' | '\'')) {
            return Ok(Token::Name(word));
        }
        match word.to_ascii_lowercase().as_str() {
            "u" | "b" => self.string(at, false).map(Token::Str),
            "r" | "ur" | "br" | "rb" => self.string(at, true).map(Token::Str),
            "f" | "fr" | "rf" => {
                Err(Problem::at(at, "formatted strings (f'...') can't be used here; use % or +"))
            }
            _ => Err(Problem::at(at, format!("unexpected string after '{word}'"))),
        }
    }

    /// Decimal, `0x`, `0o` and, as Python 2 and xl have it, octal by a leading zero.
    fn number(&mut self, at: Pos) -> Result<Token, Problem> {
        let text = self.take_while(|char| char.is_alphanumeric() || char == '_' || char == '.');
        let digits = text.to_ascii_lowercase().replace('_', "");
        // A trailing L was how Python 2 wrote a long.
        let digits = digits.strip_suffix('l').unwrap_or(&digits);
        let parsed = match digits.as_bytes() {
            [b'0', b'x', ..] => i64::from_str_radix(&digits[2..], 16),
            [b'0', b'o', ..] => i64::from_str_radix(&digits[2..], 8),
            [b'0', b'b', ..] => i64::from_str_radix(&digits[2..], 2),
            [b'0', _, ..] => i64::from_str_radix(&digits[1..], 8),
            _ => digits.parse(),
        };
        parsed.map(Token::Int).map_err(|_| {
            Problem::at(at, format!("'{text}' is not a whole number that fits into 64 bits"))
        })
    }

    fn operator(&mut self, char: char, at: Pos) -> Result<Token, Problem> {
        let Some(&op) = OPERATORS.iter().find(|op| self.rest.starts_with(**op)) else {
            return Err(Problem::at(at, format!("unexpected character {char:?}")));
        };
        self.skip(op.len());
        match op {
            "(" | "[" | "{" => self.open.push((op, at)),
            ")" | "]" | "}" => self.close(op, at)?,
            _ => {}
        }
        Ok(Token::Op(op))
    }

    fn close(&mut self, bracket: &str, at: Pos) -> Result<(), Problem> {
        let partner = match bracket {
            ")" => "(",
            "]" => "[",
            _ => "{",
        };
        match self.open.pop() {
            Some((open, _)) if open == partner => Ok(()),
            Some((open, opened)) => Err(Problem::at(
                at,
                format!("'{bracket}' does not close the '{open}' of line {}", opened.line),
            )),
            None => Err(Problem::at(at, format!("'{bracket}' closes nothing"))),
        }
    }

    /// A string literal; `self` stands at its first quote, `at` is where its prefix began.
    fn string(&mut self, at: Pos, raw: bool) -> Result<String, Problem> {
        let quote = self.bump().unwrap_or('"');
        let triple: String = [quote, quote].iter().collect();
        let long = self.rest.starts_with(&triple);
        if long {
            self.skip(2);
        }
        let closing = if long { triple + &quote.to_string() } else { quote.to_string() };
        let mut text = String::new();
        loop {
            if self.rest.starts_with(&closing) {
                self.skip(closing.len());
                return Ok(text);
            }
            match self.bump() {
                None => return Err(Problem::at(at, "the string is never closed")),
                Some('\n') if !long => {
                    return Err(Problem::at(at, "the string is not closed on its line"));
                }
                Some('\\') => self.escape(raw, &mut text)?,
                Some(char) => text.push(char),
            }
        }
    }

    /// What follows a backslash in a string. An escape nobody knows stays as it is written.
    fn escape(&mut self, raw: bool, text: &mut String) -> Result<(), Problem> {
        let at = self.at;
        let Some(char) = self.bump() else { return Ok(()) };
        if raw {
            text.extend(['\\', char]);
            return Ok(());
        }
        let meant = match char {
            '\n' => return Ok(()),
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' => char,
            '0'..='7' => self.octal(char),
            'x' => self.hex(2, at)?,
            'u' => self.hex(4, at)?,
            'U' => self.hex(8, at)?,
            _ => {
                text.extend(['\\', char]);
                return Ok(());
            }
        };
        text.push(meant);
        Ok(())
    }

    fn octal(&mut self, first: char) -> char {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|char| char.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.bump();
        }
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self, digits: usize, at: Pos) -> Result<char, Problem> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.peek().and_then(|char| char.to_digit(16)).ok_or_else(|| {
                Problem::at(at, format!("this escape needs {digits} hexadecimal digits"))
            })?;
            code = code * 16 + digit;
            self.bump();
        }
        char::from_u32(code).ok_or_else(|| Problem::at(at, "this escape is no character"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    fn only_string(text: &str) -> String {
        match words(text).as_slice() {
            [Token::Str(string), Token::End] => string.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn problem(text: &str) -> (u32, u32, String) {
        let problem = tokens(text).unwrap_err();
        let at = problem.at.unwrap();
        (at.line, at.column, problem.reason)
    }

    #[test]
    fn strings_in_every_spelling() {
        assert_eq!(only_string(r#""a'b""#), "a'b");
        assert_eq!(only_string("'a\"b'"), "a\"b");
        assert_eq!(only_string("'''one\n'two' '''"), "one\n'two' ");
        assert_eq!(only_string("\"\"\"\"\"\""), "");
        assert_eq!(only_string(r"'a\tb\x41\101\u20ac\q'"), "a\tbAA€\\q");
        assert_eq!(only_string(r"r'a\tb\''"), r"a\tb\'");
        assert_eq!(only_string("u'x'"), "x");
        assert_eq!(only_string("'one\\\ntwo'"), "onetwo");
    }

    #[test]
    fn numbers_in_every_spelling() {
        let int = |text| match words(text).as_slice() {
            [Token::Int(int), Token::End] => *int,
            other => panic!("{other:?}"),
        };
        assert_eq!(int("512"), 512);
        assert_eq!(int("0x200"), 512);
        assert_eq!(int("0o17"), 15);
        assert_eq!(int("017"), 15);
        assert_eq!(int("0"), 0);
        assert_eq!(int("128L"), 128);
        assert_eq!(
            problem("x = 1.5"),
            (1, 5, "'1.5' is not a whole number that fits into 64 bits".to_owned())
        );
        assert!(tokens("99999999999999999999").is_err());
        assert!(tokens("089").is_err());
    }

    #[test]
    fn line_ends_count_only_outside_brackets() {
        let ends = |text| words(text).iter().filter(|token| **token == Token::End).count();
        assert_eq!(ends("a = [\n1,\n2\n]\nb = 1\n"), 3);
        assert_eq!(ends("a = 1 + \\\n 2"), 1);
        assert_eq!(ends("a = 1; b = 2"), 2);
        assert_eq!(ends("a = 1\r\nb = 2 # [ '\r\n"), 3);
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(problem("a = 1\nb = 'x"), (2, 5, "the string is never closed".into()));
        assert_eq!(problem("b = 'x\n'"), (1, 5, "the string is not closed on its line".into()));
        assert_eq!(problem("a = [1,\n(2]"), (2, 3, "']' does not close the '(' of line 2".into()));
        assert_eq!(problem("a = [1"), (1, 5, "'[' is never closed".into()));
        assert_eq!(problem("a = 1)"), (1, 6, "')' closes nothing".into()));
        assert_eq!(problem("a = $x"), (1, 5, "unexpected character '$'".into()));
        assert_eq!(problem("a = '\\xg'").1, 7);
        assert_eq!(problem("a = 1 \\ \n").1, 7);
    }
}
