//! What svccfg(8) makes of each element, what is refused and where, and that nothing is lost on
//! the way out and in again.

use proptest::prelude::*;

use super::*;
use crate::fmri::Fmri;
use crate::manifest::tests::{any_groups, any_level};
use crate::manifest::{Instance, Level};
use crate::value::{PropType, Property, PropertyGroup};

const HEAD: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE service_bundle SYSTEM \
    \"/usr/share/lib/xml/dtd/service_bundle.dtd.1\">\n";

/// A manifest of the service `site/a` with `body` inside, which begins on line 4.
fn with(body: &str) -> String {
    format!(
        "{HEAD}<service_bundle type='manifest' name='test'><service name='site/a' version='1' \
         type='service'>\n{body}\n</service></service_bundle>\n"
    )
}

fn read(body: &str) -> Manifest {
    parse_xml(&with(body)).unwrap().services.remove(0)
}

fn refused(body: &str) -> String {
    parse_xml(&with(body)).unwrap_err().to_string()
}

fn group<'l>(level: &'l Level, name: &str) -> &'l PropertyGroup {
    level.groups.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", level.groups.keys()))
}

#[test]
fn every_element_becomes_what_the_repository_knows() {
    let manifest = read(
        "<!-- a comment -->
        <create_default_instance enabled='true'/>
        <single_instance/>
        <restarter><service_fmri value='svc:/network/inetd:default'/></restarter>
        <dependency name='net' grouping='require_any' restart_on='error' type='service'>
          <service_fmri value='svc:/network/a'/><service_fmri value='svc:/network/b:c'/>
          <stability value='Evolving'/><propval name='note' type='astring' value='x'/>
        </dependency>
        <dependent name='a_user' grouping='optional_all' restart_on='none' override='true'>
          <service_fmri value='svc:/milestone/m:default'/>
        </dependent>
        <method_context working_directory='/tmp' project=':default' security_flags='aslr'>
          <method_profile name='Someone'/>
        </method_context>
        <exec_method type='method' name='start' exec='/bin/a &quot;%m&quot;' timeout_seconds='-1'>
          <method_context><method_credential user='root' group='sys' privileges='basic,!proc_exec'/>
            <method_environment><envvar name='A' value='b=c'/></method_environment>
          </method_context>
        </exec_method>
        <property_group name='config' type='application'>
          <stability value='Unstable'/>
          <propval name='n' type='integer' value='0x10' override='true'/>
          <property name='hosts' type='host'><host_list><value_node value='a.b'/>
            <value_node value='::1'/></host_list></property>
          <property name='none' type='astring'/>
        </property_group>
        <property_group name='old' type='application' delete='true'/>
        <instance name='other' enabled='false'/>
        <stability value='Stable'/>
        <template><common_name><loctext xml:lang='C'> the a </loctext>
            <loctext xml:lang='de_DE.UTF-8'>das A</loctext></common_name>
          <documentation><manpage title='a.conf' section='5'/>
            <doc_link name='home page' uri='http://a'/></documentation></template>",
    );
    let level = &manifest.level;
    let general = group(level, "general");
    assert_eq!(general.get("single_instance").unwrap().as_bool(), Some(true));
    assert_eq!(general.first("restarter"), Some("svc:/network/inetd:default"));
    assert_eq!(general.first("entity_stability"), Some("Stable"));
    let net = group(level, "net");
    assert_eq!(net.get("entities").unwrap().values, ["svc:/network/a", "svc:/network/b:c"]);
    assert_eq!((net.first("stability"), net.first("note")), (Some("Evolving"), Some("x")));
    let dependent = &level.dependents["a_user"];
    assert_eq!(dependent.target.to_string(), "svc:/milestone/m:default");
    assert!(dependent.overrides);
    assert_eq!(dependent.group.first("entities"), Some("svc:/site/a"));
    assert_eq!(dependent.group.first("external"), Some("true"));
    assert_eq!(dependent.group.first("type"), Some("service"));
    let context = group(level, "method_context");
    assert_eq!(context.first("use_profile"), Some("true"));
    assert_eq!(context.first("security_flags"), Some("aslr"));
    let start = group(level, "start");
    assert_eq!(start.first("exec"), Some("/bin/a \"%m\""));
    assert_eq!(start.get("timeout_seconds").unwrap().as_count(), Some(u64::MAX));
    assert_eq!(start.first("use_profile"), Some("false"));
    assert_eq!(start.first("environment"), Some("A=b=c"));
    let config = group(level, "config");
    assert_eq!(config.get("n").unwrap().as_integer(), Some(16));
    assert!(level.overrides.contains(&("config".into(), "n".into())));
    assert_eq!(config.get("hosts").unwrap().ty, PropType::Host);
    assert!(config.get("none").unwrap().values.is_empty());
    assert!(level.deletes.contains("old"));
    assert_eq!(group(level, "tm_common_name").first("de_DE_UTF_8"), Some("das A"));
    assert_eq!(group(level, "tm_common_name").first("C"), Some("the a"));
    assert_eq!(group(level, "tm_man_a_conf5").first("manpath"), Some(":default"));
    assert_eq!(group(level, "tm_doc_home_page").first("uri"), Some("http://a"));
    let names: Vec<&str> = manifest.instances.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["default", "other"]);
    assert_eq!(group(&manifest.instances[0].level, "general").first("enabled"), Some("true"));
}

