//! What the machine has beside processors and memory, as firmware describes it.

use hypervisor::acpi::firmware::Firmware;
use hypervisor::memory_map::{MemoryMap, Region};
use hypervisor::multiboot::{BootInfo, Memory};
use spin::Once;

use crate::note;

static FIRMWARE: Once<Firmware> = Once::new();
static MEMORY: Once<MemoryMap> = Once::new();

/// Reads firmware's tables through `memory`, and keeps what the loader says; called once.
pub fn init(memory: &dyn Memory, info: &BootInfo) {
    MEMORY.call_once(|| info.memory.clone());
    let firmware = Firmware::read(memory, info.rsdp, |error| note!(Warning, "{error}"));
    let firmware = firmware.unwrap_or_else(|error| panic!("the machine can't be used: {error}"));
    FIRMWARE.call_once(|| firmware);
    report();
}

/// What firmware said.
pub fn firmware() -> &'static Firmware {
    FIRMWARE.get().expect("firmware's tables are read first")
}

/// What firmware said, if it was heard already.
pub fn known_firmware() -> Option<&'static Firmware> {
    FIRMWARE.get()
}

/// Whether nothing of a range of physical addresses is memory, as firmware says.
pub fn is_device(start: u64, length: u64) -> bool {
    let map = MEMORY.get().expect("the loader's memory map is kept first");
    let touches = |region: Region| start < region.end && region.start < start + length;
    !map.ram().any(touches)
}

/// Where writes are interrupts (Intel SDM, volume 3, section 11.11.1); local APICs are there, too.
const MESSAGES: core::ops::Range<u64> = 0xfee0_0000..0xfef0_0000;

/// Whether a page has registers by which interrupts are routed or sent: those are the hypervisor's,
/// and no domain's.
pub fn is_interrupt_page(page: u64) -> bool {
    let madt = &firmware().madt;
    let is_of = |address: u64| address & !0xfff == page;
    MESSAGES.contains(&page)
        || is_of(madt.local_apic)
        || madt.io_apics().iter().any(|io_apic| is_of(io_apic.address.into()))
}

/// A page of memory that processors can start in: below 1 MiB, but not the first, where firmware
/// and real mode have their tables.
pub fn low_page() -> Option<u64> {
    let map = MEMORY.get().expect("the loader's memory map is kept first");
    map.find(4096, 4096, 0xa_0000).filter(|page| *page != 0)
}

fn report() {
    let firmware = firmware();
    let madt = &firmware.madt;
    let count = madt.processors().len();
    note!(Info, "ACPI: {count} processors, local APICs at {:#x}", madt.local_apic);
    for io_apic in madt.io_apics() {
        let (id, address, gsi) = (io_apic.id, io_apic.address, io_apic.first_gsi);
        note!(Info, "ACPI: I/O APIC {id} at {address:#x} from GSI {gsi}");
    }
    for (irq, isa) in madt.isa.iter().enumerate() {
        if isa.gsi != irq as u32 || isa.line != Default::default() {
            let active = if isa.line.is_low { "low" } else { "high" };
            let trigger = if isa.line.is_level { "level" } else { "edge" };
            note!(Info, "ACPI: ISA interrupt {irq} is GSI {}, {active} {trigger}", isa.gsi);
        }
    }
    if let Some(fadt) = &firmware.fadt {
        note!(Info, "ACPI: PM timer {:x?}, control {:x?}", fadt.pm_timer, fadt.pm1a_control);
        note!(Info, "ACPI: reset {:x?}, SCI {}", fadt.reset, fadt.sci);
    }
    if let Some(address) = firmware.hpet {
        note!(Info, "ACPI: HPET at {address:#x}");
    }
    for area in firmware.ecams() {
        let (first, last) = (area.first_bus, area.last_bus);
        note!(Info, "ACPI: PCI {:04x}:{first:02x}-{last:02x} at {:#x}", area.segment, area.base);
    }
}
