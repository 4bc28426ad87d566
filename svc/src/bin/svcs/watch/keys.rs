//! Keys, as terminals send them.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    Interrupt,
    Char(char),
}

/// What follows an escape character, by key.
const SEQUENCES: [(&str, Key); 14] = [
    ("[A", Key::Up),
    ("OA", Key::Up),
    ("[B", Key::Down),
    ("OB", Key::Down),
    ("[5~", Key::PageUp),
    ("[6~", Key::PageDown),
    ("[H", Key::Home),
    ("OH", Key::Home),
    ("[1~", Key::Home),
    ("[7~", Key::Home),
    ("[F", Key::End),
    ("OF", Key::End),
    ("[4~", Key::End),
    ("[8~", Key::End),
];

/// The keys in what was read at once. An escape character that begins nothing known is the key of
/// that name.
pub fn parse(bytes: &[u8]) -> Vec<Key> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.as_ref();
    let mut keys = Vec::new();
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        let key = match first {
            '\x1b' => {
                let known = SEQUENCES.iter().find(|(sequence, _)| rest.starts_with(sequence));
                rest = &rest[known.map_or(0, |(sequence, _)| sequence.len())..];
                known.map_or(Key::Escape, |(_, key)| *key)
            }
            '\r' | '\n' => Key::Enter,
            '\x08' | '\x7f' => Key::Backspace,
            '\x03' => Key::Interrupt,
            other if other.is_control() => continue,
            other => Key::Char(other),
        };
        keys.push(key);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequences_are_keys() {
        let keys = [Key::Up, Key::Char('q'), Key::PageDown, Key::Enter, Key::Backspace];
        assert_eq!(parse(b"\x1b[Aq\x1b[6~\r\x7f"), keys);
        assert_eq!(parse(b"\x1b"), [Key::Escape]);
        assert_eq!(parse(b"\x1bOB\x03\x01"), [Key::Down, Key::Interrupt]);
        assert_eq!(parse("\u{e9}".as_bytes()), [Key::Char('\u{e9}')]);
    }

    proptest! {
        #[test]
        fn any_input_is_read(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            prop_assert!(parse(&bytes).len() <= bytes.len());
        }
    }
}
