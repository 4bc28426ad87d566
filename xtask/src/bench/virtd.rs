//! virtd beside stock libvirtd with its test driver: calls a second, many clients, long lists.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};

use crate::{host, programs, project};

/// What `cargo xtask bench virtd` was asked for.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Clients at once
    #[arg(long, default_value_t = 100)]
    clients: u32,
    /// Calls of each measurement
    #[arg(long, default_value_t = 20_000)]
    calls: u32,
    /// Write the table to docs/bench-virtd.md
    #[arg(long)]
    write: bool,
}

const NEEDED: &[host::Needed] = &[
    host::Needed { file: "virsh", package: "libvirt-clients" },
    host::Needed { file: "libvirtd", package: "libvirt-daemon" },
    host::Needed { file: "/usr/lib/python3/dist-packages/libvirt.py", package: "python3-libvirt" },
];

/// Guests of the short list and of the long one: those that are only defined, and those that run.
const FEW: (u32, u32) = (0, 1);
const MANY: (u32, u32) = (1000, 30);
const ROUNDS: usize = 15;
const PAUSE: Duration = Duration::from_millis(1100);
const START: Duration = Duration::from_secs(20);

/// A process that ends with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, socket: &Path) -> Result<Running> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().with_context(|| format!("cannot run {command:?}"))?);
    let deadline = Instant::now() + START;
    while !socket.exists() {
        ensure!(Instant::now() < deadline, "{command:?} does not listen at {}", socket.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// Measures and prints a table.
pub fn bench(arguments: &Arguments) -> Result<()> {
    host::install_missing(NEEDED)?;
    let (virtd, stand_in) = build()?;
    let few = ours(&virtd, &stand_in, FEW, arguments)?;
    let many = ours(&virtd, &stand_in, MANY, arguments)?;
    let peer = stock(arguments)?;
    let table = table(arguments, &few, &many, &peer);
    print!("{table}");
    if arguments.write {
        fs::write(project::root().join("docs/bench-virtd.md"), table)?;
    }
    Ok(())
}

fn build() -> Result<(PathBuf, PathBuf)> {
    let mut cargo = programs::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "virtd"]);
    cargo.args(["--bin", "virtd", "--example", "xend_stand_in"]);
    // As for dom0, so that what is built for dom0 needs not be built again.
    let files = programs::build_static(cargo)?;
    let file = |name: &str| {
        let file = files.iter().find(|file| file.file_name().is_some_and(|it| it == name));
        file.cloned().with_context(|| format!("cargo made no {name}"))
    };
    Ok((file("virtd")?, file("xend_stand_in")?))
}

/// What was measured of one server.
struct Measured {
    /// Calls a second of one client, and of all at once.
    one: f64,
    all: f64,
    list: List,
}

/// What `virsh list --all` costs, in milliseconds.
struct List {
    /// The time it takes, the median.
    wall: f64,
    /// The processor's time that virsh takes, and that the server takes, the mean.
    client: f64,
    server: f64,
}

fn ours(
    virtd: &Path,
    stand_in: &Path,
    (defined, running): (u32, u32),
    arguments: &Arguments,
) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let (xend, etc) = (folder.path().join("xmlrpc.sock"), folder.path().join("etc"));
    fs::create_dir(&etc)?;
    let mut command = Command::new(stand_in);
    command.arg(&xend).arg(&etc).args([(defined + running).to_string(), running.to_string()]);
    let _xend = start(&mut command, &xend)?;
    let socket = folder.path().join("libvirt-sock");
    let mut command = Command::new(virtd);
    command.arg("--no-fork").arg("--sockets").arg(folder.path()).arg("--xend").arg(&xend);
    command.arg("--definitions").arg(&etc);
    let virtd = start(&mut command, &socket)?;
    measure(&virtd, &format!("xen+unix:///system?socket={}", socket.display()), arguments)
}

/// libvirtd with the driver that has one domain of its own making, and no hypervisor.
fn stock(arguments: &Arguments) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("libvirtd.conf");
    let at = folder.path().display();
    let clients = arguments.clients + 10;
    fs::write(
        &config,
        format!(
            "unix_sock_dir = '{at}'\nauth_unix_rw = 'none'\nauth_unix_ro = 'none'\n\
             max_clients = {clients}\nmax_anonymous_clients = {clients}\n"
        )
        .replace('\'', "\""),
    )?;
    let socket = folder.path().join("libvirt-sock");
    let mut command = Command::new("libvirtd");
    command.arg("--config").arg(&config).arg("--pid-file").arg(folder.path().join("pid"));
    // Without the drivers for real hypervisors, some of which can't start here.
    command.env("LIBVIRT_DRIVER_DIR", folder.path());
    let libvirtd = start(&mut command, &socket)?;
    measure(&libvirtd, &format!("test+unix:///default?socket={}", socket.display()), arguments)
}

