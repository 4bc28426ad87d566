//! A guest as a file that xm and xl read, and so does this crate.

use std::fmt::Write as _;

use super::disk::{Backing, Disk};
use super::model::GuestConfig;
use super::vif::Vif;

impl GuestConfig {
    /// The guest's file. What has its default is not written.
    pub fn to_file(&self) -> String {
        let mut file = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(file, "{name} = {value}");
        };
        line("name", quoted(&self.name));
        if let Some(uuid) = self.uuid {
            line("uuid", quoted(&uuid.to_string()));
        }
        line("memory", self.memory.to_string());
        if self.maxmem != self.memory {
            line("maxmem", self.maxmem.to_string());
        }
        line("vcpus", self.vcpus.to_string());
        if self.maxvcpus != self.vcpus {
            line("maxvcpus", self.maxvcpus.to_string());
        }
        match self.cpus.as_slice() {
            [] => {}
            [all] => line("cpus", quoted(&all.text())),
            each => line("cpus", list(each.iter().map(|set| set.text()))),
        }
        line("kernel", quoted(&self.kernel.display().to_string()));
        let ramdisk = self.ramdisk.as_ref().map(|path| path.display().to_string());
        for (name, text) in [("ramdisk", &ramdisk), ("root", &self.root), ("extra", &self.extra)] {
            if let Some(text) = text {
                line(name, quoted(text));
            }
        }
        line("disk", list(self.disks.iter().map(disk)));
        line("vif", list(self.vifs.iter().map(vif)));
        line("on_poweroff", quoted(self.on_poweroff.word()));
        line("on_reboot", quoted(self.on_reboot.word()));
        line("on_crash", quoted(self.on_crash.word()));
        for (name, note) in self.notes.named() {
            if let Some(note) = note {
                line(name, quoted(note));
            }
        }
        file
    }
}

fn list(members: impl Iterator<Item = String>) -> String {
    let members: Vec<String> = members.map(|member| quoted(&member)).collect();
    format!("[{}]", members.join(", "))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for char in text.chars() {
        match char {
            '\\' | '\'' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(char),
        }
    }
    quoted.push('\'');
    quoted
}

/// xm's form where it can say it, else xl's by names, of which the target takes the whole rest.
fn disk(disk: &Disk) -> String {
    let target = disk.target.display().to_string();
    let plain = disk.script.is_none() && disk.discard.is_none() && !target.contains(',');
    let clear = target.trim() == target && disk.backing != Backing::Auto;
    if plain && clear {
        let kind = if disk.cdrom { ":cdrom" } else { "" };
        return format!("{},{}{kind},{}", disk.uname(), disk.vdev.name, disk.mode());
    }
    let mut text = match disk.backing {
        Backing::Phy => "phy:".to_owned(),
        Backing::File => "file:".to_owned(),
        Backing::Auto => String::new(),
    };
    let _ = write!(text, "vdev={},access={}", disk.vdev.name, disk.mode());
    if disk.cdrom {
        text.push_str(",cdrom");
    }
    if let Some(script) = &disk.script {
        let _ = write!(text, ",script={script}");
    }
    if let Some(discard) = disk.discard {
        text.push_str(if discard { ",discard" } else { ",no-discard" });
    }
    let _ = write!(text, ",target={target}");
    text
}

fn vif(vif: &Vif) -> String {
    let mac = vif.mac.map(|mac| mac.to_string());
    let named = [
        ("mac", &mac),
        ("bridge", &vif.bridge),
        ("vifname", &vif.vifname),
        ("ip", &vif.ip),
        ("script", &vif.script),
    ];
    let set =
        named.into_iter().filter_map(|(name, text)| Some(format!("{name}={}", text.as_ref()?)));
    set.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};
    use proptest::prelude::*;
    use std::path::Path;

    fn read(text: &str) -> GuestConfig {
        let (guest, warnings) = parse(text, Source::CommandLine, &[], "x", Path::new("/")).unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{text}");
        guest
    }

    #[test]
    fn it_reads_as_an_administrator_would_write_it() {
        let guest = read(
            "name='juliet'; kernel='/k'; root='/dev/xvda ro'; extra=\"a='b'\"\n\
             disk=['file:/d.img,xvda,w']; vif=['bridge=xenbr0']",
        );
        let file = guest.to_file();
        assert!(file.starts_with("name = 'juliet'\nmemory = 128\nvcpus = 1\nkernel = '/k'\n"));
        assert!(file.contains("extra = 'a=\\'b\\''\ndisk = ['file:/d.img,xvda,w']\n"), "{file}");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_guest(
            memory in 1u64..9999,
            more in 0u64..99,
            path in "/[a-z,=:%.\\\\ ]{1,12}x",
            mode in prop_oneof![Just("w"), Just("r"), Just("w!")],
            extra in "[ -~]{0,20}",
            rest in prop::sample::select(vec![
                "", "cpus='0-3,^1'", "ramdisk='/r'", "vcpus=2;cpus=['0','1']", "maxvcpus=4",
                "uuid='00000000-0000-0000-0000-000000000001'", "on_crash='preserve'",
                "title='a b'; description='\\'one\\'\\n\\ttwo\\\\n'; metadata='<a b=\"c\"/>'",
            ]),
            disk in prop::sample::select(vec!["", "cdrom,", "no-discard,", "script=s,"]),
        ) {
            let extra = extra.replace('\\', "\\\\").replace('"', "\\\"");
            let path = path.replace('\\', "\\\\");
            let guest = read(&format!(
                "kernel='/k'; memory={memory}; maxmem={}; extra=\"{extra}\"; {rest}\n\
                 disk=['vdev=xvda,access={mode},{disk}target={path}', 'phy:/dev/x,hda:cdrom,r']\n\
                 vif=['', 'mac=00:16:3e:00:00:01,ip=10.0.0.2,vifname=v,script=s,bridge=b']",
                memory + more,
            ));
            prop_assert_eq!(read(&guest.to_file()), guest);
        }
    }
}
