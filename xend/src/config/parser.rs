//! Reads a guest file: assignments, one after the other, each value computed as it is read.
//!
//! xm executed such files as Python. What people write in them is assignments of constants, put
//! together with `+`, `*` and `%` and by naming earlier variables; that is what is read here.
//! There is no control flow, so one pass without a syntax tree is enough.

use std::collections::BTreeMap;

use super::error::{Pos, Problem};
use super::lexer::{Token, tokens};
use super::value::{Item, MAX_LIST, Value, apply};

/// Brackets may nest this deep; the parser recurses, and the file is hostile input.
const MAX_DEPTH: u32 = 32;

/// One variable of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// What it was last set to.
    pub item: Item,
    /// Where its name stands.
    pub at: Pos,
    /// Whether another assignment made use of it.
    pub used: bool,
}

/// The variables of a file, by name.
pub type Variables = BTreeMap<String, Variable>;

/// Reads a whole file.
pub fn parse(text: &str) -> Result<Variables, Problem> {
    let mut parser = Parser::new(text)?;
    while parser.next < parser.tokens.len() {
        parser.statement()?;
    }
    Ok(parser.variables)
}

/// Reads one expression, as `key=[...]` on the command line has it.
pub fn parse_expression(text: &str) -> Result<Item, Problem> {
    let mut parser = Parser::new(text)?;
    let item = parser.expression(0)?;
    parser.end_of_statement()?;
    Ok(item)
}

struct Parser {
    tokens: Vec<(Token, Pos)>,
    next: usize,
    variables: Variables,
}

impl Parser {
    fn new(text: &str) -> Result<Self, Problem> {
        Ok(Self { tokens: tokens(text)?, next: 0, variables: Variables::new() })
    }

    /// The token to be read next. The last token is an end, and nobody reads beyond it.
    fn peek(&self) -> (&Token, Pos) {
        let (token, at) = &self.tokens[self.next.min(self.tokens.len() - 1)];
        (token, *at)
    }

