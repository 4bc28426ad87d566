//! A domain's devices: what the store says of them, waiting for them to come up, taking them down.
//!
//! The backend is a kernel driver; the hotplug daemon prepares what it serves and reports in
//! `hotplug-status`, or says in `hotplug-error` why it can't. States: xenbus.h.

use std::time::{Duration, Instant};

use super::paths::{Device, Kind};
use crate::config::{Backing, Disk, Vif};
use crate::host::{Change, DomId, Perms, Result, Store, wait};
use crate::settings::{SCRIPT_DIR, Settings};

/// States of a device's side (`enum xenbus_state`).
mod state {
    pub const INITIALISING: &str = "1";
    pub const INIT_WAIT: &str = "2";
    pub const CLOSING: &str = "5";
    pub const CLOSED: &str = "6";
}

/// How long the hotplug daemon may take to put away what it prepared for a device that is closed.
/// Its own steps take moments; a daemon that isn't there must not hold up the end of a domain, and
/// puts everything away when it comes back.
const PUT_AWAY: Duration = Duration::from_secs(10);

/// The bridge of an interface that names none, when no setting does either.
const DEFAULT_BRIDGE: &str = "xenbr0";

/// The bridge that `vif` is attached to.
pub fn bridge_of<'a>(vif: &'a Vif, settings: &'a Settings) -> &'a str {
    let default = match settings.default_nic.as_str() {
        "" => DEFAULT_BRIDGE,
        nic => nic,
    };
    vif.bridge.as_deref().unwrap_or(default)
}

/// The changes that announce a disk to both sides.
pub fn vbd(domid: DomId, disk: &Disk) -> (Device, Vec<Change>) {
    let device = Device { domid, kind: Kind::Vbd, devid: disk.vdev.number };
    let device_type = if disk.cdrom { "cdrom" } else { "disk" };
    let discard = disk.discard.unwrap_or(disk.writable);
    let front = [
        ("virtual-device", device.devid.to_string()),
        ("device-type", device_type.to_owned()),
        // Kernels before 2.6.26 rely on the toolstack for this.
        ("protocol", "x86_64-abi".to_owned()),
    ];
    let back = [
        ("params", disk.target.display().to_string()),
        ("script", script(disk.script.as_deref().unwrap_or("block"))),
        ("dev", disk.vdev.name.clone()),
        ("type", if disk.backing == Backing::File { "file" } else { "phy" }.to_owned()),
        ("mode", if disk.writable { disk.mode() } else { "r" }.to_owned()),
        ("device-type", device_type.to_owned()),
        ("removable", flag(disk.cdrom)),
        ("bootable", flag(true)),
        ("discard-enable", flag(discard)),
    ];
    (device, announce(&device, &front, &back))
}

/// The changes that announce a network interface to both sides.
pub fn vif(domid: DomId, index: u32, vif: &Vif, settings: &Settings) -> (Device, Vec<Change>) {
    let device = Device { domid, kind: Kind::Vif, devid: index };
    let mac = vif.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let front = [("handle", index.to_string()), ("mac", mac.clone())];
    let mut back = vec![
        ("script", script(vif.script.as_deref().unwrap_or(&settings.vif_script))),
        ("mac", mac),
        ("bridge", bridge_of(vif, settings).to_owned()),
        ("handle", index.to_string()),
        ("type", "vif".to_owned()),
        // As long as this is there and not `connected`, netback holds the guest back.
        ("hotplug-status", String::new()),
    ];
    back.extend(vif.vifname.clone().map(|name| ("vifname", name)));
    back.extend(vif.ip.clone().map(|ip| ("ip", ip)));
    (device, announce(&device, &front, &back))
}

fn flag(truth: bool) -> String {
    u8::from(truth).to_string()
}

fn script(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{SCRIPT_DIR}/{name}") }
}

