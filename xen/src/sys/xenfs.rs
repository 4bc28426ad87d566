//! xenfs: what Linux tells of itself in `/proc/xen`, and its own store ring.

use std::fs::{File, OpenOptions, read_to_string};
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use nix::libc;

use super::{Mapping, Port};
use crate::abi::PAGE_SIZE;

/// Does this kernel run the control domain? False where there is no hypervisor.
pub fn is_control_domain() -> bool {
    read_to_string("/proc/xen/capabilities").is_ok_and(|text| text.contains("control_d"))
}

/// The ring page through which the control domain's own kernel talks to the store, and the event
/// channel port that it keeps unbound for the store.
pub fn store_ring() -> io::Result<(Mapping, Port)> {
    let named = |path: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"))
    };
    let port = read_to_string("/proc/xen/xsd_port").map_err(named("/proc/xen/xsd_port"))?;
    let port = port.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into());
    let port = port.map_err(named("/proc/xen/xsd_port"))?;
    let path = "/proc/xen/xsd_kva";
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(named(path))?;
    Ok((map_page(&file).map_err(named(path))?, port))
}

fn map_page(file: &File) -> io::Result<Mapping> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping of the one page behind the file.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE_SIZE,
            protection,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = NonNull::new(start.cast()).expect("a mapping is never at address 0");
    // SAFETY: just mapped, readable and writable, and nobody else knows of it.
    Ok(unsafe { Mapping::new(start, PAGE_SIZE, None) })
}
