//! Manifests: what a service is, in one TOML file, and how it gets into the repository and out.
//!
//! A manifest is read into property groups, which is all that the repository knows; the words
//! for dependencies, methods and so on are in `words`. Import is a three-way merge, so that an
//! administrator's changes survive a new version of the file. The format: docs/manifest-format.md.

mod export;
mod import;
mod merge;
mod parse;
mod reader;
mod words;

pub use export::{from_repo, to_toml};
pub use import::{Report, import, import_new, load};
pub use parse::parse;
pub use reader::SyntaxError;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use crate::fmri::Fmri;
use crate::repo::RepoError;
use crate::value::Groups;

/// What a manifest says of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The service.
    pub service: Fmri,
    /// What is attached to the service itself.
    pub level: Level,
    /// Its instances.
    pub instances: Vec<Instance>,
}

/// What a manifest says of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// What is attached to it.
    pub level: Level,
}

/// What is attached to a service or to an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Level {
    /// The property groups.
    pub groups: Groups,
    /// Group and name of each property that replaces even what an administrator has set.
    pub overrides: BTreeSet<(String, String)>,
}

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that can't be.
    #[error("{path}, {source}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: SyntaxError,
    },
    /// The repository refused, or isn't there.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

#[cfg(test)]
mod tests;
