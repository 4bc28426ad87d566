//! Event channels in queues, by priority (the FIFO ABI, event_channel.h).

use kernels::answer::{answer, trap, value};
use kernels::events::{forget, is_pending, mask_all};
use kernels::hypercall::{call, number, place, volatile};
use kernels::memory::{self, fill, flag, frame, map, read, scratch, write};
use kernels::traps::attempt;
use xen::abi::DOMID_SELF;
use xen::abi::evtchn::{
    BIND_IPI, CLOSE, EXPAND_ARRAY, INIT_CONTROL, RESET, SEND, SET_PRIORITY, UNMASK,
};

/// The page of the control block, and where it is in it.
const CONTROL: usize = 0;
const OFFSET: u32 = 128;
/// The pages of the ports' words.
const WORDS: usize = 1;
const MASKED: u32 = 1 << 30;

/// A port's word.
fn word(port: u32) -> *mut u32 {
    (scratch(WORDS) + 4 * u64::from(port)) as *mut u32
}

fn set_word(port: u32, value: u32) {
    // SAFETY: a word of a page to play with, which the hypervisor shares.
    unsafe { word(port).write_volatile(value) }
}

/// A port's word, which queues have something new, and their heads, where they are not 0.
fn show(ports: &[u32]) {
    for port in ports {
        // SAFETY: as above.
        value("word", u64::from(unsafe { word(*port).read_volatile() }));
    }
    let block = scratch(CONTROL) + u64::from(OFFSET);
    value("ready", read(block) & 0xffff_ffff);
    for pair in 0..8 {
        let heads = read(block + 8 + 8 * pair);
        if heads != 0 {
            value("queues", 2 * pair);
            value("heads", heads);
        }
    }
    value("pending", memory::shared(memory::PENDING) & 0xff);
}

/// Has nothing raised, and queues empty, as if all had been handled.
fn handle(ports: &[u32]) {
    ports.iter().for_each(|port| set_word(*port, 0));
    let block = scratch(CONTROL) + u64::from(OFFSET);
    (0..9).for_each(|index| write(block + 8 * index, 0));
    forget();
}

fn port() -> u32 {
    let mut words = [0_u32, 0];
    answer("a port", call(number::EVENT_CHANNEL_OP, &[BIND_IPI, place(&mut words)]));
    volatile(&mut words)[1]
}

fn on_port(command: u64, port: u32) -> i64 {
    call(number::EVENT_CHANNEL_OP, &[command, place(&mut [port])])
}

fn init(frame: u64, offset: u32, vcpu: u32) -> (i64, u64) {
    let mut words = [frame, u64::from(offset) | u64::from(vcpu) << 32, 0];
    let returned = call(number::EVENT_CHANNEL_OP, &[INIT_CONTROL, place(&mut words)]);
    (returned, volatile(&mut words)[2] & 0xff)
}

fn expand(frame: u64) -> i64 {
    call(number::EVENT_CHANNEL_OP, &[EXPAND_ARRAY, place(&mut [frame])])
}

fn set_priority(port: u32, priority: u32) -> i64 {
    call(number::EVENT_CHANNEL_OP, &[SET_PRIORITY, place(&mut [port, priority])])
}

fn reset() {
    let mut words = u64::from(DOMID_SELF);
    answer("no ports", call(number::EVENT_CHANNEL_OP, &[RESET, place(&mut words)]));
}

pub fn check() {
    mask_all(false);
    forget();
    for index in [CONTROL, WORDS] {
        map(scratch(index), flag::DATA);
        fill(scratch(index), 0);
    }
    let ports = [port(), port(), port()];
    answer("a page of words without queues", expand(frame(scratch(WORDS))));
    answer("a priority without queues", set_priority(ports[0], 3));
    answer("raise one before", on_port(SEND, ports[0]));
    turn_on();
    words(ports);
    raise(ports);
    priorities(ports);
    masked(ports);
    closed(ports);
    reset();
    answer("a page of words, again without", expand(frame(scratch(WORDS))));
    let port = port();
    forget();
    answer("raise it", on_port(SEND, port));
    value("is raised", is_pending(port.into()).into());
    answer("close it", on_port(CLOSE, port));
    // The pages are the kernel's alone again.
    for index in [CONTROL, WORDS] {
        map(scratch(index), flag::READ_ONLY);
        answer("a table of it", memory::extended(0, frame(scratch(index)), 0));
        answer("none", memory::extended(4, frame(scratch(index)), 0));
        map(scratch(index), flag::DATA);
    }
    forget();
}

/// The control block, in good places and bad ones.
fn turn_on() {
    let page = frame(scratch(CONTROL));
    for (name, frame, offset, vcpu) in [
        ("a block of a table", memory::root(), 0, 0),
        ("a block of no frame", u64::MAX >> 12, 0, 0),
        ("a block beyond memory", 1 << 38, 0, 0),
        ("a block at an odd place", page, 4, 0),
        ("a block over the page's end", page, 4096 - 64, 0),
        ("a block behind the page", page, 4096, 0),
        ("a block far behind", page, !7, 0),
        ("for another vcpu", page, 0, 1),
        ("for no vcpu", page, 0, u32::MAX),
        ("a block", page, OFFSET, 0),
        ("another", page, 0, 0),
        ("at an odd place, again", page, 4, 0),
    ] {
        let (returned, bits) = init(frame, offset, vcpu);
        answer(name, returned);
        if returned == 0 {
            value("bits of a link", bits);
        }
    }
}

fn words(ports: [u32; 3]) {
    answer("raise one without its word", on_port(SEND, ports[1]));
    set_word(ports[1], MASKED);
    answer("words of a table", expand(memory::root()));
    answer("words of no frame", expand(u64::MAX >> 12));
    answer("words", expand(frame(scratch(WORDS))));
    show(&ports);
    handle(&ports);
}

fn raise(ports: [u32; 3]) {
    answer("raise one", on_port(SEND, ports[0]));
    show(&ports);
    answer("again", on_port(SEND, ports[0]));
    answer("raise another", on_port(SEND, ports[2]));
    show(&ports);
    // Handled, but for its link: that is the kernel's to take away.
    set_word(ports[2], 0);
    answer("again, that one", on_port(SEND, ports[2]));
    show(&ports);
    handle(&ports);
    trap(
        "an event that is let in",
        attempt(|| {
            memory::mask_events(false);
            on_port(SEND, ports[1])
        }),
    );
    show(&ports);
    handle(&ports);
}

fn priorities(ports: [u32; 3]) {
    for priority in [0, 15, 16, u32::MAX, 7] {
        answer("a priority", set_priority(ports[1], priority));
        answer("raise it", on_port(SEND, ports[1]));
        answer("raise the usual", on_port(SEND, ports[0]));
        show(&ports);
        handle(&ports);
    }
    answer("a priority of no port", set_priority(ports[2] + 1, 3));
    answer("a priority of none at all", set_priority(u32::MAX, 3));
}

fn masked(ports: [u32; 3]) {
    set_word(ports[0], MASKED);
    answer("raise it masked", on_port(SEND, ports[0]));
    show(&ports);
    answer("unmask it", on_port(UNMASK, ports[0]));
    show(&ports);
    handle(&ports);
    answer("unmask what isn't masked", on_port(UNMASK, ports[0]));
    show(&ports);
}

fn closed(ports: [u32; 3]) {
    answer("raise it", on_port(SEND, ports[0]));
    answer("close it", on_port(CLOSE, ports[0]));
    show(&ports);
    answer("raise the next", on_port(SEND, ports[1]));
    show(&ports);
    handle(&ports);
}
