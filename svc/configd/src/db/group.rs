//! Commits that become durable together. The disk takes as long for many as for one, so those that
//! come at the same time are one transaction, each with a savepoint of its own; nobody is answered,
//! and nothing is read, before all of it is on the disk.

use rusqlite::{Connection, params};
use svc::repo::{Change, Failure};

use super::write::Writer;
use super::{Db, LAYERS, Result, access};
use crate::rights::Rights;

/// Commits that are not durable yet.
#[derive(Debug)]
pub struct Group {
    /// The latest commit before them.
    base: u64,
    /// All that they do.
    changes: Vec<Change>,
    persistent: bool,
    volatile: bool,
    /// SQLite has given all of them up, for this reason.
    broken: Option<Failure>,
}

impl Db {
    /// Makes `changes`, all or none; [`Db::sync`] makes them durable. Until then nothing but other
    /// commits may follow. Returns the generation after it, which is a new one only if something
    /// did change.
    pub fn join(&mut self, changes: Vec<Change>, rights: &Rights) -> Result<u64> {
        let base = self.generation;
        if self.group.is_none() {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
        }
        let group = self.group.get_or_insert_with(|| Group::new(base));
        if let Some(failure) = &group.broken {
            return Err(failure.clone().into());
        }
        say(&self.conn, "SAVEPOINT one")?;
        match apply(&self.conn, &changes, base + 1, rights) {
            Ok((persistent, volatile)) => {
                say(&self.conn, "RELEASE one")?;
                if persistent || volatile {
                    group.persistent |= persistent;
                    group.volatile |= volatile;
                    group.changes.extend(changes);
                    self.generation += 1;
                }
                Ok(self.generation)
            }
            Err(error) => {
                let undo = || say(&self.conn, "ROLLBACK TO one");
                // Where there is no room, say, SQLite has rolled back everything by itself.
                if undo().and_then(|()| say(&self.conn, "RELEASE one")).is_err() {
                    group.broken = Some(error.failure());
                }
                Err(error)
            }
        }
    }

    /// Whether there are commits that are not durable yet.
    pub fn is_unsynced(&self) -> bool {
        self.group.is_some()
    }

    /// Makes the commits durable that have joined; if that fails, none of them has happened.
    pub fn sync(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let base = group.base;
        let done = group.finish(&self.conn, self.generation);
        if done.is_err() {
            self.generation = base;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK")?;
            }
        }
        done
    }
}

impl Group {
    fn new(base: u64) -> Self {
        Self { base, changes: Vec::new(), persistent: false, volatile: false, broken: None }
    }

    /// Writes down how far the databases are, and commits both.
    fn finish(self, conn: &Connection, generation: u64) -> Result<()> {
        if let Some(failure) = self.broken {
            return Err(failure.into());
        }
        let generation = generation.cast_signed();
        if self.persistent && self.volatile {
            let sql = "INSERT OR REPLACE INTO main.redo (id, generation, changes) VALUES (1, ?, ?)";
            // To complete what was permitted is no second decision: its own half has changed things.
            let is_step = |change: &&Change| !matches!(change, Change::Unchanged { .. });
            let steps: Vec<&Change> = self.changes.iter().filter(is_step).collect();
            conn.execute(sql, params![generation, serde_json::to_string(&steps)?])?;
        }
        for (layer, touched) in LAYERS.into_iter().zip([self.persistent, self.volatile]) {
            if touched {
                let schema = layer.schema();
                let sql = format!("INSERT OR REPLACE INTO {schema}.meta VALUES ('generation', ?)");
                conn.prepare_cached(&sql)?.execute([generation])?;
            }
        }
        Ok(conn.execute_batch("COMMIT")?)
    }
}

/// Makes changes; returns which of the databases did change.
fn apply(
    conn: &Connection,
    changes: &[Change],
    generation: u64,
    rights: &Rights,
) -> Result<(bool, bool)> {
    let mut writer = Writer::new(conn, generation);
    for change in changes {
        access::permit(conn, rights, change)?;
        writer.apply(change)?;
    }
    writer.finish()
}

fn say(conn: &Connection, sql: &str) -> Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use svc::fmri::Fmri;
    use svc::repo::View;
    use svc::value::PropType;

    use super::*;
    use crate::db::Part;
    use crate::files::Files;

    fn set(value: &str) -> Vec<Change> {
        let fmri = Fmri::parse("svc:/a:x").unwrap();
        let (pg, prop) = ("p".to_owned(), "m".to_owned());
        let ty = "framework".to_owned();
        let group = Change::AddPg { fmri: fmri.clone(), pg: pg.clone(), ty, persistent: true };
        let values = vec![value.to_owned()];
        let set = Change::SetProp { fmri: fmri.clone(), pg, prop, ty: PropType::Count, values };
        vec![Change::AddInstance(fmri), group, set]
    }

    fn value(db: &Db) -> Option<String> {
        let fmri = Fmri::parse("svc:/a:x").unwrap();
        let group = db.group(&fmri, Part::whole("p"), &View::Direct, &Rights::All);
        group.ok().flatten()?.first("m").map(str::to_owned)
    }

    #[test]
    fn one_that_is_refused_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::in_folder(folder.path());
        let mut db = Db::open(&files).unwrap();
        assert_eq!(db.join(set("1"), &Rights::All).unwrap(), 1);
        assert!(db.join(set("bad"), &Rights::All).is_err());
        assert_eq!(db.join(set("1"), &Rights::All).unwrap(), 1, "nothing changed");
        assert_eq!(db.join(set("2"), &Rights::All).unwrap(), 2);
        db.sync().unwrap();
        assert_eq!((value(&db).as_deref(), db.generation()), (Some("2"), 2));
        db.join(set("3"), &Rights::All).unwrap();
        // As if the process died here.
        drop(db);
        let db = Db::open(&files).unwrap();
        assert_eq!((value(&db).as_deref(), db.generation()), (Some("2"), 2));
    }

    #[test]
    fn what_can_not_be_made_durable_has_not_happened() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = Db::open(&Files::in_folder(folder.path())).unwrap();
        db.commit(&set("1"), &Rights::All).unwrap();
        db.join(set("2"), &Rights::All).unwrap();
        // As it does by itself when the disk is full.
        db.conn.execute_batch("ROLLBACK").unwrap();
        assert!(db.sync().is_err());
        assert_eq!((value(&db).as_deref(), db.generation()), (Some("1"), 1));
        db.commit(&set("2"), &Rights::All).unwrap();
        assert_eq!((value(&db).as_deref(), db.generation()), (Some("2"), 2));
    }
}
