//! Quotas: what one unprivileged domain may use. Names and defaults are those of C xenstored,
//! so that toolstacks which set them find what they know.

use crate::wire::Errno;

/// A limit, by the name that CONTROL `quota` uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Nodes owned.
    Nodes,
    /// Watches set.
    Watches,
    /// Requests whose answers wait to be taken.
    Outstanding,
    /// Bytes of messages that wait to be taken.
    Memory,
    /// Transactions open.
    Transactions,
    /// Nodes touched in one transaction.
    TransactionNodes,
    /// Entries in a node's permissions.
    NodePermissions,
    /// Bytes of a node with its permissions and its list of children.
    NodeSize,
}

impl Quota {
    /// All of them, with name, default and meaning.
    const TABLE: [(Quota, &str, u32, &str); 8] = [
        (Quota::Nodes, "nodes", 1000, "Nodes per domain"),
        (Quota::Watches, "watches", 128, "Watches per domain"),
        (Quota::Outstanding, "outstanding", 20, "Outstanding requests per domain"),
        (Quota::Memory, "memory", 2_621_440, "Bytes of undelivered messages per domain"),
        (Quota::Transactions, "transactions", 10, "Active transactions per domain"),
        (
            Quota::TransactionNodes,
            "transaction-nodes",
            1024,
            "Max. number of accessed nodes per transaction",
        ),
        (Quota::NodePermissions, "node-permissions", 5, "Max. number of permissions per node"),
        (Quota::NodeSize, "node-size", 2048, "Max. size of a node"),
    ];

    /// All quotas.
    pub fn all() -> impl Iterator<Item = Quota> {
        Self::TABLE.iter().map(|row| row.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }

    /// What it limits, in a few words.
    pub fn meaning(self) -> &'static str {
        Self::TABLE[self as usize].3
    }

    /// The quota with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|quota| quota.name() == name)
    }
}

/// The limits in force, the same for every unprivileged domain. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas([u32; Quota::TABLE.len()]);

impl Default for Quotas {
    fn default() -> Self {
        Self(Quota::TABLE.map(|row| row.2))
    }
}

impl Quotas {
    /// One limit; 0 is none.
    pub fn get(&self, quota: Quota) -> u32 {
        self.0[quota as usize]
    }

    /// Sets a limit.
    pub fn set(&mut self, quota: Quota, limit: u32) {
        self.0[quota as usize] = limit;
    }

    /// May `used` be reached?
    pub fn allows(&self, quota: Quota, used: usize) -> bool {
        let limit = self.get(quota) as usize;
        limit == 0 || used <= limit
    }

    /// ENOSPC if `used` may not be reached.
    pub fn check(&self, quota: Quota, used: usize) -> Result<(), Errno> {
        if self.allows(quota, used) { Ok(()) } else { Err(Errno::NoSpc) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_type() {
        for quota in Quota::all() {
            assert_eq!(Quota::TABLE[quota as usize].0, quota);
            assert_eq!(Quota::from_name(quota.name()), Some(quota));
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let mut quotas = Quotas::default();
        assert_eq!(quotas.check(Quota::Watches, 128), Ok(()));
        assert_eq!(quotas.check(Quota::Watches, 129), Err(Errno::NoSpc));
        quotas.set(Quota::Watches, 0);
        assert!(quotas.allows(Quota::Watches, usize::MAX));
    }
}
