//! Where the nodes of a graph are drawn: in layers, from left to right, each to the right of all
//! that it depends on.
//!
//! An edge over more than one layer passes the layers between in a slot of its own, so that lines
//! cross no box. Within a layer the order follows the neighbours' (Sugiyama's method).

use super::Graph;

/// The height of a box, and of the slot in which a line passes a layer.
const BOX: f64 = 38.0;
const SLOT: f64 = 10.0;
/// Between two things of a layer, and between two layers.
const GAP: f64 = 12.0;
const CHANNEL: f64 = 90.0;
/// The width of a character, and what a box is wider than its text.
const CHARACTER: f64 = 7.3;
const MARGIN: f64 = 16.0;
/// How often the order is improved, in each direction.
const SWEEPS: usize = 6;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// Half its height down.
    pub fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// Places for everything.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The box of each node.
    pub boxes: Vec<Area>,
    /// Where each edge passes layers, from its dependent to the other end; boxes not included.
    pub routes: Vec<Vec<Area>>,
    pub width: f64,
    pub height: f64,
}

/// Something that takes part of a layer: a node, or an edge that passes.
struct Item {
    layer: usize,
    height: f64,
    width: f64,
    /// In the layers before and after.
    neighbors: Vec<usize>,
    /// Its place in its layer.
    rank: usize,
}

/// Places `graph`.
pub fn layout(graph: &Graph) -> Layout {
    let layers = layers(graph);
    let mut items: Vec<Item> = Vec::new();
    for (node, &layer) in graph.nodes.iter().zip(&layers) {
        let characters = node.name.chars().count().max(node.state.chars().count());
        let width = characters as f64 * CHARACTER + MARGIN;
        items.push(Item { layer, height: BOX, width, neighbors: Vec::new(), rank: 0 });
    }
    let mut passes = Vec::new();
    for edge in &graph.edges {
        passes.push(pass(&mut items, edge.from, edge.to));
    }
    let order = order(&mut items);
    let places = place(&items, &order);
    let end = |size: fn(&Area) -> f64| places.iter().map(size).fold(0.0, f64::max) + GAP;
    Layout {
        routes: passes.iter().map(|pass| pass.iter().map(|item| places[*item]).collect()).collect(),
        width: end(|area| area.x + area.width),
        height: end(|area| area.y + area.height),
        boxes: places[..graph.nodes.len()].to_vec(),
    }
}

/// The layer of each node: one more than the highest of what it depends on. An edge that closes a
/// cycle doesn't count.
fn layers(graph: &Graph) -> Vec<usize> {
    let mut layers: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let mut seen = vec![false; graph.nodes.len()];
    // Nodes whose needs are being placed, and how many of these have been looked at.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for root in 0..graph.nodes.len() {
        if !std::mem::replace(&mut seen[root], true) {
            open.push((root, 0));
        }
        while let Some((node, next)) = open.pop() {
            if let Some(edge) = graph.needs(node).nth(next) {
                open.push((node, next + 1));
                if !std::mem::replace(&mut seen[edge.to], true) {
                    open.push((edge.to, 0));
                }
                continue;
            }
            let below = graph.needs(node).filter_map(|edge| layers[edge.to]);
            layers[node] = Some(below.max().map_or(0, |highest| highest + 1));
        }
    }
    layers.into_iter().map(Option::unwrap_or_default).collect()
}

/// Adds slots for an edge in the layers between its ends; returns them in the edge's direction.
fn pass(items: &mut Vec<Item>, from: usize, to: usize) -> Vec<usize> {
    let (low, high) = match items[from].layer > items[to].layer {
        true => (to, from),
        false => (from, to),
    };
    let mut slots = Vec::new();
    let mut last = low;
    for layer in items[low].layer + 1..items[high].layer {
        let slot = items.len();
        items.push(Item { layer, height: SLOT, width: 0.0, neighbors: Vec::new(), rank: 0 });
        join(items, last, slot);
        slots.push(slot);
        last = slot;
    }
    if low != high {
        join(items, last, high);
    }
    if low == to {
        slots.reverse();
    }
    slots
}

fn join(items: &mut [Item], a: usize, b: usize) {
    items[a].neighbors.push(b);
    items[b].neighbors.push(a);
}

/// The items of each layer in an order that lets few lines cross.
fn order(items: &mut [Item]) -> Vec<Vec<usize>> {
    let count = items.iter().map(|item| item.layer + 1).max().unwrap_or(0);
    let mut order = vec![Vec::new(); count];
    for (number, item) in items.iter().enumerate() {
        order[item.layer].push(number);
    }
    order.iter().for_each(|layer| number(items, layer));
    for _ in 0..SWEEPS {
        order.iter_mut().for_each(|layer| sort(items, layer, |own, other| other < own));
        order.iter_mut().rev().for_each(|layer| sort(items, layer, |own, other| other > own));
    }
    order
}

