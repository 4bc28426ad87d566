//! Calls about a domain's disks, interfaces and console.

use xend::config::{Disk, GuestConfig, Vif, vbd_sxp, vif_sxp};
use xend::rpc::Value;

use super::domain::find_active;
use super::settings::{Affected, affected, id, known_flags, redefine};
use crate::console::Console;
use crate::domain_xml::{self, Device, Live, interface_name};
use crate::error::{Code, Error, Result};
use crate::guest::Guest;
use crate::live::{self, DiskStats};
use crate::protocol::{Domain, Param};
use crate::session::Call;

/// `VIR_DOMAIN_AFFECT_LIVE`, for calls that have no flags.
const LIVE: u32 = 1;

/// Gives a domain that runs a device.
pub fn attach(call: &Call, (domain, xml): (Domain, String)) -> Result<()> {
    attach_flags(call, (domain, xml, LIVE))
}

/// Gives a domain a device, as it runs or as it is defined.
pub fn attach_flags(call: &Call, (domain, xml, flags): (Domain, String, u32)) -> Result<()> {
    let it = affected(call, &domain, flags, 0)?;
    let device = domain_xml::device(&xml)?;
    if it.live {
        let sxp = match &device {
            Device::Disk(disk) => vbd_sxp(disk),
            Device::Interface(vif) => vif_sxp(vif),
        };
        call.xend().tell("xend.domain.device_create", vec![id(&it.guest), sxp])?;
    }
    if it.config {
        redefine(call, &it.guest, |config| {
            match device {
                Device::Disk(disk) => config.disks.push(disk),
                Device::Interface(vif) => config.vifs.push(vif),
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes a device from a domain that runs.
pub fn detach(call: &Call, (domain, xml): (Domain, String)) -> Result<()> {
    detach_flags(call, (domain, xml, LIVE))
}

/// Takes a device from a domain, as it runs or as it is defined.
pub fn detach_flags(call: &Call, (domain, xml, flags): (Domain, String, u32)) -> Result<()> {
    let it = affected(call, &domain, flags, 0)?;
    let device = domain_xml::device(&xml)?;
    if it.live {
        let (class, name) = running_device(call, &it, &device)?;
        let params = vec![id(&it.guest), class.into(), name];
        call.xend().tell("xend.domain.destroyDevice", params)?;
    }
    if it.config {
        redefine(call, &it.guest, |config| remove(config, &device))?;
    }
    Ok(())
}

/// How xend knows the device of a running guest that a client describes.
fn running_device(call: &Call, it: &Affected, device: &Device) -> Result<(&'static str, Value)> {
    match device {
        Device::Disk(disk) => Ok(("vbd", disk.vdev.name.as_str().into())),
        Device::Interface(wanted) => {
            let config = super::settings::of(call, &it.guest, false)?;
            let vif = &config.vifs[place_of(&config.vifs, wanted)?];
            let mac = vif.mac.map(|mac| mac.to_string()).unwrap_or_default();
            let live = live::of(it.guest.domid.unwrap_or_default());
            let device = live.vifs.iter().find(|it| it.mac == mac);
            let device = device.ok_or_else(|| missing(format!("no interface {mac}")))?;
            Ok(("vif", i64::from(device.devid).into()))
        }
    }
}

fn missing(reason: String) -> Error {
    Error::new(Code::DeviceMissing, reason)
}

/// The interface that is meant: the one with that address, else the only one.
fn place_of(vifs: &[Vif], wanted: &Vif) -> Result<usize> {
    match wanted.mac {
        Some(mac) => {
            let place = vifs.iter().position(|vif| vif.mac == Some(mac));
            place.ok_or_else(|| missing(format!("no device matching MAC address {mac} found")))
        }
        None if vifs.len() == 1 => Ok(0),
        None => Err(missing("the interface's MAC address must be given".to_owned())),
    }
}

fn remove(config: &mut GuestConfig, device: &Device) -> Result<()> {
    match device {
        Device::Disk(wanted) => {
            let same = |disk: &Disk| disk.vdev.number == wanted.vdev.number;
            let place = config.disks.iter().position(same);
            let gone = || missing(format!("no target device {}", wanted.vdev.name));
            config.disks.remove(place.ok_or_else(gone)?);
        }
        Device::Interface(wanted) => {
            let place = place_of(&config.vifs, wanted)?;
            config.vifs.remove(place);
        }
    }
    Ok(())
}

/// The disk of a guest that a client means by the guest's name for it, or by its source.
fn disk_of(config: &GuestConfig, path: &str) -> Result<Disk> {
    let matches = |disk: &&Disk| disk.vdev.name == path || disk.target.as_os_str() == path;
    let disk = config.disks.iter().find(matches).cloned();
    disk.ok_or_else(|| Error::invalid(format!("invalid path {path}: no disk of the domain")))
}

/// What the disks of a guest that runs have done; of all if no path is given.
fn disk_stats(call: &Call, domain: &Domain, path: &str) -> Result<DiskStats> {
    let guest = find_active(call, domain)?;
    let config = super::settings::of(call, &guest, false)?;
    let domid = guest.domid.unwrap_or_default();
    if !path.is_empty() {
        let disk = disk_of(&config, path)?;
        let none = || Error::internal(format!("the backend of {path} tells nothing"));
        return live::disk(domid, disk.vdev.number).ok_or_else(none);
    }
    let all = config.disks.iter().filter_map(|disk| live::disk(domid, disk.vdev.number));
    Ok(all.fold(DiskStats::default(), |sum, it| DiskStats {
        rd_req: sum.rd_req + it.rd_req,
        rd_bytes: sum.rd_bytes + it.rd_bytes,
        wr_req: sum.wr_req + it.wr_req,
        wr_bytes: sum.wr_bytes + it.wr_bytes,
        flush_req: sum.flush_req + it.flush_req,
    }))
}

/// What a disk has done: reads, bytes read, writes, bytes written, and errors, which are not
/// counted.
pub fn block_stats(
    call: &Call,
    (domain, path): (Domain, String),
) -> Result<(i64, i64, i64, i64, i64)> {
    let it = disk_stats(call, &domain, &path)?;
    Ok((it.rd_req as i64, it.rd_bytes as i64, it.wr_req as i64, it.wr_bytes as i64, -1))
}

/// What a disk has done, by name.
pub fn block_stats_flags(
    call: &Call,
    (domain, path, count, flags): (Domain, String, i32, u32),
) -> Result<(Vec<Param>, i32)> {
    /// `VIR_TYPED_PARAM_STRING_OKAY`.
    const STRINGS: u32 = 4;
    known_flags(flags, STRINGS)?;
    let it = disk_stats(call, &domain, &path)?;
    let params = [
        ("rd_bytes", it.rd_bytes),
        ("rd_operations", it.rd_req),
        ("wr_bytes", it.wr_bytes),
        ("wr_operations", it.wr_req),
        ("flush_operations", it.flush_req),
    ];
    let params = params.map(|(name, value)| Param::new(name, value as i64));
    let count = usize::try_from(count).unwrap_or(0);
    // Who asks for none wants to know how many there are.
    let total = if count == 0 { params.len() as i32 } else { 0 };
    let params: Vec<Param> = params.into_iter().take(count).collect();
    Ok((params, total))
}

/// How large a disk is: allocated, as the guest sees it, and as it lies here; in bytes.
pub fn block_info(
    call: &Call,
    (domain, path, flags): (Domain, String, u32),
) -> Result<(u64, u64, u64)> {
    known_flags(flags, 0)?;
    let guest = super::domain::find(call, &domain)?;
    let config = super::settings::of(call, &guest, !guest.is_active())?;
    let disk = disk_of(&config, &path)?;
    let size = crate::files::size(&disk.target);
    let size = size.map_err(|error| Error::internal(format!("{}: {error}", disk.target.display())));
    size.map(|size| (size.allocation, size.capacity, size.capacity))
}

/// The answer to [`interface_stats`].
pub type InterfaceStats = (i64, i64, i64, i64, i64, i64, i64, i64);

/// What an interface has received and sent: bytes, packets, errors, drops.
pub fn interface_stats(call: &Call, (domain, name): (Domain, String)) -> Result<InterfaceStats> {
    let guest = find_active(call, &domain)?;
    let config = super::settings::of(call, &guest, false)?;
    let live = live::of(guest.domid.unwrap_or_default());
    let matches = |vif: &&Vif| {
        let mac = vif.mac.map(|mac| mac.to_string());
        interface_name(vif, &live).as_ref() == Some(&name) || mac.as_ref() == Some(&name)
    };
    let vif = config.vifs.iter().find(matches);
    let device = vif.and_then(|vif| interface_name(vif, &live));
    let none = || Error::invalid(format!("invalid path, '{name}' is not a known interface"));
    let stats = device.and_then(|device| live::interface(&device)).ok_or_else(none)?;
    let [rx, tx] = [stats.rx, stats.tx].map(|side| side.map(|count| count as i64));
    Ok((rx[0], rx[1], rx[2], rx[3], tx[0], tx[1], tx[2], tx[3]))
}

/// Attaches the client to a domain's console by a stream.
pub fn open_console(
    call: &Call,
    (domain, device, flags): (Domain, Option<String>, u32),
) -> Result<()> {
    /// `VIR_DOMAIN_CONSOLE_FORCE` and `VIR_DOMAIN_CONSOLE_SAFE`.
    const FORCE: u32 = 1;
    const SAFE: u32 = 2;
    known_flags(flags, FORCE | SAFE)?;
    if let Some(device) = device.filter(|device| !device.is_empty() && device != "console0") {
        return Err(Error::invalid(format!("cannot find console device '{device}'")));
    }
    let guest: Guest = find_active(call, &domain)?;
    let Live { tty, .. } = live::of(guest.domid.unwrap_or_default());
    let tty = tty
        .ok_or_else(|| Error::state("the domain has no console: is the service console online?"))?;
    let console = || Console::open(tty.as_ref(), call.outbox.clone(), call.header);
    let console = call.host.consoles.open(guest.uuid, flags & FORCE != 0, console)?;
    call.add_stream(call.header, console)
}
