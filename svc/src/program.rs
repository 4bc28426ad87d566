//! A program in a new process, made as vfork(2) makes one: to copy our page tables only to throw
//! them away takes longer than all else there is to do. The child is born in its cgroup, too, as a
//! process that moves to another one makes the kernel wait for all the others.
//!
//! Until it executes the program the child has our memory, and we wait; it makes system calls only.
//! One that becomes another user gets memory of its own: who may look into it may look into ours.

use std::arch::asm;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;

use crate::reap;

/// What the child does before it executes the program.
type Step = Box<dyn Fn() -> io::Result<()>>;

/// A program, its arguments, and what the child does to itself before it becomes it.
pub struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    output: Option<File>,
    cgroup: Option<File>,
    is_apart: bool,
    steps: Vec<Step>,
}

impl Program {
    /// The program in file `path`, with our environment and standard streams.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: std::env::vars_os().collect(),
            output: None,
            cgroup: None,
            is_apart: false,
            steps: Vec::new(),
        }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Has standard output and error go to a file, and input come from nowhere.
    pub fn output(&mut self, file: File) -> &mut Self {
        self.output = Some(file);
        self
    }

    /// Has the process be born in a cgroup (v2), given its folder.
    pub fn cgroup(&mut self, folder: File) -> &mut Self {
        self.cgroup = Some(folder);
        self
    }

    /// Gives the child memory of its own from the start: it becomes another user.
    pub fn apart(&mut self) -> &mut Self {
        self.is_apart = true;
        self
    }

    /// Has the child do something, after all that was asked for before.
    ///
    /// # Safety
    /// The child shares our memory, while other threads of ours go on, and has our thread's place
    /// in it: the step must make system calls only, and none that the C library wants to have all
    /// threads make.
    pub unsafe fn before(&mut self, step: impl Fn() -> io::Result<()> + 'static) -> &mut Self {
        self.steps.push(Box::new(step));
        self
    }

    /// Starts it; returns the process as soon as it executes the program.
    pub fn spawn(&self) -> io::Result<i32> {
        let text = |text: &OsStr| Ok(CString::new(text.as_bytes())?);
        let words = std::iter::once(&self.path).chain(&self.arguments);
        let words = words.map(|word| text(word)).collect::<io::Result<Vec<_>>>()?;
        let setting = |(name, value): (&OsString, &OsString)| {
            let parts = [name.as_bytes(), b"=", value.as_bytes()];
            text(&OsString::from_vec(parts.concat()))
        };
        let settings = self.environment.iter().map(setting).collect::<io::Result<Vec<_>>>()?;
        let nothing = File::open("/dev/null")?;
        let streams = self
            .output
            .as_ref()
            .map(|file| [(nothing.as_raw_fd(), 0), (file.as_raw_fd(), 1), (file.as_raw_fd(), 2)]);
        let plan = Plan {
            arguments: pointers(&words),
            environment: pointers(&settings),
            streams,
            steps: &self.steps,
            entrance: None,
            failure: Shared::new()?,
        };
        self.start(plan)
    }

    fn start(&self, mut plan: Plan) -> io::Result<i32> {
        let memory = if self.is_apart { 0 } else { libc::CLONE_VM };
        let flags = (libc::CLONE_VFORK | memory) as u64;
        let blocked = Blocked::all()?;
        let into = self.cgroup.as_ref().map_or(0, |_| CLONE_INTO_CGROUP);
        let mut arguments = CloneArguments {
            flags: flags | into,
            exit_signal: libc::SIGCHLD as u64,
            cgroup: self.cgroup.as_ref().map_or(0, |folder| folder.as_raw_fd() as u64),
            ..CloneArguments::default()
        };
        let size = size_of::<CloneArguments>();
        // SAFETY: the arguments are those of clone3(2), and as long as is said.
        let mut pid = unsafe {
            clone(libc::SYS_clone3, (&raw mut arguments).expose_provenance(), size, &plan)
        };
        if pid == -i64::from(libc::ENOSYS) {
            // An older kernel, or a filter of system calls that can't look into structures.
            let entrance = |folder: &File| {
                let path = format!("/proc/self/fd/{}/cgroup.procs", folder.as_raw_fd());
                File::options().write(true).open(Path::new(&path))
            };
            plan.entrance = self.cgroup.as_ref().map(entrance).transpose()?;
            let flags = flags as usize | libc::SIGCHLD as usize;
            // SAFETY: clone(2) takes flags, and no stack for a child that shares ours.
            pid = unsafe { clone(libc::SYS_clone, flags, 0, &plan) };
        }
        drop(blocked);
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid as i32));
        }
        match plan.failure.0.load(Ordering::SeqCst) {
            0 => Ok(pid as i32),
            number => {
                reap::wait_for(pid as i32)?;
                Err(io::Error::from_raw_os_error(number))
            }
        }
    }
}

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// As there.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What the child needs, made before it is.
struct Plan<'a> {
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    streams: Option<[(RawFd, RawFd); 3]>,
    steps: &'a [Step],
    /// The file by which it moves to its cgroup, if it isn't born there.
    entrance: Option<File>,
    failure: Shared,
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([null()]).collect()
}

