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
        for line in logical_lines(text) {
            match head.list(&line) {
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

/// The lines, with those put together that a backslash before the end of the line continues.
fn logical_lines(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut whole = String::new();
        for line in lines.by_ref() {
            let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
            if backslashes % 2 == 0 {
                whole.push_str(line);
                return Some(whole);
            }
            whole.push_str(&line[..line.len() - 1]);
        }
        (!whole.is_empty()).then_some(whole)
    })
}

/// The order, as indexes into `files`, and what is wrong with what the files say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// The files in order, all of them.
    pub order: Vec<usize>,
    /// A line for each thing that can't be satisfied.
    pub problems: Vec<String>,
    /// A line for each thing that is odd and does no harm.
    pub warnings: Vec<String>,
}

/// Puts `files` (name and head) in order. Where nothing decides, what is named later comes first,
/// be it a file, a requirement or one of several providers: NetBSD's does so.
pub fn order(files: &[(String, Head)]) -> Ordered {
    let mut walk = Walk::new(files);
    walk.note_before();
    for index in (0..files.len()).rev() {
        if !walk.is_open[index] {
            walk.visit(index);
        }
    }
    walk.result
}

/// A word that files provide or require.
#[derive(Debug, Default)]
struct Provision {
    name: String,
    is_provided: bool,
    /// Its providers that are not done yet.
    providers: Vec<usize>,
    /// Its providers are being listed, or have been.
    is_open: bool,
}

struct Walk<'a> {
    files: &'a [(String, Head)],
    provisions: Vec<Provision>,
    names: HashMap<String, usize>,
    /// The provisions that each file provides as long as it isn't done.
    provided: Vec<Vec<usize>>,
    /// The provisions that each file requires.
    required: Vec<Vec<usize>>,
    /// What each file requires is being listed, or has been.
    is_open: Vec<bool>,
    result: Ordered,
}

impl<'a> Walk<'a> {
    fn new(files: &'a [(String, Head)]) -> Self {
        let (provisions, names) = (Vec::new(), HashMap::new());
        let (provided, required) = (vec![Vec::new(); files.len()], vec![Vec::new(); files.len()]);
        let (is_open, result) = (vec![false; files.len()], Ordered::default());
        let mut walk = Self { files, provisions, names, provided, required, is_open, result };
        for (index, (_, head)) in files.iter().enumerate() {
            head.provide.iter().for_each(|word| walk.provide(word, index));
            for word in &head.require {
                let wanted = walk.provision(word);
                walk.required[index].push(wanted);
            }
        }
        walk
    }

    fn provision(&mut self, word: &str) -> usize {
        if let Some(&known) = self.names.get(word) {
            return known;
        }
        self.names.insert(word.to_owned(), self.provisions.len());
        self.provisions.push(Provision { name: word.to_owned(), ..Provision::default() });
        self.provisions.len() - 1
    }

    fn provide(&mut self, word: &str, file: usize) {
        let at = self.provision(word);
        self.provisions[at].is_provided = true;
        self.provisions[at].providers.push(file);
        self.provided[file].push(at);
    }

    /// `BEFORE: X` makes a provision of its own, which those who provide X require.
    fn note_before(&mut self) {
        let files = self.files;
        let wishes = files.iter().enumerate().flat_map(|(index, (name, head))| {
            head.before.iter().map(move |word| (index, name, word))
        });
        let wishes: Vec<_> = wishes.collect();
        for (number, (index, name, word)) in wishes.into_iter().rev().enumerate() {
            let own = format!("fake_prov_{number:08}");
            self.provide(&own, index);
            if !self.names.contains_key(word) {
                let warning = format!("file `{name}' is before unknown provision `{word}'");
                self.result.warnings.push(warning);
            }
            let (own, later) = (self.provision(&own), self.provision(word));
            for &file in self.provisions[later].providers.iter().rev() {
                self.required[file].push(own);
            }
        }
    }

    /// Lists what a file requires, then the file. Coming upon an open one means a cycle: it counts
    /// as done then, so that the others can go on.
    fn visit(&mut self, index: usize) {
        let files = self.files;
        let name = &files[index].0;
        let is_cycle = self.is_open[index];
        if is_cycle {
            self.result.problems.push(format!("Circular dependency on file `{name}'."));
        }
        self.is_open[index] = true;
        for wanted in self.required[index].clone().into_iter().rev() {
            self.satisfy(wanted, name);
        }
        self.required[index].clear();
        for provision in std::mem::take(&mut self.provided[index]) {
            self.provisions[provision].providers.retain(|&file| file != index);
        }
        if !is_cycle {
            self.result.order.push(index);
        }
    }

    fn satisfy(&mut self, wanted: usize, file: &str) {
        let provision = &mut self.provisions[wanted];
        let name = &provision.name;
        if !provision.is_provided {
            let problem = format!("requirement `{name}' in file `{file}' has no providers.");
            return self.result.problems.push(problem);
        }
        if provision.providers.is_empty() {
            return;
        }
        if provision.is_open {
            let problem = format!("Circular dependency on provision `{name}' in file `{file}'.");
            return self.result.problems.push(problem);
        }
        provision.is_open = true;
        while let Some(&next) = self.provisions[wanted].providers.last() {
            self.visit(next);
        }
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
    fn requirements_come_first_and_else_the_last_given() {
        let lines = ["d:d/c a", "c:c/b", "b:b", "a:a//c", "z:z"];
        let (names, problems) = ordered(&lines);
        assert_eq!((names.as_str(), problems.len()), ("z a b c d", 0));
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
        assert_eq!(names, "d e c a b");
        let expected = [
            "Circular dependency on file `e'.",
            "Circular dependency on provision `fake_prov_00000002' in file `e'.",
            "requirement `x' in file `c' has no providers.",
            "Circular dependency on file `b'.",
            "Circular dependency on provision `a' in file `b'.",
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
