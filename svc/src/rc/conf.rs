//! rc.conf(5): reads the files that decide about a variable in their order, and changes a variable
//! where it was set last without touching anything else.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::shell::{self, Statement};

const DEFAULTS: &str = "/etc/defaults/rc.conf";
const MAIN: &str = "/etc/rc.conf";
const FOLDER: &str = "/etc/rc.conf.d";
/// How deeply files may source files.
const MAX_DEPTH: usize = 8;

/// Why rc.conf can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct ConfError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub source: io::Error,
}

/// A variable's value and the file that set it last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    value: String,
    file: PathBuf,
}

/// What the files say.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    variables: BTreeMap<String, Setting>,
}

impl Conf {
    /// Reads the defaults, rc.conf and `rc.conf.d/NAME`, each with what it sources. A file that
    /// isn't there says nothing.
    pub fn load(name: &str) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        conf.source(&crate::root(DEFAULTS), 0)?;
        conf.source(&crate::root(MAIN), 0)?;
        // A name from a script must not lead out of the folder.
        if !name.is_empty() && !name.contains('/') && !name.starts_with('.') {
            conf.source(&crate::root(FOLDER).join(name), 0)?;
        }
        Ok(conf)
    }

    fn source(&mut self, path: &Path, depth: usize) -> Result<(), ConfError> {
        if depth >= MAX_DEPTH {
            let source = io::Error::other("too many files source each other");
            return Err(ConfError { path: path.to_owned(), source });
        }
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ConfError { path: path.to_owned(), source }),
        };
        for statement in shell::statements(&text) {
            match statement {
                Statement::Assign { name, value, .. } => {
                    let value = self.expand(&value);
                    self.variables.insert(name, Setting { value, file: path.to_owned() });
                }
                Statement::Source(word) => {
                    let file = self.expand(&word);
                    self.source(&crate::root(&file), depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn expand(&self, word: &[shell::Piece]) -> String {
        shell::expand(word, |name| self.get(name).map(str::to_owned))
    }

    /// The value of a variable, defaults included.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|setting| setting.value.as_str())
    }

    /// The value of a variable that the administrator has set: a default isn't.
    pub fn set(&self, name: &str) -> Option<&str> {
        let setting = self.variables.get(name)?;
        (setting.file != crate::root(DEFAULTS)).then_some(setting.value.as_str())
    }

    /// Makes a variable that is set say `enabled`, in the file that decides; one that isn't set,
    /// or says so already, is left alone.
    pub fn change(&self, name: &str, enabled: bool) -> Result<(), ConfError> {
        let Some(value) = self.set(name) else { return Ok(()) };
        if checkyesno(value) == Some(enabled) {
            return Ok(());
        }
        let path = &self.variables[name].file;
        rewrite_file(path, name, enabled).map_err(|source| ConfError { path: path.clone(), source })
    }
}

/// Whether a value means yes or no; `None` if neither.
pub fn checkyesno(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "YES" | "TRUE" | "ON" | "1" => Some(true),
        "NO" | "FALSE" | "OFF" | "0" => Some(false),
        _ => None,
    }
}

/// `text` with the last assignment to `name` changed; `None` if there is none.
fn rewritten(text: &str, name: &str, enabled: bool) -> Option<String> {
    let last = shell::statements(text).into_iter().rev().find_map(|statement| match statement {
        Statement::Assign { name: found, span, .. } if found == name => Some(span),
        _ => None,
    })?;
    let old = &text[last.clone()];
    let quote = ["\"", "'"].into_iter().find(|quote| old.starts_with(quote)).unwrap_or_default();
    let value = if enabled { "YES" } else { "NO" };
    Some(format!("{}{quote}{value}{quote}{}", &text[..last.start], &text[last.end..]))
}

fn rewrite_file(path: &Path, name: &str, enabled: bool) -> io::Result<()> {
    // The file itself is replaced, not a link to it.
    let path = fs::canonicalize(path)?;
    let text = fs::read_to_string(&path)?;
    let Some(text) = rewritten(&text, name, enabled) else { return Ok(()) };
    let mut new = path.clone().into_os_string();
    new.push(format!(".new.{}", std::process::id()));
    let outcome = replace(&path, Path::new(&new), &text);
    if outcome.is_err() {
        // What is left of the attempt is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&new);
    }
    outcome
}

fn replace(path: &Path, new: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let mut file = File::create(new)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    file.sync_all()?;
    fs::rename(new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(folder: &Path) -> Conf {
        let mut conf = Conf::default();
        conf.source(&folder.join("rc.conf"), 0).unwrap();
        conf
    }

    #[test]
    fn the_last_assignment_wins() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "xend=NO\nlist=\"${xend} $nothing\"\n").unwrap();
        let text = format!("xend=YES; base={}\n. ${{base}}\nxend=on\n", other.display());
        fs::write(folder.path().join("rc.conf"), text).unwrap();
        let conf = read(folder.path());
        assert_eq!(conf.get("xend"), Some("on"));
        assert_eq!(conf.set("list"), Some("NO "));
        assert_eq!(conf.get("none"), None);
    }

    #[test]
    fn a_file_that_sources_itself_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rc.conf");
        fs::write(&path, format!(". {}\n", path.display())).unwrap();
        assert!(Conf::default().source(&path, 0).is_err());
    }

    #[test]
    fn defaults_are_not_set() {
        let file = crate::root(DEFAULTS);
        let setting = Setting { value: "YES".to_owned(), file };
        let conf = Conf { variables: [("xend".to_owned(), setting)].into() };
        assert_eq!(conf.get("xend"), Some("YES"));
        assert_eq!(conf.set("xend"), None);
    }

    #[test]
    fn the_file_that_decides_is_changed_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rc.conf");
        fs::write(&path, "# mine\nxend='YES' # why\nif x; then y; fi\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        read(folder.path()).change("xend", false).unwrap();
        read(folder.path()).change("unset", true).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\nxend='NO' # why\nif x; then y; fi\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        read(folder.path()).change("xend", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn yes_and_no_have_spellings() {
        for (text, expected) in
            [("yes", Some(true)), ("On", Some(true)), ("0", Some(false)), ("", None), ("ja", None)]
        {
            assert_eq!(checkyesno(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn only_the_value_changes(
            before in "([a-w]{1,5}=[a-w]{0,3}|#[a-z =]{0,9}|[a-w]{1,4} [a-w]{1,4})\n",
            old in "(yes|\"NO\"|'on'|)",
            after in "( # [a-z]{0,5})?\n([a-w]=x\n)?",
            enabled: bool,
        ) {
            let text = format!("{before}xend={old}{after}");
            let new = rewritten(&text, "xend", enabled).unwrap();
            let value = if enabled { "YES" } else { "NO" };
            let plain = new.replace(['"', '\''], "");
            prop_assert_eq!(plain, format!("{before}xend={value}{after}"));
        }
    }
}
