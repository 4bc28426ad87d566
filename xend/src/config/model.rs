//! What a guest is: the settings of its file, checked.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cpus::CpuSet;
use super::disk::Disk;
use super::error::ConfigError;
use super::reader::{Reader, Sourced};
use super::value::Value;
use super::vif::Vif;

/// What becomes of a domain that stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is cleaned away.
    Destroy,
    /// It is cleaned away and made anew.
    Restart,
    /// It stays as it is until somebody destroys it.
    Preserve,
    /// It stays under another name, and is made anew under its own.
    RenameRestart,
}

impl Action {
    /// The word for it in a guest file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Destroy => "destroy",
            Self::Restart => "restart",
            Self::Preserve => "preserve",
            Self::RenameRestart => "rename-restart",
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "destroy" => Ok(Self::Destroy),
            "restart" => Ok(Self::Restart),
            "preserve" => Ok(Self::Preserve),
            "rename-restart" => Ok(Self::RenameRestart),
            "coredump-destroy" | "coredump-restart" => {
                Err(format!("'{word}' is not supported: no core files are written"))
            }
            _ => Err(format!("'{word}' is none of destroy, restart, preserve, rename-restart")),
        }
    }
}

/// A guest's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestConfig {
    /// Its name, unique among the guests.
    pub name: String,
    /// Its identity; made up when it is first created.
    pub uuid: Option<Uuid>,
    /// Memory at start, in MiB.
    pub memory: u64,
    /// The most memory it may ever have, in MiB.
    pub maxmem: u64,
    /// Processors at start.
    pub vcpus: u32,
    /// The most processors it may ever have.
    pub maxvcpus: u32,
    /// Where its processors may run: nothing said, one set for all, or one set each.
    pub cpus: Vec<CpuSet>,
    /// The kernel's file; absolute.
    pub kernel: PathBuf,
    /// The initial ramdisk's file; absolute.
    pub ramdisk: Option<PathBuf>,
    /// The root device, as the kernel is told by `root=`.
    pub root: Option<String>,
    /// The rest of the kernel's command line.
    pub extra: Option<String>,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub vifs: Vec<Vif>,
    /// What becomes of it when it powers off.
    pub on_poweroff: Action,
    /// What becomes of it when it asks for a reboot.
    pub on_reboot: Action,
    /// What becomes of it when it crashes.
    pub on_crash: Action,
    /// What is said of it.
    #[serde(default)]
    pub notes: Notes,
}

/// What people and management tools say of a guest. Nothing here goes by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notes {
    /// A short name, one line.
    pub title: Option<String>,
    /// A text.
    pub description: Option<String>,
    /// XML elements of management tools.
    pub metadata: Option<String>,
}

impl Notes {
    /// Each by its name in a guest file.
    pub fn named(&self) -> [(&'static str, &Option<String>); 3] {
        let Self { title, description, metadata } = self;
        [("title", title), ("description", description), ("metadata", metadata)]
    }

    /// Checks that the notes can be kept.
    pub fn check(&self) -> Result<(), String> {
        if self.title.as_ref().is_some_and(|title| title.contains('\n')) {
            return Err("title has more than one line".to_owned());
        }
        self.named().into_iter().try_for_each(|(name, note)| match note {
            Some(note) => check_note(name, note),
            None => Ok(()),
        })
    }
}

/// The longest note, in bytes.
const MAX_NOTE: usize = 64 << 10;

fn check_note(name: &str, note: &str) -> Result<(), String> {
    if note.len() > MAX_NOTE {
        return Err(format!("{name} is longer than {MAX_NOTE} bytes"));
    }
    match note.chars().find(|char| char.is_control() && !"\n\t\r".contains(*char)) {
        Some(char) => Err(format!("{name} contains an unprintable character, {char:?}")),
        None => Ok(()),
    }
}

/// The most memory that can be asked for, in MiB: 16 TiB, where a PV guest's address space ends.
const MAX_MEMORY: u64 = 16 << 20;
/// The most processors that can be asked for.
const MAX_VCPUS: u64 = 512;
/// `MAX_GUEST_CMDLINE` of xen.h, without the NUL.
const MAX_CMDLINE: usize = 1023;

impl GuestConfig {
    /// The kernel's command line.
    pub fn cmdline(&self) -> String {
        let root = self.root.as_ref().map(|root| format!("root={root}"));
        let parts: Vec<String> = root.into_iter().chain(self.extra.clone()).collect();
        parts.join(" ")
    }

    /// The set of processors that `vcpu` may run on, if any was named.
    pub fn cpus_of(&self, vcpu: u32) -> Option<&CpuSet> {
        let set = match self.cpus.as_slice() {
            [all] => Some(all),
            each => each.get(vcpu as usize),
        };
        set.filter(|set| !set.0.is_empty())
    }

