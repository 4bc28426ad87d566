//! Manifests and profiles: what a service is, in XML as on illumos (`xml`) or in TOML (`parse`,
//! `export`), and how it gets into the repository and out.
//!
//! A manifest is read into property groups, which is all that the repository knows; the words
//! for dependencies, methods and so on are in `words`. Import is a three-way merge, so that an
//! administrator's changes survive a new version of the file. The format: docs/manifest-format.md.

mod custom;
mod dependents;
mod export;
mod folder;
mod import;
mod merge;
mod parse;
mod profile;
mod reader;
mod restore;
mod words;
mod xml;

pub use custom::Customised;
pub use dependents::withdraw;
pub use export::{from_repo, profile_to_toml, to_toml};
pub use folder::{Report, cleanup, files, forget, import_new, load};
pub use import::import;
pub use parse::{parse, parse_bundle};
pub use profile::{Applied, Layer, apply, extract};
pub use reader::SyntaxError;
pub use restore::restore;
pub(crate) use xml::pattern::encode32;
pub use xml::{XmlError, parse_xml, to_xml};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::fmri::Fmri;
use crate::repo::RepoError;
use crate::value::{Groups, PropertyGroup, ValueError};

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
    /// The dependencies that this puts on others, by name.
    pub dependents: BTreeMap<String, Dependent>,
    /// Which of the groups and dependents are there to be deleted from the repository.
    pub deletes: BTreeSet<String>,
    /// Group and name of each property that takes the type it has in the repository. Only
    /// profiles may leave a type out.
    pub untyped: BTreeSet<(String, String)>,
}

/// A dependency that a service or an instance puts on another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// Who depends.
    pub target: Fmri,
    /// The property group that the target gets.
    pub group: PropertyGroup,
    /// Whether it replaces even a dependent that an administrator has changed.
    pub overrides: bool,
}

/// What becomes of the values of protected property groups (smf_security(7)) in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// The properties are there without them.
    Omit,
    /// They are written, and who may not read them is refused.
    Include,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// Delivers services.
    Manifest,
    /// Customises services that are there.
    Profile,
    /// A copy of a repository.
    Archive,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it is for.
    pub kind: BundleKind,
    /// Its name, for people.
    pub name: String,
    /// What it says, service by service.
    pub services: Vec<Manifest>,
    /// What it wants read in addition; [`load`] does that.
    pub includes: Vec<Include>,
}

/// A bundle in another file (`xi:include`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The file as it is named: a path or a `file:` URI.
    pub href: String,
    /// It need not be there.
    pub is_optional: bool,
}

impl fmt::Display for BundleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "a manifest",
            Self::Profile => "a profile",
            Self::Archive => "an archive",
        })
    }
}

impl Bundle {
    /// A manifest of one service.
    pub fn of(manifest: Manifest) -> Self {
        let (kind, name) = (BundleKind::Manifest, "export".to_owned());
        Self { kind, name, services: vec![manifest], includes: Vec::new() }
    }

    /// Checks that the file at `path` is what it has to be.
    pub fn expect(&self, expected: BundleKind, path: &Path) -> Result<(), ManifestError> {
        if self.kind == expected {
            return Ok(());
        }
        Err(ManifestError::WrongKind { path: path.to_owned(), found: self.kind, expected })
    }
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
    /// What the file includes can't be had.
    #[error("{path}: included \"{href}\": {why}")]
    Include {
        /// The file that includes.
        path: PathBuf,
        /// What it includes.
        href: String,
        /// A few words.
        why: String,
    },
    /// The file is for something else.
    #[error("{path} is {found}, not {expected}")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: BundleKind,
        /// What it should be.
        expected: BundleKind,
    },
    /// Somebody else has put a dependency of that name there.
    #[error("Could not create \"{name}\" dependency in {target} (already exists).")]
    DependentExists {
        /// The dependent.
        name: String,
        /// Whom it is to be put on.
        target: Fmri,
    },
    /// Profiles customise what manifests have delivered; they don't connect services.
    #[error("a profile can't put the dependent \"{name}\" of {fmri} on another service")]
    DependentInProfile {
        /// The dependent.
        name: String,
        /// Whose it is.
        fmri: Fmri,
    },
    /// A profile's value doesn't fit the type that the property has.
    #[error("{property}: {source}")]
    Value {
        /// The property.
        property: String,
        /// Why not.
        source: ValueError,
    },
    /// The reader may not see the values.
    #[error("Could not read the values of property group \"{pg}\" of {fmri}: permission denied.")]
    Concealed {
        /// The group.
        pg: String,
        /// Whose it is.
        fmri: Fmri,
    },
    /// The file was never imported at boot, or is forgotten already.
    #[error("{0} is not remembered as imported")]
    NotRemembered(PathBuf),
    /// XML can't say it.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The repository refused, or isn't there.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

#[cfg(test)]
mod tests;
