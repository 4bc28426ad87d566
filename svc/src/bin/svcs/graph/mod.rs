//! `svcs -G`: what depends on what, with states, as text, for Graphviz, or as a picture.

mod dot;
mod layout;
mod svg;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::restarter::engine::{Entity, Grouping};
use svc::state::State;

pub use dot::dot;
pub use svg::svg;
pub use text::text;

/// How the graph is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Dot,
    Svg,
}

impl Format {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "dot" => Some(Self::Dot),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

/// Something that others depend on, or that depends on others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its FMRI.
    pub name: String,
    /// As in column STATE; `present` or `absent` for a file.
    pub state: String,
    /// For the eye.
    pub color: &'static str,
}

/// That one depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The number of the dependent.
    pub from: usize,
    /// The number of what it depends on.
    pub to: usize,
    /// How the dependency counts.
    pub grouping: Grouping,
}

/// Who depends on whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// In the order of names.
    pub nodes: Vec<Node>,
    /// In the order of dependents.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// The instances in `chosen`, and all that they need.
    pub fn new(host: &Host, chosen: &BTreeSet<Fmri>) -> Self {
        let mut needs: BTreeMap<String, Vec<(String, Grouping)>> = BTreeMap::new();
        let mut open: Vec<&Fmri> = chosen.iter().collect();
        while let Some(fmri) = open.pop() {
            let name = fmri.to_string();
            let Some(instance) = host.instances.get(fmri).filter(|_| !needs.contains_key(&name))
            else {
                continue;
            };
            let mut targets = Vec::new();
            for group in &instance.dependencies {
                for entity in &group.entities {
                    let (names, next) = meant(host, entity);
                    targets.extend(names.into_iter().map(|name| (name, group.grouping)));
                    open.extend(next);
                }
            }
            needs.insert(name, targets);
        }
        let targets = needs.values().flatten().map(|(name, _)| name);
        let names: BTreeSet<&String> = needs.keys().chain(targets).collect();
        let numbers: BTreeMap<&String, usize> =
            names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let edges = needs.iter().flat_map(|(from, targets)| {
            let numbers = &numbers;
            targets.iter().map(move |(to, grouping)| Edge {
                from: numbers[from],
                to: numbers[to],
                grouping: *grouping,
            })
        });
        let edges = edges.collect();
        Self { nodes: names.into_iter().map(|name| node(host, name)).collect(), edges }
    }

    /// What a node depends on.
    pub fn needs(&self, node: usize) -> impl Iterator<Item = &Edge> {
        let start = self.edges.partition_point(|edge| edge.from < node);
        self.edges[start..].iter().take_while(move |edge| edge.from == node)
    }
}

/// The names of what an entity stands for, and the instances among it.
fn meant<'a>(host: &'a Host, entity: &'a Entity) -> (Vec<String>, Vec<&'a Fmri>) {
    match entity {
        Entity::File(path) => (vec![format!("file://localhost{}", path.display())], Vec::new()),
        Entity::Service(name) => {
            let instances: Vec<&Fmri> = host.named(name).map(|(fmri, _)| fmri).collect();
            match instances.is_empty() {
                true => (vec![name.to_string()], instances),
                false => (instances.iter().map(|fmri| fmri.to_string()).collect(), instances),
            }
        }
    }
}

fn node(host: &Host, name: &str) -> Node {
    let instance = Fmri::parse(name).ok().and_then(|fmri| host.instances.get(&fmri));
    let (state, color) = match (instance, name.strip_prefix("file://localhost")) {
        (Some(instance), _) => look(instance),
        (None, Some(path)) if host.has_file(path.as_ref()) => ("present".to_owned(), "#b7e1b0"),
        (None, _) => ("absent".to_owned(), "#ffffff"),
    };
    Node { name: name.to_owned(), state, color }
}

fn look(instance: &Instance) -> (String, &'static str) {
    let color = match instance.state() {
        Some(State::Online) => "#b7e1b0",
        Some(State::Degraded) => "#e6e08a",
        Some(State::Offline) => "#a9cdf0",
        Some(State::Maintenance) => "#f2a49c",
        Some(State::Disabled) => "#d5d5d5",
        Some(State::Uninitialized) | None => "#f0e6fa",
    };
    let star = if instance.next_state().is_some() { "*" } else { "" };
    let state = instance.state().map_or("uninitialized", State::name);
    (format!("{state}{star}"), color)
}

/// A grouping's name.
pub fn grouping_name(grouping: Grouping) -> &'static str {
    match grouping {
        Grouping::RequireAll => "require_all",
        Grouping::RequireAny => "require_any",
        Grouping::OptionalAll => "optional_all",
        Grouping::ExcludeAll => "exclude_all",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};

    pub(super) fn graph(sample: Sample, chosen: &[&str]) -> Graph {
        let host = sample.host();
        let chosen = match chosen {
            [] => host.instances.keys().cloned().collect(),
            names => names.iter().map(|name| fmri(name)).collect(),
        };
        Graph::new(&host, &chosen)
    }

    /// top needs mid and low, mid needs low; one more thing is excluded, two are absent.
    pub(super) fn sample() -> Sample {
        Sample::default()
            .instance("top", "offline", true)
            .needs("top", "require_all", "svc:/mid")
            .needs("top", "optional_all", "svc:/low:default")
            .needs("top", "require_all", "file:/no \"file\"")
            .instance("mid", "online", true)
            .needs("mid", "require_any", "svc:/low")
            .needs("mid", "require_any", "svc:/none")
            .instance("low", "disabled", false)
            .instance("other", "maintenance", true)
            .needs("other", "exclude_all", "svc:/low")
    }

    #[test]
    fn all_that_is_needed_is_in_the_graph() {
        let all = graph(sample(), &[]);
        let names: Vec<&str> = all.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "file://localhost/no \"file\"",
                "svc:/low:default",
                "svc:/mid:default",
                "svc:/none",
                "svc:/other:default",
                "svc:/top:default"
            ]
        );
        assert_eq!(all.nodes[0].state, "absent");
        assert_eq!(all.nodes[3].state, "absent");
        assert_eq!(all.edges.len(), 6);
        assert_eq!(all.needs(5).count(), 3);
        assert_eq!(all.needs(1).count(), 0);
        let part = graph(sample(), &["mid"]);
        let names: Vec<&str> = part.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["svc:/low:default", "svc:/mid:default", "svc:/none"]);
    }
}
