//! The store as a guest reaches it (io/xs_wire.h): one request at a time.

use kernels::ring::{Channel, Half};
use kernels::start::Shared;
use xen::abi::xs_wire;

const READ: u32 = 2;
const WRITE: u32 = 11;
const ERROR: u32 = 16;

/// A connection to the store.
pub struct Store {
    channel: Channel,
    /// What it answered last.
    answer: [u8; 256],
}

impl Store {
    /// The one that the kernel was given.
    pub fn new(Shared { page, port }: Shared) -> Self {
        let half = |bytes: usize, produced: usize, consumed: usize| Half {
            bytes: page + bytes as u64,
            size: xs_wire::RING_SIZE as u32,
            produced: page + produced as u64,
            consumed: page + consumed as u64,
        };
        let channel = Channel {
            input: half(xs_wire::RSP, xs_wire::RSP_PROD, xs_wire::RSP_CONS),
            output: half(xs_wire::REQ, xs_wire::REQ_PROD, xs_wire::REQ_CONS),
            port,
        };
        Self { channel, answer: [0; 256] }
    }

    /// A node's value, or why there is none.
    pub fn read(&mut self, path: &str) -> Result<&str, &str> {
        self.ask(READ, &[path, "\0"])
    }

    /// Writes a node; says `OK`, or why not.
    pub fn write(&mut self, path: &str, value: &str) -> Result<&str, &str> {
        self.ask(WRITE, &[path, "\0", value])
    }

    fn ask(&mut self, kind: u32, parts: &[&str]) -> Result<&str, &str> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        for word in [kind, 0, 0, length as u32] {
            self.channel.write(&word.to_le_bytes());
        }
        parts.iter().for_each(|part| self.channel.write(part.as_bytes()));
        let [kind, _, _, length] = core::array::from_fn(|_| self.word());
        for index in 0..length as usize {
            let byte = self.channel.read();
            if let Some(place) = self.answer.get_mut(index) {
                *place = byte;
            }
        }
        let length = self.answer.len().min(length as usize);
        let text = core::str::from_utf8(&self.answer[..length]).unwrap_or("?");
        let text = text.trim_end_matches('\0');
        if kind == ERROR { Err(text) } else { Ok(text) }
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|_| self.channel.read()))
    }
}
