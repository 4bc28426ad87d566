//! virtd: what speaks libvirt's remote protocol for xend, so that stock clients manage guests.
//!
//! `server` listens, and `client` serves one connection: `xdr` and `packet` know the bytes,
//! `procedures` the table of calls, `calls` what each does. Guests and all that is known of them
//! are xend's (`xend`); virtd keeps nothing, so its death costs its clients a connection and
//! nobody anything else.

pub mod calls;
pub mod capabilities;
pub mod client;
pub mod console;
pub mod daemon;
pub mod error;
pub mod events;
pub mod guest;
pub mod outbox;
pub mod packet;
pub mod procedures;
pub mod protocol;
pub mod server;
pub mod session;
pub mod settings;
pub mod xdr;
pub mod xend;
