//! The first process of the guests that `cargo xtask bench guests` makes: it calls dom0 and does as it
//! is told there.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::calls::{CALLS, Caller};
use bench::{disk, mount_kernels_own, network, second, shared};
use nix::unistd::getppid;

const MODULES: &[&str] = &["xen-blkfront", "xen-netfront", "xen-evtchn", "xen-gntalloc"];
const ADDRESS: &str = "10.0.0.9/24";
const DISK: &str = "/dev/xvda";
/// How often is looked for a device, and for dom0.
const PAUSE: Duration = Duration::from_millis(5);
const SYSTEM_CALLS: u32 = 20_000;

fn main() {
    let begun = Instant::now();
    mount_kernels_own();
    let Err(error) = serve(begun);
    println!("bench-guest: {error:#}");
    // The kernel would take the end of its first process for its own.
    loop {
        std::thread::park();
    }
}

fn serve(begun: Instant) -> Result<std::convert::Infallible> {
    run("modprobe", &[&["-a"], MODULES].concat())?;
    wait_for("/sys/class/net/eth0");
    wait_for(DISK);
    run("ip", &["addr", "add", ADDRESS, "dev", "eth0"])?;
    run("ip", &["link", "set", "eth0", "up"])?;
    let mut caller = Caller::new(connect(), true)?;
    loop {
        let (wish, _) = caller.hear()?;
        let figures = match wish.as_str() {
            "begun" => vec![("begun", begun.elapsed().as_nanos() as f64)],
            "getppid" => vec![("getppid-guest", second(SYSTEM_CALLS, || Ok(getppid()))?)],
            "disk" => disk::measure(Path::new(DISK))?,
            "network" => network::measure()?,
            "events" => shared::offer_events(&mut caller).map(|()| vec![])?,
            "pages" => shared::offer_pages(&mut caller).map(|()| vec![])?,
            _ => bail!("dom0 wants {wish:?}"),
        };
        figures.iter().try_for_each(|(name, value)| caller.say(name, *value))?;
        caller.say("done", 0.0)?;
    }
}

fn run(applet: &str, words: &[&str]) -> Result<()> {
    let status = Command::new("/bin/busybox").arg(applet).args(words).status();
    let status = status.with_context(|| applet.to_owned())?;
    ensure!(status.success(), "{applet} {}: {status}", words.join(" "));
    Ok(())
}

fn wait_for(path: &str) {
    while !Path::new(path).exists() {
        std::thread::sleep(PAUSE);
    }
}

/// The bridge may not pass anything on at first.
fn connect() -> TcpStream {
    loop {
        match TcpStream::connect(CALLS) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
