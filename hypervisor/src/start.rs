//! What happens from the first line of Rust to domain 0.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use hypervisor::memory_map::{Kind, Region};
use hypervisor::multiboot::{BootInfo, Module};
use hypervisor::options::Options;
use spin::Once;

use crate::arch::memory::BootMemory;
use crate::arch::{self, memory, vga};
use crate::dom0::{self, File};
use crate::domain::Domain;
use crate::{frames, logging, note, print, scheduler, shutdown, time};

/// The longest command line that is kept.
const LINE: usize = 2048;

/// A command line, apart from the loader's memory.
struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    fn new(text: &str) -> Self {
        let mut bytes = [0; LINE];
        let length = text.floor_char_boundary(LINE);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes, length }
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

static COMMAND_LINE: Once<Line> = Once::new();

/// The hypervisor's command line.
pub fn command_line() -> &'static str {
    COMMAND_LINE.get().map(Line::text).unwrap_or_default()
}

/// The loader's `eax` and `ebx`.
pub extern "C" fn start(magic: u32, info: u32) -> ! {
    let domain = build(magic, info);
    memory::give_transient();
    note!(Warning, "{} MiB for domain 0, {} KiB free", domain.frames() >> 8, frames::free() * 4);
    // The screen is domain 0's from now on.
    vga::set(false);
    time::show_wall_clock(&domain);
    scheduler::go_on(&domain);
    scheduler::run()
}

/// All that is done but once, up to a domain 0 that can run.
#[inline(never)]
// SAFETY: a section of instructions, mapped as such until this has returned (`link.ld`).
#[unsafe(link_section = ".text.init")]
fn build(magic: u32, info: u32) -> Arc<Domain> {
    let info = BootInfo::read(magic, info.into(), &BootMemory);
    let cmdline = info.as_ref().map(|info| info.cmdline).unwrap_or_default();
    let options = Options::parse(cmdline, |_| {});
    logging::set_up(&options);
    shutdown::NO_REBOOT.store(options.noreboot, Ordering::Relaxed);
    arch::init(&options);
    print!("\n Escalus {}\n", env!("CARGO_PKG_VERSION"));
    let info = match info {
        Ok(info) => info,
        Err(error) => panic!("the boot loader can't be understood: {error:?}"),
    };
    COMMAND_LINE.call_once(|| Line::new(cmdline));
    note!(Warning, "Command line: {cmdline}");
    Options::parse(cmdline, |complaint| note!(Warning, "{complaint}"));
    for region in info.memory.regions() {
        note!(Info, " [{:016x}, {:016x}) {:?}", region.start, region.end, region.kind);
    }
    let [kernel, rest @ ..] = info.modules() else {
        panic!("the boot loader brought no kernel for domain 0: add a module line")
    };
    let line = Line::new(kernel.cmdline);
    note!(Warning, "Domain 0's command line: {}", line.text());
    let (kernel, ramdisk) = (File::from(kernel), rest.first().map(File::from));
    arch::speculation::init(options.speculation);
    arch::init_platform(&BootMemory, &info);
    take_memory(&info, options.memory_limit);
    time::init();
    note!(Warning, "{} processors", arch::start_processors(options.max_processors));
    let domain = dom0::build(&options, kernel, ramdisk, line.text());
    // What the loader brought is free now, but for what became domain 0's.
    let is_nobodys = |mfn: &u64| frames::page(*mfn).is_none_or(|page| page.owner().is_none());
    for module in info.modules() {
        let frames = module.start.div_ceil(4096)..module.end >> 12;
        frames.filter(is_nobodys).for_each(frames::give);
    }
    low_frames(&info).for_each(frames::give);
    domain
}

/// Frames below the image that were not taken over. The one at 0 stays firmware's.
fn low_frames(info: &BootInfo) -> impl Iterator<Item = u64> {
    const LOW: u64 = 1 << 20;
    let frames = |region: Region| region.start.div_ceil(4096).max(1)..region.end.min(LOW) >> 12;
    let is_module = |mfn: u64| {
        let holds = |module: &Module| mfn << 12 < module.end && module.start < (mfn + 1) << 12;
        info.modules().iter().any(holds)
    };
    info.memory.ram().flat_map(frames).filter(move |mfn| !is_module(*mfn))
}

/// Takes all memory over but what is in use.
fn take_memory(info: &BootInfo, limit: Option<u64>) {
    let mut map = info.memory.clone();
    let mut in_use = |start: u64, end: u64| {
        map.set(Region { start, end, kind: Kind::Reserved }).expect("the memory map has room");
    };
    // The first MiB has what the loader says, and other processors' first instructions.
    in_use(0, memory::image_end().next_multiple_of(4096));
    for module in info.modules() {
        in_use(module.start & !4095, module.end.next_multiple_of(4096));
    }
    if let Some(limit) = limit.filter(|limit| *limit < info.memory.top()) {
        in_use(limit & !4095, info.memory.top());
    }
    frames::init(map, info.memory.clone());
}
