//! A booted dom0 and commands in it.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent::host::{Agent, Stream};
use anyhow::{Context, Result, bail, ensure};
use xtask::images::{Hypervisor, Toolstack};
use xtask::qemu::{Console, Machine, Model, Options};
use xtask::run::WAIT_FOR_SERVICES;
use xtask::{disk, image, images, project};

use crate::compiler;

const BOOT_TIMEOUT: Duration = Duration::from_secs(300);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
const POWEROFF_TIMEOUT: Duration = Duration::from_secs(120);
/// As long as the slowest start method may take.
const ONLINE_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks of [`Dom0::wait_for`].
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How a dom0 is booted.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The machine's memory in MiB.
    pub memory: u32,
    /// The machine's processors.
    pub cpus: u32,
    /// A disk that outlives the machine; made if it isn't there.
    pub kept_disk: Option<PathBuf>,
    /// Boot dom0's kernel without a hypervisor.
    pub bare: bool,
    /// What is under dom0.
    pub hypervisor: Hypervisor,
    /// Whose toolstack.
    pub toolstack: Toolstack,
    /// What the machine is built of.
    pub model: Model,
    /// Options of the hypervisor, beside those that are always given.
    pub hypervisor_options: &'static str,
    /// The cases end the machine: it is not powered off behind them.
    pub ends: bool,
    /// Boot the image that `cargo xtask image` makes, and type this at GRUB's menu.
    pub image: Option<&'static str>,
    /// There is a second disk with a compiler on it ([`crate::compiler`]).
    pub compiler: bool,
    /// Only in a full run (`cargo xtask test --full`).
    pub only_in_full: bool,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            memory: 2048,
            cpus: 1,
            kept_disk: None,
            bare: false,
            hypervisor: Hypervisor::Escalus,
            toolstack: Toolstack::Escalus,
            model: Model::default(),
            hypervisor_options: "",
            ends: false,
            image: None,
            compiler: false,
            only_in_full: false,
        }
    }
}

impl Boot {
    /// On the hypervisor that `cargo xtask test --hypervisor` names: ours, if nobody does.
    pub fn as_chosen() -> Self {
        Self { hypervisor: xtask::test::hypervisor(), ..Self::default() }
    }

    /// The same on our own hypervisor and on stock Xen.
    pub fn on_each(&self) -> [Self; 2] {
        [Hypervisor::Escalus, Hypervisor::Xen].map(|hypervisor| Self { hypervisor, ..self.clone() })
    }

    /// The same with a toolstack, always or in full runs only.
    pub fn under(&self, toolstack: Toolstack, only_in_full: bool) -> Self {
        Self { toolstack, only_in_full, ..self.clone() }
    }

    /// What is under the guests, for reports: the hypervisor, and whose toolstack if not ours.
    pub fn name(&self) -> &'static str {
        match (self.hypervisor, self.toolstack) {
            (Hypervisor::Escalus, Toolstack::Escalus) => "escalus",
            (Hypervisor::Escalus, Toolstack::Xl) => "escalus_xl",
            (Hypervisor::Escalus, Toolstack::Stock) => "escalus_stock",
            (Hypervisor::Xen, Toolstack::Escalus) => "xen",
            (Hypervisor::Xen, Toolstack::Xl) => "xen_xl",
            (Hypervisor::Xen, Toolstack::Stock) => "xen_stock",
        }
    }
}

/// What a command in dom0 did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Exit status; 128 + n for signal n.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}` ended with status {}", self.command, self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(f, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}

/// A running dom0. Dropping it kills the machine.
#[derive(Debug)]
pub struct Dom0 {
    machine: Machine,
    agent: Agent,
}

impl Dom0 {
    /// Builds what isn't built, boots, and waits until the services have settled.
    pub fn boot(boot: &Boot) -> Result<Self> {
        let lock = project::lock()?;
        let images = images::prepare(boot.hypervisor, boot.toolstack)?;
        if let Some(kept) = &boot.kept_disk {
            disk::keep(&images.disk, kept)?;
        }
        let mut options = Options {
            memory: boot.memory,
            cpus: boot.cpus,
            console: Console::Typed,
            bare: boot.bare,
            kept_disk: boot.kept_disk.clone(),
            model: boot.model.clone(),
            hypervisor_options: boot.hypervisor_options,
        };
        if boot.compiler {
            options.model.second_disk = Some(std::path::absolute(compiler::disk()?)?);
        }
        if boot.image.is_some() {
            options.model.cd = Some(std::path::absolute(image::make(&images)?)?);
        }
        let mut machine = Machine::start(&images, &options)?;
        drop(lock);
        if let Some(keys) = boot.image {
            machine.wait_for_console("GNU GRUB", BOOT_TIMEOUT)?;
            machine.type_at_console(keys)?;
        }
        let agent = xtask::step::step("boot dom0", || machine.agent(BOOT_TIMEOUT))?;
        let mut dom0 = Self { machine, agent };
        // Services that don't come up are what the cases are about.
        dom0.run_within(WAIT_FOR_SERVICES, BOOT_TIMEOUT)?;
        Ok(dom0)
    }

