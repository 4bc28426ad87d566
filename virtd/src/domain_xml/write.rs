//! A guest's settings as libvirt's domain XML.

use xend::config::{Backing, Disk, GuestConfig, Notes, Vif};

use super::build::Builder;
use super::metadata;
use crate::guest::Guest;

/// What only a guest that runs has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// Its number.
    pub domid: u16,
    /// The terminal that its console is on.
    pub tty: Option<String>,
    /// Its network interfaces as they are now.
    pub vifs: Vec<LiveVif>,
}

/// A network interface of a running guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveVif {
    /// Its number.
    pub devid: u32,
    /// Its hardware address.
    pub mac: String,
}

/// What the control domain calls its side of an interface of a running guest.
pub fn interface_name(vif: &Vif, live: &Live) -> Option<String> {
    let mac = vif.mac?.to_string();
    let device = live.vifs.iter().find(|it| it.mac == mac)?;
    let usual = || format!("vif{}.{}", live.domid, device.devid);
    Some(vif.vifname.clone().unwrap_or_else(usual))
}

/// The XML of a guest, as it is defined or as it runs.
pub fn write(config: &GuestConfig, live: Option<&Live>) -> String {
    let mut xml = Builder::default();
    let id = live.map(|live| live.domid.to_string()).unwrap_or_default();
    let attributes = [("type", "xen"), ("id", id.as_str())];
    let attributes = if live.is_some() { &attributes[..] } else { &attributes[..1] };
    xml.element("domain", attributes, |xml| {
        xml.text("name", &[], &config.name);
        if let Some(uuid) = config.uuid {
            xml.text("uuid", &[], &uuid.to_string());
        }
        notes(xml, &config.notes);
        xml.text("memory", &[("unit", "KiB")], &(config.maxmem * 1024).to_string());
        xml.text("currentMemory", &[("unit", "KiB")], &(config.memory * 1024).to_string());
        vcpus(xml, config);
        xml.element("os", &[], |xml| {
            xml.text("type", &[("arch", "x86_64"), ("machine", "xenpv")], "linux");
            xml.text("kernel", &[], &config.kernel.display().to_string());
            if let Some(ramdisk) = &config.ramdisk {
                xml.text("initrd", &[], &ramdisk.display().to_string());
            }
            let cmdline = config.cmdline();
            if !cmdline.is_empty() {
                xml.text("cmdline", &[], &cmdline);
            }
        });
        xml.empty("clock", &[("offset", "utc"), ("adjustment", "reset")]);
        xml.text("on_poweroff", &[], config.on_poweroff.word());
        xml.text("on_reboot", &[], config.on_reboot.word());
        xml.text("on_crash", &[], config.on_crash.word());
        xml.element("devices", &[], |xml| {
            config.disks.iter().for_each(|it| disk(xml, it));
            config.vifs.iter().for_each(|it| interface(xml, it, live));
            console(xml, live);
            xml.empty("memballoon", &[("model", "xen")]);
        });
    });
    xml.finish()
}

/// The XML of a domain of which no more is known than its state.
pub fn write_foreign(guest: &Guest) -> String {
    let mut xml = Builder::default();
    let id = guest.domain().id.to_string();
    xml.element("domain", &[("type", "xen"), ("id", &id)], |xml| {
        xml.text("name", &[], &guest.name);
        xml.text("uuid", &[], &guest.uuid.to_string());
        let most = guest.max_memory.min(1 << 42).max(guest.memory);
        xml.text("memory", &[("unit", "KiB")], &most.to_string());
        xml.text("currentMemory", &[("unit", "KiB")], &guest.memory.to_string());
        let online = guest.online_vcpus.to_string();
        let attributes = [("placement", "static"), ("current", online.as_str())];
        let all = guest.online_vcpus == guest.vcpus;
        let attributes = if all { &attributes[..1] } else { &attributes[..] };
        xml.text("vcpu", attributes, &guest.vcpus.to_string());
        xml.element("os", &[], |xml| {
            xml.text("type", &[("arch", "x86_64"), ("machine", "xenpv")], "linux");
        });
        xml.empty("clock", &[("offset", "utc")]);
        xml.text("on_poweroff", &[], "destroy");
        xml.text("on_reboot", &[], "restart");
        xml.text("on_crash", &[], "destroy");
        xml.element("devices", &[], |xml| console(xml, None));
    });
    xml.finish()
}

