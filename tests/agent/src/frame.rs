//! Frames on the wire: encoding, and a decoder that finds its way back after lost bytes.

const MAGIC: [u8; 4] = *b"EscX";
const HEADER: usize = 9;

/// The longest payload; a longer one is taken for noise.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// One message; see the crate's documentation for who sends what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A new asker, or the answer to one.
    Hello([u8; 8]),
    /// Run this with `/bin/sh -c`.
    Run(Vec<u8>),
    /// Kill the running command.
    Cancel,
    /// A piece of standard output.
    Stdout(Vec<u8>),
    /// A piece of standard error.
    Stderr(Vec<u8>),
    /// The command ended with this status.
    Exit(i32),
    /// The command could not be started.
    Failed(String),
}

impl Frame {
    /// The bytes of this frame. A payload beyond [`MAX_PAYLOAD`] is the caller's mistake: the
    /// receiver skips it.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload): (u8, &[u8]) = match self {
            Frame::Hello(nonce) => (b'h', nonce),
            Frame::Run(command) => (b'r', command),
            Frame::Cancel => (b'c', &[]),
            Frame::Stdout(bytes) => (b'o', bytes),
            Frame::Stderr(bytes) => (b'e', bytes),
            Frame::Exit(status) => (b'x', &status.to_le_bytes()),
            Frame::Failed(reason) => (b'f', reason.as_bytes()),
        };
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(kind);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        Some(match kind {
            b'h' => Frame::Hello(payload.try_into().ok()?),
            b'r' => Frame::Run(payload.to_vec()),
            b'c' => Frame::Cancel,
            b'o' => Frame::Stdout(payload.to_vec()),
            b'e' => Frame::Stderr(payload.to_vec()),
            b'x' => Frame::Exit(i32::from_le_bytes(payload.try_into().ok()?)),
            b'f' => Frame::Failed(String::from_utf8_lossy(payload).into_owned()),
            _ => return None,
        })
    }
}

/// Collects bytes and gives the frames in them, skipping what is none.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes in what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets a frame that began and will not end.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            self.skip_to_magic();
            let header = self.buffer.get(..HEADER)?;
            let kind = header[4];
            let length = u32::from_le_bytes(header[5..].try_into().ok()?) as usize;
            if length > MAX_PAYLOAD {
                self.buffer.drain(..1);
                continue;
            }
            let payload = self.buffer.get(HEADER..HEADER + length)?;
            let Some(frame) = Frame::decode(kind, payload) else {
                self.buffer.drain(..1);
                continue;
            };
            self.buffer.drain(..HEADER + length);
            return Some(frame);
        }
    }

    /// Drops everything before the first place where a magic is or may be beginning.
    fn skip_to_magic(&mut self) {
        let may_begin = |at: usize| {
            let rest = &self.buffer[at..];
            let seen = rest.len().min(MAGIC.len());
            rest[..seen] == MAGIC[..seen]
        };
        let start = (0..self.buffer.len()).find(|&at| may_begin(at)).unwrap_or(self.buffer.len());
        self.buffer.drain(..start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<[u8; 8]>().prop_map(Frame::Hello),
            bytes().prop_map(Frame::Run),
            Just(Frame::Cancel),
            bytes().prop_map(Frame::Stdout),
            bytes().prop_map(Frame::Stderr),
            any::<i32>().prop_map(Frame::Exit),
            "[a-z ]{0,40}".prop_map(Frame::Failed),
        ]
    }

    fn all(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame()).collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_chopping(
            frames in proptest::collection::vec(any_frame(), 0..8),
            piece in 1_usize..50,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for bytes in wire.chunks(piece) {
                decoder.feed(bytes);
                got.extend(all(&mut decoder));
            }
            prop_assert_eq!(got, frames);
        }

        #[test]
        fn a_frame_is_found_behind_noise(noise in "[a-zF-Z]{0,60}", frame in any_frame()) {
            let mut decoder = Decoder::default();
            decoder.feed(noise.as_bytes());
            decoder.feed(&frame.encode());
            prop_assert_eq!(all(&mut decoder), vec![frame]);
        }
    }

    #[test]
    fn an_impossible_length_does_not_swallow_what_follows() {
        let mut decoder = Decoder::default();
        decoder.feed(b"EscXo\xff\xff\xff\xff");
        decoder.feed(&Frame::Exit(3).encode());
        assert_eq!(all(&mut decoder), [Frame::Exit(3)]);
    }

    #[test]
    fn a_frame_cut_off_by_a_new_asker_is_forgotten() {
        let mut decoder = Decoder::default();
        decoder.feed(&Frame::Run(b"sleep 5".to_vec()).encode()[..12]);
        decoder.clear();
        decoder.feed(&Frame::Cancel.encode());
        assert_eq!(all(&mut decoder), [Frame::Cancel]);
    }
}
