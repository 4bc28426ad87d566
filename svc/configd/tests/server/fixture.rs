//! A repository of one's own: `svc.configd` in a private root, killed when the test ends.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use svc::fmri::Fmri;
use svc::repo::{Change, Repo};
use svc::value::PropType;
use tempfile::TempDir;

pub struct Configd {
    root: TempDir,
    child: Child,
}

impl Configd {
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let child = spawn(&root);
        Self { root, child }
    }

    /// SIGKILL, at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The next process on the same files.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.root);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Where the file `name` of this repository is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/svc/repository.sock")
    }

    /// Lets its files grow to `bytes` and no further, as a full disk would.
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let soft = bytes.unwrap_or(libc::RLIM_INFINITY);
        let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: it reads the structure and stores nothing.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// What the process that was killed had to say.
    pub fn said(&mut self) -> String {
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut words).unwrap();
        }
        words
    }

    pub fn repo(&self) -> Repo {
        Repo::connect_to(&self.socket(), Duration::from_secs(10)).unwrap()
    }

    pub fn command(&self) -> Command {
        command(&self.root)
    }
}

fn command(root: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svc-configd"));
    command.env("SVC_ROOT", root.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn spawn(root: &TempDir) -> Child {
    command(root).spawn().unwrap()
}

impl Drop for Configd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        eprint!("{}", self.said());
    }
}

pub fn fmri(text: &str) -> Fmri {
    Fmri::parse(text).unwrap()
}

/// Sets `config/NAME` of `svc:/test:x` for each of `values`, in one commit.
pub fn set(values: &[(&str, u64)]) -> Vec<Change> {
    let group = Change::AddPg {
        fmri: fmri("svc:/test:x"),
        pg: "config".into(),
        ty: "application".into(),
        persistent: true,
    };
    let prop = |(name, value): &(&str, u64)| Change::SetProp {
        fmri: fmri("svc:/test:x"),
        pg: "config".into(),
        prop: (*name).into(),
        ty: PropType::Count,
        values: vec![value.to_string()],
    };
    let entity = Change::AddInstance(fmri("svc:/test:x"));
    [entity, group].into_iter().chain(values.iter().map(prop)).collect()
}
