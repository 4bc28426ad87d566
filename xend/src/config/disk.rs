//! One member of `disk = [...]`, in xm's form or in xl's.
//!
//! xm: `phy:DEVICE,VDEV[:cdrom],MODE` and `file:PATH,VDEV,MODE`. xl: positional
//! `TARGET,FORMAT,VDEV,ACCESS` with named parameters in any place (xl-disk-configuration(5)). A
//! prefix settles the format, so what follows it is the vdev; then the two forms are one grammar.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::vdev::Vdev;

/// What serves a disk's data in the control domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// A block device.
    Phy,
    /// A file, through a loop device.
    File,
    /// Either; whatever the path turns out to be.
    Auto,
}

impl Backing {
    fn prefix(self) -> &'static str {
        match self {
            Self::Phy => "phy:",
            Self::File => "file:",
            Self::Auto => "raw:",
        }
    }
}

/// A disk of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Block device or image file; absolute.
    pub target: PathBuf,
    /// What serves it.
    pub backing: Backing,
    /// What the guest calls it.
    pub vdev: Vdev,
    /// Whether the guest may write.
    pub writable: bool,
    /// Whether the guest may write although others use it too (`w!`).
    pub shared: bool,
    /// Whether it is a CD.
    pub cdrom: bool,
    /// The hotplug script, if not the usual one.
    pub script: Option<String>,
    /// Whether the guest may discard blocks; if not said, when it may write.
    pub discard: Option<bool>,
}

impl Disk {
    /// The disk as xm writes it in `uname`: `file:/path`.
    pub fn uname(&self) -> String {
        format!("{}{}", self.backing.prefix(), self.target.display())
    }

    /// The mode as xm writes it.
    pub fn mode(&self) -> &'static str {
        match (self.writable, self.shared) {
            (true, false) => "w",
            (true, true) => "w!",
            (false, false) => "r",
            (false, true) => "r!",
        }
    }

    /// Reads one disk.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fields = Fields::default();
        let mut rest = fields.prefix(text.trim_start())?;
        loop {
            rest = rest.trim_start();
            // A named target takes the whole rest, commas included.
            if let Some(target) = rest.strip_prefix("target=") {
                fields.name("target", target)?;
                break;
            }
            let (parameter, more) = match rest.split_once(',') {
                Some((parameter, more)) => (parameter, Some(more)),
                None => (rest, None),
            };
            fields.parameter(parameter.trim_end())?;
            match more {
                Some(more) => rest = more,
                None => break,
            }
        }
        fields.finish()
    }
}

/// What was said so far. `None` is "not yet", an empty string is "leave the default".
#[derive(Default)]
struct Fields {
    backing: Option<Backing>,
    positional: usize,
    target: Option<String>,
    format: Option<String>,
    vdev: Option<String>,
    access: Option<String>,
    backend: Option<String>,
    cdrom: bool,
    script: Option<String>,
    discard: Option<bool>,
}

