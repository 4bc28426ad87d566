//! What an administrator has made of what the last import delivered (svccfg(8): listcust, delcust,
//! extract): properties that were set or added, and those that were deleted.

use super::dependents::{is_external, take_noted};
use super::import::{groups_now, last_import};
use super::words;
use crate::fmri::Fmri;
use crate::repo::{Change, Repo, RepoError};
use crate::value::{Groups, Property, PropertyGroup};

/// Two states of what is attached to a service or an instance.
#[derive(Debug)]
pub struct Customised {
    fmri: Fmri,
    /// As delivered.
    base: Groups,
    /// As edited.
    now: Groups,
}

impl Customised {
    /// Those of `fmri`. What was never imported was made here, all of it.
    pub fn of(repo: &Repo, fmri: &Fmri) -> Result<Self, RepoError> {
        let mut base = delivered_to(repo, fmri)?.unwrap_or_default();
        let mut now = groups_now(repo, fmri)?;
        now.retain(|_, group| group.persistent && !is_external(group));
        // Whether it is enabled is an act, not a setting.
        for groups in [&mut base, &mut now] {
            if let Some(general) = groups.get_mut(words::GENERAL) {
                general.props.remove(words::ENABLED);
            }
        }
        Ok(Self { fmri: fmri.clone(), base, now })
    }

    /// The properties that aren't as delivered.
    pub fn changed(&self) -> Groups {
        differing(self.now.clone(), &self.base, |_, _| false)
    }

    /// The properties that were delivered and aren't there any more.
    pub fn masked(&self) -> Groups {
        let mut masked = self.base.clone();
        for (pg, group) in &mut masked {
            let now = self.now.get(pg);
            group.props.retain(|prop, _| now.is_none_or(|now| now.get(prop).is_none()));
        }
        masked.retain(|pg, group| !group.props.is_empty() || !self.now.contains_key(pg));
        masked
    }

    /// The changes that make what is `unwanted`, a part of either, as it was delivered.
    pub fn undo(&self, unwanted: &Groups) -> Vec<Change> {
        let of =
            |(pg, group): (&String, &PropertyGroup)| match (self.base.get(pg), self.now.get(pg)) {
                (Some(base), Some(now)) if base.ty != now.ty => {
                    [vec![self.delete(pg)], self.deliver(pg, base, base)].concat()
                }
                (Some(base), _) => self.deliver(pg, base, group),
                (None, Some(now)) if now == group => vec![self.delete(pg)],
                (None, _) => {
                    group.props.keys().map(|prop| self.delete_property(pg, prop)).collect()
                }
            };
        unwanted.iter().flat_map(of).collect()
    }

    /// Makes the properties of `part` those of `base`, which was delivered.
    fn deliver(&self, pg: &str, base: &PropertyGroup, part: &PropertyGroup) -> Vec<Change> {
        let (fmri, ty) = (self.fmri.clone(), base.ty.clone());
        let mut changes = vec![Change::AddPg { fmri, pg: pg.to_owned(), ty, persistent: true }];
        changes.extend(part.props.keys().map(|prop| match base.get(prop).cloned() {
            Some(Property { ty, values }) => {
                let (fmri, pg, prop) = (self.fmri.clone(), pg.to_owned(), prop.clone());
                Change::SetProp { fmri, pg, prop, ty, values }
            }
            None => self.delete_property(pg, prop),
        }));
        changes
    }

    fn delete(&self, pg: &str) -> Change {
        Change::DelPg { fmri: self.fmri.clone(), pg: pg.to_owned() }
    }

    fn delete_property(&self, pg: &str, prop: &str) -> Change {
        let (pg, prop) = (pg.to_owned(), prop.to_owned());
        Change::DelProp { fmri: self.fmri.clone(), pg, prop }
    }
}

/// What the last import delivered to `fmri`.
pub fn delivered_to(repo: &Repo, fmri: &Fmri) -> Result<Option<Groups>, RepoError> {
    let mut delivered = None;
    if fmri.is_instance() {
        delivered = last_import(repo, fmri)?.map(|snapshot| snapshot.instance);
    } else {
        for instance in repo.instances()?.iter().filter(|i| i.service == fmri.service) {
            if let Some(snapshot) = last_import(repo, instance)? {
                delivered = Some(snapshot.service);
                break;
            }
        }
    }
    Ok(delivered.map(|mut groups| {
        take_noted(&mut groups);
        groups
    }))
}

/// The properties of `now` that aren't as in `base`, and those that `always` counts.
pub fn differing(now: Groups, base: &Groups, always: fn(&str, &str) -> bool) -> Groups {
    let mut changed = Groups::new();
    for (pg, mut group) in now {
        let was = base.get(&pg).filter(|was| was.ty == group.ty);
        let differs = |prop: &str, property: &Property| {
            was.and_then(|was| was.get(prop)) != Some(property) || always(&pg, prop)
        };
        group.props.retain(|prop, property| differs(prop, property));
        if !group.props.is_empty() || was.is_none() {
            changed.insert(pg, group);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::apply;
    use crate::value::PropType;

    fn groups(ty: &str, props: &[(&str, &str)]) -> Groups {
        let mut group = PropertyGroup::new(ty);
        for (name, value) in props {
            let property = Property::new(PropType::Astring, &[value]).unwrap();
            group.props.insert((*name).to_owned(), property);
        }
        Groups::from([("config".to_owned(), group)])
    }

    fn customised(base: Groups, now: Groups) -> Customised {
        Customised { fmri: Fmri::parse("svc:/a:x").unwrap(), base, now }
    }

    #[test]
    fn what_was_changed_and_deleted_is_told_and_undone() {
        let base = groups("application", &[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = groups("application", &[("a", "2"), ("b", "1"), ("d", "1")]);
        let it = customised(base.clone(), now.clone());
        assert_eq!(it.changed(), groups("application", &[("a", "2"), ("d", "1")]));
        assert_eq!(it.masked(), groups("application", &[("c", "1")]));
        let undone = apply(&now, &it.undo(&it.changed()));
        assert_eq!(undone, groups("application", &[("a", "1"), ("b", "1")]));
        assert_eq!(apply(&undone, &it.undo(&it.masked())), base);
        let only = groups("application", &[("d", "1")]);
        assert_eq!(apply(&now, &it.undo(&only)), groups("application", &[("a", "2"), ("b", "1")]));
    }

    #[test]
    fn whole_groups_come_and_go() {
        let (some, other) = (groups("application", &[("a", "1")]), groups("x", &[("a", "1")]));
        for (base, now) in
            [(Groups::new(), some.clone()), (some.clone(), other), (some.clone(), some.clone())]
        {
            let it = customised(base.clone(), now.clone());
            assert_eq!(apply(&now, &it.undo(&it.changed())), base);
        }
        let it = customised(some.clone(), Groups::new());
        assert_eq!(apply(&Groups::new(), &it.undo(&it.masked())), some);
    }
}
