//! Which physical memory there is, and who has it: firmware, images, nobody.

/// The most regions that are kept; firmware reports a dozen.
pub const MAX_REGIONS: usize = 128;

/// What is at a range of physical addresses (ACPI specification, section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Memory to use.
    Ram,
    /// Not to be used.
    Reserved,
    /// ACPI tables, which dom0 reads.
    AcpiData,
    /// Firmware's, over sleep.
    AcpiNvs,
    /// Broken.
    Bad,
}

impl Kind {
    /// From the number that firmware reports; what is unknown is reserved.
    pub fn from_e820(number: u32) -> Self {
        match number {
            1 => Self::Ram,
            3 => Self::AcpiData,
            4 => Self::AcpiNvs,
            5 => Self::Bad,
            _ => Self::Reserved,
        }
    }
}

/// A range of physical addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
    /// What is there.
    pub kind: Kind,
}

/// The machine's memory in order, without overlaps.
#[derive(Debug, Clone)]
pub struct MemoryMap {
    regions: [Region; MAX_REGIONS],
    count: usize,
}

const NOTHING: Region = Region { start: 0, end: 0, kind: Kind::Reserved };

impl Default for MemoryMap {
    fn default() -> Self {
        Self { regions: [NOTHING; MAX_REGIONS], count: 0 }
    }
}

/// There are more regions than can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyRegions;

impl MemoryMap {
    /// The regions in order.
    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.count]
    }

    /// The regions of usable memory.
    pub fn ram(&self) -> impl Iterator<Item = Region> + '_ {
        self.regions().iter().copied().filter(|region| region.kind == Kind::Ram)
    }

    /// How many bytes are usable.
    pub fn total(&self) -> u64 {
        self.ram().map(|region| region.end - region.start).sum()
    }

    /// The address behind the last usable byte.
    pub fn top(&self) -> u64 {
        self.ram().map(|region| region.end).max().unwrap_or(0)
    }

    /// Says what is at a range. It takes the place of what was said of it before, but memory never
    /// takes the place of anything else: firmware that contradicts itself is believed its warnings.
    pub fn set(&mut self, new: Region) -> Result<(), TooManyRegions> {
        if new.start >= new.end {
            return Ok(());
        }
        let old = core::mem::take(self);
        let mut next = new;
        for region in old.regions().iter().copied() {
            if region.end <= new.start || region.start >= new.end {
                self.push(region)?;
                continue;
            }
            let stays = new.kind == Kind::Ram && region.kind != Kind::Ram;
            if stays {
                self.push_if(Region { end: region.start.max(next.start), ..next })?;
                self.push(region)?;
                next.start = region.end.min(new.end).max(next.start);
            } else {
                self.push_if(Region { end: new.start, ..region })?;
                self.push_if(Region { start: new.end, ..region })?;
            }
        }
        self.push_if(next)?;
        self.regions[..self.count].sort_unstable_by_key(|region| region.start);
        self.join();
        Ok(())
    }

    fn push_if(&mut self, region: Region) -> Result<(), TooManyRegions> {
        if region.start < region.end { self.push(region) } else { Ok(()) }
    }

    fn push(&mut self, region: Region) -> Result<(), TooManyRegions> {
        let place = self.regions.get_mut(self.count).ok_or(TooManyRegions)?;
        *place = region;
        self.count += 1;
        Ok(())
    }

    /// Makes neighbours of the same kind one.
    fn join(&mut self) {
        let mut last = 0;
        for index in 1..self.count {
            let region = self.regions[index];
            let before = &mut self.regions[last];
            if before.kind == region.kind && before.end == region.start {
                before.end = region.end;
            } else {
                last += 1;
                self.regions[last] = region;
            }
        }
        self.count = self.count.min(last + 1);
    }

    /// The highest `size` bytes below `limit` that are usable and aligned (to a power of two), if
    /// there are any.
    pub fn find(&self, size: u64, align: u64, limit: u64) -> Option<u64> {
        let fits = |region: Region| {
            let start = region.end.min(limit).checked_sub(size)? & !(align - 1);
            (start >= region.start).then_some(start)
        };
        self.ram().filter_map(fits).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn region(start: u64, end: u64, kind: Kind) -> Region {
        Region { start, end, kind }
    }

    #[test]
    fn memory_gives_way() {
        let mut map = MemoryMap::default();
        for new in [
            region(0, 100, Kind::Ram),
            region(100, 200, Kind::Ram),
            region(40, 50, Kind::Reserved),
            region(45, 120, Kind::Ram),
            region(190, 210, Kind::AcpiData),
            region(7, 7, Kind::Bad),
        ] {
            map.set(new).unwrap();
        }
        let expected = [
            region(0, 40, Kind::Ram),
            region(40, 50, Kind::Reserved),
            region(50, 190, Kind::Ram),
            region(190, 210, Kind::AcpiData),
        ];
        assert_eq!(map.regions(), expected);
        assert_eq!((map.total(), map.top()), (180, 190));
        assert_eq!(map.find(32, 16, 1000), Some(144));
        assert_eq!(map.find(32, 16, 80), Some(0));
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Ram), Just(Kind::Reserved), Just(Kind::AcpiNvs)]
    }

    proptest! {
        /// The map says of every byte what an array would.
        #[test]
        fn it_is_an_array(sets in proptest::collection::vec((0u64..60, 0u64..60, kinds()), 0..12)) {
            let mut map = MemoryMap::default();
            let mut bytes = [None; 60];
            for (start, end, kind) in sets {
                map.set(region(start, end, kind)).unwrap();
                for byte in bytes.iter_mut().take(end as usize).skip(start as usize) {
                    if kind != Kind::Ram || byte.is_none() {
                        *byte = Some(kind);
                    }
                }
            }
            let at = |address: u64| {
                let found: Vec<_> = map.regions().iter()
                    .filter(|region| (region.start..region.end).contains(&address)).collect();
                assert!(found.len() <= 1);
                found.first().map(|region| region.kind)
            };
            for (address, kind) in bytes.iter().enumerate() {
                prop_assert_eq!(at(address as u64), *kind);
            }
            let ordered = map.regions().windows(2).all(|pair| pair[0].end <= pair[1].start);
            prop_assert!(ordered);
        }
    }
}
