//! Which authorizations allow which change, and which values are shown to whom (smf_security(7)).

use rusqlite::Connection;
use svc::compose;
use svc::fmri::Fmri;
use svc::repo::{Change, Code, Snapshot, View, snapshots};
use svc::value::{PropType, PropertyGroup};

use super::read::{self, Part, entity_id};
use super::{Layer, Result, refuse};

use crate::rights::Rights;

const MODIFY: &str = "solaris.smf.modify";
const MANAGE: &str = "solaris.smf.manage";

/// The types of groups that have an authorization of their own, `solaris.smf.modify.TYPE`.
const CORE_TYPES: [&str; 4] = ["method", "dependency", "application", "framework"];

const GENERAL: &str = "general";
const ACTION: &str = "action_authorization";
const MODIFIERS: &str = "modify_authorization";
const SETTERS: &str = "value_authorization";
const READERS: &str = "read_authorization";

/// The nonpersistent groups of an instance by which its restarter is asked for something.
const ACTION_GROUPS: [&str; 2] = ["restarter_actions", "general_ovr"];

/// Refuses `change`, as the repository is now, to a client that may not make it.
pub fn permit(conn: &Connection, rights: &Rights, change: &Change) -> Result<()> {
    if *rights == Rights::All {
        return Ok(());
    }
    let client = Client { conn, rights };
    if client.may(change)? { Ok(()) } else { refuse(Code::Denied, "Permission denied.".to_owned()) }
}

/// Refuses what only those may do who may change everything.
pub fn permit_all(rights: &Rights) -> Result<()> {
    if rights.has(MODIFY) { Ok(()) } else { refuse(Code::Denied, "Permission denied.".to_owned()) }
}

/// Takes away the values of a group of `fmri`, if the client may not see them.
pub fn conceal(
    conn: &Connection,
    rights: &Rights,
    fmri: &Fmri,
    name: &str,
    group: &mut PropertyGroup,
) -> Result<()> {
    Client { conn, rights }.conceal(fmri, name, group, None)
}

/// The same for a snapshot, where a group of the service may be protected by the instance's.
pub fn conceal_snapshot(
    conn: &Connection,
    rights: &Rights,
    fmri: &Fmri,
    snapshot: &mut Snapshot,
) -> Result<()> {
    let client = Client { conn, rights };
    let composed = compose::groups(snapshot.instance.clone(), snapshot.service.clone());
    for (name, group) in snapshot.instance.iter_mut().chain(&mut snapshot.service) {
        client.conceal(fmri, name, group, composed.get(name))?;
    }
    Ok(())
}

/// What of a group says of which type it is, and who may do what with it.
fn type_of(pg: &str) -> Part<'_> {
    Part { pg, prop: Some(READERS) }
}

struct Client<'a> {
    conn: &'a Connection,
    rights: &'a Rights,
}

impl Client<'_> {
    fn may(&self, change: &Change) -> Result<bool> {
        Ok(match change {
            Change::Unchanged { .. } => true,
            Change::AddService(fmri) | Change::AddInstance(fmri) => {
                self.rights.has(MODIFY) || entity_id(self.conn, Layer::Persistent, fmri)?.is_some()
            }
            Change::AddPg { fmri, pg, ty, persistent } => {
                self.edited(fmri, type_of(pg))?.is_some_and(|there| there.ty == *ty)
                    || self.may_modify(ty)
                    || !persistent && self.may_act_by(fmri, pg)?
            }
            Change::DelPg { fmri, pg } => match self.edited(fmri, type_of(pg))? {
                Some(group) => self.may_modify(&group.ty),
                None => true,
            },
            Change::SetProp { fmri, pg, prop, ty, .. } => {
                self.may_change(fmri, pg, prop, Some(*ty))?
            }
            Change::DelProp { fmri, pg, prop } => self.may_change(fmri, pg, prop, None)?,
            Change::Snapshot { fmri, name } if name == snapshots::RUNNING => {
                self.rights.has(MODIFY) || self.may_act(fmri)?
            }
            Change::Delete(_)
            | Change::Snapshot { .. }
            | Change::CopySnapshot { .. }
            | Change::PutSnapshot { .. } => self.rights.has(MODIFY),
        })
    }

    /// Whether property `prop` may be set to a value of type `ty`, or be deleted.
    fn may_change(&self, fmri: &Fmri, pg: &str, prop: &str, ty: Option<PropType>) -> Result<bool> {
        if pg == GENERAL && prop == ACTION && !self.rights.has(MANAGE) {
            return Ok(false);
        }
        let part = Part { pg, prop: Some(prop) };
        let Some(group) = self.edited(fmri, part)? else { return Ok(self.rights.has(MODIFY)) };
        // It is the value alone that changes, if the property is there and keeps its type.
        let sets_value =
            ty.is_some() && group.get(prop).map(|property| property.ty) == ty && prop != MODIFIERS;
        let composed = self.composed(fmri, part)?.unwrap_or_else(|| group.clone());
        Ok(self.may_modify(&group.ty)
            || self.has_one_of(&composed, MODIFIERS)
            || sets_value && self.has_one_of(&composed, SETTERS)
            || !group.persistent && self.may_act_by(fmri, pg)?)
    }

    fn may_modify(&self, ty: &str) -> bool {
        let of_type = || CORE_TYPES.contains(&ty) && self.rights.has(&format!("{MODIFY}.{ty}"));
        self.rights.has(MODIFY) || of_type()
    }

    /// Whether the restarter may be asked for something by way of the group `pg`.
    fn may_act_by(&self, fmri: &Fmri, pg: &str) -> Result<bool> {
        Ok(fmri.is_instance() && ACTION_GROUPS.contains(&pg) && self.may_act(fmri)?)
    }

    fn may_act(&self, fmri: &Fmri) -> Result<bool> {
        let general = self.composed(fmri, Part { pg: GENERAL, prop: Some(ACTION) })?;
        let allows = |general: PropertyGroup| self.has_one_of(&general, ACTION);
        Ok(self.rights.has(MANAGE) || general.is_some_and(allows))
    }

    /// Whether one of the authorizations in property `prop` is held.
    fn has_one_of(&self, group: &PropertyGroup, prop: &str) -> bool {
        let property = group.get(prop).filter(|property| property.ty == PropType::Astring);
        property.is_some_and(|property| property.values.iter().any(|auth| self.rights.has(auth)))
    }

    fn conceal(
        &self,
        fmri: &Fmri,
        name: &str,
        group: &mut PropertyGroup,
        composed: Option<&PropertyGroup>,
    ) -> Result<()> {
        if !group.may_be_protected() || self.rights.has(MODIFY) {
            return Ok(());
        }
        // What is protected now is protected in old snapshots, too.
        let edited = self.composed(fmri, type_of(name))?.filter(PropertyGroup::is_protected);
        let rules = edited.as_ref().or(composed).unwrap_or(group);
        if !rules.is_protected() {
            return Ok(());
        }
        let readers = [READERS, SETTERS, MODIFIERS];
        let may_read = self.may_modify(&group.ty)
            || readers.into_iter().any(|prop| self.has_one_of(rules, prop));
        if !may_read {
            group.conceal();
        }
        Ok(())
    }

    fn edited(&self, fmri: &Fmri, part: Part<'_>) -> Result<Option<PropertyGroup>> {
        read::group(self.conn, fmri, part, &View::Direct)
    }

    fn composed(&self, fmri: &Fmri, part: Part<'_>) -> Result<Option<PropertyGroup>> {
        read::group(self.conn, fmri, part, &View::Composed)
    }
}
