//! Manifests in and out, and what an import does to an administrator's changes.

use proptest::prelude::*;

use super::merge::merge;
use super::*;
use crate::repo::Change;
use crate::value::{PropType, Property, PropertyGroup};

const XEND: &str = r#"
service = "system/xvm/xend"

[template]
common_name = "Xen control daemon"
manpages = [{ title = "xend", section = "8" }]

[dependency.store]
grouping = "require_all"
restart_on = "restart"
entities = ["svc:/system/xvm/store"]

[dependency.config-file]
grouping = "require_all"
restart_on = "none"
type = "path"
entities = ["file://localhost/etc/xen"]

[method.start]
exec = "/lib/svc/method/xend start"
timeout_seconds = 60
user = "root"

[method.stop]
exec = ":kill"
timeout_seconds = 60

[group.config.property]
default-nic = ""
dom0-min-mem = 196
enable-dump = false
hosts = ["a b", "c"]
port = { type = "count", value = 8002, override = true }
none = { type = "astring", value = [] }

[instance.default]
enabled = true
"#;

#[test]
fn a_manifest_becomes_property_groups() {
    let manifest = parse(XEND).unwrap();
    assert_eq!(manifest.service.to_string(), "svc:/system/xvm/xend");
    let groups = &manifest.level.groups;
    assert_eq!(groups["tm_common_name"].first("C"), Some("Xen control daemon"));
    assert_eq!(groups["tm_man_xend8"].first("manpath"), Some("/usr/share/man"));
    assert_eq!(groups["store"].ty, "dependency");
    assert_eq!(groups["store"].first("type"), Some("service"));
    assert_eq!(groups["config-file"].first("type"), Some("path"));
    assert_eq!(groups["start"].first("timeout_seconds"), Some("60"));
    assert_eq!(groups["start"].first("user"), Some("root"));
    let config = &groups["config"];
    assert_eq!(config.ty, "application");
    assert_eq!(config.get("dom0-min-mem").unwrap().as_integer(), Some(196));
    assert_eq!(config.get("enable-dump").unwrap().as_bool(), Some(false));
    assert_eq!(config.get("hosts").unwrap().values, ["a b", "c"]);
    assert_eq!(config.get("port").unwrap().as_count(), Some(8002));
    assert!(config.get("none").unwrap().values.is_empty());
    assert!(manifest.level.overrides.contains(&("config".into(), "port".into())));
    let instance = &manifest.instances[0];
    assert_eq!(instance.level.groups["general"].first("enabled"), Some("true"));
}

#[test]
fn complaints_name_the_place() {
    for (text, complaint) in [
        ("", "line 1, column 1: \"service\" is missing"),
        ("service = 5", "line 1, column 11: a string is expected, not an integer"),
        ("service = \"a b\"", "a service name such as"),
        ("service = \"a\"\ncolour = 1", "line 2, column 1: unknown key \"colour\""),
        ("service = \"a\"\n[method.start]\nexec = \"x\"", "\"timeout_seconds\" is missing"),
        (
            "service = \"a\"\n[method.start]\nexec = \"x\"\ntimeout_seconds = -1",
            "Invalid \"count\"",
        ),
        ("service = \"a\"\n[dependency.d]\ngrouping = \"some\"", "\"some\" is none of require_all"),
        ("service = \"a\"\n[group.g.property]\np = 1.5", "line 3, column 5: a string, a whole"),
        ("service = \"a\"\n[group.g.property]\np = [1, \"x\"]", "Invalid \"integer\" value \"x\""),
        ("service = \"a\"\n[group.g.property]\np = []", "an empty list needs a type"),
        (
            "service = \"a\"\n[group.g.property]\np = { type = \"colour\", value = 1 }",
            "Unknown type",
        ),
        ("service = \"a\"\n[group.g.property]\np = { type = \"host\", value = 1 }", "type host"),
        ("service = \"a\"\n[group.\"a/b\"]", "can't be a name"),
        ("service = \"a\"\n[instance.\"1\"]", "can't be a name"),
        (
            "service = \"a\"\n[group.start]\n[method.start]\nexec=\"x\"\ntimeout_seconds=1",
            "two property",
        ),
        ("service = \"a\"\nservice = \"b\"", "line 2"),
        ("service = \"a", "line 1"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text:?}: {error}");
    }
}

#[test]
fn a_dependency_takes_only_entities_of_its_kind() {
    let with = |kind: &str, entity: &str| {
        parse(&format!(
            "service = \"a\"\n[dependency.d]\ngrouping = \"require_all\"\nrestart_on = \"none\"\n\
             type = \"{kind}\"\nentities = [\"{entity}\"]"
        ))
    };
    assert!(with("service", "svc:/b:c").is_ok());
    assert!(with("path", "file:/etc/x").is_ok());
    assert!(with("service", "file:/etc/x").is_err());
    assert!(with("service", "svc:/b c").is_err());
    assert!(with("path", "svc:/b").is_err());
}

