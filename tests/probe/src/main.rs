//! What tests ask of the hypervisor from dom0, without a toolstack in between: domains that are
//! made and destroyed, and what becomes of their memory. It says what is wrong and fails, or says
//! nothing.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, poll};
use xen::abi::PAGE_SIZE;
use xen::sys::{CreateDomain, DomId, Evtchn, Hypervisor};

const USAGE: &str = "usage: probe cycles TIMES | order | scrub | held | limits | times |\n     rounds DOMID PORT TIMES";
/// Pages of a domain that is filled.
const PAGES: u64 = 8192;
/// Pages that are mapped at a time.
const WINDOW: usize = 512;
/// Milliseconds that an event may take on a busy build host.
const PATIENCE: u16 = 60_000;
const PATTERN: [u8; 16] = *b"a secret of one ";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["cycles", times] => times.parse().context(USAGE).and_then(cycles),
        ["order"] => order(),
        ["scrub"] => scrub(),
        ["held"] => held(),
        ["limits"] => limits(),
        ["times"] => times(),
        ["rounds", domid, port, times] => rounds(domid, port, times),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A domain without a kernel. It is destroyed when this is dropped.
struct Domain<'a> {
    hypervisor: &'a Hypervisor,
    id: DomId,
    mfns: Vec<u64>,
}

impl<'a> Domain<'a> {
    fn new(hypervisor: &'a Hypervisor, pages: u64) -> Result<Self> {
        let new = CreateDomain { domid: None, handle: [7; 16], max_vcpus: 2 };
        let id = hypervisor.domain_create(&new)?;
        let mut domain = Self { hypervisor, id, mfns: Vec::new() };
        hypervisor.max_vcpus(id, 2)?;
        hypervisor.set_max_mem(id, pages * 4)?;
        domain.populate(pages)?;
        Ok(domain)
    }

    /// Gives it so many pages more, or fewer if there aren't as many; how many it were.
    fn populate(&mut self, pages: u64) -> Result<u64> {
        let before = self.mfns.len() as u64;
        while (self.mfns.len() as u64) < before + pages {
            let next = self.mfns.len() as u64;
            let gfns: Vec<u64> = (next..(next + 1024).min(before + pages)).collect();
            let given = self.hypervisor.populate_physmap(self.id, &gfns, 0)?;
            let is_short = given.len() < gfns.len();
            self.mfns.extend(given);
            if is_short {
                break;
            }
        }
        Ok(self.mfns.len() as u64 - before)
    }

    /// Does something with all of its memory, a window at a time.
    fn each_window(&self, mut act: impl FnMut(&xen::sys::Mapping) -> Result<()>) -> Result<()> {
        for mfns in self.mfns.chunks(WINDOW) {
            act(&self.hypervisor.map_foreign(self.id, mfns, true)?)?;
        }
        Ok(())
    }
}

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.hypervisor.domain_destroy(self.id) {
            eprintln!("probe: {error}");
        }
    }
}

fn free(hypervisor: &Hypervisor) -> Result<u64> {
    Ok(hypervisor.physinfo()?.free_pages)
}

/// Makes and destroys domains; free memory is the same afterwards, to the page.
fn cycles(times: u32) -> Result<()> {
    let hypervisor = Hypervisor::open()?;
    // The first may make the hypervisor keep some memory for the next.
    drop(Domain::new(&hypervisor, 64)?);
    let before = free(&hypervisor)?;
    for time in 0..times {
        let domain = Domain::new(&hypervisor, 512)?;
        let port = hypervisor.alloc_unbound_evtchn(domain.id, 0)?;
        ensure!(port > 0);
        hypervisor.seed_grants(domain.id, domain.mfns[0], domain.mfns[1])?;
        hypervisor.domain_shutdown(domain.id, xen::sys::ShutdownReason::Crash)?;
        drop(domain);
        let after = free(&hypervisor)?;
        ensure!(after == before, "{before} pages were free, {after} after {} times", time + 1);
    }
    Ok(())
}

/// Domains are found by number, and listed in that order, whatever came and went between them.
fn order() -> Result<()> {
    let hypervisor = Hypervisor::open()?;
    let (first, second) = (Domain::new(&hypervisor, 64)?, Domain::new(&hypervisor, 64)?);
    drop(first);
    let third = Domain::new(&hypervisor, 64)?;
    for domain in [&second, &third] {
        let found = hypervisor.domain_info(domain.id)?;
        ensure!(found.is_some_and(|info| info.tot_pages == 64), "{}: {found:?}", domain.id);
    }
    let numbers: Vec<DomId> = hypervisor.domain_list()?.iter().map(|info| info.domid).collect();
    ensure!(numbers.is_sorted() && numbers.contains(&second.id), "{numbers:?}");
    Ok(())
}

