//! What a domain's part of the store looks like when it is made.
//!
//! Nodes and permissions are those that the stock toolstack writes, so `xl`, the console daemon
//! and every guest find what they look for.

use uuid::Uuid;

use super::paths;
use crate::config::GuestConfig;
use crate::host::{Change, DomId, Perms, Ports, Rings};

/// All that is needed to describe a domain.
#[derive(Debug, Clone, Copy)]
pub struct Described<'c> {
    /// Its number.
    pub domid: DomId,
    /// The guest it is.
    pub uuid: Uuid,
    /// The guest's settings.
    pub config: &'c GuestConfig,
    /// Its event channels.
    pub ports: Ports,
    /// Its rings.
    pub rings: Rings,
    /// When it was made, in seconds since 1970.
    pub started: f64,
    /// How often it has been made anew.
    pub restarts: u32,
    /// How much of its output is kept, in KiB.
    pub console_limit: u64,
}

/// The changes that make it.
pub fn domain(it: &Described<'_>) -> Vec<Change> {
    let mut changes = folders(it);
    changes.extend(own_nodes(it));
    changes.extend(guest_nodes(it.domid));
    changes.extend(vm_nodes(it));
    changes
}

/// What is removed with a domain: everything that names it, wherever it is.
pub fn remove(domid: DomId, uuid: Uuid) -> Vec<Change> {
    let backends = paths::Kind::ALL.map(|kind| Change::Remove(kind.backends(domid)));
    let others = [paths::domain(domid), paths::libxl(domid), paths::vm(uuid)].map(Change::Remove);
    others.into_iter().chain(backends).collect()
}

/// The folders, cleared of whatever an earlier domain of that number left.
fn folders(it: &Described<'_>) -> Vec<Change> {
    let readable = Perms::GuestReads(it.domid);
    let folders = [
        (paths::domain(it.domid), readable),
        (paths::vm(it.uuid), readable),
        (paths::libxl(it.domid), Perms::Private),
    ];
    let clear = folders.iter().map(|(path, _)| Change::Remove(path.clone()));
    let make = folders.iter().map(|(path, perms)| Change::own(path.clone(), "", *perms));
    clear.chain(make).collect()
}

/// What the guest reads.
fn own_nodes(it: &Described<'_>) -> Vec<Change> {
    let base = paths::domain(it.domid);
    let node = |name: &str, value: String| Change::write(format!("{base}/{name}"), value);
    let mut nodes = vec![
        node("name", it.config.name.clone()),
        node("domid", it.domid.to_string()),
        node("vm", paths::vm(it.uuid)),
        node("memory/static-max", (it.config.maxmem * 1024).to_string()),
        node("memory/target", (it.config.memory * 1024).to_string()),
        node("console/backend-id", "0".to_owned()),
        node("console/limit", (it.console_limit * 1024).to_string()),
        node("console/type", "xenconsoled".to_owned()),
        node("console/output", "pty".to_owned()),
        node("console/tty", String::new()),
        node("console/port", it.ports.console.to_string()),
        node("console/ring-ref", it.rings.console.to_string()),
        node("store/port", it.ports.store.to_string()),
        node("store/ring-ref", it.rings.store.to_string()),
        node("control/platform-feature-multiprocessor-suspend", "1".to_owned()),
        node("control/platform-feature-xs_reset_watches", "1".to_owned()),
        node("device", String::new()),
    ];
    for vcpu in 0..it.config.maxvcpus {
        let available = if vcpu < it.config.vcpus { "online" } else { "offline" };
        nodes.push(node(&format!("cpu/{vcpu}/availability"), available.to_owned()));
    }
    nodes
}

/// What the guest may write.
fn guest_nodes(domid: DomId) -> Vec<Change> {
    const OWNED: [&str; 11] = [
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "device/suspend/event-channel",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    ];
    let base = paths::domain(domid);
    let own = |name| Change::own(format!("{base}/{name}"), "", Perms::GuestOwns(domid));
    OWNED.map(own).into()
}

/// What stays with the guest, for readers in the control domain.
fn vm_nodes(it: &Described<'_>) -> Vec<Change> {
    let base = paths::vm(it.uuid);
    let node = |name: &str, value: String| Change::write(format!("{base}/{name}"), value);
    let config = it.config;
    let mut nodes = vec![
        node("uuid", it.uuid.to_string()),
        node("name", config.name.clone()),
        node("memory", config.memory.to_string()),
        node("maxmem", config.maxmem.to_string()),
        node("vcpus", config.vcpus.to_string()),
        node("on_poweroff", config.on_poweroff.word().to_owned()),
        node("on_reboot", config.on_reboot.word().to_owned()),
        node("on_crash", config.on_crash.word().to_owned()),
        node("start_time", format!("{:.2}", it.started)),
        node("image/ostype", "linux".to_owned()),
        node("image/kernel", config.kernel.display().to_string()),
        node("image/cmdline", config.cmdline()),
        node("xend/restart_count", it.restarts.to_string()),
        Change::write(format!("{}/type", paths::libxl(it.domid)), "pv"),
    ];
    nodes.extend(
        config.ramdisk.as_ref().map(|path| node("image/ramdisk", path.display().to_string())),
    );
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};

    #[test]
    fn the_guest_finds_what_it_looks_for() {
        let text = "kernel='/k'; memory=64; maxmem=128; vcpus=1; maxvcpus=2";
        let source = Source::CommandLine;
        let (config, _) = parse(text, source, &[], "juliet", std::path::Path::new("/")).unwrap();
        let changes = domain(&Described {
            domid: 7,
            uuid: Uuid::from_u128(1),
            config: &config,
            ports: Ports { store: 1, console: 2 },
            rings: Rings { store: 100, console: 101 },
            started: 1.5,
            restarts: 3,
            console_limit: 1024,
        });
        let value = |path: &str| {
            changes.iter().find_map(|change| match change {
                Change::Write { path: written, value, perms } if written == path => {
                    Some((value.as_str(), *perms))
                }
                _ => None,
            })
        };
        let vm = "/vm/00000000-0000-0000-0000-000000000001";
        assert_eq!(value("/local/domain/7"), Some(("", Some(Perms::GuestReads(7)))));
        assert_eq!(value("/local/domain/7/vm"), Some((vm, None)));
        assert_eq!(value("/local/domain/7/memory/target"), Some(("65536", None)));
        assert_eq!(value("/local/domain/7/memory/static-max"), Some(("131072", None)));
        assert_eq!(value("/local/domain/7/console/ring-ref"), Some(("101", None)));
        assert_eq!(value("/local/domain/7/console/limit"), Some(("1048576", None)));
        assert_eq!(value("/local/domain/7/store/port"), Some(("1", None)));
        assert_eq!(value("/local/domain/7/cpu/1/availability"), Some(("offline", None)));
        let owned = Some(("", Some(Perms::GuestOwns(7))));
        assert_eq!(value("/local/domain/7/control/shutdown"), owned);
        assert_eq!(value(&format!("{vm}/xend/restart_count")), Some(("3", None)));
        assert_eq!(value("/libxl/7/type"), Some(("pv", None)));
        // Folders are cleared before anything is put there.
        assert!(changes[..3].iter().all(|change| matches!(change, Change::Remove(_))));
    }
}
