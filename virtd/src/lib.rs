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
pub mod domain_xml;
pub mod error;
pub mod events;
pub mod files;
pub mod guest;
pub mod live;
pub mod outbox;
pub mod packet;
pub mod procedures;
pub mod protocol;
pub mod server;
pub mod session;
pub mod settings;
pub mod tls;
pub mod watch;
pub mod xdr;
pub mod xend;

/// The identity of something that has none but its name: the same each time.
pub fn identity(kind: &str, name: &str) -> uuid::Uuid {
    ::xend::definitions::identity(&format!("{kind}/{name}"))
}
