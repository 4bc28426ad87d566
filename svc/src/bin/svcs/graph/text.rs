//! The graph as an indented tree: what something needs is below it.

use svc::restarter::engine::Grouping;

use super::{Graph, grouping_name};

/// A line for each dependency. What something needs is shown where it is met first; after that
/// three dots stand for it.
pub fn text(graph: &Graph, header: bool) -> String {
    let mut needed = vec![false; graph.nodes.len()];
    graph.edges.iter().filter(|edge| edge.from != edge.to).for_each(|edge| needed[edge.to] = true);
    let mut tree = Tree { graph, shown: vec![false; graph.nodes.len()], text: String::new() };
    if header {
        tree.text.push_str("STATE          FMRI\n");
    }
    let all = 0..graph.nodes.len();
    all.clone().filter(|node| !needed[*node]).for_each(|root| tree.show(root));
    // What is left are cycles that nothing else needs.
    all.for_each(|node| {
        if !tree.shown[node] {
            tree.show(node);
        }
    });
    tree.text
}

struct Tree<'a> {
    graph: &'a Graph,
    shown: Vec<bool>,
    text: String,
}

impl Tree<'_> {
    fn show(&mut self, root: usize) {
        let mut open = vec![(root, 0, Grouping::RequireAll)];
        while let Some((node, depth, grouping)) = open.pop() {
            let again = std::mem::replace(&mut self.shown[node], true);
            let mut below: Vec<_> =
                self.graph.needs(node).map(|edge| (edge.to, depth + 1, edge.grouping)).collect();
            let hidden = again && !below.is_empty();
            self.line(node, depth, grouping, hidden);
            if !again {
                below.reverse();
                open.extend(below);
            }
        }
    }

    fn line(&mut self, node: usize, depth: usize, grouping: Grouping, hidden: bool) {
        let node = &self.graph.nodes[node];
        let mut line = format!("{:14} {:indent$}{}", node.state, "", node.name, indent = 2 * depth);
        if grouping != Grouping::RequireAll {
            line.push_str(&format!(" ({})", grouping_name(grouping)));
        }
        if hidden {
            line.push_str(" ...");
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{graph, sample};
    use super::*;
    use crate::sample::Sample;

    #[test]
    fn needs_are_below_what_needs_them() {
        let expected = "\
STATE          FMRI
maintenance    svc:/other:default
disabled         svc:/low:default (exclude_all)
offline        svc:/top:default
online           svc:/mid:default
disabled           svc:/low:default (require_any)
absent             svc:/none (require_any)
disabled         svc:/low:default (optional_all)
absent           file://localhost/no \"file\"
";
        assert_eq!(text(&graph(sample(), &[]), true), expected);
    }

    #[test]
    fn what_was_shown_is_not_shown_again() {
        let sample = Sample::default()
            .instance("a", "online", true)
            .needs("a", "require_all", "svc:/b")
            .instance("b", "online", true)
            .needs("b", "require_all", "svc:/a");
        let expected = "\
online         svc:/a:default
online           svc:/b:default
online             svc:/a:default ...
";
        assert_eq!(text(&graph(sample, &[]), false), expected);
    }
}
