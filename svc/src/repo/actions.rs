//! Requests to restarters: properties of the group `restarter_actions`, whose value is the time of
//! the request, so that each is a change (svcadm(8)).

use std::time::SystemTime;

use super::wire::Change;
use crate::fmri::Fmri;
use crate::value::PropType;

/// The group of requests.
const ACTIONS: &str = "restarter_actions";

/// The changes that ask the restarter of `fmri` for `action`.
pub fn request(fmri: &Fmri, action: &str) -> Vec<Change> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    vec![
        Change::AddPg {
            fmri: fmri.clone(),
            pg: ACTIONS.to_owned(),
            ty: "framework".to_owned(),
            persistent: false,
        },
        Change::SetProp {
            fmri: fmri.clone(),
            pg: ACTIONS.to_owned(),
            prop: action.to_owned(),
            ty: PropType::Integer,
            values: vec![now.as_nanos().to_string()],
        },
    ]
}
