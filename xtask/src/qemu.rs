//! A machine in the emulator: its command line, its console, its end.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent::host::Agent;
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::images::Images;
use crate::project;

/// dom0's memory in MiB, or three quarters of what there is; the guests get the rest.
const DOM0_MEMORY: u32 = 768;

/// How long keys take until the machine has them all.
const TYPING: Duration = Duration::from_millis(500);

/// Where the console is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// On this terminal, and in the log.
    Terminal,
    /// In the log only.
    Log,
    /// In the log, and [`Machine::type_at_console`] types.
    Typed,
}

/// What the machine is built of.
#[derive(Debug, Clone)]
pub struct Model {
    /// Chipset: `pc` or `q35`.
    pub chipset: &'static str,
    /// The processors' model.
    pub cpu: String,
    /// What the disk is connected to.
    pub disk: Disk,
    /// The network card, if there is one: a device's name.
    pub network: Option<&'static str>,
    /// A CD to boot from; without one the emulator loads hypervisor and dom0 itself. There is no
    /// disk then.
    pub cd: Option<PathBuf>,
    /// Another disk, connected like the first; what is written to it is lost with the machine.
    pub second_disk: Option<PathBuf>,
    /// Time is how many instructions have run, 16 ns for each: it passes as slowly as a busy build
    /// host gets on, and what the machine does is the same.
    pub counts_instructions: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            chipset: "pc",
            cpu: "qemu64".to_owned(),
            disk: Disk::Virtio,
            network: None,
            cd: None,
            second_disk: None,
            counts_instructions: false,
        }
    }
}

/// What a disk is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// A paravirtual device.
    Virtio,
    /// A SATA controller.
    Ahci,
}

impl Disk {
    /// A device for the drive of that name; disks are numbered from 0.
    fn device(self, drive: &str, number: u32) -> String {
        match self {
            Self::Virtio => format!("virtio-blk-pci,drive={drive}"),
            Self::Ahci => format!("ide-hd,drive={drive},bus=sata.{number}"),
        }
    }
}

/// What kind of machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Where the console is.
    pub console: Console,
    /// No hypervisor: dom0's kernel alone on the machine.
    pub bare: bool,
    /// A disk that keeps what is written, instead of the images' own, which never changes.
    pub kept_disk: Option<PathBuf>,
    /// What it is built of.
    pub model: Model,
    /// Options of the hypervisor, beside those that are always given.
    pub hypervisor_options: &'static str,
}

/// A running emulator. It is killed when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    folder: RunFolder,
}

