//! What is printed when the hypervisor or domain 0 can't go on.

use core::fmt::Arguments;
use core::panic::PanicInfo;

use hypervisor::loglevel::Level;
use x86_64::registers::control::{Cr0, Cr2, Cr3, Cr4};

use crate::arch::entry::Registers;
use crate::arch::{backtrace, console, cpu, power, processor};
use crate::guest::memory;
use crate::logging::About;
use crate::vcpu::Guest;
use crate::{log, logging, shutdown};

const STARS: &str = "****************************************";

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    power::stop_others();
    console::break_lock();
    header();
    backtrace::show(None, backtrace::frame_pointer());
    match info.location() {
        Some(place) => end(format_args!("{}\n(XEN) at {place}", info.message())),
        None => end(format_args!("{}", info.message())),
    }
}

/// The hypervisor's own instruction faulted, and nobody knows what to do about it.
pub fn trapped(registers: &Registers, what: Arguments<'_>) -> ! {
    power::stop_others();
    console::break_lock();
    header();
    show_registers(registers);
    show_control();
    backtrace::show(Some(registers.rip), registers.rbp);
    end(what)
}

fn header() {
    log!("----[ Escalus {}  x86_64 ]----", env!("CARGO_PKG_VERSION"));
    log!("CPU:    {}", processor::this().number);
}

fn end(what: Arguments<'_>) -> ! {
    log!("\n(XEN) {STARS}");
    log!("Panic on CPU {}:", processor::this().number);
    log!("{what}");
    log!("{STARS}\n(XEN)");
    shutdown::end_after_crash()
}

/// General registers, in lines.
pub fn show_registers(r: &Registers) {
    log!("rip: {:016x}   cs: {:04x}   rflags: {:016x}", r.rip, r.cs & 0xffff, r.rflags);
    log!("rax: {:016x}   rbx: {:016x}   rcx: {:016x}", r.rax, r.rbx, r.rcx);
    log!("rdx: {:016x}   rsi: {:016x}   rdi: {:016x}", r.rdx, r.rsi, r.rdi);
    log!("rbp: {:016x}   rsp: {:016x}   r8:  {:016x}", r.rbp, r.rsp, r.r8);
    log!("r9:  {:016x}   r10: {:016x}   r11: {:016x}", r.r9, r.r10, r.r11);
    log!("r12: {:016x}   r13: {:016x}   r14: {:016x}", r.r12, r.r13, r.r14);
    log!("r15: {:016x}   ss: {:04x}", r.r15, r.ss & 0xffff);
}

fn show_control() {
    let (cr0, cr2, cr4) = (Cr0::read_raw(), Cr2::read_raw(), Cr4::read_raw());
    let cr3 = Cr3::read_raw().0.start_address().as_u64();
    log!("cr0: {cr0:016x}   cr2: {cr2:016x}   cr3: {cr3:016x}   cr4: {cr4:08x}");
}

/// A guest that can't go on: its registers, its next instruction, its stack. Domain 0's end is the
/// host's.
pub fn guest(guest: &mut Guest<'_>, why: &str) {
    let number = guest.domain().number;
    let about = if number == 0 { About::Host } else { About::Guest };
    if !logging::allows(about, Level::Error) {
        return;
    }
    log!("d{number}v{} crashed: {why}", guest.vcpu.number);
    let registers = *guest.registers();
    let mode = if guest.own.in_kernel { "kernel" } else { "program" };
    log!("CPU:    {}   in its {mode}", processor::this().number);
    show_registers(&registers);
    show_control();
    let [ds, es, fs, gs] = cpu::segments();
    log!("ds: {ds:04x}   es: {es:04x}   fs: {fs:04x}   gs: {gs:04x}");
    let mut code = [0; 16];
    if memory::read_bytes(registers.rip, &mut code).is_ok() {
        log!("Code at rip: {code:02x?}");
    }
    log!("Stack from rsp={:016x}:", registers.rsp);
    for line in 0..8 {
        match memory::read_words::<4>(registers.rsp.wrapping_add(32 * line)) {
            Ok([a, b, c, d]) => log!("   {a:016x} {b:016x} {c:016x} {d:016x}"),
            Err(_) => return log!("   (the rest can't be read)"),
        }
    }
}
