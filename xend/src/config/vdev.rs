//! The name of a guest's disk and the number that stands for it in the store.
//!
//! Names, numbers and their limits: xen-vbd-interface(7). A bare number is passed on as it is,
//! which is how guests that are no Linux are configured (`0`, `6`).

use serde::{Deserialize, Serialize};

/// A virtual disk's name, as configured, and its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vdev {
    /// `xvda`, `sda1`, `0x301`, ... without a leading `/dev/`.
    pub name: String,
    /// What `virtual-device` in the store holds, and the last part of its paths.
    pub number: u32,
}

impl Vdev {
    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let name = name.strip_prefix("/dev/").unwrap_or(name);
        match number_of(name) {
            Some(number) => Ok(Self { name: name.to_owned(), number }),
            None => Err(format!(
                "'{name}' is no disk a guest can have; names are such as xvda, xvdb2, sda1, hdc, \
                 d0p1, or a number"
            )),
        }
    }
}

/// Disks with numbers from here on need the extended encoding.
const EXTENDED: u32 = 1 << 28;

fn number_of(name: &str) -> Option<u32> {
    if name.starts_with(|char: char| char.is_ascii_digit()) {
        return plain_number(name);
    }
    if let Some((disk, partition)) = name.strip_prefix('d').and_then(numbered) {
        return xvd(disk, partition);
    }
    let (disk, partition) = lettered(name.get(2..)?, name.starts_with("xvd"))?;
    match name.get(..2)? {
        "xv" => xvd(disk, partition),
        "sd" if disk < 16 && partition < 16 => Some(8 << 8 | disk << 4 | partition),
        "hd" if disk < 2 && partition < 64 => Some(3 << 8 | disk << 6 | partition),
        "hd" if disk < 4 && partition < 64 => Some(22 << 8 | (disk - 2) << 6 | partition),
        _ => None,
    }
}

fn xvd(disk: u32, partition: u32) -> Option<u32> {
    if disk >= 1 << 20 || partition >= 256 {
        return None;
    }
    if disk < 16 && partition < 16 {
        return Some(202 << 8 | disk << 4 | partition);
    }
    Some(EXTENDED | disk << 8 | partition)
}

/// `0`, `51712`, `0xca00`, `0145000`.
fn plain_number(text: &str) -> Option<u32> {
    let number = if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        u32::from_str_radix(hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(&text[1..], 8)
    } else {
        text.parse()
    };
    number.ok().filter(|number| *number <= i32::MAX as u32)
}

/// `0`, `1p2` of `d0`, `d1p2`.
fn numbered(text: &str) -> Option<(u32, u32)> {
    let (disk, partition) = text.split_once('p').unwrap_or((text, "0"));
    Some((digits(disk)?, digits(partition)?))
}

/// `a`, `b2`, `aa15`: letters count in base 26 without a zero, as columns of a sheet do.
fn lettered(text: &str, xvd: bool) -> Option<(u32, u32)> {
    let text = if xvd { text.strip_prefix('d')? } else { text };
    let letters =
        text.len() - text.trim_start_matches(|char: char| char.is_ascii_lowercase()).len();
    let (letters, partition) = text.split_at(letters);
    if letters.is_empty() || letters.len() > 5 {
        return None;
    }
    let count = letters.bytes().fold(0, |count, letter| count * 26 + u32::from(letter - b'a') + 1);
    let partition = match partition {
        "" => 0,
        // Partition 0 is the whole disk, and that has no number in its name.
        _ if partition.starts_with('0') => return None,
        _ => digits(partition)?,
    };
    Some((count - 1, partition))
}

fn digits(text: &str) -> Option<u32> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_as_the_interface_defines_them() {
        let number = |name| Vdev::parse(name).unwrap().number;
        assert_eq!(number("xvda"), 202 << 8);
        assert_eq!(number("xvdb2"), 202 << 8 | 1 << 4 | 2);
        assert_eq!(number("xvdp15"), 202 << 8 | 15 << 4 | 15);
        assert_eq!(number("xvdq"), 1 << 28 | 16 << 8);
        assert_eq!(number("xvda16"), 1 << 28 | 16);
        assert_eq!(number("xvdtq37"), 1 << 28 | 536 << 8 | 37);
        assert_eq!(number("d536p37"), number("xvdtq37"));
        assert_eq!(number("d0"), number("xvda"));
        assert_eq!(number("sda1"), 0x801);
        assert_eq!(number("/dev/sdb3"), 8 << 8 | 1 << 4 | 3);
        assert_eq!(number("hda"), 0x300);
        assert_eq!(number("hdc2"), 22 << 8 | 2);
        assert_eq!(number("hdd"), 22 << 8 | 1 << 6);
        assert_eq!(number("0"), 0);
        assert_eq!(number("6"), 6);
        assert_eq!(number("0xca00"), 51712);
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        for name in [
            "",
            "xvd",
            "xvd1",
            "xvda0",
            "sdq",
            "sda16",
            "hde",
            "hda64",
            "eth0",
            "d1p256",
            "d",
            "dp1",
            "0x",
            "4294967296",
            "xvdA",
            "xvda1b",
            "xvdaaaaaa",
            "xvé",
            "sd",
        ] {
            assert!(Vdev::parse(name).is_err(), "{name}");
        }
    }

    /// The way back, written apart from the parser: the name libxl prints for an xvd number.
    fn name_of(disk: u32, partition: u32) -> String {
        let mut letters = Vec::new();
        let mut rest = disk + 1;
        while rest > 0 {
            rest -= 1;
            letters.push(char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
        }
        let letters: String = letters.iter().rev().collect();
        let partition = if partition == 0 { String::new() } else { partition.to_string() };
        format!("xvd{letters}{partition}")
    }

    proptest! {
        #[test]
        fn both_spellings_of_a_disk_agree(disk in 0u32..1 << 20, partition in 0u32..256) {
            let by_letter = Vdev::parse(&name_of(disk, partition)).unwrap();
            let by_number = Vdev::parse(&format!("d{disk}p{partition}")).unwrap();
            prop_assert_eq!(by_letter.number, by_number.number);
        }

        #[test]
        fn any_name_is_judged_without_panic(name in "\\PC{0,12}|[xvdsh]{0,3}[a-z0-9p]{0,8}") {
            let _ = Vdev::parse(&name);
        }
    }
}
