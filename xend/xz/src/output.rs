//! What is unpacked, with a bound on how much it may be.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What came out, and how much may.
pub struct Output {
    /// What came out, and behind it room that was used before.
    pub bytes: Vec<u8>,
    /// How much came out.
    pub done: usize,
    limit: usize,
}

impl Output {
    /// Nothing yet. So many bytes are expected, and no more than `limit` allowed.
    pub fn new(expected: usize, limit: usize) -> Self {
        let mut bytes = Vec::new();
        bytes.reserve_exact(expected);
        Self { bytes, done: 0, limit }
    }

    /// What came out.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.done);
        self.bytes
    }

    /// Makes room for so many bytes more.
    pub fn room(&mut self, count: usize) -> Result<(), String> {
        self.check()?;
        let end = self.done + count;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        Ok(())
    }

    /// Whether no more came out than may.
    pub fn check(&self) -> Result<(), String> {
        match self.done <= self.limit {
            true => Ok(()),
            false => Err(format!("more than {} MiB unpacked", self.limit >> 20)),
        }
    }

    /// Has at most so many bytes more written, by something that says how many it wrote.
    pub fn write<E>(
        &mut self,
        most: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, String>
    where
        String: From<E>,
    {
        self.room(most)?;
        let count = write(&mut self.bytes[self.done..][..most])?;
        self.done += count;
        self.check()?;
        Ok(count)
    }

    /// Puts bytes behind what came out.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.room(bytes.len())?;
        self.bytes[self.done..][..bytes.len()].copy_from_slice(bytes);
        self.done += bytes.len();
        self.check()
    }
}
