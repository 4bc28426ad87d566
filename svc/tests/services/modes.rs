//! `init` over both daemons: as a child of another init, and as process 1 of a namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use svc::repo::{Repo, View};
use tempfile::TempDir;

use crate::common::configd;
use crate::daemon;
use crate::fixture::{kill_all_of, lives, signal, wait_for};

const INIT: &str = env!("CARGO_BIN_EXE_init");

struct Machine {
    root: TempDir,
    init: Child,
}

impl Machine {
    /// With a service `a`, under `init` as it is started by `command`.
    fn under(command: &mut Command) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (bin, manifests) =
            (root.path().join("lib/svc/bin"), root.path().join("lib/svc/manifest"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&manifests).unwrap();
        symlink(configd(), bin.join("svc.configd")).unwrap();
        symlink(env!("CARGO_BIN_EXE_svc-startd"), bin.join("svc.startd")).unwrap();
        fs::write(manifests.join("a.toml"), daemon("a", "")).unwrap();
        let init = start(command, root.path());
        let machine = Self { root, init };
        machine.wait_until_online();
        machine
    }

    fn wait_until_online(&self) {
        let repo = wait_for("the repository", || {
            Repo::connect_to(&self.root.path().join("run/svc/repository.sock"), Default::default())
                .ok()
        });
        let fmri = svc::fmri::Fmri::parse("svc:/a:default").unwrap();
        wait_for("the service", || {
            let group = repo.pg(&fmri, "restarter", &View::Running).ok()??;
            (group.first("state") == Some("online") && group.first("next_state") == Some("none"))
                .then_some(())
        });
    }

    /// The process of this root that is called so.
    fn process(&self, name: &str) -> Option<i32> {
        let mark = format!("SVC_ROOT={}", self.root.path().display());
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.find(|pid| {
            let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let is_ours =
                read("environ").split(|byte| *byte == 0).any(|line| line == mark.as_bytes());
            is_ours && String::from_utf8_lossy(&read("comm")).trim_end() == name
        })
    }

    /// The service's process, which may be a shell for a moment after the start method has ended.
    fn service(&self) -> i32 {
        wait_for("the service's process", || self.process("sleep"))
    }

    /// Kills one of the daemons, and waits for the next.
    fn kill(&self, name: &str) {
        let old = self.process(name).unwrap();
        signal(old, Signal::SIGKILL);
        wait_for(name, || self.process(name).filter(|pid| *pid != old));
    }

    fn survives_its_daemons(&self) {
        let service = self.service();
        self.kill("svc.startd");
        self.kill("svc.configd");
        self.wait_until_online();
        assert_eq!(self.service(), service);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.init.kill();
        let _ = self.init.wait();
        kill_all_of(self.root.path());
    }
}

fn start(command: &mut Command, root: &Path) -> Child {
    command.env("SVC_ROOT", root).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn under_another_init_it_keeps_the_daemons_running_and_ends_when_asked() {
    let mut machine = Machine::under(&mut Command::new(INIT));
    machine.survives_its_daemons();
    // There is one of them only.
    let second = start(&mut Command::new(INIT), machine.root.path()).wait().unwrap();
    assert_eq!(second.code(), Some(1));
    let service = machine.service();
    signal(machine.init.id() as i32, Signal::SIGTERM);
    assert!(machine.init.wait().unwrap().success());
    assert!(!lives(service));
    for name in ["svc.startd", "svc.configd"] {
        assert_eq!(machine.process(name), None);
    }
}

#[test]
fn when_it_is_killed_the_next_one_takes_over() {
    let mut machine = Machine::under(&mut Command::new(INIT));
    let service = machine.service();
    let daemons = ["svc.startd", "svc.configd"];
    let old = daemons.map(|name| machine.process(name).unwrap());
    machine.init.kill().unwrap();
    machine.init.wait().unwrap();
    wait_for("the end of the daemons", || old.iter().all(|pid| !lives(*pid)).then_some(()));
    assert!(lives(service));
    machine.init = start(&mut Command::new(INIT), machine.root.path());
    wait_for("the next startd", || machine.process("svc.startd"));
    machine.wait_until_online();
    assert_eq!(machine.service(), service);
}

#[test]
fn as_process_1_it_does_the_same_and_ends_the_system() {
    let namespace = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    // Not every host has namespaces for us.
    let may = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return;
    }
    let mut machine = Machine::under(Command::new("unshare").args(namespace).arg(INIT));
    machine.survives_its_daemons();
    let service = machine.service();
    signal(machine.process("init").unwrap(), Signal::SIGUSR2);
    machine.init.wait().unwrap();
    assert!(!lives(service));
    assert_eq!(machine.process("svc.startd"), None);
}