fn notes(xml: &mut Builder, notes: &Notes) {
    for (name, note) in [("title", &notes.title), ("description", &notes.description)] {
        if let Some(note) = note {
            xml.text(name, &[], note);
        }
    }
    if let Some(metadata) = notes.metadata.as_ref().filter(|it| metadata::is_whole(it)) {
        xml.element("metadata", &[], |xml| {
            xml.raw(metadata);
        });
    }
}

fn vcpus(xml: &mut Builder, config: &GuestConfig) {
    let (current, most) = (config.vcpus.to_string(), config.maxvcpus.to_string());
    let mut attributes = vec![("placement", "static")];
    let all = match config.cpus.as_slice() {
        [all] if !all.0.is_empty() => Some(all.text()),
        _ => None,
    };
    attributes.extend(all.as_deref().map(|all| ("cpuset", all)));
    if config.vcpus != config.maxvcpus {
        attributes.push(("current", &current));
    }
    xml.text("vcpu", &attributes, &most);
    if config.cpus.len() > 1 {
        xml.element("cputune", &[], |xml| {
            for (vcpu, set) in config.cpus.iter().enumerate().filter(|(_, set)| !set.0.is_empty()) {
                let pin = [("vcpu", vcpu.to_string()), ("cpuset", set.text())];
                let [vcpu, set] = pin.each_ref().map(|(name, value)| (*name, value.as_str()));
                xml.empty("vcpupin", &[vcpu, set]);
            }
        });
    }
}

fn disk(xml: &mut Builder, disk: &Disk) {
    let (kind, source) = match disk.backing {
        Backing::Phy => ("block", "dev"),
        Backing::File | Backing::Auto => ("file", "file"),
    };
    let device = if disk.cdrom { "cdrom" } else { "disk" };
    xml.element("disk", &[("type", kind), ("device", device)], |xml| {
        let mut driver = vec![("name", "phy"), ("type", "raw")];
        let discard = disk.discard.map(|discard| if discard { "unmap" } else { "ignore" });
        driver.extend(discard.map(|discard| ("discard", discard)));
        xml.empty("driver", &driver);
        xml.empty("source", &[(source, &disk.target.display().to_string())]);
        xml.empty("target", &[("dev", &disk.vdev.name), ("bus", bus(&disk.vdev.name))]);
        if !disk.writable {
            xml.empty("readonly", &[]);
        }
        if disk.shared {
            xml.empty("shareable", &[]);
        }
        if let Some(script) = &disk.script {
            xml.empty("script", &[("path", script)]);
        }
    });
}

/// What a guest believes its disk is attached by.
fn bus(dev: &str) -> &'static str {
    match dev.get(..2) {
        Some("hd") => "ide",
        Some("sd") => "scsi",
        _ => "xen",
    }
}

fn interface(xml: &mut Builder, vif: &Vif, live: Option<&Live>) {
    xml.element("interface", &[("type", "bridge")], |xml| {
        if let Some(mac) = vif.mac {
            xml.empty("mac", &[("address", &mac.to_string())]);
        }
        // Without one it is the host's usual bridge; libvirt has no word for that.
        xml.empty("source", &[("bridge", vif.bridge.as_deref().unwrap_or("xenbr0"))]);
        if let Some(script) = &vif.script {
            xml.empty("script", &[("path", script)]);
        }
        for address in vif.ip.iter().flat_map(|ip| ip.split(' ')).filter(|ip| !ip.is_empty()) {
            let (address, prefix) = address.split_once('/').unwrap_or((address, ""));
            let family = if address.contains(':') { "ipv6" } else { "ipv4" };
            let attributes = [("address", address), ("family", family), ("prefix", prefix)];
            xml.empty("ip", if prefix.is_empty() { &attributes[..2] } else { &attributes });
        }
        let live = live.and_then(|live| interface_name(vif, live));
        if let Some(name) = live.as_ref().or(vif.vifname.as_ref()) {
            xml.empty("target", &[("dev", name)]);
        }
    });
}

fn console(xml: &mut Builder, live: Option<&Live>) {
    let tty = live.and_then(|live| live.tty.as_deref());
    let attributes = [("type", "pty"), ("tty", tty.unwrap_or_default())];
    let attributes = if tty.is_some() { &attributes[..] } else { &attributes[..1] };
    xml.element("console", attributes, |xml| {
        if let Some(tty) = tty {
            xml.empty("source", &[("path", tty)]);
        }
        xml.empty("target", &[("type", "xen"), ("port", "0")]);
    });
}
