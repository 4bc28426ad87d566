//! Network interfaces and bridges, through the classic ioctls (netdevice(7)).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Wants to be on the link layer's address of a bridge's port, so that the bridge never takes it
/// for its own.
const PORT_MAC: [u8; 6] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

/// A socket to talk to the kernel about interfaces.
#[derive(Debug)]
pub struct Net {
    socket: OwnedFd,
}

/// Whether there is such an interface.
pub fn exists(name: &str) -> bool {
    is_name(name) && Path::new("/sys/class/net").join(name).exists()
}

/// Whether an interface may have this name (dev_valid_name() in Linux).
pub fn is_name(name: &str) -> bool {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
    !name.is_empty()
        && name.len() < libc::IFNAMSIZ
        && name != "."
        && name != ".."
        && !name.contains(bad)
}

/// Whether an interface is a bridge.
pub fn is_bridge(name: &str) -> bool {
    is_name(name) && Path::new("/sys/class/net").join(name).join("bridge").exists()
}

fn failed(doing: String) -> io::Error {
    let error = io::Error::last_os_error();
    io::Error::new(error.kind(), format!("cannot {doing}: {error}"))
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    if !is_name(name) {
        return Err(io::Error::other(format!("'{name}' can't be an interface's name")));
    }
    // SAFETY: an all-zero request is valid: it is made of integers and a null pointer.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    put_name(&mut request.ifr_name, name);
    Ok(request)
}

/// Copies a checked name, which is shorter than its place.
fn put_name(place: &mut [libc::c_char; libc::IFNAMSIZ], name: &str) {
    for (to, from) in place.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
}

impl Net {
    /// Opens the socket.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self { socket: socket(AddressFamily::Inet, SockType::Datagram, flags, None)? })
    }

    fn ioctl(
        &self,
        number: libc::c_ulong,
        request: &mut libc::ifreq,
        doing: impl Fn() -> String,
    ) -> io::Result<()> {
        let request = std::ptr::from_mut(request);
        // SAFETY: every request used here reads and writes an ifreq.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), number, request) };
        if result < 0 { Err(failed(doing())) } else { Ok(()) }
    }

    /// Gives an interface another name; it must be down.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut request = request(from)?;
        if !is_name(to) {
            return Err(io::Error::other(format!("'{to}' can't be an interface's name")));
        }
        let mut name = [0; libc::IFNAMSIZ];
        put_name(&mut name, to);
        request.ifr_ifru.ifru_newname = name;
        self.ioctl(libc::SIOCSIFNAME, &mut request, || format!("rename {from} to {to}"))
    }

    /// Takes an interface up or down.
    pub fn set_up(&self, name: &str, up: bool) -> io::Result<()> {
        let mut request = request(name)?;
        self.ioctl(libc::SIOCGIFFLAGS, &mut request, || format!("look at {name}"))?;
        // SAFETY: the kernel has just filled in the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        let bit = libc::IFF_UP as libc::c_short;
        request.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
        let word = if up { "up" } else { "down" };
        self.ioctl(libc::SIOCSIFFLAGS, &mut request, || format!("take {name} {word}"))
    }

    /// Gives an interface the address that a bridge's port has.
    pub fn set_port_mac(&self, name: &str) -> io::Result<()> {
        let mut request = request(name)?;
        // SAFETY: an all-zero address is valid.
        let mut address: libc::sockaddr = unsafe { std::mem::zeroed() };
        address.sa_family = libc::ARPHRD_ETHER;
        for (to, from) in address.sa_data.iter_mut().zip(PORT_MAC) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_hwaddr = address;
        self.ioctl(libc::SIOCSIFHWADDR, &mut request, || format!("set the address of {name}"))
    }

    /// Gives an interface the MTU of another.
    pub fn copy_mtu(&self, from: &str, to: &str) -> io::Result<()> {
        let mut source = request(from)?;
        self.ioctl(libc::SIOCGIFMTU, &mut source, || format!("look at {from}"))?;
        let mut target = request(to)?;
        // SAFETY: the kernel has just filled in the MTU.
        target.ifr_ifru.ifru_mtu = unsafe { source.ifr_ifru.ifru_mtu };
        self.ioctl(libc::SIOCSIFMTU, &mut target, || format!("set the MTU of {to}"))
    }

    /// Attaches an interface to a bridge; it is no error if it is there already.
    pub fn attach(&self, bridge: &str, port: &str) -> io::Result<()> {
        let master = Path::new("/sys/class/net").join(port).join("brport/bridge");
        if std::fs::read_link(master).is_ok_and(|link| link.ends_with(bridge)) {
            return Ok(());
        }
        let mut index = request(port)?;
        self.ioctl(libc::SIOCGIFINDEX, &mut index, || format!("look at {port}"))?;
        let mut request = request(bridge)?;
        // SAFETY: the kernel has just filled in the index.
        request.ifr_ifru.ifru_ifindex = unsafe { index.ifr_ifru.ifru_ifindex };
        self.ioctl(SIOCBRADDIF, &mut request, || format!("attach {port} to bridge {bridge}"))
    }
}

/// Add an interface to a bridge (linux/sockios.h).
const SIOCBRADDIF: libc::c_ulong = 0x89a2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_the_kernel_sees_them() {
        for bad in ["", ".", "..", "a/b", "a b", "sixteen-letters!", "x\0y", "a:1"] {
            assert!(!is_name(bad), "{bad:?}");
            assert!(request(bad).is_err());
        }
        assert!(is_name("vif12.0") && is_name("fifteen-letters"));
    }

    #[test]
    fn the_loopback_interface_is_there_and_no_bridge() {
        assert!(exists("lo") && !is_bridge("lo") && !exists("nosuch0"));
    }
}
