//! The supervisors that are measured: how each is told of its services, started and asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use svc::contract::Contracts;
use svc::fmri::Fmri;
use svc::repo::{Change, Repo};
use svc::value::PropType;

use super::processes;

/// What ours is called in the table.
pub const OURS: &str = "escalus";

/// There is one where systemd is process 1 (sd_booted(3)).
const BOOTED_BY_SYSTEMD: &str = "/run/systemd/system";
/// As runsvdir.c has it.
const RUNSVDIR_MOST: usize = 1000;
/// Services below one in the tree of dependencies, for supervisors that have such.
const BRANCHES: usize = 10;
/// How long `svc.configd` may take to answer, and manifests to be imported.
const PATIENCE: Duration = Duration::from_secs(600);

/// The services to supervise.
#[derive(Debug, Clone)]
pub struct Services {
    /// How many.
    pub count: usize,
    /// What each runs, with its index behind it.
    pub command: String,
}

impl Services {
    fn command(&self, index: usize) -> String {
        format!("{} {index}", self.command)
    }

    /// What a service depends on.
    fn parent(index: usize) -> Option<usize> {
        index.checked_sub(1).map(|before| before / BRANCHES)
    }
}

/// A supervisor.
pub trait Peer {
    /// What it is called in the table.
    fn name(&self) -> &'static str;
    /// Writes all that it reads, into an empty folder.
    fn prepare(&self, folder: &Path, services: &Services) -> Result<()>;
    /// What starts it, in this order.
    fn start(&self, folder: &Path) -> Vec<Command>;
    /// What lists the states of all services.
    fn list(&self, folder: &Path) -> Command;
    /// Removes what it leaves on the host once all its processes are gone.
    fn clean_up(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }
}

/// All supervisors that can run here. systemd must have booted the host: where it hasn't, a user's
/// instance takes the host's own cgroups for its own, and puts limits on everybody.
pub fn all(programs: &Path) -> Vec<Box<dyn Peer>> {
    let ours = Escalus { programs: programs.to_owned() };
    let mut all: Vec<Box<dyn Peer>> =
        vec![Box::new(ours), Box::new(S6), Box::new(Runit), Box::new(Supervisord)];
    if Path::new(BOOTED_BY_SYSTEMD).exists() {
        all.push(Box::new(Systemd));
    }
    all
}

fn quiet(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(program.into());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

struct Escalus {
    programs: PathBuf,
}

impl Escalus {
    fn program(&self, name: &str, folder: &Path) -> Command {
        let mut command = quiet(self.programs.join(name));
        // As on a host of its own, where a private root would do without.
        command.env("SVC_ROOT", folder).env("SVC_CONTRACTS", "cgroups");
        command
    }

    /// Has the manifests imported, and enables all services for the next start.
    fn import(&self, folder: &Path, services: &Services) -> Result<()> {
        for mut daemon in self.start(folder) {
            daemon.spawn().context("cannot start our daemons")?;
        }
        let repo = Repo::connect_to(&folder.join("run/svc/repository.sock"), PATIENCE)?;
        let ours = |fmri: &Fmri| fmri.service.starts_with("bench/");
        let imported = || repo.instances().map(|all| all.iter().filter(|f| ours(f)).count());
        let deadline = Instant::now() + PATIENCE;
        while imported()? < services.count {
            if Instant::now() > deadline {
                bail!("the manifests were not imported; see svc.startd.log");
            }
            sleep(Duration::from_millis(200));
        }
        let enable = |index| {
            let fmri = Fmri::parse(&format!("svc:/bench/s{index}:default"))?;
            let (pg, prop) = ("general".to_owned(), "enabled".to_owned());
            let values = vec!["true".to_owned()];
            Ok(Change::SetProp { fmri, pg, prop, ty: PropType::Boolean, values })
        };
        processes::end_named("svc-startd")?;
        repo.commit((0..services.count).map(enable).collect::<Result<_>>()?)?;
        processes::end_all()
    }
}

impl Peer for Escalus {
    fn name(&self) -> &'static str {
        OURS
    }

    fn prepare(&self, folder: &Path, services: &Services) -> Result<()> {
        let manifests = folder.join("lib/svc/manifest");
        fs::create_dir_all(&manifests)?;
        for index in 0..services.count {
            let dependency = Services::parent(index).map(|parent| {
                format!(
                    "[dependency.parent]\ngrouping = \"require_all\"\nrestart_on = \"none\"\n\
                     entities = [\"svc:/bench/s{parent}\"]\n"
                )
            });
            let text = format!(
                "service = \"bench/s{index}\"\n{}\
                 [method.start]\nexec = \"{}\"\ntimeout_seconds = 0\n\
                 [method.stop]\nexec = \":kill\"\ntimeout_seconds = 60\n\
                 [group.startd]\ntype = \"framework\"\n\
                 [group.startd.property]\nduration = \"child\"\n\
                 [instance.default]\nenabled = false\n",
                dependency.unwrap_or_default(),
                services.command(index),
            );
            fs::write(manifests.join(format!("{index}.toml")), text)?;
        }
        self.import(folder, services)
    }

    fn start(&self, folder: &Path) -> Vec<Command> {
        ["svc-configd", "svc-startd"].map(|name| self.program(name, folder)).into()
    }

    fn list(&self, folder: &Path) -> Command {
        let mut command = self.program("svcs", folder);
        command.arg("-a");
        command
    }

    /// Thousands of cgroups would slow down whoever is measured next.
    fn clean_up(&self, folder: &Path) -> Result<()> {
        // There is none if svc.startd never came so far.
        let note = fs::read_to_string(folder.join("run/svc/contracts")).unwrap_or_default();
        Ok(Contracts::parse(&note).map_or(Ok(()), |contracts| contracts.remove_all())?)
    }
}

