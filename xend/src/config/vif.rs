//! One member of `vif = [...]`: `mac=..,bridge=..,vifname=..,ip=..,script=..`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A hardware address; kept as its usual text outside of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// An address from Xen's own range, 00:16:3e, whose rest is `random`. The highest bit of the
    /// rest stays clear, as every toolstack leaves it.
    pub fn in_xen_range(random: [u8; 3]) -> Self {
        let [high, middle, low] = random;
        Self([0x00, 0x16, 0x3e, high & 0x7f, middle, low])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&bytes.join(":"))
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let byte = |part: &str| match part.len() {
            1 | 2 if part.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                u8::from_str_radix(part, 16).ok()
            }
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        let bytes =
            bytes.ok_or_else(|| format!("'{text}' is no MAC address, as in 00:16:3e:59:a7:88"))?;
        if bytes[0] & 1 != 0 {
            return Err(format!(
                "MAC address {text} is a group's, no single interface may have it"
            ));
        }
        if bytes == [0; 6] {
            return Err(format!("MAC address {text} is all zeros"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// A network interface of a guest. What is `None` gets its default when the guest is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vif {
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// The bridge it is attached to.
    pub bridge: Option<String>,
    /// What the control domain calls its side of it.
    pub vifname: Option<String>,
    /// The guest's addresses, blank-separated; the hotplug script gets to see them.
    pub ip: Option<String>,
    /// The hotplug script.
    pub script: Option<String>,
}

/// A vif and the names of the parameters that were understood but have no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The interface.
    pub vif: Vif,
    /// Parameters to warn of.
    pub ignored: Vec<String>,
}

impl Vif {
    /// Reads one interface; the empty text is one with nothing but defaults.
    pub fn parse(text: &str) -> Result<Parsed, String> {
        let mut vif = Self::default();
        let mut ignored = Vec::new();
        for parameter in text.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter
                .split_once('=')
                .ok_or_else(|| format!("'{parameter}' is not of the form NAME=VALUE"))?;
            let (name, value) = (name.trim(), value.trim());
            if !vif.set(name, value)? {
                ignored.push(name.to_owned());
            }
        }
        Ok(Parsed { vif, ignored })
    }

    /// Sets one parameter; an empty value leaves the default. False if it has no effect.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        if value.is_empty() {
            return known(name);
        }
        match name {
            "mac" => set_once(&mut self.mac, name, value.parse()?)?,
            "bridge" => set_once(&mut self.bridge, name, interface_name(name, value)?)?,
            "vifname" => set_once(&mut self.vifname, name, interface_name(name, value)?)?,
            "ip" => set_once(&mut self.ip, name, addresses(value)?)?,
            "script" => {
                super::check_text("script", value)?;
                set_once(&mut self.script, name, value.to_owned())?;
            }
            "backend" if !matches!(value, "0" | "Domain-0") => {
                return Err(format!("backend '{value}' is not the control domain"));
            }
            _ => return known(name),
        }
        Ok(true)
    }
}

/// Whether a parameter's name is known and has an effect. The others belong to emulated devices
/// or to limits that aren't kept here.
fn known(name: &str) -> Result<bool, String> {
    match name {
        "mac" | "bridge" | "vifname" | "ip" | "script" | "backend" => Ok(true),
        "type" | "model" | "rate" | "gatewaydev" | "devid" | "mtu" | "trusted" | "accel" => {
            Ok(false)
        }
        _ => Err(format!("'{name}' is no parameter of a vif")),
    }
}

fn set_once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("'{name}' is given twice")),
    }
}

/// Checks a name against what the kernel takes (`dev_valid_name`): below 16 bytes, no slash, no
/// colon, no blank.
fn interface_name(what: &str, name: &str) -> Result<String, String> {
    let valid = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':');
    if name.len() > 15 || !name.bytes().all(valid) || matches!(name, "." | "..") {
        return Err(format!("{what} '{name}' can't be the name of an interface"));
    }
    Ok(name.to_owned())
}

fn addresses(text: &str) -> Result<String, String> {
    let addresses: Vec<&str> = text.split_ascii_whitespace().collect();
    for address in &addresses {
        let (ip, prefix) = address.split_once('/').unwrap_or((address, "0"));
        let ip: IpAddr = ip.parse().map_err(|_| format!("'{address}' is no IP address"))?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        if !prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest) {
            return Err(format!("'{address}' has no valid prefix length"));
        }
    }
    Ok(addresses.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vif(text: &str) -> Vif {
        Vif::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).vif
    }

    fn refused(text: &str) -> String {
        Vif::parse(text).unwrap_err()
    }

    #[test]
    fn what_people_write() {
        assert_eq!(vif(""), Vif::default());
        let it = vif("vifname=rosaline,ip=,bridge=xenbr0,mac=00:16:3e:59:A7:88");
        assert_eq!(it.vifname.as_deref(), Some("rosaline"));
        assert_eq!(it.ip, None);
        assert_eq!(it.bridge.as_deref(), Some("xenbr0"));
        assert_eq!(it.mac.unwrap().to_string(), "00:16:3e:59:a7:88");
        assert_eq!(
            vif(" bridge = xenbr1 , ip=10.0.0.2/24  fe80::1").ip.unwrap(),
            "10.0.0.2/24 fe80::1"
        );
        assert_eq!(vif("mac=0:16:3e:1:2:3").mac.unwrap().to_string(), "00:16:3e:01:02:03");
        let parsed = Vif::parse("type=ioemu,bridge=b,model=e1000").unwrap();
        assert_eq!(parsed.ignored, ["type", "model"]);
    }

    #[test]
    fn refusals_say_why() {
        assert!(refused("mac=00:16:3e").contains("no MAC address"));
        assert!(refused("mac=+1:16:3e:0:0:0").contains("no MAC address"));
        assert!(refused("mac=01:16:3e:00:00:00").contains("group"));
        assert!(refused("mac=00:00:00:00:00:00").contains("zeros"));
        assert!(refused("bridge=xen/br0").contains("can't be the name"));
        assert!(refused("vifname=a-name-that-is-too-long").contains("can't be the name"));
        assert!(refused("ip=10.0.0.256").contains("no IP address"));
        assert!(refused("ip=10.0.0.1/33").contains("prefix"));
        assert!(refused("backend=net").contains("not the control domain"));
        assert!(refused("xenbr0").contains("NAME=VALUE"));
        assert!(refused("brigde=xenbr0").contains("'brigde' is no parameter"));
        assert!(refused("bridge=a,bridge=b").contains("given twice"));
    }

    #[test]
    fn a_made_up_address_is_in_xens_range() {
        assert_eq!(Mac::in_xen_range([0xff, 1, 2]).to_string(), "00:16:3e:7f:01:02");
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC*|(mac|ip|bridge|x)=[0-9a-f:./,=]*") {
            let _ = Vif::parse(&text);
        }

        #[test]
        fn an_address_reads_back(bytes: [u8; 6]) {
            let mac = Mac(bytes);
            let back = mac.to_string().parse::<Mac>();
            prop_assert_eq!(back.is_ok(), bytes[0] & 1 == 0 && bytes != [0; 6]);
            prop_assert!(back.is_err() || back == Ok(mac));
        }
    }
}
