//! The control domain's own part of the store, which other tools expect to find.

use uuid::Uuid;

use crate::domain::{Manager, OpError, paths};
use crate::host::{Change, Perms};

const NAME: &str = "Domain-0";

/// Writes what is missing. A host that another toolstack has set up already keeps what it has.
pub fn announce(manager: &Manager) -> Result<(), OpError> {
    let (base, vm) = (paths::domain(0), paths::vm(Uuid::nil()));
    let wanted = [
        (format!("{base}/domid"), "0"),
        (format!("{base}/name"), NAME),
        (format!("{base}/vm"), vm.as_str()),
        (format!("{vm}/name"), NAME),
        (format!("{vm}/uuid"), "00000000-0000-0000-0000-000000000000"),
        ("/local/pool/0/name".to_owned(), "Pool-0"),
    ];
    let mut store = manager.host().stores.open()?;
    let mut missing = Vec::new();
    for (path, value) in wanted {
        if store.read(&path)?.is_none() {
            missing.push(Change::own(path, value, Perms::Private));
        }
    }
    Ok(store.apply(&missing)?)
}
