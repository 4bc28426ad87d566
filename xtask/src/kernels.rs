//! The small PV kernels of `tests/kernels`: building them, and booting a hypervisor with one of them
//! as domain 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::images::{self, Hypervisor};
use crate::{hypervisor, image, packages, project};

/// Memory of the machine and of domain 0 in MiB.
const MEMORY: u32 = 256;
const DOM0_MEMORY: u32 = 64;
/// The usual processors.
const CPU: &str = "qemu64";

/// A hypervisor, a kernel, and what is said to them.
#[derive(Debug, Clone)]
pub struct Boot {
    /// What is under the kernel.
    pub hypervisor: Hypervisor,
    /// The kernel's name in `tests/kernels/src/bin`.
    pub kernel: &'static str,
    /// The kernel's command line.
    pub words: String,
    /// Options of the hypervisor, beside those that are always given.
    pub options: &'static str,
    /// Processors.
    pub cpus: u32,
    /// Their model, as the emulator names it.
    pub cpu: &'static str,
}

/// What `cargo xtask fuzz` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which of all random runs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many calls, programs and faults
    #[arg(long, default_value_t = 10_000_000)]
    calls: u64,
    /// How many other vcpus change the same tables meanwhile: 0 to 3
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3))]
    racers: u32,
    /// Print each from this one on
    #[arg(long)]
    trace: Option<u64>,
    /// What is under the kernel
    #[arg(long, value_enum, default_value = "escalus")]
    hypervisor: Hypervisor,
}

/// Runs the fuzzing kernel and prints what it printed.
pub fn fuzz(arguments: &Arguments) -> Result<ExitCode> {
    let &Arguments { seed, calls, racers, hypervisor, .. } = arguments;
    let mut words = format!("seed={seed} calls={calls} racers={racers}");
    if let Some(from) = arguments.trace {
        words += &format!(" trace={from}");
    }
    let boot = Boot { hypervisor, kernel: "fuzz", words, cpus: 1 + racers, ..Boot::default() };
    let day = Duration::from_secs(86_400);
    let text = boot.run(day)?;
    println!("{text}");
    let is_whole = fuzz_complaint(&text).map(|complaint| eprintln!("{complaint}")).is_none();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with what a run of the fuzzing kernel printed, if anything is.
pub fn fuzz_complaint(text: &str) -> Option<String> {
    let wanted = [
        "40 of 40 frames are free to be anything",
        "the first port is made again: 0x1",
        "traps come: 0x1",
        "memory is as it was",
        "fuzz ends",
    ];
    let missing = wanted.into_iter().find(|line| !text.contains(line));
    missing.map(|line| format!("the run did not end with `{line}`"))
}

impl Default for Boot {
    /// The checks on our hypervisor.
    fn default() -> Self {
        let (hypervisor, words) = (Hypervisor::Escalus, String::new());
        Self { hypervisor, kernel: "checks", words, options: "", cpus: 1, cpu: CPU }
    }
}

impl Boot {
    /// Builds what isn't built, boots, and gives what was printed until the machine ended.
    pub fn run(&self, timeout: Duration) -> Result<String> {
        let lock = project::lock()?;
        let kernel = hypervisor::build_kernel(self.kernel)?;
        let hypervisor = self.hypervisor()?;
        let folder = tempfile::tempdir_in(project::build())?;
        fs::copy(&kernel, folder.path().join("kernel"))?;
        fs::copy(&hypervisor, folder.path().join("hypervisor"))?;
        drop(lock);
        let options = format!("console=com1 dom0_mem={DOM0_MEMORY}M {}", self.options);
        let module = format!("kernel {}", self.words);
        let words = ["-kernel", "hypervisor", "-append", &options, "-initrd", &module];
        self.emulate(folder.path(), &words, timeout)
    }

    /// As [`Boot::run`], by GRUB from a CD with a menu of its first version on it. The hypervisor is
    /// packed and named `xen.gz`, the kernel `XEN3_DOM0`.
    pub fn run_from_menu(&self, menu: &str, timeout: Duration) -> Result<String> {
        const START: &str = "insmod gzio\nlegacy_configfile /boot/grub/menu.lst\n";
        let lock = project::lock()?;
        let folder = tempfile::tempdir_in(project::build())?;
        let cd = folder.path().join("cd");
        fs::create_dir_all(cd.join("boot/grub"))?;
        fs::write(cd.join("boot/grub/grub.cfg"), START)?;
        fs::write(cd.join("boot/grub/menu.lst"), menu)?;
        fs::copy(hypervisor::build_kernel(self.kernel)?, cd.join("XEN3_DOM0"))?;
        fs::copy(self.hypervisor()?, cd.join("xen"))?;
        image::pack(&cd.join("xen"), &cd.join("xen.gz"))?;
        image::write(&cd, &folder.path().join("cd.iso"))?;
        drop(lock);
        self.emulate(folder.path(), &["-cdrom", "cd.iso"], timeout)
    }

    fn hypervisor(&self) -> Result<PathBuf> {
        match self.hypervisor {
            Hypervisor::Escalus => hypervisor::build(),
            Hypervisor::Xen => images::xen(&packages::unpack()?),
        }
    }

    fn emulate(&self, folder: &Path, words: &[&str], timeout: Duration) -> Result<String> {
        let log: PathBuf = folder.join("console.log");
        let mut command = Command::new("qemu-system-x86_64");
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.args(["-accel", "tcg", "-cpu", self.cpu, "-nodefaults", "-nic", "none"]);
        command.args(["-display", "none", "-monitor", "none", "-no-reboot"]);
        command.args(["-m", &MEMORY.to_string(), "-smp", &self.cpus.to_string()]);
        command.args(["-serial", "file:console.log"]).args(words);
        let mut child = command.spawn().context("cannot run qemu-system-x86_64")?;
        let deadline = Instant::now() + timeout;
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                break Ok(status);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                break Err(timeout.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let text = fs::read(&log).with_context(|| log.display().to_string())?;
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        match ended {
            Ok(status) => ensure!(status.success(), "the emulator ended with {status}"),
            Err(seconds) => bail!("the machine still ran after {seconds} s:\n{text}"),
        }
        Ok(text)
    }
}
