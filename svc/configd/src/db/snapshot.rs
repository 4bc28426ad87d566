//! Snapshots: what an instance and its service held at some time, stored once per content.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use svc::fmri::Fmri;
use svc::repo::Snapshot;

use super::read::{direct, entity_id};
use super::{Layer, Result};

pub fn names(conn: &Connection, fmri: &Fmri) -> Result<Vec<String>> {
    let Some(entity) = entity_id(conn, Layer::Persistent, fmri)? else { return Ok(Vec::new()) };
    let sql = "SELECT name FROM main.snapshot WHERE entity = ? ORDER BY name";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([entity], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn exists(conn: &Connection, fmri: &Fmri, name: &str) -> Result<bool> {
    Ok(data_id(conn, fmri, name)?.is_some())
}

/// The row of what a snapshot holds.
pub fn data_id(conn: &Connection, fmri: &Fmri, name: &str) -> Result<Option<i64>> {
    let Some(entity) = entity_id(conn, Layer::Persistent, fmri)? else { return Ok(None) };
    let sql = "SELECT data FROM main.snapshot WHERE entity = ? AND name = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let row = statement.query_row(params![entity, name], |row| row.get(0));
    Ok(row.optional()?)
}

pub fn read(conn: &Connection, fmri: &Fmri, name: &str) -> Result<Option<Snapshot>> {
    let Some(data) = data_id(conn, fmri, name)? else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT content FROM main.snapdata WHERE id = ?")?;
    let content: String = statement.query_row([data], |row| row.get(0))?;
    Ok(Some(serde_json::from_str(&content)?))
}

/// What is edited now; nonpersistent groups are never in a snapshot.
pub fn edited(conn: &Connection, fmri: &Fmri) -> Result<Snapshot> {
    let layers = [Layer::Persistent];
    let instance = direct(conn, fmri, &layers)?;
    Ok(Snapshot { instance, service: direct(conn, &fmri.service(), &layers)? })
}

/// Stores `content` unless the same is stored, and returns its row.
pub fn store(conn: &Connection, content: &Snapshot) -> Result<i64> {
    let content = serde_json::to_string(content)?;
    let digest: String =
        Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    conn.prepare_cached("INSERT OR IGNORE INTO main.snapdata (digest, content) VALUES (?, ?)")?
        .execute([&digest, &content])?;
    let mut statement = conn.prepare_cached("SELECT id FROM main.snapdata WHERE digest = ?")?;
    Ok(statement.query_row([&digest], |row| row.get(0))?)
}

/// Makes snapshot `name` of the instance in row `entity` hold what is in row `data`; returns
/// whether it held something else before.
pub fn put(conn: &Connection, entity: i64, name: &str, data: i64) -> Result<bool> {
    let mut before =
        conn.prepare_cached("SELECT data FROM main.snapshot WHERE entity = ? AND name = ?")?;
    let before: Option<i64> =
        before.query_row(params![entity, name], |row| row.get(0)).optional()?;
    if before == Some(data) {
        return Ok(false);
    }
    let sql = "INSERT OR REPLACE INTO main.snapshot (entity, name, data) VALUES (?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![entity, name, data])?;
    if let Some(before) = before {
        let sql = "DELETE FROM main.snapdata WHERE id = ?1
                   AND NOT EXISTS (SELECT 1 FROM main.snapshot WHERE data = ?1)";
        conn.prepare_cached(sql)?.execute([before])?;
    }
    Ok(true)
}

/// Forgets what no snapshot holds any more, after entities were deleted.
pub fn sweep(conn: &Connection) -> Result<()> {
    let sql = "DELETE FROM main.snapdata
               WHERE NOT EXISTS (SELECT 1 FROM main.snapshot WHERE data = snapdata.id)";
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}
