//! A guest as the S-expression that xm sends to xend and `xm create -n` prints.
//!
//! The layout is the historic one, so other clients of xend can create guests as well. What comes
//! in is checked as a file is: the socket is no proof that xm is at its other end.

use std::path::PathBuf;

use crate::rpc::Value;
use crate::sxp::{children, int, list, name, pair, text};

use super::cpus::CpuSet;
use super::disk::Disk;
use super::model::{Action, GuestConfig, Notes, parse_uuid};
use super::vif::Vif;

impl GuestConfig {
    /// `(vm (name ..) .. (image (linux ..)) (device (vbd ..)) ..)`.
    pub fn to_sxp(&self) -> Value {
        let mut members = vec![pair("name", self.name.as_str())];
        members.extend(self.uuid.map(|uuid| pair("uuid", uuid.to_string())));
        members.extend([
            pair("memory", self.memory as i64),
            pair("maxmem", self.maxmem as i64),
            pair("vcpus", i64::from(self.vcpus)),
            pair("maxvcpus", i64::from(self.maxvcpus)),
        ]);
        if !self.cpus.is_empty() {
            members.push(list("cpus", self.cpus.iter().map(|set| set.text().into())));
        }
        members.extend([
            pair("on_poweroff", self.on_poweroff.word()),
            pair("on_reboot", self.on_reboot.word()),
            pair("on_crash", self.on_crash.word()),
            list("image", [self.image()]),
        ]);
        if self.notes != Notes::default() {
            members.push(self.notes.to_sxp());
        }
        let devices = self.disks.iter().map(vbd).chain(self.vifs.iter().map(vif));
        members.extend(devices.map(|device| list("device", [device])));
        list("vm", members)
    }

    fn image(&self) -> Value {
        let optional =
            |name, text: &Option<String>| text.as_ref().map(|text| pair(name, text.as_str()));
        let mut members = vec![pair("kernel", self.kernel.display().to_string())];
        members
            .extend(self.ramdisk.as_ref().map(|path| pair("ramdisk", path.display().to_string())));
        members.extend(optional("root", &self.root));
        members.extend(optional("args", &self.extra));
        list("linux", members)
    }

    /// Reads what [`to_sxp`](Self::to_sxp) writes.
    pub fn from_sxp(sxp: &Value) -> Result<Self, String> {
        if name(sxp) != Some("vm") {
            return Err("the configuration does not begin with 'vm'".to_owned());
        }
        let image = children(sxp, "image").next().ok_or("the configuration has no image")?;
        let image =
            children(image, "linux").next().ok_or("only images of type 'linux' are known")?;
        let memory = count(sxp, "memory")?.unwrap_or(128);
        let vcpus = count(sxp, "vcpus")?.unwrap_or(1);
        let (mut disks, mut vifs) = (Vec::new(), Vec::new());
        for device in children(sxp, "device") {
            disks.extend(children(device, "vbd").map(read_vbd).collect::<Result<Vec<_>, _>>()?);
            vifs.extend(children(device, "vif").map(read_vif).collect::<Result<Vec<_>, _>>()?);
        }
        let config = Self {
            name: checked(sxp, "name")?.unwrap_or_default(),
            uuid: text(sxp, "uuid").map(|text| parse_uuid(&text)).transpose()?,
            memory,
            maxmem: count(sxp, "maxmem")?.unwrap_or(memory),
            vcpus: narrow(vcpus),
            maxvcpus: narrow(count(sxp, "maxvcpus")?.unwrap_or(vcpus)),
            cpus: cpus(sxp)?,
            kernel: path(image, "kernel")?.ok_or("the image has no kernel")?,
            ramdisk: path(image, "ramdisk")?,
            root: checked(image, "root")?,
            extra: checked(image, "args")?,
            disks,
            vifs,
            on_poweroff: action(sxp, "on_poweroff")?.unwrap_or(Action::Destroy),
            on_reboot: action(sxp, "on_reboot")?.unwrap_or(Action::Restart),
            on_crash: action(sxp, "on_crash")?.unwrap_or(Action::Restart),
            notes: children(sxp, "notes").next().map(Notes::from_sxp).unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }
}

impl Notes {
    /// `(notes (title ..) (description ..) (metadata ..))`.
    pub fn to_sxp(&self) -> Value {
        let named = self.named().into_iter();
        let present = named.filter_map(|(name, note)| Some(pair(name, note.as_deref()?)));
        list("notes", present)
    }

