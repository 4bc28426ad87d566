//! An instance's description: property groups in, what the engine and the runner need out.

use std::path::PathBuf;
use std::time::Duration;

use super::context::{Context, PLAIN};
use super::engine::{self, Backoff, Dependency, Entity, Grouping, Method, Model, RestartOn};
use crate::fmri::Fmri;
use crate::value::{Groups, PropertyGroup};

/// Faults within the period that are borne, and the period (svc.startd(8)).
const FAILURE_COUNT: usize = 10;
const FAILURE_PERIOD: Duration = Duration::from_secs(600);

/// What is tried for ever waits this long after its first failure, and at most that long.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(300);

/// The method that checks a service, beside those that change its state.
pub(crate) const CHECK: &str = "check";
/// Unless `startd/check_period` and `startd/check_failures` say something else.
const CHECK_PERIOD: Duration = Duration::from_secs(30);
const CHECK_FAILURES: u64 = 3;

/// How a method is run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodSpec {
    /// The command, with tokens.
    pub exec: String,
    /// How long it may take; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Who runs it, where, and with what; `None` if nothing is said of that.
    pub context: Option<Box<Context>>,
}

impl MethodSpec {
    /// Who runs it, where, and with what.
    pub(crate) fn context(&self) -> &Context {
        self.context.as_deref().unwrap_or(&PLAIN)
    }
}

/// The methods that change a service's state, as far as there are any. There are many services, so
/// they are not kept in a map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Methods([Option<Box<MethodSpec>>; 3]);

impl Methods {
    fn read(groups: &Groups) -> Self {
        let all = [Method::Start, Method::Stop, Method::Refresh];
        Self(all.map(|method| method_spec(groups, method.name()).map(Box::new)))
    }

    /// How a method is run, if it is there.
    pub fn get(&self, method: Method) -> Option<&MethodSpec> {
        self.0[method as usize].as_deref()
    }
}

/// A method that tells whether the service is well, beside the fact that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Any exit status but 0 is a failure.
    pub method: MethodSpec,
    /// How long after one check the next begins.
    pub period: Duration,
    /// This many failures in a row are a fault.
    pub failures: u64,
}

/// Everything about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What the engine needs.
    pub config: engine::Config,
    /// The methods there are.
    pub methods: Methods,
    /// How it is checked, if it is.
    pub check: Option<Box<Check>>,
    /// Core dumps are no faults.
    pub ignore_core: bool,
    /// Signals are no faults.
    pub ignore_signal: bool,
    /// A method that timed out may be tried again.
    pub timeout_retry: bool,
    /// The property groups themselves, if a method has tokens that stand for properties.
    pub groups: Groups,
}

/// Reads a description. `groups` is the running view; `enabled` what counts at the moment.
pub fn read(groups: Groups, enabled: bool) -> Description {
    let startd = groups.get("startd");
    let first = |name: &str| startd.and_then(|group| group.first(name));
    let model = match first("duration") {
        Some("transient") => Model::Transient,
        Some("child" | "wait") => Model::Child,
        _ => Model::Contract,
    };
    let ignored = first("ignore_error").unwrap_or_default();
    let ignores = |what: &str| ignored.split(',').any(|word| word.trim() == what);
    let number = |name: &str| first(name).and_then(|text| text.parse::<u64>().ok());
    let millis = |name: &str, assumed: Duration| {
        number(name).map_or(assumed, Duration::from_secs).as_millis() as u64
    };
    let backoff = Backoff {
        first: millis("retry_delay", RETRY_DELAY),
        limit: millis("retry_delay_max", RETRY_DELAY_MAX),
    };
    let (dependencies, invalid) = dependencies(&groups);
    let methods = Methods::read(&groups);
    let check = method_spec(&groups, CHECK).map(|method| {
        let period = number("check_period").map_or(CHECK_PERIOD, Duration::from_secs);
        let failures = number("check_failures").unwrap_or(CHECK_FAILURES).max(1);
        Box::new(Check { method, period, failures })
    });
    let config = engine::Config {
        enabled,
        dependencies,
        model,
        has_refresh: methods.get(Method::Refresh).is_some(),
        failure_count: number("critical_failure_count").map_or(FAILURE_COUNT, |n| n as usize),
        failure_period: millis("critical_failure_period", FAILURE_PERIOD),
        manager: engine::Manager::Master,
        invalid,
        retry: (first("retry_forever") == Some("true")).then_some(backoff),
    };
    let (ignore_core, ignore_signal) = (ignores("core"), ignores("signal"));
    let timeout_retry = first("timeout_retry") != Some("false");
    // They are most of what an instance takes in memory, and few need them.
    let execs = methods.0.iter().flatten().map(Box::as_ref);
    let mut execs = execs.chain(check.iter().map(|check| &check.method));
    let uses_properties = execs.any(|spec| spec.exec.contains("%{"));
    let groups = if uses_properties { groups } else { Groups::new() };
    Description { config, methods, check, ignore_core, ignore_signal, timeout_retry, groups }
}

