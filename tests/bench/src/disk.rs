//! What a guest measures of its disk: requests that no cache answers.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Result;
use nix::libc::O_DIRECT;

use crate::{buffer, second};

/// The disk's size in bytes.
pub const SIZE: u64 = 32 << 20;
const LARGE: u64 = 1 << 20;
const SMALL: u64 = 4096;
/// Requests of a page come from all over the disk: so far apart, in bytes.
const STRIDE: u64 = 37 * SMALL;
const REQUESTS: u32 = 1000;
/// Four times the whole disk.
const LARGE_REQUESTS: u32 = 4 * (SIZE / LARGE) as u32;

/// Names and nanoseconds: of each MiB of large requests, and of each request of a page.
pub fn measure(disk: &Path) -> Result<Vec<(&'static str, f64)>> {
    let mut options = OpenOptions::new();
    let disk = options.read(true).write(true).custom_flags(O_DIRECT).open(disk)?;
    let mut buffer = buffer();
    let bytes = &mut buffer.0;
    let mut figures = Vec::new();
    for (name, times, step, size) in
        [("disk-read", LARGE_REQUESTS, LARGE, LARGE), ("disk-read-page", REQUESTS, STRIDE, SMALL)]
    {
        let mut at = 0;
        let read = second(times, || {
            disk.read_exact_at(&mut bytes[..size as usize], at)?;
            at = (at + step) % SIZE;
            Ok(())
        })?;
        figures.push((name, read));
    }
    for (name, times, step, size) in
        [("disk-write", LARGE_REQUESTS, LARGE, LARGE), ("disk-write-page", REQUESTS, STRIDE, SMALL)]
    {
        let mut at = 0;
        let write = second(times, || {
            disk.write_all_at(&bytes[..size as usize], at)?;
            at = (at + step) % SIZE;
            Ok(())
        })?;
        figures.push((name, write));
    }
    Ok(figures)
}