    /// Reads what [`to_sxp`](Self::to_sxp) writes.
    pub fn from_sxp(sxp: &Value) -> Self {
        let note = |name| text(sxp, name).filter(|note| !note.is_empty());
        Self { title: note("title"), description: note("description"), metadata: note("metadata") }
    }
}

/// `(vbd (uname file:/path) (dev xvda) (mode w))`.
pub fn vbd(disk: &Disk) -> Value {
    let kind = if disk.cdrom { ":cdrom" } else { "" };
    let mut members = vec![
        pair("uname", disk.uname()),
        pair("dev", format!("{}{kind}", disk.vdev.name)),
        pair("mode", disk.mode()),
    ];
    members.extend(disk.script.as_ref().map(|script| pair("script", script.as_str())));
    members.extend(disk.discard.map(|discard| pair("discard", i64::from(discard))));
    list("vbd", members)
}

/// `(vif (mac ..) (bridge ..))`.
pub fn vif(vif: &Vif) -> Value {
    let mac = vif.mac.map(|mac| mac.to_string());
    let named = [
        ("mac", &mac),
        ("bridge", &vif.bridge),
        ("vifname", &vif.vifname),
        ("ip", &vif.ip),
        ("script", &vif.script),
    ];
    let present = named.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?)));
    list("vif", present.map(|(name, text)| pair(name, text)))
}

/// A device that a guest is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewDevice {
    /// A disk.
    Disk(Disk),
    /// A network interface.
    Vif(Vif),
}

/// Reads `(vbd ..)` or `(vif ..)`.
pub fn device_from_sxp(sxp: &Value) -> Result<NewDevice, String> {
    match name(sxp) {
        Some("vbd") => read_vbd(sxp).map(NewDevice::Disk),
        Some("vif") => read_vif(sxp).map(NewDevice::Vif),
        _ => Err("a device is either a vbd or a vif".to_owned()),
    }
}

/// xm's own spelling of a disk is a string of the file's syntax; it is read as such, except that
/// a path may hold commas, so that it goes last and by name.
fn read_vbd(sxp: &Value) -> Result<Disk, String> {
    let field = |name| text(sxp, name).unwrap_or_default();
    let uname = field("uname");
    for name in ["dev", "mode", "script"] {
        if field(name).contains(',') {
            return Err(format!("vbd: '{name}' holds a comma"));
        }
    }
    let prefix = ["phy:", "file:", "raw:"].into_iter().find(|prefix| uname.starts_with(prefix));
    let prefix =
        prefix.ok_or_else(|| format!("vbd: '{uname}' begins with neither phy: nor file:"))?;
    let discard = match int(sxp, "discard") {
        None => "",
        Some(0) => "no-discard,",
        Some(_) => "discard,",
    };
    let spec = format!(
        "{prefix}vdev={},access={},script={},{discard}target={}",
        field("dev"),
        field("mode"),
        field("script"),
        &uname[prefix.len()..],
    );
    Disk::parse(&spec).map_err(|reason| format!("vbd {uname}: {reason}"))
}

fn read_vif(sxp: &Value) -> Result<Vif, String> {
    let mut vif = Vif::default();
    for member in sxp.as_array().unwrap_or_default().iter().skip(1) {
        let name = name(member).ok_or("vif: a member has no name")?;
        let value = text(sxp, name).unwrap_or_default();
        vif.set(name, &value).map_err(|reason| format!("vif: {reason}"))?;
    }
    Ok(vif)
}

fn checked(sxp: &Value, name: &str) -> Result<Option<String>, String> {
    let Some(text) = text(sxp, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    super::check_text(name, &text)?;
    Ok(Some(text))
}

fn path(sxp: &Value, name: &str) -> Result<Option<PathBuf>, String> {
    let path = checked(sxp, name)?.map(PathBuf::from);
    match path {
        Some(path) if !path.is_absolute() => {
            Err(format!("{name} '{}' is no absolute path", path.display()))
        }
        path => Ok(path),
    }
}

fn count(sxp: &Value, name: &str) -> Result<Option<u64>, String> {
    if children(sxp, name).next().is_none() {
        return Ok(None);
    }
    let count = int(sxp, name).and_then(|int| u64::try_from(int).ok());
    count.map(Some).ok_or_else(|| format!("{name} is no number"))
}

/// What doesn't fit is too large for the check that follows.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn action(sxp: &Value, name: &str) -> Result<Option<Action>, String> {
    let action = text(sxp, name).map(|word| word.parse());
    action.transpose().map_err(|reason: String| format!("{name}: {reason}"))
}

