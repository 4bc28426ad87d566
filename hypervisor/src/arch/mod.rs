//! The machine: everything that only a processor in ring 0 can do, behind safe interfaces.

mod boot;
mod cmos;
pub mod console;
mod counters;
pub mod cpu;
mod descriptors;
pub mod ioapic;
pub mod lapic;
pub mod memory;
mod mmio;
pub mod pci;
mod pic;
pub mod platform;
pub mod power;
pub mod time;
mod traps;

use hypervisor::multiboot::{BootInfo, Memory};
use hypervisor::options::Options;

use crate::log;

/// Sets up what traps need; called once, before anything may trap.
pub fn init(options: &Options) {
    console::set_up(&options.serial);
    descriptors::load();
    traps::load();
}

/// Finds out what the machine has beside processors and memory, and sets it up.
pub fn init_platform(memory: &dyn Memory, info: &BootInfo) {
    platform::init(memory, info);
    pic::silence();
    ioapic::init();
    lapic::init();
    let mode = if lapic::is_x2apic() { "x2APIC" } else { "xAPIC" };
    log!("Local APIC {}, {mode}", lapic::id());
    time::init();
    pci::report();
}
