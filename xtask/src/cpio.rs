//! Writes a tree as a cpio archive in the `newc` format, which the kernel unpacks as initramfs.
//!
//! Format: Documentation/driver-api/early-userspace/buffer-format.rst of the Linux sources.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::tree::{Node, Tree};

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const DEVICE: u32 = 0o020_000;
const TRAILER: &str = "TRAILER!!!";

/// Writes `tree` to `out`. Everything belongs to root and has time 0, so equal trees give equal
/// archives.
pub fn write(tree: &Tree, out: &mut impl Write) -> Result<()> {
    let mut archive = Archive { out, written: 0, inode: 0 };
    for (path, node) in tree.nodes() {
        match node {
            Node::Folder { mode } => archive.entry(path, FOLDER | mode, (0, 0), &[])?,
            Node::Copy { from, mode } => {
                let contents = fs::read(from).with_context(|| from.display().to_string())?;
                archive.entry(path, FILE | mode, (0, 0), &contents)?;
            }
            Node::Text { contents, mode } => {
                archive.entry(path, FILE | mode, (0, 0), contents.as_bytes())?;
            }
            Node::Link { target } => {
                archive.entry(path, LINK | 0o777, (0, 0), target.as_bytes())?;
            }
            Node::Device { number, mode } => archive.entry(path, DEVICE | mode, *number, &[])?,
        }
    }
    archive.entry(TRAILER, 0, (0, 0), &[])?;
    Ok(())
}

/// Writes `tree` to a new file.
pub fn write_file(tree: &Tree, path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(tree, &mut out)?;
    Ok(out.flush()?)
}

struct Archive<'a, W> {
    out: &'a mut W,
    written: usize,
    inode: u32,
}

impl<W: Write> Archive<'_, W> {
    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<()> {
        self.inode += 1;
        let size = u32::try_from(data.len()).with_context(|| format!("{name} is too big"))?;
        let links = if mode & 0o170_000 == FOLDER { 2 } else { 1 };
        let fields = [
            self.inode,
            mode,
            0, // uid
            0, // gid
            links,
            0, // mtime
            size,
            0, // major and minor of the file system it came from
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0, // checksum, unused in this variant
        ];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.bytes(header.as_bytes())?;
        self.bytes(name.as_bytes())?;
        self.bytes(&[0])?;
        self.align()?;
        self.bytes(data)?;
        self.align()?;
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let missing = self.written.wrapping_neg() % 4;
        self.bytes(&[0; 3][..missing])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_starts_at_a_multiple_of_four() {
        let mut tree = Tree::default();
        tree.text("a", "12345", 0o644);
        tree.link("bc", "a");
        let mut bytes = Vec::new();
        write(&tree, &mut bytes).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let headers: Vec<usize> =
            (0..bytes.len() - 5).filter(|&at| &bytes[at..at + 6] == b"070701").collect();
        assert_eq!(headers.len(), 3);
        assert!(headers.iter().all(|at| at % 4 == 0), "{headers:?}");
    }

    #[test]
    fn the_cpio_program_reads_it_back() {
        let Ok(mut cpio) = std::process::Command::new("busybox")
            .args(["cpio", "-t"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
        else {
            panic!("busybox is needed (apt-get install busybox-static)");
        };
        let mut tree = Tree::default();
        tree.text("dir/file", "contents", 0o600);
        tree.put("dir/console", Node::Device { number: (5, 1), mode: 0o600 });
        write(&tree, cpio.stdin.as_mut().unwrap()).unwrap();
        let listed = cpio.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), "dir\ndir/console\ndir/file\n");
    }
}
