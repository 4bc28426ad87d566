//! xenfs: what Linux tells of itself in `/proc/xen`, and its own store ring.

use std::fs::read_to_string;
use std::io;
use std::os::fd::AsFd;

use super::ioctl::open;
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
    let file = open("/proc/xen/xsd_kva")?;
    let doing = || "map the store's ring".to_owned();
    Ok((Mapping::of(file.as_fd(), 0, PAGE_SIZE, true, doing)?, port))
}
