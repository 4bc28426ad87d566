//! A page that the kernel shares with a daemon in domain 0: bytes in rings, each with two counts,
//! and a port that says that a count has changed.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use xen::abi::{console, evtchn};

use crate::events;
use crate::hypercall::{call, number, place};
use crate::start::Shared;

/// One direction; all addresses.
pub struct Half {
    /// Where the bytes are.
    pub bytes: u64,
    /// How many bytes there is room for, a power of two.
    pub size: u32,
    /// How many bytes were put in so far.
    pub produced: u64,
    /// How many were taken out.
    pub consumed: u64,
}

impl Half {
    fn count(address: u64) -> &'static AtomicU32 {
        // SAFETY: an aligned word in a page that stays shared as long as the kernel runs.
        unsafe { AtomicU32::from_ptr(address as *mut u32) }
    }

    fn place(&self, count: u32) -> *mut u8 {
        (self.bytes + u64::from(count % self.size)) as *mut u8
    }

    fn take(&self) -> Option<u8> {
        let consumed = Self::count(self.consumed).load(Ordering::Relaxed);
        if consumed == Self::count(self.produced).load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: a byte of the shared page.
        let byte = unsafe { self.place(consumed).read_volatile() };
        Self::count(self.consumed).store(consumed.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    fn put(&self, byte: u8) -> bool {
        let produced = Self::count(self.produced).load(Ordering::Relaxed);
        let consumed = Self::count(self.consumed).load(Ordering::Acquire);
        if produced.wrapping_sub(consumed) >= self.size {
            return false;
        }
        // SAFETY: as above.
        unsafe { self.place(produced).write_volatile(byte) };
        Self::count(self.produced).store(produced.wrapping_add(1), Ordering::Release);
        true
    }
}

/// Both directions.
pub struct Channel {
    /// From the daemon.
    pub input: Half,
    /// To the daemon.
    pub output: Half,
    /// Says that a count has changed.
    pub port: u32,
}

impl Channel {
    /// The console.
    pub fn console(Shared { page, port }: Shared) -> Self {
        let at = |offset: usize| page + offset as u64;
        Self {
            input: Half {
                bytes: at(console::IN),
                size: console::IN_SIZE as u32,
                produced: at(console::IN_PROD),
                consumed: at(console::IN_CONS),
            },
            output: Half {
                bytes: at(console::OUT),
                size: console::OUT_SIZE as u32,
                produced: at(console::OUT_PROD),
                consumed: at(console::OUT_CONS),
            },
            port,
        }
    }

    /// Says all of it, as room comes.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.until(|channel| channel.output.put(*byte).then_some(()));
        }
        send(self.port);
    }

    /// Waits until the daemon has taken all that was said.
    pub fn drain(&mut self) {
        let count = |address| Half::count(address).load(Ordering::Acquire);
        self.until(|Self { output, .. }| {
            (count(output.consumed) == count(output.produced)).then_some(())
        });
    }

    /// The next byte that comes.
    pub fn read(&mut self) -> u8 {
        self.until(|channel| channel.input.take())
    }

    /// Tries until it works, whenever the daemon has done something.
    fn until<T>(&mut self, attempt: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            if let Some(done) = attempt(self) {
                return done;
            }
            // The daemon may wait for what was done here, too.
            send(self.port);
            wait_for(self.port);
        }
    }
}

impl fmt::Write for Channel {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// Tells the other end of a port.
pub fn send(port: u32) {
    call(number::EVENT_CHANNEL_OP, &[evtchn::SEND, place(&mut [port])]);
}

/// Waits until a port is raised, and takes the event.
pub fn wait_for(port: u32) {
    while !events::is_pending(port.into()) {
        events::poll(port, 0);
    }
    events::clear(port.into());
}
