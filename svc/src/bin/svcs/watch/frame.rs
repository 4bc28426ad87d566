//! The view as lines of a terminal.

use std::collections::BTreeMap;

use super::view::{Row, View};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// Between the parts of the screen.
    Title,
    Selected,
    Alarm,
}

/// A line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub style: Style,
}

const KEYS: &str = "up/down  e enable  d disable  r restart  c clear  / filter  a all  q quit";
const HEADER: &str = "STATE          RESTARTS STIME    FMRI";
/// Lines that are neither list nor log: the summary, the header, the instance, the keys.
const FIXED: usize = 4;
/// How many lines the log is given, and the reasons, if there is room.
const LOG: usize = 10;
const REASONS: usize = 2;

/// Draws `view` on a screen of `width` and `height`. No line is wider, and there are `height`.
pub fn frame(view: &View, width: usize, height: usize) -> Vec<Line> {
    let room = height.saturating_sub(FIXED);
    let log = LOG.min(room / 3);
    let reasons = view.details.reasons.len().min(REASONS).min(room.saturating_sub(log) / 2);
    let list = room - log - reasons;
    let mut lines =
        vec![line(summary(&view.rows), Style::Plain), line(HEADER.to_owned(), Style::Title)];
    // The selected row is always among those shown.
    let first = view.selected.saturating_sub(list.saturating_sub(1));
    let rows = view.rows.iter().enumerate().skip(first).take(list);
    lines.extend(rows.map(|(number, row)| line(text(row), style(row, number == view.selected))));
    lines.resize(2 + list, line(String::new(), Style::Plain));
    let selected = view.selected().map(|fmri| fmri.to_string()).unwrap_or_default();
    lines.push(line(selected, Style::Title));
    let reasons = view.details.reasons.iter().take(reasons);
    lines.extend(reasons.map(|reason| line(format!("Reason: {reason}"), Style::Plain)));
    let end = view.details.log.len().saturating_sub(log);
    lines.extend(view.details.log[end..].iter().map(|text| line(text.clone(), Style::Plain)));
    lines.resize(height.max(1) - 1, line(String::new(), Style::Plain));
    lines.push(line(prompt(view), Style::Plain));
    lines.truncate(height);
    lines.iter_mut().for_each(|line| line.text = line.text.chars().take(width).collect());
    lines
}

fn line(text: String, style: Style) -> Line {
    Line { text, style }
}

fn style(row: &Row, is_selected: bool) -> Style {
    match (is_selected, row.alarming) {
        (true, _) => Style::Selected,
        (false, true) => Style::Alarm,
        (false, false) => Style::Plain,
    }
}

fn text(row: &Row) -> String {
    format!("{:14} {:>8} {:8} {}", row.state, row.restarts, row.stime, row.fmri)
}

/// How many instances are in each state.
fn summary(rows: &[Row]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.state.trim_end_matches('*')).or_default() += 1;
    }
    let each = counts.iter().map(|(state, count)| format!("{count} {state}"));
    let each = each.collect::<Vec<_>>().join(", ");
    match rows.len() {
        0 => "0 instances".to_owned(),
        1 => format!("1 instance: {each}"),
        many => format!("{many} instances: {each}"),
    }
}

fn prompt(view: &View) -> String {
    match (view.typing, view.message.is_empty()) {
        (true, _) => format!("/{}_", view.filter),
        (false, false) => view.message.clone(),
        (false, true) if view.filter.is_empty() => KEYS.to_owned(),
        (false, true) => format!("[{}]  {KEYS}", view.filter),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{Details, Row};
    use super::*;
    use crate::sample::fmri;
    use proptest::prelude::*;

    fn view(count: usize) -> View {
        let row = |number: usize| Row {
            fmri: fmri(&format!("s{number}")),
            state: if number == 1 { "maintenance".into() } else { "online".into() },
            restarts: number as u64,
            stime: "12:00:00".to_owned(),
            alarming: number == 1,
        };
        let lines = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let details = Details {
            reasons: lines(&["Restarting too quickly."]),
            log: lines(&["one", "two", "three", "four"]),
        };
        View { rows: (0..count).map(row).collect(), details, ..View::default() }
    }

    fn drawn(view: &View, width: usize, height: usize) -> String {
        let lines = frame(view, width, height);
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    #[test]
    fn a_frame_has_list_reason_log_and_keys() {
        let mut view = view(2);
        view.selected = 1;
        let expected = "\
2 instances: 1 maintenance, 1 online
STATE          RESTARTS STIME    FMRI
online                0 12:00:00 svc:/s0:default
maintenance           1 12:00:00 svc:/s1:default


svc:/s1:default
Reason: Restarting too quickly.
two
three
four
up/down  e enable  d disable  r restart  c clear  / filter
";
        let drawn = drawn(&view, 58, 13);
        assert_eq!(drawn.lines().count(), 13);
        assert_eq!(drawn.replacen("\n\n\n\n", "\n\n\n", 1), expected);
        let styles: Vec<Style> = frame(&view, 58, 13).iter().map(|line| line.style).collect();
        assert_eq!(styles[1..4], [Style::Title, Style::Plain, Style::Selected]);
        view.selected = 0;
        assert_eq!(frame(&view, 58, 13)[3].style, Style::Alarm);
    }

    #[test]
    fn the_list_scrolls_to_the_selection() {
        let mut view = view(100);
        view.selected = 50;
        let text = drawn(&view, 80, 24);
        assert!(text.contains("svc:/s50:default\n"), "{text}");
        assert!(!text.contains("svc:/s51:default\n"), "{text}");
        view.selected = 3;
        assert!(drawn(&view, 80, 24).contains("svc:/s0:default\n"));
    }

    #[test]
    fn the_last_line_is_what_matters_now() {
        let mut view = view(1);
        let last = |view: &View| frame(view, 80, 24).pop().unwrap().text;
        assert!(last(&view).starts_with("up/down "));
        view.filter = "xvm".to_owned();
        assert!(last(&view).starts_with("[xvm]  up/down "));
        view.message = "permission denied".to_owned();
        assert_eq!(last(&view), "permission denied");
        view.typing = true;
        assert_eq!(last(&view), "/xvm_");
    }

    proptest! {
        #[test]
        fn any_size_will_do(
            count in 0usize..40, selected in 0usize..40, width in 0usize..100, height in 0usize..40,
        ) {
            let mut view = view(count);
            view.selected = selected.min(count.saturating_sub(1));
            let lines = frame(&view, width, height);
            prop_assert_eq!(lines.len(), height);
            prop_assert!(lines.iter().all(|line| line.text.chars().count() <= width));
            let is_selected = |line: &Line| line.style == Style::Selected;
            prop_assert_eq!(lines.iter().any(is_selected), count > 0 && height > FIXED);
        }
    }
}
