//! Physical interrupts of dom0: what each comes from, which vector it has, when it may come again.
//!
//! Global system interrupts have their own number; messages get the numbers behind them. A level
//! that nobody has handled yet would interrupt for ever, so that its pin is masked from when it
//! comes until dom0 says that it is done with it.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::lock::Mutex;
use hypervisor::acpi::madt::Line;
use hypervisor::pci::Address;
use hypervisor::vectors::Vectors;
use xen::abi::errno::{EBUSY, EEXIST, EINVAL, ENODEV, ENOSPC, Errno};

use crate::arch::pci::Interrupt;
use crate::arch::{ioapic, lapic};
use crate::domain::{self, Domain};
use crate::events::Kind;
use crate::{log, note};

/// How many there are; Linux asks for no more.
pub const COUNT: usize = 256;

/// What an interrupt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A pin of an I/O APIC.
    Gsi(u32),
    /// A message of a device.
    Message(Interrupt),
}

#[derive(Clone, Copy)]
struct Pirq {
    source: Option<Source>,
    vector: Option<u8>,
    line: Option<Line>,
}

struct Table {
    pirqs: [Pirq; COUNT],
    vectors: Vectors,
}

const UNUSED: Pirq = Pirq { source: None, vector: None, line: None };
static TABLE: Mutex<Table> = Mutex::new(Table { pirqs: [UNUSED; COUNT], vectors: Vectors::new() });
/// Of each vector: the interrupt it stands for. Read where no lock may be taken.
static BY_VECTOR: [AtomicU8; 256] = [const { AtomicU8::new(0) }; 256];
/// Those that came and that dom0 has not been told of.
static WAITING: [AtomicU64; COUNT / 64] = [const { AtomicU64::new(0) }; COUNT / 64];
/// Those of levels: their pins are masked as long as they are being handled.
static LEVELS: [AtomicU64; COUNT / 64] = [const { AtomicU64::new(0) }; COUNT / 64];

fn bit(pirq: usize) -> (usize, u64) {
    (pirq / 64, 1 << (pirq % 64))
}

fn is_level(pirq: usize) -> bool {
    let (word, bit) = bit(pirq);
    LEVELS[word].load(Ordering::Relaxed) & bit != 0
}

/// A device's interrupt arrived, on this processor, with interrupts off.
pub fn arrived(vector: u8) {
    let pirq = usize::from(BY_VECTOR[usize::from(vector)].load(Ordering::Acquire));
    if is_level(pirq) {
        // It would come again as soon as its end is said.
        let _ = ioapic::set_mask(pirq as u32, true);
    }
    let (word, bit) = bit(pirq);
    WAITING[word].fetch_or(bit, Ordering::AcqRel);
}

/// Tells dom0 of those that came.
pub fn deliver() {
    for (index, word) in WAITING.iter().enumerate() {
        let mut came = match word.load(Ordering::Acquire) {
            0 => continue,
            _ => word.swap(0, Ordering::AcqRel),
        };
        let Some(domain) = domain::find(0) else { return };
        while came != 0 {
            domain.raise_physical(index as u32 * 64 + came.trailing_zeros());
            came &= came - 1;
        }
    }
}

/// Gives a source a number: the one that is asked for, or any.
pub fn map(source: Source, wanted: Option<u32>) -> Result<u32, Errno> {
    let mut table = TABLE.lock();
    if let Some(known) = table.pirqs.iter().position(|pirq| pirq.source == Some(source)) {
        return Ok(known as u32);
    }
    let number = match (source, wanted) {
        (Source::Gsi(gsi), _) if gsi < ioapic::end() => gsi as usize,
        (Source::Gsi(_), _) => return Err(EINVAL),
        (Source::Message(_), Some(wanted)) => wanted as usize,
        (Source::Message(_), None) => {
            let first = ioapic::end() as usize;
            let free = table.pirqs[first..].iter().rposition(|pirq| pirq.source.is_none());
            first + free.ok_or(ENOSPC)?
        }
    };
    let pirq = table.pirqs.get_mut(number).ok_or(EINVAL)?;
    if pirq.source.is_some() {
        return Err(EEXIST);
    }
    pirq.source = Some(source);
    if let Source::Message(_) = source {
        // Messages are written to the device at once, masked where it can be.
        if let Err(error) = table.route(number) {
            table.pirqs[number] = UNUSED;
            return Err(error);
        }
    }
    Ok(number as u32)
}

/// Says how a global system interrupt is signalled; before it is used.
pub fn set_line(gsi: u32, line: Line) -> Result<(), Errno> {
    let mut table = TABLE.lock();
    let pirq = table.pirqs.get_mut(gsi as usize).filter(|_| gsi < ioapic::end()).ok_or(EINVAL)?;
    pirq.line = Some(line);
    pirq.source = Some(Source::Gsi(gsi));
    if pirq.vector.is_some() { Ok(()) } else { table.route(gsi as usize) }
}

