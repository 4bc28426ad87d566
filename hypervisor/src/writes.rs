//! Instructions with which kernels change page tables in place, as if they could write to them:
//! decoding, and what they make of the old value.

/// What is done to the old value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `mov`
    Move,
    /// `xchg`: the source gets the old value.
    Exchange,
    /// `cmpxchg`: written if rax is the old value; rax gets it otherwise.
    CompareExchange,
    /// `or`
    Or,
    /// `and`
    And,
    /// `xor`
    Xor,
    /// `bts`: the carry flag gets the old bit.
    SetBit,
    /// `btr`
    ClearBit,
    /// `btc`
    FlipBit,
}

/// Where the other operand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A general register, in the order of their encoding.
    Register(u8),
    /// In the instruction.
    Immediate(u64),
    /// ecx and, in the lower half, ebx: `cmpxchg8b`, whose accumulator is edx and eax.
    Pair,
}

/// A write to memory, with or without reading it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// What is done.
    pub operation: Operation,
    /// With what.
    pub source: Source,
    /// Operand's size in bytes: 1, 4 or 8.
    pub size: u8,
    /// Of the instruction, in bytes.
    pub length: u8,
}

/// Reads an instruction's bytes in order.
struct Code<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Code<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn immediate(&mut self, size: u8) -> Option<u64> {
        match size {
            1 => self.next().map(|byte| byte as i8 as i64 as u64),
            _ => {
                let bytes = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                Some(i32::from_le_bytes(bytes.try_into().ok()?) as i64 as u64)
            }
        }
    }

    /// Skips what says where in memory the operand is; the bits in the middle of its first byte.
    fn memory(&mut self) -> Option<u8> {
        let byte = self.next()?;
        let (kind, place) = (byte >> 6, byte & 7);
        let base = if kind != 3 && place == 4 { self.next()? & 7 } else { place };
        let displacement = match kind {
            0 if base == 5 => 4,
            0 => 0,
            1 => 1,
            2 => 4,
            _ => return None,
        };
        self.at += displacement;
        Some(byte >> 3 & 7)
    }
}

