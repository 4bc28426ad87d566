//! I/O ports: which a domain may use, and using them.

use core::sync::atomic::{AtomicU32, Ordering};

use x86_64::instructions::port::Port;

use crate::arch::{console, pci};
use crate::domain::Domain;

/// Ports that are the hypervisor's own, beside its serial line: interrupt controllers, the reset
/// register.
const OURS: [core::ops::Range<u16>; 3] = [0x20..0x22, 0xa0..0xa2, 0xcf9..0xcfa];

/// Whether a domain has what is behind a port.
fn has(domain: &Domain, port: u16, size: u8) -> bool {
    let end = port.checked_add(u16::from(size));
    let touches =
        |ours: &core::ops::Range<u16>| end.is_none_or(|end| port < ours.end && ours.start < end);
    domain.is_privileged && !OURS.iter().any(touches) && !touches(&console::ports())
}

/// PCI's configuration: an address, then data. Dom0's address is its own.
const CONFIGURATION_ADDRESS: u16 = 0xcf8;
const CONFIGURATION_DATA: core::ops::Range<u16> = 0xcfc..0xd00;
static ADDRESS: AtomicU32 = AtomicU32::new(0);

/// Reads a port for a domain; all ones if it has nothing there.
pub fn read(domain: &Domain, port: u16, size: u8) -> u32 {
    if domain.is_privileged {
        let address = ADDRESS.load(Ordering::Relaxed);
        match (port, size) {
            (CONFIGURATION_ADDRESS, 4) => return address,
            _ if CONFIGURATION_DATA.contains(&port) => {
                return pci::read_for_domain(address, port & 3, size);
            }
            _ => (),
        }
    }
    if !has(domain, port, size) {
        return u32::MAX;
    }
    // SAFETY: the domain has the device behind it, and what the device may do.
    unsafe {
        match size {
            1 => Port::<u8>::new(port).read().into(),
            2 => Port::<u16>::new(port).read().into(),
            _ => Port::<u32>::new(port).read(),
        }
    }
}

/// Writes to a port for a domain; nothing happens if it has nothing there.
pub fn write(domain: &Domain, port: u16, size: u8, value: u32) {
    if domain.is_privileged {
        match (port, size) {
            (CONFIGURATION_ADDRESS, 4) => return ADDRESS.store(value, Ordering::Relaxed),
            _ if CONFIGURATION_DATA.contains(&port) => {
                let address = ADDRESS.load(Ordering::Relaxed);
                return pci::write_for_domain(address, port & 3, size, value);
            }
            _ => (),
        }
    }
    if !has(domain, port, size) {
        return;
    }
    // SAFETY: as above.
    unsafe {
        match size {
            1 => Port::<u8>::new(port).write(value as u8),
            2 => Port::<u16>::new(port).write(value as u16),
            _ => Port::<u32>::new(port).write(value),
        }
    }
}
