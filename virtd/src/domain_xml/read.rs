//! A guest's settings out of libvirt's domain XML.
//!
//! What a guest would not be itself without, and can't have here, is refused by name. What makes no
//! difference to a paravirtualized guest, such as an emulator or ACPI, is passed over.

use roxmltree::{Document, Node, ParsingOptions};
use xend::config::disk::Backing;
use xend::config::{Action, CpuSet, Disk, GuestConfig, Notes, Vdev, Vif};

use super::metadata;
use crate::error::{Code, Error, Result};

/// No guest has anywhere near so many elements.
const MAX_NODES: u32 = 50_000;

/// Devices that every paravirtualized guest has, or has no use for.
const PASSED_OVER: [&str; 9] = [
    "channel",
    "console",
    "controller",
    "emulator",
    "input",
    "memballoon",
    "panic",
    "parallel",
    "serial",
];

/// A device that is attached or detached.
#[derive(Debug, Clone, PartialEq)]
pub enum Device {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Interface(Vif),
}

pub(super) fn parse(xml: &str) -> Result<Document<'_>> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(xml, options).map_err(|error| malformed(error.to_string()))
}

pub(super) fn malformed(reason: impl Into<String>) -> Error {
    Error::new(Code::XmlError, reason)
}

/// Reads a guest.
pub fn domain(xml: &str) -> Result<GuestConfig> {
    let document = parse(xml)?;
    let root = document.root_element();
    if !root.has_tag_name("domain") {
        return Err(malformed(format!("unexpected root element <{}>", root.tag_name().name())));
    }
    match root.attribute("type") {
        Some("xen") => {}
        None => return Err(malformed("missing domain type attribute")),
        Some(other) => {
            return Err(Error::unsupported(format!("domain type '{other}' is not xen")));
        }
    }
    let name = text(root, "name").ok_or_else(|| malformed("the domain has no name"))?;
    let (memory, maxmem) = memory(root)?;
    let (vcpus, maxvcpus) = vcpus(root)?;
    let os = child(root, "os").ok_or_else(|| malformed("the domain has no <os>"))?;
    let (root_device, extra) = command_line(text(os, "cmdline"));
    let mut config = GuestConfig {
        name,
        uuid: text(root, "uuid").map(|text| uuid(&text)).transpose()?,
        memory,
        maxmem,
        vcpus,
        maxvcpus,
        cpus: cpus(root, maxvcpus)?,
        kernel: kernel(root, os)?.into(),
        ramdisk: text(os, "initrd").map(Into::into),
        root: root_device,
        extra,
        disks: Vec::new(),
        vifs: Vec::new(),
        on_poweroff: action(root, "on_poweroff", Action::Destroy)?,
        on_reboot: action(root, "on_reboot", Action::Restart)?,
        on_crash: action(root, "on_crash", Action::Destroy)?,
        notes: notes(xml, root)?,
    };
    let devices = child(root, "devices").into_iter().flat_map(|devices| devices.children());
    for node in devices.filter(Node::is_element) {
        match device_of(node)? {
            Some(Device::Disk(disk)) => config.disks.push(disk),
            Some(Device::Interface(vif)) => config.vifs.push(vif),
            None => {}
        }
    }
    // Checked as xend will check it.
    GuestConfig::from_sxp(&config.to_sxp()).map_err(Error::unsupported)
}

fn notes(xml: &str, root: Node) -> Result<Notes> {
    let metadata = child(root, "metadata").map(|node| metadata::inside(xml, node)).transpose()?;
    Ok(Notes {
        title: text(root, "title"),
        description: text(root, "description"),
        metadata: metadata.filter(|metadata| !metadata.is_empty()),
    })
}

/// Reads one device.
pub fn device(xml: &str) -> Result<Device> {
    let document = parse(xml)?;
    let root = document.root_element();
    let name = root.tag_name().name();
    device_of(root)?.ok_or_else(|| Error::unsupported(format!("a <{name}> can't come or go")))
}