impl Machine {
    /// Starts a machine. Call it from a thread that lives as long as the machine should: the
    /// kernel kills the emulator at the death of the thread that started it.
    pub fn start(images: &Images, options: &Options) -> Result<Self> {
        let folder = RunFolder::new()?;
        images.put_into(&folder.path)?;
        let mut command = command(options);
        command.current_dir(&folder.path).env("TMPDIR", &folder.path);
        if options.console != Console::Terminal {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(fs::File::create(folder.path.join("qemu.log"))?);
        }
        let die_with_parent = || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            Ok(())
        };
        // SAFETY: the closure runs in the forked child and only makes one system call.
        unsafe { command.pre_exec(die_with_parent) };
        let child = command.spawn().context("cannot run qemu-system-x86_64")?;
        Ok(Self { child, folder })
    }

    /// The file that the console is written to.
    pub fn console_log(&self) -> PathBuf {
        self.folder.path.join("console.log")
    }

    /// Types at the console of a machine that was started with [`Console::Typed`].
    pub fn type_at_console(&self, keys: &str) -> Result<()> {
        let socket = format!("/proc/{}/cwd/console.sock", self.child.id());
        let mut stream = UnixStream::connect(&socket).context("the console can't be typed at")?;
        stream.write_all(keys.as_bytes())?;
        // What is printed is for the log: this end only has to read it until the keys are taken.
        let end = Instant::now() + TYPING;
        while Instant::now() < end {
            stream.set_read_timeout(Some(TYPING))?;
            let _ = stream.read(&mut [0; 4096]);
        }
        Ok(())
    }

    /// Waits until a text is on the console.
    pub fn wait_for_console(&mut self, text: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let log = fs::read(self.console_log()).unwrap_or_default();
            if String::from_utf8_lossy(&log).contains(text) {
                return Ok(());
            }
            let has_ended = self.child.try_wait()?.is_some();
            if has_ended || Instant::now() > deadline {
                let log = tail(&self.console_log());
                bail!("{text:?} is not on the console, whose last lines are:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Connects to the exec agent once dom0 is that far.
    pub fn agent(&mut self, timeout: Duration) -> Result<Agent> {
        // Through /proc, because a socket's path may not be longer than 107 bytes.
        let socket = PathBuf::from(format!("/proc/{}/cwd/agent.sock", self.child.id()));
        let log = self.console_log();
        let alive = || match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the emulator ended with {status}"))),
        };
        let agent = Agent::connect(&socket, Instant::now() + timeout, alive);
        agent.with_context(|| {
            format!("dom0 did not come up; its console's last lines:\n{}", tail(&log))
        })
    }

    /// Waits until the machine ends by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Waits for at most `timeout` until the machine ends by itself.
    pub fn wait_for(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the machine still runs after {} s", timeout.as_secs())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(options: &Options) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    let model = &options.model;
    command.args(["-accel", "tcg", "-machine", model.chipset, "-cpu", &model.cpu]);
    command.args(["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"]);
    command.args(["-m", &options.memory.to_string(), "-smp", &options.cpus.to_string()]);
    if model.counts_instructions {
        command.args(["-icount", "shift=4"]);
    }
    if let Some(cd) = &model.cd {
        let drive = format!("media=cdrom,format=raw,file={}", escaped(cd));
        command.args(["-boot", "d", "-drive", &drive]);
    } else if options.bare {
        command.args(["-kernel", "vmlinuz", "-append", "console=ttyS0 quiet"]);
        command.args(["-initrd", "dom0.cpio"]);
    } else {
        command.args(["-kernel", "hypervisor", "-append"]);
        let memory = DOM0_MEMORY.min(options.memory / 4 * 3);
        let more = options.hypervisor_options;
        command.arg(format!("console=com1 dom0_mem={memory}M,max:{memory}M {more}"));
        command.args(["-initrd", "vmlinuz console=hvc0 quiet,dom0.cpio"]);
    }
    match options.console {
        Console::Terminal => {
            command.args(["-chardev", "stdio,id=console,mux=on,signal=off,logfile=console.log"]);
            command.args(["-mon", "chardev=console"]);
        }
        Console::Typed => {
            let socket = "socket,id=console,path=console.sock,server=on,wait=off";
            command.arg("-chardev").arg(format!("{socket},logfile=console.log"));
            command.args(["-monitor", "none"]);
        }
        Console::Log => {
            command.args(["-chardev", "file,id=console,path=console.log", "-monitor", "none"]);
        }
    }
    command.args(["-serial", "chardev:console"]);
    if model.cd.is_none() {
        command.arg("-drive").arg(drive(options.kept_disk.as_deref()));
        if model.disk == Disk::Ahci {
            command.args(["-device", "ahci,id=sata"]);
        }
        command.arg("-device").arg(model.disk.device("var", 0));
        if let Some(path) = &model.second_disk {
            let file = escaped(path);
            let options = "if=none,format=raw,snapshot=on,cache=unsafe";
            command.arg("-drive").arg(format!("id=second,{options},file={file}"));
            command.arg("-device").arg(model.disk.device("second", 1));
        }
    }
    if let Some(card) = model.network {
        command.args(["-netdev", "user,id=net", "-device", &format!("{card},netdev=net")]);
    }
    command.args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
    command.args(["-chardev", "socket,id=agent,path=agent.sock,server=on,wait=off"]);
    let port = format!("virtserialport,chardev=agent,name={}", agent::PORT_NAME);
    command.args(["-device", &port]);
    command
}

fn drive(kept_disk: Option<&Path>) -> String {
    match kept_disk {
        Some(path) => {
            format!("id=var,if=none,format=raw,discard=unmap,file={}", escaped(path))
        }
        None => "id=var,if=none,format=raw,snapshot=on,cache=unsafe,file=var.img".to_owned(),
    }
}

/// A path as an option's value: a comma is written twice.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The last lines of a console log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// A folder for one machine's files, `build/run/PID-N`.
#[derive(Debug)]
struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = project::build().join("run");
        fs::create_dir_all(&runs)?;
        remove_left_over(&runs)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{}-{number}", std::process::id()));
        project::remove(&path)?;
        fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

/// Removes folders whose process was killed before it could.
fn remove_left_over(runs: &Path) -> Result<()> {
    for run in fs::read_dir(runs)? {
        let run = run?;
        let name = run.file_name();
        let pid = name.to_str().and_then(|name| name.split('-').next()).unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            project::remove(&run.path())?;
        }
    }
    Ok(())
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // The console's log outlives the run, to be read when something went wrong.
        let _ = fs::rename(self.path.join("console.log"), project::build().join("console.log"));
        let _ = project::remove(&self.path);
    }
}
