//! svcs(1), described.

use super::{Command, Opt, Values};

/// `svcs`.
pub static SVCS: Command = Command {
    name: "svcs",
    section: 1,
    summary: "show how services are doing",
    lead: "Usage: ",
    synopses: &[
        "[-aHpv] [-o col[,col ... ]] [-R restarter] [-sS col] [<service> ...]",
        "-d | -D [-Hpv] [-o col[,col ... ]] [-sS col] <service> ...",
        "-l [-pv] <service> ...",
        "-L [-f] <service> ...",
        "-x [-v] [<service> ...]",
        "-G [-H] [-o text|dot|svg] [<service> ...]",
        "-w [-a] [<service> ...]",
        "-?",
    ],
    description: "\
`svcs` lists service instances, one a line. Without operands it lists those that are enabled now or \
at the next boot, and the scripts that were run at boot and stand for no instance, as `legacy_run`.

A *service* is an FMRI, whole last components of one, such as `xend`, `xvm/xend` or `xend:default`, \
or a pattern that is matched against whole FMRIs, such as `*xvm*`. An asterisk after the state says \
that a method is running.",
    options: &[
        Opt {
            letter: 'a',
            argument: None,
            help: "list all service instances rather than only those that are enabled",
            text: "All instances.",
        },
        Opt {
            letter: 'd',
            argument: None,
            help: "list dependencies of the specified service(s)",
            text: "Those that the operands depend on.",
        },
        Opt {
            letter: 'D',
            argument: None,
            help: "list dependents of the specified service(s)",
            text: "Those that depend on the operands.",
        },
        Opt {
            letter: 'f',
            argument: None,
            help: "with -L, print the last lines of the log(s) and what is added to them",
            text: "With `-L`: the last lines of the log, and all that is added to it until \
                   interrupted, through rotation and truncation. Of several logs each line begins \
                   with the name of its instance.",
        },
        Opt {
            letter: 'G',
            argument: None,
            help: "print the graph of dependencies, as text, for dot(1), or as a picture",
            text: "\
The graph of dependencies with states: of all instances, or of the operands and all that they need. \
`text`, which is the default of `-o`, puts what an instance needs below it, and three dots where that \
has been shown before; `dot` is for Graphviz; `svg` is a picture, in which arrows go from an instance \
to what it needs: dashed if it needs one of several, dotted if only those that can run, red if it \
must not run.",
        },
        Opt {
            letter: 'H',
            argument: None,
            help: "omit header line from output",
            text: "No line of names.",
        },
        Opt {
            letter: 'l',
            argument: None,
            help: "list detailed information about the specified service(s)",
            text: "\
Everything about each instance; with `-p` its processes, with `-v` its application properties. \
Properties that were changed without effect so far are named: those that are \"edited, not \
refreshed\", which `svcadm refresh` makes visible, and those that are \"refreshed, not restarted\", \
which the processes cannot have read when they were started.",
        },
        Opt {
            letter: 'L',
            argument: None,
            help: "list the log file associated with the specified service(s)",
            text: "Only the path of the log.",
        },
        Opt {
            letter: 'o',
            argument: Some(("column", Values::List(&COLUMNS))),
            help: "list only the specified columns in the output",
            text: "These columns: CTID, DESC, FMRI, INST, N, NSTA, NSTATE, S, SCOPE, SN, STA, \
                   STATE, STIME, SVC.",
        },
        Opt {
            letter: 'p',
            argument: None,
            help: "list process IDs and names associated with each service",
            text: "The processes of each instance: when started, number, name.",
        },
        Opt {
            letter: 'R',
            argument: Some(("restarter", Values::Services)),
            help: "list only those services with the specified restarter",
            text: "Only instances of this restarter, a full FMRI, enabled or not.",
        },
        Opt {
            letter: 's',
            argument: Some(("column", Values::Words(&COLUMNS))),
            help: "sort output in ascending order by the specified column(s)",
            text: "Sort by this column, ascending. May be given several times.",
        },
        Opt {
            letter: 'S',
            argument: Some(("column", Values::Words(&COLUMNS))),
            help: "sort output in descending order by the specified column(s)",
            text: "Sort by this column, descending.",
        },
        Opt {
            letter: 'v',
            argument: None,
            help: "list verbose information appropriate to the type of output",
            text: "Next state and contract, too.",
        },
        Opt {
            letter: 'w',
            argument: None,
            help: "show a live view of the whole screen, with keys to change states",
            text: "\
A live view of the whole screen: states, how often each instance was started again since the \
system came up, and of the selected one why it doesn't run and the end of its log. Arrows, `j` and `k` \
select; `e` enables, `d` disables, `r` restarts and `c` clears the selected instance, as svcadm(8) \
does; `/` shows only FMRIs with what is typed in them, until escape is pressed; `a` shows disabled \
instances, too; `q` quits.",
        },
        Opt {
            letter: 'x',
            argument: None,
            help: "explain the status of services that might require maintenance,\n\
                   or explain the status of the specified service(s)",
            text: "\
Explain: the state, the reason for it, what to read, and who is hurt. Without operands, only what is \
at the root of something that doesn't run: what is in maintenance, what waits for something that \
isn't there, what is starting, and what is disabled although others need it or runs although others \
exclude it. Those that hurt most come first. With `-v`, the dependents that don't run, the path to \
the one to blame, how to call man(1), and the last lines of the log.",
        },
        Opt { letter: '?', argument: None, help: "", text: "This, in short." },
    ],
    subcommands: &[],
    operands: Values::Services,
    sections: &[],
    exit: &[
        ("0", "All went well."),
        ("1", "An operand matched nothing, or another error occurred."),
        ("2", "Wrong usage."),
    ],
    examples: &[
        ("What is wrong, and why:", "svcs -xv"),
        ("What a service needs, and how that is doing:", "svcs -d xend"),
        ("A picture of all services:", "svcs -G -o svg >services.svg"),
    ],
    see_also: &["svcprop(1)", "svcadm(8)", "svccfg(8)"],
};

const COLUMNS: [&str; 14] = [
    "CTID", "DESC", "FMRI", "INST", "N", "NSTA", "NSTATE", "S", "SCOPE", "SN", "STA", "STATE",
    "STIME", "SVC",
];
