//! Completion of what is typed: commands, then names of services, instances, groups and properties.

use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};

use crate::commands;
use crate::session::Session;

/// The words that may come next, as things are before a line is typed.
#[derive(Debug, Default, Helper, Highlighter, Hinter, Validator)]
pub struct Words {
    names: Vec<String>,
}

impl Words {
    /// Those of the repository and of the selection; without a repository there are none.
    pub fn of(session: &Session) -> Self {
        let mut names = Vec::new();
        if let Ok(repo) = session.repo() {
            let entities = repo.services().into_iter().chain(repo.instances()).flatten();
            for fmri in entities {
                let full = fmri.to_string();
                names.push(full.trim_start_matches("svc:/").to_owned());
                names.push(full);
            }
        }
        if let (true, Ok(groups)) = (session.selection.is_some(), session.groups()) {
            for (pg, group) in groups {
                names.extend(group.props.keys().map(|prop| format!("{pg}/{prop}")));
                names.push(pg);
            }
        }
        names.sort();
        Self { names }
    }

    /// Where the last word of a line begins, and what it may become.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
        let begun = &line[start..];
        let is_first = line[..start].trim().is_empty();
        let mut found: Vec<String> = if is_first {
            commands::names().filter(|name| name.starts_with(begun)).map(str::to_owned).collect()
        } else {
            self.names.iter().filter(|name| name.starts_with(begun)).cloned().collect()
        };
        found.sort();
        (start, found)
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.candidates(&line[..position]);
        let pair = |word: String| Pair { display: word.clone(), replacement: word };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_commands_and_others_names() {
        let names = ["config/a", "config/b", "system/x"].map(str::to_owned).to_vec();
        let words = Words { names };
        assert_eq!(words.candidates("lists"), (0, vec!["listsnap".to_owned()]));
        assert_eq!(words.candidates("setprop con").1, ["config/a", "config/b"]);
        assert_eq!(words.candidates("setprop con").0, 8);
        assert_eq!(words.candidates("select sys").1, ["system/x"]);
        assert_eq!(words.candidates("select nothing").1, [""; 0]);
    }
}
