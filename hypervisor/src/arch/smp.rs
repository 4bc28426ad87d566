//! Bringing up the other processors, one after the other (Intel SDM, volume 3, section 9.4.4).
//!
//! Each starts in real mode in a page below 1 MiB that is borrowed for the time, takes over the
//! first processor's control registers, and goes on in Rust on a stack of its own.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hypervisor::apic::Message;
use hypervisor::trampoline::{Control, DATA, Destination, PAGE, PLACE, Parameters, offset};
use x86_64::registers::control::{Cr0, Cr3, Cr4, Efer};

use super::boot::TEXT_BASE;
use super::memory::DIRECT_MAP;
use super::platform::{self, firmware};
use super::{counters, lapic, time};
use crate::note;

global_asm!(
    r#"
    .section .rodata.trampoline, "a"
    .balign 16
smp_start:
    .code16
    cli
    cld
    mov ax, cs
    mov ds, ax
    movzx ebx, ax
    shl ebx, 4
    // lgdt [GDT_POINTER], whose base is below 16 MiB
    .byte 0x0f, 0x01, 0x16
    .word {gdt_pointer}
    mov eax, cr0
    or al, 1
    mov cr0, eax
    // jmp fword ptr [FAR_32]
    .byte 0x66, 0xff, 0x2e
    .word {far_32}

    .code32
smp_start_32:
    mov eax, {data}
    mov ds, eax
    mov ss, eax
    mov eax, [ebx + {cr4}]
    mov cr4, eax
    mov eax, [ebx + {cr3}]
    mov cr3, eax
    mov ecx, 0xc0000080
    mov eax, [ebx + {efer}]
    xor edx, edx
    wrmsr
    mov eax, [ebx + {cr0}]
    mov cr0, eax
    // jmp fword ptr [ebx + FAR_64]
    .byte 0xff, 0xab
    .long {far_64}

    .code64
smp_start_64:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov ebx, ebx
    mov rsp, [rbx + {stack}]
    mov rdi, [rbx + {number}]
    mov rax, [rbx + {entry}]
    xor ebp, ebp
    push 0
    jmp rax
smp_start_end:
    .text
    "#,
    data = const DATA,
    gdt_pointer = const offset::GDT_POINTER,
    far_32 = const offset::FAR_32,
    far_64 = const offset::FAR_64,
    cr0 = const offset::CR0,
    cr3 = const offset::CR3,
    cr4 = const offset::CR4,
    efer = const offset::EFER,
    stack = const offset::STACK,
    number = const offset::NUMBER,
    entry = const offset::ENTRY,
);

unsafe extern "C" {
    static smp_start: u8;
    static smp_start_32: u8;
    static smp_start_64: u8;
    static smp_start_end: u8;
    static boot_l4: u8;
}

/// How long a processor has from the message to its first instruction, in nanoseconds.
const INIT_TIME: u64 = 10_000_000;
const FIRST_TRY: u64 = 200_000;
const PATIENCE: u64 = 1_000_000_000;

/// The number of the processor that arrived last; the first needs not to.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
/// The time stamp counter of the processor that arrived last.
static ARRIVAL: AtomicU64 = AtomicU64::new(0);
/// What a processor goes on with, and the page tables that it then uses.
static RUN: AtomicUsize = AtomicUsize::new(0);
static TABLES: AtomicU64 = AtomicU64::new(0);
static CR4: AtomicU64 = AtomicU64::new(0);

/// The page that processors start in, and what was there before.
struct Borrowed {
    address: u64,
    contents: [u8; PAGE],
}

impl Borrowed {
    fn place(&self) -> *mut u8 {
        (DIRECT_MAP + self.address) as *mut u8
    }

    /// Borrows memory below 1 MiB, which nobody but firmware uses while processors are brought up.
    fn new() -> Option<Self> {
        let mut page = Self { address: platform::low_page()?, contents: [0; PAGE] };
        let start = &raw const smp_start;
        let length = &raw const smp_start_end as usize - start as usize;
        assert!(length <= PLACE);
        // SAFETY: the page is memory by firmware's map, and is given back as it was. The
        // instructions end before `PLACE`.
        unsafe {
            page.place().copy_to_nonoverlapping(page.contents.as_mut_ptr(), PAGE);
            page.place().copy_from_nonoverlapping(start, length);
        }
        Some(page)
    }

