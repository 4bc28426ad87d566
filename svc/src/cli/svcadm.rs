//! svcadm(8), described.

use super::{Command, Opt, Section, Subcommand, Values};

/// `svcadm`.
pub static SVCADM: Command = Command {
    name: "svcadm",
    section: 8,
    summary: "change how services run",
    lead: "Usage: ",
    synopses: &["[-S <state>] [-v] [cmd [args ... ]]"],
    description: "\
`svcadm` asks for something to be done with service instances. It does not wait for it, unless told \
to by `-s`.

A *service* is an FMRI, or whole last components of one, such as `xend`, `xvm/xend` or \
`xend:default`, which must mean one instance; or a pattern that is matched against whole FMRIs, such \
as `*xvm*`, which may mean many.",
    options: &[
        Opt {
            letter: 'S',
            argument: Some(("state", Values::Words(&STATES))),
            help: "",
            text: "Do it for all instances in *state*, in place of operands.",
        },
        Opt { letter: 'v', argument: None, help: "", text: "Say what was asked for." },
    ],
    subcommands: &SUBCOMMANDS,
    operands: Values::Any,
    sections: &[
        Section {
            title: "Waiting",
            text: "\
Each subcommand waits with `-s` until the restarter has done what it was asked for and no method runs \
any more, or it is clear that this won't come about without an administrator. With `-T` it gives up \
after that many seconds; what was asked for is done nevertheless.

A method must not wait for its own instance, nor for one that can't run before it does. `svcadm` \
refuses that; without `-s` a method may ask for anything.",
            terms: &[],
        },
    ],
    exit: &[
        ("0", "All was asked for, and with `-s` came true."),
        ("1", "Some of it could not be asked for."),
        ("2", "Wrong usage."),
        ("3", "With `-s`: an instance ended in another state."),
        (
            "4",
            "With `-s`: an instance waits for something that only an administrator can change, or \
             has no restarter.",
        ),
        ("5", "With `-T`: an instance had not got there in time."),
    ],
    examples: &[
        ("Start a service and all it needs, and wait for it half a minute:", "svcadm enable -rs -T 30 xend"),
        ("Stop one until the next boot, and note why:", "svcadm disable -t -c OPS-1000 domains"),
        ("Have all that is in maintenance try again:", "svcadm -S maintenance clear"),
    ],
    see_also: &["svcprop(1)", "svcs(1)", "svccfg(8)"],
};

const STATES: [&str; 6] =
    ["uninitialized", "offline", "online", "degraded", "maintenance", "disabled"];

/// What these two do is said once, under "Waiting".
/// What these two do is said once, under "Waiting".
const WAIT: Opt = Opt { letter: 's', argument: None, help: "", text: "" };

const TIMEOUT: Opt =
    Opt { letter: 'T', argument: Some(("seconds", Values::Any)), help: "", text: "" };

const TEMPORARY: Opt =
    Opt { letter: 't', argument: None, help: "", text: "Only until the next boot." };

const SUBCOMMANDS: [Subcommand; 7] = [
    Subcommand {
        name: "enable",
        heading: "",
        synopsis: "enable [-rst] [-T <seconds>] [<service> ...]",
        help: "enable and online service(s)",
        options: &[
            Opt {
                letter: 'r',
                argument: None,
                help: "",
                text: "Enable what it needs to run, too, and its restarter.",
            },
            WAIT,
            TEMPORARY,
            TIMEOUT,
        ],
        first: None,
        operands: Values::Services,
        text: "\
It shall run, now and after every boot. This does not clear maintenance.",
    },
    Subcommand {
        name: "disable",
        heading: "",
        synopsis: "disable [-c comment] [-st] [-T <seconds>] [<service> ...]",
        help: "disable and offline service(s)",
        options: &[
            Opt {
                letter: 'c',
                argument: Some(("comment", Values::Any)),
                help: "",
                text: "Note the reason, for svcs(1) to show until it is enabled or the next boot.",
            },
            WAIT,
            TEMPORARY,
            TIMEOUT,
        ],
        first: None,
        operands: Values::Services,
        text: "It shall not run. What depends on it is stopped first.",
    },
    Subcommand {
        name: "restart",
        heading: "",
        synopsis: "restart [-ds] [-T <seconds>] [<service> ...]",
        help: "restart specified service(s)",
        options: &[
            Opt {
                letter: 'd',
                argument: None,
                help: "",
                text: "Have its processes leave core files first, by sending them SIGABRT.",
            },
            WAIT,
            TIMEOUT,
        ],
        first: None,
        operands: Values::Services,
        text: "It is stopped and started, if it runs; if not, nothing happens.",
    },
    Subcommand {
        name: "refresh",
        heading: "",
        synopsis: "refresh [-s] [-T <seconds>] [<service> ...]",
        help: "re-read service configuration",
        options: &[WAIT, TIMEOUT],
        first: None,
        operands: Values::Services,
        text: "\
Its properties as edited become those it sees, and its refresh method runs if it runs.",
    },
    Subcommand {
        name: "mark",
        heading: "",
        synopsis: "mark [-Ist] [-T <seconds>] <state> [<service> ...]",
        help: "set maintenance state",
        options: &[
            Opt {
                letter: 'I',
                argument: None,
                help: "",
                text: "At once: for `maintenance` without its stop method, so that its processes \
                       stay. A stop method that runs, and may never end, is broken off.",
            },
            WAIT,
            Opt {
                letter: 't',
                argument: None,
                help: "",
                text: "For `maintenance` only: until the next boot.",
            },
            TIMEOUT,
        ],
        first: Some(Values::Words(&["maintenance", "degraded"])),
        operands: Values::Services,
        text: "\
With *state* `maintenance`: it is stopped, and needs an administrator from then on. With `degraded`: \
it runs, with less than it should; only what is online can be marked so.",
    },
    Subcommand {
        name: "clear",
        heading: "",
        synopsis: "clear [-s] [-T <seconds>] [<service> ...]",
        help: "clear maintenance or degraded state",
        options: &[WAIT, TIMEOUT],
        first: None,
        operands: Values::Services,
        text: "It leaves maintenance, or the degraded state.",
    },
    Subcommand {
        name: "milestone",
        heading: "",
        synopsis: "milestone [-ds] [-T <seconds>] <milestone>",
        help: "advance to a service milestone",
        options: &[
            Opt { letter: 'd', argument: None, help: "", text: "At each boot from now on, too." },
            WAIT,
            TIMEOUT,
        ],
        first: Some(Values::Words(&[
            "all",
            "none",
            "milestone/single-user",
            "milestone/multi-user",
            "milestone/multi-user-server",
        ])),
        operands: Values::Any,
        text: "\
Only the *milestone*, any service `svc:/milestone/NAME`, and all that it depends on shall run; the rest is stopped as if it were \
disabled. With `none` nothing but svc.startd(8) runs. With `all` everything runs that is enabled. \
What was enabled or disabled only until the next boot doesn't count within the milestone any more.",
    },
];
