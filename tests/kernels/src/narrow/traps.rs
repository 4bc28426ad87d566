//! Exceptions, events, what programs call the kernel for: each ends what is being attempted, and is
//! told of.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use xen::abi::x86_32::{FAULT_ADDRESS, FLAT_KERNEL_CS, FLAT_KERNEL_SS, TrapInfo};

use super::hypercall::{call, number};
use super::memory;

/// What the kernel is called for beside exceptions.
pub const EVENT: u32 = 0x100;
/// A return that could not be made.
pub const FAILSAFE: u32 = 0x101;
/// A vector that programs may raise.
pub const SOFTWARE: u32 = 0x80;

const VECTORS: u32 = 32;
/// Bytes between entry points.
const ENTRY_SIZE: u32 = 16;
/// Exceptions with an error code.
const WITH_ERROR: u32 = 0x6022_7d00;
/// Words that are kept of what is on the stack.
const WORDS: usize = 6;

/// What the kernel was called for.
#[derive(Debug, Clone, Copy)]
pub struct Trap {
    /// A vector, or one of the above.
    pub kind: u32,
    /// What was on the stack, upwards.
    pub frame: [u32; WORDS],
    /// The address of the last page fault.
    pub address: u32,
}

impl Trap {
    fn error(&self) -> Option<u32> {
        (self.kind < 32 && WITH_ERROR >> self.kind & 1 != 0).then_some(self.frame[0])
    }

    /// eip, cs with the events' mask above, eflags; esp and ss if it was a program.
    pub fn returns_to(&self) -> &[u32] {
        &self.frame[usize::from(self.error().is_some())..]
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            EVENT => write!(f, "event"),
            FAILSAFE => write!(f, "failsafe"),
            kind => write!(f, "trap {kind}"),
        }?;
        self.error().map_or(Ok(()), |error| write!(f, ", error {error:#x}"))?;
        if self.kind == 14 { write!(f, ", at {:#x}", self.address) } else { Ok(()) }?;
        let ring = self.returns_to()[1] & 3;
        write!(f, ", from ring {ring}")
    }
}

global_asm!(
    r#"
    .globl trap_entries, event_entry, failsafe_entry, software_entry, guarded, program_stack_end
    .balign 16
trap_entries:
    .set vector, 0
    .rept {vectors}
    .balign 16
    push vector
    jmp trapped
    .set vector, vector + 1
    .endr
event_entry:
    push {event}
    jmp trapped
failsafe_entry:
    push {failsafe}
    jmp trapped
software_entry:
    push {software}
trapped:
    cld
    push esp
    call {record}
    mov esp, [recover]
    jmp recovered

    // A function and its argument: calls it until it returns, or is trapped.
guarded:
    push ebx
    push esi
    push edi
    push ebp
    mov [recover], esp
    mov eax, [esp + 20]
    push [esp + 24]
    call eax
recovered:
    mov esp, [recover]
    pop ebp
    pop edi
    pop esi
    pop ebx
    ret

    .section .bss.traps, "aw", @nobits
    .balign 16
recover: .skip 16
    // Where the kernel is called when a program is interrupted.
    .skip 4096
program_stack_end:
    .text
    "#,
    vectors = const VECTORS,
    event = const EVENT,
    failsafe = const FAILSAFE,
    software = const SOFTWARE,
    record = sym record,
);

unsafe extern "C" {
    static trap_entries: u8;
    static event_entry: u8;
    static failsafe_entry: u8;
    static software_entry: u8;
    static program_stack_end: u8;
    fn guarded(act: extern "C" fn(*mut u8), data: *mut u8);
}

struct Last(UnsafeCell<Option<Trap>>);
// SAFETY: there is one vcpu, and it isn't interrupted while it looks.
unsafe impl Sync for Last {}

static LAST: Last = Last(UnsafeCell::new(None));

/// Remembers a trap: its kind and, above, what the hypervisor left on the stack.
extern "C" fn record(stack: *const u32) {
    // SAFETY: the entry points pushed the kind; the stack is longer than what is read of it.
    let (kind, frame) = unsafe { (stack.read(), stack.add(1).cast::<[u32; WORDS]>().read()) };
    let address = memory::read(memory::shared_address(FAULT_ADDRESS as u64));
    // SAFETY: as above.
    unsafe { *LAST.0.get() = Some(Trap { kind, frame, address }) }
}

/// Says where the kernel wants to be called.
pub fn init() {
    let cs = FLAT_KERNEL_CS;
    let first = &raw const trap_entries as u32;
    let mut table = [TrapInfo { vector: 0, flags: 0, cs, address: 0 }; VECTORS as usize + 2];
    for (vector, entry) in (0..VECTORS).zip(&mut table) {
        // Breakpoints and overflows are for programs, too.
        let flags = if matches!(vector, 3 | 4) { 3 } else { 0 };
        let address = first + ENTRY_SIZE * vector;
        *entry = TrapInfo { vector: vector as u8, flags, cs, address };
    }
    let address = &raw const software_entry as u32;
    table[VECTORS as usize] = TrapInfo { vector: SOFTWARE as u8, flags: 3, cs, address };
    call(number::SET_TRAP_TABLE, &[table.as_ptr() as u64]);
    let (event, failsafe) = (&raw const event_entry as u64, &raw const failsafe_entry as u64);
    call(number::SET_CALLBACKS, &[cs.into(), event, cs.into(), failsafe]);
    let stack = &raw const program_stack_end as u64;
    call(number::STACK_SWITCH, &[FLAT_KERNEL_SS.into(), stack]);
}

/// Does something that may trap; what came of it.
pub fn attempt<F: FnOnce()>(act: F) -> Option<Trap> {
    extern "C" fn run<F: FnOnce()>(data: *mut u8) {
        // SAFETY: `attempt` passes it, once.
        unsafe { data.cast::<MaybeUninit<F>>().read().assume_init()() }
    }
    let mut act = MaybeUninit::new(act);
    // SAFETY: one vcpu, as above; what is called is what is passed.
    unsafe {
        *LAST.0.get() = None;
        guarded(run::<F>, act.as_mut_ptr().cast());
        *LAST.0.get()
    }
}