#[test]
fn what_is_exported_is_read_back() {
    let manifest = parse(XEND).unwrap();
    let text = to_toml(&manifest);
    assert_eq!(parse(&text).unwrap(), manifest, "{text}");
    for section in ["[dependency.store]", "[method.start]", "[template]", "[instance.default]"] {
        assert!(text.contains(section), "{text}");
    }
}

fn fmri() -> Fmri {
    Fmri::parse("svc:/a").unwrap()
}

fn config(props: &[(&str, &str)]) -> Groups {
    let mut group = PropertyGroup::new("application");
    for (name, value) in props {
        group.props.insert((*name).into(), Property::new(PropType::Astring, &[value]).unwrap());
    }
    Groups::from([("config".to_owned(), group)])
}

fn level(groups: Groups) -> Level {
    Level { groups, ..Level::default() }
}

/// What `changes` make of `groups`.
pub fn apply(groups: &Groups, changes: &[Change]) -> Groups {
    let mut groups = groups.clone();
    for change in changes {
        match change.clone() {
            Change::AddPg { pg, ty, .. } => {
                groups.entry(pg).or_insert_with(|| PropertyGroup::new(&ty));
            }
            Change::DelPg { pg, .. } => {
                groups.remove(&pg);
            }
            Change::SetProp { pg, prop, ty, values, .. } => {
                groups.get_mut(&pg).unwrap().props.insert(prop, Property { ty, values });
            }
            Change::DelProp { pg, prop, .. } => {
                groups.get_mut(&pg).unwrap().props.remove(&prop);
            }
            other => panic!("{other:?}"),
        }
    }
    groups
}

#[test]
fn an_upgrade_takes_what_nobody_touched() {
    let base = config(&[("a", "1"), ("b", "1"), ("c", "1"), ("gone", "1")]);
    let current =
        config(&[("a", "1"), ("b", "local"), ("c", "local"), ("gone", "1"), ("own", "x")]);
    let new = config(&[("a", "2"), ("b", "1"), ("c", "2"), ("new", "2")]);
    let merged = merge(&fmri(), &base, &current, &level(new));
    let expected =
        config(&[("a", "2"), ("b", "local"), ("c", "local"), ("new", "2"), ("own", "x")]);
    assert_eq!(apply(&current, &merged.changes), expected);
    assert_eq!(
        merged.conflicts,
        ["config/c of svc:/a was changed here; the manifest's new one is not taken"]
    );
}

#[test]
fn an_override_wins_and_the_administrators_own_never_change() {
    let current = config(&[("a", "local")]);
    let mut new = level(config(&[("a", "2")]));
    new.overrides.insert(("config".into(), "a".into()));
    let merged = merge(&fmri(), &config(&[("a", "1")]), &current, &new);
    assert_eq!(apply(&current, &merged.changes), new.groups);
    let general = |value: &str| {
        let mut group = PropertyGroup::new("framework");
        group.props.insert("enabled".into(), Property::new(PropType::Boolean, &[value]).unwrap());
        Groups::from([("general".to_owned(), group)])
    };
    let base = general("false");
    assert!(merge(&fmri(), &base, &base, &level(general("true"))).changes.is_empty());
}

#[test]
fn whole_groups_come_and_go() {
    let (empty, one) = (Groups::new(), config(&[("a", "1")]));
    assert_eq!(apply(&empty, &merge(&fmri(), &empty, &empty, &level(one.clone())).changes), one);
    assert_eq!(apply(&one, &merge(&fmri(), &one, &one, &level(empty.clone())).changes), empty);
    let edited = config(&[("a", "local")]);
    assert!(merge(&fmri(), &one, &edited, &level(empty.clone())).changes.is_empty());
    assert_eq!(merge(&fmri(), &one, &empty, &level(one.clone())), Default::default());
    let other = level(config(&[("a", "2")]));
    assert_eq!(merge(&fmri(), &one, &empty, &other).conflicts.len(), 1, "deleted here, new there");
}

fn name() -> impl Strategy<Value = String> {
    "[a-c]|[a-z][a-z0-9_.-]{0,5}|start|stop|general|method_context|tm_common_name"
}

fn any_property() -> impl Strategy<Value = Property> {
    prop_oneof![
        prop::collection::vec("\\PC{0,8}|a\n\t\"\\\\", 0..3)
            .prop_map(|values| Property { ty: PropType::Astring, values }),
        any::<i64>().prop_map(|n| Property { ty: PropType::Integer, values: vec![n.to_string()] }),
        any::<u64>().prop_map(|n| Property { ty: PropType::Count, values: vec![n.to_string()] }),
        any::<bool>().prop_map(|b| Property { ty: PropType::Boolean, values: vec![b.to_string()] }),
        Just(Property { ty: PropType::Fmri, values: vec!["svc:/x/y".into()] }),
    ]
}

