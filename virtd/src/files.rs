//! Files and block devices that are guests' disks.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// How large a disk is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// As its guest sees it.
    pub capacity: u64,
    /// What it takes here; a file may have holes.
    pub allocation: u64,
}

/// The size of a file or a block device.
pub fn size(path: &Path) -> io::Result<Size> {
    /// `st_blocks` counts in these.
    const BLOCK: u64 = 512;
    let metadata = fs::metadata(path)?;
    if metadata.file_type().is_block_device() {
        let capacity = File::open(path)?.seek(SeekFrom::End(0))?;
        return Ok(Size { capacity, allocation: capacity });
    }
    Ok(Size { capacity: metadata.len(), allocation: metadata.blocks() * BLOCK })
}
