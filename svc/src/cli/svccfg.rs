//! svccfg(8), described.

use super::{Command, Opt, SNAPSHOTS, Section, Subcommand, Values};

/// `svccfg`.
pub static SVCCFG: Command = Command {
    name: "svccfg",
    section: 8,
    summary: "edit services, instances and their properties",
    lead: "Usage:\t",
    synopses: &["[-v] [-s FMRI] [-f file]", "[-v] [-s FMRI] <command> [args]", "help"],
    description: "\
`svccfg` shows and changes what the repository says of services and their instances. It reads its \
subcommands from its command line, from a *file*, or from standard input; on a terminal with a \
history and completion.

What is edited is not seen by the service or its restarter until it is refreshed, by `refresh` or by \
svcadm(8); but `general/enabled` counts at once.",
    options: &[
        Opt {
            letter: 'f',
            argument: Some(("file", Values::Files)),
            help: "",
            text: "Read subcommands from *file*, or from standard input if that is `-`.",
        },
        Opt {
            letter: 's',
            argument: Some(("FMRI", Values::Services)),
            help: "",
            text: "Select this service or instance first. It may be abbreviated.",
        },
        Opt { letter: 'v', argument: None, help: "", text: "Say more." },
    ],
    subcommands: &SUBCOMMANDS,
    operands: Values::Any,
    sections: &[Section {
        title: "Words",
        text: "\
Subcommands are divided into words at blanks. What has blanks, quotation marks or parentheses in it \
is put into double quotes, with a backslash before a double quote or a backslash: any other character \
after a backslash stands for itself. From a `#` that begins a word to the end of the line is a \
comment. A list in parentheses and what is in quotes may go on in the next line.

Of what is typed as arguments a shell takes its own quotes first, and the rest is one line. So a \
value with blanks in it needs both:

    svccfg -s xend setprop config/xend-relocation-hosts-allow = '\"^a$ ^b$\"'

An argument that is empty is the empty value.",
        terms: &[],
    },
    Section {
        title: "Environment",
        text: "",
        terms: &[
            ("VISUAL, EDITOR", "The editor of `editprop`; without them it is vi(1)."),
            ("SVCCFG_REPOSITORY", "The repository to use instead of the system's, as after `repository`."),
            ("SVCCFG_CONFIGD_PATH", "The program that serves it; without this it is `/lib/svc/bin/svc.configd`."),
        ],
    }],
    exit: &[
        ("0", "All subcommands succeeded."),
        ("1", "One failed. Of a file, those after it are not carried out."),
        ("2", "Wrong usage."),
    ],
    examples: &[
        ("Change a property, and have the service see it:", "svccfg -s xend setprop config/dom0-min-mem = 512"),
        ("", "svcadm refresh xend"),
        ("Write what was customised here to a profile:", "svccfg extract >site.xml"),
        (
            "Look up a property as it was when the machine was booted:",
            "SVCCFG_REPOSITORY=/var/svc/repository-boot svccfg -s xend listprop config",
        ),
    ],
    see_also: &["svcprop(1)", "svcs(1)", "svcadm(8)"],
};

const GENERAL: &str = "General commands";
const MANIFEST: &str = "Manifest commands";
const PROFILE: &str = "Profile commands";
const ENTITY: &str = "Entity commands";
const SNAPSHOT: &str = "Snapshot commands";
const PROPERTY: &str = "Property commands";
const EDITING: &str = "Editing commands";
const CUSTOM: &str = "Customization commands";
const TEMPLATE: &str = "Template commands";
const ENVIRONMENT: &str = "Method environment commands";

