//! What lasts from one command to the next: the repository, the selection, and who reads the
//! answers.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::Path;

use svc::fmri::{self, Fmri};
use svc::manifest::ManifestError;
use svc::repo::{Change, Guard, Repo, RepoError, View};
use svc::value::Groups;

use crate::alternate::{self, Alternate};
use crate::commands;
use crate::lexer::Statement;

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command can't be understood; its usage follows.
    #[error("Syntax error.  Usage: {0}")]
    Syntax(&'static str),
    /// One sentence for the administrator.
    #[error("{0}")]
    Failed(String),
    /// The repository refused, or isn't there.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A manifest can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// What a command prints can't be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

/// A [`Error::Failed`].
pub fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::Failed(message.into()))
}

/// Nothing is selected.
pub const NOT_SELECTED: &str = "An entity is not selected.";
/// A service is selected, or nothing.
pub const NO_INSTANCE: &str = "Instance not selected.";

/// One run of svccfg.
#[derive(Default)]
pub struct Session {
    repo: OnceCell<Repo>,
    /// Who serves it, if it isn't the system's.
    alternate: OnceCell<Alternate>,
    /// The selected service or instance.
    pub selection: Option<Fmri>,
    /// The selected snapshot of the selected instance.
    pub snapshot: Option<String>,
    /// Whether to say what goes well, too (`-v`).
    pub verbose: bool,
    /// Whether a person types the commands.
    pub interactive: bool,
    /// Whether `end` was said.
    pub ended: bool,
    /// What must not have been changed by others.
    pub guard: Option<Guard>,
}

impl Session {
    /// Executes one command.
    pub fn execute(&mut self, statement: &Statement) -> Result<()> {
        let (first, args) = match statement.tokens.split_first() {
            Some((first, args)) => (first, args),
            None => return Ok(()),
        };
        let command = first.text().and_then(commands::find);
        match command {
            Some(command) => (command.run)(self, args),
            None => fail(match first.text() {
                Some(word) => format!("Unknown command \"{word}\"; \"help\" lists them."),
                None => "A command is expected; \"help\" lists them.".to_owned(),
            }),
        }
    }

    /// The repository, connected to when it is first needed.
    pub fn repo(&self) -> Result<&Repo> {
        if let Some(repo) = self.repo.get() {
            return Ok(repo);
        }
        let repo = match alternate::of_environment() {
            Some(file) => {
                let (server, repo) = Alternate::serve(&file)?;
                self.alternate.get_or_init(|| server);
                repo
            }
            None => Repo::connect()?,
        };
        Ok(self.repo.get_or_init(|| repo))
    }

    /// Uses the repository in `file` from now on.
    pub fn use_repository(&mut self, file: &Path) -> Result<()> {
        self.selection = None;
        self.snapshot = None;
        if !self.alternate.get().is_some_and(|old| old.is(file)) {
            let (server, repo) = Alternate::serve(file)?;
            (self.alternate, self.repo) = (OnceCell::from(server), OnceCell::from(repo));
        }
        Ok(())
    }

    /// Whether the repository is the system's, where restarters follow it.
    pub fn is_system(&self) -> bool {
        self.alternate.get().is_none()
    }

    /// Prints what a command answers.
    pub fn print(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Says what went well, if that is wanted.
    pub fn report(&self, line: &str) {
        if self.verbose {
            eprintln!("svccfg: {line}");
        }
    }

    /// The selected service or instance.
    pub fn selected(&self) -> Result<&Fmri> {
        self.selection.as_ref().map_or_else(|| fail(NOT_SELECTED), Ok)
    }

    /// The selected instance.
    pub fn selected_instance(&self) -> Result<&Fmri> {
        let instance = self.selection.as_ref().filter(|fmri| fmri.is_instance());
        instance.map_or_else(|| fail(NO_INSTANCE), Ok)
    }

    /// The selection, if it may be changed.
    pub fn editable(&self) -> Result<&Fmri> {
        if self.snapshot.is_some() {
            return fail("Cannot modify snapshots.");
        }
        self.selected()
    }

    /// The property groups of the selection, as they are edited or in the selected snapshot.
    pub fn groups(&self) -> Result<Groups> {
        let view = match &self.snapshot {
            Some(name) => View::Snapshot(name.clone()),
            None => View::Direct,
        };
        Ok(self.repo()?.pgs(self.selected()?, &view)?)
    }

    /// Makes changes.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<()> {
        let Some(guard) = &self.guard else {
            return Ok(self.repo()?.commit(changes).map(drop)?);
        };
        let generation = self.repo()?.commit(guard.guarded(changes.clone()))?;
        if let Some(guard) = &mut self.guard {
            guard.committed(&changes, generation);
        }
        Ok(())
    }

    /// Makes the changes that `decide` makes of what it reads, without undoing what somebody else
    /// does at the same time.
    pub fn edit(&mut self, decide: impl Fn(&Self) -> Result<Vec<Change>>) -> Result<()> {
        if self.guard.is_some() {
            return self.commit(decide(self)?);
        }
        self.repo()?.edit(|| decide(self).map(|changes| (changes, ())))
    }

    /// The service or the instance that `word` means: a child of the selection, a name or an
    /// abbreviation. A service is preferred, since an instance can be named by its colon.
    pub fn resolve(&self, word: &str) -> Result<Fmri> {
        let repo = self.repo()?;
        let (services, instances) = (repo.services()?, repo.instances()?);
        if let Some(service) = &self.selection {
            let child = service.service().with_instance(word);
            if instances.contains(&child) {
                return Ok(child);
            }
        }
        let mut found = fmri::matches(word, &services);
        if found.is_empty() {
            found = fmri::matches(word, &instances);
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => fail(format!("Pattern '{word}' doesn't match any instances or services")),
            several => {
                let kind = if several[0].is_instance() { "instances" } else { "services" };
                let list: String = several.iter().map(|fmri| format!("\n\t{fmri}")).collect();
                fail(format!("Pattern '{word}' matches multiple {kind}:{list}"))
            }
        }
    }

    /// What is typed in front of the next command.
    pub fn prompt(&self) -> String {
        let snapshot = self.snapshot.as_ref().map(|name| format!("[{name}]")).unwrap_or_default();
        match &self.selection {
            Some(fmri) => format!("{snapshot}{fmri}> "),
            None => "svc:> ".to_owned(),
        }
    }
}
