//! Durable transactions a second: `svc.configd`'s, and those of SQLite's own shell on the same
//! disk, with the same settings. Each sets one value, and returns when that is on the disk.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use svc::fmri::Fmri;
use svc::repo::{Change, Repo};
use svc::value::PropType;

use super::processes;

/// How many clients there are at a time, and how many transactions each makes.
const ROUNDS: [(usize, usize); 2] = [(1, 400), (16, 100)];
/// How long a daemon may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures, and makes a table of it.
pub fn table(programs: &Path) -> Result<String> {
    let mut text = String::from(
        "\n## Durable transactions a second\n\n\
         One client after its own answer, or many at a time; SQLite is its shell, `sqlite3`, one for\n\
         each client, with a write-ahead log and synchronous=FULL as svc.configd has them.\n\n\
         | clients | svc.configd | SQLite |\n| --- | --- | --- |\n",
    );
    for (clients, each) in ROUNDS {
        eprintln!("transactions, {clients} clients");
        let ours = ours(programs, clients, each);
        processes::end_all()?;
        let (ours, theirs) = (ours?, sqlite(clients, each)?);
        let _ =
            writeln!(text, "| {clients} | {ours:.0} (1.0) | {theirs:.0} ({:.1}) |", theirs / ours);
    }
    Ok(text)
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn ours(programs: &Path, clients: usize, each: usize) -> Result<f64> {
    let root = tempfile::tempdir()?;
    let mut configd = Command::new(programs.join("svc-configd"));
    configd.env("SVC_ROOT", root.path()).stdin(Stdio::null()).stdout(Stdio::null());
    configd.spawn().context("cannot start svc.configd")?;
    let connect = || Repo::connect_to(&root.path().join("run/svc/repository.sock"), PATIENCE);
    let set = |client: usize, number: usize| -> Result<Vec<Change>> {
        let fmri = Fmri::parse(&format!("svc:/bench/s{client}"))?;
        let (pg, prop) = ("config".to_owned(), "number".to_owned());
        let ty = "application".to_owned();
        let group = Change::AddPg { fmri: fmri.clone(), pg: pg.clone(), ty, persistent: true };
        let service = Change::AddService(fmri.clone());
        let values = vec![number.to_string()];
        let value = Change::SetProp { fmri, pg, prop, ty: PropType::Count, values };
        Ok(if number == 0 { vec![service, group, value] } else { vec![value] })
    };
    let all = (0..clients).map(|client| Ok((client, connect()?))).collect::<Result<Vec<_>>>()?;
    for (client, repo) in &all {
        repo.commit(set(*client, 0)?)?;
    }
    let work = |(client, repo): (usize, Repo)| -> Result<()> {
        (1..=each).try_for_each(|number| Ok(repo.commit(set(client, number)?).map(drop)?))
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        let mut ends = threads.into_iter().map(|thread| thread.join());
        ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a client died")))
    })?;
    Ok(rate(clients * each, started.elapsed()))
}

fn sqlite(clients: usize, each: usize) -> Result<f64> {
    const SETTINGS: &str =
        ".timeout 60000\nPRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\n";
    let folder = tempfile::tempdir()?;
    let shell = |script: &str, name: &str| -> Result<Child> {
        let path = folder.path().join(name);
        fs::write(&path, script)?;
        let mut shell = Command::new("sqlite3");
        shell.arg(folder.path().join("db")).stdin(File::open(path)?).stdout(Stdio::null());
        shell.spawn().context("cannot start sqlite3")
    };
    let mut made = format!(
        "{SETTINGS}CREATE TABLE prop (pg INTEGER, name TEXT, vals TEXT, UNIQUE (pg, name));\n"
    );
    (0..clients).for_each(|client| {
        let _ = writeln!(made, "INSERT INTO prop VALUES ({client}, 'number', '0');");
    });
    ended(shell(&made, "made")?)?;
    let script = |client: usize| {
        let mut script = SETTINGS.to_owned();
        for number in 1..=each {
            let _ = writeln!(script, "UPDATE prop SET vals = '{number}' WHERE pg = {client};");
        }
        script
    };
    let started = Instant::now();
    let shells = (0..clients).map(|client| shell(&script(client), &client.to_string()));
    shells.collect::<Result<Vec<_>>>()?.into_iter().try_for_each(ended)?;
    Ok(rate(clients * each, started.elapsed()))
}

fn ended(mut shell: Child) -> Result<()> {
    let status = shell.wait()?;
    if status.success() { Ok(()) } else { bail!("sqlite3 failed: {status}") }
}
