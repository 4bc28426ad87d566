//! The words of svccfg's language: what an administrator types, what a script holds, and what a
//! command line's arguments make when they are joined by blanks.

/// A word of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Characters other than blanks and `" > = ( )`.
    Word(String),
    /// What was in double quotes, with backslashes resolved.
    Quoted(String),
    /// `=`
    Equals,
    /// `>`
    Redirect,
    /// `(`
    Open,
    /// `)`
    Close,
}

impl Token {
    /// The text of a word or a quoted string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Quoted(text) => Some(text),
            _ => None,
        }
    }
}

/// One command: its tokens, and the line on which it begins, from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    pub line: usize,
    pub tokens: Vec<Token>,
}

/// The text ends within quotes or parentheses: more lines are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete;

/// Splits `text` into commands. A command ends with its line, unless parentheses or quotes go on.
pub fn statements(text: &str) -> Result<Vec<Statement>, Incomplete> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut statements = Vec::new();
    while let Some(statement) = lexer.statement()? {
        statements.push(statement);
    }
    Ok(statements)
}

/// `args` as one line. An empty argument is an empty string, since there's nothing else that it
/// could mean: so `setprop p = ""` works although the shell took the quotes.
pub fn join(args: &[String]) -> String {
    let words: Vec<&str> =
        args.iter().map(|arg| if arg.is_empty() { "\"\"" } else { arg }).collect();
    words.join(" ")
}

struct Lexer<'t> {
    rest: &'t str,
    line: usize,
}

impl Lexer<'_> {
    /// The next command that isn't empty; `None` at the end.
    fn statement(&mut self) -> Result<Option<Statement>, Incomplete> {
        let mut statement = Statement { line: self.line, tokens: Vec::new() };
        let mut depth = 0usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\n' => {
                    self.advance(1);
                    if depth == 0 && !statement.tokens.is_empty() {
                        return Ok(Some(statement));
                    }
                    if statement.tokens.is_empty() {
                        statement.line = self.line;
                    }
                }
                ' ' | '\t' | '\r' => self.advance(1),
                '#' => self.advance(self.rest.find('\n').unwrap_or(self.rest.len())),
                _ => {
                    let token = self.token(c)?;
                    match token {
                        Token::Open => depth += 1,
                        Token::Close => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    statement.tokens.push(token);
                }
            }
        }
        match (depth, statement.tokens.is_empty()) {
            (0, true) => Ok(None),
            (0, false) => Ok(Some(statement)),
            _ => Err(Incomplete),
        }
    }

    fn token(&mut self, first: char) -> Result<Token, Incomplete> {
        let symbol = match first {
            '=' => Token::Equals,
            '>' => Token::Redirect,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => return self.quoted(),
            _ => return Ok(self.word()),
        };
        self.advance(1);
        Ok(symbol)
    }

    fn word(&mut self) -> Token {
        let end = self.rest.find([' ', '\t', '\r', '\n', '"', '>', '=', '(', ')']);
        let end = end.unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.advance(end);
        Token::Word(word)
    }

    fn quoted(&mut self) -> Result<Token, Incomplete> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.advance(at + 1);
                    return Ok(Token::Quoted(text));
                }
                '\\' => text.push(chars.next().ok_or(Incomplete)?.1),
                c => text.push(c),
            }
        }
        Err(Incomplete)
    }

    fn advance(&mut self, bytes: usize) {
        let (eaten, rest) = self.rest.split_at(bytes);
        self.line += eaten.matches('\n').count();
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(text: &str) -> Token {
        Token::Word(text.into())
    }

    fn quoted(text: &str) -> Token {
        Token::Quoted(text.into())
    }

    fn one(text: &str) -> Vec<Token> {
        let mut all = statements(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0).tokens
    }

    #[test]
    fn what_the_book_types() {
        let expected =
            [word("setprop"), word("config/xend-relocation-address"), Token::Equals, quoted("")];
        let argv = |last: &str| {
            let args = ["setprop", "config/xend-relocation-address", "=", last];
            join(&args.map(str::to_owned))
        };
        assert_eq!(one(&argv("\"\"")), expected, "with the backslashes");
        assert_eq!(one(&argv("")), expected, "when the shell took the quotes");
        assert_eq!(one("setprop config/xend-relocation-address=\"\""), expected);
    }

    #[test]
    fn a_backslash_in_quotes_keeps_the_next_character_only() {
        assert_eq!(one(r#""^host1\.?.*$ ^localhost$""#), [quoted("^host1.?.*$ ^localhost$")]);
        assert_eq!(one(r#""a\"b\\c""#), [quoted(r#"a"b\c"#)]);
    }

    #[test]
    fn lists_and_types() {
        let expected = [word("astring:"), Token::Open, quoted("a b"), word("c"), Token::Close];
        assert_eq!(one("astring: (\"a b\" c)"), expected);
        assert_eq!(one("astring: (\n\"a b\"\n\nc\n)\n"), expected);
        assert_eq!(one("astring:(\"a b\"c)"), expected);
    }

    #[test]
    fn comments_and_lines() {
        let text = "# first\n\n  select xend # here\nset a#b\n";
        let all = statements(text).unwrap();
        assert_eq!(all[0], Statement { line: 3, tokens: vec![word("select"), word("xend")] });
        assert_eq!(all[1], Statement { line: 4, tokens: vec![word("set"), word("a#b")] });
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn what_goes_on_is_incomplete() {
        for text in ["setprop a/b = (", "setprop a/b = \"x", "\"x\\", "(\n\n"] {
            assert_eq!(statements(text), Err(Incomplete), "{text}");
        }
        assert_eq!(statements(""), Ok(vec![]));
        assert_eq!(one(")"), [Token::Close]);
    }

    proptest! {
        #[test]
        fn any_text_is_quoted_back(text in "\\PC{0,20}|[\"\\\\\n ()=>#a]{0,20}") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(one(&format!("\"{escaped}\"")), [Token::Quoted(text)]);
        }

        #[test]
        fn no_text_breaks_the_lexer(text in "\\PC{0,30}|[\"\\\\\n ()=>#a]{0,30}") {
            let _ = statements(&text);
        }
    }
}
