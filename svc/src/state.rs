//! States of an instance, as the restarter writes them and the commands show them (smf(7)).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not looked at yet.
    Uninitialized,
    /// Enabled, and not running yet.
    Offline,
    /// Running.
    Online,
    /// Running with less capacity.
    Degraded,
    /// An administrator is needed.
    Maintenance,
    /// Not enabled.
    Disabled,
}

impl State {
    const ALL: [State; 6] = [
        State::Uninitialized,
        State::Offline,
        State::Online,
        State::Degraded,
        State::Maintenance,
        State::Disabled,
    ];

    /// Its name in the repository.
    pub fn name(self) -> &'static str {
        match self {
            State::Uninitialized => "uninitialized",
            State::Offline => "offline",
            State::Online => "online",
            State::Degraded => "degraded",
            State::Maintenance => "maintenance",
            State::Disabled => "disabled",
        }
    }

    /// Its abbreviation in column STA.
    pub fn abbreviation(self) -> &'static str {
        match self {
            State::Uninitialized => "UN",
            State::Offline => "OFF",
            State::Online => "ON",
            State::Degraded => "DGD",
            State::Maintenance => "MNT",
            State::Disabled => "DIS",
        }
    }

    /// Its letter in column S.
    pub fn letter(self) -> char {
        match self {
            State::Uninitialized => 'u',
            State::Offline => '0',
            State::Online => '1',
            State::Degraded => 'D',
            State::Maintenance => 'm',
            State::Disabled => 'd',
        }
    }

    /// Whether the instance's processes run.
    pub fn is_running(self) -> bool {
        matches!(self, State::Online | State::Degraded)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        State::ALL.into_iter().find(|state| state.name() == text).ok_or(())
    }
}