fn list(server: &Running, uri: &str) -> Result<List> {
    let mut walls = Vec::new();
    let before = (of_children()?, of_process(&server.0)?);
    for _ in 0..ROUNDS {
        // Between two people's lists is more time than a server may remember.
        std::thread::sleep(PAUSE);
        let begin = Instant::now();
        host::output(Command::new("virsh").args(["-c", uri, "list", "--all"]))?;
        walls.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    walls.sort_by(f64::total_cmp);
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / ROUNDS as f64;
    Ok(List {
        wall: walls[ROUNDS / 2],
        client: each(of_children()?.saturating_sub(before.0)),
        server: each(of_process(&server.0)?.saturating_sub(before.1)),
    })
}

/// The processor's time of all children that have ended.
fn of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Ok(Duration::from_micros(micros.iter().sum::<i64>().unsigned_abs()))
}

/// The processor's time of a process so far (proc(5), `stat`).
fn of_process(process: &Child) -> Result<Duration> {
    let path = format!("/proc/{}/stat", process.id());
    let text = fs::read_to_string(&path).context(path.clone())?;
    // The name may hold anything, and ends with the last parenthesis.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel's tick is unknown")? as u64;
    Ok(Duration::from_millis(ticks * 1000 / second))
}

fn measure(server: &Running, uri: &str, arguments: &Arguments) -> Result<Measured> {
    let list = list(server, uri)?;
    let script = project::root().join("xtask/src/bench/calls.py");
    let mut python = Command::new("/usr/bin/python3");
    python.arg(script).arg(uri);
    python.args([arguments.clients.to_string(), arguments.calls.to_string()]);
    let answer = host::output(&mut python)?;
    let rates: Vec<f64> = answer
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context(answer.clone())?;
    let [one, all] = rates[..] else { bail!("not two numbers: {answer}") };
    Ok(Measured { one, all, list })
}

/// How many processes there were to run in the last minute, on average (proc(5), `loadavg`).
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

fn table(arguments: &Arguments, few: &Measured, many: &Measured, peer: &Measured) -> String {
    let clients = arguments.clients;
    let mut text = format!(
        "# virtd beside libvirtd\n\n\
         Written by `cargo xtask bench virtd --write`. Debian's libvirtd serves its test driver, \
         which has one\ndomain and no hypervisor; below virtd is a stand-in for xend, whose \
         definitions are real files. The\nclients are the same for both: libvirt's Python binding \
         asks for a domain's state, and virsh lists.\nOne machine, one server after the other. In \
         parentheses: times what libvirtd does.\n\n\
         | server | guests | calls a second, one client | {clients} clients at once | \
         `virsh list --all` | of that virsh computes | and the server |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    let rows = [
        ("virtd", "1 running".to_owned(), few),
        ("virtd", format!("{} defined, {} running", MANY.0, MANY.1), many),
        ("libvirtd, test driver", "1 running".to_owned(), peer),
    ];
    for (name, guests, it) in rows {
        let List { wall, client, server } = it.list;
        let _ = writeln!(
            text,
            "| {name} | {guests} | {:.0} ({:.1}) | {:.0} ({:.1}) | {wall:.0} ms | {client:.0} ms | \
             {server:.0} ms |",
            it.one,
            it.one / peer.one,
            it.all,
            it.all / peer.all,
        );
    }
    let (few, many) = (&few.list, &many.list);
    let _ = writeln!(
        text,
        "\nThe long list takes {:.0} ms more than the short one: virsh computes for {:.0} ms more, \
         since it asks for the\nstate of each guest by a call of its own, and virtd for {:.0} ms; \
         the rest is the stand-in's, and waiting\nfor the processor: on {} processors the load was \
         {}.",
        many.wall - few.wall,
        many.client - few.client,
        many.server - few.server,
        std::thread::available_parallelism().map_or(1, usize::from),
        load(),
    );
    text
}
