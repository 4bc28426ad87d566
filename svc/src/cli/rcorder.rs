//! rcorder(8), described.

use super::{Command, Opt, Section, Values};

/// `rcorder`.
pub static RCORDER: Command = Command {
    name: "rcorder",
    section: 8,
    summary: "print rc.d scripts in the order of their dependencies",
    lead: "Usage: ",
    synopses: &["[-k keyword] [-s keyword] file ..."],
    description: "\
`rcorder` reads the first block of lines of the forms below in each *file*, and prints the files so \
that each comes after what it requires. Files that nothing orders stay as they are given.",
    options: &[
        Opt {
            letter: 'k',
            argument: Some(("keyword", KEYWORDS)),
            help: "",
            text: "Print only files with that keyword; may be given several times.",
        },
        Opt {
            letter: 's',
            argument: Some(("keyword", KEYWORDS)),
            help: "",
            text: "Don't print files with that keyword; may be given several times.",
        },
    ],
    subcommands: &[],
    operands: Values::Files,
    sections: &[
        Section {
            title: "Lines in scripts",
            text: "The block ends at the first line of another form.",
            terms: &[
                ("# PROVIDE: word ...", "What the file stands for."),
                ("# REQUIRE: word ...", "What must come before it."),
                ("# BEFORE: word ...", "What must come after it."),
                ("# KEYWORD: word ...", "Words for `-k` and `-s`."),
            ],
        },
        Section {
            title: "Diagnostics",
            text: "Files that can be read are listed in spite of these:",
            terms: &[
                (
                    "Requirement %s has no providers, aborting.",
                    "A file requires what none of the files provides.",
                ),
                (
                    "Circular dependency on provision %s, aborting.",
                    "What provides it requires it, directly or not.",
                ),
                ("Circular dependency on file %s, aborting.", "The file must come before itself."),
            ],
        },
    ],
    exit: &[
        ("0", "All files are listed."),
        ("1", "A file can't be read, the dependencies can't all be met, or the usage was wrong."),
    ],
    examples: &[
        ("The order of a boot:", "rcorder -s nostart /etc/rc.d/*"),
        ("What is stopped in the end:", "rcorder -k shutdown /etc/rc.d/*"),
    ],
    see_also: &["svcs(1)", "svcadm(8)"],
};

const KEYWORDS: Values = Values::Words(&["nojail", "nostart", "shutdown"]);
