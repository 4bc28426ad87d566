//! The conversation between dom0 and a guest that are measured: lines of a word and a number. dom0
//! asks, and the guest answers until it says `done`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// dom0's address on the guests' bridge, and where it listens.
pub const CALLS: (&str, u16) = ("10.0.0.1", 7000);
/// Where dom0's end of what is measured of the network listens.
pub const DATA: (&str, u16) = ("10.0.0.1", 7001);

/// Whoever says nothing for so long has died.
const PATIENCE: Duration = Duration::from_secs(120);

/// One end of the conversation.
#[derive(Debug)]
pub struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    /// Takes over a connection. With patience, an end that is silent for long is an error.
    pub fn new(stream: TcpStream, is_patient: bool) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout((!is_patient).then_some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Says a word and a number.
    pub fn say(&mut self, word: &str, value: f64) -> Result<()> {
        Ok(self.stream.get_mut().write_all(format!("{word} {value}\n").as_bytes())?)
    }

    /// What the other end says next.
    pub fn hear(&mut self) -> Result<(String, f64)> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("the other end is silent")?;
        let (word, value) = line.trim_end().split_once(' ').context("the other end is gone")?;
        Ok((word.to_owned(), value.parse().with_context(|| line.clone())?))
    }

    /// The number that comes with a word, which must be the next.
    pub fn expect(&mut self, word: &str) -> Result<f64> {
        let (heard, value) = self.hear()?;
        ensure!(heard == word, "heard {heard:?} and not {word:?}");
        Ok(value)
    }
}
