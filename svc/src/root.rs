//! Where the framework's files are: below `$SVC_ROOT` if that is set.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable that moves every file of the framework into a private root (tests, laptops).
const VARIABLE: &str = "SVC_ROOT";

/// `path` (absolute) as this process sees it: below `$SVC_ROOT` if that is set and not empty.
pub fn root(path: &str) -> PathBuf {
    below(std::env::var_os(VARIABLE), path)
}

fn below(root: Option<OsString>, path: &str) -> PathBuf {
    match root {
        Some(root) if !root.is_empty() => Path::new(&root).join(path.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_root_is_put_in_front() {
        assert_eq!(below(None, "/var/svc"), Path::new("/var/svc"));
        assert_eq!(below(Some("".into()), "/var/svc"), Path::new("/var/svc"));
        assert_eq!(below(Some("/tmp/r".into()), "/var/svc"), Path::new("/tmp/r/var/svc"));
    }
}
