//! svccfg and svcprop from outside, against a `svc.configd` of their own.

mod fixture;
mod import;
mod methods;
mod svccfg;
mod svcprop;