/// The subcommands, in the order in which `help` lists them.
static SUBCOMMANDS: [Subcommand; 39] = [
    command(GENERAL, "end", "end", "Ends the session; exit and quit do the same."),
    command(GENERAL, "exit", "exit", "Ends the session."),
    command(GENERAL, "help", "help [command]", "Lists the commands, or explains one."),
    command(GENERAL, "quit", "quit", "Ends the session."),
    command(
        GENERAL,
        "repository",
        "repository file",
        "Uses the repository in *file*, a backup say, instead of the system's; one that isn't \
         there is made.",
    )
    .operands(Values::Files),
    command(GENERAL, "set", "set [-vV]", "Sets how much is said; without an option, shows it.").options(&[
        flag('v', "Say more."),
        flag('V', "Say no more than needed."),
    ]),
    command(
        MANIFEST,
        "archive",
        "archive [-a] [> file]",
        "Writes all services as they are edited now, in XML, for `restore`. Protected property \
         groups are written without their values.",
    )
    .options(&[SECRETS]),
    command(
        MANIFEST,
        "cleanup",
        "cleanup",
        "Removes the services whose manifest is gone; one that runs is disabled first.",
    ),
    command(
        MANIFEST,
        "delhash",
        "delhash [-d] manifest",
        "Forgets that a manifest was imported, so that the next boot imports it again.",
    )
    .options(&[flag('d', "Even one that doesn't exist any more.")])
    .operands(Values::Files),
    command(
        MANIFEST,
        "export",
        "export [-at] {service | pattern} [> file]",
        "Writes a manifest of the service as it is edited now, in XML. Protected property groups \
         are written without their values.",
    )
    .options(&[SECRETS, TOML])
    .operands(Values::Services),
    command(
        MANIFEST,
        "import",
        "import [-V] {file | folder} ...",
        "Imports manifests. What was changed here since their last import is kept. Of several, a \
         bad one keeps none of the others back. What isn't as the templates say is told.",
    )
    .options(&[flag('V', "Import nothing that isn't as the templates say; so it is in a session on a terminal.")])
    .operands(Values::Files),
    command(
        MANIFEST,
        "inventory",
        "inventory file",
        "Lists the instances and services that a manifest delivers.",
    )
    .operands(Values::Files),
    command(
        MANIFEST,
        "restore",
        "restore file",
        "Makes the services of an archive what it says; those that it doesn't name stay as they \
         are. The repository is backed up before.",
    )
    .operands(Values::Files),
    command(
        MANIFEST,
        "validate",
        "validate [file | fmri]",
        "Checks a manifest, without changing the repository, or an instance as it runs; without an \
         operand the selected instance, or the selected snapshot of it. What isn't as the \
         templates say is an error. What begins with `svc:` is no file, what begins with `file:` \
         is one.",
    )
    .operands(Values::Files),
    command(
        PROFILE,
        "apply",
        "apply [-n] {file | folder}",
        "Applies a profile, or all those in a folder.",
    )
    .options(&[flag('n', "Only say what it would change.")])
    .operands(Values::Files),
    command(
        PROFILE,
        "extract",
        "extract [-at] [-l layer] [> file]",
        "Writes what was customised here as a profile, in XML. Protected property groups are \
         written without their properties.",
    )
    .options(&[
        SECRETS,
        Opt {
            letter: 'l',
            argument: Some(("layer", Values::Words(&["admin", "manifest", "current"]))),
            help: "",
            text: "What was customised (`admin`, as without this option), what the last imports \
                   delivered (`manifest`), or everything (`current`).",
        },
        TOML,
    ]),
    command(ENTITY, "add", "add name", "Adds a service, or an instance to the selected service."),
    command(
        ENTITY,
        "delete",
        "delete [-f] {name | fmri | pattern}",
        "Deletes a service or an instance, and the dependencies that it has put on others.",
    )
    .options(&[flag('f', "Even one that runs.")])
    .operands(Values::Services),
    command(
        ENTITY,
        "list",
        "list [glob_pattern]",
        "Lists the children of the selection: services, or a service's instances.",
    ),
    command(
        ENTITY,
        "select",
        "select {name | fmri | pattern}",
        "Selects a service or an instance for the commands that follow.",
    )
    .operands(Values::Services),
    command(ENTITY, "unselect", "unselect", "Selects the parent of the selection."),
    command(SNAPSHOT, "listsnap", "listsnap", "Lists the snapshots of the selected instance."),
    command(
        SNAPSHOT,
        "refresh",
        "refresh",
        "Makes what was edited visible to the selected instance, and has its restarter reread it.",
    ),
    command(
        SNAPSHOT,
        "revert",
        "revert [snapshot]",
        "Makes the properties of the selected instance and of its service what they were in a snapshot, or in the selected one.",
    )
    .operands(SNAPSHOTS),
    command(
        SNAPSHOT,
        "selectsnap",
        "selectsnap [snapshot]",
        "Shows a snapshot instead of what is edited; without a name, what is edited.",
    )
    .operands(SNAPSHOTS),
    command(
        PROPERTY,
        "addpg",
        "addpg name type [P]",
        "Adds a property group; with P one that a boot empties.",
    ),
    command(
        PROPERTY,
        "addpropvalue",
        "addpropvalue pg/name [type:] value",
        "Adds a value to a property, or makes the property.",
    )
    .first(Values::Properties),
    command(PROPERTY, "delpg", "delpg name", "Deletes a property group.").first(Values::Properties),
    command(
        PROPERTY,
        "delprop",
        "delprop pg[/name]",
        "Deletes a property, or a property group.",
    )
    .first(Values::Properties),
    command(
        PROPERTY,
        "delpropvalue",
        "delpropvalue pg/name glob_pattern",
        "Deletes the values of a property that match the pattern.",
    )
    .first(Values::Properties),
    command(
        PROPERTY,
        "listpg",
        "listpg [glob_pattern]",
        "Lists the property groups of the selection.",
    )
    .first(Values::Properties),
    command(
        PROPERTY,
        "listprop",
        "listprop [glob_pattern]",
        "Lists the property groups and the properties of the selection.",
    )
    .first(Values::Properties),
    command(
        PROPERTY,
        "setprop",
        "setprop pg/name = [type:] value, or setprop pg/name = [type:] ([value...])",
        "Sets a property. Values may be in double quotes; a list may span lines. A new property needs its type.",
    )
    .first(Values::Properties),
    command(
        EDITING,
        "editprop",
        "editprop",
        "Opens the properties of the selection in $VISUAL or $EDITOR, and does what the file says when that ends: its lines are commands, those that begin with # are none. What somebody else changed meanwhile is left alone, and the file is kept.",
    ),
    command(
        CUSTOM,
        "delcust",
        "delcust [-M] [glob_pattern]",
        "Makes the properties of the selection that were changed or added since the last import \
         what it delivered.",
    )
    .options(&[flag('M', "Instead, bring back those that were deleted.")])
    .first(Values::Properties),
    command(
        CUSTOM,
        "listcust",
        "listcust [-M] [glob_pattern]",
        "Lists the properties of the selection that were changed or added since the last import.",
    )
    .options(&[flag('M', "Instead, those that were deleted, as they were delivered.")])
    .first(Values::Properties),
    command(
        TEMPLATE,
        "describe",
        "describe [-tv] [glob_pattern]",
        "Describes the selection, its property groups and properties.",
    )
    .options(&[
        flag('t', "As the templates have it, without values."),
        flag('v', "At length."),
    ])
    .first(Values::Properties),
    command(
        ENVIRONMENT,
        "setenv",
        "setenv [-i | -s | -m method] NAME value",
        "Sets a variable for the start method.",
    )
    .options(&ENVIRONMENTS),
    command(
        ENVIRONMENT,
        "unsetenv",
        "unsetenv [-i | -s | -m method] NAME",
        "Removes a variable that setenv set.",
    )
    .options(&ENVIRONMENTS),
];

const SECRETS: Opt = flag('a', "With all values. It is an error if they can't be read.");
const TOML: Opt = flag('t', "In TOML.");

/// Whose environment is changed.
const ENVIRONMENTS: [Opt; 3] = [
    flag('i', "For all methods of the instance."),
    flag('s', "For all methods of the service."),
    Opt {
        letter: 'm',
        argument: Some(("method", Values::Words(&["start", "stop", "refresh"]))),
        help: "",
        text: "For this method.",
    },
];

const fn flag(letter: char, text: &'static str) -> Opt {
    Opt { letter, argument: None, help: "", text }
}

const fn command(
    heading: &'static str,
    name: &'static str,
    synopsis: &'static str,
    text: &'static str,
) -> Subcommand {
    let (options, operands) = (&[], Values::Any);
    Subcommand { name, heading, synopsis, help: "", options, first: None, operands, text }
}

impl Subcommand {
    const fn options(self, options: &'static [Opt]) -> Self {
        Self { options, ..self }
    }

    const fn first(self, first: Values) -> Self {
        Self { first: Some(first), ..self }
    }

    const fn operands(self, operands: Values) -> Self {
        Self { operands, ..self }
    }
}