#[test]
fn patterns_and_notifications_are_kept_as_groups() {
    let level = read(
        "<notification_parameters><event value='to-online,maintenance'/>
           <type name='smtp'><parameter name='to'><value_node value='a'/><value_node value='b'/>
           </parameter><paramval name='subject' value='s'/></type>
           <type name='snmp' active='false'/></notification_parameters>
        <template><common_name><loctext xml:lang='C'>a</loctext></common_name>
          <pg_pattern name='config' type='application' target='instance' required='true'>
            <description><loctext xml:lang='C'>settings</loctext></description>
            <prop_pattern name='size' type='count' required='true'>
              <units><loctext xml:lang='C'>MiB</loctext></units><visibility value='readwrite'/>
              <cardinality min='1' max='3'/><internal_separators>,;</internal_separators>
              <values><value name='fo'><common_name><loctext xml:lang='C'>x</loctext></common_name>
              </value></values>
              <constraints><value name='1'/><range min='2' max='0x10'/></constraints>
              <choices><range min='1' max='2'/><include_values type='values'/></choices>
            </prop_pattern></pg_pattern><pg_pattern/></template>",
    )
    .level;
    for name in ["to-online", "to-maintenance", "from-maintenance"] {
        let group = group(&level, name);
        assert_eq!(group.ty, "notify_params");
        assert_eq!(group.get("smtp,to").unwrap().values, ["a", "b"]);
        assert_eq!(group.get("snmp,active").unwrap().as_bool(), Some(false));
    }
    let pattern = group(&level, "tm_pgpatnt_config");
    assert_eq!(pattern.ty, "template_pg_pattern");
    assert_eq!(pattern.first("target"), Some("instance"));
    assert_eq!(pattern.first("description_C"), Some("settings"));
    assert!(level.groups.contains_key("tm_pgpat_"));
    let property = group(&level, "tm_proppat_nt_config_size");
    assert_eq!(property.first("pg_pattern"), Some("tm_pgpatnt_config"));
    assert_eq!(property.get("cardinality_max").unwrap().as_count(), Some(3));
    assert_eq!(property.get("internal_separators").unwrap().values, [",", ";"]);
    assert_eq!(property.first("values_name"), Some("fo"));
    assert_eq!(property.first("value_MZXQ----_common_name_C"), Some("x"));
    assert_eq!(property.first("constraint_range"), Some("2,0x10"));
    assert_eq!(property.first("choices_include_values"), Some("values"));
}