/// The dependency groups, and whether one of them is not understood.
fn dependencies(groups: &Groups) -> (Vec<Dependency>, bool) {
    let mut found = Vec::new();
    let mut invalid = false;
    for (name, group) in groups.iter().filter(|(_, group)| group.ty == "dependency") {
        match dependency(name, group) {
            Some(dependency) => found.push(dependency),
            None => invalid = true,
        }
    }
    (found, invalid)
}

fn dependency(name: &str, group: &PropertyGroup) -> Option<Dependency> {
    let grouping = match group.first("grouping")? {
        "require_all" => Grouping::RequireAll,
        "require_any" => Grouping::RequireAny,
        "optional_all" => Grouping::OptionalAll,
        "exclude_all" => Grouping::ExcludeAll,
        _ => return None,
    };
    let restart_on = match group.first("restart_on")? {
        "none" => RestartOn::None,
        "error" => RestartOn::Error,
        "restart" => RestartOn::Restart,
        "refresh" => RestartOn::Refresh,
        _ => return None,
    };
    let is_path = group.first("type") == Some("path");
    let values = group.get("entities").map(|property| property.values.as_slice());
    let entity = |text: &String| entity(text, is_path);
    let entities = values.unwrap_or_default().iter().map(entity).collect::<Option<_>>()?;
    Some(Dependency { name: name.to_owned(), grouping, restart_on, entities })
}

fn entity(text: &str, is_path: bool) -> Option<Entity> {
    if is_path || text.starts_with("file:") {
        let path = text.strip_prefix("file:").unwrap_or(text);
        let path = path.strip_prefix("//localhost").unwrap_or(path);
        let path = path.trim_start_matches('/');
        return (!path.is_empty()).then(|| Entity::File(PathBuf::from(format!("/{path}"))));
    }
    Fmri::parse(text).ok().map(Entity::Service)
}

fn method_spec(groups: &Groups, name: &str) -> Option<MethodSpec> {
    let group = groups.get(name).filter(|group| group.ty == "method")?;
    // 0 and the deprecated -1 stand for no limit.
    let seconds = group.first("timeout_seconds").and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(MethodSpec {
        exec: group.first("exec")?.to_owned(),
        timeout: (seconds > 0).then(|| Duration::from_secs(seconds)),
        context: Some(Context::read(group, groups.get("method_context")))
            .filter(|context| *context != PLAIN)
            .map(Box::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{PropType, Property};

    fn group(ty: &str, props: &[(&str, &str)]) -> PropertyGroup {
        let mut group = PropertyGroup::new(ty);
        for (name, value) in props {
            let property = Property { ty: PropType::Astring, values: vec![(*value).to_owned()] };
            group.props.insert((*name).to_owned(), property);
        }
        group
    }

    #[test]
    fn groups_become_a_description() {
        let mut groups = Groups::new();
        let store = [("grouping", "require_all"), ("restart_on", "none"), ("entities", "svc:/a/b")];
        groups.insert("store".to_owned(), group("dependency", &store));
        let file = [
            ("grouping", "require_all"),
            ("restart_on", "none"),
            ("type", "path"),
            ("entities", "file://localhost/etc/x"),
        ];
        groups.insert("file".to_owned(), group("dependency", &file));
        let start = [("exec", "/bin/x %m"), ("timeout_seconds", "5"), ("user", "nobody")];
        groups.insert("start".to_owned(), group("method", &start));
        groups.insert("startd".to_owned(), group("framework", &[("duration", "child")]));
        let description = read(groups.clone(), true);
        assert_eq!(description.config.model, Model::Child);
        assert!(!description.config.invalid && !description.config.has_refresh);
        let entities: Vec<_> =
            description.config.dependencies.iter().flat_map(|d| d.entities.clone()).collect();
        let service = Entity::Service(Fmri::parse("svc:/a/b").unwrap());
        assert_eq!(entities, [Entity::File("/etc/x".into()), service]);
        let spec = description.methods.get(Method::Start).unwrap();
        assert_eq!(spec.timeout, Some(Duration::from_secs(5)));
        assert_eq!(spec.context().user.as_deref(), Some("nobody"));
        assert_eq!(description.check, None);
        groups.insert("check".to_owned(), group("method", &[("exec", "/bin/x")]));
        let check = read(groups.clone(), true).check.unwrap();
        assert_eq!((check.period, check.failures), (CHECK_PERIOD, CHECK_FAILURES));
        let startd = [("check_period", "5"), ("check_failures", "0")];
        groups.insert("startd".to_owned(), group("framework", &startd));
        let check = read(groups.clone(), true).check.unwrap();
        assert_eq!((check.period, check.failures), (Duration::from_secs(5), 1));
        groups.insert("bad".to_owned(), group("dependency", &[("grouping", "some")]));
        assert!(read(groups, true).config.invalid);
    }
}
