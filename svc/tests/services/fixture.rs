//! A whole framework in a private root: `svc.configd`, `svc.startd`, and small services.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use svc::fmri::Fmri;
use svc::repo::{Change, Repo, View};
use svc::value::PropType;
use tempfile::TempDir;

use crate::common::configd;

const STARTD: &str = env!("CARGO_BIN_EXE_svc-startd");

/// How long anything may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long something is watched that must not happen.
pub const A_WHILE: Duration = Duration::from_millis(1500);

pub struct System {
    root: TempDir,
    /// How contracts are kept: `marks` or `cgroups`.
    contracts: &'static str,
    configd: Child,
    startd: Child,
    pub repo: Repo,
}

/// Retries `probe` until it has something.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(20));
    }
}

fn spawn(program: &Path, root: &Path, contracts: &str) -> Child {
    let log = fs::File::options().append(true).create(true).open(root.join("daemons.log"));
    let mut command = Command::new(program);
    command
        .env("SVC_ROOT", root)
        .env("SVC_CONTRACTS", contracts)
        .stdin(Stdio::null())
        .stderr(log.unwrap());
    command.spawn().unwrap()
}

fn fmri(name: &str) -> Fmri {
    Fmri::parse(&format!("svc:/{name}:default")).unwrap()
}

impl System {
    /// With the services of these manifests, all of them there at the first start of startd.
    pub fn with(manifests: &[&str]) -> Self {
        Self::keeping("marks", manifests)
    }

    /// The same with contracts kept as cgroups, too, where this host lets us make some.
    pub fn with_either(manifests: &[&str]) -> Vec<Self> {
        let [marks, cgroups] = ["marks", "cgroups"].map(|kind| Self::keeping(kind, manifests));
        let has_cgroups = cgroups.read("run/svc/contracts").starts_with("cgroups");
        if has_cgroups { vec![marks, cgroups] } else { vec![marks] }
    }

    fn keeping(contracts: &'static str, manifests: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lib/svc/manifest");
        fs::create_dir_all(&folder).unwrap();
        for (number, text) in manifests.iter().enumerate() {
            fs::write(folder.join(format!("{number}.toml")), text).unwrap();
        }
        let share = root.path().join("lib/svc/share");
        fs::create_dir_all(&share).unwrap();
        let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/share/smf_include.sh");
        fs::copy(include, share.join("smf_include.sh")).unwrap();
        let configd = spawn(configd(), root.path(), contracts);
        let socket = root.path().join("run/svc/repository.sock");
        let repo = Repo::connect_to(&socket, PATIENCE).unwrap();
        let startd = spawn(Path::new(STARTD), root.path(), contracts);
        let system = Self { root, contracts, configd, startd, repo };
        wait_for("contracts", || (!system.read("run/svc/contracts").is_empty()).then_some(()));
        system
    }

