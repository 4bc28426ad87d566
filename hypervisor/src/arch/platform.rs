//! What the machine has beside processors and memory, as firmware describes it.

use hypervisor::acpi::firmware::Firmware;
use hypervisor::multiboot::Memory;
use spin::Once;

use crate::log;

static FIRMWARE: Once<Firmware> = Once::new();

/// Reads firmware's tables; called once. `hint` is where the loader left ACPI's root pointer.
pub fn init(memory: &dyn Memory, hint: Option<u64>) {
    let firmware = Firmware::read(memory, hint, |error| log!("{error}"));
    let firmware = firmware.unwrap_or_else(|error| panic!("the machine can't be used: {error}"));
    FIRMWARE.call_once(|| firmware);
    report();
}

/// What firmware said.
pub fn firmware() -> &'static Firmware {
    FIRMWARE.get().expect("firmware's tables are read first")
}

fn report() {
    let firmware = firmware();
    let madt = &firmware.madt;
    let count = madt.processors().len();
    log!("ACPI: {count} processors, local APICs at {:#x}", madt.local_apic);
    for io_apic in madt.io_apics() {
        let (id, address, gsi) = (io_apic.id, io_apic.address, io_apic.first_gsi);
        log!("ACPI: I/O APIC {id} at {address:#x} from GSI {gsi}");
    }
    for (irq, isa) in madt.isa.iter().enumerate() {
        if isa.gsi != irq as u32 || isa.line != Default::default() {
            let active = if isa.line.is_low { "low" } else { "high" };
            let trigger = if isa.line.is_level { "level" } else { "edge" };
            log!("ACPI: ISA interrupt {irq} is GSI {}, {active} {trigger}", isa.gsi);
        }
    }
    if let Some(fadt) = &firmware.fadt {
        log!("ACPI: PM timer {:x?}, control {:x?}", fadt.pm_timer, fadt.pm1a_control);
        log!("ACPI: reset {:x?}, SCI {}", fadt.reset, fadt.sci);
    }
    if let Some(address) = firmware.hpet {
        log!("ACPI: HPET at {address:#x}");
    }
    for area in firmware.ecams() {
        let (first, last) = (area.first_bus, area.last_bus);
        log!("ACPI: PCI {:04x}:{first:02x}-{last:02x} at {:#x}", area.segment, area.base);
    }
}
