//! svccfg and svcprop from outside, against a `svc.configd` of their own.

mod fixture;
mod import;
mod svccfg;
mod svcprop;
