//! The terminal: raw and with a screen of its own as long as this is alive.

use std::io::{self, IsTerminal, Stdin, Stdout, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::termios::{self, SetArg, Termios};

use super::frame::{Line, Style};

nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);

/// The other screen, no cursor, no wrapping; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A terminal in use.
pub struct Terminal {
    input: Stdin,
    output: Stdout,
    before: Termios,
}

impl Terminal {
    /// Takes the terminal over; `None` if input or output is none.
    pub fn open() -> io::Result<Option<Self>> {
        let (input, output) = (io::stdin(), io::stdout());
        if !input.is_terminal() || !output.is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(&input)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&input, SetArg::TCSAFLUSH, &raw)?;
        let mut terminal = Self { input, output, before };
        terminal.write(ENTER)?;
        Ok(Some(terminal))
    }

    /// Columns and lines.
    pub fn size(&self) -> (usize, usize) {
        let mut size = MaybeUninit::<libc::winsize>::zeroed();
        // SAFETY: the request writes one winsize, for which there is room; all zeroes are valid,
        // should it fail.
        let size = unsafe {
            let _ = window_size(self.output.as_raw_fd(), size.as_mut_ptr());
            size.assume_init()
        };
        match (size.ws_col, size.ws_row) {
            (0, _) | (_, 0) => (80, 24),
            (columns, lines) => (columns.into(), lines.into()),
        }
    }

    /// Shows a frame.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            let (begin, end) = match line.style {
                Style::Plain => ("", ""),
                Style::Title => ("\x1b[1m", "\x1b[0m"),
                Style::Selected => ("\x1b[7m", "\x1b[0m"),
                Style::Alarm => ("\x1b[31m", "\x1b[0m"),
            };
            text.extend([begin, &line.text, end, "\x1b[K"]);
        }
        text.push_str("\x1b[J");
        self.write(&text)
    }

    /// What was typed; nothing at the end of input.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        // Not through the buffer of standard input, which poll(2) doesn't know.
        let mut bytes = [0; 256];
        match nix::unistd::read(&self.input, &mut bytes) {
            Ok(count) => Ok(bytes[..count].to_vec()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where keys come from.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.write(LEAVE);
        let _ = termios::tcsetattr(&self.input, SetArg::TCSAFLUSH, &self.before);
    }
}
