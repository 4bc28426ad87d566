//! What clients and `svc.configd` say to each other: one request, one response, in order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fmri::Fmri;
use crate::value::{Groups, PropType, PropertyGroup};

/// Which state of an entity is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// What is attached to the entity itself, as edited.
    Direct,
    /// As edited, with what an instance inherits from its service, property by property.
    Composed,
    /// The named snapshot of an instance, composed.
    Snapshot(String),
    /// What services see: the `running` snapshot, composed, with the nonpersistent groups as they
    /// are now. Without that snapshot, and for a service, the edited values.
    Running,
}

/// One step of a commit. All of a commit's steps happen, or none does.
///
/// Every step is idempotent: to add what is there, or to delete what isn't, is no error. So a
/// client whose connection broke may say it all again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Refuses the commit if the property group was changed, added or deleted after generation
    /// `since`. Whoever changes what he has read asks for the generation first, then reads, and
    /// commits with this. A commit that would change nothing is never refused, so that it may be
    /// said again.
    Unchanged {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// The latest generation that the client knows.
        since: u64,
    },
    /// Adds a service.
    AddService(Fmri),
    /// Adds an instance, and its service if need be.
    AddInstance(Fmri),
    /// Deletes an instance, or a service with all its instances.
    Delete(Fmri),
    /// Adds a property group; one of that name with another type is an error.
    AddPg {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// The group's type.
        ty: String,
        /// Whether it survives a boot.
        persistent: bool,
    },
    /// Deletes a property group.
    DelPg {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
    },
    /// Sets a property of an existing group, its type included.
    SetProp {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// The property's name.
        prop: String,
        /// The property's type.
        ty: PropType,
        /// The values in any spelling that the type allows.
        values: Vec<String>,
    },
    /// Deletes a property.
    DelProp {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// The property's name.
        prop: String,
    },
    /// Takes a snapshot of what is edited now, after the steps before this one.
    Snapshot {
        /// The instance.
        fmri: Fmri,
        /// The snapshot's name.
        name: String,
    },
    /// Makes snapshot `to` the same as snapshot `from`.
    CopySnapshot {
        /// The instance.
        fmri: Fmri,
        /// An existing snapshot.
        from: String,
        /// The snapshot to make or replace.
        to: String,
    },
    /// Stores a snapshot of given content.
    PutSnapshot {
        /// The instance.
        fmri: Fmri,
        /// The snapshot's name.
        name: String,
        /// What it holds.
        content: Snapshot,
    },
}

/// What a snapshot of an instance holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The groups attached to the instance.
    pub instance: Groups,
    /// The groups attached to its service.
    pub service: Groups,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Changed {
    /// The service or instance.
    pub fmri: Fmri,
    /// The property group, or `None` if the entity itself was added or deleted.
    pub pg: Option<String>,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// All instances.
    Instances,
    /// All services.
    Services,
    /// The property groups of an entity.
    Groups {
        /// The service or instance.
        fmri: Fmri,
        /// Which state of it.
        view: View,
    },
    /// One property group of an entity.
    Group {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// Which state of it.
        view: View,
    },
    /// One property group of an entity with no more than one property in it.
    Property {
        /// The service or instance.
        fmri: Fmri,
        /// The group's name.
        pg: String,
        /// The property's name.
        prop: String,
        /// Which state of it.
        view: View,
    },
    /// One property group of every instance that has it.
    GroupOfAll {
        /// The group's name.
        pg: String,
        /// The properties that are of interest; all, if none is named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        props: Vec<String>,
        /// Which state of it.
        view: View,
    },
    /// The names of an instance's snapshots.
    Snapshots {
        /// The instance.
        fmri: Fmri,
    },
    /// A snapshot's content.
    ReadSnapshot {
        /// The instance.
        fmri: Fmri,
        /// The snapshot's name.
        name: String,
    },
    /// A backup of the repository, named after its occasion.
    Backup {
        /// The occasion: `manifest_import`, say.
        kind: String,
    },
    /// Changes, atomically.
    Commit {
        /// The steps, in order.
        changes: Vec<Change>,
    },
    /// What changed after a generation; answered when there is something, or when time is up.
    ChangesSince {
        /// The last generation that the client knows.
        generation: u64,
        /// How long to wait in milliseconds; for ever if absent.
        timeout_ms: Option<u64>,
    },
}

/// What `svc.configd` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Services or instances, sorted.
    Entities(Vec<Fmri>),
    /// Property groups of an entity.
    Groups(Groups),
    /// A property group, if there is one.
    Group(Option<PropertyGroup>),
    /// A property group of many instances.
    GroupOfAll(BTreeMap<Fmri, PropertyGroup>),
    /// Names of snapshots, sorted.
    Snapshots(Vec<String>),
    /// A snapshot's content, if there is one of that name.
    Snapshot(Option<Snapshot>),
    /// The commit is on disk; the repository is at this generation.
    Committed {
        /// The commit's generation.
        generation: u64,
    },
    /// The backup is made.
    BackedUp,
    /// What changed.
    Changes {
        /// The repository's generation.
        generation: u64,
        /// What changed; empty if time was up.
        changed: Vec<Changed>,
    },
    /// The request was refused; nothing changed.
    Failed(Failure),
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind, for programs.
    pub code: Code,
    /// One sentence, for people.
    pub message: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No such service, instance, group or snapshot.
    NotFound,
    /// A bad name, type or value, or a malformed request.
    Invalid,
    /// It exists with another type.
    Conflict,
    /// It was changed since the client read it.
    Stale,
    /// The client may not do that.
    Denied,
    /// The repository itself failed (disk full, damaged file).
    Backend,
}

impl Failure {
    /// A refusal of kind `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
