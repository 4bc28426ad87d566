//! From property groups back to `service_bundle` XML. What has the shape of a dependency, a method
//! or a template gets its elements; everything else is a `property_group`. Reading the text back
//! gives the same groups.

use std::collections::BTreeMap;

use super::KINDS;
use super::write::{Node, is_char};
use crate::fmri::Fmri;
use crate::manifest::{Bundle, Dependent, Instance, Level, Manifest, words};
use crate::value::PropType::{Astring, Boolean, Count, Fmri as FmriType, Ustring};
use crate::value::{PropType, Property, PropertyGroup};

/// Where the document type is on illumos.
const HEAD: &str = "<?xml version='1.0'?>
<!DOCTYPE service_bundle SYSTEM '/usr/share/lib/xml/dtd/service_bundle.dtd.1'>
";

/// What XML has no way to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fmri}: XML can't hold the character U+{code:04X} of {pg}/{prop}; TOML can")]
pub struct XmlError {
    /// The service or instance.
    pub fmri: Fmri,
    /// The property group.
    pub pg: String,
    /// The property.
    pub prop: String,
    /// The character.
    pub code: u32,
}

/// `bundle` as XML, valid against service_bundle.dtd.1.
pub fn to_xml(bundle: &Bundle) -> Result<String, XmlError> {
    bundle.services.iter().try_for_each(check)?;
    let kind = KINDS.iter().find(|(kind, _)| *kind == bundle.kind).map_or("manifest", |k| k.1);
    let services = bundle.services.iter().map(service);
    let root = Node::new("service_bundle").with("type", kind).with("name", &bundle.name);
    let mut text = HEAD.to_owned();
    root.containing(services).render(&mut text, 0);
    Ok(text)
}

/// Finds what can't be written.
fn check(manifest: &Manifest) -> Result<(), XmlError> {
    check_level(&manifest.service, &manifest.level)?;
    manifest.instances.iter().try_for_each(|instance| {
        check_level(&manifest.service.with_instance(&instance.name), &instance.level)
    })
}

fn check_level(fmri: &Fmri, level: &Level) -> Result<(), XmlError> {
    let of_dependents = level.dependents.iter().map(|(name, dependent)| (name, &dependent.group));
    for (pg, group) in level.groups.iter().chain(of_dependents) {
        for (prop, property) in &group.props {
            let stranger = property.values.iter().flat_map(|v| v.chars()).find(|c| !is_char(*c));
            if let Some(c) = stranger {
                let (pg, prop) = (pg.clone(), prop.clone());
                return Err(XmlError { fmri: fmri.clone(), pg, prop, code: u32::from(c) });
            }
        }
    }
    Ok(())
}

fn service(manifest: &Manifest) -> Node {
    let ty =
        if manifest.service.service.starts_with("milestone/") { "milestone" } else { "service" };
    let mut parts = Parts::new(&manifest.level);
    let single = parts.take_general("single_instance", Boolean, |value| value == "true");
    let stability = parts.take_general(words::ENTITY_STABILITY, Astring, is_stability);
    let mut default = None;
    let mut instances = Vec::new();
    for instance in &manifest.instances {
        match default_instance(instance) {
            Some(node) => default = Some(node),
            None => instances.push(self::instance(instance)),
        }
    }
    let mut children: Vec<Node> = default.into_iter().collect();
    children.extend(single.map(|_| Node::new("single_instance")));
    let (before, template) = parts.finish();
    children.extend(before);
    children.extend(instances);
    children.extend(stability.map(|value| Node::new("stability").with("value", &value)));
    children.extend(template);
    let head = Node::new("service").with("name", &manifest.service.service);
    head.with("type", ty).with("version", "0").containing(children)
}

/// An instance that is nothing but there, enabled or not.
fn default_instance(instance: &Instance) -> Option<Node> {
    if instance.name != "default" {
        return None;
    }
    let mut parts = Parts::new(&instance.level);
    let enabled = parts.take_enabled();
    let (children, template) = parts.finish();
    let node = Node::new("create_default_instance").with("enabled", &enabled);
    (children.is_empty() && template.is_none()).then_some(node)
}

fn instance(instance: &Instance) -> Node {
    let mut parts = Parts::new(&instance.level);
    let enabled = parts.take_enabled();
    let node = Node::new("instance").with("name", &instance.name).with("enabled", &enabled);
    let (children, template) = parts.finish();
    node.containing(children).containing(template)
}