fn device_of(node: Node) -> Result<Option<Device>> {
    Ok(match node.tag_name().name() {
        "disk" => Some(Device::Disk(disk(node)?)),
        "interface" => Some(Device::Interface(interface(node)?)),
        name if PASSED_OVER.contains(&name) => None,
        name => {
            let kind = node.attribute("type").map(|kind| format!(" type='{kind}'"));
            return Err(Error::unsupported(format!(
                "<{name}{}>: paravirtualized guests have no such device here",
                kind.unwrap_or_default()
            )));
        }
    })
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn text(node: Node, name: &str) -> Option<String> {
    let text = child(node, name)?.text().unwrap_or_default().trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn attribute<'a>(node: Node<'a, 'a>, name: &str, attribute: &str) -> Option<&'a str> {
    child(node, name)?.attribute(attribute)
}

fn uuid(text: &str) -> Result<uuid::Uuid> {
    let uuid = uuid::Uuid::try_parse(text).ok().filter(|uuid| !uuid.is_nil());
    uuid.ok_or_else(|| malformed(format!("malformed uuid element '{text}'")))
}

/// Current and most memory, in MiB. Less than a MiB counts as one.
fn memory(root: Node) -> Result<(u64, u64)> {
    let mib = |name| child(root, name).map(mebibytes).transpose();
    let most = mib("memory")?.ok_or_else(|| malformed("the domain has no <memory>"))?;
    let now = mib("currentMemory")?.unwrap_or(most);
    // As libvirt has it: more than there may be is all there may be.
    Ok((now.min(most), most))
}

fn mebibytes(node: Node) -> Result<u64> {
    let unit = match node.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "T" | "TiB" => 1u64 << 40,
        other => return Err(malformed(format!("unknown suffix '{other}'"))),
    };
    let digits = node.text().unwrap_or_default().trim();
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    let bytes = bytes.ok_or_else(|| malformed(format!("'{digits}' is no amount of memory")))?;
    Ok(bytes.div_ceil(1 << 20))
}

/// vcpus at start, and at most.
fn vcpus(root: Node) -> Result<(u32, u32)> {
    let number = |text: &str| {
        let number = text.trim().parse::<u32>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| malformed(format!("'{text}' is no number of vcpus")))
    };
    let Some(node) = child(root, "vcpu") else { return Ok((1, 1)) };
    let most = node.text().map_or(Ok(1), number)?;
    let now = node.attribute("current").map(number).transpose()?.unwrap_or(most);
    Ok((now, most))
}

/// Where vcpus may run: all alike by `<vcpu cpuset>`, or each by `<vcpupin>`.
fn cpus(root: Node, vcpus: u32) -> Result<Vec<CpuSet>> {
    let set = |text: &str| CpuSet::parse(text).map_err(malformed);
    let all = attribute(root, "vcpu", "cpuset").map(set).transpose()?;
    let tune = child(root, "cputune").into_iter().flat_map(|tune| tune.children());
    let pins: Vec<Node> = tune.filter(|node| node.has_tag_name("vcpupin")).collect();
    if pins.is_empty() {
        return Ok(all.into_iter().collect());
    }
    let mut each = vec![all.unwrap_or_default(); vcpus.min(512) as usize];
    for pin in pins {
        let vcpu = pin.attribute("vcpu").and_then(|text| text.parse::<usize>().ok());
        let slot = vcpu.and_then(|vcpu| each.get_mut(vcpu));
        let slot = slot.ok_or_else(|| malformed("<vcpupin> names no vcpu of the domain"))?;
        *slot = set(pin.attribute("cpuset").unwrap_or_default())?;
    }
    Ok(each)
}

fn kernel(root: Node, os: Node) -> Result<String> {
    match text(os, "type").as_deref() {
        Some("linux" | "xen") | None => {}
        Some(other) => {
            return Err(Error::unsupported(format!(
                "os type '{other}': guests are paravirtualized, which is 'linux'"
            )));
        }
    }
    if let Some(arch) = attribute(os, "type", "arch").filter(|arch| *arch != "x86_64") {
        return Err(Error::unsupported(format!("architecture '{arch}' is not x86_64")));
    }
    if child(root, "bootloader").is_some() {
        return Err(Error::unsupported(
            "<bootloader>: name the guest's kernel and initrd as files of this host",
        ));
    }
    let kernel = text(os, "kernel").ok_or_else(|| {
        Error::unsupported("no <kernel> is named: guests boot from files of this host")
    })?;
    if !kernel.starts_with('/') {
        return Err(malformed(format!("kernel '{kernel}' is no absolute path")));
    }
    Ok(kernel)
}

