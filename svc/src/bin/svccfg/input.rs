//! Where commands come from: the command line, a file, standard input, or a person.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::complete::Words;

use crate::lexer::{self, Incomplete};
use crate::session::{Error, Session};

/// Executes `text`, which came from `source`; stops at the first error. Returns whether all went
/// well.
pub fn run_text(session: &mut Session, text: &str, source: Option<&str>) -> bool {
    let prefix = |line: usize| match source {
        Some(file) => format!("svccfg ({file}, line {line})"),
        None => "svccfg".to_owned(),
    };
    let statements = match lexer::statements(text) {
        Ok(statements) => statements,
        Err(Incomplete) => {
            let last = text.lines().count();
            eprintln!("{}: Syntax error: a quote or a parenthesis is not closed.", prefix(last));
            return false;
        }
    };
    for statement in statements {
        match session.execute(&statement) {
            Ok(()) if session.ended => break,
            Ok(()) => {}
            // Whoever read the answer has gone; there's nobody to tell.
            Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return false,
            Err(error) => {
                eprintln!("{}: {error}", prefix(statement.line));
                return false;
            }
        }
    }
    true
}

/// Executes a file; `-` is standard input.
pub fn run_file(session: &mut Session, file: &str) -> bool {
    let text = if file == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    match text {
        Ok(text) => run_text(session, &text, Some(if file == "-" { "<stdin>" } else { file })),
        Err(error) => {
            eprintln!("svccfg: {file}: {error}");
            false
        }
    }
}

/// Executes what is typed or piped in.
pub fn run_stdin(session: &mut Session) -> bool {
    if io::stdin().is_terminal() { interact(session) } else { run_file(session, "-") }
}

/// A conversation: errors are told, and it goes on.
fn interact(session: &mut Session) -> bool {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor = match Editor::<Words, DefaultHistory>::with_config(config) {
        Ok(editor) => editor,
        Err(error) => {
            eprintln!("svccfg: cannot use the terminal: {error}");
            return false;
        }
    };
    // History is a comfort; where it can't be kept, there is none.
    let history = history_file();
    if let Some(file) = &history {
        let _ = editor.load_history(file);
    }
    let mut typed = String::new();
    session.interactive = true;
    while !session.ended {
        editor.set_helper(Some(Words::of(session)));
        let prompt = if typed.is_empty() { session.prompt() } else { "> ".to_owned() };
        match editor.readline(&prompt) {
            Ok(line) => {
                typed.push_str(&line);
                typed.push('\n');
            }
            Err(ReadlineError::Interrupted) => {
                typed.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                eprintln!("svccfg: {error}");
                return false;
            }
        }
        if let Ok(statements) = lexer::statements(&typed) {
            let _ = editor.add_history_entry(typed.trim_end());
            typed.clear();
            for statement in statements {
                if let Err(error) = session.execute(&statement) {
                    eprintln!("{error}");
                }
            }
        }
    }
    if let Some(file) = &history {
        let _ = editor.save_history(file);
    }
    true
}

/// What was typed in earlier sessions.
fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".svccfg_history"))
}