/// A property group of which some properties have been said already.
#[derive(Clone)]
struct Rest<'l> {
    name: &'l str,
    group: &'l PropertyGroup,
    left: BTreeMap<&'l str, &'l Property>,
    level: &'l Level,
}

impl<'l> Rest<'l> {
    fn new(name: &'l str, group: &'l PropertyGroup, level: &'l Level) -> Self {
        let left = group.props.iter().map(|(name, property)| (name.as_str(), property)).collect();
        Self { name, group, left, level }
    }

    fn is_marked(&self, prop: &str) -> bool {
        let key = (self.name.to_owned(), prop.to_owned());
        self.level.overrides.contains(&key) || self.level.untyped.contains(&key)
    }

    fn is_deleted(&self) -> bool {
        self.level.deletes.contains(self.name)
    }

    /// Takes property `prop` if it is of type `ty` and nothing else has to be said of it.
    fn take(&mut self, prop: &str, ty: PropType) -> Option<&'l Property> {
        let property = *self.left.get(prop)?;
        if property.ty != ty || self.is_marked(prop) {
            return None;
        }
        self.left.remove(prop);
        Some(property)
    }

    /// Takes property `prop` if it also has just one value, which is fit.
    fn take_one(
        &mut self,
        prop: &str,
        ty: PropType,
        fit: impl Fn(&str) -> bool,
    ) -> Option<&'l str> {
        match self.left.get(prop)?.values.as_slice() {
            [value] if fit(value) => self.take(prop, ty)?.first(),
            _ => None,
        }
    }

    /// `stability`, then what is left, as elements.
    fn properties(mut self) -> Vec<Node> {
        let stability = self.take_one(words::STABILITY, Astring, is_stability);
        let stability = stability.map(|value| Node::new("stability").with("value", value));
        let left = self.left.iter().map(|(name, property)| self.property(name, property));
        stability.into_iter().chain(left).collect()
    }

    fn property(&self, name: &str, property: &Property) -> Node {
        let key = (self.name.to_owned(), name.to_owned());
        let typed = |node: Node| match self.level.untyped.contains(&key) {
            true => node,
            false => node.with("type", &property.ty.to_string()),
        };
        let marked = |node: Node| match self.level.overrides.contains(&key) {
            true => node.with("override", "true"),
            false => node,
        };
        if let [value] = property.values.as_slice() {
            let node = typed(Node::new("propval").with("name", name)).with("value", value);
            return marked(node);
        }
        let node = marked(typed(Node::new("property").with("name", name)));
        if property.values.is_empty() {
            return node;
        }
        let values = property.values.iter().map(|v| Node::new("value_node").with("value", v));
        node.containing([Node::new(&format!("{}_list", property.ty)).containing(values)])
    }
}

fn is_stability(value: &str) -> bool {
    words::STABILITIES.contains(&value)
}

/// The elements of a level, sorted as the document type wants them.
#[derive(Default)]
struct Parts<'l> {
    general: Option<Rest<'l>>,
    dependencies: Vec<Node>,
    dependents: Vec<Node>,
    context: Option<Node>,
    methods: Vec<Node>,
    groups: Vec<Node>,
    template: Vec<Rest<'l>>,
}

impl<'l> Parts<'l> {
    fn new(level: &'l Level) -> Self {
        let mut parts = Self::default();
        for (name, group) in &level.groups {
            parts.sort(Rest::new(name, group, level));
        }
        for (name, dependent) in &level.dependents {
            parts.dependents.push(self::dependent(name, dependent, level));
        }
        parts
    }

    fn sort(&mut self, rest: Rest<'l>) {
        match (rest.group.ty.as_str(), rest.name) {
            (words::FRAMEWORK, words::GENERAL) if !rest.is_deleted() => self.general = Some(rest),
            (words::TEMPLATE, _) if !rest.is_deleted() => self.template.push(rest),
            (words::FRAMEWORK, words::METHOD_CONTEXT) => match context_alone(rest.clone()) {
                Some(node) => self.context = Some(node),
                None => self.groups.push(property_group(rest)),
            },
            (words::DEPENDENCY, _) => match dependency(rest.clone()) {
                Some(node) => self.dependencies.push(node),
                None => self.groups.push(property_group(rest)),
            },
            (words::METHOD, _) => match method(rest.clone()) {
                Some(node) => self.methods.push(node),
                None => self.groups.push(property_group(rest)),
            },
            _ => self.groups.push(property_group(rest)),
        }
    }

