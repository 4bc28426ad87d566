//! The completion of a command for bash(1).

use super::offered;
use crate::cli::{Command, Opt, Values};

/// What every completion needs: it looks at the line itself, because bash divides words at colons.
const COMMON: &str = r#"
# What is completed: $word, of $command if that is given, after so many $operands; or it is the
# argument of $option. $1: whether there are commands; others: options with an argument, each after
# its command and a slash.
_smf_split() {
    local line=${COMP_LINE:0:COMP_POINT} has_commands=$1 is_argument= each
    local -a words
    shift
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]} command= operands=0 option= selection=
    for each in "${words[@]:1:${#words[@]}-2}"; do
        if [[ $is_argument ]]; then
            [[ ! $command && $option == s ]] && selection=$each
            is_argument=
        elif [[ $each == -?* && " $* " == *" $command/${each: -1} "* ]]; then
            is_argument=yes option=${each: -1}
        elif [[ $each == -?* ]]; then :
        elif [[ $has_commands && ! $command ]]; then command=$each
        else operands=$((operands + 1))
        fi
    done
    [[ $is_argument ]] || option=
    # Without commands, it's the last word of the line that is about a service.
    if [[ ! $has_commands ]]; then
        read -ra words <<<"${COMP_LINE:COMP_POINT}"
        ((${#words[@]})) && selection=${words[-1]}
    fi
}

_smf_words() {
    COMPREPLY=($(compgen -W "$*" -- "$word"))
    # Readline replaces only what comes after the last colon.
    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] &&
        COMPREPLY=("${COMPREPLY[@]#"${word%:*}:"}")
    return 0
}

_smf_list() {
    local last=${word##*,}
    COMPREPLY=($(compgen -P "${word%"$last"}" -W "$*" -- "$last"))
}

_smf_files() {
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
}

# Full names, or names without their scheme, whole or from the last slash on.
_smf_services() {
    local names=$(svcs -aHo fmri 2>/dev/null | grep '^svc:')
    [[ $word == svc:* ]] || names=$(sed 's,^svc:/,,;p;s,.*/,,' <<<"$names")
    _smf_words $names
}

# Property groups and properties of the $selection, with what it inherits.
_smf_properties() {
    local names=$(svcprop -c "$selection" 2>/dev/null | sed -n 's,^[^ ]*/:properties/,,;s/ .*//p')
    _smf_words $names $(sed 's,/.*,,' <<<"$names" | sort -u)
}
"#;

/// The completion.
pub fn script(command: &Command) -> String {
    let name = command.name;
    let subcommands = command.subcommands.iter();
    let levels = subcommands.clone().map(|subcommand| (subcommand.name, subcommand.options));
    let levels = std::iter::once(("", command.options)).chain(levels);
    let takes = levels.flat_map(|(name, options)| {
        let taking = options.iter().filter(|option| option.argument.is_some());
        taking.map(move |option| format!(" {name}/{}", option.letter))
    });
    let takes: String = takes.collect();
    let has_commands = if command.subcommands.is_empty() { "''" } else { "yes" };
    let mut arguments = arguments("", command.options);
    let mut words = vec![options("", command.options)];
    for subcommand in subcommands.clone() {
        let name = subcommand.name;
        arguments.extend(self::arguments(name, subcommand.options));
        words.push(options(name, subcommand.options));
        words.extend(subcommand.first.map(|first| case(&format!("\"{name} 0 \"*"), first)));
        words.push(case(&format!("\"{name} \"*"), subcommand.operands));
    }
    if command.subcommands.is_empty() {
        words.push(case("*", command.operands));
    } else {
        let names: Vec<&str> = subcommands.map(|subcommand| subcommand.name).collect();
        words.push(format!("    \" 0 \"*) _smf_words {} ;;\n", names.join(" ")));
    }
    format!(
        "# Completes {name}({section}) in bash; cargo xtask docs makes this.\n{COMMON}\n\
         _{name}() {{\n    \
         local word command operands option selection\n    \
         COMPREPLY=()\n    \
         _smf_split {has_commands}{takes}\n    \
         if [[ $option ]]; then\n        \
         case \"$command -$option\" in\n{arguments}        esac\n        \
         return\n    \
         fi\n    \
         case \"$command $operands $word\" in\n{words}    esac\n\
         }}\n\n\
         complete -F _{name} {name}\n",
        section = command.section,
        arguments = indented(&arguments.concat()),
        words = words.concat(),
    )
}

/// What completes the arguments of options of `command`.
fn arguments(command: &str, options: &[Opt]) -> Vec<String> {
    let with = options.iter().filter_map(|option| Some((option.letter, option.argument?.1)));
    with.map(|(letter, values)| case(&format!("\"{command} -{letter}\""), values)).collect()
}

/// Offers the options of `command`.
fn options(command: &str, options: &[Opt]) -> String {
    let words: String = offered(options).map(|option| format!(" -{}", option.letter)).collect();
    match words.is_empty() {
        true => String::new(),
        false => format!("    \"{command} 0 -\"*) _smf_words{words} ;;\n"),
    }
}

fn case(pattern: &str, values: Values) -> String {
    let offer = match values {
        Values::Any => return String::new(),
        Values::Services => "_smf_services".to_owned(),
        Values::Properties => "_smf_properties".to_owned(),
        Values::Files => "_smf_files".to_owned(),
        Values::Words(words) => format!("_smf_words {}", words.join(" ")),
        Values::List(words) => format!("_smf_list {}", words.join(" ")),
    };
    format!("    {pattern}) {offer} ;;\n")
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}
