//! The columns of a list: their names, their width, what they show, how they sort (svcs(1)).

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::SystemTime;

use svc::clock;
use svc::fmri::Fmri;
use svc::host::Instance;
use svc::rc::legacy::Legacy;
use svc::state::State;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Ctid,
    Desc,
    Fmri,
    Inst,
    N,
    Nsta,
    Nstate,
    S,
    Scope,
    Sn,
    Sta,
    State,
    Stime,
    Svc,
}

/// Each column with its name and its width.
const COLUMNS: [(Column, &str, usize); 14] = [
    (Column::Ctid, "CTID", 6),
    (Column::Desc, "DESC", 100),
    (Column::Fmri, "FMRI", 50),
    (Column::Inst, "INST", 20),
    (Column::N, "N", 1),
    (Column::Nsta, "NSTA", 4),
    (Column::Nstate, "NSTATE", 13),
    (Column::S, "S", 2),
    (Column::Scope, "SCOPE", 20),
    (Column::Sn, "SN", 2),
    (Column::Sta, "STA", 4),
    (Column::State, "STATE", 14),
    (Column::Stime, "STIME", 8),
    (Column::Svc, "SVC", 20),
];

/// A key of the order, and whether it is the other way round.
pub type Key = (Column, bool);

/// A line of a list before it is text.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    Instance(&'a Fmri, &'a Instance),
    Legacy(&'a Legacy),
}

impl Row<'_> {
    /// The order of states: those that work before those that don't.
    fn rank(self) -> u8 {
        match self {
            Self::Legacy(_) => 0,
            Self::Instance(_, instance) => rank(instance.state()),
        }
    }

    fn next_rank(self) -> u8 {
        match self {
            Self::Legacy(_) => rank(None),
            Self::Instance(_, instance) => rank(instance.next_state()),
        }
    }

    fn since(self) -> Option<SystemTime> {
        match self {
            Self::Legacy(legacy) => legacy.since,
            Self::Instance(_, instance) => instance.since(),
        }
    }

    fn contracts(self) -> Vec<u64> {
        match self {
            Self::Legacy(_) => Vec::new(),
            Self::Instance(_, instance) => instance.contracts(),
        }
    }

    fn is_moving(self) -> bool {
        matches!(self, Self::Instance(_, instance) if instance.next_state().is_some())
    }
}

/// The columns of a plain list, and of `-v`.
pub const PLAIN: [Column; 3] = [Column::State, Column::Stime, Column::Fmri];
pub const VERBOSE: [Column; 5] =
    [Column::State, Column::Nstate, Column::Stime, Column::Ctid, Column::Fmri];

impl Column {
    /// Reads a name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let known = COLUMNS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(column, ..)| *column)
    }

    /// The names of all columns.
    pub fn names() -> impl Iterator<Item = &'static str> {
        COLUMNS.iter().map(|(_, name, _)| *name)
    }

    /// Name and width.
    fn head(self) -> (&'static str, usize) {
        let found = COLUMNS.iter().find(|(column, ..)| *column == self);
        found.map_or(("", 0), |(_, name, width)| (*name, *width))
    }

    /// Whether it tells the next state, so that others need no asterisk for it.
    fn tells_next(self) -> bool {
        matches!(self, Self::N | Self::Sn | Self::Nsta | Self::Nstate)
    }

    fn text(self, row: Row, star: &str, now: SystemTime) -> String {
        match row {
            Row::Instance(fmri, instance) => self.of_instance(fmri, instance, star, now),
            Row::Legacy(legacy) => self.of_legacy(legacy, now),
        }
    }

    /// Of a script that was run nothing else is known.
    fn of_legacy(self, legacy: &Legacy, now: SystemTime) -> String {
        let text = match self {
            Self::Fmri => &legacy.fmri,
            Self::Svc => legacy.fmri.trim_start_matches("lrc:/"),
            Self::Scope => "localhost",
            Self::S => "L",
            Self::Sn => "L-",
            Self::Sta => "LRC",
            Self::State => "legacy_run",
            Self::Stime => {
                return legacy.since.map_or("-".to_owned(), |since| clock::stime(since, now));
            }
            _ => "-",
        };
        text.to_owned()
    }

    fn of_instance(self, fmri: &Fmri, instance: &Instance, star: &str, now: SystemTime) -> String {
        let state = instance.state();
        let next = instance.next_state();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let letter = |state: Option<State>, none| state.map_or(none, State::letter);
        let or_question = |text: Option<&str>| text.unwrap_or("?").to_owned();
        match self {
            Self::Ctid => match instance.contracts().as_slice() {
                [] => "-".to_owned(),
                [one] => one.to_string(),
                [first, ..] => format!("{first}*"),
            },
            Self::Desc => or_dash(instance.common_name()),
            Self::Fmri => fmri.to_string(),
            Self::Inst => or_dash(fmri.instance.clone()),
            Self::N => letter(next, '-').to_string(),
            Self::Nsta => or_dash(next.map(|next| next.abbreviation().to_owned())),
            Self::Nstate => or_dash(next.map(|next| next.to_string())),
            Self::S => format!("{}{star}", letter(state, '?')),
            Self::Scope => "localhost".to_owned(),
            Self::Sn => format!("{}{}", letter(state, '?'), letter(next, '-')),
            Self::Sta => or_question(state.map(State::abbreviation)) + star,
            Self::State => or_question(state.map(State::name)) + star,
            Self::Stime => or_dash(instance.since().map(|since| clock::stime(since, now))),
            Self::Svc => fmri.service.clone(),
        }
    }

    /// What a row sorts by.
    fn weight(self, row: Row) -> Weight {
        match self {
            Self::S | Self::Sta | Self::State => Weight::Rank(row.rank(), 0),
            Self::N | Self::Nsta | Self::Nstate => Weight::Rank(row.next_rank(), 0),
            Self::Sn => Weight::Rank(row.rank(), row.next_rank()),
            Self::Stime => Weight::Time(row.since()),
            Self::Ctid => Weight::Numbers(row.contracts()),
            _ => Weight::Text(self.text(row, "", SystemTime::UNIX_EPOCH)),
        }
    }
}