/// Both sides of a device, each with the owner and the reader the protocol wants: the frontend's
/// folder is the guest's, the backend's is ours and the guest reads it.
fn announce(device: &Device, front: &[(&str, String)], back: &[(&str, String)]) -> Vec<Change> {
    let (frontend, backend, libxl) = (device.frontend(), device.backend(), device.libxl());
    let guest = Perms::GuestOwns(device.domid);
    let reads = Perms::GuestReads(device.domid);
    let mut changes =
        [&frontend, &backend, &libxl].map(|path| Change::Remove(path.clone())).to_vec();
    changes.push(Change::own(frontend.clone(), "", guest));
    changes.push(Change::own(backend.clone(), "", reads));
    let front_common = [
        ("backend", backend.clone()),
        ("backend-id", "0".to_owned()),
        ("state", state::INITIALISING.to_owned()),
    ];
    for (name, value) in front_common.iter().chain(front) {
        changes.push(Change::own(format!("{frontend}/{name}"), value.clone(), guest));
    }
    let back_common = [
        ("frontend", frontend.clone()),
        ("frontend-id", device.domid.to_string()),
        ("online", flag(true)),
        ("state", state::INITIALISING.to_owned()),
    ];
    for (name, value) in back_common.iter().chain(back) {
        changes.push(Change::own(format!("{backend}/{name}"), value.clone(), reads));
    }
    for (name, value) in [("frontend", &frontend), ("backend", &backend)] {
        changes.push(Change::own(format!("{libxl}/{name}"), value.clone(), Perms::Private));
    }
    for (name, value) in back_common[1..].iter().chain(back) {
        changes.push(Change::own(format!("{libxl}/{name}"), value.clone(), Perms::Private));
    }
    changes
}

/// How a device is doing that should come up.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Up,
    Failed(String),
}

/// Waits until all of `devices` are ready for the guest. The inner error says which one isn't,
/// and why.
pub fn wait_up(
    store: &mut dyn Store,
    devices: &[Device],
    timeout: Duration,
    give_up: &dyn Fn() -> bool,
) -> Result<std::result::Result<(), String>> {
    let paths: Vec<String> =
        devices.iter().flat_map(|device| [device.backend(), device.error()]).collect();
    let mut late = Vec::new();
    let answer = wait(store, &paths, timeout, give_up, |store| {
        late.clear();
        for device in devices {
            match progress(store, device)? {
                Progress::Up => {}
                Progress::Waiting => late.push(*device),
                Progress::Failed(reason) => return Ok(Some(Err(describe(device, &reason)))),
            }
        }
        Ok(late.is_empty().then_some(Ok(())))
    })?;
    Ok(answer.unwrap_or_else(|| {
        let reason = match late.first() {
            Some(device) if !give_up() => describe(
                device,
                &format!(
                    "it did not come up within {} s; is the service xenbackendd online?",
                    timeout.as_secs()
                ),
            ),
            _ => "it is destroyed while it is made".to_owned(),
        };
        Err(reason)
    }))
}

fn describe(device: &Device, reason: &str) -> String {
    let (kind, devid) = match device.kind {
        Kind::Vbd => ("disk", device.devid),
        Kind::Vif => ("network interface", device.devid),
    };
    format!("{kind} {devid}: {}", reason.trim())
}

fn progress(store: &mut dyn Store, device: &Device) -> Result<Progress> {
    let backend = device.backend();
    let mut node = |name: &str| store.read(&format!("{backend}/{name}"));
    let error = node("hotplug-error")?.filter(|error| !error.is_empty());
    let (status, state) = (node("hotplug-status")?, node("state")?);
    Ok(match (error, status.as_deref(), state.as_deref()) {
        (Some(error), ..) => Progress::Failed(error),
        (None, Some("error" | "busy"), _) => {
            Progress::Failed("its hotplug script failed, see the log of xenbackendd".to_owned())
        }
        (None, _, None) => Progress::Failed("its backend disappeared".to_owned()),
        (None, _, Some(state::CLOSING | state::CLOSED)) => {
            let error = store.read(&device.error())?;
            Progress::Failed(error.unwrap_or_else(|| "its backend gave up".to_owned()))
        }
        (None, Some("connected"), Some(state)) if state >= state::INIT_WAIT => Progress::Up,
        _ => Progress::Waiting,
    })
}

