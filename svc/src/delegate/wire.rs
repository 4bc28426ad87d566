//! What a restarter and `svc.startd` say to each other: one JSON object a line. The names of the
//! events are those of librestart(3LIB), without their prefix.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fmri::Fmri;
use crate::state::State;

/// The protocol's version.
pub const VERSION: u32 = 1;

/// The longest line, in bytes, its end included; either side hangs up on a longer one.
pub const LINE_MAX: usize = 64 << 10;

/// The longest auxiliary state and the longest message, in bytes.
const WORD_MAX: usize = 64;
const MESSAGE_MAX: usize = 1024;

/// What a restarter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Who it is: the first line of every connection.
    Bind {
        /// Its own instance.
        restarter: Fmri,
        /// The version that it speaks.
        version: u32,
    },
    /// How an instance is doing.
    Report(Report),
}

/// How an instance is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The instance.
    pub instance: Fmri,
    /// Its state.
    pub state: State,
    /// The state it is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_state: Option<State>,
    /// Why it is in its state, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_state: Option<String>,
    /// Whether it left its state because of a fault.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
    /// The event that this is the answer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its processes; as before if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<i32>>,
    /// A line for the instance's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Report {
    /// That `instance` is in `state`, and stays there.
    pub fn new(instance: Fmri, state: State) -> Self {
        Self {
            instance,
            state,
            next_state: None,
            auxiliary_state: None,
            error: false,
            id: None,
            processes: None,
            message: None,
        }
    }

    /// As the answer to event `id`.
    pub fn answering(self, id: u64) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Whether the words in it are fit to be shown.
    pub fn check(&self) -> Result<(), Violation> {
        let is_word = |text: &String| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
            !text.is_empty() && text.len() <= WORD_MAX && text.chars().all(fits)
        };
        if self.auxiliary_state.as_ref().is_some_and(|text| !is_word(text)) {
            return Err(Violation::Word);
        }
        let is_line =
            |text: &String| text.len() <= MESSAGE_MAX && !text.contains(|c: char| c.is_control());
        if self.message.as_ref().is_some_and(|text| !is_line(text)) {
            return Err(Violation::Message);
        }
        Ok(())
    }
}

/// What `svc.startd` wants of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Order {
    /// It shall run when it may: `offline`, then.
    Enable,
    /// It shall not run: `disabled`, then.
    Disable,
    /// All that it depends on is there.
    Start,
    /// Something that it depends on had a fault.
    Stop,
    /// Something that it depends on stopped: it starts with a clean record afterwards.
    StopReset,
    /// An administrator wants it stopped, to be started anew.
    AdminRestart,
    /// Its properties have changed.
    AdminRefresh,
    /// It shall go to `maintenance`, stopped.
    AdminMaintOn,
    /// It shall go to `maintenance` at once; what runs is left to itself.
    AdminMaintOnImmediate,
    /// It shall leave `maintenance`.
    AdminMaintOff,
    /// It shall be shown as `degraded`.
    AdminDegraded,
    /// It shall be shown as `online` again.
    AdminRestore,
    /// It waits for itself: `maintenance`, then.
    DependencyCycle,
    /// Its dependencies are not understood: `maintenance`, then.
    InvalidDependency,
}

/// What `svc.startd` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// The connection is the restarter's now. What it knew before of orders is void.
    Bound {
        /// The restarter.
        restarter: Fmri,
        /// The version that is spoken.
        version: u32,
    },
    /// An instance is the restarter's, and was last known like this. It is answered with a report.
    AddInstance {
        /// The number of the event.
        id: u64,
        /// The instance.
        instance: Fmri,
        /// Whether it shall run.
        enabled: bool,
        /// Its state on record.
        state: State,
        /// Why it is in that state.
        auxiliary_state: String,
        /// What is left of the processes that were reported.
        processes: Vec<i32>,
    },
    /// An instance is the restarter's no more, and not answered for.
    RemoveInstance {
        /// The number of the event.
        id: u64,
        /// The instance.
        instance: Fmri,
    },
    /// All instances that there are now have been added.
    Synced,
    /// Something that the restarter said was refused.
    Error {
        /// What, and why.
        message: String,
        /// The instance that it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<Fmri>,
    },
    /// Something is wanted of an instance.
    #[serde(untagged)]
    Order {
        /// What.
        #[serde(rename = "event")]
        order: Order,
        /// The number of the event.
        id: u64,
        /// Of which.
        instance: Fmri,
    },
}

