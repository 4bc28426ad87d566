//! `svc.configd` in a private root, and the commands run against it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use svc::repo::Repo;
use tempfile::TempDir;

use crate::common::configd;

pub struct System {
    root: TempDir,
    server: Child,
}

/// What a command did.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let status = output.status.code().expect("not killed");
        Self { status, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    /// The standard output of a command that must have succeeded, silently but for that.
    pub fn ok(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{self:?}");
        self.out
    }

    /// The complaint of a command that must have failed with status 1.
    pub fn failed(self) -> String {
        assert_eq!((self.status, self.out.as_str()), (1, ""), "{self:?}");
        self.err
    }
}

impl System {
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Command::new(configd())
            .env("SVC_ROOT", root.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let system = Self { root, server };
        system.repo();
        system
    }

    /// With the manifest of a small xend.
    pub fn with_xend() -> Self {
        let system = Self::start();
        let file = system.write("xend.toml", XEND);
        system.svccfg(&["import", &file]).ok();
        system
    }

    pub fn repo(&self) -> Repo {
        let socket = self.root.path().join("run/svc/repository.sock");
        Repo::connect_to(&socket, Duration::from_secs(20)).unwrap()
    }

    /// Writes a file; returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("SVC_ROOT", self.root.path()).stdin(Stdio::null());
        command
    }

    pub fn svccfg(&self, args: &[&str]) -> Done {
        self.command(env!("CARGO_BIN_EXE_svccfg"), args).output().unwrap().into()
    }

    pub fn svcprop(&self, args: &[&str]) -> Done {
        self.command(env!("CARGO_BIN_EXE_svcprop"), args).output().unwrap().into()
    }

    /// A line as the administrator types it, with a shell's quoting.
    pub fn shell(&self, line: &str) -> Done {
        self.shell_command(line).output().unwrap().into()
    }

    fn shell_command(&self, line: &str) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_svccfg")).parent().unwrap();
        let mut command = self.command("sh", &["-c", line]);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
        command
    }

    /// The same as a user who is nobody here. Takes root.
    pub fn as_nobody(&self, line: &str) -> Done {
        const NOBODY: u32 = 65534;
        // The programs may be where only root can go; where they are installed, all can.
        let folder = Path::new(env!("CARGO_BIN_EXE_svccfg")).parent().unwrap();
        let programs = self.path().join("bin");
        std::fs::create_dir_all(&programs).unwrap();
        for name in ["svccfg", "svcprop"] {
            // By a process of its own: what this one writes, it can't execute while it forks.
            let copied =
                Command::new("cp").arg("-f").arg(folder.join(name)).arg(&programs).status();
            assert!(copied.unwrap().success());
        }
        std::fs::set_permissions(self.path(), Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", programs.display());
        let mut command = self.shell_command(line);
        command.env("PATH", path).uid(NOBODY).gid(NOBODY).output().unwrap().into()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub const XEND: &str = r#"
service = "system/xvm/xend"

[method.start]
exec = "/lib/svc/method/xend"
timeout_seconds = 60

[group.config.property]
default-nic = ""
dom0-min-mem = 196
enable-dump = false
xend-relocation-address = "localhost"
xend-relocation-hosts-allow = "^localhost$"

[instance.default]
enabled = false
"#;
