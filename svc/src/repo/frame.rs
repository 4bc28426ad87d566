//! Frames on the repository's socket: a length (u32, little-endian), then that much JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest frame's body, in bytes; either side hangs up on a larger one. The import of a
/// service with 100,000 properties is one commit, and takes half of it.
pub const MAX_FRAME: usize = 64 << 20;

/// The length in front of every frame, in bytes.
const HEADER: usize = 4;

/// Why a frame can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`].
    #[error("a message of {0} bytes is too long (the limit is {MAX_FRAME})")]
    TooLong(usize),
    /// The body isn't what it should be.
    #[error("a malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// `message` as a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - HEADER;
    let header = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
    frame[..HEADER].copy_from_slice(&header.ok_or(FrameError::TooLong(length))?.to_le_bytes());
    Ok(frame)
}

/// Takes the first frame off `buffer`, if it is all there.
pub fn decode<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>, FrameError> {
    let Some((header, body)) = buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let Some(body) = body.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(body);
    buffer.drain(..HEADER + length);
    Ok(Some(message?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_arrive() {
        let mut buffer = Vec::new();
        for byte in [encode(&"one").unwrap(), encode(&"two").unwrap()].concat() {
            buffer.push(byte);
        }
        assert_eq!(decode::<String>(&mut buffer).unwrap().as_deref(), Some("one"));
        let rest = buffer.split_off(5);
        assert_eq!(decode::<String>(&mut buffer).unwrap(), None);
        buffer.extend(rest);
        assert_eq!(decode::<String>(&mut buffer).unwrap().as_deref(), Some("two"));
        assert!(buffer.is_empty());
    }

    #[test]
    fn hostile_frames_are_refused() {
        let mut huge = u32::MAX.to_le_bytes().to_vec();
        assert!(matches!(decode::<String>(&mut huge), Err(FrameError::TooLong(_))));
        let mut garbage = [&3u32.to_le_bytes()[..], b"}{]"].concat();
        assert!(matches!(decode::<String>(&mut garbage), Err(FrameError::Malformed(_))));
        assert!(matches!(encode(&"x".repeat(MAX_FRAME)), Err(FrameError::TooLong(_))));
    }
}
