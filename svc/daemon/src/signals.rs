//! Signals as a file descriptor for a poll loop.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals a daemon waits for; its descriptor is readable when one came.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
}

impl Signals {
    /// Takes over `signals` (numbers as in `signal_hook::consts`).
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut flags = Vec::with_capacity(signals.len());
        for &signal in signals {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag first: handlers run in the order of registration, and the wake-up must
            // not come before there is something to see.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
            flags.push((signal, flag));
        }
        Ok(Self { wake, flags })
    }

    /// The signals that came since the last call; never blocks.
    pub fn pending(&mut self) -> Vec<i32> {
        let mut drain = [0; 64];
        while matches!(self.wake.read(&mut drain), Ok(n) if n > 0) {}
        let came = |(signal, flag): &(i32, Arc<AtomicBool>)| {
            flag.swap(false, Ordering::SeqCst).then_some(*signal)
        };
        self.flags.iter().filter_map(came).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};

    #[test]
    fn a_signal_is_seen_once() {
        let mut signals = Signals::new(&[Signal::SIGUSR1 as i32, Signal::SIGUSR2 as i32]).unwrap();
        assert!(signals.pending().is_empty());
        raise(Signal::SIGUSR2).unwrap();
        assert_eq!(signals.pending(), [Signal::SIGUSR2 as i32]);
        assert!(signals.pending().is_empty());
    }
}
