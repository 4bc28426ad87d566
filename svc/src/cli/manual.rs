//! The manual page of a command, in mdoc(7).

use super::{Command, Opt, Subcommand, Term, prose, synopsis};

/// When the descriptions were last gone through.
const DATE: &str = "November 23, 2026";

/// The page.
pub fn page(command: &Command) -> String {
    let mut page = Page(Vec::new());
    page.line(format!(".Dd {DATE}"));
    page.line(format!(".Dt {} {}", command.name.to_uppercase(), command.section));
    page.line(".Os Escalus");
    page.section("Name");
    page.line(format!(".Nm {}", command.name));
    page.line(format!(".Nd {}", command.summary));
    page.section("Synopsis");
    for synopsis in synopses(command) {
        page.line(".Nm");
        page.0.extend(synopsis);
    }
    page.section("Description");
    page.prose(command.description);
    page.options(command.options);
    page.subcommands(command);
    for section in command.sections {
        page.section(section.title);
        page.prose(section.text);
        page.terms(section.terms);
    }
    page.section("Exit status");
    page.terms(command.exit);
    if !command.examples.is_empty() {
        page.section("Examples");
    }
    for (number, (what, line)) in command.examples.iter().enumerate() {
        if number > 0 && !what.is_empty() {
            page.line(".Pp");
        }
        page.prose(what);
        page.prose(&format!("    {line}"));
    }
    page.section("See also");
    let pages: Vec<String> = command.see_also.iter().flat_map(|page| prose::lines(page)).collect();
    page.line(pages.join(" ,\n"));
    page.0.join("\n") + "\n"
}

/// The ways to call it: with each subcommand that the usage lists, if there are some.
fn synopses(command: &Command) -> Vec<Vec<String>> {
    let option = |option: &Opt| match option.argument {
        Some((name, _)) => format!("[-{} {name}]", option.letter),
        None => format!("[-{}]", option.letter),
    };
    let options: Vec<String> = command.options.iter().map(option).collect();
    let options = synopsis::lines(&options.join(" "));
    let with_options =
        |subcommand: &Subcommand| [options.clone(), synopsis::lines(subcommand.synopsis)].concat();
    let subcommands: Vec<_> = command.listed().map(with_options).collect();
    match subcommands.is_empty() {
        true => command.synopses.iter().map(|synopsis| synopsis::lines(synopsis)).collect(),
        false => subcommands,
    }
}

struct Page(Vec<String>);

impl Page {
    fn line(&mut self, line: impl Into<String>) {
        self.0.push(line.into());
    }

    fn section(&mut self, title: &str) {
        self.line(format!(".Sh {}", title.to_uppercase()));
    }

    fn prose(&mut self, text: &str) {
        if !text.is_empty() {
            self.0.extend(prose::lines(text));
        }
    }

    /// Tags, as macros, with what they mean.
    fn list<'a>(&mut self, items: impl Iterator<Item = (String, &'a str)>) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        self.line(".Bl -tag -width Ds");
        for (tag, text) in items {
            self.line(format!(".It {tag}"));
            self.prose(text);
        }
        self.line(".El");
    }

    fn terms(&mut self, terms: &[Term]) {
        self.list(terms.iter().map(|(term, text)| (format!("Li {term}"), *text)));
    }

    fn options(&mut self, options: &[Opt]) {
        let explained = options.iter().filter(|option| !option.text.is_empty());
        self.list(explained.map(|option| (tag(option), option.text)));
    }

    fn subcommands(&mut self, command: &Command) {
        if !command.subcommands.is_empty() {
            self.line(".Pp");
            self.line("The subcommands are:");
        }
        for under_heading in command.subcommands.chunk_by(|one, next| one.heading == next.heading) {
            if let [Subcommand { heading, .. }, ..] = under_heading
                && !heading.is_empty()
            {
                self.line(format!(".Ss {heading}"));
            }
            self.line(".Bl -tag -width Ds");
            for subcommand in under_heading {
                self.line(format!(".It {}", synopsis::inline(subcommand.synopsis)));
                self.prose(subcommand.text);
                self.options(subcommand.options);
            }
            self.line(".El");
        }
    }
}

fn tag(option: &Opt) -> String {
    match option.argument {
        Some((name, _)) => format!("Fl {} Ar {name}", option.letter),
        None => format!("Fl {}", option.letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::COMMANDS;

    #[test]
    fn each_option_is_in_a_synopsis() {
        for command in COMMANDS {
            let synopses = synopses(command).concat();
            let letters = |options: &'static [Opt]| options.iter().map(|option| option.letter);
            let listed = command.listed().flat_map(|subcommand| letters(subcommand.options));
            for letter in letters(command.options).chain(listed) {
                let shows = |line: &String| {
                    let mut words = line.split(' ').skip_while(|word| !word.ends_with("Fl"));
                    words.any(|word| word.contains(letter))
                };
                assert!(synopses.iter().any(shows), "{} -{letter}", command.name);
            }
        }
    }
}
