//! Kernel modules: the wanted ones and all they depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::packages::Packages;
use crate::tree::Tree;
use crate::{host, project};

/// Whose modules.
#[derive(Debug)]
pub struct Kernel {
    /// The folder whose `lib/modules` they are in.
    pub root: PathBuf,
    /// The kernel's release, which a folder there is named after.
    pub release: String,
}

impl Kernel {
    /// dom0's.
    pub fn of_dom0(packages: &Packages) -> Result<Self> {
        let root = packages.root(&packages.kernel)?.to_owned();
        Ok(Self { root, release: packages.kernel_release().to_owned() })
    }
}

/// Puts `wanted` modules and their dependencies into `tree`, with a `modules.dep` for modprobe.
pub fn install(tree: &mut Tree, kernel: &Kernel, wanted: &[&str]) -> Result<()> {
    let release = &kernel.release;
    let dependencies = dependencies(kernel)?;
    let by_name: BTreeMap<String, &str> =
        dependencies.keys().map(|path| (module_name(path), path.as_str())).collect();
    let mut chosen = BTreeSet::new();
    for name in wanted {
        let path = by_name
            .get(&name.replace('-', "_"))
            .with_context(|| format!("kernel {release} has no module {name}"))?;
        chosen.insert(*path);
        chosen.extend(dependencies[*path].iter().map(String::as_str));
    }
    let root = kernel.root.join("lib/modules").join(release);
    let folder = format!("/lib/modules/{release}");
    let mut table = String::new();
    for path in chosen {
        tree.copy(&format!("{folder}/{path}"), root.join(path), 0o644);
        table.push_str(&format!("{path}: {}\n", dependencies[path].join(" ")));
    }
    tree.text(&format!("{folder}/modules.dep"), table, 0o644);
    Ok(())
}

/// Each module of the package with all its dependencies, as depmod finds them.
fn dependencies(kernel: &Kernel) -> Result<BTreeMap<String, Vec<String>>> {
    let Kernel { root, release } = kernel;
    let table = project::cached(&format!("modules-{release}.dep"), release, |path| {
        let mut depmod = host::tool("depmod");
        host::output(depmod.arg("-b").arg(root).arg(release))?;
        std::fs::copy(root.join("lib/modules").join(release).join("modules.dep"), path)?;
        Ok(())
    })?;
    Ok(parse(&std::fs::read_to_string(table)?))
}

fn parse(table: &str) -> BTreeMap<String, Vec<String>> {
    let line = |line: &str| {
        let (path, needs) = line.split_once(':')?;
        Some((path.to_owned(), needs.split_whitespace().map(str::to_owned).collect()))
    };
    table.lines().filter_map(line).collect()
}

/// `kernel/net/stp.ko`, packed or not, is `stp`; `-` and `_` are the same in module names.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dependencies_are_read() {
        let table =
            parse("kernel/net/bridge.ko: kernel/net/stp.ko kernel/net/llc.ko\nkernel/a-b.ko:\n");
        assert_eq!(table["kernel/net/bridge.ko"].len(), 2);
        assert!(table["kernel/a-b.ko"].is_empty());
        assert_eq!(module_name("kernel/a-b.ko"), "a_b");
        assert_eq!(module_name("kernel/a-b.ko.xz"), "a_b");
    }
}
