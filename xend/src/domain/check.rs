//! What can be known to be wrong before anything is made: files, bridges, memory.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::devices::bridge_of;
use crate::config::{Backing, Disk, GuestConfig, Vif};
use crate::settings::Settings;

/// What the hypervisor needs for a domain besides the guest's own memory, in KiB.
const OVERHEAD_KIB: u64 = 4 << 10;

/// The interface script whose needs are known here.
const VIF_BRIDGE: &str = "vif-bridge";

/// Checks that the guest's files can be used, and settles what serves each disk.
pub fn files(config: &mut GuestConfig) -> Result<(), String> {
    plain_file("kernel", &config.kernel)?;
    if let Some(ramdisk) = &config.ramdisk {
        plain_file("ramdisk", ramdisk)?;
    }
    config.disks.iter_mut().try_for_each(disk)
}

fn metadata(what: &str, path: &Path) -> Result<Metadata, String> {
    fs::metadata(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "it does not exist".to_owned(),
            _ => error.to_string(),
        };
        format!("{what} {}: {reason}", path.display())
    })
}

fn plain_file(what: &str, path: &Path) -> Result<(), String> {
    if metadata(what, path)?.is_file() {
        return Ok(());
    }
    Err(format!("{what} {}: it is no plain file", path.display()))
}

fn disk(disk: &mut Disk) -> Result<(), String> {
    // A disk with a script of its own need not be a path at all.
    if disk.script.is_some() {
        return Ok(());
    }
    let kind = metadata("disk", &disk.target)?.file_type();
    let target = disk.target.display();
    disk.backing = match disk.backing {
        Backing::File if kind.is_block_device() => {
            return Err(format!("disk {target}: it is a block device; use phy:{target}"));
        }
        Backing::Phy if kind.is_file() => {
            return Err(format!("disk {target}: it is a file; use file:{target}"));
        }
        _ if kind.is_block_device() => Backing::Phy,
        _ if kind.is_file() => Backing::File,
        _ => return Err(format!("disk {target}: it is neither a block device nor a file")),
    };
    Ok(())
}

/// Checks the guest's interfaces against those of the host, which `net` (`/sys/class/net`) lists.
pub fn interfaces(config: &GuestConfig, settings: &Settings, net: &Path) -> Result<(), String> {
    config.vifs.iter().try_for_each(|vif| interface(vif, settings, net))
}

/// Checks one interface.
pub fn interface(vif: &Vif, settings: &Settings, net: &Path) -> Result<(), String> {
    let script = vif.script.as_deref().unwrap_or(&settings.vif_script);
    let bridge = bridge_of(vif, settings);
    if script == VIF_BRIDGE && !net.join(bridge).join("bridge").exists() {
        return Err(match net.join(bridge).exists() {
            true => format!("vif: {bridge} is an interface of this host, but no bridge"),
            false => format!("vif: there is no bridge {bridge} on this host"),
        });
    }
    match &vif.vifname {
        Some(name) if net.join(name).exists() => {
            Err(format!("vif: this host has an interface {name} already"))
        }
        _ => Ok(()),
    }
}

/// Checks that there is memory for the guest.
pub fn memory(config: &GuestConfig, free_kib: u64) -> Result<(), String> {
    let need_kib = config.memory * 1024 + OVERHEAD_KIB;
    if need_kib <= free_kib {
        return Ok(());
    }
    let (need, free) = (need_kib.div_ceil(1024), free_kib / 1024);
    Err(format!("not enough free memory: need {need} MiB, {free} MiB free"))
}

/// Checks that no disk of `config` is another guest's at the same time, unless both only read it
/// or both say that they share it.
pub fn disks_apart(config: &GuestConfig, other: &GuestConfig) -> Result<(), String> {
    for (mine, theirs) in config.disks.iter().flat_map(|m| other.disks.iter().map(move |t| (m, t)))
    {
        let harmless = (!mine.writable && !theirs.writable) || (mine.shared && theirs.shared);
        if !harmless && same_file(&mine.target, &theirs.target) {
            return Err(format!(
                "disk {}: guest {} uses it; sharing for writing takes mode 'w!' in both",
                mine.target.display(),
                other.name
            ));
        }
    }
    Ok(())
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real =
        |path: &Path| -> PathBuf { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) };
    real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};
    use tempfile::TempDir;

    fn config(dir: &TempDir, text: &str) -> GuestConfig {
        let text = format!("kernel='k'; {text}");
        parse(&text, Source::CommandLine, &[], "juliet", dir.path()).unwrap().0
    }

    fn place() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in ["k", "a.img"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        fs::create_dir_all(dir.path().join("net/xenbr0/bridge")).unwrap();
        fs::create_dir_all(dir.path().join("net/eth0")).unwrap();
        dir
    }

    #[test]
    fn files_must_be_there_and_of_the_right_kind() {
        let dir = place();
        let at = dir.path().display();
        let check = |text: &str| files(&mut config(&dir, text));
        assert_eq!(check(&format!("disk=['file:{at}/a.img,xvda,w']")), Ok(()));
        assert_eq!(
            check(&format!("disk=['file:{at}/b.img,xvda,w']")),
            Err(format!("disk {at}/b.img: it does not exist"))
        );
        assert!(
            check(&format!("disk=['phy:{at}/a.img,xvda,w']")).unwrap_err().contains("use file:")
        );
        assert!(check(&format!("disk=['{at}/net,,xvda']")).unwrap_err().contains("neither"));
        assert!(check("ramdisk='missing'").unwrap_err().contains("ramdisk"));
        assert!(check("ramdisk='net'").unwrap_err().contains("no plain file"));
        let mut auto = config(&dir, &format!("disk=['{at}/a.img,,xvda']"));
        files(&mut auto).unwrap();
        assert_eq!(auto.disks[0].backing, Backing::File);
    }

    #[test]
    fn bridges_must_be_there() {
        let dir = place();
        let check = |text: &str| {
            interfaces(&config(&dir, text), &Settings::default(), &dir.path().join("net"))
        };
        assert_eq!(check("vif=['']"), Ok(()));
        assert_eq!(check("vif=['bridge=eth0,script=mine']"), Ok(()));
        assert!(check("vif=['bridge=xenbr9']").unwrap_err().contains("no bridge xenbr9"));
        assert!(check("vif=['bridge=eth0']").unwrap_err().contains("but no bridge"));
        assert!(check("vif=['vifname=eth0']").unwrap_err().contains("already"));
    }

    #[test]
    fn memory_must_be_to_be_had() {
        let dir = place();
        let config = config(&dir, "memory=512");
        assert_eq!(memory(&config, 600 << 10), Ok(()));
        assert_eq!(
            memory(&config, 100 << 10),
            Err("not enough free memory: need 516 MiB, 100 MiB free".to_owned())
        );
    }

    #[test]
    fn two_guests_do_not_write_to_one_disk() {
        let dir = place();
        let at = dir.path().display();
        let with = |mode: &str| config(&dir, &format!("disk=['file:{at}/a.img,xvda,{mode}']"));
        assert!(disks_apart(&with("w"), &with("r")).unwrap_err().contains("guest juliet uses it"));
        assert_eq!(disks_apart(&with("r"), &with("r")), Ok(()));
        assert_eq!(disks_apart(&with("w!"), &with("w!")), Ok(()));
        assert!(disks_apart(&with("w!"), &with("w")).is_err());
    }
}