fn number(items: &mut [Item], layer: &[usize]) {
    for (rank, item) in layer.iter().enumerate() {
        items[*item].rank = rank;
    }
}

/// Sorts a layer by the mean rank of its neighbours on one side.
fn sort(items: &mut [Item], layer: &mut [usize], counts: fn(usize, usize) -> bool) {
    let mean = |number: usize| {
        let item = &items[number];
        let others = item.neighbors.iter().map(|other| &items[*other]);
        let ranks: Vec<usize> = others
            .filter(|other| counts(item.layer, other.layer))
            .map(|other| other.rank)
            .collect();
        match ranks.len() {
            0 => item.rank as f64,
            many => ranks.iter().sum::<usize>() as f64 / many as f64,
        }
    };
    let mut keyed: Vec<(f64, usize)> = layer.iter().map(|item| (mean(*item), *item)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (place, (_, item)) in layer.iter_mut().zip(keyed) {
        *place = item;
    }
    number(items, layer);
}

/// Gives every item its area: each layer a column, all columns centred.
fn place(items: &[Item], order: &[Vec<usize>]) -> Vec<Area> {
    let height = |layer: &Vec<usize>| -> f64 {
        layer.iter().map(|item| items[*item].height + GAP).sum::<f64>() - GAP
    };
    let highest = order.iter().map(height).fold(0.0, f64::max);
    let mut places = vec![Area { x: 0.0, y: 0.0, width: 0.0, height: 0.0 }; items.len()];
    let mut x = GAP;
    for layer in order {
        let width = layer.iter().map(|item| items[*item].width).fold(0.0, f64::max);
        let mut y = GAP + (highest - height(layer)) / 2.0;
        for &item in layer {
            let height = items[item].height;
            places[item] = Area { x, y, width, height };
            y += height + GAP;
        }
        x += width + CHANNEL;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::{Edge, Node};
    use super::*;
    use proptest::prelude::*;
    use svc::restarter::engine::Grouping;

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        let name = |number: usize| "n".repeat(number % 40 + 1);
        let node = |number| Node { name: name(number), state: "online".into(), color: "#fff" };
        let mut edges: Vec<Edge> = edges
            .iter()
            .map(|(from, to)| (from % count, to % count))
            .map(|(from, to)| Edge { from, to, grouping: Grouping::RequireAll })
            .collect();
        edges.sort_by_key(|edge| edge.from);
        Graph { nodes: (0..count).map(node).collect(), edges }
    }

    fn overlap(a: &Area, b: &Area) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    #[test]
    fn what_is_needed_is_to_the_left() {
        let layout = layout(&graph(4, &[(3, 2), (2, 1), (1, 0), (3, 0)]));
        let x: Vec<f64> = layout.boxes.iter().map(|area| area.x).collect();
        assert!(x.is_sorted_by(|a, b| a < b), "{x:?}");
        assert_eq!(layout.routes.iter().map(Vec::len).sum::<usize>(), 2, "one passes two layers");
        let long = layout.routes.iter().find(|route| route.len() == 2).unwrap();
        assert!(long[0].x > long[1].x, "from the dependent on");
    }

    #[test]
    fn parallel_chains_do_not_cross() {
        let layout = layout(&graph(6, &[(2, 1), (3, 0), (4, 3), (5, 2)]));
        let y = |node: usize| layout.boxes[node].y;
        assert_eq!(y(0) < y(1), y(3) < y(2));
        assert_eq!(y(3) < y(2), y(4) < y(5));
    }

    #[test]
    fn nothing_is_placed_nowhere() {
        assert_eq!(layout(&graph(1, &[(0, 0)])).boxes.len(), 1);
        assert!(layout(&Graph::default()).boxes.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_overlaps(
            count in 1usize..30,
            edges in prop::collection::vec((0usize..30, 0usize..30), 0..60),
        ) {
            let graph = graph(count, &edges);
            let layout = layout(&graph);
            let passing = layout.routes.iter().flatten();
            let all: Vec<&Area> = layout.boxes.iter().chain(passing).collect();
            for (number, a) in all.iter().enumerate() {
                prop_assert!(a.x >= 0.0 && a.x + a.width <= layout.width);
                prop_assert!(a.y >= 0.0 && a.y + a.height <= layout.height);
                prop_assert!(all[..number].iter().all(|b| !overlap(a, b)));
            }
            for edge in graph.edges.iter().filter(|edge| edge.from != edge.to) {
                prop_assert!(layout.boxes[edge.from].x != layout.boxes[edge.to].x);
            }
        }
    }
}
