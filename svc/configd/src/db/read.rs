//! Queries: entities, their property groups in each view, and what changed.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use svc::compose;
use svc::fmri::Fmri;
use svc::repo::{Changed, Code, View, snapshots};
use svc::value::{Groups, Property, PropertyGroup};

use super::{DbError, LAYERS, Layer, Result, refuse, snapshot};

/// The instance's name as it is stored: empty for a service.
pub fn instance_key(fmri: &Fmri) -> &str {
    fmri.instance.as_deref().unwrap_or("")
}

fn fmri_of(row: &Row<'_>) -> rusqlite::Result<Fmri> {
    let instance: String = row.get(1)?;
    Ok(Fmri { service: row.get(0)?, instance: (!instance.is_empty()).then_some(instance) })
}

/// The row of an entity.
pub fn entity_id(conn: &Connection, layer: Layer, fmri: &Fmri) -> Result<Option<i64>> {
    let sql =
        format!("SELECT id FROM {}.entity WHERE service = ? AND instance = ?", layer.schema());
    let key = params![fmri.service, instance_key(fmri)];
    Ok(conn.prepare_cached(&sql)?.query_row(key, |row| row.get(0)).optional()?)
}

/// Refuses with `NotFound` what isn't there.
pub fn must_exist(conn: &Connection, fmri: &Fmri) -> Result<i64> {
    match entity_id(conn, Layer::Persistent, fmri)? {
        Some(id) => Ok(id),
        None => {
            let kind = if fmri.is_instance() { "instance" } else { "service" };
            refuse(Code::NotFound, format!("No such {kind} \"{fmri}\"."))
        }
    }
}

