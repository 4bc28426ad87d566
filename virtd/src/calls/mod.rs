//! What carries out the calls, by what they are about. Each is a function of the call and its
//! arguments; a structure of several members is a tuple.

pub mod connect;
pub mod domain;