#[test]
fn complaints_name_line_column_and_element() {
    for (body, complaint) in [
        ("<colour/>", "line 4, column 1: <colour>: is not allowed in <service>"),
        ("<instance name='a'/>", "<instance>: attribute enabled is missing"),
        ("<instance name='a' enabled='yes'/>", "attribute enabled is \"yes\""),
        ("<instance name='1' enabled='true'/>", "\"1\" can't be a name"),
        (
            "<create_default_instance enabled='true'/>\n  <instance name='default' enabled='true'/>",
            "line 5, column 3: <instance>: there are two instances \"default\"",
        ),
        (
            "<property_group name='p' type='a'><propval name='x' value='1'/></property_group>",
            "<propval>: attribute type is missing",
        ),
        (
            "<property_group name='p' type='a'>\n <propval name='x' type='colour' value='1'/></property_group>",
            "line 5, column 2: <propval>: Unknown type \"colour\".",
        ),
        (
            "<property_group name='p' type='a'><propval name='x' type='count' value='-1'/></property_group>",
            "<propval>: Invalid \"count\" value \"-1\"",
        ),
        (
            "<property_group name='p' type='a'><property name='x' type='count'><astring_list/></property></property_group>",
            "<property>: property \"x\" is of type count, its list of type astring",
        ),
        (
            "<property_group name='p' type='a'><propval name='x' type='count' value='1'/><propval name='x' type='count' value='1'/></property_group>",
            "<propval>: property \"x\" is given twice",
        ),
        (
            "<property_group name='p' type='a'/><property_group name='p' type='b'/>",
            "property group \"p\" is of type \"a\", not \"b\"",
        ),
        ("<property_group name='p' type='a' color='b'/>", "unknown attribute color"),
        ("<property_group name='p' type='a'>text</property_group>", "text is not allowed here"),
        (
            "<dependency name='d' grouping='some' restart_on='none' type='service'/>",
            "none of require_all",
        ),
        (
            "<dependent name='d' grouping='require_all' restart_on='none'/>",
            "<dependent>: a service_fmri",
        ),
        (
            "<property_group name='d' type='a'/><dependent name='d' grouping='require_all' restart_on='none'><service_fmri value='svc:/x'/></dependent>",
            "a property group and a dependent have the same name \"d\"",
        ),
        (
            "<dependent name='d' grouping='require_all' restart_on='none'><service_fmri value='svc:/x'/></dependent><dependent name='d' grouping='require_all' restart_on='none'><service_fmri value='svc:/y'/></dependent>",
            "there are two dependents \"d\"",
        ),
        (
            "<exec_method type='method' name='start' exec='x' timeout_seconds='soon'/>",
            "timeout_seconds is \"soon\"",
        ),
        (
            "<method_context><method_environment><envvar name='SMF_X' value=''/></method_environment></method_context>",
            "<envvar>:",
        ),
        ("<template><common_name/></template>", "<common_name>: a loctext is expected"),
        (
            "<template><pg_pattern target='delegate'/></template>",
            "only for a pattern of a restarter",
        ),
        ("<template><pg_pattern target='all'/></template>", "svc:/system/svc/global"),
        (
            "<notification_parameters><event value='to-nowhere'/></notification_parameters>",
            "unknown event",
        ),
        (
            "<notification_parameters><event value='problem-diagnosed'/></notification_parameters>",
            "belong to svc:/system/fm",
        ),
        ("<xi:include href='/etc/passwd'/>", "line 4"),
        (
            "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='a'/>",
            "<include>: is not allowed in <service>",
        ),
        ("<unclosed>", "line 5"),
        ("<a b=c/>", "line 4"),
        ("&nothing;", "line 4"),
    ] {
        let error = refused(body);
        assert!(error.contains(complaint), "{body}: {error}");
        assert!(error.starts_with("line "), "{error}");
    }
    for (text, complaint) in [
        ("", "line 1"),
        ("<service/>", "<service>: is not a service_bundle"),
        ("<service_bundle type='x' name='a'/>", "none of manifest, profile, archive"),
        ("<service_bundle type='manifest'/>", "attribute name is missing"),
        (
            "<service_bundle type='manifest' name='a'><service_bundle type='profile' name='b'/></service_bundle>",
            "type differs",
        ),
    ] {
        let error = parse_xml(text).unwrap_err().to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
    let twice = with("</service><service name='site/a' version='1' type='service'>");
    assert!(parse_xml(&twice).unwrap_err().to_string().contains("svc:/site/a is described twice"));
}

#[test]
fn hostile_documents_are_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><a>&b;</a>";
    assert!(parse_xml(bomb).unwrap_err().message.contains("entity declarations"));
    let file = "<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><a>&a;</a>";
    assert!(parse_xml(file).unwrap_err().message.contains("entity declarations"));
    let bundle = "<service_bundle type='manifest' name='a'>";
    let deep = bundle.repeat(100) + &"</service_bundle>".repeat(100);
    assert!(parse_xml(&deep).unwrap_err().message.contains("nested too deeply"));
    let deep = "<a>".repeat(200_000) + &"</a>".repeat(200_000);
    assert!(parse_xml(&deep).is_err());
    let wide = format!("{bundle}{}</service_bundle>", "<service/>".repeat(1 << 20));
    assert!(parse_xml(&wide).unwrap_err().message.contains("more than 1048576"));
    assert!(parse_xml(&" ".repeat(SIZE_MAX + 1)).unwrap_err().message.contains("16 MiB"));
}

