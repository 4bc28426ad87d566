//! A method's context: who it is and where, with which limits and privileges (smf_method(7)).
//!
//! [`Context`] is what the repository says; [`Context::resolve`] makes a [`Resolved`] of it with
//! the user's and groups' numbers, which the method's process applies to itself before it executes
//! the method. What can't be had ends the method with [`MISCONFIGURED`], as on illumos.

mod accounts;
mod capabilities;
mod limits;

use std::ffi::CString;
use std::io;

use nix::libc;
use nix::unistd::{Gid, Uid, chdir, write};

use crate::program::Program;
use crate::value::PropertyGroup;
use accounts::{User, group_number, groups_of};
use capabilities::{Set, Wish};
use limits::Limit;

/// A method ends with this if its context can't be had (SMF_EXIT_ERR_CONFIG).
pub(crate) const MISCONFIGURED: i32 = 96;

/// What a context may hold that Linux has nothing for.
const IGNORED: [&str; 5] =
    ["corefile_pattern", "profile", "project", "resource_pool", "security_flags"];

/// A context as it is described. `None` stands for what smf_method(7) calls `:default`, too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// User, by name or number.
    pub user: Option<String>,
    /// Group, by name or number.
    pub group: Option<String>,
    /// Other groups, with commas or blanks between them.
    pub supp_groups: Option<String>,
    /// Where it runs; `:home` is the user's.
    pub directory: Option<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// `NAME=SOFT:HARD`.
    pub limits: Vec<String>,
    /// The capabilities that it has.
    pub privileges: Option<String>,
    /// The capabilities that no program it executes can get beyond.
    pub limit_privileges: Option<String>,
    /// What is set and has no meaning here.
    pub ignored: Vec<&'static str>,
}

/// The context of a method of which nothing is said.
pub(crate) static PLAIN: Context = Context {
    user: None,
    group: None,
    supp_groups: None,
    directory: None,
    environment: Vec::new(),
    limits: Vec::new(),
    privileges: None,
    limit_privileges: None,
    ignored: Vec::new(),
};

impl Context {
    /// Reads a context; the method's own group overrides the common one.
    pub(crate) fn read(method: &PropertyGroup, common: Option<&PropertyGroup>) -> Self {
        let property = |name: &str| method.get(name).or_else(|| common?.get(name));
        let values =
            |name: &str| property(name).map(|found| found.values.clone()).unwrap_or_default();
        let value = |name: &str| {
            let value = property(name)?.first()?;
            (value != ":default").then(|| value.to_owned())
        };
        let is_set = |name: &&str| value(name).is_some_and(|value| !value.is_empty());
        let some = |name: &str| value(name).filter(|value| !value.is_empty());
        Self {
            user: some("user"),
            group: some("group"),
            // Empty, it means: no others.
            supp_groups: value("supp_groups"),
            directory: some("working_directory"),
            environment: values("environment"),
            limits: values("limits"),
            privileges: some("privileges"),
            limit_privileges: some("limit_privileges"),
            ignored: IGNORED.into_iter().filter(is_set).collect(),
        }
    }

    /// Looks everything up. The error is a line for the log.
    pub(crate) fn resolve(&self) -> Result<Resolved, String> {
        let user = self.user.as_deref().map(User::find).transpose()?;
        let identity = self.identity(user.as_ref())?;
        let limits =
            self.limits.iter().map(|limit| Limit::parse(limit)).collect::<Result<_, _>>()?;
        let wish = |text: &Option<String>| Wish::parse(text.as_deref().unwrap_or_default());
        let mut notes: Vec<String> = self
            .ignored
            .iter()
            .map(|name| format!("Ignoring {name}, which Linux doesn't have."))
            .collect();
        let mut set = |wish: Wish| match wish {
            Wish::Default => None,
            Wish::Set(set, foreign) => {
                let note = |name| format!("Ignoring privilege {name}, which Linux doesn't have.");
                notes.extend(foreign.into_iter().map(note));
                Some(set)
            }
        };
        let (has, bound) = (set(wish(&self.privileges)?), set(wish(&self.limit_privileges)?));
        Ok(Resolved {
            directory: self.directory(user.as_ref())?,
            identity,
            limits,
            has: bound.map_or(has, |bound| has.map(|has| has.and(bound))),
            bound,
            notes,
        })
    }

