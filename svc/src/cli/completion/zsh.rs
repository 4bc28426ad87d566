//! The completion of a command for zsh(1), by its function `_arguments` (zshcompsys(1)).

use super::offered;
use crate::cli::{Command, Opt, Values, prose};

/// What every completion needs.
const COMMON: &str = r##"
# Full names, or names without their scheme, whole or from the last slash on.
_smf_services() {
    local -a names=(${(M)${(f)"$(svcs -aHo fmri 2>/dev/null)"}:#svc:*})
    [[ $PREFIX == svc:* ]] || names=(${names#svc:/} ${names##*/})
    compadd -a names
}

# Property groups and properties of the $selection, with what it inherits.
_smf_properties() {
    local -a names=(${${(M)${(f)"$(svcprop -c "$selection" 2>/dev/null)"}:#*/* *}%% *})
    names=(${names##*/:properties/})
    compadd -- $names ${(u)names%%/*}
}
"##;

/// The completion, a file to be called `_` and the command's name.
pub fn script(command: &Command) -> String {
    let name = command.name;
    let body = if command.subcommands.is_empty() { plain(command) } else { with_commands(command) };
    format!(
        "#compdef {name}\n# Completes {name}({}) in zsh; cargo xtask docs makes this.\n{COMMON}\n\
         _{name}() {{\n    local curcontext=$curcontext selection state line\n    \
         typeset -A opt_args\n{body}}}\n\n_{name} \"$@\"\n",
        command.section
    )
}

/// For a command that has operands. The service that an option's argument is about comes last.
fn plain(command: &Command) -> String {
    let call = arguments("    ", command.options, None, command.operands, "");
    format!("    ((CURRENT < $#words)) && selection=$words[-1]\n{call}\n")
}

fn with_commands(command: &Command) -> String {
    let mut text = arguments("    ", command.options, None, Values::Any, "-C");
    text += " \\\n        '1:command:((";
    for subcommand in command.subcommands {
        let about = if subcommand.help.is_empty() { subcommand.text } else { subcommand.help };
        text += &format!("{}\\:\"{}\" ", subcommand.name, title(about));
    }
    text += "))' \\\n        '*::operand:->operands' && return\n    selection=$opt_args[-s]\n    \
             case $words[1] in\n";
    for subcommand in command.subcommands {
        let (options, first) = (subcommand.options, subcommand.first);
        let call = arguments("        ", options, first, subcommand.operands, "");
        if !call.is_empty() {
            text += &format!("    {})\n{call} ;;\n", subcommand.name);
        }
    }
    text + "    esac\n"
}

/// A call of `_arguments`, if there is something to complete.
fn arguments(
    indent: &str,
    options: &[Opt],
    first: Option<Values>,
    operands: Values,
    flags: &str,
) -> String {
    let mut specs: Vec<String> = offered(options).map(option).collect();
    specs.extend(first.map(|first| format!("'1:operand:{}'", action(first))));
    if operands != Values::Any {
        specs.push(format!("'*:operand:{}'", action(operands)));
    }
    if specs.is_empty() {
        return String::new();
    }
    let flags = if flags.is_empty() { String::new() } else { format!(" {flags}") };
    let specs: String = specs.iter().map(|spec| format!(" \\\n{indent}    {spec}")).collect();
    format!("{indent}_arguments{flags} -s -A '-*'{specs}")
}

fn option(option: &Opt) -> String {
    let about = title(if option.help.is_empty() { option.text } else { option.help });
    let about = if about.is_empty() { about } else { format!("[{about}]") };
    let letter = option.letter;
    match option.argument {
        None => format!("'-{letter}{about}'"),
        Some((name, values)) => format!("'-{letter}+{about}:{name}:{}'", action(values)),
    }
}

/// What offers the values of an argument.
fn action(values: Values) -> String {
    match values {
        Values::Any => " ".to_owned(),
        Values::Services => "_smf_services".to_owned(),
        Values::Properties => "_smf_properties".to_owned(),
        Values::Files => "_files".to_owned(),
        Values::Words(words) => format!("({})", words.join(" ")),
        Values::List(words) => format!("_sequence compadd - {}", words.join(" ")),
    }
}

/// The first sentence of a text, where quotes and brackets mean nothing.
fn title(text: &str) -> String {
    let text = prose::plain(text).replace('\n', " ");
    let sentence = text.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let escape = |c: char| match c {
        '\'' => "'\\''".to_owned(),
        '"' | '$' | '`' | '\\' => String::new(),
        ':' | '[' | ']' => format!("\\{c}"),
        c => c.to_string(),
    };
    sentence.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_no_quote_and_no_bracket() {
        assert_eq!(
            title("What isn't `so` is: [told]. And more."),
            "What isn'\\''t so is\\: \\[told\\]"
        );
        assert_eq!(title("says \"$x\""), "says x");
    }
}