    fn accept(&mut self, op: &str) -> bool {
        let is_next = matches!(self.peek().0, Token::Op(next) if *next == op);
        self.next += usize::from(is_next);
        is_next
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, Problem> {
        let (token, at) = self.peek();
        Err(Problem::at(at, format!("unexpected {}, {wanted}", token.describe())))
    }

    fn statement(&mut self) -> Result<(), Problem> {
        let (token, at) = self.peek();
        let name = match token {
            Token::End => {
                self.next += 1;
                return Ok(());
            }
            Token::Name(name) => name.clone(),
            _ => return self.unexpected("a setting is written NAME = VALUE"),
        };
        if is_keyword(&name) {
            let reason = format!("'{name}' can't be used here; a setting is written NAME = VALUE");
            return Err(Problem::at(at, reason));
        }
        self.next += 1;
        let operator = self.peek().1;
        let appends = self.accept("+=");
        if !appends && !self.accept("=") {
            return self.unexpected(&format!("'=' must follow '{name}'"));
        }
        let mut item = self.expression(0)?;
        if appends {
            let old = self.lookup(&name, at)?;
            item = apply("+", old, item, operator)?;
        }
        self.end_of_statement()?;
        let used = self.variables.get(&name).is_some_and(|variable| variable.used);
        self.variables.insert(name, Variable { item, at, used });
        Ok(())
    }

    fn end_of_statement(&mut self) -> Result<(), Problem> {
        let wanted = match self.peek().0 {
            Token::End => {
                self.next += 1;
                return Ok(());
            }
            Token::Op("(") => "functions can't be called here",
            Token::Op("[" | ".") => "parts of a value can't be picked here",
            Token::Name(_) | Token::Int(_) | Token::Op("/") => "is there a quote missing?",
            _ => "the value should end before it",
        };
        self.unexpected(wanted)
    }

    fn lookup(&mut self, name: &str, at: Pos) -> Result<Item, Problem> {
        let variable = self
            .variables
            .get_mut(name)
            .ok_or_else(|| Problem::at(at, format!("'{name}' is not set before it is used")))?;
        variable.used = true;
        Ok(Item { at, ..variable.item.clone() })
    }

    /// `term (('+' | '-') term)*`
    fn expression(&mut self, depth: u32) -> Result<Item, Problem> {
        let mut left = self.term(depth)?;
        loop {
            let at = self.peek().1;
            let op = if self.accept("+") {
                "+"
            } else if self.accept("-") {
                "-"
            } else {
                return Ok(left);
            };
            left = apply(op, left, self.term(depth)?, at)?;
        }
    }

    /// `factor (('*' | '%') factor)*`
    fn term(&mut self, depth: u32) -> Result<Item, Problem> {
        let mut left = self.factor(depth)?;
        loop {
            let at = self.peek().1;
            let op = if self.accept("*") {
                "*"
            } else if self.accept("%") {
                "%"
            } else {
                return Ok(left);
            };
            left = apply(op, left, self.factor(depth)?, at)?;
        }
    }

    fn factor(&mut self, depth: u32) -> Result<Item, Problem> {
        let at = self.peek().1;
        let mut negative = false;
        while self.accept("-") {
            negative = !negative;
        }
        let item = self.atom(depth)?;
        if !negative {
            return Ok(item);
        }
        let zero = Item { value: Value::Int(0), at };
        apply("-", zero, item, at)
    }

    fn atom(&mut self, depth: u32) -> Result<Item, Problem> {
        let (token, at) = self.peek();
        let value = match token.clone() {
            Token::Int(int) => Value::Int(int),
            Token::Str(text) => Value::Str(text),
            Token::Name(name) => match name.as_str() {
                "None" => Value::None,
                "True" => Value::Bool(true),
                "False" => Value::Bool(false),
                _ => {
                    let item = self.lookup(&name, at)?;
                    self.next += 1;
                    return Ok(item);
                }
            },
            Token::Op("[" | "(") if depth == MAX_DEPTH => {
                return Err(Problem::at(at, "the brackets are nested too deep"));
            }
            Token::Op("[") => {
                self.next += 1;
                return self.list(depth, at);
            }
            Token::Op("(") => {
                self.next += 1;
                return self.parenthesis(depth, at);
            }
            Token::Op("{") => return Err(Problem::at(at, "dictionaries can't be used here")),
            _ => return self.unexpected("a value should stand here"),
        };
        self.next += 1;
        Ok(Item { value: self.with_neighbours(value), at })
    }

    /// Strings that stand side by side are one string.
    fn with_neighbours(&mut self, value: Value) -> Value {
        let Value::Str(mut text) = value else { return value };
        while let (Token::Str(more), _) = self.peek() {
            text.push_str(more);
            self.next += 1;
        }
        Value::Str(text)
    }

    fn list(&mut self, depth: u32, at: Pos) -> Result<Item, Problem> {
        let (items, _) = self.members(depth, "]")?;
        Ok(Item { value: Value::List(items), at })
    }

    /// A value in parentheses, or a tuple, which here is a list.
    fn parenthesis(&mut self, depth: u32, at: Pos) -> Result<Item, Problem> {
        let (mut items, comma) = self.members(depth, ")")?;
        match items.pop() {
            Some(only) if items.is_empty() && !comma => Ok(only),
            last => {
                items.extend(last);
                Ok(Item { value: Value::List(items), at })
            }
        }
    }

    /// Everything up to `close`, and whether there was a comma.
    fn members(&mut self, depth: u32, close: &str) -> Result<(Vec<Item>, bool), Problem> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.accept(close) {
            if items.len() == MAX_LIST {
                let reason = format!("a list can't have more than {MAX_LIST} members");
                return Err(Problem::at(self.peek().1, reason));
            }
            items.push(self.expression(depth + 1)?);
            if self.accept(",") {
                comma = true;
            } else if !matches!(self.peek().0, Token::Op(op) if *op == close) {
                return self.unexpected(&format!("',' or '{close}' should stand here"));
            }
        }
        Ok((items, comma))
    }
}

