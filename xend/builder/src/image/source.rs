//! Where an ELF image's bytes come from: memory, or a file of which little is read.

use alloc::borrow::Cow;
use alloc::string::String;
use core::ops::Range;

/// The bytes of an image.
pub trait Source {
    /// Some of them; fails if there aren't as many.
    fn bytes(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, String>;

    /// Fails if there aren't as many.
    fn check(&self, range: Range<u64>) -> Result<(), String>;

    /// `len` of them at an offset.
    fn part(&self, at: u64, len: u64) -> Result<Cow<'_, [u8]>, String> {
        self.bytes(range(at, len)?)
    }
}

/// `len` bytes at an offset, wherever they may be.
pub(crate) fn range(at: u64, len: u64) -> Result<Range<u64>, String> {
    at.checked_add(len).map(|end| at..end).ok_or_else(cut_off)
}

/// What is wrong if there are too few.
pub(crate) fn cut_off() -> String {
    "damaged ELF file: it is cut off".into()
}

impl Source for Cow<'_, [u8]> {
    fn bytes(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, String> {
        let place = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = place.and_then(|(start, end)| self.get(start..end));
        bytes.map(Cow::Borrowed).ok_or_else(cut_off)
    }

    fn check(&self, range: Range<u64>) -> Result<(), String> {
        self.bytes(range).map(drop)
    }
}
