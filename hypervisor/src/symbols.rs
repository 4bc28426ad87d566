//! The image's table of functions, for reports: where each begins, and its name.
//!
//! `cargo xtask` writes it into the image when that is linked (`__symbols` in `link.ld`): how many
//! there are; for each, in order of addresses, its distance from the image's base and the end of its
//! name among the names; the names. All numbers are 32 bits, little-endian.

use crate::bytes::u32_at;

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Symbols<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Symbols<'a> {
    /// A table, or an empty one if that's what it is, or if it isn't one.
    pub fn new(bytes: &'a [u8]) -> Self {
        let count = u32_at(bytes, 0) as usize;
        let fits = count.checked_mul(8).is_some_and(|entries| entries + 4 <= bytes.len());
        Self { bytes, count: if fits { count } else { 0 } }
    }

    fn start(&self, index: usize) -> u64 {
        u32_at(self.bytes, 4 + 8 * index).into()
    }

    fn name_end(&self, index: usize) -> usize {
        u32_at(self.bytes, 8 + 8 * index) as usize
    }

    /// The function that an address is in, by its distance from the base, and how far behind the
    /// function's beginning.
    pub fn find(&self, address: u64) -> Option<(&'a str, u64)> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.start(middle) <= address { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        let names = 4 + 8 * self.count;
        let begin = if index == 0 { 0 } else { self.name_end(index - 1) };
        let name = self.bytes.get(names + begin..names + self.name_end(index))?;
        Some((core::str::from_utf8(name).ok()?, address - self.start(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn table(symbols: &[(u32, &str)]) -> Vec<u8> {
        let mut bytes = (symbols.len() as u32).to_le_bytes().to_vec();
        let mut end = 0;
        for (start, name) in symbols {
            end += name.len() as u32;
            bytes.extend([start.to_le_bytes(), end.to_le_bytes()].concat());
        }
        symbols.iter().for_each(|(_, name)| bytes.extend(name.as_bytes()));
        bytes
    }

    #[test]
    fn the_function_before_an_address_is_found() {
        let bytes = table(&[(16, "a::b"), (100, "c"), (200, "d::e::f")]);
        let symbols = Symbols::new(&bytes);
        assert_eq!(symbols.find(15), None);
        assert_eq!(symbols.find(16), Some(("a::b", 0)));
        assert_eq!(symbols.find(199), Some(("c", 99)));
        assert_eq!(symbols.find(5000), Some(("d::e::f", 4800)));
        assert_eq!(Symbols::new(&[0; 64]).find(100), None);
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes: Vec<u8>, address: u64) {
            let _ = Symbols::new(&bytes).find(address);
        }
    }
}
