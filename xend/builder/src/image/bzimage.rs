//! Linux's bzImage (Documentation/arch/x86/boot.rst): where its payload is.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

const HEADER_MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const SETUP_SECTS: usize = 0x1f1;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
/// The first protocol version whose header tells where the payload is.
const VERSION_WITH_PAYLOAD: u16 = 0x0208;
const SECTOR: usize = 512;

fn word(file: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(offset..offset + 4)?.try_into().ok()?))
}

/// The compressed kernel in a bzImage, or `None` if `file` is no bzImage.
pub(crate) fn payload(file: &[u8]) -> Result<Option<&[u8]>, String> {
    if file.get(HEADER_MAGIC..HEADER_MAGIC + 4) != Some(b"HdrS") {
        return Ok(None);
    }
    let damaged = || "damaged bzImage: its payload is outside the file".to_owned();
    let version = word(file, VERSION).ok_or_else(damaged)? as u16;
    if version < VERSION_WITH_PAYLOAD {
        return Err(format!(
            "bzImage of boot protocol {}.{:02} is too old",
            version >> 8,
            version & 255
        ));
    }
    // 0 stands for 4 (boot.rst, setup_sects).
    let sectors = match file[SETUP_SECTS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let offset = word(file, PAYLOAD_OFFSET).ok_or_else(damaged)? as usize;
    let length = word(file, PAYLOAD_LENGTH).ok_or_else(damaged)? as usize;
    let start = (sectors + 1) * SECTOR + offset;
    file.get(start..start + length).map(Some).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn image(length: u32) -> Vec<u8> {
        let mut file = vec![0; 2048];
        file[SETUP_SECTS] = 1;
        file[HEADER_MAGIC..HEADER_MAGIC + 4].copy_from_slice(b"HdrS");
        file[VERSION..VERSION + 2].copy_from_slice(&0x20f_u16.to_le_bytes());
        file[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        file[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        file
    }

    #[test]
    fn the_payload_is_found() {
        let mut file = image(4);
        file[1024 + 16..1024 + 20].copy_from_slice(b"here");
        assert_eq!(payload(&file).unwrap(), Some(&b"here"[..]));
    }

    #[test]
    fn a_payload_outside_the_file_is_an_error() {
        assert!(payload(&image(u32::MAX)).is_err());
        assert!(payload(&image(1024)).is_err());
    }

    #[test]
    fn other_files_are_left_alone() {
        assert_eq!(payload(b"short").unwrap(), None);
        assert_eq!(payload(&vec![0; 4096]).unwrap(), None);
    }
}