    /// A path in the private root, where the services of a test leave traces.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    /// What a file of the private root holds; nothing if it isn't there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn log(&self, name: &str) -> String {
        self.read(&format!("var/svc/log/{}", fmri(name).log_name()))
    }

    /// A property's first value as services see it.
    pub fn property(&self, name: &str, pg: &str, prop: &str) -> Option<String> {
        let group = match self.repo.pg(&fmri(name), pg, &View::Running) {
            Err(error) if error.is_not_found() => None,
            group => group.unwrap(),
        };
        group?.first(prop).map(str::to_owned)
    }

    /// The state, with a star while a method runs.
    pub fn state(&self, name: &str) -> String {
        let read = |prop: &str| self.property(name, "restarter", prop);
        let stable = read("next_state").is_none_or(|next| next == "none");
        let state = read("state").unwrap_or_default();
        if stable { state } else { state + "*" }
    }

    pub fn wait_until(&self, name: &str, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.state(name) != state {
            let (now, log) = (self.state(name), self.log(name));
            let daemons = self.read("daemons.log");
            assert!(
                Instant::now() < deadline,
                "{name} is {now}, not {state}; its log:\n{log}\n{daemons}"
            );
            sleep(Duration::from_millis(20));
        }
    }

    pub fn reason(&self, name: &str) -> String {
        self.property(name, "restarter", "auxiliary_state").unwrap_or_default()
    }

    pub fn set(&self, name: &str, pg: &str, prop: &str, ty: PropType, value: &str) {
        let (fmri, pg) = (fmri(name), pg.to_owned());
        let set =
            Change::SetProp { fmri, pg, prop: prop.to_owned(), ty, values: vec![value.to_owned()] };
        self.repo.commit(vec![set]).unwrap();
    }

    pub fn enable(&self, name: &str, enabled: bool) {
        self.set(name, "general", "enabled", PropType::Boolean, &enabled.to_string());
    }

    /// Asks the restarter for something, as svcadm does.
    pub fn request(&self, name: &str, action: &str) {
        match action {
            "refresh" => self.repo.request_refresh(&fmri(name)).unwrap(),
            action => self.repo.request(&fmri(name), action).unwrap(),
        }
    }

    pub fn delete(&self, name: &str) {
        self.repo.commit(vec![Change::Delete(fmri(name))]).unwrap();
    }

    /// The process of a service that keeps its id in the file of its name.
    pub fn pid(&self, name: &str) -> i32 {
        wait_for(&format!("a pid of {name}"), || self.read(name).trim().parse().ok())
    }

    /// Waits for a process of `name` other than `old`.
    pub fn another_pid(&self, name: &str, old: i32) -> i32 {
        wait_for(&format!("another {name}"), || Some(self.pid(name)).filter(|&pid| pid != old))
    }

    pub fn kill_startd(&mut self) {
        self.startd.kill().unwrap();
        self.startd.wait().unwrap();
    }

    pub fn start_startd(&mut self) {
        self.startd = spawn(Path::new(STARTD), self.root.path(), self.contracts);
    }

    pub fn kill_configd(&mut self) {
        self.configd.kill().unwrap();
        self.configd.wait().unwrap();
    }

    pub fn start_configd(&mut self) {
        self.configd = spawn(configd(), self.root.path(), self.contracts);
    }

    /// Lets the repository's files grow to `bytes` and no further, as a full disk would.
    pub fn limit_repository(&self, bytes: Option<u64>) {
        let soft = bytes.unwrap_or(libc::RLIM_INFINITY);
        let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
        let pid = self.configd.id() as libc::pid_t;
        // SAFETY: it reads the structure and stores nothing.
        let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Has startd stop everything; returns whether it ended well.
    pub fn stop_startd(&mut self) -> bool {
        signal(self.startd.id() as i32, Signal::SIGTERM);
        wait_for("the end of startd", || self.startd.try_wait().unwrap()).success()
    }
}

pub fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.startd.kill();
        let _ = self.startd.wait();
        let _ = self.configd.kill();
        let _ = self.configd.wait();
        kill_all_of(self.root.path());
        remove_cgroups(&self.read("run/svc/contracts"));
    }
}

/// Services outlive startd; what belongs to this root carries it in its environment.
pub fn kill_all_of(root: &Path) {
    let mark = format!("SVC_ROOT={}", root.display());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|line| line == mark.as_bytes())
            && let Some(Ok(pid)) = entry.file_name().to_str().map(str::parse)
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The cgroups that are noted here, if there are any, with whom they still hold.
fn remove_cgroups(note: &str) {
    let mut words = note.split_whitespace();
    let (Some("cgroups"), Some(mount), Some(name)) = (words.next(), words.next(), words.next())
    else {
        return;
    };
    let base = Path::new(mount).join(name.trim_start_matches('/'));
    let _ = fs::write(base.join("cgroup.kill"), "1");
    let remove = || {
        for inner in fs::read_dir(&base).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(inner.path());
        }
        let _ = fs::remove_dir(&base);
        (!base.exists()).then_some(())
    };
    wait_for("the end of the cgroups", remove);
}
