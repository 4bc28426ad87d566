//! The machine: everything that only a processor in ring 0 can do, behind safe interfaces.

mod boot;
pub mod console;
pub mod cpu;
mod descriptors;
pub mod memory;
pub mod platform;
pub mod power;
mod traps;

use hypervisor::options::Options;

/// Sets up what traps need; called once, before anything may trap.
pub fn init(options: &Options) {
    console::set_up(&options.serial);
    descriptors::load();
    traps::load();
}
