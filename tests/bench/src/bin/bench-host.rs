//! What `cargo xtask bench guests` runs in dom0: makes and destroys guests by `xm` or `xl`, measures
//! with one of them (`bench-guest`), and tells the console. Usage: bench-host COMMAND

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::calls::{CALLS, Caller, DATA};
use bench::{disk, network, second, shared};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::getppid;
use xen::sys::{DomId, Hypervisor};

const NAME: &str = "bench";
/// The guest's configuration, and others that differ in their kernels. xend looks for the last one.
const CONFIG: &str = "/etc/bench/guest";
const UNPACKED_CONFIG: &str = "/etc/bench/unpacked";
const NAMED_CONFIG: &str = "/etc/xen/bench";
/// A small guest that does nothing but yield.
const TURNS_CONFIG: &str = "/etc/bench/turns";
const TURNS_NAME: &str = "turns";
const KERNEL: &str = "/boot/bench/vmlinuz";
const UNPACKED_KERNEL: &str = "/boot/bench/vmlinux";
const NAMED_KERNEL: &str = "/boot/bench/vmlinuz-named";
/// Where xend keeps kernels that it unpacked.
const KEPT: &str = "/var/lib/xend/kernels";
/// The disk of the configuration.
const DISK: &str = "/var/lib/xen/images/bench.img";
/// Until all that goes on behind the command is over: virtual time, that costs nothing.
const REST: Duration = Duration::from_secs(2);
/// Long enough for what xend does when nobody wants anything.
const IDLE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
const SYSTEM_CALLS: u32 = 20_000;

fn main() {
    let command = std::env::args().nth(1).unwrap_or_else(|| "xm".to_owned());
    match measure(&command) {
        Ok(()) => tell("end", 0.0),
        Err(error) => {
            for log in [NAME.to_owned(), format!("guest-{NAME}.log")] {
                let log = format!("/var/log/xen/console/{log}");
                print!("{}", fs::read_to_string(log).unwrap_or_default());
            }
            println!("\nbench-host: {error:#}");
            let _ = std::io::stdout().flush();
            let _ = reboot(RebootMode::RB_POWER_OFF);
        }
    }
}

/// On a line of its own, whatever else is on the console.
fn tell(name: &str, value: f64) {
    println!("\nbench {name} {value:.1}");
}

fn measure(command: &str) -> Result<()> {
    prepare()?;
    let host = Host::new(command)?;
    std::thread::sleep(REST);
    ensure!(kept() == 0, "kernels are unpacked already");
    for (name, config) in [("first", CONFIG), ("again", CONFIG), ("unpacked", UNPACKED_CONFIG)] {
        host.measure(name, config)?;
    }
    host.run(&["create", TURNS_CONFIG])?;
    let figures = shared::turns(guest()?.context("the small guest is gone")?)?;
    figures.iter().for_each(|(name, value)| tell(name, *value));
    host.run(&["destroy", TURNS_NAME])?;
    name_kernel()?;
    host.measure("named", NAMED_CONFIG)
}

/// A disk that is all there, and a second configuration.
fn prepare() -> Result<()> {
    fs::create_dir_all("/var/lib/xen/images")?;
    fs::write(DISK, vec![1; disk::SIZE as usize])?;
    configure(UNPACKED_CONFIG, UNPACKED_KERNEL)
}

/// The guest with another kernel.
fn configure(path: &str, kernel: &str) -> Result<()> {
    let config = fs::read_to_string(CONFIG)?;
    ensure!(config.contains(KERNEL), "{CONFIG} names another kernel");
    Ok(fs::write(path, config.replace(KERNEL, kernel))?)
}

/// Names a kernel that nobody has seen, since it is longer by a byte, where xend looks, and leaves
/// dom0 alone for a while. Who keeps unpacked kernels must have it then.
fn name_kernel() -> Result<()> {
    let before = kept();
    fs::write(NAMED_KERNEL, [fs::read(KERNEL)?, vec![0]].concat())?;
    configure(NAMED_CONFIG, NAMED_KERNEL)?;
    std::thread::sleep(IDLE);
    ensure!(before == 0 || kept() == before + 1, "the kernel was not prepared");
    Ok(())
}

/// How many kernels are kept unpacked.
fn kept() -> usize {
    fs::read_dir(KEPT).map_or(0, Iterator::count)
}

/// The guest's number, if there is one.
fn guest() -> Result<Option<DomId>> {
    let domains = Hypervisor::open()?.domain_list()?;
    Ok(domains.iter().map(|info| info.domid).find(|domid| *domid != 0))
}

struct Host<'a> {
    command: &'a str,
    calls: TcpListener,
}

impl<'a> Host<'a> {
    /// Listens at the bridge, for calls and for what is measured of the network.
    fn new(command: &'a str) -> Result<Self> {
        let calls = TcpListener::bind(CALLS)?;
        let data = TcpListener::bind(DATA)?;
        std::thread::spawn(move || network::serve(&data));
        Ok(Self { command, calls })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(self.command);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().with_context(|| self.command.to_owned())?;
        ensure!(status.success(), "{} {}: {status}", self.command, words.join(" "));
        Ok(())
    }

    /// A life of the guest.
    fn measure(&self, name: &str, config: &str) -> Result<()> {
        let caller = self.create(name, config)?;
        std::thread::sleep(REST);
        if name == "unpacked" {
            measure_with(caller)?;
        }
        self.destroy(name)?;
        std::thread::sleep(REST);
        ensure!(guest()?.is_none(), "a guest outlived being destroyed");
        Ok(())
    }

    /// Makes the guest; what the command took, and when the guest's first process began.
    fn create(&self, name: &str, config: &str) -> Result<Caller> {
        let started = Instant::now();
        self.run(&["create", config])?;
        tell(&format!("create-{name}"), started.elapsed().as_nanos() as f64);
        let mut caller = Caller::new(self.accept()?, false)?;
        caller.say("begun", 0.0)?;
        // The guest's clock may start anywhere, but is as fast as ours.
        let ago = caller.expect("begun")?;
        tell(&format!("begun-{name}"), started.elapsed().as_nanos() as f64 - ago);
        caller.expect("done")?;
        Ok(caller)
    }

    fn accept(&self) -> Result<TcpStream> {
        let mut calls = [PollFd::new(self.calls.as_fd(), PollFlags::POLLIN)];
        if poll(&mut calls, PollTimeout::try_from(PATIENCE)?)? == 0 {
            bail!("the guest does not call");
        }
        Ok(self.calls.accept()?.0)
    }

    fn destroy(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        self.run(&["destroy", NAME])?;
        tell(&format!("destroy-{name}"), started.elapsed().as_nanos() as f64);
        Ok(())
    }
}

/// What a guest that runs can tell, and what is measured between it and dom0.
fn measure_with(mut caller: Caller) -> Result<()> {
    let domid = guest()?.context("the guest is gone")?;
    tell("getppid", second(SYSTEM_CALLS, || Ok(getppid()))?);
    for wish in ["getppid", "disk", "network", "events", "pages"] {
        caller.say(wish, 0.0)?;
        let figures = match wish {
            "events" => shared::events(&mut caller, domid)?,
            "pages" => shared::copies(&mut caller, domid)?,
            _ => vec![],
        };
        figures.iter().for_each(|(name, value)| tell(name, *value));
        loop {
            match caller.hear()? {
                (word, _) if word == "done" => break,
                (name, value) => tell(&name, value),
            }
        }
    }
    Ok(())
}
