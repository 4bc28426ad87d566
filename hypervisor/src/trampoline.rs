//! What a processor needs on its way from real mode to the hypervisor: the second half of the page
//! that it starts in (Intel SDM, volume 3, sections 9.8.5 and 9.9).

use core::mem::offset_of;

/// Where in the page this is; the instructions are at its start.
pub const PLACE: usize = 0x800;
/// Bytes of a page.
pub const PAGE: usize = 4096;

/// Selectors of the first segments.
pub const CODE_32: u16 = 8;
/// Flat data.
pub const DATA: u16 = 16;
/// 64-bit code.
pub const CODE_64: u16 = 24;

/// EFER.LMA, which the processor sets itself.
const LONG_MODE_ACTIVE: u64 = 1 << 10;
/// CR4.PCIDE and CR4.CET, which need long mode and CR0.WP before.
const NEEDS_LONG_MODE: u64 = 1 << 17 | 1 << 23;

/// The control registers of the first processor, which the others take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Control {
    pub cr0: u64,
    pub cr4: u64,
    pub efer: u64,
    /// Page tables below 4 GiB that map the page where it is.
    pub cr3: u64,
}

/// Read by the instructions, at the offsets below. There is no padding, and it fits the page.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    gdt: [u64; 4],
    stack: u64,
    entry: u64,
    number: u64,
    cr0: u32,
    cr3: u32,
    cr4: u32,
    efer: u32,
    /// Offset and selector of the jumps to 32 and to 64 bits.
    far_32: [u16; 3],
    far_64: [u16; 3],
    /// Limit and base.
    gdt_pointer: [u16; 3],
    unused: [u16; 3],
}

/// Offsets in the page.
#[allow(missing_docs)]
pub mod offset {
    use super::{PLACE, Parameters, offset_of};

    pub const STACK: usize = PLACE + offset_of!(Parameters, stack);
    pub const ENTRY: usize = PLACE + offset_of!(Parameters, entry);
    pub const NUMBER: usize = PLACE + offset_of!(Parameters, number);
    pub const CR0: usize = PLACE + offset_of!(Parameters, cr0);
    pub const CR3: usize = PLACE + offset_of!(Parameters, cr3);
    pub const CR4: usize = PLACE + offset_of!(Parameters, cr4);
    pub const EFER: usize = PLACE + offset_of!(Parameters, efer);
    pub const FAR_32: usize = PLACE + offset_of!(Parameters, far_32);
    pub const FAR_64: usize = PLACE + offset_of!(Parameters, far_64);
    pub const GDT_POINTER: usize = PLACE + offset_of!(Parameters, gdt_pointer);
}

/// Where a processor goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The end of its stack.
    pub stack: u64,
    /// The function, which gets the number.
    pub entry: u64,
    /// The processor's number.
    pub number: u64,
}

fn far(offset: u32, selector: u16) -> [u16; 3] {
    [offset as u16, (offset >> 16) as u16, selector]
}

const _: () = assert!(PLACE + size_of::<Parameters>() <= PAGE);

impl Parameters {
    /// What a processor needs that starts in the page at `page`, whose instructions for 32 and for
    /// 64 bits are at those offsets. `None` if real mode doesn't reach the page, or 32 bits the
    /// page tables.
    pub fn new(
        page: u64,
        instructions: [u16; 2],
        control: Control,
        destination: Destination,
    ) -> Option<Self> {
        let reachable = page.is_multiple_of(PAGE as u64) && page < 1 << 20;
        let page = u32::try_from(page).ok().filter(|_| reachable)?;
        let gdt = page + PLACE as u32;
        let size = size_of::<[u64; 4]>() as u16;
        Some(Self {
            gdt: [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff, 0x00af_9a00_0000_ffff],
            stack: destination.stack,
            entry: destination.entry,
            number: destination.number,
            cr0: control.cr0 as u32,
            cr3: u32::try_from(control.cr3).ok()?,
            cr4: (control.cr4 & !NEEDS_LONG_MODE) as u32,
            efer: (control.efer & !LONG_MODE_ACTIVE) as u32,
            far_32: far(page + u32::from(instructions[0]), CODE_32),
            far_64: far(page + u32::from(instructions[1]), CODE_64),
            gdt_pointer: [size - 1, gdt as u16, (gdt >> 16) as u16],
            unused: [0; 3],
        })
    }

    /// The number of the page, as the message that starts a processor has it.
    pub fn start_page(page: u64) -> u8 {
        (page >> 12) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Destination = Destination { stack: 0xffff_8300_0001_0000, entry: !0, number: 3 };

    #[test]
    fn addresses_are_those_of_the_page() {
        let control = Control { cr0: 0x8001_0033, cr4: 0x2_06a0, efer: 0xd01, cr3: 0x12_3000 };
        let made = Parameters::new(0x9_e000, [0x40, 0x80], control, THERE).unwrap();
        assert_eq!(made.gdt_pointer, [31, 0xe800, 9]);
        assert_eq!(made.far_32, [0xe040, 9, CODE_32]);
        assert_eq!(made.far_64, [0xe080, 9, CODE_64]);
        // What needs long mode waits until it is there.
        assert_eq!((made.cr4, made.efer), (0x6a0, 0x901));
        assert_eq!((made.cr0, made.cr3), (0x8001_0033, 0x12_3000));
        assert_eq!(Parameters::start_page(0x9_e000), 0x9e);
    }

    #[test]
    fn what_is_out_of_reach_is_refused() {
        let new =
            |page, cr3| Parameters::new(page, [0, 0], Control { cr3, ..Control::default() }, THERE);
        assert!(new(0x1000, 0).is_some());
        for (page, cr3) in [(0x10_0000, 0), (0x1800, 0), (0x1000, 1 << 32)] {
            assert_eq!(new(page, cr3), None);
        }
    }

    /// The processor reads far pointers and registers byte by byte: padding would shift them.
    #[test]
    fn there_is_no_padding() {
        assert_eq!(size_of::<Parameters>(), 32 + 24 + 16 + 24);
        let offsets = [offset::STACK, offset::ENTRY, offset::NUMBER, offset::CR0, offset::CR3];
        assert_eq!(offsets.map(|offset| offset - PLACE), [32, 40, 48, 56, 60]);
    }
}
