//! svcprop(1), described.

use super::{Command, Opt, SNAPSHOTS, Section, Values};

/// `svcprop`.
pub static SVCPROP: Command = Command {
    name: "svcprop",
    section: 1,
    summary: "print properties of services",
    lead: "Usage: ",
    synopses: &[
        "[-fqtv] [-C | -c | -s snapshot] [-p [name/]name]... \n         {FMRI | pattern}...",
        "-w [-fqtv] [-p [name/]name] {FMRI | pattern}",
    ],
    description: "\
`svcprop` prints values of properties from the repository.

An operand is an FMRI of a service, an instance, a property group or a property, or whole last \
components of the FMRI of a service or an instance, such as `xend`, `xvm/xend` or `xend:default`; or \
a pattern that is matched against whole FMRIs. It prints of all that an operand means.

Without `-C`, `-c` and `-s` it prints what an instance itself sees: its `running` snapshot with the \
properties of its service where it has none of its own, and what doesn't survive a boot as it is now. \
Of a service it prints what is edited.",
    options: &[
        Opt {
            letter: 'C',
            argument: None,
            help: "",
            text: "What is edited of the service or instance itself, without what it inherits.",
        },
        Opt {
            letter: 'c',
            argument: None,
            help: "",
            text: "What is edited, with what an instance inherits. Some properties, such as \
                   `general/enabled`, count at once and are seen this way.",
        },
        Opt { letter: 'f', argument: None, help: "", text: "Full FMRIs as names, and types." },
        Opt {
            letter: 'p',
            argument: Some(("name", Values::Properties)),
            help: "",
            text: "Of services and instances the property group *name*, or the property \
                   *group/property*; of a property group the property *name*. May be given several \
                   times.",
        },
        Opt { letter: 'q', argument: None, help: "", text: "Print nothing; the exit status tells." },
        Opt {
            letter: 's',
            argument: Some(("snapshot", SNAPSHOTS)),
            help: "",
            text: "What is in a snapshot of the instance, as svccfg(8) lists them.",
        },
        Opt { letter: 't', argument: None, help: "", text: "Names and types, too." },
        Opt {
            letter: 'v',
            argument: None,
            help: "",
            text: "Tell which properties there are not, even with `-q`.",
        },
        Opt {
            letter: 'w',
            argument: None,
            help: "",
            text: "Wait until the property group changes, then print. For one operand that means one \
                   entity, and one `-p` at most; `-C` is implied.",
        },
    ],
    subcommands: &[],
    operands: Values::Services,
    sections: &[Section {
        title: "Output",
        text: "\
A property that was named is a line with its values, with blanks between them. Of a whole property \
group, with `-t`, and where `-p` names both groups and properties, its name and its type come first; \
with `-f`, and of several services or instances, its FMRI and its type.

An empty string is printed as `\"\"`. Characters that mean something to sh(1) have a backslash before \
them.",
        terms: &[],
    }],
    exit: &[
        ("0", "All was printed, or would have been."),
        ("1", "A property, a group or a service isn't there, or another error occurred."),
        ("2", "Wrong usage."),
    ],
    examples: &[
        ("One value:", "svcprop -p restarter/state xend"),
        ("Whether a service is enabled:", "svcprop -c -p general/enabled xend"),
        ("Wait for the next change of state:", "svcprop -w -p restarter/state xend"),
    ],
    see_also: &["svcs(1)", "svcadm(8)", "svccfg(8)"],
};
