//! The console ring, seen from the daemon's side. The guest can write anything anywhere in it.

use std::fmt;

use xen::abi::console::{IN, IN_CONS, IN_PROD, IN_SIZE, OUT, OUT_CONS, OUT_PROD, OUT_SIZE};
use xen::sys::Mapping;

/// Memory that holds a ring.
pub trait Page {
    /// A shared index; read once.
    fn load(&self, offset: usize) -> u32;
    /// Publishes a shared index, after what was written before.
    fn store(&self, offset: usize, value: u32);
    /// Copies bytes out.
    fn read(&self, offset: usize, bytes: &mut [u8]);
    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);
}

impl Page for Mapping {
    fn load(&self, offset: usize) -> u32 {
        Mapping::load(self, offset)
    }
    fn store(&self, offset: usize, value: u32) {
        Mapping::store(self, offset, value);
    }
    fn read(&self, offset: usize, bytes: &mut [u8]) {
        Mapping::read(self, offset, bytes);
    }
    fn write(&self, offset: usize, bytes: &[u8]) {
        Mapping::write(self, offset, bytes);
    }
}

/// The guest has put impossible indexes into its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadIndexes {
    producer: u32,
    consumer: u32,
}

impl fmt::Display for BadIndexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { producer, consumer } = self;
        write!(f, "impossible ring indexes: producer {producer}, consumer {consumer}")
    }
}

impl std::error::Error for BadIndexes {}

/// A guest's ring.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
}

/// How many bytes are in a ring of `size`, or that this can't be.
fn used(producer: u32, consumer: u32, size: usize) -> Result<usize, BadIndexes> {
    let used = producer.wrapping_sub(consumer) as usize;
    if used <= size { Ok(used) } else { Err(BadIndexes { producer, consumer }) }
}

impl<P: Page> Ring<P> {
    /// The ring in a mapped page.
    pub fn new(page: P) -> Self {
        Self { page }
    }

    /// Takes out everything that the guest has written: at most one ring full.
    pub fn take(&self) -> Result<Vec<u8>, BadIndexes> {
        let consumer = self.page.load(OUT_CONS);
        let count = used(self.page.load(OUT_PROD), consumer, OUT_SIZE)?;
        let start = consumer as usize % OUT_SIZE;
        let mut bytes = vec![0; count];
        let until_end = count.min(OUT_SIZE - start);
        let (head, tail) = bytes.split_at_mut(until_end);
        self.page.read(OUT + start, head);
        self.page.read(OUT, tail);
        self.page.store(OUT_CONS, consumer.wrapping_add(count as u32));
        Ok(bytes)
    }

    /// How many bytes the guest could be given.
    pub fn room(&self) -> Result<usize, BadIndexes> {
        Ok(IN_SIZE - used(self.page.load(IN_PROD), self.page.load(IN_CONS), IN_SIZE)?)
    }

    /// Gives bytes to the guest; says how many there was room for.
    pub fn give(&self, bytes: &[u8]) -> Result<usize, BadIndexes> {
        let count = self.room()?.min(bytes.len());
        let producer = self.page.load(IN_PROD);
        let start = producer as usize % IN_SIZE;
        let (head, tail) = bytes[..count].split_at(count.min(IN_SIZE - start));
        self.page.write(IN + start, head);
        self.page.write(IN, tail);
        self.page.store(IN_PROD, producer.wrapping_add(count as u32));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    struct Memory(RefCell<Vec<u8>>);

    impl Memory {
        fn new() -> Self {
            Self(RefCell::new(vec![0; 4096]))
        }
    }

    impl Page for &Memory {
        fn load(&self, offset: usize) -> u32 {
            u32::from_le_bytes(self.0.borrow()[offset..offset + 4].try_into().unwrap())
        }
        fn store(&self, offset: usize, value: u32) {
            self.0.borrow_mut()[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        fn read(&self, offset: usize, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.borrow()[offset..offset + bytes.len()]);
        }
        fn write(&self, offset: usize, bytes: &[u8]) {
            self.0.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// The guest's side: writes what fits.
    fn guest_writes(memory: &Memory, bytes: &[u8]) -> usize {
        let (producer, consumer) = (memory.load(OUT_PROD), memory.load(OUT_CONS));
        let count = bytes.len().min(OUT_SIZE - producer.wrapping_sub(consumer) as usize);
        for (i, byte) in bytes[..count].iter().enumerate() {
            let at = producer.wrapping_add(i as u32) as usize % OUT_SIZE;
            memory.write(OUT + at, &[*byte]);
        }
        memory.store(OUT_PROD, producer.wrapping_add(count as u32));
        count
    }

    fn guest_reads(memory: &Memory) -> Vec<u8> {
        let (producer, consumer) = (memory.load(IN_PROD), memory.load(IN_CONS));
        let count = producer.wrapping_sub(consumer);
        let byte = |i: u32| {
            let mut byte = [0];
            memory.read(IN + consumer.wrapping_add(i) as usize % IN_SIZE, &mut byte);
            byte[0]
        };
        let bytes = (0..count).map(byte).collect();
        memory.store(IN_CONS, producer);
        bytes
    }

    proptest! {
        #[test]
        fn every_byte_arrives_once_in_order(
            start in any::<u32>(),
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 0..10),
        ) {
            let memory = Memory::new();
            for index in [OUT_CONS, OUT_PROD, IN_CONS, IN_PROD] {
                (&memory).store(index, start);
            }
            let ring = Ring::new(&memory);
            for piece in pieces {
                let written = guest_writes(&memory, &piece);
                prop_assert_eq!(ring.take().unwrap(), &piece[..written]);
                let given = ring.give(&piece).unwrap();
                prop_assert_eq!(given, piece.len().min(IN_SIZE));
                prop_assert_eq!(guest_reads(&memory), &piece[..given]);
            }
        }

        #[test]
        fn no_index_brings_it_down(indexes in any::<[u32; 4]>(), bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let memory = Memory::new();
            for (at, value) in [OUT_CONS, OUT_PROD, IN_CONS, IN_PROD].into_iter().zip(indexes) {
                (&memory).store(at, value);
            }
            let ring = Ring::new(&memory);
            if let Ok(taken) = ring.take() {
                prop_assert!(taken.len() <= OUT_SIZE);
            }
            if let Ok(given) = ring.give(&bytes) {
                prop_assert!(given <= IN_SIZE);
            }
        }
    }
}