/// What one domain had in memory, no other finds there.
fn scrub() -> Result<()> {
    let hypervisor = Hypervisor::open()?;
    let domain = Domain::new(&hypervisor, PAGES)?;
    let page = PATTERN.repeat(PAGE_SIZE / PATTERN.len());
    domain.each_window(|mapping| {
        (0..mapping.len()).step_by(PAGE_SIZE).for_each(|at| mapping.write(at, &page));
        Ok(())
    })?;
    let first = domain.mfns.clone();
    drop(domain);
    let domain = Domain::new(&hypervisor, PAGES)?;
    let again = first.iter().filter(|mfn| domain.mfns.contains(mfn)).count();
    ensure!(again > 0, "none of the frames was used again: nothing was tried");
    let mut bytes = vec![0; PAGE_SIZE];
    domain.each_window(|mapping| {
        for at in (0..mapping.len()).step_by(PAGE_SIZE) {
            mapping.read(at, &mut bytes);
            ensure!(bytes.iter().all(|byte| *byte == 0), "a new domain's page isn't empty");
        }
        Ok(())
    })
}

/// Memory that is still mapped outlives its domain, and is free when it isn't mapped any more.
fn held() -> Result<()> {
    let hypervisor = Hypervisor::open()?;
    drop(Domain::new(&hypervisor, 64)?);
    let before = free(&hypervisor)?;
    let domain = Domain::new(&hypervisor, 64)?;
    let mapping = hypervisor.map_foreign(domain.id, &domain.mfns[..2], true)?;
    mapping.write(0, &PATTERN);
    drop(domain);
    let meanwhile = free(&hypervisor)?;
    ensure!(meanwhile < before, "{before} pages were free, {meanwhile} with two mapped");
    let others = Domain::new(&hypervisor, 4096)?;
    others.each_window(|mapping| {
        (0..mapping.len()).step_by(PAGE_SIZE).for_each(|at| mapping.write(at, &[0xff; PAGE_SIZE]));
        Ok(())
    })?;
    let mut bytes = PATTERN;
    mapping.read(0, &mut bytes);
    ensure!(bytes == PATTERN, "somebody else was given a page that is mapped");
    drop((mapping, others));
    let after = free(&hypervisor)?;
    ensure!(after == before, "{before} pages were free, {after} afterwards");
    Ok(())
}

/// A domain gets as much as it may have, and as there is, and no more.
fn limits() -> Result<()> {
    let hypervisor = Hypervisor::open()?;
    let mut domain = Domain::new(&hypervisor, 64)?;
    if domain.populate(1)? != 0 {
        bail!("a domain got more than it may have");
    }
    let free = free(&hypervisor)?;
    hypervisor.set_max_mem(domain.id, 8 * free)?;
    let got = domain.populate(2 * free)?;
    ensure!(got > free / 2 && got <= free, "{got} of {free} pages");
    // The host goes on with what it kept.
    ensure!(hypervisor.domain_list()?.len() >= 2);
    Ok(())
}

/// What each domain has used of processors, in nanoseconds.
fn times() -> Result<()> {
    for domain in Hypervisor::open()?.domain_list()? {
        println!("{} {}", domain.domid, domain.cpu_time_ns);
    }
    Ok(())
}

/// Sends events to a domain that sends each back.
fn rounds(domid: &str, port: &str, times: &str) -> Result<()> {
    let (domid, port) = (domid.parse().context(USAGE)?, port.parse().context(USAGE)?);
    let times: u32 = times.parse().context(USAGE)?;
    let events = Evtchn::open()?;
    events.bind_interdomain(domid, port)?;
    // The first event is the binding's own.
    for _ in 0..=times {
        let port = next(&events)?;
        events.unmask(port)?;
        events.notify(port)?;
    }
    Ok(())
}

/// Waits for an event.
fn next(events: &Evtchn) -> Result<u32> {
    loop {
        if let Some(port) = events.pending()? {
            return Ok(port);
        }
        let mut fds = [PollFd::new(events.fd(), PollFlags::POLLIN)];
        ensure!(poll(&mut fds, PATIENCE)? == 1, "no event came");
    }
}
