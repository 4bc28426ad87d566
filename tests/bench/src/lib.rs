//! What the measuring programs in `bin/` have in common: repeated acts, and both ends of what a guest
//! and dom0 measure together.

pub mod calls;
pub mod disk;
pub mod network;
pub mod shared;

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use nix::mount::{MsFlags, mount};

/// A disk's large request and a page, aligned as direct access to disks wants it.
#[repr(C, align(4096))]
pub struct Buffer(pub [u8; 1 << 20]);

/// A buffer of zeros.
pub fn buffer() -> Box<Buffer> {
    // Not by `Box::new`, which makes it on the stack first.
    let buffer = Box::<Buffer>::new_zeroed();
    // SAFETY: zero bytes are bytes.
    unsafe { buffer.assume_init() }
}

/// Mounts what the kernel tells of itself; says where it can't, and goes on.
pub fn mount_kernels_own() {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let mounted = mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
        mounted.unwrap_or_else(|error| eprintln!("{place}: {error}"));
    }
}

/// How many nanoseconds an act takes, the average of many.
pub fn each<T>(times: u32, mut act: impl FnMut() -> Result<T>) -> Result<f64> {
    let before = Instant::now();
    for _ in 0..times {
        black_box(act()?);
    }
    Ok(before.elapsed().as_nanos() as f64 / f64::from(times))
}

/// The same of the second of two rounds: the first fills caches and page tables.
pub fn second<T>(times: u32, mut act: impl FnMut() -> Result<T>) -> Result<f64> {
    each(times, &mut act)?;
    each(times, &mut act)
}
