//! The columns of a list: their names, their width, what they show, how they sort (svcs(1)).

use std::cmp::Ordering;
use std::time::SystemTime;

use svc::clock;
use svc::fmri::Fmri;
use svc::host::Instance;
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
pub type Row<'a> = (&'a Fmri, &'a Instance);

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

    fn text(self, (fmri, instance): Row, star: &str, now: SystemTime) -> String {
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

    fn compare(self, a: Row, b: Row) -> Ordering {
        let rank = |row: Row| rank(row.1.state());
        let now = SystemTime::UNIX_EPOCH;
        match self {
            Self::S | Self::Sta | Self::State => rank(a).cmp(&rank(b)),
            Self::N | Self::Nsta | Self::Nstate => {
                self::rank(a.1.next_state()).cmp(&self::rank(b.1.next_state()))
            }
            Self::Sn => rank(a)
                .cmp(&rank(b))
                .then(self::rank(a.1.next_state()).cmp(&self::rank(b.1.next_state()))),
            Self::Stime => a.1.since().cmp(&b.1.since()),
            Self::Ctid => a.1.contracts().cmp(&b.1.contracts()),
            _ => self.text(a, "", now).cmp(&self.text(b, "", now)),
        }
    }
}

/// The order of states: those that work before those that don't.
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
    rows.sort_by(|a, b| {
        let each = keys.iter().map(|(column, descending)| {
            let order = column.compare(*a, *b);
            if *descending { order.reverse() } else { order }
        });
        each.fold(Ordering::Equal, Ordering::then)
    });
}

/// The line of names.
pub fn header(columns: &[Column]) -> String {
    line(columns.iter().map(|column| {
        let (name, width) = column.head();
        format!("{name:width$}")
    }))
}

/// The line of one instance.
pub fn row(columns: &[Column], row: Row, now: SystemTime) -> String {
    let told = columns.iter().any(|column| column.tells_next());
    let star = if row.1.next_state().is_some() && !told { "*" } else { "" };
    line(columns.iter().map(|column| {
        let (_, width) = column.head();
        let text = column.text(row, star, now);
        if *column == Column::Ctid { format!("{text:>width$}") } else { format!("{text:width$}") }
    }))
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join(" ");
    format!("{}\n", line.trim_end())
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
        let one = (&fmri, &host.instances[&fmri]);
        let since = one.1.since().unwrap();
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
        let mut rows: Vec<Row> = host.instances.iter().collect();
        sort(&mut rows, &[(Column::State, false), (Column::Fmri, false)]);
        let names = |rows: &[Row]| -> Vec<String> {
            rows.iter().map(|row| row.0.service["system/xvm/".len()..].to_owned()).collect()
        };
        assert_eq!(names(&rows), ["virtd", "store", "xend"]);
        sort(&mut rows, &[(Column::Stime, false), (Column::Fmri, true)]);
        assert_eq!(names(&rows), ["xend", "virtd", "store"]);
    }
}
