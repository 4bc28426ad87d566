//! XML-RPC over HTTP/1.1 on a unix socket: how xend is asked, by xm or by any XML-RPC client.
//!
//! `value` and `xml` are the encoding, `http` is as much of HTTP as it needs, `client` and `server`
//! are the two ends. What the methods do is not known here.

pub mod client;
mod http;
pub mod server;
mod value;
mod xml;

pub use value::{Call, Fault, Value, code};
pub use xml::{decode_call, decode_response, encode_call, encode_response};

/// Where xend listens, and xm asks, when nobody says otherwise.
pub const SOCKET: &str = "/run/xend/xmlrpc.sock";
