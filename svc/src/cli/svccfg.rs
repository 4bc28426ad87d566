//! svccfg(8), described.

use super::{Command, Opt, Section, Subcommand, Values};

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
is put into double quotes, with a backslash before a double quote or a backslash. A line that begins \
with `#` is a comment.",
        terms: &[],
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
const TEMPLATE: &str = "Template commands";
const ENVIRONMENT: &str = "Method environment commands";

/// The subcommands, in the order in which `help` lists them.
static SUBCOMMANDS: [Subcommand; 33] = [
    command(GENERAL, "end", "end", "Ends the session; exit and quit do the same.", Values::Any),
    command(GENERAL, "exit", "exit", "Ends the session.", Values::Any),
    command(GENERAL, "help", "help [command]", "Lists the commands, or explains one.", Values::Any),
    command(GENERAL, "quit", "quit", "Ends the session.", Values::Any),
    command(
        MANIFEST,
        "export",
        "export [-t] {service | pattern} [> file]",
        "Writes a manifest of the service as it is edited now, in XML, or in TOML (`-t`).",
        Values::Services,
    ),
    command(
        MANIFEST,
        "import",
        "import file",
        "Imports a manifest. What was changed here since its last import is kept.",
        Values::Files,
    ),
    command(
        MANIFEST,
        "validate",
        "validate file",
        "Checks a manifest without changing the repository.",
        Values::Files,
    ),
    command(
        PROFILE,
        "apply",
        "apply [-n] file",
        "Applies a profile; with `-n` only says what it would change.",
        Values::Files,
    ),
    command(
        PROFILE,
        "archive",
        "archive [> file]",
        "Writes all services as they are edited now, in XML.",
        Values::Any,
    ),
    command(
        PROFILE,
        "cleanup",
        "cleanup",
        "Removes the services whose manifest is gone; one that runs is disabled first.",
        Values::Any,
    ),
    command(
        PROFILE,
        "extract",
        "extract [-t] [> file]",
        "Writes what was customised here as a profile, in XML, or in TOML (`-t`).",
        Values::Any,
    ),
    command(
        PROFILE,
        "inventory",
        "inventory file",
        "Lists the services and instances that a manifest delivers.",
        Values::Files,
    ),
    command(
        ENTITY,
        "add",
        "add name",
        "Adds a service, or an instance to the selected service.",
        Values::Any,
    ),
    command(
        ENTITY,
        "delete",
        "delete [-f] {name | fmri | pattern}",
        "Deletes a service or an instance; with `-f` even one that runs.",
        Values::Services,
    ),
    command(
        ENTITY,
        "list",
        "list [glob_pattern]",
        "Lists the children of the selection: services, or a service's instances.",
        Values::Any,
    ),
    command(
        ENTITY,
        "select",
        "select {name | fmri | pattern}",
        "Selects a service or an instance for the commands that follow.",
        Values::Services,
    ),
    command(ENTITY, "unselect", "unselect", "Selects the parent of the selection.", Values::Any),
    command(
        SNAPSHOT,
        "listsnap",
        "listsnap",
        "Lists the snapshots of the selected instance.",
        Values::Any,
    ),
    command(
        SNAPSHOT,
        "refresh",
        "refresh",
        "Makes what was edited visible to the selected instance, and has its restarter reread it.",
        Values::Any,
    ),
    command(
        SNAPSHOT,
        "revert",
        "revert [snapshot]",
        "Makes the properties of the selected instance and of its service what they were in a snapshot, or in the selected one.",
        Values::Any,
    ),
    command(
        SNAPSHOT,
        "selectsnap",
        "selectsnap [snapshot]",
        "Shows a snapshot instead of what is edited; without a name, what is edited.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "addpg",
        "addpg name type [P]",
        "Adds a property group; with P one that a boot empties.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "addpropvalue",
        "addpropvalue pg/name [type:] value",
        "Adds a value to a property, or makes the property.",
        Values::Any,
    ),
    command(PROPERTY, "delpg", "delpg name", "Deletes a property group.", Values::Any),
    command(
        PROPERTY,
        "delprop",
        "delprop pg[/name]",
        "Deletes a property, or a property group.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "delpropvalue",
        "delpropvalue pg/name glob_pattern",
        "Deletes the values of a property that match the pattern.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "listpg",
        "listpg [glob_pattern]",
        "Lists the property groups of the selection.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "listprop",
        "listprop [glob_pattern]",
        "Lists the property groups and the properties of the selection.",
        Values::Any,
    ),
    command(
        PROPERTY,
        "setprop",
        "setprop pg/name = [type:] value, or setprop pg/name = [type:] ([value...])",
        "Sets a property. Values may be in double quotes; a list may span lines. A new property needs its type.",
        Values::Any,
    ),
    command(
        EDITING,
        "editprop",
        "editprop",
        "Opens the properties of the selection in $VISUAL or $EDITOR, and does what the file says when that ends: its lines are commands, those that begin with # are none.",
        Values::Any,
    ),
    command(
        TEMPLATE,
        "describe",
        "describe [-v] [-t] [glob_pattern]",
        "Describes the selection, its property groups and properties; with `-v` at length, with `-t` as the templates have it, without values.",
        Values::Any,
    ),
    command(
        ENVIRONMENT,
        "setenv",
        "setenv [-s | -i | -m method] NAME value",
        "Sets a variable for the start method, for all methods of the service (`-s`) or of the instance (`-i`), or for one method (`-m`).",
        Values::Any,
    ),
    command(
        ENVIRONMENT,
        "unsetenv",
        "unsetenv [-s | -i | -m method] NAME",
        "Removes a variable that setenv set.",
        Values::Any,
    ),
];

const fn command(
    heading: &'static str,
    name: &'static str,
    synopsis: &'static str,
    text: &'static str,
    operands: Values,
) -> Subcommand {
    Subcommand { name, heading, synopsis, help: "", options: &[], first: None, operands, text }
}
