//! What the full-screen view shows, and what keys do to it.

use std::time::SystemTime;

use svc::clock;
use svc::fmri::Fmri;
use svc::host::{Host, Instance};
use svc::state::State;

use super::keys::Key;

/// An instance in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub fmri: Fmri,
    /// As in column STATE.
    pub state: String,
    /// How often it was started again since the view began.
    pub restarts: u64,
    /// As in column STIME.
    pub stime: String,
    /// Whether an administrator should look at it.
    pub alarming: bool,
}

/// What is shown of the selected instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub reasons: Vec<String>,
    /// The end of its log.
    pub log: Vec<String>,
}

/// What the view's user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Quit,
    /// A subcommand of svcadm(8), and on what.
    Run(&'static str, Fmri),
}

/// The view.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub rows: Vec<Row>,
    /// The number of the selected row.
    pub selected: usize,
    pub details: Details,
    /// Only FMRIs with this in them are shown.
    pub filter: String,
    /// Keys go to the filter.
    pub typing: bool,
    /// What is disabled is shown, too.
    pub all: bool,
    /// What was last said to the user.
    pub message: String,
}

/// How far the keys for pages go.
const PAGE: usize = 10;

impl View {
    /// The selected instance.
    pub fn selected(&self) -> Option<&Fmri> {
        self.rows.get(self.selected).map(|row| &row.fmri)
    }

    /// Shows the host's instances as they are now. The selection stays with its instance.
    pub fn show(&mut self, host: &Host, chosen: &[Fmri], now: SystemTime) {
        let selected = self.selected().cloned();
        let is_shown = |fmri: &Fmri, instance: &Instance| {
            let is_chosen = match chosen {
                [] => self.all || instance.is_enabled() || instance.is_enabled_for_good(),
                chosen => chosen.contains(fmri),
            };
            is_chosen && fmri.to_string().contains(&self.filter)
        };
        let shown = host.instances.iter().filter(|(fmri, instance)| is_shown(fmri, instance));
        let rows = shown.map(|(fmri, instance)| row(fmri, instance, now));
        self.rows = rows.collect();
        let place = self.rows.iter().position(|row| Some(&row.fmri) == selected.as_ref());
        self.selected = place.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
    }

    /// Does what a key stands for.
    pub fn press(&mut self, key: Key) -> Option<Wish> {
        self.message.clear();
        let last = self.rows.len().saturating_sub(1);
        match key {
            Key::Interrupt => return Some(Wish::Quit),
            Key::Up => self.selected = self.selected.saturating_sub(1),
            Key::Down => self.selected = (self.selected + 1).min(last),
            Key::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            Key::PageDown => self.selected = (self.selected + PAGE).min(last),
            Key::Home => self.selected = 0,
            Key::End => self.selected = last,
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            Key::Backspace if self.typing => drop(self.filter.pop()),
            Key::Backspace => {}
            Key::Char(letter) if self.typing => self.filter.push(letter),
            Key::Char(letter) => return self.command(letter),
        }
        None
    }

    fn command(&mut self, letter: char) -> Option<Wish> {
        let subcommand = match letter {
            'q' => return Some(Wish::Quit),
            'k' => return self.press(Key::Up),
            'j' => return self.press(Key::Down),
            '/' => {
                self.typing = true;
                return None;
            }
            'a' => {
                self.all = !self.all;
                return None;
            }
            'e' => "enable",
            'd' => "disable",
            'r' => "restart",
            'c' => "clear",
            _ => return None,
        };
        self.selected().map(|fmri| Wish::Run(subcommand, fmri.clone()))
    }
}

fn row(fmri: &Fmri, instance: &Instance, now: SystemTime) -> Row {
    let star = if instance.next_state().is_some() { "*" } else { "" };
    let state = instance.state();
    let alarming = match state {
        Some(State::Maintenance | State::Degraded) => true,
        Some(State::Offline) => instance.next_state().is_none(),
        _ => false,
    };
    Row {
        fmri: fmri.clone(),
        state: format!("{}{star}", state.map_or("?", State::name)),
        restarts: instance.restarts(),
        stime: instance.since().map_or("-".to_owned(), |since| clock::stime(since, now)),
        alarming,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Sample, fmri};
    use svc::value::PropType;

    fn sample() -> Sample {
        Sample::default()
            .instance("a", "online", true)
            .instance("b", "maintenance", true)
            .instance("c", "disabled", false)
    }

    fn shown(view: &mut View) -> Vec<String> {
        view.show(&sample().host(), &[], SystemTime::now());
        view.rows.iter().map(|row| row.fmri.service.clone()).collect()
    }

    fn press(view: &mut View, keys: &str) -> Vec<Wish> {
        keys.chars().filter_map(|letter| view.press(Key::Char(letter))).collect()
    }

    #[test]
    fn the_selection_stays_with_its_instance() {
        let mut view = View::default();
        assert_eq!(shown(&mut view), ["a", "b"]);
        view.press(Key::Down);
        view.press(Key::Down);
        assert_eq!(view.selected(), Some(&fmri("b")));
        press(&mut view, "/b");
        assert_eq!(shown(&mut view), ["b"]);
        assert_eq!(view.selected(), Some(&fmri("b")));
        view.press(Key::Escape);
        press(&mut view, "a");
        assert_eq!(shown(&mut view), ["a", "b", "c"]);
        assert_eq!(view.selected(), Some(&fmri("b")));
        view.press(Key::Home);
        view.press(Key::Up);
        assert_eq!(view.selected(), Some(&fmri("a")));
        view.press(Key::End);
        assert_eq!(view.selected(), Some(&fmri("c")));
    }

    #[test]
    fn letters_are_commands_unless_a_filter_is_typed() {
        let mut view = View::default();
        assert!(press(&mut view, "edrc").is_empty(), "nothing is selected");
        shown(&mut view);
        let run = |what| Wish::Run(what, fmri("a"));
        let all = [run("enable"), run("disable"), run("restart"), run("clear"), Wish::Quit];
        assert_eq!(press(&mut view, "edrcxq"), all);
        assert!(press(&mut view, "/qd").is_empty());
        assert_eq!(view.filter, "qd");
        assert!(shown(&mut view).is_empty());
        view.press(Key::Backspace);
        view.press(Key::Enter);
        assert_eq!((view.filter.as_str(), view.typing), ("q", false));
        assert_eq!(view.press(Key::Interrupt), Some(Wish::Quit));
    }

    #[test]
    fn restarts_are_the_restarters_count() {
        let mut view = View::default();
        let count = PropType::Count;
        let host = sample().set("a", "restarter", count, "restarts", "7").host();
        view.show(&host, &[], SystemTime::now());
        assert_eq!(view.rows.iter().map(|row| row.restarts).collect::<Vec<_>>(), [7, 0]);
    }
}
