//! rc.subr for scripts that stand for no instance, and lsvcrun, in a private root.

#[path = "../common/mod.rs"]
mod common;
mod scripts;
mod stock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use svc::repo::Repo;
use tempfile::TempDir;

use common::configd;

/// A daemon as NetBSD's are started: it leaves its number in a file and goes to the background.
/// There somebody waits for it: not every first process of a host does at once.
const DAEMON: &str = "#!/bin/sh\necho \"started $*\" >>\"$SVC_ROOT/trace\"\n\
                      cd \"$SVC_ROOT/run\"\nrm -f daemon.pid\n\
                      (sleep 1000 & echo $! >>all.pids; echo $! >new.pid; mv new.pid daemon.pid
                      wait) &\n\
                      until [ -e daemon.pid ]; do sleep 0.01; done\n";

const SCRIPT: &str = "#!/bin/sh\n\
                      # PROVIDE: daemon\n\
                      # KEYWORD: shutdown\n\n\
                      . \"$SVC_ROOT/etc/rc.subr\"\n\n\
                      name=daemon\nrcvar=$name\ncommand=/bin/daemon\nprocname=sleep\n\
                      pidfile=/run/daemon.pid\n\
                      required_files=\"$SVC_ROOT/etc/daemon.conf\"\nextra_commands=\"reload hail\"\n\
                      hail_cmd='echo hail to $rc_arg'\nsig_reload=USR2\n\n\
                      load_rc_config $name\nrun_rc_command \"$1\"\n";

/// A root with one foreign script.
struct Root {
    folder: TempDir,
    server: Option<Child>,
}

impl Root {
    fn new(rc_conf: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Self { folder, server: None };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rc.d/rc.subr");
        root.write("etc/rc.subr", &fs::read_to_string(shipped).unwrap());
        root.write("etc/rc.conf", rc_conf);
        root.write("etc/daemon.conf", "");
        root.write("bin/daemon", DAEMON);
        root.write("etc/rc.d/daemon", SCRIPT);
        root.write("run/none", "");
        root
    }

    fn with_configd(mut self) -> Self {
        let mut server = Command::new(configd());
        self.server = Some(server.env("SVC_ROOT", self.folder.path()).spawn().unwrap());
        self.repo();
        self
    }

    fn repo(&self) -> Repo {
        let socket = self.path("run/svc/repository.sock");
        Repo::connect_to(&socket, Duration::from_secs(20)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SVC_ROOT", self.folder.path()).env_remove("autoboot").stdin(Stdio::null());
        command
    }

    /// The script's status, standard output and standard error, the root's path left out.
    fn script(&self, verb: &str) -> (i32, String, String) {
        self.done(self.command("/bin/sh").arg(self.path("etc/rc.d/daemon")).arg(verb))
    }

    fn done(&self, command: &mut Command) -> (i32, String, String) {
        // Into files: a pipe would stay open as long as the daemon lives.
        let (out, err) = (self.path("out"), self.path("err"));
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let status = command.status().unwrap();
        let root = self.folder.path().display().to_string();
        let short = |text: String| text.replace(&root, "");
        (status.code().unwrap(), short(self.read("out")), short(self.read("err")))
    }

    /// The daemon's process.
    fn pid(&self) -> String {
        self.read("run/daemon.pid").trim().to_owned()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for pid in self.read("run/all.pids").lines() {
            let _: std::io::Result<Output> = Command::new("kill").arg("-9").arg(pid).output();
        }
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
