//! xend and its commands: guest files, domains and their devices, and the way to ask for them.

pub mod config;
pub mod daemon;
pub mod definitions;
pub mod domain;
pub mod host;
pub mod rpc;
pub mod settings;
pub mod sxp;
pub mod xendomains;
pub mod xm;

/// Lets a command end silently when nobody reads its output any more, as `xm list | head` wants.
/// Rust's runtime ignores the signal, and then printing panics.
pub fn end_by_sigpipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed, the default action is; this is called first in main().
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