/// What rows sort by, found out once for each.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Rank(u8, u8),
    Time(Option<SystemTime>),
    Numbers(Vec<u64>),
    Text(String),
}

fn rank(state: Option<State>) -> u8 {
    match state {
        Some(State::Disabled) => 1,
        Some(State::Online) => 2,
        Some(State::Degraded) => 3,
        Some(State::Offline) => 4,
        Some(State::Maintenance) => 5,
        Some(State::Uninitialized) => 6,
        None => 7,
    }
}

/// Sorts by the first key, then the next.
pub fn sort(rows: &mut [Row], keys: &[Key]) {
    rows.sort_by_cached_key(|row| {
        let order = |(column, descending): &Key| {
            let weight = column.weight(*row);
            if *descending { Order::Down(Reverse(weight)) } else { Order::Up(weight) }
        };
        keys.iter().map(order).collect::<Vec<_>>()
    });
}

/// A key's weight, in its direction; rows are compared key by key, which all have the same one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Up(Weight),
    Down(Reverse<Weight>),
}

/// The line of names.
pub fn header(columns: &[Column]) -> String {
    let mut line = String::new();
    for column in columns {
        let (name, width) = column.head();
        let _ = write!(line, "{name:width$} ");
    }
    end(line)
}

/// The line of one instance or script.
pub fn row(columns: &[Column], row: Row, now: SystemTime) -> String {
    let told = columns.iter().any(|column| column.tells_next());
    let star = if row.is_moving() && !told { "*" } else { "" };
    let mut line = String::with_capacity(80);
    for column in columns {
        let (_, width) = column.head();
        let text = column.text(row, star, now);
        let _ = match column {
            Column::Ctid => write!(line, "{text:>width$} "),
            _ => write!(line, "{text:width$} "),
        };
    }
    end(line)
}

/// Ends a line behind its last letter.
fn end(mut line: String) -> String {
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::host::Host;
    use svc::value::PropType;

    fn host() -> Host {
        Sample::default()
            .instance("system/xvm/xend", "offline", true)
            .set("system/xvm/xend", "restarter", PropType::Astring, "next_state", "online")
            .set("system/xvm/xend", "restarter", PropType::Count, "contract", "83")
            .instance("system/xvm/store", "online", true)
            .instance("system/xvm/virtd", "disabled", false)
            .host()
    }

    #[test]
    fn lines_are_as_in_the_manual() {
        let host = host();
        let fmri = fmri("system/xvm/xend");
        let one = Row::Instance(&fmri, &host.instances[&fmri]);
        let since = one.since().unwrap();
        let time = clock::stime(since, since);
        assert_eq!(header(&PLAIN), "STATE          STIME    FMRI\n");
        assert_eq!(
            row(&PLAIN, one, since),
            format!("offline*       {time} svc:/system/xvm/xend:default\n")
        );
        assert_eq!(header(&VERBOSE), "STATE          NSTATE        STIME    CTID   FMRI\n");
        assert_eq!(
            row(&VERBOSE, one, since),
            format!("offline        online        {time}     83 svc:/system/xvm/xend:default\n")
        );
        let columns = |names: [&str; 3]| names.map(|name| Column::parse(name).unwrap());
        let short = [Column::S, Column::Sta, Column::Inst, Column::Desc];
        assert_eq!(row(&short, one, since), "0* OFF* default              -\n");
        assert_eq!(row(&columns(["sn", "NSTA", "n"]), one, since), "01 ON   1\n");
    }

    #[test]
    fn rows_sort_by_state_then_name() {
        let host = host();
        let legacy = Legacy { fmri: "lrc:/etc/rc_d/old".to_owned(), since: None };
        let rows = host.instances.iter().map(|(fmri, instance)| Row::Instance(fmri, instance));
        let mut rows: Vec<Row> = rows.chain([Row::Legacy(&legacy)]).collect();
        sort(&mut rows, &[(Column::State, false), (Column::Fmri, false)]);
        let names = |rows: &[Row]| -> Vec<String> {
            let name = |row: &Row| Column::Svc.text(*row, "", SystemTime::now());
            rows.iter().map(|row| name(row).rsplit('/').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&rows), ["old", "virtd", "store", "xend"]);
        sort(&mut rows, &[(Column::Stime, false), (Column::Fmri, true)]);
        assert_eq!(names(&rows), ["old", "xend", "virtd", "store"]);
    }

    #[test]
    fn of_scripts_little_is_known() {
        let since = SystemTime::now();
        let legacy = Legacy { fmri: "lrc:/etc/rc_d/old".to_owned(), since: Some(since) };
        let time = clock::stime(since, since);
        let line = row(&PLAIN, Row::Legacy(&legacy), since);
        assert_eq!(line, format!("legacy_run     {time} lrc:/etc/rc_d/old\n"));
        let columns = [Column::S, Column::Sn, Column::Sta, Column::Nstate, Column::Ctid];
        assert_eq!(row(&columns, Row::Legacy(&legacy), since), "L  L- LRC  -                  -\n");
    }
}