fn cpus(sxp: &Value) -> Result<Vec<CpuSet>, String> {
    let Some(member) = children(sxp, "cpus").next() else { return Ok(Vec::new()) };
    let sets = member.as_array().unwrap_or_default().iter().skip(1);
    sets.map(|set| CpuSet::parse(set.as_str().ok_or("cpus holds no text")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};
    use proptest::prelude::*;

    fn guest(text: &str) -> GuestConfig {
        parse(text, Source::CommandLine, &[], "juliet", std::path::Path::new("/")).unwrap().0
    }

    #[test]
    fn it_is_what_xm_always_sent() {
        let guest = guest(
            "kernel='/k'; root='/dev/sda1 ro'; extra='quiet'; disk=['phy:/dev/x,sda1,w']\n\
             vif=['bridge=xenbr0']",
        );
        let text = crate::sxp::pretty(&guest.to_sxp());
        assert!(text.starts_with("(vm\n    (name juliet)\n    (memory 128)\n"), "{text}");
        assert!(text.contains(
            "    (image\n        (linux\n            (kernel /k)\n            \
             (root '/dev/sda1 ro')\n            (args quiet)\n        )\n    )\n    (device\n        \
             (vbd\n            (uname phy:/dev/x)\n            (dev sda1)\n            (mode w)\n"
        ), "{text}");
    }

    #[test]
    fn what_comes_in_is_checked() {
        let image = || list("image", [list("linux", [pair("kernel", "/k")])]);
        let refused =
            |members: Vec<Value>| GuestConfig::from_sxp(&list("vm", members)).unwrap_err();
        assert!(GuestConfig::from_sxp(&Value::Nil).is_err());
        assert!(refused(vec![pair("name", "a")]).contains("no image"));
        assert!(refused(vec![image()]).contains("name"));
        assert!(refused(vec![pair("name", "a/b"), image()]).contains("character"));
        assert!(refused(vec![pair("name", "a"), pair("memory", -1), image()]).contains("memory"));
        let vbd = list("vbd", [pair("uname", "file:/x"), pair("dev", "xvda,w"), pair("mode", "w")]);
        let device = list("device", [vbd]);
        assert!(refused(vec![pair("name", "a"), image(), device]).contains("comma"));
        let hvm = list("image", [list("hvm", [pair("kernel", "/k")])]);
        assert!(refused(vec![pair("name", "a"), hvm]).contains("linux"));
    }

    fn any_sxp() -> impl Strategy<Value = Value> {
        let word = "name|vm|image|linux|kernel|memory|device|vbd|vif|uname|dev|mac|cpus|/k|7|xvda";
        let leaf = prop_oneof![word.prop_map(Value::Str), any::<i64>().prop_map(Value::Int)];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop::collection::vec(inner, 0..6).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn a_guest_comes_through(
            memory in 1u64..99999,
            vcpus in 1u32..9,
            path in "/[a-z,=:%. ]{1,12}x",
            mode in prop_oneof![Just("w"), Just("r"), Just("w!")],
            rest in prop::sample::select(vec!["", "cpus='0-3'", "ramdisk='/r'", "cmdline='a b'", "title='t'"]),
        ) {
            let text = format!(
                "kernel='/k'; memory={memory}; vcpus={vcpus}; {rest}\n\
                 disk=['vdev=hda,access={mode},target={path}', '/iso,,hdc,cdrom,no-discard,script=s']\n\
                 vif=['', 'mac=00:16:3e:00:00:01,ip=10.0.0.2,vifname=v,script=s,bridge=b']"
            );
            let guest = guest(&text);
            prop_assert_eq!(GuestConfig::from_sxp(&guest.to_sxp()).unwrap(), guest);
        }

        #[test]
        fn nothing_that_comes_in_makes_it_panic(sxp in any_sxp()) {
            let _ = GuestConfig::from_sxp(&sxp);
        }
    }
}
