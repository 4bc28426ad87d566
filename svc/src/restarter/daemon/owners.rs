//! Whose a contract is: to ask every instance would take the longer the more there are.

use std::collections::HashMap;

use super::Instances;
use crate::contract::Id;
use crate::fmri::Fmri;

/// Contracts and the instances that have or had them; what instances say of themselves counts.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Id, Fmri>);

/// How many contracts that are over may be remembered beside those of the instances.
const SLACK: usize = 1000;

impl Owners {
    /// Notes that an instance is about to have a contract.
    pub(super) fn note(&mut self, contract: Id, fmri: &Fmri, instances: &Instances) {
        if self.0.len() > 2 * instances.len() + SLACK {
            self.0.retain(|contract, fmri| has(instances, fmri, *contract));
        }
        self.0.insert(contract, fmri.clone());
    }

    /// The instance whose contract that is now.
    pub(super) fn of(&self, contract: Id, instances: &Instances) -> Option<&Fmri> {
        self.0.get(&contract).filter(|fmri| has(instances, fmri, contract))
    }
}

fn has(instances: &Instances, fmri: &Fmri, contract: Id) -> bool {
    instances.get(fmri).is_some_and(|instance| instance.processes.contract == Some(contract))
}
