//! A small guest: it needs little memory, and answers lines that are typed on its console.
//!
//! `read PATH` and `write PATH VALUE` are done in the store; `spin` keeps the processor busy for good,
//! and `call`, of 64 bits, the hypervisor; `turns` counts in the console's page how often it has given
//! way; `pong` sends events back to domain 0 that come at a port that it says; `halt` and `crash` end
//! it, and any other line is said again. What is on the command line is done first.
#![no_std]
#![no_main]

#[cfg(target_pointer_width = "64")]
mod calls;
mod store;

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use kernels::hypercall::{call, number, operation, volatile};
use kernels::ring::{self, Channel};
use xen::abi::evtchn::{ALLOC_UNBOUND, AllocUnbound};
use xen::abi::sched::{SHUTDOWN, SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, YIELD};
use xen::abi::{DOMID_SELF, console};

use store::Store;

/// Bytes of a line; what is longer is cut.
const LINE: usize = 256;

#[unsafe(no_mangle)]
fn main(line: &'static str) {
    let mut console = Channel::console(kernels::start::console());
    let mut store = Store::new(kernels::start::store());
    console.write(b"small guest\r\n");
    let mut kept = [0; LINE];
    if !line.is_empty() {
        answer(&mut console, &mut store, line);
    }
    loop {
        let line = read_line(&mut console, &mut kept);
        answer(&mut console, &mut store, line);
    }
}

/// A line without its end; bytes that aren't UTF-8 make it empty.
fn read_line<'a>(console: &mut Channel, kept: &'a mut [u8; LINE]) -> &'a str {
    let mut length = 0;
    loop {
        match console.read() {
            b'\r' | b'\n' => break,
            byte if length < LINE => {
                kept[length] = byte;
                length += 1;
            }
            _ => (),
        }
    }
    core::str::from_utf8(&kept[..length]).unwrap_or_default()
}

fn answer(console: &mut Channel, store: &mut Store, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (path, value) = rest.split_once(' ').unwrap_or((rest, ""));
    let said = match word {
        "read" => store.read(path),
        "write" => store.write(path, value),
        "spin" => spin(),
        #[cfg(target_pointer_width = "64")]
        "call" => calls::for_ever(),
        "turns" => turns(),
        "pong" => pong(console),
        "halt" => end(SHUTDOWN_POWEROFF.into()),
        "crash" => end(SHUTDOWN_CRASH.into()),
        _ => Ok(line),
    };
    let _ = write!(console, "answer: {}\r\n", said.unwrap_or_else(|error| error));
}

fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn turns() -> ! {
    let page = kernels::start::console().page;
    // SAFETY: an aligned word that the ring doesn't use, in a page that stays shared.
    let turns = unsafe { AtomicU32::from_ptr((page + console::UNUSED as u64) as *mut u32) };
    loop {
        turns.fetch_add(1, Ordering::Relaxed);
        call(number::SCHED_OP, &[YIELD]);
    }
}

fn pong(console: &mut Channel) -> ! {
    let mut asked = AllocUnbound { dom: DOMID_SELF, remote_dom: 0, port: 0 };
    operation(number::EVENT_CHANNEL_OP, ALLOC_UNBOUND, &mut asked);
    let port = volatile(&mut asked).port;
    let _ = write!(console, "answer: {port}\r\n");
    loop {
        ring::wait_for(port);
        ring::send(port);
    }
}

fn end(reason: u32) -> ! {
    loop {
        operation(number::SCHED_OP, SHUTDOWN, &mut [reason]);
    }
}
