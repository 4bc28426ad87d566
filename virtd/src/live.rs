//! What the store and the kernel tell of a guest that runs: its console's terminal, its
//! interfaces' numbers, and what its devices have done.

use std::fs;
use std::path::{Path, PathBuf};

use store::client::{Client, Tx};

use crate::domain_xml::{Live, LiveVif};

/// The control domain's backends in sysfs.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";
/// The control domain's network interfaces.
const NET: &str = "/sys/class/net";

/// What the store says of a guest. A store that can't be asked says nothing.
pub fn of(domid: u16) -> Live {
    let told = Client::connect().ok().and_then(|store| ask(&store, domid).ok());
    told.unwrap_or(Live { domid, ..Live::default() })
}

fn ask(store: &Client, domid: u16) -> store::client::Result<Live> {
    let tty = store.read_string(Tx::NONE, &format!("/local/domain/{domid}/console/tty"))?;
    let folder = format!("/local/domain/0/backend/vif/{domid}");
    let numbers = match store.directory(Tx::NONE, &folder) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other?,
    };
    let mut vifs = Vec::new();
    for number in numbers {
        let mac = store.read_string(Tx::NONE, &format!("{folder}/{number}/mac"))?;
        if let (Some(mac), Ok(devid)) = (mac, number.parse()) {
            vifs.push(LiveVif { devid, mac });
        }
    }
    Ok(Live { domid, tty: tty.filter(|tty| !tty.is_empty()), vifs })
}

fn count(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// What a disk has done: requests, and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct DiskStats {
    pub rd_req: u64,
    pub rd_bytes: u64,
    pub wr_req: u64,
    pub wr_bytes: u64,
    pub flush_req: u64,
}

/// What the disk with that number of a guest has done, as its backend counts.
pub fn disk(domid: u16, devid: u32) -> Option<DiskStats> {
    /// blkback counts sectors of this many bytes.
    const SECTOR: u64 = 512;
    let folder: PathBuf =
        [BACKENDS, &format!("vbd-{domid}-{devid}"), "statistics"].iter().collect();
    let number = |name| count(&folder.join(name));
    Some(DiskStats {
        rd_req: number("rd_req")?,
        rd_bytes: number("rd_sect")? * SECTOR,
        wr_req: number("wr_req")?,
        wr_bytes: number("wr_sect")? * SECTOR,
        flush_req: number("f_req").unwrap_or(0),
    })
}

/// What an interface has done, as its guest sees it: bytes, packets, errors, drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct NetStats {
    pub rx: [u64; 4],
    pub tx: [u64; 4],
}

/// What the interface of that name has done. What the control domain receives the guest sends.
pub fn interface(name: &str) -> Option<NetStats> {
    // It comes from a client, or from a guest's settings.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let folder: PathBuf = [NET, name, "statistics"].iter().collect();
    let side = |side: &str| {
        let number = |what| count(&folder.join(format!("{side}_{what}")));
        Some([number("bytes")?, number("packets")?, number("errors")?, number("dropped")?])
    };
    Some(NetStats { rx: side("tx")?, tx: side("rx")? })
}
