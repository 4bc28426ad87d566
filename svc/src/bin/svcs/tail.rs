//! The end of a log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How many lines are the end.
pub const LINES: usize = 10;

/// How much of a log is looked at; longer ends are cut.
const MOST: u64 = 64 << 10;

/// The last `count` lines of a log, with nothing in them that a terminal would obey.
pub fn lines(path: &Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let start = start_of_last(&mut file, count)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(printable).collect())
}

/// Where the last `count` lines begin.
pub fn start_of_last(file: &mut File, count: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let base = length.saturating_sub(MOST);
    file.seek(SeekFrom::Start(base))?;
    let mut bytes = Vec::new();
    file.take(length - base).read_to_end(&mut bytes)?;
    // The newline at the very end ends the last line; it doesn't begin another.
    let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let before = newlines.map(|(at, _)| at + 1).nth(count.saturating_sub(1));
    Ok(base + before.unwrap_or(0) as u64)
}

/// `line` without control characters.
pub fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The end of a log as `-xv` shows it; nothing if there is none.
pub fn block(path: &Path) -> String {
    let lines = lines(path, LINES).unwrap_or_default();
    let label = |number| if number == 0 { "   Log: " } else { "        " };
    let lines = lines.iter().enumerate();
    lines.map(|(number, line)| format!("{}{line}\n", label(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str, count: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, text).unwrap();
        lines(&path, count).unwrap()
    }

    #[test]
    fn the_last_lines_are_found() {
        assert_eq!(end("a\nb\nc\n", 2), ["b", "c"]);
        assert_eq!(end("a\nb\nc", 2), ["b", "c"]);
        assert_eq!(end("a\n\n", 2), ["a", ""]);
        assert_eq!(end("a\n", 5), ["a"]);
        assert!(end("", 5).is_empty());
        assert_eq!(end("a\x1b[2Jb\tc\n", 1), ["a [2Jb c"]);
    }

    #[test]
    fn long_logs_are_not_read_whole() {
        let long = "x".repeat(MOST as usize + 10);
        let found = end(&format!("first\n{long}\nlast\n"), 2);
        assert_eq!(found.last().map(String::as_str), Some("last"));
        assert!(found[0].len() < MOST as usize && found[0].starts_with('x'));
    }

    #[test]
    fn a_block_has_a_label() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(block(&path), "");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(block(&path), "   Log: a\n        b\n");
    }
}
