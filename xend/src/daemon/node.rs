//! What xend tells of the host: `xm info`, `xm dmesg`, `xm log`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use nix::sys::utsname::uname;
use xen::sys::{Error, Hypervisor};

use crate::rpc::Value;
use crate::sxp::pair;

/// So much of the end of a log is shown.
const LOG_TAIL: u64 = 4 << 20;
/// Pages in a MiB.
const PAGES_PER_MIB: u64 = 256;
/// The version of the configuration that `xm create` sends, as every xend has told it.
const CONFIG_FORMAT: i64 = 4;

/// The host.
pub struct Node(Hypervisor);

impl Node {
    /// Opens the way to the hypervisor.
    pub fn open() -> io::Result<Self> {
        Hypervisor::open().map(Self)
    }

    /// The lines of `xm info`, in their historic order.
    pub fn info(&self) -> Result<Value, Error> {
        let members: Vec<Value> =
            [Self::system(), self.machine()?, self.hypervisor()?].into_iter().flatten().collect();
        let format = pair("xend_config_format", CONFIG_FORMAT);
        Ok(std::iter::once("node".into()).chain(members).chain([format]).collect())
    }

    fn system() -> Vec<Value> {
        let Ok(system) = uname() else { return Vec::new() };
        let text = |name, value: &std::ffi::OsStr| pair(name, value.to_string_lossy().into_owned());
        vec![
            text("system", system.sysname()),
            text("host", system.nodename()),
            text("release", system.release()),
            text("version", system.version()),
            text("machine", system.machine()),
        ]
    }

    fn machine(&self) -> Result<Vec<Value>, Error> {
        /// `XEN_SYSCTL_PHYSCAP_hvm`.
        const HVM: u32 = 1;
        let info = self.0.physinfo()?;
        let capabilities = info.hw_cap.map(|word| format!("{word:08x}")).join(":");
        let mib = |pages: u64| (pages / PAGES_PER_MIB) as i64;
        let free = (info.free_pages + info.scrub_pages).saturating_sub(info.outstanding_pages);
        Ok(vec![
            pair("nr_cpus", i64::from(info.nr_cpus)),
            pair("nr_nodes", i64::from(info.nr_nodes)),
            pair("cores_per_socket", i64::from(info.cores_per_socket)),
            pair("threads_per_core", i64::from(info.threads_per_core)),
            pair("cpu_mhz", i64::from(info.cpu_khz / 1000)),
            pair("hw_caps", capabilities),
            pair("virt_caps", if info.capabilities & HVM != 0 { "hvm" } else { "" }),
            pair("total_memory", mib(info.total_pages)),
            pair("free_memory", mib(free)),
        ])
    }

    fn hypervisor(&self) -> Result<Vec<Value>, Error> {
        let version = self.0.version()?;
        Ok(vec![
            pair("xen_major", i64::from(version.major)),
            pair("xen_minor", i64::from(version.minor)),
            pair("xen_extra", version.extra),
            pair("xen_caps", version.capabilities),
            pair("xen_scheduler", self.0.scheduler()?),
            pair("xen_pagesize", version.pagesize as i64),
            pair("platform_params", format!("virt_start={:#x}", version.virt_start)),
            pair("xen_changeset", version.changeset),
            pair("xen_commandline", version.commandline),
            pair("cc_compiler", version.compiler),
            pair("cc_compile_by", version.compile_by),
            pair("cc_compile_domain", version.compile_domain),
            pair("cc_compile_date", version.compile_date),
        ])
    }

    /// The hypervisor's messages; they are forgotten afterwards if `clear`.
    pub fn dmesg(&self, clear: bool) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.0.read_console(clear)?).into_owned())
    }
}

/// The end of the log at `path`.
pub fn log(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail)?;
    Ok(String::from_utf8_lossy(&tail).into_owned())
}
