//! The order of rcorder(8): a file comes after the files that provide what it requires.

use std::collections::HashMap;

/// What the first comment block of a script says to rcorder(8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// What the script provides.
    pub provide: Vec<String>,
    /// What must come before it.
    pub require: Vec<String>,
    /// What must come after it.
    pub before: Vec<String>,
    /// Words by which rcorder selects.
    pub keyword: Vec<String>,
}

impl Head {
    /// Reads the first block of such lines; it ends at the first other line.
    pub fn parse(text: &str) -> Self {
        let mut head = Self::default();
        let mut begun = false;
        for line in text.lines() {
            match head.list(line) {
                Some((list, words)) => {
                    begun = true;
                    list.extend(words.split_whitespace().map(str::to_owned));
                }
                None if begun => break,
                None => {}
            }
        }
        head
    }

    fn list<'a>(&mut self, line: &'a str) -> Option<(&mut Vec<String>, &'a str)> {
        let (word, rest) = line.strip_prefix("# ")?.split_once(':')?;
        let list = match word {
            "PROVIDE" | "PROVIDES" => &mut self.provide,
            "REQUIRE" | "REQUIRES" => &mut self.require,
            "BEFORE" => &mut self.before,
            "KEYWORD" | "KEYWORDS" => &mut self.keyword,
            _ => return None,
        };
        Some((list, rest))
    }

    /// Whether the file is listed: it has one of the keywords to keep, if there are any, and none
    /// of those to skip.
    pub fn is_chosen(&self, keep: &[String], skip: &[String]) -> bool {
        let has = |words: &[String]| self.keyword.iter().any(|keyword| words.contains(keyword));
        (keep.is_empty() || has(keep)) && !has(skip)
    }
}

/// The order, as indexes into `files`, and what is wrong with what the files say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// The files in order.
    pub order: Vec<usize>,
    /// A line for each thing that can't be satisfied.
    pub problems: Vec<String>,
}

/// Puts `files` (name and head) in order. Files that nothing holds back keep the order in which
/// they are given.
pub fn order(files: &[(String, Head)]) -> Ordered {
    let mut providers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, (_, head)) in files.iter().enumerate() {
        for word in &head.provide {
            providers.entry(word).or_default().push(index);
        }
    }
    let mut walk = Walk {
        files,
        marks: vec![Mark::New; files.len()],
        earlier: vec![Vec::new(); files.len()],
        providers,
        result: Ordered::default(),
    };
    walk.note_before();
    for index in 0..files.len() {
        walk.visit(index);
    }
    walk.result
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// What it requires is being listed.
    Open,
    Listed,
}

struct Walk<'a> {
    files: &'a [(String, Head)],
    marks: Vec<Mark>,
    /// Files that want to come before each file.
    earlier: Vec<Vec<usize>>,
    providers: HashMap<&'a str, Vec<usize>>,
    result: Ordered,
}

