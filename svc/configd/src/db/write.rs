//! The steps of a commit: validation, the rows they touch, and the record of what changed.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use svc::fmri::{self, Fmri};
use svc::repo::{Change, Changed, Code, Failure};
use svc::value::PropType;

use super::read::{self, entity_id, group_id, instance_key, must_exist};
use super::{LAYERS, Layer, Result, refuse, snapshot};

/// A commit under way.
pub struct Writer<'a> {
    conn: &'a Connection,
    generation: u64,
    changed: HashSet<(Layer, Changed)>,
    snapshots_changed: bool,
    /// The group of the latest step: most steps are about the one of the step before.
    latest: Option<Place>,
    /// Why it must not change anything.
    stale: Option<Failure>,
}

/// A property group that is there.
struct Place {
    fmri: Fmri,
    pg: String,
    layer: Layer,
    id: i64,
}

impl<'a> Writer<'a> {
    /// Begins the commit that makes `generation`, in the transaction on `conn`.
    pub fn new(conn: &'a Connection, generation: u64) -> Self {
        let changed = HashSet::new();
        Self { conn, generation, changed, snapshots_changed: false, latest: None, stale: None }
    }

    /// Applies one step.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Unchanged { fmri, pg, since } => {
                if read::has_changed(self.conn, fmri, pg, *since)? {
                    let message = format!(
                        "Property group \"{pg}\" of {fmri} was changed meanwhile; read it again."
                    );
                    self.stale = Some(Failure::new(Code::Stale, message));
                }
                Ok(())
            }
            Change::AddService(fmri) => {
                want(!fmri.is_instance(), || format!("\"{fmri}\" is not a service."))?;
                self.add(fmri)
            }
            Change::AddInstance(fmri) => {
                want_instance(fmri)?;
                self.add(&fmri.service())?;
                self.add(fmri)
            }
            Change::Delete(fmri) => self.delete(fmri),
            Change::AddPg { fmri, pg, ty, persistent } => {
                self.add_group(fmri, pg, ty, Layer::of(*persistent))
            }
            Change::DelPg { fmri, pg } => self.delete_group(fmri, pg),
            Change::SetProp { fmri, pg, prop, ty, values } => self.set(fmri, pg, prop, *ty, values),
            Change::DelProp { fmri, pg, prop } => self.delete_property(fmri, pg, prop),
            Change::Snapshot { fmri, name } => {
                let content = snapshot::edited(self.conn, fmri)?;
                self.put_snapshot(fmri, name, snapshot::store(self.conn, &content)?)
            }
            Change::CopySnapshot { fmri, from, to } => {
                must_exist(self.conn, fmri)?;
                match snapshot::data_id(self.conn, fmri, from)? {
                    Some(data) => self.put_snapshot(fmri, to, data),
                    None => refuse(Code::NotFound, format!("No such snapshot \"{from}\".")),
                }
            }
            Change::PutSnapshot { fmri, name, content } => {
                self.put_snapshot(fmri, name, snapshot::store(self.conn, content)?)
            }
        }
    }

    /// Writes the record of what changed; returns whether anything did in the persistent database,
    /// and in the other one.
    pub fn finish(self) -> Result<(bool, bool)> {
        for (layer, changed) in &self.changed {
            let sql = format!(
                "INSERT OR REPLACE INTO {}.change (service, instance, pg, generation)
                 VALUES (?, ?, ?, ?)",
                layer.schema()
            );
            let fmri = &changed.fmri;
            self.conn.prepare_cached(&sql)?.execute(params![
                fmri.service,
                instance_key(fmri),
                changed.pg.as_deref().unwrap_or(""),
                self.generation.cast_signed()
            ])?;
        }
        let touched = |layer| self.changed.iter().any(|(changed, _)| *changed == layer);
        let persistent = touched(Layer::Persistent) || self.snapshots_changed;
        let volatile = touched(Layer::Volatile);
        if let Some(stale) = self.stale.filter(|_| persistent || volatile) {
            return Err(stale.into());
        }
        Ok((persistent, volatile))
    }

    fn note(&mut self, layer: Layer, fmri: &Fmri, pg: Option<&str>) {
        let changed = Changed { fmri: fmri.clone(), pg: pg.map(str::to_owned) };
        self.changed.insert((layer, changed));
    }

    fn add(&mut self, fmri: &Fmri) -> Result<()> {
        if self.insert_entity(Layer::Persistent, fmri)? {
            self.note(Layer::Persistent, fmri, None);
        }
        Ok(())
    }

    fn insert_entity(&self, layer: Layer, fmri: &Fmri) -> Result<bool> {
        let schema = layer.schema();
        let sql =
            format!("INSERT OR IGNORE INTO {schema}.entity (service, instance) VALUES (?, ?)");
        let added =
            self.conn.prepare_cached(&sql)?.execute([&fmri.service, instance_key(fmri)])? > 0;
        Ok(added)
    }

    fn delete(&mut self, fmri: &Fmri) -> Result<()> {
        self.latest = None;
        let of_service = |other: &Fmri| other.service == fmri.service;
        let mut doomed = vec![fmri.clone()];
        if !fmri.is_instance() {
            doomed.extend(read::entities(self.conn, true)?.into_iter().filter(of_service));
        }
        for fmri in doomed {
            for layer in LAYERS {
                let schema = layer.schema();
                let key = [&fmri.service, instance_key(&fmri)];
                let sql = format!("DELETE FROM {schema}.entity WHERE service = ? AND instance = ?");
                if self.conn.prepare_cached(&sql)?.execute(key)? == 0 {
                    continue;
                }
                // The entity's end says it all.
                let sql = format!("DELETE FROM {schema}.change WHERE service = ? AND instance = ?");
                self.conn.prepare_cached(&sql)?.execute(key)?;
                self.changed.retain(|(at, changed)| *at != layer || changed.fmri != fmri);
                self.note(layer, &fmri, None);
            }
        }
        snapshot::sweep(self.conn)
    }

    fn add_group(&mut self, fmri: &Fmri, pg: &str, ty: &str, layer: Layer) -> Result<()> {
        must_exist(self.conn, fmri)?;
        want(fmri::is_name(pg), || format!("Invalid property group name \"{pg}\"."))?;
        want(fmri::is_name(ty), || format!("Invalid property group type \"{ty}\"."))?;
        if let Some((at, _, existing)) = self.find_group(fmri, pg)? {
            return if at == layer && existing == ty {
                Ok(())
            } else {
                let kept = if at == Layer::Volatile { ", not kept across boots" } else { "" };
                let message = format!(
                    "Property group \"{pg}\" of {fmri} already exists (type {existing}{kept})."
                );
                refuse(Code::Conflict, message)
            };
        }
        self.insert_entity(layer, fmri)?;
        let schema = layer.schema();
        let sql = format!("INSERT INTO {schema}.pg (entity, name, type) VALUES (?, ?, ?)");
        let entity = entity_id(self.conn, layer, fmri)?;
        self.conn.prepare_cached(&sql)?.execute(params![entity, pg, ty])?;
        self.note(layer, fmri, Some(pg));
        Ok(())
    }

    /// Where a group is. The service or instance must exist.
    fn locate(&mut self, fmri: &Fmri, pg: &str) -> Result<Option<(Layer, i64)>> {
        if let Some(place) = &self.latest
            && place.pg == pg
            && place.fmri == *fmri
        {
            return Ok(Some((place.layer, place.id)));
        }
        must_exist(self.conn, fmri)?;
        let Some((layer, id, _)) = self.find_group(fmri, pg)? else { return Ok(None) };
        self.latest = Some(Place { fmri: fmri.clone(), pg: pg.to_owned(), layer, id });
        Ok(Some((layer, id)))
    }

    fn find_group(&self, fmri: &Fmri, pg: &str) -> Result<Option<(Layer, i64, String)>> {
        for layer in LAYERS {
            if let Some((id, ty)) = group_id(self.conn, layer, fmri, pg)? {
                return Ok(Some((layer, id, ty)));
            }
        }
        Ok(None)
    }

    fn delete_group(&mut self, fmri: &Fmri, pg: &str) -> Result<()> {
        self.latest = None;
        if let Some((layer, id, _)) = self.find_group(fmri, pg)? {
            let sql = format!("DELETE FROM {}.pg WHERE id = ?", layer.schema());
            self.conn.prepare_cached(&sql)?.execute([id])?;
            self.note(layer, fmri, Some(pg));
        }
        Ok(())
    }

    fn set(
        &mut self,
        fmri: &Fmri,
        pg: &str,
        prop: &str,
        ty: PropType,
        values: &[String],
    ) -> Result<()> {
        let place = self.locate(fmri, pg)?;
        want(fmri::is_name(prop), || format!("Invalid property name \"{prop}\"."))?;
        let Some((layer, id)) = place else {
            return refuse(Code::NotFound, format!("No such property group \"{pg}\"."));
        };
        let values =
            values.iter().map(|value| ty.check(value)).collect::<std::result::Result<_, _>>();
        let values: Vec<String> =
            values.map_err(|error| Failure::new(Code::Invalid, error.to_string()))?;
        let (ty, values) = (ty.to_string(), serde_json::to_string(&values)?);
        let schema = layer.schema();
        let sql = format!(
            "INSERT INTO {schema}.prop (pg, name, type, vals) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pg, name) DO UPDATE SET type = ?3, vals = ?4
             WHERE type != ?3 OR vals != ?4"
        );
        if self.conn.prepare_cached(&sql)?.execute(params![id, prop, ty, values])? > 0 {
            self.note(layer, fmri, Some(pg));
        }
        Ok(())
    }

    fn delete_property(&mut self, fmri: &Fmri, pg: &str, prop: &str) -> Result<()> {
        if let Some((layer, id, _)) = self.find_group(fmri, pg)? {
            let sql = format!("DELETE FROM {}.prop WHERE pg = ? AND name = ?", layer.schema());
            if self.conn.prepare_cached(&sql)?.execute(params![id, prop])? > 0 {
                self.note(layer, fmri, Some(pg));
            }
        }
        Ok(())
    }

    fn put_snapshot(&mut self, fmri: &Fmri, name: &str, data: i64) -> Result<()> {
        want_instance(fmri)?;
        want(fmri::is_name(name), || format!("Invalid snapshot name \"{name}\"."))?;
        let entity = must_exist(self.conn, fmri)?;
        self.snapshots_changed |= snapshot::put(self.conn, entity, name, data)?;
        Ok(())
    }
}

fn want(valid: bool, message: impl FnOnce() -> String) -> Result<()> {
    if valid { Ok(()) } else { refuse(Code::Invalid, message()) }
}

fn want_instance(fmri: &Fmri) -> Result<()> {
    want(fmri.is_instance(), || format!("\"{fmri}\" is not an instance."))
}

/// The latest commit that went to both databases, if only one of them has it.
pub fn half_done(conn: &Connection, volatile: u64) -> Result<Option<Vec<Change>>> {
    let sql = "SELECT changes FROM main.redo WHERE generation > ?";
    let changes: Option<String> =
        conn.query_row(sql, [volatile.cast_signed()], |row| row.get(0)).optional()?;
    Ok(changes.map(|changes| serde_json::from_str(&changes)).transpose()?)
}
