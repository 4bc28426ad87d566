//! rcorder(8), described.

use super::{Command, Opt, Section, Values};

/// `rcorder`.
pub static RCORDER: Command = Command {
    name: "rcorder",
    section: 8,
    summary: "print rc.d scripts in the order of their dependencies",
    lead: "Usage: ",
    synopses: &["[-k keyword] [-s keyword] [file ...]"],
    description: "\
`rcorder` reads the first block of lines of the forms below in each *file*, and prints the files so \
that each comes after what it requires. Where nothing decides, the file that is given last comes first, as \
with NetBSD's rcorder. What is not a file is passed over.",
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
            text: "The block ends at the first line of another form; a backslash at the end of a line \
continues it. Plurals (`# REQUIRES:`) are understood.",
            terms: &[
                ("# PROVIDE: word ...", "What the file stands for."),
                ("# REQUIRE: word ...", "What must come before it."),
                ("# BEFORE: word ...", "What must come after it."),
                ("# KEYWORD: word ...", "Words for `-k` and `-s`."),
            ],
        },
        Section {
            title: "Diagnostics",
            text: "All files are listed in spite of these:",
            terms: &[
                (
                    "requirement `%s' in file `%s' has no providers.",
                    "A file requires what none of the files provides.",
                ),
                (
                    "Circular dependency on provision `%s' in file `%s'.",
                    "What provides it requires it, directly or not.",
                ),
                ("Circular dependency on file `%s'.", "The file must come before itself."),
                (
                    "file `%s' is before unknown provision `%s'",
                    "None of the files provides it; that is no failure.",
                ),
                ("could not open %s: %s", "The file is left out; that is no failure."),
            ],
        },
    ],
    exit: &[
        ("0", "All files are listed."),
        ("1", "The dependencies can't all be met, or the usage was wrong."),
    ],
    examples: &[
        ("The order of a boot:", "rcorder -s nostart /etc/rc.d/*"),
        ("What is stopped in the end:", "rcorder -k shutdown /etc/rc.d/*"),
    ],
    see_also: &["svcs(1)", "svcadm(8)"],
};

const KEYWORDS: Values = Values::Words(&["nojail", "nostart", "shutdown"]);
