//! Networks: the host's bridges, each a network of its own name that is always up.

use std::fs;
use std::path::Path;

use uuid::Uuid;

use crate::domain_xml::Builder;
use crate::error::{Code, Error, Result};
use crate::protocol::Network;
use crate::session::Call;

/// The host's network interfaces.
const NET: &str = "/sys/class/net";

/// Which networks to list (`virConnectListAllNetworksFlags`): those that hold for a bridge.
const BRIDGE: u32 = ACTIVE | PERSISTENT | AUTOSTART;
const ACTIVE: u32 = 1 << 1;
const PERSISTENT: u32 = 1 << 2;
const AUTOSTART: u32 = 1 << 4;
/// Each flag beside its opposite.
const GROUPS: [u32; 3] = [1 << 0 | ACTIVE, PERSISTENT | 1 << 3, AUTOSTART | 1 << 5];

fn bridges() -> Vec<String> {
    let entries = fs::read_dir(NET).into_iter().flatten().flatten();
    let bridges = entries.filter(|entry| entry.path().join("bridge").is_dir());
    let mut names: Vec<String> =
        bridges.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn network(name: String) -> Network {
    Network { uuid: crate::identity("network", &name), name }
}

fn find(matches: impl Fn(&Network) -> bool, what: &str) -> Result<Network> {
    let network = bridges().into_iter().map(network).find(matches);
    network.ok_or_else(|| Error::new(Code::NoNetwork, format!("no network with matching {what}")))
}

fn known(wanted: &Network) -> Result<Network> {
    find(|it| it.uuid == wanted.uuid, &format!("uuid '{}' ({})", wanted.uuid, wanted.name))
}

/// The networks that `flags` select, and how many there are.
pub fn list_all(_: &Call, (results, flags): (i32, u32)) -> Result<(Vec<Network>, u32)> {
    let wanted = GROUPS.iter().all(|group| flags & group == 0 || flags & group & BRIDGE != 0);
    let names = if wanted { bridges() } else { Vec::new() };
    let count = names.len() as u32;
    let networks = names.into_iter().map(network);
    Ok((if results != 0 { networks.collect() } else { Vec::new() }, count))
}

/// How many are up.
pub fn count(_: &Call, (): ()) -> Result<i32> {
    Ok(bridges().len() as i32)
}

/// The names of those that are up.
pub fn names(_: &Call, most: i32) -> Result<Vec<String>> {
    Ok(bridges().into_iter().take(usize::try_from(most).unwrap_or(0)).collect())
}

/// How many are not up.
pub fn count_defined(_: &Call, (): ()) -> Result<i32> {
    Ok(0)
}

/// The names of those that are not up.
pub fn names_defined(_: &Call, _most: i32) -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// The network of that name.
pub fn lookup_by_name(_: &Call, name: String) -> Result<Network> {
    find(|it| it.name == name, &format!("name '{name}'"))
}

/// The network with that identity.
pub fn lookup_by_uuid(_: &Call, uuid: Uuid) -> Result<Network> {
    find(|it| it.uuid == uuid, &format!("uuid '{uuid}'"))
}

/// The network as XML.
pub fn describe(_: &Call, (wanted, _flags): (Network, u32)) -> Result<String> {
    let network = known(&wanted)?;
    let mac = fs::read_to_string(Path::new(NET).join(&network.name).join("address"));
    let mut xml = Builder::default();
    xml.element("network", &[], |xml| {
        xml.text("name", &[], &network.name);
        xml.text("uuid", &[], &network.uuid.to_string());
        xml.empty("forward", &[("mode", "bridge")]);
        xml.empty("bridge", &[("name", &network.name)]);
        if let Ok(mac) = &mac {
            xml.empty("mac", &[("address", mac.trim())]);
        }
    });
    Ok(xml.finish())
}

/// The bridge that it is.
pub fn bridge(_: &Call, wanted: Network) -> Result<String> {
    Ok(known(&wanted)?.name)
}

/// It is up, it stays, and it comes up by itself.
pub fn yes(_: &Call, wanted: Network) -> Result<bool> {
    known(&wanted).map(|_| true)
}
