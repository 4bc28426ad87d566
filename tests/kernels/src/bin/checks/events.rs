//! Event channels.

use kernels::answer::{answer, trap, value};
use kernels::events::{forget, is_pending, mask_all};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory;
use kernels::traps::attempt;
use xen::abi::evtchn::{
    ALLOC_UNBOUND, BIND_INTERDOMAIN, BIND_IPI, BIND_PIRQ, BIND_VCPU, BIND_VIRQ, CLOSE, RESET, SEND,
    STATUS, UNMASK,
};
use xen::abi::sched;

const SELF: u32 = xen::abi::DOMID_SELF as u32;

fn operation<const N: usize>(command: u64, mut words: [u32; N]) -> (i64, [u32; N]) {
    let answer = call(number::EVENT_CHANNEL_OP, &[command, place(&mut words)]);
    (answer, volatile(&mut words))
}

/// A structure whose last word is the port that is made.
fn make<const N: usize>(name: &str, command: u64, words: [u32; N]) -> u32 {
    let (returned, words) = operation(command, words);
    answer(name, returned);
    if returned == 0 {
        value("port", words[N - 1].into());
        words[N - 1]
    } else {
        0
    }
}

fn status(name: &str, port: u32) {
    let (returned, words) = operation(STATUS, [SELF, port, 9, 9, 9, 9]);
    answer(name, returned);
    if returned == 0 {
        let [_, _, state, vcpu, first, second] = words;
        value("state", state.into());
        value("vcpu", vcpu.into());
        if matches!(state, 1 | 2) {
            value("other", u64::from(first & 0xffff));
        }
        if matches!(state, 3 | 4) {
            value("number", first.into());
        }
        if state == 2 {
            value("other's port", second.into());
        }
    }
}

fn close(name: &str, port: u32) {
    answer(name, operation(CLOSE, [port]).0);
}

pub fn check() {
    mask_all(false);
    forget();
    ports();
    interdomain();
    virtual_interrupts();
    between_vcpus();
    delivery();
    full();
    for command in 10..20 {
        if command != RESET {
            answer("another command", call(number::EVENT_CHANNEL_OP, &[command, 0]));
        }
    }
    answer("a command beyond", call(number::EVENT_CHANNEL_OP, &[u32::MAX.into(), 0]));
}

fn ports() {
    for port in [0, 1, 2, 4095, 4096, 131_071, 131_072, 1 << 31, u32::MAX] {
        status("a port's state", port);
        close("close it", port);
        answer("send to it", operation(SEND, [port]).0);
        answer("unmask it", operation(UNMASK, [port]).0);
        answer("have vcpu 0 hear of it", operation(BIND_VCPU, [port, 0]).0);
        answer("have vcpu 9 hear of it", operation(BIND_VCPU, [port, 9]).0);
        answer("bind to it", operation(BIND_INTERDOMAIN, [SELF, port, 0]).0);
    }
    for pirq in [0, 5, 1000, u32::MAX] {
        let (returned, words) = operation(BIND_PIRQ, [pirq, 0, 0]);
        answer("a physical interrupt that isn't mapped", returned);
        if returned == 0 {
            close("close it", words[2]);
        }
    }
}