impl Table {
    /// Gives an interrupt a vector, and has it come to this processor when it is let.
    fn route(&mut self, number: usize) -> Result<(), Errno> {
        let pirq = self.pirqs[number];
        let vector = match pirq.vector {
            Some(vector) => vector,
            None => self.vectors.take().ok_or(ENOSPC)?,
        };
        BY_VECTOR[usize::from(vector)].store(number as u8, Ordering::Release);
        let result = match pirq.source.ok_or(EINVAL)? {
            Source::Gsi(gsi) => {
                let line = pirq.line.unwrap_or_else(|| ioapic::default_line(gsi));
                let (word, bit) = bit(number);
                match line.is_level {
                    true => LEVELS[word].fetch_or(bit, Ordering::Relaxed),
                    false => LEVELS[word].fetch_and(!bit, Ordering::Relaxed),
                };
                ioapic::route(gsi, vector, lapic::id() as u8, line).map_err(|error| {
                    note!(Error, "interrupt {number}: {error}");
                    EINVAL
                })
            }
            Source::Message(message) => message.route(vector, lapic::id()).map_err(|error| {
                note!(Error, "interrupt {number}: {error}");
                ENODEV
            }),
        };
        match result {
            Ok(()) => self.pirqs[number].vector = Some(vector),
            Err(_) if pirq.vector.is_none() => self.vectors.give(vector),
            Err(_) => (),
        }
        result
    }

    fn set_mask(&self, number: usize, is_masked: bool) {
        let result = match self.pirqs[number].source {
            Some(Source::Gsi(gsi)) => ioapic::set_mask(gsi, is_masked).map_err(|_| ENODEV),
            Some(Source::Message(message)) => message.set_mask(is_masked).map_err(|_| ENODEV),
            None => Ok(()),
        };
        if result.is_err() {
            note!(Error, "interrupt {number} can't be masked");
        }
    }
}

/// Writes a device's messages again, which a reset made it forget, and has it send them.
pub fn restore(device: Address) -> Result<(), Errno> {
    let domain = domain::find(0).ok_or(ENODEV)?;
    let mut table = TABLE.lock();
    for number in 0..COUNT {
        let Some(Source::Message(message)) = table.pirqs[number].source else { continue };
        if message.device() != device {
            continue;
        }
        table.route(number)?;
        let is_bound = domain.channels.lock().find(Kind::Physical(number as u32), 0).is_some();
        table.set_mask(number, !is_bound);
        message.enable(true).map_err(|_| ENODEV)?;
    }
    Ok(())
}

/// Takes a number back.
pub fn unmap(number: u32) -> Result<(), Errno> {
    let mut table = TABLE.lock();
    let pirq = *table.pirqs.get(number as usize).ok_or(EINVAL)?;
    if pirq.source.is_none() {
        return Err(EINVAL);
    }
    table.set_mask(number as usize, true);
    if let Some(Source::Gsi(gsi)) = pirq.source {
        let _ = ioapic::silence(gsi);
    }
    if let Some(vector) = pirq.vector {
        table.vectors.give(vector);
    }
    table.pirqs[number as usize] = UNUSED;
    Ok(())
}

/// A number that nothing has.
pub fn free_number() -> Result<u32, Errno> {
    let table = TABLE.lock();
    let first = ioapic::end() as usize;
    let free = table.pirqs[first..].iter().rposition(|pirq| pirq.source.is_none());
    Ok((first + free.ok_or(ENOSPC)?) as u32)
}

/// Binds a port of dom0 to an interrupt, which may come from now on.
pub fn bind(domain: &Domain, number: u32) -> Result<u32, Errno> {
    let mut table = TABLE.lock();
    let pirq = *table.pirqs.get(number as usize).ok_or(EINVAL)?;
    if !domain.is_privileged || pirq.source.is_none() {
        return Err(EINVAL);
    }
    let mut channels = domain.channels.lock();
    if channels.find(Kind::Physical(number), 0).is_some() {
        return Err(EBUSY);
    }
    if pirq.vector.is_none() {
        table.route(number as usize)?;
    }
    let port = channels.open(Kind::Physical(number), 0)?;
    table.set_mask(number as usize, false);
    Ok(port)
}

/// Nothing is bound to an interrupt any more.
pub fn unbind(number: u32) {
    TABLE.lock().set_mask(number as usize, true);
}

/// Dom0 is done with an interrupt: a level may come again.
pub fn handled(number: u32) -> Result<(), Errno> {
    if number as usize >= COUNT {
        return Err(EINVAL);
    }
    if is_level(number as usize) {
        let _ = ioapic::set_mask(number, false);
    }
    Ok(())
}

/// Whether dom0 has to say that it is done with an interrupt.
pub fn needs_end(number: u32) -> Result<bool, Errno> {
    if number as usize >= COUNT { Err(EINVAL) } else { Ok(is_level(number as usize)) }
}

/// Shows those that come from anything.
pub fn show() {
    let table = TABLE.lock();
    for (number, pirq) in table.pirqs.iter().enumerate() {
        if let Some(source) = pirq.source {
            log!(" {number}: {source:?}, vector {:?}, level {}", pirq.vector, is_level(number));
        }
    }
}