    /// Runs a command and gives what it did; an error means that it could not be run to its end.
    pub fn run(&mut self, command: &str) -> Result<Output> {
        self.run_within(command, COMMAND_TIMEOUT)
    }

    /// As [`Dom0::run`], with another limit than two minutes.
    pub fn run_within(&mut self, command: &str, timeout: Duration) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let collect = |stream, bytes: &[u8]| {
            match stream {
                Stream::Stdout => stdout.extend_from_slice(bytes),
                Stream::Stderr => stderr.extend_from_slice(bytes),
            }
            Ok(())
        };
        let status = self.agent.run(command, timeout, collect);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let output = Output {
            command: command.to_owned(),
            status: *status.as_ref().unwrap_or(&-1),
            stdout: text(stdout),
            stderr: text(stderr),
        };
        status.with_context(|| output.to_string())?;
        Ok(output)
    }

    /// Runs a command that must succeed; gives its standard output.
    pub fn ok(&mut self, command: &str) -> Result<String> {
        let output = self.run(command)?;
        ensure!(output.status == 0, "{output}");
        Ok(output.stdout)
    }

    /// Runs a command that must fail with `status`; gives its standard error.
    pub fn fails(&mut self, command: &str, status: i32) -> Result<String> {
        let output = self.run(command)?;
        ensure!(output.status == status, "not with status {status}: {output}");
        Ok(output.stderr)
    }

    /// Runs a command again and again until its output is as wanted; gives that output.
    pub fn wait_for(
        &mut self,
        command: &str,
        timeout: Duration,
        wanted: impl Fn(&Output) -> bool,
    ) -> Result<Output> {
        let deadline = Instant::now() + timeout;
        loop {
            let output = self.run(command)?;
            if wanted(&output) {
                return Ok(output);
            }
            if Instant::now() >= deadline {
                bail!("not as wanted after {} s: {output}", timeout.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until the one instance that `service` means is online; tells why if it isn't.
    pub fn wait_until_online(&mut self, service: &str) -> Result<()> {
        let state = format!("svcs -H -o state {service}");
        let online = |output: &Output| output.stdout.trim_end() == "online";
        match self.wait_for(&state, ONLINE_TIMEOUT, online) {
            Ok(_) => Ok(()),
            Err(error) => {
                let why =
                    self.run(&format!("svcs -xv {service}; tail -n 20 $(svcs -L {service})"))?;
                Err(error.context(format!("{service} is not online\n{why}")))
            }
        }
    }

    /// Powers off as a user does and waits for the machine's end.
    pub fn power_off(mut self) -> Result<()> {
        // The agent may be gone before it can answer.
        let _ = self.agent.run("poweroff", POWEROFF_TIMEOUT, |_, _| Ok(()));
        let status = self.machine.wait_for(POWEROFF_TIMEOUT)?;
        ensure!(status.success(), "the emulator ended with {status}");
        Ok(())
    }

    /// Types at the console, of which dom0 and the hypervisor share the keys.
    pub fn type_at_console(&self, keys: &str) -> Result<()> {
        self.machine.type_at_console(keys)
    }

    /// Waits until a text is on the console.
    pub fn wait_for_console(&mut self, text: &str) -> Result<()> {
        self.machine.wait_for_console(text, COMMAND_TIMEOUT)
    }

    /// Waits until the machine ends by itself.
    pub fn wait_for_end(&mut self) -> Result<()> {
        self.machine.wait_for(COMMAND_TIMEOUT).map(drop)
    }

    /// What the console said so far: Xen and dom0's kernel.
    pub fn console(&self) -> Result<String> {
        let log = self.machine.console_log();
        let bytes = std::fs::read(&log).with_context(|| log.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
