//! What shells complete of a command: its subcommands and options, and with what the system has
//! services, their properties and files.

pub mod bash;
pub mod zsh;

use super::Opt;

/// The options that are offered. A question mark would have to be quoted, and is there only for
/// whoever knows nothing else.
fn offered(options: &[Opt]) -> impl Iterator<Item = &Opt> {
    options.iter().filter(|option| option.letter != '?')
}
