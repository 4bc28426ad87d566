//! `/dev/xen/evtchn`: event channels of this domain.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;

use super::ioctl::{ioctl, request};
use super::{DomId, Error, Result};

/// A port of this domain.
pub type Port = u32;

const BIND_VIRQ: u64 = request(b'E', 0, 4);
const BIND_INTERDOMAIN: u64 = request(b'E', 1, 8);
const BIND_UNBOUND_PORT: u64 = request(b'E', 2, 4);
const UNBIND: u64 = request(b'E', 3, 4);
const NOTIFY: u64 = request(b'E', 4, 4);

/// Event channels; closing it closes them. The descriptor is readable when one has fired.
#[derive(Debug)]
pub struct Evtchn {
    device: File,
}

impl Evtchn {
    /// Opens the device, without blocking reads.
    pub fn open() -> io::Result<Self> {
        let path = "/dev/xen/evtchn";
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
        Ok(Self { device })
    }

    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn request<const WORDS: usize>(
        &self,
        number: u64,
        mut words: [u32; WORDS],
        doing: impl Fn() -> String,
    ) -> Result<u32> {
        // SAFETY: each request above reads as many 32-bit words as its size says.
        let result = unsafe { ioctl(self.device.as_fd(), number, &mut words) };
        u32::try_from(result).map_err(|_| Error::last(doing()))
    }

    /// Connects to a port that `domid` keeps unbound for us.
    pub fn bind_interdomain(&self, domid: DomId, remote_port: Port) -> Result<Port> {
        self.request(BIND_INTERDOMAIN, [u32::from(domid), remote_port], || {
            format!("bind to event channel {remote_port} of domain {domid}")
        })
    }

    /// Takes a virtual interrupt (`abi::evtchn::VIRQ_*`).
    pub fn bind_virq(&self, virq: u32) -> Result<Port> {
        self.request(BIND_VIRQ, [virq], || format!("bind virtual interrupt {virq}"))
    }

    /// Makes a port that `domid` may bind to.
    pub fn bind_unbound(&self, domid: DomId) -> Result<Port> {
        self.request(BIND_UNBOUND_PORT, [u32::from(domid)], || {
            format!("make an event channel for domain {domid}")
        })
    }

    /// Closes a port.
    pub fn unbind(&self, port: Port) -> Result<()> {
        self.request(UNBIND, [port], || format!("close event channel {port}")).map(drop)
    }

    /// Tells the other end.
    pub fn notify(&self, port: Port) -> Result<()> {
        self.request(NOTIFY, [port], || format!("notify event channel {port}")).map(drop)
    }

    /// A port that has fired, or `None`. It stays masked until [`Self::unmask`].
    pub fn pending(&self) -> io::Result<Option<Port>> {
        let mut bytes = [0; 4];
        match (&self.device).read(&mut bytes) {
            Ok(4) => Ok(Some(Port::from_ne_bytes(bytes))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a port fire again.
    pub fn unmask(&self, port: Port) -> io::Result<()> {
        (&self.device).write_all(&port.to_ne_bytes())
    }
}