fn interdomain() {
    for (name, domain, remote) in [
        ("for itself", SELF, SELF),
        ("for domain 0 by number", 0, 0),
        ("for a domain that isn't there", SELF, 77),
        ("for no domain", SELF, 0x7ff4),
        ("for the hypervisor", SELF, 0x7ff2),
        ("for anything", SELF, 0xffff),
        ("of a domain that isn't there", 77, SELF),
        ("of no domain", 0x7ff4, SELF),
    ] {
        let port = make(name, ALLOC_UNBOUND, [domain | remote << 16, 0]);
        if port != 0 {
            status("it", port);
            answer("send to it", operation(SEND, [port]).0);
            answer("bind to it", operation(BIND_INTERDOMAIN, [SELF, port, 0]).0);
            close("close it", port);
            // The other end, if it was made.
            close("close what was made with it", port + 1);
        }
    }
    let first = make("a port", ALLOC_UNBOUND, [SELF | SELF << 16, 0]);
    for domain in [77, 0x7ff2, 0x7ff4, 0xffff] {
        answer("bind to a domain's", operation(BIND_INTERDOMAIN, [domain, first, 0]).0);
    }
    forget();
    let second = make("bind to it", BIND_INTERDOMAIN, [SELF, first, 0]);
    value("is raised", is_pending(second.into()).into());
    value("the other is", is_pending(first.into()).into());
    answer("bind to it again", operation(BIND_INTERDOMAIN, [SELF, first, 0]).0);
    status("first", first);
    status("second", second);
    forget();
    answer("send", operation(SEND, [first]).0);
    value("first is raised", is_pending(first.into()).into());
    value("second is raised", is_pending(second.into()).into());
    answer("send back", operation(SEND, [second]).0);
    value("first is raised", is_pending(first.into()).into());
    answer("vcpu 0 hears", operation(BIND_VCPU, [first, 0]).0);
    answer("vcpu 1 hears", operation(BIND_VCPU, [first, 1]).0);
    close("close first", first);
    status("second", second);
    value("first is raised", is_pending(first.into()).into());
    answer("send to nobody", operation(SEND, [second]).0);
    close("close second", second);
    close("close second again", second);
    // A port with itself.
    let port = make("a port", ALLOC_UNBOUND, [SELF | SELF << 16, 0]);
    let other = make("bound", BIND_INTERDOMAIN, [SELF, port, 0]);
    close("close", other);
    status("what is left", port);
    let other = make("bound again", BIND_INTERDOMAIN, [SELF, port, 0]);
    close("close", port);
    close("close", other);
}

fn virtual_interrupts() {
    for virq in (0..26).chain([1 << 31, u32::MAX]) {
        for vcpu in [0, 1, 31, 32, u32::MAX] {
            let port = make("a virtual interrupt", BIND_VIRQ, [virq, vcpu, 0]);
            if port != 0 {
                status("it", port);
                answer("again", operation(BIND_VIRQ, [virq, vcpu, 0]).0);
                answer("send to it", operation(SEND, [port]).0);
                answer("vcpu 0 hears", operation(BIND_VCPU, [port, 0]).0);
                close("close it", port);
            }
        }
    }
}

fn between_vcpus() {
    for vcpu in [0, 1, 31, 32, 8192, u32::MAX] {
        let port = make("an interrupt between vcpus", BIND_IPI, [vcpu, 0]);
        if port != 0 {
            status("it", port);
            answer("again", operation(BIND_IPI, [vcpu, 0]).0);
            close("close that", port + 1);
            forget();
            answer("send to it", operation(SEND, [port]).0);
            value("is raised", is_pending(port.into()).into());
            answer("vcpu 0 hears", operation(BIND_VCPU, [port, 0]).0);
            close("close it", port);
            value("is raised", is_pending(port.into()).into());
        }
    }
}

fn delivery() {
    let port = make("a port", BIND_IPI, [0, 0]);
    let send = || operation(SEND, [port]);
    forget();
    trap("masked events wait", attempt(send));
    value("pending", memory::shared(memory::PENDING) & 0xff);
    value("selector", memory::shared(memory::SELECTOR));
    forget();
    trap(
        "an event that is let in",
        attempt(|| {
            memory::mask_events(false);
            send();
        }),
    );
    value("pending", memory::shared(memory::PENDING) & 0xff);
    value("selector", memory::shared(memory::SELECTOR));
    forget();
    memory::mask_events(false);
    mask_all(true);
    trap("a masked port", attempt(send));
    value("pending", memory::shared(memory::PENDING) & 0xff);
    trap(
        "unmasked",
        attempt(|| {
            memory::mask_events(false);
            operation(UNMASK, [port]);
        }),
    );
    mask_all(false);
    forget();
    send();
    trap("block with an event", attempt(|| call(number::SCHED_OP, &[sched::BLOCK, 0])));
    trap("yield with an event, masked", attempt(|| call(number::SCHED_OP, &[sched::YIELD, 0])));
    forget();
    close("close", port);
}

fn full() {
    let mut made = 0;
    let mut last = 0;
    let refused = loop {
        let (returned, words) = operation(BIND_IPI, [0, 0]);
        if returned != 0 || made == 5000 {
            break returned;
        }
        made += 1;
        last = words[1];
    };
    value("as many ports", made);
    value("the last", last.into());
    answer("one more", refused);
    for port in 1..=last {
        operation(CLOSE, [port]);
    }
    close("close the last again", last);
    let port = make("a port again", BIND_IPI, [0, 0]);
    close("close it", port);
}
