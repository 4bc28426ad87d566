//! svccfg and svcprop from outside, against a `svc.configd` of their own.

mod alternate;
mod archives;
mod bundle;
#[path = "../common/mod.rs"]
mod common;
mod completion;
mod concurrent;
mod fixture;
mod import;
mod interactive;
mod methods;
mod profiles;
mod quoting;
mod svccfg;
mod svcprop;
mod templates;
#[path = "../common/terminal.rs"]
mod terminal;