struct S6;

impl Peer for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn prepare(&self, folder: &Path, services: &Services) -> Result<()> {
        for index in 0..services.count {
            let service = folder.join(index.to_string());
            fs::create_dir(&service)?;
            script(
                &service.join("run"),
                &format!("#!/bin/sh\nexec {}\n", services.command(index)),
            )?;
        }
        Ok(())
    }

    fn start(&self, folder: &Path) -> Vec<Command> {
        let mut command = quiet("s6-svscan");
        command.args(["-c", "16384"]).arg(folder);
        vec![command]
    }

    fn list(&self, folder: &Path) -> Command {
        each(folder, "s6-svstat \"$d\"")
    }
}

/// A shell loop over the services' folders, for supervisors with one command for one service.
fn each(folder: &Path, command: &str) -> Command {
    let mut shell = quiet("/bin/sh");
    shell.arg("-c").arg(format!("for d in */; do {command}; done")).current_dir(folder);
    shell
}

struct Runit;

impl Peer for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn prepare(&self, folder: &Path, services: &Services) -> Result<()> {
        if services.count > RUNSVDIR_MOST {
            bail!("runsvdir supervises {RUNSVDIR_MOST} services at most");
        }
        S6.prepare(folder, services)
    }

    fn start(&self, folder: &Path) -> Vec<Command> {
        let mut command = quiet("runsvdir");
        command.arg(folder);
        vec![command]
    }

    fn list(&self, folder: &Path) -> Command {
        let mut command = quiet("/bin/sh");
        command.args(["-c", "sv status \"$PWD\"/*"]).current_dir(folder);
        command
    }
}

struct Supervisord;

impl Supervisord {
    fn configuration(folder: &Path) -> PathBuf {
        folder.join("supervisord.conf")
    }
}

impl Peer for Supervisord {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn prepare(&self, folder: &Path, services: &Services) -> Result<()> {
        let at = folder.display();
        // It has three pipes to each, and each child closes as many files as there may be.
        let files = 1024 + 3 * services.count;
        let most = processes::most_files()?;
        if files as u64 > most {
            bail!("it needs {files} open files, and may have {most} here");
        }
        let mut text = format!(
            "[supervisord]\nlogfile={at}/log\npidfile={at}/pid\nminfds={files}\nminprocs=16384\n\
             [unix_http_server]\nfile={at}/socket\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=\
             supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{at}/socket\n"
        );
        for index in 0..services.count {
            text += &format!(
                "[program:{index}]\ncommand={}\nautorestart=true\nstartsecs=0\n\
                 stdout_logfile=NONE\nstderr_logfile=NONE\n",
                services.command(index)
            );
        }
        Ok(fs::write(Self::configuration(folder), text)?)
    }

    fn start(&self, folder: &Path) -> Vec<Command> {
        let mut command = quiet("supervisord");
        command.arg("-n").arg("-c").arg(Self::configuration(folder));
        vec![command]
    }

    fn list(&self, folder: &Path) -> Command {
        let mut command = quiet("supervisorctl");
        command.arg("-c").arg(Self::configuration(folder)).arg("status");
        command
    }
}

struct Systemd;

impl Systemd {
    fn at_home(mut command: Command, folder: &Path) -> Command {
        command.env("XDG_RUNTIME_DIR", folder.join("run"));
        command.env("XDG_CONFIG_HOME", folder.join("config"));
        command
    }
}

impl Peer for Systemd {
    fn name(&self) -> &'static str {
        "systemd --user"
    }

    fn prepare(&self, folder: &Path, services: &Services) -> Result<()> {
        fs::create_dir(folder.join("run"))?;
        fs::set_permissions(folder.join("run"), fs::Permissions::from_mode(0o700))?;
        let units = folder.join("config/systemd/user");
        let wanted = units.join("default.target.wants");
        fs::create_dir_all(&wanted)?;
        for index in 0..services.count {
            let parent = Services::parent(index).map(|parent| {
                format!("Wants=bench{parent}.service\nAfter=bench{parent}.service\n")
            });
            let unit = units.join(format!("bench{index}.service"));
            let text = format!(
                "[Unit]\n{}StartLimitIntervalSec=0\n[Service]\nExecStart={}\nRestart=always\n\
                 RestartSec=0\n",
                parent.unwrap_or_default(),
                services.command(index)
            );
            fs::write(&unit, text)?;
            symlink(&unit, wanted.join(format!("bench{index}.service")))?;
        }
        Ok(())
    }

    fn start(&self, folder: &Path) -> Vec<Command> {
        let mut command = quiet("/lib/systemd/systemd");
        command.arg("--user");
        vec![Self::at_home(command, folder)]
    }

    fn list(&self, folder: &Path) -> Command {
        let mut command = quiet("systemctl");
        command.args(["--user", "list-units", "--all", "--no-pager"]);
        Self::at_home(command, folder)
    }
}