    /// Checks what no single setting shows.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        self.notes.check()?;
        if self.maxmem < self.memory {
            return Err(format!("maxmem = {} is less than memory = {}", self.maxmem, self.memory));
        }
        if self.maxvcpus < self.vcpus {
            return Err(format!(
                "maxvcpus = {} is less than vcpus = {}",
                self.maxvcpus, self.vcpus
            ));
        }
        if self.memory == 0 || self.maxmem > MAX_MEMORY {
            return Err(format!("memory and maxmem must be from 1 to {MAX_MEMORY} MiB"));
        }
        if self.vcpus == 0 || u64::from(self.maxvcpus) > MAX_VCPUS {
            return Err(format!("vcpus and maxvcpus must be from 1 to {MAX_VCPUS}"));
        }
        if self.cmdline().len() > MAX_CMDLINE {
            return Err(format!("the kernel's command line is longer than {MAX_CMDLINE} bytes"));
        }
        if self.cpus.len() > 1 && self.cpus.len() != self.maxvcpus as usize {
            return Err(format!(
                "cpus has {} members, one is needed for each of {} vcpus",
                self.cpus.len(),
                self.maxvcpus
            ));
        }
        no_twins(
            self.disks.iter().map(|disk| (disk.vdev.number, &disk.vdev.name)),
            "disks",
            "vdev",
        )?;
        no_twins(self.vifs.iter().filter_map(|vif| Some((vif.mac?, vif.mac?))), "vifs", "mac")?;
        no_twins(
            self.vifs.iter().filter_map(|vif| vif.vifname.as_ref().map(|name| (name, name))),
            "vifs",
            "vifname",
        )
    }
}

fn no_twins<K: Ord, S: std::fmt::Display>(
    keys: impl Iterator<Item = (K, S)>,
    things: &str,
    what: &str,
) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for (key, shown) in keys {
        if !seen.insert(key) {
            return Err(format!("two {things} have the same {what}, {shown}"));
        }
    }
    Ok(())
}

/// A name ends up in paths and tables, and must not be taken for an id.
pub fn check_name(name: &str) -> Result<(), String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:+-".contains(&byte);
    let reason = if name.is_empty() {
        "is empty"
    } else if name.len() > 63 {
        "is longer than 63 characters"
    } else if !name.bytes().all(valid) {
        "has a character other than letters, digits and _ . : + -"
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
        "would be taken for a domain's id"
    } else if name == "Domain-0" {
        "is the control domain's"
    } else if name.starts_with(['-', '.']) {
        "begins with '-' or '.'"
    } else {
        return Ok(());
    };
    Err(format!("the name '{name}' {reason}"))
}

/// Makes a guest of what was read. Relative paths are taken from `cwd`, the name that a file
/// without one has is `default_name`. Returns it with the warnings.
pub fn build(
    mut reader: Reader,
    default_name: &str,
    cwd: &Path,
) -> Result<(GuestConfig, Vec<String>), ConfigError> {
    refuse_other_kinds(&mut reader)?;
    let memory = reader.count("memory", " MiB", 1..=MAX_MEMORY)?.unwrap_or(128);
    let vcpus = reader.count("vcpus", "", 1..=MAX_VCPUS)?.unwrap_or(1);
    let kernel = path(&mut reader, "kernel", cwd)?
        .ok_or_else(|| reader.error("no kernel is named (kernel = '/path')"))?;
    let (root, extra) = command_line(&mut reader)?;
    let config = GuestConfig {
        name: name(&mut reader, default_name)?,
        uuid: parsed(&mut reader, "uuid", parse_uuid)?,
        memory,
        maxmem: reader.count("maxmem", " MiB", 1..=MAX_MEMORY)?.unwrap_or(memory),
        vcpus: vcpus as u32,
        maxvcpus: reader.count("maxvcpus", "", 1..=MAX_VCPUS)?.unwrap_or(vcpus) as u32,
        cpus: cpus(&mut reader)?,
        kernel,
        ramdisk: path(&mut reader, "ramdisk", cwd)?,
        root,
        extra,
        disks: disks(&mut reader)?,
        vifs: vifs(&mut reader)?,
        on_poweroff: on_poweroff(&mut reader)?,
        on_reboot: parsed(&mut reader, "on_reboot", Action::from_str)?.unwrap_or(Action::Restart),
        on_crash: parsed(&mut reader, "on_crash", Action::from_str)?.unwrap_or(Action::Restart),
        notes: Notes {
            title: reader.note("title")?,
            description: reader.note("description")?,
            metadata: reader.note("metadata")?,
        },
    };
    config.check().map_err(|reason| reader.error(reason))?;
    Ok((config, reader.finish()))
}

