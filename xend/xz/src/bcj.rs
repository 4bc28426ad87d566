//! Undoes what is done to x86 code before it is packed: targets of calls and jumps are made absolute
//! there, so that what calls the same function looks the same.
//!
//! Four bytes behind an opcode are taken for a target if the highest says that it is near, and no
//! opcode just before makes that unlikely (`x86.c` of XZ Utils and of the LZMA SDK define it).

/// An opcode and its operand.
const LENGTH: usize = 5;
/// Bits of a relative target that are kept; the highest is its sign.
const TARGET: u32 = 25;

/// Whether a byte may be the highest of a near target.
fn is_near(byte: u8) -> bool {
    byte == 0 || byte == 0xff
}

/// Makes all targets in a text relative again; addresses count from its start.
pub(super) fn undo(text: &mut [u8]) {
    // Which of the three bytes before were opcodes that were left as they are: bit 0 is the last.
    let mut recent = 0_u32;
    // Behind the opcode that was found last.
    let mut behind = 0;
    let mut next = 0;
    while let Some(at) = find(text, next) {
        recent = if at - behind < 3 { recent << (at - behind) & 7 } else { 0 };
        (behind, next) = (at + 1, at + 1);
        let Some(operand) = text[at + 1..].first_chunk_mut() else { return };
        let target = relative(*operand, (at + LENGTH) as u32, recent);
        recent = recent << 1 | 1;
        if let Some(target) = target {
            *operand = target.to_le_bytes();
            next = at + LENGTH;
        }
    }
}

/// The first opcode of a call or a jump (0xe8, 0xe9) at or behind `from` that has its whole operand.
fn find(text: &[u8], from: usize) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let end = text.len().checked_sub(LENGTH - 1)?;
    let mut rest = text.get(from..end)?;
    let mut at = from;
    while let Some((word, behind)) = rest.split_first_chunk() {
        // Bytes that are opcodes become 0, and the lowest byte that is 0 gets its highest bit set.
        let other = (u64::from_le_bytes(*word) & (0xfe * EACH)) ^ (0xe8 * EACH);
        let found = other.wrapping_sub(EACH) & !other & (0x80 * EACH);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        (rest, at) = (behind, at + word.len());
    }
    rest.iter().position(|byte| byte & 0xfe == 0xe8).map(|index| at + index)
}

/// The relative target of what ends at an address, if it was made absolute.
fn relative(operand: [u8; 4], end: u32, recent: u32) -> Option<u32> {
    // How many bytes before the only opcode of late is.
    let before = match recent {
        0 => 0,
        1 | 2 | 4 => recent.trailing_zeros() + 1,
        _ => return None,
    };
    // The highest byte of that one's operand is among this one's: it isn't near.
    if !is_near(operand[3]) || before > 0 && is_near(operand[3 - before as usize]) {
        return None;
    }
    let mut target = u32::from_le_bytes(operand);
    loop {
        target = target.wrapping_sub(end);
        if before == 0 || !is_near((target >> (24 - 8 * before)) as u8) {
            break;
        }
        // It would look near now: who packed it took another, so that it can be told.
        target ^= (1 << (32 - 8 * before)) - 1;
    }
    let unused = 32 - TARGET;
    Some(((target << unused) as i32 >> unused) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lzma_rust2::filter::bcj::BcjWriter;
    use proptest::prelude::*;
    use std::io::Write;
    use std::vec::Vec;

    /// Opcodes, bytes that look near, and some others.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0xe8), Just(0xe9), Just(0), Just(0xff), any::<u8>()];
        prop::collection::vec(byte, 0..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_was_done_is_undone(text in bytes()) {
            let mut writer = BcjWriter::new_x86(Vec::new(), 0);
            writer.write_all(&text).unwrap();
            let mut done = writer.finish().unwrap();
            undo(&mut done);
            prop_assert_eq!(done, text);
        }
    }
}