#[test]
fn what_is_written_looks_as_on_illumos() {
    let body = "<create_default_instance enabled='false'/>
        <dependency name='b' grouping='require_all' restart_on='none' type='service'>
        <service_fmri value='svc:/b'/></dependency>
        <exec_method type='method' name='start' exec='/bin/a &lt;&apos;&#10;' timeout_seconds='60'>
        <method_context><method_credential user='x'/></method_context></exec_method>
        <property_group name='p' type='application'><property name='l' type='integer'>
        <integer_list><value_node value='1'/><value_node value='2'/></integer_list></property>
        </property_group>";
    let text = to_xml(&Bundle::of(read(body))).unwrap();
    let expected = "<?xml version='1.0'?>
<!DOCTYPE service_bundle SYSTEM '/usr/share/lib/xml/dtd/service_bundle.dtd.1'>
<service_bundle type='manifest' name='export'>
  <service name='site/a' type='service' version='0'>
    <create_default_instance enabled='false'/>
    <dependency name='b' grouping='require_all' restart_on='none' type='service'>
      <service_fmri value='svc:/b'/>
    </dependency>
    <exec_method type='method' name='start' exec='/bin/a &lt;&apos;&#10;' timeout_seconds='60'>
      <method_context>
        <method_credential user='x'/>
      </method_context>
    </exec_method>
    <property_group name='p' type='application'>
      <property name='l' type='integer'>
        <integer_list>
          <value_node value='1'/>
          <value_node value='2'/>
        </integer_list>
      </property>
    </property_group>
  </service>
</service_bundle>
";
    assert_eq!(text, expected);
}

#[test]
fn what_xml_cannot_hold_is_said() {
    let mut manifest = read("");
    let mut group = PropertyGroup::new("application");
    group.props.insert("p".into(), Property::new(PropType::Astring, &["a\u{1}"]).unwrap());
    manifest.level.groups.insert("g".into(), group);
    let error = to_xml(&Bundle::of(manifest)).unwrap_err().to_string();
    assert_eq!(error, "svc:/site/a: XML can't hold the character U+0001 of g/p; TOML can");
}

#[test]
fn a_profile_may_leave_types_out() {
    let text = "<service_bundle type='profile' name='p'><service name='a' version='1' \
        type='service'><instance name='x'><property_group name='g' type='application'>\
        <propval name='p' value='1'/></property_group></instance></service></service_bundle>";
    let profile = parse_xml(text).unwrap();
    assert_eq!(profile.kind, BundleKind::Profile);
    let level = &profile.services[0].instances[0].level;
    assert!(level.untyped.contains(&("g".into(), "p".into())));
    let template = text.replace(
        "<propval",
        "</property_group><template/><property_group name='h' type='i'><propval",
    );
    assert!(parse_xml(&template).unwrap_err().message.contains("can't change the template"));
}

/// An instance of a manifest always says whether it is enabled.
fn any_instance_level() -> impl Strategy<Value = Level> {
    (any_level("svc:/a:default"), any::<bool>()).prop_map(|(mut level, enabled)| {
        let mut general = PropertyGroup::new("framework");
        let enabled = Property { ty: PropType::Boolean, values: vec![enabled.to_string()] };
        general.props.insert("enabled".into(), enabled);
        level.groups.insert("general".into(), general);
        level.deletes.remove("general");
        level.overrides.retain(|(pg, _)| pg != "general");
        level
    })
}

proptest! {
    #[test]
    fn every_manifest_survives_the_round_trip(
        service in any_level("svc:/a"),
        default in any_instance_level(),
        other in any_groups(),
    ) {
        let level = Level { groups: other, ..Level::default() };
        let mut instances = vec![Instance { name: "default".into(), level: default.clone() }];
        let other = Level { groups: [level.groups, default.groups].into_iter().flatten().collect(),
            ..Level::default() };
        instances.push(Instance { name: "other".into(), level: other });
        let service = Manifest { service: Fmri::parse("svc:/a").unwrap(), level: service, instances };
        let bundle = Bundle::of(service);
        let text = to_xml(&bundle).unwrap();
        let back = parse_xml(&text);
        prop_assert_eq!(back.as_ref(), Ok(&bundle), "{}", text);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,40}|(<[a-z]{1,3}( [a-c]='\\PC{0,3}')?/?>|</[a-z]>|&[a-z]{0,3};){0,8}") {
        let _ = parse_xml(&text);
    }
}