/// Makes a child, which carries out `plan`. Returns its number, or an error's, negative.
///
/// # Safety
/// `call` with arguments `a` and `b` must be clone(2) or clone3(2) with CLONE_VFORK and without a
/// new stack.
unsafe fn clone(call: libc::c_long, a: usize, b: usize, plan: &Plan) -> i64 {
    let result;
    // SAFETY: as vfork(2) does it, the child runs further down on our stack, or on a copy, while we
    // wait, and never comes back to what is ours: `carry_out` doesn't return. Other threads have
    // stacks of their own.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, {plan}",
            "call {carry_out}",
            "ud2",
            "2:",
            plan = in(reg) plan,
            carry_out = sym carry_out,
            inlateout("rax") call => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// The child's life.
extern "C" fn carry_out(plan: &Plan) -> ! {
    let error = plan.carry_out();
    plan.failure.0.store(error.raw_os_error().unwrap_or(libc::EINVAL), Ordering::SeqCst);
    // SAFETY: _exit(2) ends this process, and runs nothing of its parent's.
    unsafe { libc::_exit(127) }
}

impl Plan<'_> {
    /// Executes the program; returns why that can't be.
    fn carry_out(&self) -> io::Error {
        match self.prepare() {
            // SAFETY: both lists end with a null pointer, and their texts outlive the child's use.
            Ok(()) => unsafe {
                let (arguments, environment) = (self.arguments.as_ptr(), self.environment.as_ptr());
                libc::execve(self.arguments[0], arguments, environment);
                io::Error::last_os_error()
            },
            Err(error) => error,
        }
    }

    fn prepare(&self) -> io::Result<()> {
        forget_handlers();
        if let Some(entrance) = &self.entrance {
            io::Write::write_all(&mut &*entrance, b"0")?;
        }
        for (from, to) in self.streams.into_iter().flatten() {
            // SAFETY: both are open, and `from` is none of the three.
            if unsafe { libc::dup2(from, to) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        self.steps.iter().try_for_each(|step| step())?;
        // SAFETY: an empty set is a valid one, and what it is replaced by is of no interest.
        unsafe {
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, null_mut());
        }
        Ok(())
    }
}

/// No handler of ours may run in the child. What is ignored stays so, except what Rust ignores.
fn forget_handlers() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: sigaction(2) writes and reads the structure, where all zeroes are the default.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(signal, null(), &mut action) == 0;
            let is_kept = action.sa_sigaction == libc::SIG_DFL
                || action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
            if known && !is_kept {
                action = std::mem::zeroed();
                libc::sigaction(signal, &action, null_mut());
            }
        }
    }
}

/// Signals wait as long as this lives.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn all() -> io::Result<Self> {
        // SAFETY: the sets are written before they are read.
        unsafe {
            let (mut all, mut before) = std::mem::zeroed();
            libc::sigfillset(&mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) {
                0 => Ok(Self(before)),
                number => Err(io::Error::from_raw_os_error(number)),
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set is what the call gave us.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, null_mut()) };
    }
}

/// A number that a child shares even if it has memory of its own.
struct Shared(&'static AtomicI32);

impl Shared {
    fn new() -> io::Result<Self> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let size = size_of::<AtomicI32>();
        // SAFETY: a new mapping of zeroes is a valid number, aligned to a page, and lives until it
        // is unmapped with this value, which nobody can copy the reference from.
        unsafe {
            let place = libc::mmap(null_mut(), size, protection, flags, -1, 0);
            if place == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(Self(&*place.cast()))
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let place = std::ptr::from_ref(self.0).cast_mut().cast();
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(place, size_of::<AtomicI32>()) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(pid: i32) -> ExitStatus {
        reap::wait_for(pid).unwrap()
    }

    fn shell(script: &str) -> Program {
        let mut program = Program::new("/bin/sh");
        program.args(["-c", script]);
        program
    }

    #[test]
    fn a_program_gets_what_it_was_given() {
        for apart in [false, true] {
            let mut file = tempfile::tempfile().unwrap();
            let mut program = shell("cat; echo $A $0; echo $B >&2; trap; kill -PIPE $$");
            program.args(["name"]).env("A", "a b").env("B", "c").output(file.try_clone().unwrap());
            if apart {
                program.apart();
            }
            assert_eq!(ended(program.spawn().unwrap()).signal(), Some(libc::SIGPIPE));
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "a b name\nc\n");
        }
    }

    #[test]
    fn what_can_not_be_executed_is_told() {
        for apart in [false, true] {
            let number = |mut program: Program| {
                if apart {
                    program.apart();
                }
                program.spawn().map_err(|error| error.raw_os_error())
            };
            assert_eq!(number(Program::new("/no/such")), Err(Some(libc::ENOENT)));
            assert_eq!(number(Program::new("/etc/passwd")), Err(Some(libc::EACCES)));
            let mut failing = shell("exit 0");
            // SAFETY: the step makes no call at all.
            unsafe { failing.before(|| Err(io::Error::from_raw_os_error(libc::EDOM))) };
            assert_eq!(number(failing), Err(Some(libc::EDOM)));
        }
        assert_eq!(Program::new("/bin/\0").spawn().unwrap_err().raw_os_error(), None);
    }

    #[test]
    fn our_handlers_and_memory_are_ours() {
        let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGUSR1, flag.clone()).unwrap();
        let mut program = shell("exit 0");
        // SAFETY: the step makes one system call, to a process that is about to be another.
        unsafe {
            program.before(|| {
                libc::kill(libc::getpid(), libc::SIGUSR1);
                Ok(())
            })
        };
        assert_eq!(ended(program.spawn().unwrap()).signal(), Some(libc::SIGUSR1));
        assert!(!flag.load(Ordering::SeqCst));
    }
}