    /// Who the method is to be; `None`: who we are.
    fn identity(&self, user: Option<&User>) -> Result<Option<Identity>, String> {
        if user.is_none() && self.group.is_none() && self.supp_groups.is_none() {
            return Ok(None);
        }
        let uid = user.map_or(Uid::effective().as_raw(), |user| user.uid);
        let gid = match (&self.group, user) {
            (Some(group), _) => group_number(group)?,
            (None, Some(user)) => user.gid,
            (None, None) => Gid::effective().as_raw(),
        };
        let others = match &self.supp_groups {
            Some(names) => {
                let names = names.split([',', ' ']).filter(|name| !name.is_empty());
                names.map(group_number).collect::<Result<_, _>>()?
            }
            None => groups_of(uid, gid),
        };
        let is_ours = uid == Uid::effective().as_raw() && gid == Gid::effective().as_raw();
        if Uid::effective().is_root() {
            return Ok(Some(Identity { uid, gid, others }));
        }
        // Without root there is nobody else to be.
        if is_ours && self.supp_groups.is_none() {
            return Ok(None);
        }
        Err("Only root can run methods as another user or group.".to_owned())
    }

    fn directory(&self, user: Option<&User>) -> Result<CString, String> {
        let directory = match (self.directory.as_deref(), user) {
            (None, None) => "/".to_owned(),
            (None | Some(":home"), user) => match user {
                Some(user) => user.home()?,
                None => User::by_number(Uid::effective().as_raw())?.home()?,
            },
            (Some(directory), _) => directory.to_owned(),
        };
        let absolute = Some(&directory).filter(|directory| directory.starts_with('/'));
        absolute
            .and_then(|directory| CString::new(directory.as_str()).ok())
            .ok_or_else(|| format!("Working directory {directory:?} is not an absolute path."))
    }
}

#[derive(Debug, Clone)]
struct Identity {
    uid: u32,
    gid: u32,
    others: Vec<u32>,
}

impl Identity {
    /// Makes it this process's. The C library would have our threads do so as well.
    fn assume(&self) {
        let (count, others) = (self.others.len(), self.others.as_ptr());
        // SAFETY: setgroups(2) reads as many numbers as it is told; the others take one each.
        unsafe {
            must("Groups", done(libc::syscall(libc::SYS_setgroups, count, others)));
            must("Group", done(libc::syscall(libc::SYS_setgid, self.gid)));
            must("User", done(libc::syscall(libc::SYS_setuid, self.uid)));
        }
    }
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A context that can be applied.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    identity: Option<Identity>,
    directory: CString,
    limits: Vec<Limit>,
    /// The capabilities that it shall have.
    has: Option<Set>,
    bound: Option<Set>,
    /// Lines for the log about what was ignored.
    pub(crate) notes: Vec<String>,
}

impl Resolved {
    /// The number of the user that the method is run by, if it isn't ours.
    pub(crate) fn user(&self) -> Option<u32> {
        self.identity.as_ref().map(|identity| identity.uid)
    }

    /// Has the process that `program` starts in take on this context, after all that was asked of
    /// it before, which may need our rights.
    pub(crate) fn apply(self, program: &mut Program) {
        if self.identity.is_some() || self.has.is_some() {
            program.apart();
        }
        let place = format!("Working directory \"{}\"", self.directory.to_string_lossy());
        let context = move || {
            must("Limits", self.limits.iter().try_for_each(|limit| limit.set()));
            must("Limit privileges", self.bound.map_or(Ok(()), Set::bound));
            must("Privileges", self.has.map_or(Ok(()), |_| Set::outlive_change(self.uid())));
            if let Some(identity) = &self.identity {
                identity.assume();
            }
            must(&place, chdir(self.directory.as_c_str()));
            must("Privileges", self.has.map_or(Ok(()), Set::take));
            Ok(())
        };
        // SAFETY: the step makes system calls only, on memory that was allocated before.
        unsafe { program.before(context) };
    }

    fn uid(&self) -> u32 {
        self.user().unwrap_or_else(|| Uid::effective().as_raw())
    }
}

/// Between fork and exec: if it can't be had, says so in the log and ends the method.
fn must<E: Into<io::Error>>(what: &str, result: Result<(), E>) {
    let Err(error) = result else { return };
    let number = error.into().raw_os_error().unwrap_or_default();
    for text in [what, ": ", nix::Error::from_raw(number).desc(), "\n"] {
        let _ = write(io::stderr(), text.as_bytes());
    }
    // SAFETY: _exit(2) may be called anywhere, and runs nothing of the parent's.
    unsafe { libc::_exit(MISCONFIGURED) }
}
