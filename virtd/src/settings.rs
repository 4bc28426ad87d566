//! Settings: the properties of the service's group `config`, by the names of libvirtd.conf.

use std::net::IpAddr;
use std::path::PathBuf;

use svc::fmri::Fmri;
use svc::repo::{Repo, RepoError, View};
use svc::value::PropertyGroup;
use xend::settings::{Reader, absolute};

/// The service's instance.
pub const FMRI: &str = "svc:/system/xvm/virtd:default";
const GROUP: &str = "config";

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the unix sockets are made.
    pub unix_folder: PathBuf,
    /// The group that the sockets belong to; root's if empty.
    pub unix_group: String,
    /// Who may use the socket that can change things.
    pub unix_rw_perms: u32,
    /// Who may use the socket that can't.
    pub unix_ro_perms: u32,
    /// Where TCP and TLS listen.
    pub listen_addr: IpAddr,
    /// The port for anybody who can reach it; none by default.
    pub tcp_port: Option<u16>,
    /// The port for those with a certificate; none by default.
    pub tls_port: Option<u16>,
    /// The server's certificate, and those between it and the authority's.
    pub cert_file: PathBuf,
    /// The server's key.
    pub key_file: PathBuf,
    /// The authority that clients' certificates are from.
    pub ca_file: PathBuf,
    /// Clients of one socket.
    pub max_clients: usize,
    /// Those of them that have not opened the hypervisor's connection yet.
    pub max_anonymous_clients: usize,
    /// The log.
    pub logfile: PathBuf,
    /// The least severe level that is logged.
    pub loglevel: String,
    /// Where xend listens.
    pub xend: PathBuf,
    /// Where guests are defined.
    pub definitions: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unix_folder: "/run/libvirt".into(),
            unix_group: String::new(),
            unix_rw_perms: 0o700,
            unix_ro_perms: 0o777,
            listen_addr: IpAddr::from([127, 0, 0, 1]),
            tcp_port: None,
            tls_port: None,
            cert_file: "/etc/pki/libvirt/servercert.pem".into(),
            key_file: "/etc/pki/libvirt/private/serverkey.pem".into(),
            ca_file: "/etc/pki/CA/cacert.pem".into(),
            max_clients: 200,
            max_anonymous_clients: 20,
            logfile: "/var/log/xen/virtd.log".into(),
            loglevel: "info".to_owned(),
            xend: xend::rpc::SOCKET.into(),
            definitions: xend::config::CONFIG_DIR.into(),
        }
    }
}

impl Settings {
    /// Reads the settings from the repository, with complaints of what can't be used; the error
    /// says why there is none.
    pub fn load() -> Result<(Self, Vec<String>), RepoError> {
        let (xend, _) = xend::settings::Settings::load()?;
        let Ok(fmri) = Fmri::parse(FMRI) else { return Ok(Default::default()) };
        let group = Repo::connect()?.pg(&fmri, GROUP, &View::Running)?;
        let (settings, complaints) =
            group.map(|group| Self::from_group(&group)).unwrap_or_default();
        Ok((Self { xend: xend.socket, ..settings }, complaints))
    }

    /// Reads the settings from a property group. A value that can't be used is complained of and
    /// leaves the default.
    pub fn from_group(group: &PropertyGroup) -> (Self, Vec<String>) {
        let mut reader = Reader::new(group);
        let mut it = Self::default();
        reader.read("unix-sock-dir", &mut it.unix_folder, absolute);
        reader.read("unix-sock-group", &mut it.unix_group, |name| Ok(name.to_owned()));
        reader.read("unix-sock-rw-perms", &mut it.unix_rw_perms, mode);
        reader.read("unix-sock-ro-perms", &mut it.unix_ro_perms, mode);
        reader.read("listen-addr", &mut it.listen_addr, |text| {
            text.parse().map_err(|_| "no IP address")
        });
        let mut ports = (16509, 16514);
        reader.read("tcp-port", &mut ports.0, port);
        reader.read("tls-port", &mut ports.1, port);
        let mut listen = (false, false);
        reader.read("listen-tcp", &mut listen.0, boolean);
        reader.read("listen-tls", &mut listen.1, boolean);
        it.tcp_port = listen.0.then_some(ports.0);
        it.tls_port = listen.1.then_some(ports.1);
        reader.read("cert-file", &mut it.cert_file, absolute);
        reader.read("key-file", &mut it.key_file, absolute);
        reader.read("ca-file", &mut it.ca_file, absolute);
        reader.read("max-clients", &mut it.max_clients, count);
        reader.read("max-anonymous-clients", &mut it.max_anonymous_clients, count);
        reader.read("logfile", &mut it.logfile, absolute);
        reader.read("loglevel", &mut it.loglevel, level);
        (it, reader.complaints)
    }
}

fn mode(text: &str) -> Result<u32, &'static str> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777).ok_or("no mode, as in 0770")
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port > 0).ok_or("no port number from 1 to 65535")
}

fn boolean(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| "neither true nor false")
}

fn count(text: &str) -> Result<usize, &'static str> {
    let count = text.parse().ok().filter(|count| (1..=10_000).contains(count));
    count.ok_or("no number from 1 to 10000")
}

fn level(text: &str) -> Result<String, &'static str> {
    let level = text.to_ascii_lowercase();
    let known = ["debug", "info", "warn", "error"].contains(&level.as_str());
    if known { Ok(level) } else { Err("none of debug, info, warn, error") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use svc::value::{PropType, Property};

    fn group(properties: &[(&str, &str)]) -> PropertyGroup {
        let property = |&(name, value): &(&str, &str)| {
            (name.to_owned(), Property { ty: PropType::Astring, values: vec![value.to_owned()] })
        };
        let props = properties.iter().map(property).collect();
        PropertyGroup { props, ..PropertyGroup::new("application") }
    }

    #[test]
    fn properties_take_the_place_of_defaults() {
        let (settings, complaints) = Settings::from_group(&group(&[
            ("listen-tcp", "true"),
            ("tls-port", "17000"),
            ("listen-addr", "::"),
            ("unix-sock-rw-perms", "0770"),
            ("loglevel", "DEBUG"),
        ]));
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!((settings.tcp_port, settings.tls_port), (Some(16509), None));
        assert_eq!((settings.unix_rw_perms, settings.loglevel.as_str()), (0o770, "debug"));
        assert_eq!(settings.listen_addr, "::".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn what_cannot_be_used_is_complained_of_and_left_at_its_default() {
        let (settings, complaints) = Settings::from_group(&group(&[
            ("tcp-port", "70000"),
            ("listen-addr", "everywhere"),
            ("unix-sock-ro-perms", "999"),
            ("max-clients", "0"),
            ("cert-file", "cert.pem"),
            ("loglevel", "loud"),
        ]));
        assert_eq!((settings, complaints.len()), (Settings::default(), 6));
    }
}