    /// Takes a property of `general` that has an element or an attribute of its own. A group that
    /// only held that goes with it.
    fn take_general(
        &mut self,
        prop: &str,
        ty: PropType,
        fit: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let rest = self.general.as_mut()?;
        let value = rest.take_one(prop, ty, fit)?.to_owned();
        if rest.left.is_empty() {
            self.general = None;
        }
        Some(value)
    }

    /// Whether an instance is enabled. The attribute is required: what nobody has enabled isn't.
    fn take_enabled(&mut self) -> String {
        let enabled = self.take_general(words::ENABLED, Boolean, |_| true);
        enabled.unwrap_or_else(|| "false".to_owned())
    }

    /// What comes before the instances, and the template, which is last.
    fn finish(mut self) -> (Vec<Node>, Option<Node>) {
        let restarter = self.take_general(words::RESTARTER, FmriType, |_| true);
        let restarter = restarter.map(|fmri| Node::new("restarter").containing([fmri_node(&fmri)]));
        let (template, rest) = template(self.template);
        self.groups.extend(rest.into_iter().map(property_group));
        self.groups.extend(self.general.map(property_group));
        let mut nodes: Vec<Node> = restarter.into_iter().collect();
        nodes.extend(self.dependencies);
        nodes.extend(self.dependents);
        nodes.extend(self.context);
        nodes.extend(self.methods);
        nodes.extend(self.groups);
        (nodes, template)
    }
}

fn fmri_node(fmri: &str) -> Node {
    Node::new("service_fmri").with("value", fmri)
}

fn deleted(node: Node, is_deleted: bool) -> Node {
    if is_deleted { node.with("delete", "true") } else { node }
}

fn property_group(rest: Rest<'_>) -> Node {
    let node = Node::new("property_group").with("name", rest.name).with("type", &rest.group.ty);
    let node = deleted(node, rest.is_deleted());
    node.containing(rest.properties())
}

fn dependency(mut rest: Rest<'_>) -> Option<Node> {
    let grouping = rest.take_one("grouping", Astring, |v| words::GROUPINGS.contains(&v))?;
    let restart_on = rest.take_one("restart_on", Astring, |v| words::RESTART_ON.contains(&v))?;
    let kind = rest.take_one(words::TYPE, Astring, |_| true)?;
    let entities = rest.take(words::ENTITIES, FmriType)?;
    let node = Node::new("dependency").with("name", rest.name).with("grouping", grouping);
    let node = node.with("restart_on", restart_on).with("type", kind);
    let node = deleted(node, rest.is_deleted());
    Some(
        node.containing(entities.values.iter().map(|e| fmri_node(e))).containing(rest.properties()),
    )
}

fn dependent(name: &str, dependent: &Dependent, level: &Level) -> Node {
    // A dependent's properties carry no marks: it is replaced whole.
    let plain = Level::default();
    let mut rest = Rest::new(name, &dependent.group, &plain);
    let mut node = Node::new("dependent").with("name", name);
    for attribute in ["grouping", "restart_on"] {
        let value = rest.take_one(attribute, Astring, |_| true).unwrap_or_default();
        node = node.with(attribute, value);
    }
    for implied in ["entities", "external", words::TYPE] {
        rest.left.remove(implied);
    }
    let mut node = deleted(node, level.deletes.contains(name));
    if dependent.overrides {
        node = node.with("override", "true");
    }
    node.containing([fmri_node(&dependent.target.to_string())]).containing(rest.properties())
}

fn method(mut rest: Rest<'_>) -> Option<Node> {
    let kind = rest.take_one(words::TYPE, Astring, |v| words::METHOD_TYPES.contains(&v))?;
    let exec = rest.take_one(words::EXEC, Astring, |_| true)?;
    let timeout = rest.take_one(words::TIMEOUT, Count, |_| true)?;
    let node = Node::new("exec_method").with("type", kind).with("name", rest.name);
    let node = node.with("exec", exec).with("timeout_seconds", timeout);
    let node = deleted(node, rest.is_deleted());
    let context = context(&mut rest);
    Some(node.containing(context).containing(rest.properties()))
}

/// The group `method_context`, if an element can say all of it.
fn context_alone(mut rest: Rest<'_>) -> Option<Node> {
    let node = context(&mut rest).unwrap_or_else(|| Node::new("method_context"));
    (rest.left.is_empty() && !rest.is_deleted()).then_some(node)
}

