//! What can go wrong between here and the hypervisor.

use nix::errno::Errno;

/// A failed request to the hypervisor or to the kernel's Xen devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    doing: String,
    errno: Errno,
}

impl Error {
    pub(crate) fn new(doing: impl Into<String>, errno: Errno) -> Self {
        Self { doing: doing.into(), errno }
    }

    pub(crate) fn last(doing: impl Into<String>) -> Self {
        Self::new(doing, Errno::last())
    }

    /// There is no domain of this number.
    pub fn no_such_domain(domid: super::DomId) -> Self {
        Self::new(format!("find domain {domid}"), Errno::ESRCH)
    }

    /// The error number; the hypervisor's are Linux's for all that occur here (xen/errno.h).
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.errno.desc())
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = std::io::Error::from(error.errno).kind();
        std::io::Error::new(kind, error)
    }
}