pub fn entities(conn: &Connection, instances: bool) -> Result<Vec<Fmri>> {
    let sql = "SELECT service, instance FROM main.entity WHERE (instance != '') = ?
               ORDER BY service, instance";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([instances], fmri_of)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn changes_since(conn: &Connection, generation: u64) -> Result<Vec<Changed>> {
    // After a generation that will never be there is nothing: who asks so wants to know the latest.
    let Ok(generation) = i64::try_from(generation) else { return Ok(Vec::new()) };
    let sql = "SELECT service, instance, pg FROM main.change WHERE generation > ?1
               UNION SELECT service, instance, pg FROM np.change WHERE generation > ?1
               ORDER BY service, instance, pg";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([generation], |row| {
        let pg: String = row.get(2)?;
        Ok(Changed { fmri: fmri_of(row)?, pg: (!pg.is_empty()).then_some(pg) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether a group of `fmri`, or `fmri` itself, came, went or changed after `generation`.
pub fn has_changed(conn: &Connection, fmri: &Fmri, pg: &str, generation: u64) -> Result<bool> {
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    for layer in LAYERS {
        let sql = format!(
            "SELECT 1 FROM {}.change
             WHERE service = ? AND instance = ? AND pg IN ('', ?) AND generation > ?",
            layer.schema()
        );
        let key = params![fmri.service, instance_key(fmri), pg, generation];
        if conn.prepare_cached(&sql)?.exists(key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The groups of `fmri` in `view`.
pub fn groups(conn: &Connection, fmri: &Fmri, view: &View) -> Result<Groups> {
    let edited = |layers: &[Layer]| -> Result<Groups> {
        Ok(compose::groups(direct(conn, fmri, layers)?, direct(conn, &fmri.service(), layers)?))
    };
    match view {
        View::Snapshot(name) => from_snapshot(conn, fmri, name),
        View::Running => match running(conn, fmri)? {
            Some(name) => {
                let mut groups = from_snapshot(conn, fmri, name)?;
                groups.append(&mut edited(&[Layer::Volatile])?);
                Ok(groups)
            }
            None => groups(conn, fmri, &View::Composed),
        },
        View::Composed if fmri.is_instance() => edited(&LAYERS),
        View::Composed | View::Direct => direct(conn, fmri, &LAYERS),
    }
}

/// What is read of a property group.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The group.
    pub pg: &'a str,
    /// If that is all that is of interest, one property. What says who may read and change it is
    /// read, too. It saves reading the others; where that saves nothing they are there as well.
    pub prop: Option<&'a str>,
}

impl<'a> Part<'a> {
    /// All of the group `pg`.
    pub fn whole(pg: &'a str) -> Self {
        Self { pg, prop: None }
    }
}

/// One group of `fmri` in `view`.
pub fn group(
    conn: &Connection,
    fmri: &Fmri,
    part: Part<'_>,
    view: &View,
) -> Result<Option<PropertyGroup>> {
    let Part { pg, .. } = part;
    let edited = |layers: &[Layer]| -> Result<Option<PropertyGroup>> {
        let inherited = direct_group(conn, &fmri.service(), part, layers)?;
        Ok(compose::group(direct_group(conn, fmri, part, layers)?, inherited))
    };
    match view {
        View::Snapshot(name) => Ok(from_snapshot(conn, fmri, name)?.remove(pg)),
        View::Running => match edited(&[Layer::Volatile])? {
            Some(live) => Ok(Some(live)),
            None => match running(conn, fmri)? {
                Some(name) => Ok(from_snapshot(conn, fmri, name)?.remove(pg)),
                None => group(conn, fmri, part, &View::Composed),
            },
        },
        View::Composed if fmri.is_instance() => edited(&LAYERS),
        View::Composed | View::Direct => direct_group(conn, fmri, part, &LAYERS),
    }
}

/// The group `pg` of every instance that has it, sorted. The properties in `props` are of interest,
/// or all if that is empty; others may be there as well.
pub fn group_of_all(
    conn: &Connection,
    pg: &str,
    props: &[String],
    view: &View,
) -> Result<Vec<(Fmri, PropertyGroup)>> {
    let mut edited = Attached::default();
    let layers: &[Layer] = match view {
        View::Running => &[Layer::Volatile],
        _ => &LAYERS,
    };
    for &layer in layers {
        edited.extend(attached(conn, layer, pg, props)?);
    }
    if *view == View::Direct {
        let mut all: Vec<_> = edited.into_iter().filter(|(fmri, _)| fmri.is_instance()).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        return Ok(all);
    }
    let mut all = Vec::new();
    for fmri in entities(conn, true)? {
        let own = edited.remove(&fmri);
        let inherited = edited.get(&fmri.service()).cloned();
        let found = match (view, compose::group(own, inherited)) {
            (View::Composed, found) | (View::Running, found @ Some(_)) => found,
            _ => {
                match group(conn, &fmri, Part::whole(pg), view) {
                    // An instance without that snapshot has nothing to show.
                    Err(DbError::Refused(failure)) if failure.code == Code::NotFound => None,
                    found => found?,
                }
            }
        };
        all.extend(found.map(|group| (fmri, group)));
    }
    Ok(all)
}

type Attached = HashMap<Fmri, PropertyGroup>;

/// The group `pg` of every service and instance that it is attached to, by one query: to ask for
/// ten thousand one by one takes ten times as long.
fn attached(conn: &Connection, layer: Layer, pg: &str, props: &[String]) -> Result<Attached> {
    let db = layer.schema();
    let wanted = match vec!["?"; props.len()].join(", ") {
        all if all.is_empty() => all,
        some => format!("AND prop.name IN ({some})"),
    };
    let sql = format!(
        "SELECT service, instance, pg.type, prop.name, prop.type, vals, pg.id FROM {db}.pg
         JOIN {db}.entity ON entity.id = pg.entity
         LEFT JOIN {db}.prop ON prop.pg = pg.id {wanted}
         WHERE pg.name = ?"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let words = props.iter().map(String::as_str).chain([pg]);
    let mut rows = statement.query(params_from_iter(words))?;
    let persistent = layer == Layer::Persistent;
    let mut all = Attached::new();
    let mut latest: Option<(i64, Fmri, PropertyGroup)> = None;
    while let Some(row) = rows.next()? {
        // The rows of a group come one after the other.
        let id = row.get(6)?;
        if latest.as_ref().is_none_or(|(latest, ..)| *latest != id) {
            let ty: String = row.get(2)?;
            let empty = PropertyGroup { persistent, ..PropertyGroup::new(&ty) };
            let before = latest.replace((id, fmri_of(row)?, empty));
            all.extend(before.map(|(_, fmri, group)| (fmri, group)));
        }
        // A group may have no properties.
        if let (Some((.., group)), Some(name)) = (&mut latest, row.get(3)?) {
            group.props.insert(name, stored(row, 4)?);
        }
    }
    all.extend(latest.map(|(_, fmri, group)| (fmri, group)));
    Ok(all)
}

/// The name of the running snapshot, if there is one.
fn running(conn: &Connection, fmri: &Fmri) -> Result<Option<&'static str>> {
    Ok(snapshot::exists(conn, fmri, snapshots::RUNNING)?.then_some(snapshots::RUNNING))
}

fn from_snapshot(conn: &Connection, fmri: &Fmri, name: &str) -> Result<Groups> {
    match snapshot::read(conn, fmri, name)? {
        Some(snapshot) => Ok(compose::groups(snapshot.instance, snapshot.service)),
        None => refuse(Code::NotFound, format!("No such snapshot \"{name}\" of \"{fmri}\".")),
    }
}

/// The groups attached to `fmri` itself.
pub fn direct(conn: &Connection, fmri: &Fmri, layers: &[Layer]) -> Result<Groups> {
    let mut groups = Groups::new();
    for &layer in layers {
        let Some(entity) = entity_id(conn, layer, fmri)? else { continue };
        let sql = format!("SELECT id, name, type FROM {}.pg WHERE entity = ?", layer.schema());
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([entity])?;
        while let Some(row) = rows.next()? {
            let group = load(conn, layer, row.get(0)?, row.get(2)?, None)?;
            groups.insert(row.get(1)?, group);
        }
    }
    Ok(groups)
}

fn direct_group(
    conn: &Connection,
    fmri: &Fmri,
    Part { pg, prop }: Part<'_>,
    layers: &[Layer],
) -> Result<Option<PropertyGroup>> {
    for &layer in layers {
        if let Some((id, ty)) = group_id(conn, layer, fmri, pg)? {
            return load(conn, layer, id, ty, prop).map(Some);
        }
    }
    Ok(None)
}

/// The row and the type of a group.
pub fn group_id(
    conn: &Connection,
    layer: Layer,
    fmri: &Fmri,
    pg: &str,
) -> Result<Option<(i64, String)>> {
    // Two questions, as SQLite would plan one with a join anew each time that it is asked.
    let Some(entity) = entity_id(conn, layer, fmri)? else { return Ok(None) };
    let sql = format!("SELECT id, type FROM {}.pg WHERE entity = ? AND name = ?", layer.schema());
    let key = params![entity, pg];
    let found = conn.prepare_cached(&sql)?.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?)
}

fn load(
    conn: &Connection,
    layer: Layer,
    id: i64,
    ty: String,
    prop: Option<&str>,
) -> Result<PropertyGroup> {
    let persistent = layer == Layer::Persistent;
    let mut group = PropertyGroup { persistent, ..PropertyGroup::new(&ty) };
    let mut sql = format!("SELECT name, type, vals FROM {}.prop WHERE pg = ?", layer.schema());
    if prop.is_some() {
        sql += " AND name IN (?, 'modify_authorization', 'read_authorization', \
                'value_authorization')";
    }
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = match prop {
        Some(prop) => statement.query(params![id, prop])?,
        None => statement.query([id])?,
    };
    while let Some(row) = rows.next()? {
        group.props.insert(row.get(0)?, stored(row, 1)?);
    }
    Ok(group)
}

/// A property as it is stored from column `at` on: the type's name and the values as a JSON list.
fn stored(row: &Row<'_>, at: usize) -> Result<Property> {
    let text = |at| Ok::<_, DbError>(row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?);
    let (name, values) = (text(at)?, text(at + 1)?);
    // What is no type is unreadable as values may be.
    let ty = name.parse().or_else(|_| serde_json::from_value(name.into()))?;
    Ok(Property { ty, values: serde_json::from_str(values)? })
}
