//! The hypervisor's own console, kept in a log.

use std::io;

use xen::abi::evtchn::VIRQ_CON_RING;
use xen::sys::{Evtchn, Hypervisor, Port};

use crate::log::Log;

/// Follows the hypervisor's console ring.
#[derive(Debug)]
pub(crate) struct HypervisorLog {
    pub(crate) port: Port,
    index: u32,
    log: Log,
}

impl HypervisorLog {
    /// Goes on where the log ends: the ring still has what an earlier run wrote into it.
    pub(crate) fn open(evtchn: &Evtchn, hypervisor: &Hypervisor, log: Log) -> io::Result<Self> {
        let port = evtchn.bind_virq(VIRQ_CON_RING)?;
        let mut log = Self { port, index: 0, log };
        let ring = log.read(hypervisor)?;
        let tail = log.log.tail(ring.len())?;
        log.log.write(news(&tail, &ring))?;
        Ok(log)
    }

    /// Writes what is new.
    pub(crate) fn serve(&mut self, hypervisor: &Hypervisor) -> io::Result<()> {
        let text = self.read(hypervisor)?;
        if text.is_empty() { Ok(()) } else { self.log.write(&text) }
    }

    /// Begins a new file where somebody moved the old one away.
    pub(crate) fn reopen(&mut self, limit: u64) -> io::Result<()> {
        self.log.reopen(limit)
    }

    fn read(&mut self, hypervisor: &Hypervisor) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let (text, index) = hypervisor.read_console_from(self.index)?;
            self.index = index;
            if text.is_empty() {
                return Ok(all);
            }
            all.extend(text);
        }
    }
}

/// The part of `ring` that a log ending in `tail` does not have: all but the longest beginning
/// of the ring that is the end of the log. (The prefix function of Knuth, Morris and Pratt.)
fn news<'a>(tail: &[u8], ring: &'a [u8]) -> &'a [u8] {
    let mut borders = vec![0; ring.len()];
    let mut matched = 0;
    for at in 1..ring.len() {
        matched = advance(ring, &borders, matched, ring[at]);
        borders[at] = matched;
    }
    let seen = tail.iter().fold(0, |seen, &byte| {
        // A ring that was found whole may still begin again at a later byte.
        let seen = if seen == ring.len() { borders.last().copied().unwrap_or(0) } else { seen };
        advance(ring, &borders, seen, byte)
    });
    &ring[seen..]
}

/// How much of the beginning of `ring` ends at `byte`, if `matched` bytes of it did just before.
fn advance(ring: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && ring[matched] != byte {
        matched = borders[matched - 1];
    }
    if ring.get(matched) == Some(&byte) { matched + 1 } else { matched }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_the_log_lacks_is_new() {
        assert_eq!(news(b"", b"one\ntwo\n"), b"one\ntwo\n");
        assert_eq!(news(b"one\n", b"one\ntwo\n"), b"two\n");
        assert_eq!(news(b"zero\none\n", b"e\ntwo\n"), b"two\n");
        assert_eq!(news(b"one\ntwo\n", b"one\ntwo\n"), b"");
        assert_eq!(news(b"another boot\n", b"one\ntwo\n"), b"one\ntwo\n");
        assert_eq!(news(b"anything", b""), b"");
    }

    proptest! {
        #[test]
        fn it_is_the_longest_overlap(
            tail in proptest::collection::vec(0_u8..3, 0..30),
            ring in proptest::collection::vec(0_u8..3, 0..30),
        ) {
            let overlap = (0..=ring.len()).rev().find(|&n| tail.ends_with(&ring[..n])).unwrap();
            prop_assert_eq!(news(&tail, &ring), &ring[overlap..]);
        }
    }
}
