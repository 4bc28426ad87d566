//! Why a domain can't be built.

use alloc::string::String;
#[cfg(feature = "domain")]
use std::path::PathBuf;

/// Why a domain can't be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is in memory is not a kernel that can be built.
    #[error("{0}")]
    Image(String),
    /// A file can't be read.
    #[cfg(feature = "domain")]
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not a kernel that can be built.
    #[cfg(feature = "domain")]
    #[error("{}: {reason}", path.display())]
    Kernel {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The domain's memory is too small for what has to be in it.
    #[error(
        "{} MiB are too little memory: kernel, ramdisk and page tables need {} MiB at least",
        given / 256,
        needed.div_ceil(256)
    )]
    TooSmall {
        /// Pages there are.
        given: u64,
        /// Pages that are needed before the kernel has even begun.
        needed: u64,
    },
    /// The domain's memory is larger than any host's.
    #[error("{} MiB are more memory than a domain can have", given / 256)]
    TooLarge {
        /// Pages asked for.
        given: u64,
    },
    /// Kernel, ramdisk and lists don't fit into the address space behind the kernel's base.
    #[error("kernel and ramdisk are too large to be mapped at the kernel's base address")]
    TooMuchToMap,
    /// The command line doesn't fit in the start info page.
    #[error("the kernel's command line has {len} characters, of which 1023 would fit")]
    CommandLine {
        /// How long it is.
        len: usize,
    },
    /// The hypervisor ran out of memory on the way.
    #[cfg(feature = "domain")]
    #[error("the hypervisor gave {got} of {wanted} pages of memory")]
    NoMemory {
        /// Pages asked for.
        wanted: u64,
        /// Pages given.
        got: u64,
    },
    /// The hypervisor refused something.
    #[cfg(feature = "domain")]
    #[error(transparent)]
    Hypervisor(#[from] xen::sys::Error),
}