impl Fields {
    /// Takes off `phy:` and its kin.
    fn prefix<'t>(&mut self, text: &'t str) -> Result<&'t str, String> {
        const PREFIXES: [Backing; 3] = [Backing::Phy, Backing::File, Backing::Auto];
        for backing in PREFIXES {
            if let Some(rest) = text.strip_prefix(backing.prefix()) {
                self.backing = Some(backing);
                self.format = Some("raw".to_owned());
                return Ok(rest);
            }
        }
        let prefix = text.split_once(':').map_or("", |(prefix, _)| prefix);
        match prefix {
            "tap" | "tap2" | "aio" | "qcow" | "qcow2" | "vhd" | "qed" | "iscsi" | "drbd" => {
                Err(format!(
                    "disks of type '{prefix}:' are not supported; use 'phy:' for a block device \
                     or 'file:' for a raw image"
                ))
            }
            _ => Ok(text),
        }
    }

    fn parameter(&mut self, parameter: &str) -> Result<(), String> {
        if let Some((name, value)) = parameter.split_once('=') {
            return self.name(name.trim(), value.trim());
        }
        match parameter {
            "cdrom" => self.cdrom = true,
            "discard" => self.discard = Some(true),
            "no-discard" => self.discard = Some(false),
            // A property of qemu's disks; the kernel's backend has nothing to be told.
            "direct-io-safe" => {}
            value => return self.position(value),
        }
        Ok(())
    }

    /// The next positional parameter that isn't settled yet.
    fn position(&mut self, value: &str) -> Result<(), String> {
        const ORDER: [&str; 5] = ["target", "format", "vdev", "access", "backend"];
        while let Some(name) = ORDER.get(self.positional) {
            self.positional += 1;
            if self.slot(name).is_some_and(|slot| slot.is_none()) {
                return self.name(name, value);
            }
        }
        Err(format!("'{value}' is one parameter too many"))
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "target" => &mut self.target,
            "format" => &mut self.format,
            "vdev" => &mut self.vdev,
            "access" => &mut self.access,
            "backend" => &mut self.backend,
            "script" => &mut self.script,
            _ => return None,
        })
    }

    fn name(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(slot) = self.slot(name) {
            if slot.replace(value.to_owned()).is_some_and(|old| !old.is_empty()) {
                return Err(format!("'{name}' is given twice"));
            }
            return Ok(());
        }
        match (name, value) {
            ("devtype", "cdrom") => self.cdrom = true,
            ("devtype", "disk" | "") | ("backendtype", "phy" | "") => {}
            ("devtype" | "backendtype", _) => {
                return Err(format!("'{name}={value}' is not supported"));
            }
            _ => return Err(format!("'{name}' is no parameter of a disk")),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Disk, String> {
        let format = self.format.unwrap_or_default();
        if !matches!(format.as_str(), "" | "raw") {
            return Err(format!("format '{format}' is not supported, only 'raw' is"));
        }
        match self.backend.as_deref() {
            None | Some("" | "0" | "Domain-0") => {}
            Some(other) => return Err(format!("backend '{other}' is not the control domain")),
        }
        let vdev = self
            .vdev
            .filter(|vdev| !vdev.is_empty())
            .ok_or("it does not say what the guest calls the disk, as in 'file:/path,xvda,w'")?;
        let vdev = match vdev.rsplit_once(':') {
            Some((vdev, "cdrom")) => {
                self.cdrom = true;
                vdev
            }
            Some((vdev, "disk")) => vdev,
            Some((_, other)) => return Err(format!("':{other}' is no type of disk")),
            None => vdev.as_str(),
        };
        let vdev = Vdev::parse(vdev)?;
        let (writable, shared) = access(self.access.as_deref().unwrap_or(""), self.cdrom)?;
        let target = target_path(self.target.as_deref().unwrap_or(""))?;
        let script = self.script.filter(|script| !script.is_empty());
        if let Some(script) = &script {
            super::check_text("script", script)?;
        }
        Ok(Disk {
            target,
            backing: self.backing.unwrap_or(Backing::Auto),
            vdev,
            writable,
            shared,
            cdrom: self.cdrom,
            script,
            discard: self.discard,
        })
    }
}

fn access(mode: &str, cdrom: bool) -> Result<(bool, bool), String> {
    match mode {
        "" => Ok((!cdrom, false)),
        "r" | "ro" => Ok((false, false)),
        "r!" => Ok((false, true)),
        "w" | "rw" => Ok((true, false)),
        "w!" => Ok((true, true)),
        _ => Err(format!("mode '{mode}' is neither 'r' nor 'w'")),
    }
}

fn target_path(target: &str) -> Result<PathBuf, String> {
    if target.is_empty() {
        return Err("it names no device or file".to_owned());
    }
    super::check_text("the path", target)?;
    // Without a slash it is a device, as xm and xl both have it.
    Ok(if target.starts_with('/') { target.into() } else { format!("/dev/{target}").into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn disk(text: &str) -> Disk {
        Disk::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        Disk::parse(text).unwrap_err()
    }

    #[test]
    fn what_xm_users_write() {
        let it = disk("file:/export/home/xen/solaris.img,sda1,w");
        assert_eq!(it.target, PathBuf::from("/export/home/xen/solaris.img"));
        assert_eq!((it.backing, it.writable, it.cdrom), (Backing::File, true, false));
        assert_eq!(it.vdev.number, 0x801);
        let it = disk("phy:/dev/zvol/dsk/guests/ecalus,0,w");
        assert_eq!((it.vdev.number, it.backing), (0, Backing::Phy));
        let it = disk("file:/root/os200805.iso,6:cdrom,r");
        assert_eq!((it.vdev.number, it.cdrom, it.writable), (6, true, false));
        assert_eq!(
            disk("phy:verona/rosaline,xvda,w").target,
            PathBuf::from("/dev/verona/rosaline")
        );
        assert_eq!(disk("phy:/dev/x,xvda,w!").mode(), "w!");
        assert_eq!(disk("phy:/dev/x,hda,r,0").mode(), "r");
    }

    #[test]
    fn what_xl_users_write() {
        let plain = disk("/dev/vg/guest-volume,,hda");
        assert_eq!((plain.backing, plain.writable), (Backing::Auto, true));
        for text in [
            "/dev/vg/guest-volume,raw,hda,rw",
            "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
            "raw:/dev/vg/guest-volume,hda,w",
            " /dev/vg/guest-volume , , hda , backendtype=phy",
        ] {
            assert_eq!(disk(text), plain, "{text}");
        }
        let cd = disk("/root/image.iso,,hdc,cdrom");
        assert!(cd.cdrom && !cd.writable);
        for text in [
            "/root/image.iso,,hdc,,cdrom",
            "/root/image.iso,raw,hdc,devtype=cdrom",
            "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
            "raw:/root/image.iso,hdc:cdrom,ro",
        ] {
            assert_eq!(disk(text), cd, "{text}");
        }
        let odd = disk("vdev=xvda,no-discard,script=block-x,target=/a,b=c ");
        assert_eq!(odd.target, PathBuf::from("/a,b=c "));
        assert_eq!((odd.discard, odd.script.as_deref()), (Some(false), Some("block-x")));
    }

    #[test]
    fn refusals_say_why() {
        assert!(refused("tap:aio:/x,xvda,w").contains("'tap:' are not supported"));
        assert!(refused("/x,qcow2,xvda").contains("'qcow2' is not supported"));
        assert!(refused("file:/x").contains("does not say what the guest calls"));
        assert!(refused("").contains("does not say"));
        assert!(refused("file:/x,foo,w").contains("'foo' is no disk"));
        assert!(refused("file:/x,xvda,rwx").contains("mode 'rwx'"));
        assert!(refused("file:,xvda,w").contains("names no device or file"));
        assert!(refused("phy:/x,xvda,w,driver").contains("not the control domain"));
        assert!(refused("file:/x,xvda,w,,more").contains("too many"));
        assert!(refused("/x,vdev=xvda,vdev=xvdb").contains("given twice"));
        assert!(refused("/x,,xvda,backendtype=qdisk").contains("not supported"));
        assert!(refused("/x,,xvda,speed=9").contains("'speed' is no parameter"));
        assert!(refused("file:/x,hda:floppy,w").contains("':floppy'"));
        assert!(refused("file:/x\0,xvda,w").contains("unprintable"));
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC*|[a-z:/,=! ]*") {
            let _ = Disk::parse(&text);
        }

        #[test]
        fn a_disk_written_as_xm_does_reads_back(
            path in "/[a-z]{1,8}(/[a-z0-9._-]{1,8}){0,3}",
            backing in prop_oneof![Just("file:"), Just("phy:")],
            mode in prop_oneof![Just("w"), Just("r"), Just("w!")],
        ) {
            let it = disk(&format!("{backing}{path},xvdb,{mode}"));
            prop_assert_eq!(disk(&format!("{},{},{}", it.uname(), it.vdev.name, it.mode())), it);
        }
    }
}