/// All devices of a domain that the control domain serves.
pub fn all(store: &mut dyn Store, domid: DomId) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for kind in Kind::ALL {
        let names = store.list(&kind.backends(domid))?;
        let device = |name: String| Some(Device { domid, kind, devid: name.parse().ok()? });
        devices.extend(names.into_iter().filter_map(device));
    }
    Ok(devices)
}

/// Takes down all devices of a domain that won't run any more: the backends close, the hotplug
/// daemon puts away what it prepared, then nothing is left of them. Returns what did not go in
/// time; that is removed nevertheless.
pub fn take_down(store: &mut dyn Store, domid: DomId, timeout: Duration) -> Result<Vec<String>> {
    let devices = all(store, domid)?;
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    for device in &devices {
        let close = close(store, device)?;
        store.apply(&close)?;
    }
    let deadline = Instant::now() + timeout;
    let mut slow = Vec::new();
    for device in &devices {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(reason) = wait_gone(store, device, left)? {
            slow.push(describe(device, reason));
        }
        remove(store, device)?;
    }
    Ok(slow)
}

/// Takes a device from a guest that runs: the guest lets go of it first. The inner error says why
/// it did not; then the guest keeps it.
pub fn detach(
    store: &mut dyn Store,
    device: &Device,
    timeout: Duration,
) -> Result<std::result::Result<(), String>> {
    let node = |name: &str| format!("{}/{name}", device.backend());
    let set = |store: &mut dyn Store, online: bool, state: &str| {
        store.apply(&[
            Change::write(node("online"), flag(online)),
            Change::write(node("state"), state),
        ])
    };
    let before = store.read(&node("state"))?.unwrap_or_default();
    set(store, false, state::CLOSING)?;
    if let Some(reason) = wait_gone(store, device, timeout)? {
        set(store, true, &before)?;
        return Ok(Err(describe(device, &format!("the guest does not let go of it: {reason}"))));
    }
    remove(store, device)?;
    Ok(Ok(()))
}

/// Takes away a device that never came up.
pub fn take_away(store: &mut dyn Store, device: &Device, timeout: Duration) -> Result<()> {
    let close = close(store, device)?;
    store.apply(&close)?;
    if let Some(reason) = wait_gone(store, device, timeout)? {
        tracing::warn!("{}", describe(device, reason));
    }
    remove(store, device)
}

fn remove(store: &mut dyn Store, device: &Device) -> Result<()> {
    store.apply(&[device.backend(), device.frontend(), device.libxl()].map(Change::Remove))
}

/// Waits until a backend is closed, then until the hotplug daemon is done with it, which it says
/// by removing its status. Returns what did not happen in time.
fn wait_gone(
    store: &mut dyn Store,
    device: &Device,
    timeout: Duration,
) -> Result<Option<&'static str>> {
    let paths = [device.backend()];
    let node = |name: &str| format!("{}/{name}", device.backend());
    let closed = wait(store, &paths, timeout, &|| false, |store| {
        let state = store.read(&node("state"))?;
        Ok(state.is_none_or(|state| state == state::CLOSED).then_some(()))
    })?;
    if closed.is_none() {
        return Ok(Some("its backend did not close in time"));
    }
    let put_away = wait(store, &paths, PUT_AWAY.min(timeout), &|| false, |store| {
        let status = store.read(&node("hotplug-status"))?;
        Ok((status.as_deref() != Some("connected")).then_some(()))
    })?;
    Ok(put_away.is_none().then_some("xenbackendd did not put it away in time; is it online?"))
}

/// The frontend goes first: that makes the backend let go of the guest's pages, whatever state
/// the guest left it in.
fn close(store: &mut dyn Store, device: &Device) -> Result<Vec<Change>> {
    let backend = device.backend();
    let mut changes = vec![Change::Remove(device.frontend())];
    if let Some(state) = store.read(&format!("{backend}/state"))? {
        // A guest that shut down has closed it already; nobody wants it any more all the same.
        changes.push(Change::write(format!("{backend}/online"), flag(false)));
        if state != state::CLOSED {
            changes.push(Change::write(format!("{backend}/state"), state::CLOSING));
        }
    }
    Ok(changes)
}