impl Walk<'_> {
    /// `BEFORE: X` in a file is a requirement of those that provide X, if any do.
    fn note_before(&mut self) {
        for (index, (_, head)) in self.files.iter().enumerate() {
            let later = head.before.iter().filter_map(|word| self.providers.get(word.as_str()));
            later.flatten().for_each(|&at| self.earlier[at].push(index));
        }
    }

    fn visit(&mut self, index: usize) {
        if self.marks[index] != Mark::New {
            return;
        }
        self.marks[index] = Mark::Open;
        let files = self.files;
        for word in &files[index].1.require {
            self.satisfy(word);
        }
        for other in std::mem::take(&mut self.earlier[index]) {
            if self.marks[other] == Mark::Open {
                self.problem(format!("Circular dependency on file {}", files[other].0));
            }
            self.visit(other);
        }
        self.marks[index] = Mark::Listed;
        self.result.order.push(index);
    }

    fn satisfy(&mut self, word: &str) {
        let Some(needed) = self.providers.get(word).cloned() else {
            return self.problem(format!("Requirement {word} has no providers"));
        };
        for index in needed {
            if self.marks[index] == Mark::Open {
                self.problem(format!("Circular dependency on provision {word}"));
            }
            self.visit(index);
        }
    }

    fn problem(&mut self, what: String) {
        self.result.problems.push(format!("{what}, aborting."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Files given as `name: PROVIDE / REQUIRE / BEFORE / KEYWORD`.
    fn files(lines: &[&str]) -> Vec<(String, Head)> {
        let words = |text: Option<&str>| {
            text.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let file = |line: &&str| {
            let (name, rest) = line.split_once(':').unwrap();
            let mut lists = rest.split('/');
            let provide = words(lists.next());
            let (require, before) = (words(lists.next()), words(lists.next()));
            (name.to_owned(), Head { provide, require, before, keyword: words(lists.next()) })
        };
        lines.iter().map(file).collect()
    }

    fn ordered(lines: &[&str]) -> (String, Vec<String>) {
        let files = files(lines);
        let result = order(&files);
        let names: Vec<&str> = result.order.iter().map(|&at| files[at].0.as_str()).collect();
        (names.join(" "), result.problems)
    }

    #[test]
    fn requirements_come_first_and_the_rest_as_given() {
        let lines = ["d:d/c a", "c:c/b", "b:b", "a:a//c", "z:z"];
        let (names, problems) = ordered(&lines);
        assert_eq!((names.as_str(), problems.len()), ("b a c d z", 0));
    }

    #[test]
    fn keywords_select() {
        let chosen = |keep: &[&str], skip: &[&str]| {
            let words = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
            let (keep, skip) = (words(keep), words(skip));
            let mut files = files(&["a:a///shutdown", "b:b///nostart", "c:c"]);
            files.retain(|(_, head)| head.is_chosen(&keep, &skip));
            files.into_iter().map(|(name, _)| name).collect::<String>()
        };
        assert_eq!(chosen(&["shutdown"], &[]), "a");
        assert_eq!(chosen(&[], &["nostart"]), "ac");
        assert_eq!(chosen(&[], &[]), "abc");
    }

    #[test]
    fn the_head_is_one_block() {
        let text = "#!/bin/sh\n#\n# $NetBSD$\n#\n# PROVIDE: a b\n# REQUIRE: DAEMON\n\
                    # REQUIRE: c\n# BEFORE:  LOGIN\n# KEYWORD: shutdown nostart\n\n\
                    # REQUIRE: later\n";
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let expected = Head {
            provide: words("a b"),
            require: words("DAEMON c"),
            before: words("LOGIN"),
            keyword: words("shutdown nostart"),
        };
        assert_eq!(Head::parse(text), expected);
        assert_eq!(Head::parse("#PROVIDE: a\n##  REQUIRE: b\nPROVIDE: c\n"), Head::default());
    }

    #[test]
    fn what_cannot_be_is_said_and_all_are_listed() {
        let (names, problems) = ordered(&["a:a/b", "b:b/a", "c:c/x", "d:d//e", "e:e//d none"]);
        assert_eq!(names, "b a c e d");
        let expected = [
            "Circular dependency on provision a, aborting.",
            "Requirement x has no providers, aborting.",
            "Circular dependency on file d, aborting.",
        ];
        assert_eq!(problems, expected);
    }

    proptest! {
        /// Whatever is required is listed before, and every file once, if there are no cycles.
        #[test]
        fn order_is_kept(edges in proptest::collection::vec((0usize..8, 0usize..8), 0..20)) {
            let mut files: Vec<(String, Head)> = (0..8).map(|n: usize| {
                (n.to_string(), Head { provide: vec![n.to_string()], ..Head::default() })
            }).collect();
            let edges: Vec<_> = edges.into_iter().filter(|(a, b)| a > b).collect();
            for (a, b) in &edges {
                // Either way of saying it.
                if (a + b) % 2 == 0 {
                    files[*a].1.require.push(b.to_string());
                } else {
                    files[*b].1.before.push(a.to_string());
                }
            }
            let result = order(&files);
            prop_assert!(result.problems.is_empty());
            prop_assert_eq!(result.order.len(), 8);
            let at = |n: usize| result.order.iter().position(|&m| m == n).unwrap();
            for (a, b) in edges {
                prop_assert!(at(b) < at(a));
            }
        }
    }
}
