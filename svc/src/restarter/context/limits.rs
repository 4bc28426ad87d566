//! Resource limits (getrlimit(2)) as a context spells them: `nofile=1024:4096`, `core=unlimited`.

use nix::sys::resource::{RLIM_INFINITY, Resource, rlim_t, setrlimit};

/// A limit: soft, then hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    resource: Resource,
    soft: rlim_t,
    hard: rlim_t,
}

/// As prlimit(1) calls them; `rss`, which Linux ignores, is left out.
const NAMES: [(&str, Resource); 15] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

impl Limit {
    /// Reads `NAME=BOTH` or `NAME=SOFT:HARD`. The error is a line for the log.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("Bad limit \"{text}\": NAME=NUMBER or NAME=SOFT:HARD is expected.");
        let (name, values) = text.split_once('=').ok_or_else(bad)?;
        let known = NAMES.iter().find(|(known, _)| *known == name.trim());
        let (_, resource) = known.ok_or_else(|| format!("There is no limit \"{name}\"."))?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (number(soft).ok_or_else(bad)?, number(hard).ok_or_else(bad)?);
        if soft > hard {
            return Err(format!("Bad limit \"{text}\": the soft limit is above the hard one."));
        }
        Ok(Self { resource: *resource, soft, hard })
    }

    /// Sets it for this process.
    pub(super) fn set(self) -> nix::Result<()> {
        setrlimit(self.resource, self.soft, self.hard)
    }
}

fn number(text: &str) -> Option<rlim_t> {
    match text.trim() {
        "unlimited" => Some(RLIM_INFINITY),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let files = |soft, hard| Ok(Limit { resource: Resource::RLIMIT_NOFILE, soft, hard });
        assert_eq!(Limit::parse("nofile=1024:4096"), files(1024, 4096));
        assert_eq!(Limit::parse("nofile=1024"), files(1024, 1024));
        assert_eq!(Limit::parse("nofile=1024:unlimited"), files(1024, RLIM_INFINITY));
        for bad in ["nofile", "nofile=", "nofile=x", "nofile=2:1", "flies=1", "nofile=-1"] {
            assert!(Limit::parse(bad).is_err(), "{bad}");
        }
    }
}
