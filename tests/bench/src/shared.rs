//! What dom0 and a guest measure of the hypervisor between them: events, granted pages, and whose
//! turn it is. `offer_*` is the guest's end, the rest is dom0's.

use anyhow::{Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use xen::abi::console;
use xen::abi::grant::RESERVED_CONSOLE;
use xen::sys::{DomId, Evtchn, Gntalloc, Gntdev, Hypervisor, Port};

use crate::calls::Caller;
use crate::{buffer, each, second};

const DOM0: DomId = 0;
const EVENTS: u32 = 2000;
const COPIES: u32 = 2000;
const CALLS: u32 = 5000;
const YIELDS: u32 = 20_000;
/// How many pages are copied at once.
const PAGES: usize = 16;
const PAGE: usize = 4096;
/// What the granted page is full of.
const MARK: u8 = 0x5a;
type Figures = Vec<(&'static str, f64)>;

/// Waits for the next event.
fn wait(channels: &Evtchn) -> Result<Port> {
    loop {
        poll(&mut [PollFd::new(channels.fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        if let Some(port) = channels.pending()? {
            return Ok(port);
        }
    }
}

/// Sends every event back that dom0 raises.
pub fn offer_events(caller: &mut Caller) -> Result<()> {
    let channels = Evtchn::open()?;
    let port = channels.bind_unbound(DOM0)?;
    caller.say("port", f64::from(port))?;
    for _ in 0..2 * EVENTS {
        let raised = wait(&channels)?;
        channels.unmask(raised)?;
        channels.notify(raised)?;
    }
    Ok(())
}

/// From a process in dom0 to one in the guest, and back.
pub fn events(caller: &mut Caller, guest: DomId) -> Result<Figures> {
    let channels = Evtchn::open()?;
    let port = channels.bind_interdomain(guest, caller.expect("port")? as Port)?;
    // A new channel is raised once.
    let raised = wait(&channels)?;
    channels.unmask(raised)?;
    let event = second(EVENTS, || {
        channels.notify(port)?;
        let raised = wait(&channels)?;
        Ok(channels.unmask(raised)?)
    })?;
    Ok(vec![("event", event)])
}

/// Grants pages until dom0 needs them no more.
pub fn offer_pages(caller: &mut Caller) -> Result<()> {
    let grants = Gntalloc::open()?;
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        let (gref, page) = grants.grant(DOM0)?;
        page.write(0, &[MARK; PAGE]);
        caller.say("gref", f64::from(gref))?;
        pages.push(page);
    }
    caller.expect("over").map(drop)
}

/// Copies of granted pages, one and many at a time.
pub fn copies(caller: &mut Caller, guest: DomId) -> Result<Figures> {
    let grants = Gntdev::open()?;
    let gref = |_| Ok(caller.expect("gref")? as u32);
    let grefs: Vec<u32> = (0..PAGES).map(gref).collect::<Result<_>>()?;
    let mut buffer = buffer();
    let bytes = &mut buffer.0[..PAGES * PAGE];
    let one = second(COPIES, || Ok(grants.copy(guest, &grefs[..1], &mut bytes[..PAGE])?))?;
    let many = second(COPIES, || Ok(grants.copy(guest, &grefs, bytes)?))?;
    ensure!(bytes.iter().all(|byte| *byte == MARK), "what was copied isn't what was granted");
    caller.say("over", 0.0)?;
    Ok(vec![("copy", one), ("copy-many", many)])
}

/// A hypercall that does next to nothing, and the ioctl round it.
fn null_call(hypervisor: &Hypervisor) -> Result<f64> {
    second(CALLS, || Ok(hypervisor.version_number()?))
}

/// What a switch from dom0 to a guest that does nothing but yield, and back, costs, with the guest's
/// hypercall and without dom0's: the guest is `small` of `tests/kernels`, told to take `turns`.
pub fn turns(guest: DomId) -> Result<Figures> {
    let hypervisor = Hypervisor::open()?;
    let page = Gntdev::open()?.map(guest, RESERVED_CONSOLE, false)?;
    let call = null_call(&hypervisor)?;
    while page.load(console::UNUSED) == 0 {
        hypervisor.yield_now()?;
    }
    let before = page.load(console::UNUSED);
    let turn = each(YIELDS, || Ok(hypervisor.yield_now()?))?;
    let turns = page.load(console::UNUSED) - before;
    ensure!(
        turns >= YIELDS - 1,
        "the guest had only {turns} turns while dom0 yielded {YIELDS} times"
    );
    let all = f64::from(YIELDS) * (turn - call);
    Ok(vec![("call", call), ("turns", f64::from(turns)), ("switch", all / f64::from(2 * YIELDS))])
}
