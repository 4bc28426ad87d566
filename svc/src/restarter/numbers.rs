//! Numbers for contracts: none is given twice until the next boot, whoever dies in between.

use std::fs;
use std::io;
use std::ops::Range;

use crate::contract::Id;

/// How many are taken at a time; those that are left when we die are never given.
const BLOCK: Id = 1000;

/// The numbers that are ours to give.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Range<Id>);

impl Numbers {
    /// The next one.
    pub(crate) fn next(&mut self) -> io::Result<Id> {
        if self.0.is_empty() {
            self.0 = take()?;
        }
        self.0.next().ok_or_else(|| io::Error::other("there are no contract numbers left"))
    }
}

fn take() -> io::Result<Range<Id>> {
    let path = crate::root("/run/svc/next_contract");
    let known = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<Id>().ok());
    let first = known.unwrap_or(1);
    let new = path.with_extension("new");
    fs::write(&new, format!("{}\n", first + BLOCK))?;
    fs::rename(new, path)?;
    Ok(first..first + BLOCK)
}
