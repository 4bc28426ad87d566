//! xend's own settings: the properties of group `config` of its service.
//!
//! Names and meanings: xend-config.sxp(5) and xend(1M), which Solaris kept as SMF properties. They
//! are read from the running snapshot, so a `svccfg setprop` counts after `svcadm refresh`. Where
//! there is no repository (a plain host) every setting has its default.

use std::path::{Path, PathBuf};
use std::time::Duration;

use svc::fmri::Fmri;
use svc::repo::{Repo, RepoError, View};
use svc::value::PropertyGroup;

/// xend's service instance.
pub const FMRI: &str = "svc:/system/xvm/xend:default";
/// The property group with the settings.
pub const GROUP: &str = "config";
/// Where the hotplug scripts of a Xen host are.
pub const SCRIPT_DIR: &str = "/etc/xen/scripts";

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `xend-unix-path`: where xend listens.
    pub socket: PathBuf,
    /// `logfile`: where xend logs.
    pub logfile: PathBuf,
    /// `loglevel`: the least severe level that is logged.
    pub loglevel: LogLevel,
    /// `device-create-timeout`: how long a device may take to come up.
    pub device_create_timeout: Duration,
    /// `device-destroy-timeout`: how long a device may take to go away.
    pub device_destroy_timeout: Duration,
    /// `console-limit`: how much unread output of a guest is kept, in KiB.
    pub console_limit: u64,
    /// `vif-script`: the hotplug script of interfaces that name none.
    pub vif_script: String,
    /// `default-nic`: the bridge of interfaces that name none.
    pub default_nic: String,
    /// `dom0-min-mem`: what the control domain keeps in any case, in MiB.
    pub dom0_min_mem: u64,
    /// `enable-dump`: whether a guest that crashed leaves a core file.
    pub enable_dump: bool,
    /// `prepare-kernels`: whether the kernels of guests are unpacked before they are needed.
    pub prepare_kernels: bool,
    /// `xend-relocation-server`: whether guests may be moved here.
    pub relocation_server: bool,
    /// `xend-relocation-address`: where to listen for that; empty is everywhere.
    pub relocation_address: String,
    /// `xend-relocation-port`: and at which port.
    pub relocation_port: u16,
    /// `xend-relocation-hosts-allow`: who may do so, blank-separated patterns; empty is everybody.
    pub relocation_hosts_allow: String,
}

/// The words of `loglevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens to guests.
    Info,
    /// What should be looked at.
    Warning,
    /// What went wrong.
    Error,
    /// The same; there is nothing worse here.
    Critical,
}

impl LogLevel {
    /// The word of `tracing` for it.
    pub fn filter(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error | Self::Critical => "error",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];
        all.into_iter().find(|level| level.word().eq_ignore_ascii_case(word))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: crate::rpc::SOCKET.into(),
            logfile: "/var/log/xen/xend.log".into(),
            loglevel: LogLevel::Debug,
            device_create_timeout: Duration::from_secs(100),
            device_destroy_timeout: Duration::from_secs(100),
            console_limit: 1024,
            vif_script: "vif-bridge".to_owned(),
            default_nic: String::new(),
            dom0_min_mem: 196,
            enable_dump: false,
            prepare_kernels: true,
            relocation_server: false,
            relocation_address: "localhost".to_owned(),
            relocation_port: 8002,
            relocation_hosts_allow: "^localhost$".to_owned(),
        }
    }
}

impl Settings {
    /// Reads the settings from the repository; the error says why there is none.
    pub fn load() -> Result<(Self, Vec<String>), RepoError> {
        let Ok(fmri) = Fmri::parse(FMRI) else { return Ok(Default::default()) };
        let group = Repo::connect()?.pg(&fmri, GROUP, &View::Running)?;
        Ok(group.map(|group| Self::from_group(&group)).unwrap_or_default())
    }

    /// Reads the settings from a property group. A value that can't be used is complained of and
    /// leaves the default: a typing error in one setting must not take all guests' toolstack down.
    pub fn from_group(group: &PropertyGroup) -> (Self, Vec<String>) {
        let mut reader = Reader::new(group);
        let mut settings = Self::default();
        reader.read("xend-unix-path", &mut settings.socket, absolute);
        reader.read("logfile", &mut settings.logfile, absolute);
        reader.read("loglevel", &mut settings.loglevel, |word| {
            LogLevel::parse(word).ok_or("none of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        });
        reader.read("device-create-timeout", &mut settings.device_create_timeout, seconds);
        reader.read("device-destroy-timeout", &mut settings.device_destroy_timeout, seconds);
        reader.read("console-limit", &mut settings.console_limit, |text| {
            number(text, 1 << 20, "no number of KiB up to 1048576")
        });
        reader.read("vif-script", &mut settings.vif_script, |name| match name {
            "" => Err("empty"),
            _ => word(name),
        });
        reader.read("default-nic", &mut settings.default_nic, word);
        reader.read("dom0-min-mem", &mut settings.dom0_min_mem, |text| {
            number(text, 16 << 20, "no number of MiB up to 16777216")
        });
        reader.read("enable-dump", &mut settings.enable_dump, boolean);
        reader.read("prepare-kernels", &mut settings.prepare_kernels, boolean);
        reader.read("xend-relocation-server", &mut settings.relocation_server, boolean);
        reader.read("xend-relocation-address", &mut settings.relocation_address, word);
        reader.read("xend-relocation-port", &mut settings.relocation_port, |text| {
            text.parse().ok().filter(|port| *port > 0).ok_or("no port number from 1 to 65535")
        });
        reader.read("xend-relocation-hosts-allow", &mut settings.relocation_hosts_allow, line);
        (settings, reader.complaints)
    }

    /// The settings as `xm info -c` shows them.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.display().to_string();
        let yes_no = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
        vec![
            ("console-limit", self.console_limit.to_string()),
            ("default-nic", self.default_nic.clone()),
            ("device-create-timeout", self.device_create_timeout.as_secs().to_string()),
            ("device-destroy-timeout", self.device_destroy_timeout.as_secs().to_string()),
            ("dom0-min-mem", self.dom0_min_mem.to_string()),
            ("enable-dump", yes_no(self.enable_dump)),
            ("logfile", path(&self.logfile)),
            ("loglevel", self.loglevel.word().to_owned()),
            ("prepare-kernels", yes_no(self.prepare_kernels)),
            ("vif-script", self.vif_script.clone()),
            ("xend-relocation-address", self.relocation_address.clone()),
            ("xend-relocation-hosts-allow", self.relocation_hosts_allow.clone()),
            ("xend-relocation-port", self.relocation_port.to_string()),
            ("xend-relocation-server", yes_no(self.relocation_server)),
            ("xend-unix-path", path(&self.socket)),
        ]
    }

    /// Settings that are kept but have nothing to act on yet.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if self.relocation_server {
            found.push("xend-relocation-server is on, but guests can't be moved here yet");
        }
        if self.enable_dump {
            found.push("enable-dump is on, but core files of guests aren't written yet");
        }
        found
    }
}