    fn set(&self, destination: Destination) -> Option<()> {
        let start = &raw const smp_start as u64;
        let after = |symbol: *const u8| (symbol as u64 - start) as u16;
        let instructions = [after(&raw const smp_start_32), after(&raw const smp_start_64)];
        let control = Control {
            cr0: Cr0::read_raw(),
            cr4: Cr4::read_raw(),
            efer: Efer::read_raw(),
            // The first page tables map all below 4 GiB where it is.
            cr3: &raw const boot_l4 as u64 - TEXT_BASE,
        };
        let parameters = Parameters::new(self.address, instructions, control, destination)?;
        // SAFETY: within the page, and aligned; no processor reads it now.
        unsafe { self.place().add(PLACE).cast::<Parameters>().write_volatile(parameters) };
        Some(())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: the page is borrowed until now, and all who start there have left it.
        unsafe { self.place().copy_from_nonoverlapping(self.contents.as_ptr(), PAGE) }
    }
}

/// The first Rust on another processor.
extern "C" fn arrive(number: usize) -> ! {
    // SAFETY: these are the first processor's, so that all that is mapped stays mapped.
    unsafe {
        core::arch::asm!("mov cr4, {}", in(reg) CR4.load(Ordering::Relaxed));
        core::arch::asm!("mov cr3, {}", in(reg) TABLES.load(Ordering::Relaxed));
    }
    let run = RUN.load(Ordering::Acquire);
    // SAFETY: `start` stored a function of that type before any processor started.
    let run: fn(usize) -> ! = unsafe { core::mem::transmute(run) };
    ARRIVAL.store(counters::timestamp(), Ordering::Relaxed);
    ARRIVED.store(number, Ordering::Release);
    run(number)
}

/// Starts the other processors, numbered from 1 in firmware's order, and says how many run then,
/// the first included. `stack` gives the end of a processor's stack, or has no more of them;
/// `run` is what the processor goes on with, at first with the segments of the borrowed page: it
/// has to load its own before anything may trap.
///
/// Called once, on the first processor, with interrupts off.
pub fn start(mut stack: impl FnMut(usize) -> Option<u64>, run: fn(usize) -> !) -> usize {
    let own = lapic::id();
    // The others would answer to a number of which only 8 bits are sent.
    let highest = if lapic::is_x2apic() { u32::MAX } else { 0xfe };
    let is_other = |id: u32| id != own && id <= highest;
    let others = firmware().madt.processors().iter().filter(|other| is_other(other.apic_id));
    let Some(page) = Borrowed::new() else {
        note!(Error, "No memory below 1 MiB is left to start processors in: only one is used");
        return 1;
    };
    RUN.store(run as usize, Ordering::Release);
    TABLES.store(Cr3::read_raw().0.start_address().as_u64(), Ordering::Relaxed);
    CR4.store(Cr4::read_raw(), Ordering::Relaxed);
    let mut running = 1;
    for other in others {
        let number = running;
        let Some(stack) = stack(number) else {
            note!(Warning, "{number} processors are used, though there are more");
            break;
        };
        let entry = arrive as *const () as u64;
        let place = page.set(Destination { stack, entry, number: number as u64 });
        if place.is_none() || !wake(other.apic_id, number, page.address) {
            note!(Error, "The processor with local APIC {} does not start", other.apic_id);
            // Its stack and number aren't used again: it may be late.
            break;
        }
        running += 1;
    }
    running
}

/// Starts a processor; whether it arrived.
fn wake(apic_id: u32, number: usize, page: u64) -> bool {
    let before = counters::timestamp();
    let start = Message::Start(Parameters::start_page(page));
    // SAFETY: the processor is not in use, and what it starts with is in place.
    unsafe { lapic::send_any(apic_id, Message::Init) };
    wait(INIT_TIME, || false);
    let arrived = || ARRIVED.load(Ordering::Acquire) == number;
    for patience in [FIRST_TRY, PATIENCE] {
        // SAFETY: as above. A second start is ignored by a processor that runs.
        unsafe { lapic::send_any(apic_id, start) };
        if wait(patience, arrived) {
            check_counter(number, before);
            return true;
        }
    }
    // It must not start when the page is somebody else's again.
    // SAFETY: it is not in use: whatever it does is stopped.
    unsafe { lapic::send_any(apic_id, Message::Init) };
    false
}

/// The clock takes time stamp counters to be the same everywhere: says so if one can't be. It was
/// read on its processor between `before` and now.
fn check_counter(number: usize, before: u64) {
    let there = ARRIVAL.load(Ordering::Relaxed);
    if !(before..=counters::timestamp()).contains(&there) {
        note!(Warning, "Processor {number}'s TSC differs from the first's: its time will jump");
    }
}

/// Waits until something is so; whether it is.
fn wait(nanoseconds: u64, is_so: impl Fn() -> bool) -> bool {
    let end = time::now() + nanoseconds;
    while !is_so() {
        if time::now() >= end {
            return is_so();
        }
        core::hint::spin_loop();
    }
    true
}
