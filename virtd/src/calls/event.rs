//! Calls that say what a client wants to hear of.

use crate::error::Result;
use crate::protocol::{Domain, Network, Pool};
use crate::session::Call;

/// `VIR_DOMAIN_EVENT_ID_LIFECYCLE`.
const LIFECYCLE: i32 = 0;

/// A client wants to hear of an event of a domain, or of all domains. Returns the number by which
/// the notices name this wish.
pub fn register(call: &Call, (event, domain): (i32, Option<Domain>)) -> Result<i32> {
    let uuid = match domain {
        Some(domain) => Some(super::domain::find(call, &domain)?.uuid),
        None => None,
    };
    call.host.events.subscribe(&call.outbox, event, uuid)
}

/// A client does not want to hear of it any more.
pub fn deregister(call: &Call, number: i32) -> Result<()> {
    call.host.events.unsubscribe(&call.outbox, number)
}

/// A client wants to hear of the lives of all domains, without a number. The answer's number means
/// nothing.
pub fn register_lifecycle(call: &Call, (): ()) -> Result<i32> {
    register_plainly(call, LIFECYCLE).map(|()| 0)
}

/// A client does not want to hear of them any more.
pub fn deregister_lifecycle(call: &Call, (): ()) -> Result<i32> {
    deregister_plainly(call, LIFECYCLE).map(|()| 0)
}

/// A client wants to hear of an event of all domains, without a number.
pub fn register_plainly(call: &Call, event: i32) -> Result<()> {
    call.host.events.subscribe_plainly(&call.outbox, event)
}

/// A client does not want to hear of it any more.
pub fn deregister_plainly(call: &Call, event: i32) -> Result<()> {
    call.host.events.unsubscribe_plainly(&call.outbox, event)
}

/// Networks are the host's bridges, of whose life nobody tells.
pub fn register_network(call: &Call, (_event, _network): (i32, Option<Network>)) -> Result<i32> {
    Ok(call.host.events.unheard())
}

/// Nor does anybody of storage pools.
pub fn register_pool(call: &Call, (_event, _pool): (i32, Option<Pool>)) -> Result<i32> {
    Ok(call.host.events.unheard())
}

/// A client does not want to hear any more of what nobody tells.
pub fn deregister_unheard(_: &Call, _number: i32) -> Result<()> {
    Ok(())
}

/// Whether the connection is closed, a client hears from its socket.
pub fn close_callback(_: &Call, (): ()) -> Result<()> {
    Ok(())
}
