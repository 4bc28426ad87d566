//! The store's ring (io/xs_wire.h).

/// Bytes in each direction.
pub const RING_SIZE: usize = 1024;
/// The longest payload.
pub const PAYLOAD_MAX: usize = 4096;
/// The longest absolute path.
pub const ABS_PATH_MAX: usize = 3072;
/// The longest relative path.
pub const REL_PATH_MAX: usize = 2048;

/// Offset of the requests.
pub const REQ: usize = 0;
/// Offset of the replies.
pub const RSP: usize = 1024;
/// Offset of the requests' consumer index.
pub const REQ_CONS: usize = 2048;
/// Offset of the requests' producer index.
pub const REQ_PROD: usize = 2052;
/// Offset of the replies' consumer index.
pub const RSP_CONS: usize = 2056;
/// Offset of the replies' producer index.
pub const RSP_PROD: usize = 2060;
/// Offset of the server's features.
pub const SERVER_FEATURES: usize = 2064;
/// Offset of the connection's state.
pub const CONNECTION: usize = 2068;
/// Offset of the error.
pub const ERROR: usize = 2072;

/// The server can start a ring afresh (`XENSTORE_SERVER_FEATURE_RECONNECTION`).
pub const FEATURE_RECONNECTION: u32 = 1;
/// The ring page has an error field (`XENSTORE_SERVER_FEATURE_ERROR`).
pub const FEATURE_ERROR: u32 = 2;

/// In order.
pub const CONNECTED: u32 = 0;
/// The guest wants the ring started afresh.
pub const RECONNECT: u32 = 1;

/// No error.
pub const ERROR_NONE: u32 = 0;
/// Communication failed.
pub const ERROR_COMM: u32 = 1;
/// A ring index is impossible.
pub const ERROR_RINGIDX: u32 = 2;
/// A message is too long.
pub const ERROR_PROTO: u32 = 3;
