//! Which instance a script in /etc/rc.d stands for, and which variable of rc.conf decides about it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::shell::{self, Statement};
use crate::fmri::Fmri;

/// The folder of scripts.
pub const FOLDER: &str = "/etc/rc.d";

/// A script that stands for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What messages call it.
    pub name: String,
    /// The variable of rc.conf.
    pub rcvar: String,
    /// The instance.
    pub fmri: Fmri,
}

impl Script {
    /// Reads a script; `None` if it stands for no instance, or no variable decides about it.
    pub fn parse(text: &str) -> Option<Self> {
        let variables = Variables::of(text);
        let fmri = variables.instance()?;
        let rcvar = variables.get("rcvar").filter(|rcvar| !rcvar.is_empty())?.to_owned();
        let name = variables.get("name").unwrap_or(&rcvar).to_owned();
        Some(Self { name, rcvar, fmri })
    }
}

/// What a script assigns, as far as that can be told without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of a script; the last assignment counts.
    pub fn of(text: &str) -> Self {
        let mut variables = BTreeMap::<String, String>::new();
        for statement in shell::statements(text) {
            if let Statement::Assign { name, value, .. } = statement {
                let value = shell::expand(&value, |name| variables.get(name).cloned());
                variables.insert(name, value);
            }
        }
        Self(variables)
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The instance that the script stands for, if it names one.
    pub fn instance(&self) -> Option<Fmri> {
        Fmri::parse(self.get("smf_fmri")?).ok().filter(Fmri::is_instance)
    }
}

/// The scripts of `folder` that stand for instances, by file name. Without the folder there are
/// none.
pub fn all(folder: &Path) -> io::Result<Vec<Script>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    paths.retain(|path| path.is_file());
    let texts = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    Ok(texts.iter().filter_map(|text| Script::parse(&String::from_utf8_lossy(text))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::order::{self, Head};
    use super::*;
    use std::process::Command;

    fn shipped() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../rc.d")
    }

    fn files() -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(shipped().join("rc.d")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn the_shipped_scripts_stand_for_instances() {
        let scripts = all(&shipped().join("rc.d")).unwrap();
        let names: Vec<_> = scripts.iter().map(|script| script.name.as_str()).collect();
        assert_eq!(names, ["console", "domains", "store", "virtd", "xenbackendd", "xend"]);
        for script in scripts {
            assert_eq!(script.rcvar, script.name);
            assert_eq!(script.fmri.to_string(), format!("svc:/system/xvm/{}:default", script.name));
        }
    }

    #[test]
    fn the_shipped_scripts_are_scripts() {
        for file in files().into_iter().chain([shipped().join("rc.subr")]) {
            assert!(
                Command::new("sh").arg("-n").arg(&file).status().unwrap().success(),
                "{file:?}"
            );
        }
    }

    #[test]
    fn the_shipped_scripts_have_an_order() {
        let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
        let scripts: Vec<_> = files()
            .iter()
            .map(|file| (name(file), Head::parse(&fs::read_to_string(file).unwrap())))
            .collect();
        let order = order::order(&scripts);
        assert_eq!(order.problems, [""; 0]);
        let names: Vec<_> = order.order.iter().map(|&number| scripts[number].0.as_str()).collect();
        let place = |name: &str| names.iter().position(|found| *found == name).unwrap();
        let chain = ["filesystems", "store", "xenbackendd", "xend", "domains"];
        assert!(chain.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{names:?}");
    }

    #[test]
    fn a_foreign_script_stands_for_nothing() {
        assert_eq!(Script::parse("name=sshd\nrcvar=$name\ncommand=/usr/sbin/sshd\n"), None);
        assert_eq!(Script::parse("name=a\nrcvar=a\nsmf_fmri=svc:/a\n"), None);
        assert_eq!(Script::parse("name=a\nsmf_fmri=svc:/a:b\n"), None);
        assert_eq!(Script::parse("name=a\nrcvar=a\nsmf_fmri='nonsense'\n"), None);
    }
}
