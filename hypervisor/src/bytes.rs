//! Little-endian numbers in tables that others wrote; what is behind the end reads as zero.

/// A number of `SIZE` bytes.
fn take<const SIZE: usize>(bytes: &[u8], offset: usize) -> [u8; SIZE] {
    let end = offset.saturating_add(SIZE);
    bytes.get(offset..end).and_then(|part| part.try_into().ok()).unwrap_or([0; SIZE])
}

/// One byte.
pub fn u8_at(bytes: &[u8], offset: usize) -> u8 {
    u8::from_le_bytes(take(bytes, offset))
}

/// Two bytes.
pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(take(bytes, offset))
}

/// Four bytes.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(take(bytes, offset))
}

/// Eight bytes.
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(take(bytes, offset))
}
