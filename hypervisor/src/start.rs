//! What happens from the first line of Rust to domain 0, and what when something goes wrong.

use core::panic::PanicInfo;

use hypervisor::multiboot::BootInfo;
use hypervisor::options::Options;

use crate::arch::memory::BootMemory;
use crate::arch::{self, console, cpu, power};
use crate::{log, print};

/// The loader's `eax` and `ebx`.
pub extern "C" fn start(magic: u32, info: u32) -> ! {
    let info = BootInfo::read(magic, info.into(), &BootMemory);
    let cmdline = info.as_ref().map(|info| info.cmdline).unwrap_or_default();
    let options = Options::parse(cmdline, |_| {});
    arch::init(&options);
    print!("\n Escalus {}\n", env!("CARGO_PKG_VERSION"));
    let info = match info {
        Ok(info) => info,
        Err(error) => panic!("the boot loader can't be understood: {error:?}"),
    };
    log!("Command line: {cmdline}");
    Options::parse(cmdline, |complaint| log!("{complaint}"));
    for region in info.memory.regions() {
        log!(" [{:016x}, {:016x}) {:?}", region.start, region.end, region.kind);
    }
    for module in info.modules() {
        log!("Module: {} bytes, '{}'", module.end - module.start, module.cmdline);
    }
    arch::init_platform(&BootMemory, &info);
    panic!("domain 0 can't be built yet")
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::break_lock();
    print!("\n****************************************\n");
    print!("Panic on CPU 0:\n{}\n", info.message());
    if let Some(place) = info.location() {
        print!("at {place}\n");
    }
    print!("****************************************\n");
    let _ = power::reset;
    cpu::halt()
}
