//! What carries out the calls, by what they are about. Each is a function of the call and its
//! arguments; a structure of several members is a tuple.

pub mod connect;
pub mod control;
pub mod devices;
pub mod domain;
pub mod event;
pub mod network;
pub mod node;
pub mod notes;
pub mod settings;
pub mod stats;
pub mod storage;
pub mod tune;
pub mod xml;
