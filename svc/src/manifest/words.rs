//! The words that manifests have for property groups of fixed shape (service_bundle(5)): which
//! group and which properties stand for a dependency, a method, a template.

use crate::value::PropType::{self, Astring, Count};

/// Groups that hold what is set per instance or service by a plain key.
pub const GENERAL: &str = "general";
/// Where a service waits for others: the type of the groups.
pub const DEPENDENCY: &str = "dependency";
/// How a service is started and stopped: the type of the groups, and a property's value.
pub const METHOD: &str = "method";
/// The user, folder and so on for all methods.
pub const METHOD_CONTEXT: &str = "method_context";
/// The type of groups that the framework reads.
pub const FRAMEWORK: &str = "framework";
/// The type of groups that describe a service to people.
pub const TEMPLATE: &str = "template";
/// The type of groups that the service itself reads.
pub const APPLICATION: &str = "application";
/// The locale of the texts in a manifest.
pub const LOCALE: &str = "C";

/// How a dependency's entities count (smf(7)).
pub const GROUPINGS: [&str; 4] = ["require_all", "require_any", "optional_all", "exclude_all"];
/// Which events of a dependency stop the dependent.
pub const RESTART_ON: [&str; 4] = ["none", "error", "restart", "refresh"];

/// What a method's context can hold, in `method_context` or in a method's own group.
pub const CONTEXT: [&str; 8] = [
    "user",
    "group",
    "supp_groups",
    "privileges",
    "limit_privileges",
    "working_directory",
    "environment",
    "limits",
];

/// The properties of a method's group besides its context.
pub const METHOD_PROPERTIES: [(&str, PropType); 2] =
    [("exec", Astring), ("timeout_seconds", Count)];

/// The two texts of a template: key, group.
pub const TEXTS: [(&str, &str); 2] =
    [("common_name", "tm_common_name"), ("description", "tm_description")];

/// The property that says what the kind of a dependency's entities or of a method is.
pub const TYPE: &str = "type";
/// The kinds of dependencies.
pub const DEPENDENCY_TYPES: [&str; 2] = ["service", "path"];

/// Where manual pages are looked for if a manifest doesn't say.
pub const DEFAULT_MANPATH: &str = "/usr/share/man";

/// The group of a manual page.
pub fn manpage_group(title: &str, section: &str) -> String {
    format!("tm_man_{title}{section}")
}

/// The group of another document.
pub fn document_group(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    format!("tm_doc_{}", name.chars().map(safe).collect::<String>())
}
