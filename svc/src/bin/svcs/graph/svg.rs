//! The graph as a picture, in Scalable Vector Graphics.

use std::fmt::Write;

use svc::restarter::engine::Grouping;

use super::layout::{Area, layout};
use super::{Graph, Node, grouping_name};

const HEAD: &str = "\
<style>
text { font: 12px monospace; text-anchor: middle; }
.state { font-size: 10px; }
rect { stroke: #444; rx: 4px; }
path { fill: none; stroke: #444; marker-end: url(#arrow); }
.require_any { stroke-dasharray: 6 3; }
.optional_all { stroke-dasharray: 2 3; }
.exclude_all { stroke: #c00; }
</style>
<marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
orient=\"auto\"><polygon points=\"0,0 8,4 0,8\" fill=\"#444\"/></marker>
";

/// A picture with a box for each node, and an arrow from each to what it depends on.
pub fn svg(graph: &Graph) -> String {
    let layout = layout(graph);
    let (width, height) = (layout.width, layout.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n{HEAD}"
    );
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        if edge.from != edge.to {
            let (from, to) = (&layout.boxes[edge.from], &layout.boxes[edge.to]);
            text.push_str(&line(edge.grouping, from, route, to));
        }
    }
    for (node, area) in graph.nodes.iter().zip(&layout.boxes) {
        text.push_str(&boxed(node, area));
    }
    text.push_str("</svg>\n");
    text
}

fn boxed(node: &Node, area: &Area) -> String {
    let Area { x, y, width, height } = area;
    let middle = x + width / 2.0;
    let (name, state) = (escaped(&node.name), escaped(&node.state));
    format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
         fill=\"{}\"/>\n\
         <text x=\"{middle:.1}\" y=\"{:.1}\">{name}</text>\n\
         <text class=\"state\" x=\"{middle:.1}\" y=\"{:.1}\">{state}</text>\n",
        node.color,
        y + 16.0,
        y + 30.0,
    )
}

/// Curved between two layers, straight where it passes one.
fn line(grouping: Grouping, from: &Area, route: &[Area], to: &Area) -> String {
    // An edge that closes a cycle runs to the right.
    let leftwards = to.x < from.x;
    let near = |area: &Area| if leftwards { area.x } else { area.x + area.width };
    let far = |area: &Area| if leftwards { area.x + area.width } else { area.x };
    let mut at = (near(from), from.middle());
    let mut path = format!("M{:.1} {:.1}", at.0, at.1);
    for area in route.iter().chain([to]) {
        let end = (far(area), area.middle());
        let bend = (at.0 + end.0) / 2.0;
        // Writing to a string does not fail.
        let _ = write!(
            path,
            " C{bend:.1} {:.1} {bend:.1} {:.1} {:.1} {:.1}",
            at.1, end.1, end.0, end.1
        );
        at = (near(area), area.middle());
        if !std::ptr::eq(area, to) {
            let _ = write!(path, " H{:.1}", at.0);
        }
    }
    format!("<path class=\"{}\" d=\"{path}\"/>\n", grouping_name(grouping))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{graph, sample};
    use super::*;

    #[test]
    fn each_node_has_a_box_and_each_edge_a_line() {
        let text = svg(&graph(sample(), &[]));
        assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>\n"));
        assert_eq!(text.matches("<rect ").count(), 6);
        assert_eq!(text.matches("<path ").count(), 6);
        assert_eq!(text.matches("<path class=\"exclude_all\"").count(), 1);
        assert!(text.contains(">svc:/top:default</text>"));
        assert!(text.contains("fill=\"#f2a49c\""), "maintenance is red");
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("<a & b>"), "&lt;a &amp; b&gt;");
    }

    #[test]
    fn lines_meet_their_boxes() {
        let area = |x: f64, y: f64| Area { x, y, width: 10.0, height: 4.0 };
        let drawn =
            line(Grouping::RequireAll, &area(100.0, 0.0), &[area(50.0, 8.0)], &area(0.0, 0.0));
        let path = "M100.0 2.0 C80.0 2.0 80.0 10.0 60.0 10.0 H50.0 C30.0 10.0 30.0 2.0 10.0 2.0";
        assert_eq!(drawn, format!("<path class=\"require_all\" d=\"{path}\"/>\n"));
    }
}
