//! The machine and the hypervisor itself.

use super::{Hypervisor, Result};
use crate::abi::sysctl::{self, SysctlBody};
use crate::abi::version::{self, CompileInfo};
use crate::abi::{Plain, hypercall};

pub use crate::abi::sysctl::Physinfo;

/// What hypervisor this is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub extra: String,
    pub capabilities: String,
    pub changeset: String,
    pub commandline: String,
    pub compiler: String,
    pub compile_by: String,
    pub compile_domain: String,
    pub compile_date: String,
    /// Where the hypervisor begins in a guest's address space.
    pub virt_start: u64,
    /// Bytes in a page.
    pub pagesize: u64,
}

/// The longest string of xen_version (`xen_capabilities_info_t`, `xen_commandline_t`).
const STRING: usize = 1024;
/// Xen's console ring is 16 KiB unless `conring_size` says otherwise.
const CONSOLE: usize = 1 << 20;
/// How much of it is read at once by those who follow it.
const CONSOLE_PART: usize = 16 << 10;

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

impl Hypervisor {
    fn version_call(&self, what: u64, address: u64) -> Result<u64> {
        let doing = "ask for the hypervisor's version";
        self.privcmd.hypercall(doing, hypercall::XEN_VERSION, [what, address, 0, 0, 0])
    }

    fn version_string(&self, what: u64) -> Result<String> {
        let buffer = self.privcmd.buffer(STRING)?;
        self.version_call(what, buffer.address())?;
        Ok(text(&buffer.read::<u8>(STRING)))
    }

    /// Major and minor version, 16 bits each: the hypercall that does least.
    pub fn version_number(&self) -> Result<u64> {
        self.version_call(version::VERSION, 0)
    }

    /// The ABIs that guests may have, such as `xen-3.0-x86_64`.
    pub fn capabilities(&self) -> Result<String> {
        self.version_string(version::CAPABILITIES)
    }

    /// Version, build and command line.
    pub fn version(&self) -> Result<Version> {
        let number = self.version_number()?;
        let compile = self.privcmd.buffer(size_of::<CompileInfo>())?;
        self.version_call(version::COMPILE_INFO, compile.address())?;
        let compile = compile.read::<CompileInfo>(1)[0];
        let platform = self.privcmd.buffer(size_of::<u64>())?;
        self.version_call(version::PLATFORM_PARAMETERS, platform.address())?;
        Ok(Version {
            major: (number >> 16) as u32,
            minor: (number & 0xffff) as u32,
            extra: self.version_string(version::EXTRAVERSION)?,
            capabilities: self.capabilities()?,
            changeset: self.version_string(version::CHANGESET)?,
            commandline: self.version_string(version::COMMANDLINE)?,
            compiler: text(&compile.compiler),
            compile_by: text(&compile.compile_by),
            compile_domain: text(&compile.compile_domain),
            compile_date: text(&compile.compile_date),
            virt_start: platform.read::<u64>(1)[0],
            pagesize: self.version_call(version::PAGESIZE, 0)?,
        })
    }

    /// Processors and memory.
    pub fn physinfo(&self) -> Result<Physinfo> {
        let u = SysctlBody { pad: [0; 128] };
        let answer = self.sysctl("ask for the machine's data", sysctl::PHYSINFO, u)?;
        // SAFETY: the hypervisor answers this request with this structure; all are integers.
        Ok(unsafe { answer.u.physinfo })
    }

    /// The hypervisor's console ring, oldest first.
    pub fn read_console(&self, clear: bool) -> Result<Vec<u8>> {
        let request =
            sysctl::ReadConsole { clear: u8::from(clear), ..sysctl::ReadConsole::zeroed() };
        Ok(self.console(request, CONSOLE)?.0)
    }

    /// The next part of what the hypervisor's console got since `index`, and where to go on;
    /// empty when there is no more.
    pub fn read_console_from(&self, index: u32) -> Result<(Vec<u8>, u32)> {
        let request =
            sysctl::ReadConsole { incremental: 1, index, ..sysctl::ReadConsole::zeroed() };
        self.console(request, CONSOLE_PART)
    }

    fn console(&self, request: sysctl::ReadConsole, size: usize) -> Result<(Vec<u8>, u32)> {
        let buffer = self.privcmd.buffer(size)?;
        let mut u = SysctlBody { pad: [0; 128] };
        u.readconsole =
            sysctl::ReadConsole { buffer: buffer.address(), count: size as u32, ..request };
        let answer = self.sysctl("read the hypervisor's console", sysctl::READ_CONSOLE, u)?;
        // SAFETY: the hypervisor answers this request with this structure; all are integers.
        let read = unsafe { answer.u.readconsole };
        Ok((buffer.read::<u8>((read.count as usize).min(size)), read.index))
    }

    /// Presses the hypervisor's debug keys.
    pub fn debug_keys(&self, keys: &str) -> Result<()> {
        let buffer = self.privcmd.buffer_of(keys.as_bytes())?;
        let mut u = SysctlBody { pad: [0; 128] };
        let nr_keys = keys.len() as u32;
        u.debug_keys = sysctl::DebugKeys { keys: buffer.address(), nr_keys, pad: 0 };
        self.sysctl("press debug keys", sysctl::DEBUG_KEYS, u).map(drop)
    }
}
