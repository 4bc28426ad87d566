//! A file tree in the making: what is where, before it becomes a cpio archive or a disk image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::project;

/// What is at a path. Modes are permission bits only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A file with the contents of a file of the build host.
    Copy {
        /// The file to copy.
        from: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A file with these contents.
    Text {
        /// The contents.
        contents: String,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
    /// A character device.
    Device {
        /// Major and minor number.
        number: (u32, u32),
        /// Permission bits.
        mode: u32,
    },
}

/// Nodes by path, without the leading slash. Folders on the way are made by themselves.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// As on Debian, these are links into `usr`; paths through them are put where they point.
const MERGED: &[&str] = &["bin", "lib", "lib64", "sbin"];

impl Tree {
    /// An empty tree with Debian's links for `bin`, `lib`, `lib64` and `sbin`.
    pub fn merged_usr() -> Self {
        let mut tree = Self::default();
        for name in MERGED {
            tree.folder(&format!("usr/{name}"), 0o755);
            tree.nodes.insert((*name).to_owned(), Node::Link { target: format!("usr/{name}") });
        }
        tree
    }

    /// Puts `node` at `path`, in place of what was there.
    pub fn put(&mut self, path: &str, node: Node) {
        let path = self.resolve(path);
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            self.nodes.entry(above.to_owned()).or_insert(Node::Folder { mode: 0o755 });
            parent = above;
        }
        self.nodes.insert(path, node);
    }

    /// Makes a folder.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.put(path, Node::Folder { mode });
    }

    /// Copies a file of the build host.
    pub fn copy(&mut self, path: &str, from: impl Into<PathBuf>, mode: u32) {
        self.put(path, Node::Copy { from: from.into(), mode });
    }

    /// Writes a file.
    pub fn text(&mut self, path: &str, contents: impl Into<String>, mode: u32) {
        self.put(path, Node::Text { contents: contents.into(), mode });
    }

    /// Makes a symbolic link.
    pub fn link(&mut self, path: &str, target: impl Into<String>) {
        self.put(path, Node::Link { target: target.into() });
    }

    /// Copies everything below `folder` of the build host to `path`: files (executable or not as
    /// there), folders, links.
    pub fn copy_folder(&mut self, path: &str, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name =
                name.to_str().with_context(|| format!("odd name in {}", folder.display()))?;
            let inner = format!("{path}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.put(&inner, Node::Folder { mode: 0o755 });
                self.copy_folder(&inner, &entry.path())?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                self.link(&inner, target.to_string_lossy());
            } else {
                let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
                self.copy(&inner, entry.path(), if executable { 0o755 } else { 0o644 });
            }
        }
        Ok(())
    }

    /// All nodes, folders before what is in them.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// A text that differs when the tree differs. A copied file counts as the same while its
    /// path, size and modification time are.
    pub fn key(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (path, node) in &self.nodes {
            hash.update(format!("{path:?} {node:?}\n"));
            if let Node::Copy { from, .. } = node {
                hash.update(project::stamp(from)?);
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Writes the tree below `folder`. Devices need root and belong to an archive: refused.
    pub fn write_to(&self, folder: &Path) -> Result<()> {
        for (path, node) in &self.nodes {
            let at = folder.join(path);
            let mode = match node {
                Node::Folder { mode } => {
                    fs::create_dir_all(&at)?;
                    *mode
                }
                Node::Copy { from, mode } => {
                    fs::copy(from, &at).with_context(|| from.display().to_string())?;
                    *mode
                }
                Node::Text { contents, mode } => {
                    fs::write(&at, contents)?;
                    *mode
                }
                Node::Link { target } => {
                    symlink(target, &at)?;
                    continue;
                }
                Node::Device { .. } => bail!("{path}: a device in a tree for a disk image"),
            };
            fs::set_permissions(&at, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn resolve(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        let first = path.split('/').next().unwrap_or_default();
        match self.nodes.get(first) {
            Some(Node::Link { target }) if first != path => {
                format!("{target}{}", &path[first.len()..])
            }
            _ => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_through_merged_folders_end_up_in_usr() {
        let mut tree = Tree::merged_usr();
        tree.text("/lib/svc/bin/a", "x", 0o755);
        let paths: Vec<_> = tree.nodes().map(|(path, _)| path).collect();
        assert!(paths.contains(&"usr/lib/svc/bin/a"));
        assert!(paths.contains(&"usr/lib/svc"));
        assert!(!paths.iter().any(|path| path.starts_with("lib/")));
    }

    #[test]
    fn folders_come_before_their_contents() {
        let mut tree = Tree::default();
        tree.text("a/b/c", "", 0o644);
        let paths: Vec<_> = tree.nodes().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn the_key_follows_contents_and_modes() {
        let key = |contents: &str, mode| {
            let mut tree = Tree::default();
            tree.text("f", contents, mode);
            tree.key().unwrap()
        };
        assert_eq!(key("a", 0o644), key("a", 0o644));
        assert_ne!(key("a", 0o644), key("b", 0o644));
        assert_ne!(key("a", 0o644), key("a", 0o755));
    }

    #[test]
    fn a_copied_folder_keeps_links_and_executables() {
        let from = tempfile::tempdir().unwrap();
        let mut small = Tree::default();
        small.text("d/run", "#!/bin/sh\n", 0o755);
        small.text("d/data", "1", 0o600);
        small.link("d/to", "run");
        small.write_to(from.path()).unwrap();
        let mut tree = Tree::default();
        tree.copy_folder("etc", from.path()).unwrap();
        let nodes: BTreeMap<_, _> = tree.nodes().collect();
        assert!(matches!(nodes["etc/d/run"], Node::Copy { mode: 0o755, .. }));
        assert!(matches!(nodes["etc/d/data"], Node::Copy { mode: 0o644, .. }));
        assert_eq!(*nodes["etc/d/to"], Node::Link { target: "run".into() });
    }
}
