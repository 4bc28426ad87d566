//! What templates say of the selection and its properties: describe.

use std::fmt::Write;

use svc::glob;
use svc::repo::View;
use svc::template::{PgPattern, PropPattern, Templates};
use svc::value::{Property, PropertyGroup};

use super::{Command, switches, words};
use crate::lexer::Token;
use crate::session::{Result, Session};

pub const COMMANDS: &[Command] = &[Command { name: "describe", run: describe }];

/// The language of texts.
const LOCALE: &str = "C";

fn describe(session: &mut Session, args: &[Token]) -> Result<()> {
    let ([verbose, templates], args) = switches("describe", args, ['v', 't'])?;
    let pattern = words("describe", args, 0, 1)?.first().copied();
    let fmri = session.selected()?.clone();
    let repo = session.repo()?;
    let view = session.snapshot.clone().map_or(View::Composed, View::Snapshot);
    let groups = repo.pgs(&fmri, &view)?;
    let known = Templates::edited(repo, &fmri)?;
    let mut page = Page { text: String::new(), verbose };
    if pattern.is_none() {
        let names = groups.get("tm_common_name").and_then(|group| group.first(LOCALE));
        page.line(0, &format!("{fmri}  {}", names.unwrap_or_default()));
        let about = groups.get("tm_description").and_then(|group| group.first(LOCALE));
        page.said(true, "", about);
    }
    let wanted = |name: &str| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    for (pg, group) in groups.iter().filter(|(pg, _)| !pg.starts_with("tm_")) {
        let about = known.group(pg, &group.ty);
        let whole = wanted(pg);
        if whole {
            page.group(pg, group, about);
        }
        // With -t it is the templates' properties that are shown, set or not.
        let described = about.into_iter().flat_map(|about| &about.properties);
        let names = described.filter(|_| templates).map(|property| &property.name);
        let names = names.chain(group.props.keys().filter(|_| !templates));
        for name in names {
            if whole || wanted(&format!("{pg}/{name}")) {
                let property = group.get(name).filter(|_| !templates);
                page.property(pg, name, property, about.and_then(|about| about.property(name)));
            }
        }
    }
    session.print(&page.text)
}

/// What is printed.
struct Page {
    text: String,
    verbose: bool,
}

impl Page {
    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{:width$}{}", "", line.trim_end(), width = 4 * depth);
    }

    /// A text of a template, if there is one and it is wanted.
    fn said(&mut self, wanted: bool, label: &str, text: Option<&str>) {
        let words: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
        if wanted && !words.is_empty() {
            self.line(1, &format!("{label}{}", words.join(" ")));
        }
    }

    fn group(&mut self, pg: &str, group: &PropertyGroup, about: Option<&PgPattern>) {
        self.line(0, &format!("{pg}  {}", group.ty));
        let Some(about) = about else { return };
        self.said(true, "", about.common_name.as_deref());
        self.said(self.verbose, "", about.description.as_deref());
    }

    fn property(
        &mut self,
        pg: &str,
        name: &str,
        property: Option<&Property>,
        about: Option<&PropPattern>,
    ) {
        let ty = property.map(|p| p.ty).or(about.and_then(|a| a.ty));
        let ty = ty.map(|ty| ty.to_string()).unwrap_or_default();
        let value = property.map(|property| property.values.join(" ")).unwrap_or_default();
        self.line(0, &format!("{pg}/{name}  {ty}  {value}"));
        let Some(about) = about else { return };
        self.said(true, "", about.common_name.as_deref());
        if self.verbose {
            self.details(about);
        }
    }

    /// All that a template says of a property.
    fn details(&mut self, about: &PropPattern) {
        self.said(true, "", about.description.as_deref());
        self.said(about.required, "", Some("required: true"));
        self.said(true, "units: ", about.units.as_deref());
        self.said(true, "visibility: ", about.visibility.as_deref());
        if let Some(range) = &about.cardinality {
            self.line(1, &format!("minimum number of values: {}", range.start()));
            self.line(1, &format!("maximum number of values: {}", range.end()));
        }
        if !about.separators.is_empty() {
            let separators: Vec<String> =
                about.separators.iter().map(|c| format!("\"{c}\"")).collect();
            self.line(1, &format!("internal separators: {}", separators.join(" ")));
        }
        for value in &about.values {
            let name = value.common_name.as_deref().unwrap_or_default();
            self.line(1, &format!("value: {}  {name}", value.value));
            if let Some(text) = &value.description {
                self.line(2, text);
            }
        }
        for (label, choice) in
            [("value constraints:", &about.constraint), ("value choices:", &about.choices)]
        {
            let ranges = choice.ranges.iter().map(|r| format!("{}-{}", r.start(), r.end()));
            let all: Vec<String> = choice.values.iter().cloned().chain(ranges).collect();
            self.said(!all.is_empty(), "", Some(&format!("{label} {}", all.join(" "))));
        }
    }
}