impl Write {
    /// Decodes an instruction whose memory operand was written to; `is_wide` if it is code of 64 bits.
    pub fn decode(bytes: &[u8], is_wide: bool) -> Option<Self> {
        let mut code = Code { bytes, at: 0 };
        let mut byte = code.next()?;
        // lock; segments, which the fault's address already has.
        while matches!(byte, 0xf0 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65) {
            byte = code.next()?;
        }
        let mut prefix = 0;
        if is_wide && byte & 0xf0 == 0x40 {
            prefix = byte;
            byte = code.next()?;
        }
        let wide = if prefix & 8 != 0 { 8 } else { 4 };
        let size = if byte & 1 == 0 { 1 } else { wide };
        let extended = (prefix & 4) << 1;
        let by_register = |code: &mut Code<'_>, operation, size: u8| {
            let register = code.memory()? | extended;
            // Without a prefix, byte registers 4 to 7 are the high halves of others.
            if size == 1 && prefix == 0 && register >= 4 {
                return None;
            }
            Some((operation, Source::Register(register), size))
        };
        use Operation::*;
        let (operation, source, size) = match byte {
            0x08 | 0x09 => by_register(&mut code, Or, size)?,
            0x20 | 0x21 => by_register(&mut code, And, size)?,
            0x30 | 0x31 => by_register(&mut code, Xor, size)?,
            0x86 | 0x87 => by_register(&mut code, Exchange, size)?,
            0x88 | 0x89 => by_register(&mut code, Move, size)?,
            0x80 | 0x81 | 0x83 => {
                let operation = match code.memory()? {
                    1 => Or,
                    4 => And,
                    6 => Xor,
                    _ => return None,
                };
                let immediate = code.immediate(if byte == 0x81 { 4 } else { 1 })?;
                (operation, Source::Immediate(immediate), size)
            }
            0xc6 | 0xc7 => match code.memory()? {
                0 => (Move, Source::Immediate(code.immediate(size)?), size),
                _ => return None,
            },
            0x0f => match code.next()? {
                0xb0 => by_register(&mut code, CompareExchange, 1)?,
                0xb1 => by_register(&mut code, CompareExchange, wide)?,
                0xc7 if !is_wide && code.memory()? == 1 => (CompareExchange, Source::Pair, 8),
                0xab => by_register(&mut code, SetBit, wide)?,
                0xb3 => by_register(&mut code, ClearBit, wide)?,
                0xbb => by_register(&mut code, FlipBit, wide)?,
                0xba => {
                    let operation = match code.memory()? {
                        5 => SetBit,
                        6 => ClearBit,
                        7 => FlipBit,
                        _ => return None,
                    };
                    (operation, Source::Immediate(code.immediate(1)?), wide)
                }
                _ => return None,
            },
            _ => return None,
        };
        (code.at <= bytes.len()).then_some(Self { operation, source, size, length: code.at as u8 })
    }

    /// The new value, from the old one, the source's value and rax; all of the operand's size.
    pub fn apply(&self, old: u64, source: u64, accumulator: u64) -> u64 {
        let bit = 1 << (source & (u64::from(self.size) * 8 - 1));
        let mask = self.mask();
        let new = match self.operation {
            Operation::Move | Operation::Exchange => source,
            Operation::CompareExchange if accumulator & mask == old & mask => source,
            Operation::CompareExchange => old,
            Operation::Or => old | source,
            Operation::And => old & source,
            Operation::Xor => old ^ source,
            Operation::SetBit => old | bit,
            Operation::ClearBit => old & !bit,
            Operation::FlipBit => old ^ bit,
        };
        new & mask
    }

    /// RFLAGS after it.
    pub fn flags(&self, rflags: u64, old: u64, source: u64, accumulator: u64) -> u64 {
        const CARRY: u64 = 1 << 0;
        const PARITY: u64 = 1 << 2;
        const ADJUST: u64 = 1 << 4;
        const ZERO: u64 = 1 << 6;
        const SIGN: u64 = 1 << 7;
        const OVERFLOW: u64 = 1 << 11;
        let top = u64::from(self.size) * 8 - 1;
        let of_value = |value: u64| {
            let parity = (value as u8).count_ones().is_multiple_of(2);
            [(ZERO, value == 0), (SIGN, value >> top & 1 != 0), (PARITY, parity)]
                .iter()
                .fold(0, |flags, (flag, set)| if *set { flags | flag } else { flags })
        };
        let all = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;
        let mask = self.mask();
        match self.operation {
            Operation::Move | Operation::Exchange => rflags,
            Operation::Or | Operation::And | Operation::Xor => {
                rflags & !all | of_value(self.apply(old, source, accumulator))
            }
            Operation::SetBit | Operation::ClearBit | Operation::FlipBit => {
                let carry = old >> (source & top) & 1;
                rflags & !CARRY | carry
            }
            Operation::CompareExchange if self.source == Source::Pair => {
                rflags & !ZERO | if accumulator == old { ZERO } else { 0 }
            }
            Operation::CompareExchange => {
                let (left, right) = (accumulator & mask, old & mask);
                let difference = left.wrapping_sub(right) & mask;
                let overflow = (left ^ right) & (left ^ difference) & 1 << top != 0;
                let adjust = (left ^ right ^ difference) & ADJUST;
                let carry = if left < right { CARRY } else { 0 };
                let overflow = if overflow { OVERFLOW } else { 0 };
                rflags & !all | of_value(difference) | carry | overflow | adjust
            }
        }
    }

    /// All bits of the operand.
    pub fn mask(&self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation::*;

    #[test]
    fn what_kernels_use_is_understood() {
        let cases: [(&[u8], Operation, Source, u8); 9] = [
            // xchg [rdi], rax; lock and qword [rdx], rax; mov [rbx+8], r12; mov qword [rdi], 0
            (&[0x48, 0x87, 0x07], Exchange, Source::Register(0), 8),
            (&[0xf0, 0x48, 0x21, 0x02], And, Source::Register(0), 8),
            (&[0x4c, 0x89, 0x63, 0x08], Move, Source::Register(12), 8),
            (&[0x48, 0xc7, 0x07, 0, 0, 0, 0], Move, Source::Immediate(0), 8),
            // lock and byte [rdi], 0xfd; lock btr qword [rsi], 5; lock cmpxchg [rdi+rax*8], rdx
            (&[0xf0, 0x80, 0x27, 0xfd], And, Source::Immediate(0xffff_ffff_ffff_fffd), 1),
            (&[0xf0, 0x48, 0x0f, 0xba, 0x36, 5], ClearBit, Source::Immediate(5), 8),
            (&[0xf0, 0x48, 0x0f, 0xb1, 0x14, 0xc7], CompareExchange, Source::Register(2), 8),
            // lock or byte [rip+16], 2; mov [rsp+0x100], rcx
            (&[0xf0, 0x80, 0x0d, 16, 0, 0, 0, 2], Or, Source::Immediate(2), 1),
            (&[0x48, 0x89, 0x8c, 0x24, 0, 1, 0, 0], Move, Source::Register(1), 8),
        ];
        for (bytes, operation, source, size) in cases {
            let length = bytes.len() as u8;
            let write = Some(Write { operation, source, size, length });
            assert_eq!(Write::decode(bytes, true), write);
        }
    }

    #[test]
    fn what_kernels_of_32_bits_use_is_understood() {
        let cases: [(&[u8], Operation, Source, u8); 4] = [
            // lock cmpxchg8b [edi]; mov [eax+4], edx; mov dword [0xc0001000], 0; xchg [ecx], esi
            (&[0xf0, 0x0f, 0xc7, 0x0f], CompareExchange, Source::Pair, 8),
            (&[0x89, 0x50, 0x04], Move, Source::Register(2), 4),
            (&[0xc7, 0x05, 0, 0x10, 0, 0xc0, 0, 0, 0, 0], Move, Source::Immediate(0), 4),
            (&[0x87, 0x31], Exchange, Source::Register(6), 4),
        ];
        for (bytes, operation, source, size) in cases {
            let length = bytes.len() as u8;
            let write = Some(Write { operation, source, size, length });
            assert_eq!(Write::decode(bytes, false), write);
        }
        // With 64 bits `dec eax` is a prefix.
        assert_eq!(Write::decode(&[0x48, 0x87, 0x07], false), None);
        // Nor is this for kernels of 64 bits, which have whole registers.
        assert_eq!(Write::decode(&[0x0f, 0xc7, 0x0f], true), None);
    }

    #[test]
    fn a_pair_is_exchanged_as_a_whole() {
        let pair = Write { operation: CompareExchange, source: Source::Pair, size: 8, length: 0 };
        let (old, new) = (0x1_0000_0001, 0x2_0000_0002);
        assert_eq!(pair.apply(old, new, old), new);
        assert_eq!(pair.apply(old, new, 1), old);
        assert_eq!(pair.flags(1 << 11, old, new, old), 1 << 11 | 1 << 6);
        assert_eq!(pair.flags(1 << 6, old, new, 1), 0);
    }

    #[test]
    fn what_is_cut_off_or_no_write_is_refused() {
        for bytes in
            [&[0x48, 0x87][..], &[0x48, 0x87, 0xc0], &[0x48, 0xc7, 0x07, 0, 0], &[0x90], &[]]
        {
            assert_eq!(Write::decode(bytes, true), None, "{bytes:x?}");
        }
    }

    #[test]
    fn a_compare_that_fails_changes_nothing() {
        let length = 0;
        let write =
            Write { operation: CompareExchange, source: Source::Register(1), size: 8, length };
        assert_eq!(write.apply(5, 7, 5), 7);
        assert_eq!(write.apply(5, 7, 6), 5);
        assert_eq!(write.flags(0, 5, 7, 5) & 1 << 6, 1 << 6);
        assert_eq!(write.flags(1 << 6, 5, 7, 6) & 1 << 6, 0);
    }
}
