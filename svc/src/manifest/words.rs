//! The words that manifests have for property groups of fixed shape (service_bundle(5)): which
//! group and which properties stand for a dependency, a method, a template.

use crate::fmri::{Fmri, NAME_MAX};
use crate::value::PropType::{self, Astring, Count};
use crate::value::{Property, PropertyGroup};

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

/// Properties of `general`.
pub const ENABLED: &str = "enabled";
/// Who starts and stops an instance.
pub const RESTARTER: &str = "restarter";
/// How dependable the interfaces of a service are: in `general`, and in any other group.
pub const ENTITY_STABILITY: &str = "entity_stability";
/// See [`ENTITY_STABILITY`].
pub const STABILITY: &str = "stability";
/// The values of both.
pub const STABILITIES: [&str; 6] =
    ["Standard", "Stable", "Evolving", "Unstable", "External", "Obsolete"];

/// Whom a dependency is on.
pub const ENTITIES: &str = "entities";
/// Who puts which dependency on whom: a group with a property for each, named after it.
pub const DEPENDENTS: &str = "dependents";
/// Marks a dependency that another service's manifest has put there.
pub const EXTERNAL: &str = "external";

/// What a method's context can hold, in `method_context` or in a method's own group, besides the
/// identity and the environment.
pub const CONTEXT_ATTRIBUTES: [&str; 4] =
    ["working_directory", "project", "resource_pool", "security_flags"];
/// As whom a method runs, if not as a profile says.
pub const CREDENTIAL: [&str; 5] = [USER, "group", "supp_groups", "privileges", "limit_privileges"];
/// The one of them that must be there.
pub const USER: &str = "user";
/// Whether [`PROFILE`] counts, or [`CREDENTIAL`].
pub const USE_PROFILE: &str = "use_profile";
/// The profile that says as whom a method runs.
pub const PROFILE: &str = "profile";
/// The variables of a method, `NAME=value` each.
pub const ENVIRONMENT: &str = "environment";
/// What a method may use, `NAME=value` each. Not among the words of XML.
pub const LIMITS: &str = "limits";

/// What a method is: it is executed once, or it watches.
pub const METHOD_TYPES: [&str; 2] = [METHOD, "monitor"];
/// What is executed.
pub const EXEC: &str = "exec";
/// How long that may take.
pub const TIMEOUT: &str = "timeout_seconds";
/// The properties of a method's group besides its context.
pub const METHOD_PROPERTIES: [(&str, PropType); 2] = [(EXEC, Astring), (TIMEOUT, Count)];

/// The two texts of a template: key, group.
pub const TEXTS: [(&str, &str); 2] =
    [("common_name", "tm_common_name"), ("description", "tm_description")];

/// The property that says what the kind of a dependency's entities or of a method is.
pub const TYPE: &str = "type";
/// The kinds of dependencies.
pub const DEPENDENCY_TYPES: [&str; 2] = ["service", "path"];

/// Where manual pages are looked for if a manifest doesn't say.
pub const DEFAULT_MANPATH: &str = "/usr/share/man";

/// What surrounds a text in a file without belonging to it.
pub const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// The group of a manual page.
pub fn manpage_group(title: &str, section: &str) -> String {
    label("tm_man_", &format!("{title}{section}"))
}

/// The group of another document.
pub fn document_group(name: &str) -> String {
    label("tm_doc_", name)
}

/// A group's name made of any text. Of a long one the beginning and the end remain.
fn label(prefix: &str, text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = format!("{prefix}{text}").chars().map(safe).collect();
    let half = (NAME_MAX - 2) / 2;
    if name.len() <= NAME_MAX {
        return name;
    }
    format!("{}__{}", &name[..half], &name[name.len() - half..])
}

/// The name of the property for texts of a locale.
pub fn locale(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The name and the value of an entry of [`ENVIRONMENT`], if a method may have it: what begins
/// with `SMF_` is the restarter's.
pub fn variable(entry: &str) -> Option<(&str, &str)> {
    entry.split_once('=').filter(|(name, _)| !name.is_empty() && !name.starts_with("SMF_"))
}

/// The group that a dependent of `on` gets, without what differs from one to the other.
pub fn dependent_group(on: &Fmri) -> PropertyGroup {
    let mut group = PropertyGroup::new(DEPENDENCY);
    let mut set = |name: &str, ty, value: String| {
        group.props.insert(name.to_owned(), Property { ty, values: vec![value] });
    };
    set(ENTITIES, PropType::Fmri, on.to_string());
    set(TYPE, Astring, DEPENDENCY_TYPES[0].to_owned());
    set(EXTERNAL, PropType::Boolean, true.to_string());
    group
}
