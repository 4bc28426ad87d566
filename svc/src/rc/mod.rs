//! The NetBSD face of the framework: rc.conf and the scripts in /etc/rc.d, acting on the same
//! instances as svcadm(8). [`order`] is rcorder(8), `shell` reads assignments, [`conf`] is
//! rc.conf, [`script`] finds what a script stands for, [`mod@sync`] keeps rc.conf and the
//! repository in step, [`verbs`] is run_rc_command, and [`legacy`] runs scripts that stand for no
//! instance.

pub mod conf;
pub mod legacy;
pub mod order;
pub mod script;
mod shell;
pub mod sync;
pub mod verbs;
mod verdict;

pub use sync::{note_enabled, sync};