/// Words that begin other Python statements, or can't be a variable.
fn is_keyword(name: &str) -> bool {
    const KEYWORDS: [&str; 21] = [
        "if", "elif", "else", "for", "while", "def", "class", "import", "from", "try", "except",
        "with", "return", "print", "del", "global", "assert", "pass", "None", "True", "False",
    ];
    KEYWORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value_of(text: &str) -> Value {
        parse(text).unwrap()["x"].item.value.clone()
    }

    fn strings(text: &str) -> Vec<String> {
        let Value::List(items) = value_of(text) else { panic!("not a list") };
        let text = |item: Item| match item.value {
            Value::Str(text) => text,
            other => panic!("{other:?}"),
        };
        items.into_iter().map(text).collect()
    }

    fn problem(text: &str) -> (u32, u32, String) {
        let problem = parse(text).unwrap_err();
        let at = problem.at.unwrap();
        (at.line, at.column, problem.reason)
    }

    #[test]
    fn what_people_write() {
        assert_eq!(value_of("x = 'a' \"b\"\n"), Value::Str("ab".into()));
        assert_eq!(value_of("x = ('a'\n     'b')"), Value::Str("ab".into()));
        assert_eq!(value_of("n = 3\nx = 'vm%d' % n"), Value::Str("vm3".into()));
        assert_eq!(value_of("x = '%s-%d' % ('a', 1 + 1)"), Value::Str("a-2".into()));
        assert_eq!(value_of("x = '%s' % ('a',) + 'b' * 2"), Value::Str("abb".into()));
        assert_eq!(value_of("x = -(2 + 3) * 4"), Value::Int(-20));
        assert_eq!(value_of("x = 'a'\nx += 'b'"), Value::Str("ab".into()));
        assert_eq!(value_of("x = None"), Value::None);
        assert_eq!(value_of("  x = True # comment"), Value::Bool(true));
        assert_eq!(strings("x = [ 'a',\n  # why\n  'b' , ]"), ["a", "b"]);
        assert_eq!(strings("y = ['a']\nx = y + ['b']"), ["a", "b"]);
        assert_eq!(strings("x = ['']"), [""]);
        assert_eq!(value_of("x = []"), Value::List(vec![]));
        assert_eq!(value_of("x = 1; y = 2"), Value::Int(1));
    }

    #[test]
    fn a_variable_knows_whether_it_was_used() {
        let variables = parse("base = '/srv'\nkernel = base + '/vmlinuz'").unwrap();
        assert!(variables["base"].used);
        assert!(!variables["kernel"].used);
        assert_eq!(variables["kernel"].at, Pos { line: 2, column: 1 });
    }

    #[test]
    fn errors_say_what_and_where() {
        // The chapter's own mistake: a value without quotes.
        let (line, column, reason) = problem("name = 'a'\nextra = /platform/unix -B");
        assert_eq!((line, column), (2, 9));
        assert_eq!(reason, "unexpected '/', a value should stand here");
        assert_eq!(problem("name = rosaline").2, "'rosaline' is not set before it is used");
        assert_eq!(problem("memory 512").2, "unexpected 512, '=' must follow 'memory'");
        assert_eq!(problem("memory =\n").2, "unexpected end of line, a value should stand here");
        assert_eq!(problem("memory = 512 MB").2, "unexpected 'MB', is there a quote missing?");
        assert!(problem("if a:\n").2.starts_with("'if' can't be used here"));
        assert!(problem("import os").2.starts_with("'import' can't be used here"));
        assert!(problem("x = 1\ny = x(1)").2.contains("functions can't be called"));
        assert!(problem("x = 'a'\ny = x[0]").2.contains("can't be picked"));
        assert!(problem("x = {'a': 1}").2.contains("dictionaries"));
        assert_eq!(problem("x = ['a' 1]").2, "unexpected 1, ',' or ']' should stand here");
        assert!(problem(&format!("x = {}", "[".repeat(99) + &"]".repeat(99))).2.contains("deep"));
        assert!(problem("x = 'a' + 1").2.contains("can't join"));
        assert_eq!(problem("= 1").2, "unexpected '=', a setting is written NAME = VALUE");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::None),
            any::<bool>().prop_map(Value::Bool),
            (-i64::MAX..).prop_map(Value::Int),
            "\\PC*|[\\x00-\\x7f]*".prop_map(Value::Str),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let at = Pos { line: 1, column: 1 };
            prop::collection::vec(inner.prop_map(move |value| Item { value, at }), 0..6)
                .prop_map(Value::List)
        })
    }

    /// The same value with every place forgotten.
    fn placeless(value: Value) -> Value {
        let at = Pos { line: 1, column: 1 };
        match value {
            Value::List(items) => {
                let forget = |item: Item| Item { value: placeless(item.value), at };
                Value::List(items.into_iter().map(forget).collect())
            }
            other => other,
        }
    }

    proptest! {
        #[test]
        fn a_written_value_reads_back(value in any_value()) {
            let text = format!("x = {}\n", value.repr());
            prop_assert_eq!(placeless(value_of(&text)), value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[\\[\\](){}'\"=+*%,;#\\\\\n a-c0-9x.-]*") {
            let _ = parse(&text);
            let _ = parse_expression(&text);
        }
    }
}