/// Takes a method's context, if there is any.
fn context(rest: &mut Rest<'_>) -> Option<Node> {
    let before = rest.left.len();
    let mut node = Node::new("method_context");
    for name in words::CONTEXT_ATTRIBUTES {
        if let Some(value) = rest.take_one(name, Astring, |_| true) {
            node = node.with(name, value);
        }
    }
    let node = node.containing(identity(rest)).containing(environment(rest));
    (rest.left.len() < before).then_some(node)
}

/// As whom a method runs.
fn identity(rest: &mut Rest<'_>) -> Option<Node> {
    let mut taken = rest.clone();
    let node = if taken.take_one(words::USE_PROFILE, Boolean, |_| true)? == "true" {
        let profile = taken.take_one(words::PROFILE, Astring, |_| true)?;
        Node::new("method_profile").with("name", profile)
    } else {
        let mut node = Node::new("method_credential");
        for name in words::CREDENTIAL {
            if let Some(value) = taken.take_one(name, Astring, |_| true) {
                node = node.with(name, value);
            }
        }
        // The one attribute that must be there.
        node.attribute(words::USER)?;
        node
    };
    *rest = taken;
    Some(node)
}

fn environment(rest: &mut Rest<'_>) -> Option<Node> {
    let entries = rest.left.get(words::ENVIRONMENT)?;
    let variables: Option<Vec<Node>> = entries
        .values
        .iter()
        .map(|entry| {
            let (name, value) = words::variable(entry)?;
            Some(Node::new("envvar").with("name", name).with("value", value))
        })
        .collect();
    let variables = variables.filter(|variables| !variables.is_empty())?;
    rest.take(words::ENVIRONMENT, Astring)?;
    Some(Node::new("method_environment").containing(variables))
}

/// The template's element, and the groups that it has no words for.
fn template(groups: Vec<Rest<'_>>) -> (Option<Node>, Vec<Rest<'_>>) {
    let find = |key: &str| {
        let (key, pg) = words::TEXTS.iter().find(|(known, _)| *known == key)?;
        texts(key, groups.iter().find(|rest| rest.name == *pg)?)
    };
    // Without its first element there can't be any.
    let Some(common_name) = find("common_name") else { return (None, groups) };
    let mut children = vec![common_name];
    children.extend(find("description"));
    let said = |name: &str| words::TEXTS.iter().any(|(key, pg)| *pg == name && find(key).is_some());
    let is_said: Vec<bool> = groups.iter().map(|rest| said(rest.name)).collect();
    let mut documents = Vec::new();
    let mut rest = Vec::new();
    for (group, is_said) in groups.into_iter().zip(is_said) {
        match document(group.clone()) {
            Some(node) => documents.push(node),
            None if !is_said => rest.push(group),
            None => {}
        }
    }
    if !documents.is_empty() {
        children.push(Node::new("documentation").containing(documents));
    }
    (Some(Node::new("template").containing(children)), rest)
}

/// The texts of a group, if all of it is texts.
fn texts(element: &str, rest: &Rest<'_>) -> Option<Node> {
    let mut texts = Vec::new();
    for (locale, property) in &rest.left {
        let [text] = property.values.as_slice() else { return None };
        let plain = property.ty == Ustring && !rest.is_marked(locale);
        let same = words::locale(locale) == **locale && text.trim_matches(words::BLANK) == text;
        if !plain || !same || text.is_empty() {
            return None;
        }
        texts.push(Node::new("loctext").with("xml:lang", locale).with_text(text));
    }
    (!texts.is_empty()).then(|| Node::new(element).containing(texts))
}

fn document(mut rest: Rest<'_>) -> Option<Node> {
    let mut take = |prop: &str| rest.take_one(prop, Astring, |_| true);
    let (node, name) = if let Some(title) = take("title") {
        let (section, manpath) = (take("section")?, take("manpath")?);
        let node = Node::new("manpage").with("title", title).with("section", section);
        (node.with("manpath", manpath), words::manpage_group(title, section))
    } else {
        let (name, uri) = (take("name")?, take("uri")?);
        let node = Node::new("doc_link").with("name", name).with("uri", uri);
        (node, words::document_group(name))
    };
    (rest.name == name && rest.left.is_empty()).then_some(node)
}