/// Reads settings of a daemon out of a property group, one by one.
#[derive(Debug)]
pub struct Reader<'g> {
    group: &'g PropertyGroup,
    /// What could not be used, and why.
    pub complaints: Vec<String>,
}

impl<'g> Reader<'g> {
    /// Reads from `group`.
    pub fn new(group: &'g PropertyGroup) -> Self {
        Self { group, complaints: Vec::new() }
    }

    /// Sets `slot` to what `parse` makes of a property; a property that isn't there, or can't be
    /// used, leaves it.
    pub fn read<T>(
        &mut self,
        name: &str,
        slot: &mut T,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) {
        let Some(property) = self.group.props.get(name) else { return };
        let parsed = match property.values.as_slice() {
            // A property without a value leaves the default, as one that isn't there.
            [] => return,
            [value] => parse(value).map_err(|reason| format!("\"{value}\" is {reason}")),
            _ => Err("it has more than one value".to_owned()),
        };
        match parsed {
            Ok(value) => *slot = value,
            Err(reason) => {
                self.complaints.push(format!("{GROUP}/{name}: {reason}; the default is used"));
            }
        }
    }
}

/// An absolute path.
pub fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err("no absolute path") }
}

fn number(text: &str, most: u64, reason: &'static str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|number| *number <= most).ok_or(reason)
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    const REASON: &str = "no number of seconds from 1 to 86400";
    match number(text, 86_400, REASON) {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(REASON),
    }
}

/// The words that xend-config.sxp knew, besides those of SMF.
fn boolean(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "t" | "on" | "1" => Ok(true),
        "false" | "no" | "n" | "f" | "off" | "0" => Ok(false),
        _ => Err("neither true nor false"),
    }
}

fn line(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("not printable");
    }
    Ok(text.to_owned())
}

fn word(text: &str) -> Result<String, &'static str> {
    if text.contains(char::is_whitespace) { Err("more than one word") } else { line(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::{PropType, Property};

    fn group(properties: &[(&str, PropType, &[&str])]) -> PropertyGroup {
        let property = |&(name, ty, values): &(&str, PropType, &[&str])| {
            let values = values.iter().map(|&value| value.to_owned()).collect();
            (name.to_owned(), Property { ty, values })
        };
        let props = properties.iter().map(property).collect();
        PropertyGroup { props, ..PropertyGroup::new("application") }
    }

    #[test]
    fn properties_take_the_place_of_defaults() {
        let (settings, complaints) = Settings::from_group(&group(&[
            ("xend-relocation-address", PropType::Astring, &[""]),
            ("xend-relocation-hosts-allow", PropType::Astring, &["^host1\\.?.*$ ^localhost$"]),
            ("device-create-timeout", PropType::Integer, &["5"]),
            ("loglevel", PropType::Astring, &["info"]),
            ("enable-dump", PropType::Boolean, &["true"]),
            ("something-else", PropType::Astring, &["x"]),
            ("console-limit", PropType::Integer, &[]),
        ]));
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(settings.relocation_address, "");
        assert_eq!(settings.device_create_timeout, Duration::from_secs(5));
        assert_eq!(settings.loglevel.filter(), "info");
        assert_eq!(settings.console_limit, 1024);
        assert_eq!(settings.without_effect().len(), 1);
    }

    #[test]
    fn what_cannot_be_used_is_complained_of_and_left_at_its_default() {
        let (settings, complaints) = Settings::from_group(&group(&[
            ("xend-relocation-port", PropType::Integer, &["70000"]),
            ("device-create-timeout", PropType::Integer, &["-1"]),
            ("loglevel", PropType::Astring, &["loud"]),
            ("xend-unix-path", PropType::Astring, &["relative"]),
            ("vif-script", PropType::Astring, &["a", "b"]),
        ]));
        assert_eq!(settings, Settings::default());
        assert_eq!(complaints.len(), 5);
        assert!(
            complaints.contains(
                &"config/xend-relocation-port: \"70000\" is no port number from 1 to 65535; the \
              default is used"
                    .to_owned()
            )
        );
    }
}
