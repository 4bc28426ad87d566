//! The graph for dot(1) of Graphviz.

use std::fmt::Write;

use svc::restarter::engine::Grouping;

use super::Graph;

/// A directed graph, arrows from dependents to what they depend on.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph svcs {\n\trankdir=RL;\n");
    text.push_str("\tnode [shape=box, style=filled, fontname=\"monospace\"];\n");
    for node in &graph.nodes {
        let label = format!("{}\n{}", node.name, node.state);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "\t{} [label={}, fillcolor=\"{}\"];",
            quoted(&node.name),
            quoted(&label),
            node.color
        );
    }
    for edge in &graph.edges {
        let [from, to] = [edge.from, edge.to].map(|node| quoted(&graph.nodes[node].name));
        let _ = writeln!(text, "\t{from} -> {to}{};", style(edge.grouping));
    }
    text.push_str("}\n");
    text
}

fn style(grouping: Grouping) -> &'static str {
    match grouping {
        Grouping::RequireAll => "",
        Grouping::RequireAny => " [style=dashed]",
        Grouping::OptionalAll => " [style=dotted]",
        Grouping::ExcludeAll => " [color=red, arrowhead=tee]",
    }
}

/// A string as DOT writes it. Other than the quote, only what begins an escape is special.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{graph, sample};
    use super::*;

    #[test]
    fn nodes_have_states_and_edges_have_styles() {
        let text = dot(&graph(sample(), &["mid"]));
        let expected = "\
digraph svcs {
\trankdir=RL;
\tnode [shape=box, style=filled, fontname=\"monospace\"];
\t\"svc:/low:default\" [label=\"svc:/low:default\\ndisabled\", fillcolor=\"#d5d5d5\"];
\t\"svc:/mid:default\" [label=\"svc:/mid:default\\nonline\", fillcolor=\"#b7e1b0\"];
\t\"svc:/none\" [label=\"svc:/none\\nabsent\", fillcolor=\"#ffffff\"];
\t\"svc:/mid:default\" -> \"svc:/low:default\" [style=dashed];
\t\"svc:/mid:default\" -> \"svc:/none\" [style=dashed];
}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(quoted("a \"b\" \\n"), r#""a \"b\" \\n""#);
    }
}
