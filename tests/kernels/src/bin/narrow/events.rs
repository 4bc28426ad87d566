//! Events and timers.

use kernels::answer::{answer, line, trap};
use kernels::events;
use kernels::hypercall::{call, number, operation, volatile};
use kernels::memory::{read, shared_address, write};
use kernels::traps::attempt;
use xen::abi::evtchn::{ALLOC_UNBOUND, AllocUnbound, BIND_INTERDOMAIN, BIND_VIRQ, SEND, UNMASK};
use xen::abi::x86_32::{MASKS, PENDING_SELECTOR, Singleshot};
use xen::abi::{DOMID_SELF, vcpu};

/// The system time, as of the last update (`struct vcpu_time_info`).
pub fn now() -> u64 {
    let at = shared_address(32 + 16);
    u64::from(read(at)) | u64::from(read(at + 4)) << 32
}

pub fn all() {
    let mut ours = AllocUnbound { dom: DOMID_SELF, remote_dom: DOMID_SELF, port: 0 };
    answer("open a port", operation(number::EVENT_CHANNEL_OP, ALLOC_UNBOUND, &mut ours));
    let port = volatile(&mut ours).port;
    let mut bind = [u32::from(DOMID_SELF), port, 0];
    answer("bind to it", operation(number::EVENT_CHANNEL_OP, BIND_INTERDOMAIN, &mut bind));
    let other = volatile(&mut bind)[2];
    // To bind raises the new port.
    [port, other].iter().for_each(|port| events::clear((*port).into()));
    mask(port, true);
    send("send, masked", other);
    line(format_args!("pending: {}", events::is_pending(port.into())));
    let unmask = || operation(number::EVENT_CHANNEL_OP, UNMASK, &mut { port });
    forget();
    hold(false);
    trap("unmask", attempt(|| _ = unmask()));
    line(format_args!("words: {:#x}", read(shared_address(PENDING_SELECTOR as u64))));
    events::clear(port.into());
    forget();
    timers();
}

/// Events are held back, or not: a byte of the vcpu's part of the shared page.
fn hold(holds: bool) {
    let word = read(shared_address(0));
    write(shared_address(0), word & !0xff00 | u32::from(holds) << 8);
}

/// Nothing is pending any more, and events are held back.
fn forget() {
    hold(true);
    write(shared_address(0), read(shared_address(0)) & !0xff);
    write(shared_address(PENDING_SELECTOR as u64), 0);
}

fn mask(port: u32, masks: bool) {
    let at = shared_address(MASKS as u64 + u64::from(port) / 32 * 4);
    let bit = 1 << (port % 32);
    write(at, if masks { read(at) | bit } else { read(at) & !bit });
}

fn send(name: &str, port: u32) {
    answer(name, operation(number::EVENT_CHANNEL_OP, SEND, &mut { port }));
}

fn timers() {
    const VIRQ_TIMER: u32 = 0;
    let mut bind = [VIRQ_TIMER, 0, 0];
    answer("bind the timer", operation(number::EVENT_CHANNEL_OP, BIND_VIRQ, &mut bind));
    let port = volatile(&mut bind)[2];
    let wait = || {
        while !events::is_pending(port.into()) {
            events::poll(port, 0);
        }
        events::clear(port.into());
    };
    let soon = now() + 10_000_000;
    answer("timer", call(number::SET_TIMER_OP, &[soon, soon >> 32]));
    wait();
    line(format_args!("the timer came"));
    let timeout_abs_ns = [now() as u32, (now() >> 32) as u32];
    let mut once = Singleshot { timeout_abs_ns, flags: 0 };
    let at = &raw mut once as u64;
    answer("timer, once", call(number::VCPU_OP, &[vcpu::SET_SINGLESHOT_TIMER, 0, at]));
    wait();
    line(format_args!("the timer came"));
    let until = now() + 1_000_000;
    events::poll(port, until);
    line(format_args!("waited: {}", !events::is_pending(port.into())));
    // A time long ago, and one that never comes.
    events::poll(port, 1);
    answer("no timer", call(number::SET_TIMER_OP, &[0, 0]));
}