pub fn any_groups() -> impl Strategy<Value = Groups> {
    let prop_name = prop_oneof![
        name(),
        prop::sample::select(vec!["exec", "timeout_seconds", "type", "enabled", "user", "C"])
            .prop_map(str::to_owned)
    ];
    let ty = prop::sample::select(vec!["application", "framework", "method", "template"]);
    let group = (ty, prop::collection::btree_map(prop_name, any_property(), 0..4)).prop_map(
        |(ty, props)| PropertyGroup {
            ty: ty.to_owned(),
            persistent: true,
            props,
            concealed: false,
        },
    );
    prop::collection::btree_map(name(), group, 0..5)
}

/// Groups, marks of all kinds, and dependents of `fmri`.
pub fn any_level(fmri: &'static str) -> impl Strategy<Value = Level> {
    let word = |words: &'static [&'static str]| prop::sample::select(words);
    let extra = prop::collection::btree_map("[x-z]{1,3}", any_property(), 0..2);
    let dependent = (word(&words::GROUPINGS), word(&words::RESTART_ON), extra, any::<bool>())
        .prop_map(move |(grouping, restart_on, extra, overrides)| {
            let mut group = words::dependent_group(&Fmri::parse(fmri).unwrap());
            group.props.extend(extra);
            for (name, value) in [("grouping", grouping), ("restart_on", restart_on)] {
                let value = Property { ty: PropType::Astring, values: vec![value.into()] };
                group.props.insert(name.into(), value);
            }
            Dependent { target: Fmri::parse("svc:/x/y:z").unwrap(), group, overrides }
        });
    let dependents = prop::collection::btree_map("dependent-[a-c]", dependent, 0..3);
    let marks = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (any_groups(), dependents, marks.clone(), marks).prop_map(|(groups, dependents, over, del)| {
        let mut level = Level { groups, dependents, ..Level::default() };
        let names: Vec<String> =
            level.groups.keys().chain(level.dependents.keys()).cloned().collect();
        let props = level
            .groups
            .iter()
            .flat_map(|(pg, group)| group.props.keys().map(move |prop| (pg.clone(), prop.clone())));
        let props: Vec<(String, String)> = props.collect();
        if !props.is_empty() {
            level.overrides = over.iter().map(|mark| mark.get(&props).clone()).collect();
        }
        if !names.is_empty() {
            level.deletes = del.iter().map(|mark| mark.get(&names).clone()).collect();
        }
        level
    })
}

fn small_groups() -> impl Strategy<Value = Groups> {
    let value = "[12]".prop_map(|v| Property { ty: PropType::Astring, values: vec![v] });
    let group = prop::collection::btree_map("[a-c]", value, 0..4).prop_map(|props| PropertyGroup {
        ty: "application".into(),
        persistent: true,
        props,
        concealed: false,
    });
    prop::collection::btree_map("[pq]", group, 0..3)
}

proptest! {
    #[test]
    fn every_manifest_survives_the_round_trip(
        level in any_level("svc:/a"),
        instance in any_level("svc:/a:default"),
    ) {
        let manifest = Manifest {
            service: fmri(),
            level,
            instances: vec![Instance { name: "default".into(), level: instance }],
        };
        let text = to_toml(&manifest);
        let back = parse(&text);
        prop_assert_eq!(back.as_ref(), Ok(&manifest), "{}", text);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,60}|(\\[[a-z.]{1,12}\\]\n|[a-z]{1,8} = [0-9\"{}\\[\\]a]{1,5}\n){0,6}") {
        let _ = parse(&text);
    }

    /// Where only one side changed something, that side has its way.
    #[test]
    fn a_merge_keeps_both_sides_changes(base in small_groups(), current in small_groups(), new in small_groups()) {
        let merged = merge(&fmri(), &base, &current, &level(new.clone()));
        let result = apply(&current, &merged.changes);
        let find = |groups: &Groups, pg: &str, prop: &str| groups.get(pg).and_then(|g| g.get(prop)).cloned();
        for pg in ["p", "q"] {
            if [&base, &current, &new].iter().any(|groups| !groups.contains_key(pg)) {
                continue;
            }
            for prop in ["a", "b", "c"] {
                let (b, c, n) = (find(&base, pg, prop), find(&current, pg, prop), find(&new, pg, prop));
                let expected = if c == b { &n } else { &c };
                prop_assert_eq!(&find(&result, pg, prop), expected);
            }
        }
        // The next import of the same manifest has nothing left to do.
        let again = merge(&fmri(), &new, &result, &level(new.clone()));
        prop_assert!(again.changes.is_empty(), "{:?}", again.changes);
    }
}