/// What would make the guest something else than it is meant to be must not be skipped silently.
fn refuse_other_kinds(reader: &mut Reader) -> Result<(), ConfigError> {
    if let Some((_, value)) = reader.text("bootloader")? {
        return Err(value.error(
            "bootloader is not supported: name the kernel and ramdisk of the guest as files of \
             this host",
        ));
    }
    if let Some((kind, value)) = reader.text("type")?
        && kind != "pv"
    {
        return Err(value.error(format!("type '{kind}' is not supported, only 'pv' is")));
    }
    if let Some((builder, value)) = reader.text("builder")?
        && !matches!(builder.as_str(), "linux" | "generic")
    {
        let reason = format!("builder '{builder}' is not supported: guests are paravirtualized");
        return Err(value.error(reason));
    }
    Ok(())
}

fn parsed<T>(
    reader: &mut Reader,
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some((text, value)) = reader.text(name)? else { return Ok(None) };
    parse(&text).map(Some).map_err(|reason| value.error(format!("{name}: {reason}")))
}

/// Reads a UUID; that of all zeros is the control domain's.
pub fn parse_uuid(text: &str) -> Result<Uuid, String> {
    match Uuid::try_parse(text) {
        Ok(uuid) if !uuid.is_nil() => Ok(uuid),
        _ => Err(format!("'{text}' is no UUID")),
    }
}

fn name(reader: &mut Reader, default_name: &str) -> Result<String, ConfigError> {
    match reader.text("name")? {
        Some((name, value)) => match check_name(&name) {
            Ok(()) => Ok(name),
            Err(reason) => Err(value.error(reason)),
        },
        None => Ok(default_name.to_owned()),
    }
}

fn path(reader: &mut Reader, name: &str, cwd: &Path) -> Result<Option<PathBuf>, ConfigError> {
    Ok(reader.text(name)?.map(|(path, _)| cwd.join(path)))
}

/// `root` and `extra`; xl's `cmdline` takes the place of both.
fn command_line(reader: &mut Reader) -> Result<(Option<String>, Option<String>), ConfigError> {
    let (root, extra) = (reader.text("root")?, reader.text("extra")?);
    let Some((cmdline, _)) = reader.text("cmdline")? else {
        return Ok((root.map(|(root, _)| root), extra.map(|(extra, _)| extra)));
    };
    for (_, value) in root.into_iter().chain(extra) {
        reader.warn(&value, "cmdline is given, so root and extra are ignored");
    }
    Ok((None, Some(cmdline)))
}

fn on_poweroff(reader: &mut Reader) -> Result<Action, ConfigError> {
    let poweroff = parsed(reader, "on_poweroff", Action::from_str)?;
    let shutdown = parsed(reader, "on_shutdown", Action::from_str)?;
    match (poweroff, shutdown) {
        (Some(one), Some(other)) if one != other => {
            Err(reader.error("on_poweroff and on_shutdown mean the same and must not differ"))
        }
        (one, other) => Ok(one.or(other).unwrap_or(Action::Destroy)),
    }
}

/// A string or a number for all vcpus, a list for one each.
fn cpus(reader: &mut Reader) -> Result<Vec<CpuSet>, ConfigError> {
    let Some(value) = reader.take("cpus") else { return Ok(Vec::new()) };
    let Sourced { item, source } = value.clone();
    let members = match item.value {
        Value::List(members) => members,
        _ => vec![item],
    };
    let set = |item: super::value::Item| {
        let text = match &item.value {
            Value::Str(text) => text.clone(),
            Value::Int(int) => int.to_string(),
            other => return Err(value.error(format!("cpus can't hold {}", other.kind()))),
        };
        let member = Sourced { item, source: source.clone() };
        CpuSet::parse(&text).map_err(|reason| member.error(format!("cpus: {reason}")))
    };
    members.into_iter().map(set).collect()
}

fn disks(reader: &mut Reader) -> Result<Vec<Disk>, ConfigError> {
    let texts = reader.list("disk", "file:/path,xvda,w")?;
    let disk = |(text, value): (String, Sourced)| {
        Disk::parse(&text).map_err(|reason| value.error(format!("disk '{text}': {reason}")))
    };
    texts.into_iter().map(disk).collect()
}

fn vifs(reader: &mut Reader) -> Result<Vec<Vif>, ConfigError> {
    let mut vifs = Vec::new();
    for (text, value) in reader.list("vif", "bridge=xenbr0")? {
        let parsed =
            Vif::parse(&text).map_err(|reason| value.error(format!("vif '{text}': {reason}")))?;
        for name in parsed.ignored {
            reader.warn(&value, format!("vif: '{name}' has no effect on a paravirtualized guest"));
        }
        vifs.push(parsed.vif);
    }
    Ok(vifs)
}
