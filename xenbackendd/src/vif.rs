//! Network interfaces: named, and attached to their bridge.

use std::io;

use crate::device::Device;
use crate::net::{self, Net};

/// What the toolstack wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The interface's name, if not the kernel's own.
    pub name: Option<String>,
    /// The bridge.
    pub bridge: String,
}

/// The name that the kernel's backend gives an interface.
pub fn kernel_name(device: &Device) -> String {
    format!("vif{}.{}", device.domid, device.devid)
}

/// Whether the kernel has made the interface yet. It says that it waits for us a little before.
pub fn is_there(device: &Device, name: Option<&str>) -> bool {
    net::exists(&kernel_name(device)) || name.is_some_and(net::exists)
}

/// Names the interface, attaches it to its bridge, takes it up. Returns its name.
pub fn prepare(device: &Device, wish: &Wish) -> Result<String, String> {
    let original = kernel_name(device);
    let name =
        wish.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| original.clone());
    if !net::is_name(&name) {
        return Err(format!(
            "vifname '{name}' can't be an interface's name (15 characters at most)"
        ));
    }
    if !net::exists(&wish.bridge) {
        return Err(format!("bridge '{}' is not there", wish.bridge));
    }
    if !net::is_bridge(&wish.bridge) {
        return Err(format!("'{}' is not a bridge", wish.bridge));
    }
    // An earlier run may have renamed it already.
    let has_original = net::exists(&original);
    if has_original && name != original && net::exists(&name) {
        return Err(format!("there is an interface '{name}' already"));
    }
    connect(&original, &name, has_original, &wish.bridge).map_err(|error| error.to_string())?;
    Ok(name)
}

fn connect(original: &str, name: &str, has_original: bool, bridge: &str) -> io::Result<()> {
    let net = Net::open()?;
    if has_original && name != original {
        net.set_up(original, false)?;
        net.rename(original, name)?;
    }
    net.set_port_mac(name)?;
    net.copy_mtu(bridge, name)?;
    net.attach(bridge, name)?;
    net.set_up(name, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Kind;

    #[test]
    fn a_missing_bridge_is_named() {
        let device = Device { kind: Kind::Vif, domid: 1, devid: 0 };
        let wish = |name: Option<&str>, bridge: &str| Wish {
            name: name.map(str::to_owned),
            bridge: bridge.to_owned(),
        };
        let error = prepare(&device, &wish(None, "nosuchbr0")).unwrap_err();
        assert!(error.contains("nosuchbr0"), "{error}");
        let error = prepare(&device, &wish(None, "lo")).unwrap_err();
        assert!(error.contains("not a bridge"), "{error}");
        let error = prepare(&device, &wish(Some("much-too-long-a-name"), "lo")).unwrap_err();
        assert!(error.contains("15 characters"), "{error}");
    }
}