/// Why a line is refused.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// It isn't what it should be.
    #[error("not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is too long.
    #[error("a line has at most {LINE_MAX} bytes")]
    TooLong,
    /// A word that commands show is none.
    #[error(
        "an auxiliary_state is a word of at most {WORD_MAX} letters, digits, '_', '-', '.', ':'"
    )]
    Word,
    /// A message for the log is too long, or no line.
    #[error("a message is one line of at most {MESSAGE_MAX} bytes")]
    Message,
}

/// `message` as a line.
pub fn line<T: Serialize>(message: &T) -> Result<Vec<u8>, Violation> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > LINE_MAX { Err(Violation::TooLong) } else { Ok(line) }
}

/// Takes the first line off `buffer`, if it is all there, and reads it.
pub fn parse<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Option<Result<T, Violation>> {
    let end = buffer.iter().take(LINE_MAX).position(|byte| *byte == b'\n');
    let Some(end) = end else {
        return (buffer.len() >= LINE_MAX).then_some(Err(Violation::TooLong));
    };
    let message = serde_json::from_slice(&buffer[..end]);
    buffer.drain(..=end);
    Some(message.map_err(Violation::from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fmri() -> Fmri {
        Fmri::parse("svc:/a:b").unwrap()
    }

    #[test]
    fn lines_are_as_the_protocol_has_them() {
        let text = |event: &Event| String::from_utf8(line(event).unwrap()).unwrap();
        let start = Event::Order { order: Order::StopReset, id: 7, instance: fmri() };
        let said = "{\"event\":\"STOP_RESET\",\"id\":7,\"instance\":\"svc:/a:b\"}\n";
        assert_eq!(text(&start), said);
        assert_eq!(text(&Event::Synced), "{\"event\":\"SYNCED\"}\n");
        for event in [start, Event::Synced, Event::RemoveInstance { id: 1, instance: fmri() }] {
            let mut buffer = line(&event).unwrap();
            assert_eq!(parse::<Event>(&mut buffer).unwrap().unwrap(), event);
            assert!(buffer.is_empty());
        }
        let said = b"{\"request\":\"report\",\"instance\":\"svc:/a:b\",\"state\":\"online\"}\n";
        let report = parse::<Request>(&mut said.to_vec()).unwrap().unwrap();
        assert_eq!(report, Request::Report(Report::new(fmri(), State::Online)));
    }

    #[test]
    fn words_that_would_spoil_a_list_are_refused() {
        let with = |word: &str| {
            let report = Report::new(fmri(), State::Online);
            Report { auxiliary_state: Some(word.to_owned()), ..report }.check()
        };
        assert!(with("guest_crashed").is_ok());
        for bad in ["", "two words", "line\nline", "\u{e4}", &"x".repeat(65)] {
            assert!(matches!(with(bad), Err(Violation::Word)), "{bad}");
        }
        let report = Report::new(fmri(), State::Online);
        let report = Report { message: Some("a\nb".to_owned()), ..report };
        assert!(matches!(report.check(), Err(Violation::Message)));
    }

    proptest! {
        /// Whatever arrives: every byte is consumed or refused, and nothing breaks.
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            let mut refused = 0;
            while let Some(read) = parse::<Request>(&mut bytes) {
                refused += usize::from(read.is_err());
            }
            prop_assert_eq!(refused, lines);
            prop_assert!(!bytes.contains(&b'\n'));
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut endless = vec![b'x'; LINE_MAX];
        assert!(matches!(parse::<Request>(&mut endless), Some(Err(Violation::TooLong))));
    }
}
