//! The three-way merge of an import: what the last import delivered, what is there now, what the
//! manifest says now. Pure, so that its promises can be tested.

use std::collections::BTreeSet;

use super::{Level, words};
use crate::fmri::Fmri;
use crate::repo::Change;
use crate::value::{Groups, Property, PropertyGroup};

/// What has to be done, and what the manifest could not have its way with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The steps.
    pub changes: Vec<Change>,
    /// One line for each thing that both sides changed.
    pub conflicts: Vec<String>,
}

/// Set once and then the administrator's: an import never changes them (svccfg(8)).
fn is_administrators(pg: &str, prop: &str) -> bool {
    pg == words::GENERAL && matches!(prop, "enabled" | "restarter")
}

/// Merges `new` into what `fmri` has now, given what the last import delivered.
pub fn merge(fmri: &Fmri, base: &Groups, current: &Groups, new: &Level) -> Merged {
    let mut merged = Merged::default();
    for (name, group) in &new.groups {
        let edit = GroupMerge { fmri, name, overrides: &new.overrides };
        edit.deliver(base.get(name), current.get(name), group, &mut merged);
    }
    let dropped = base.iter().filter(|(name, _)| !new.groups.contains_key(*name));
    for (name, delivered) in dropped {
        if current.get(name) == Some(delivered) {
            merged.changes.push(Change::DelPg { fmri: fmri.clone(), pg: name.clone() });
        }
    }
    merged
}

struct GroupMerge<'a> {
    fmri: &'a Fmri,
    name: &'a str,
    overrides: &'a BTreeSet<(String, String)>,
}

impl GroupMerge<'_> {
    fn deliver(
        &self,
        base: Option<&PropertyGroup>,
        current: Option<&PropertyGroup>,
        new: &PropertyGroup,
        merged: &mut Merged,
    ) {
        match (base, current) {
            (Some(base), None) if base == new => {}
            (Some(_), None) => merged.conflicts.push(self.conflict(None, "was deleted")),
            // Nobody has touched it: another type is another group.
            (Some(base), Some(current)) if base == current && current.ty != new.ty => {
                let (fmri, pg) = (self.fmri.clone(), self.name.to_owned());
                merged.changes.push(Change::DelPg { fmri, pg });
                self.deliver(None, None, new, merged);
            }
            (_, Some(current)) if current.ty != new.ty || !current.persistent => {
                merged.conflicts.push(self.conflict(None, &format!("has type {}", current.ty)));
            }
            (base, current) => {
                if current.is_none() {
                    merged.changes.push(Change::AddPg {
                        fmri: self.fmri.clone(),
                        pg: self.name.to_owned(),
                        ty: new.ty.clone(),
                        persistent: true,
                    });
                }
                self.properties(base, current, new, merged);
            }
        }
    }

    fn properties(
        &self,
        base: Option<&PropertyGroup>,
        current: Option<&PropertyGroup>,
        new: &PropertyGroup,
        merged: &mut Merged,
    ) {
        let names = |group: Option<&PropertyGroup>| -> Vec<String> {
            group.map(|group| group.props.keys().cloned().collect()).unwrap_or_default()
        };
        let all: BTreeSet<String> = names(base).into_iter().chain(names(Some(new))).collect();
        for prop in all {
            let find = |group: Option<&PropertyGroup>| group.and_then(|g| g.get(&prop)).cloned();
            let (base, current, new) = (find(base), find(current), find(Some(new)));
            if current == new || (is_administrators(self.name, &prop) && current.is_some()) {
                continue;
            }
            let overridden = self.overrides.contains(&(self.name.to_owned(), prop.clone()));
            if current == base || overridden {
                merged.changes.push(self.change(&prop, new));
            } else if new != base {
                merged.conflicts.push(self.conflict(Some(&prop), "was changed"));
            }
        }
    }

    fn change(&self, prop: &str, new: Option<Property>) -> Change {
        let (fmri, pg, prop) = (self.fmri.clone(), self.name.to_owned(), prop.to_owned());
        match new {
            Some(Property { ty, values }) => Change::SetProp { fmri, pg, prop, ty, values },
            None => Change::DelProp { fmri, pg, prop },
        }
    }

    fn conflict(&self, prop: Option<&str>, what: &str) -> String {
        let (slash, prop) = prop.map_or(("", ""), |prop| ("/", prop));
        format!(
            "{} of {} {what} here; the manifest's new one is not taken",
            format_args!("{}{slash}{prop}", self.name),
            self.fmri
        )
    }
}
