//! Hears from the store that a domain stopped or is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Manager, OpError};

/// What the store says when a domain stopped, was destroyed, or has been introduced.
const SPECIAL: [&str; 2] = ["@releaseDomain", "@introduceDomain"];
/// Looks happen at least this often, so that nothing is missed for good: what could not be
/// cleaned away is tried again, and a store that was restarted may have said something meanwhile.
const ROUND: Duration = Duration::from_secs(5);
/// How long to leave a store alone that can't be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread that looks after `manager`'s domains.
pub fn start(manager: Arc<Manager>) -> io::Result<()> {
    let mind = move || {
        loop {
            if let Err(error) = mind(&manager) {
                tracing::warn!("{error}");
            }
            std::thread::sleep(PAUSE);
        }
    };
    std::thread::Builder::new().name("minder".to_owned()).spawn(mind).map(drop)
}

fn mind(manager: &Arc<Manager>) -> Result<(), OpError> {
    let mut store = manager.host().stores.open()?;
    for path in SPECIAL {
        store.watch(path)?;
    }
    loop {
        if store.changed(ROUND)? {
            while store.changed(Duration::ZERO)? {}
        }
        manager.look()?;
    }
}
