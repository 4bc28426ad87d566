//! The guests' consoles: what `xenconsoled` is made of, and what `xm console` attaches with.
//!
//! A guest and the daemon share a ring (`xen/io/console.h`) and an event channel. The daemon
//! copies between the ring and a pseudo-terminal, whose name it writes to
//! `/local/domain/N/console/tty`, and keeps a log. A client opens that terminal.

pub mod backlog;
pub mod client;
pub mod daemon;
mod guest;
mod hypervisor;
pub mod log;
mod pty;
pub mod ring;
pub mod settings;
mod terminal;