/// `root=` stands apart in guest files.
fn command_line(cmdline: Option<String>) -> (Option<String>, Option<String>) {
    let Some(cmdline) = cmdline else { return (None, None) };
    let Some(rest) = cmdline.strip_prefix("root=") else { return (None, Some(cmdline)) };
    let (root, extra) = rest.split_once(' ').unwrap_or((rest, ""));
    (Some(root.to_owned()), Some(extra.to_owned()).filter(|extra| !extra.is_empty()))
}

fn action(root: Node, name: &str, default: Action) -> Result<Action> {
    let Some(word) = text(root, name) else { return Ok(default) };
    word.parse().map_err(|reason: String| Error::unsupported(format!("{name}: {reason}")))
}

fn disk(node: Node) -> Result<Disk> {
    let (backing, source) = match node.attribute("type").unwrap_or("file") {
        "file" => (Backing::File, "file"),
        "block" => (Backing::Phy, "dev"),
        other => return Err(Error::unsupported(format!("disk type '{other}'"))),
    };
    let device = node.attribute("device").unwrap_or("disk");
    if !matches!(device, "disk" | "cdrom") {
        return Err(Error::unsupported(format!("disk device '{device}'")));
    }
    if let Some(format) = attribute(node, "driver", "type").filter(|it| *it != "raw") {
        return Err(Error::unsupported(format!("disk format '{format}', only raw is")));
    }
    let vdev = attribute(node, "target", "dev").ok_or_else(|| malformed("a disk has no target"))?;
    let target = attribute(node, "source", source)
        .ok_or_else(|| Error::unsupported(format!("disk {vdev} has no source")))?;
    if !target.starts_with('/') {
        return Err(malformed(format!("disk source '{target}' is no absolute path")));
    }
    let discard = attribute(node, "driver", "discard").map(|word| word == "unmap");
    Ok(Disk {
        target: target.into(),
        backing,
        vdev: Vdev::parse(vdev).map_err(Error::unsupported)?,
        writable: device != "cdrom" && child(node, "readonly").is_none(),
        shared: child(node, "shareable").is_some(),
        cdrom: device == "cdrom",
        script: attribute(node, "script", "path").map(str::to_owned),
        discard,
    })
}

fn interface(node: Node) -> Result<Vif> {
    let mut vif = Vif::default();
    let mut set = |name: &str, value: Option<&str>| {
        let set = value.map(|value| vif.set(name, value)).transpose();
        set.map(drop).map_err(Error::unsupported)
    };
    // Each bridge of the host is a network of its own name.
    let bridge = match node.attribute("type") {
        Some("bridge") => attribute(node, "source", "bridge"),
        Some("network") => attribute(node, "source", "network"),
        Some("ethernet") => None,
        other => {
            let kind = other.unwrap_or_default();
            return Err(Error::unsupported(format!("interface type '{kind}'")));
        }
    };
    set("bridge", bridge)?;
    set("mac", attribute(node, "mac", "address"))?;
    set("script", attribute(node, "script", "path"))?;
    // Names that begin so are given out anew each time.
    let name = attribute(node, "target", "dev").filter(|name| !name.starts_with("vif"));
    set("vifname", name)?;
    let addresses: Vec<String> = node
        .children()
        .filter(|child| child.has_tag_name("ip"))
        .filter_map(|ip| {
            let address = ip.attribute("address")?;
            let prefix = ip.attribute("prefix").map(|prefix| format!("/{prefix}"));
            Some(address.to_owned() + &prefix.unwrap_or_default())
        })
        .collect();
    set("ip", Some(addresses.join(" ")).as_deref().filter(|ip| !ip.is_empty()))?;
    Ok(vif)
}
