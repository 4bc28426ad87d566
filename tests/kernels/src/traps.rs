//! Traps, events, system calls and failed returns: each ends what is being attempted, and is told
//! of.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use xen::abi::callback;
use xen::abi::vcpu::TrapInfo;

use crate::hypercall::{self, number};
use crate::{answer, memory};

/// What the kernel may be called for beside exceptions.
pub const EVENT: u64 = 0x100;
/// A return that could not be made.
pub const FAILSAFE: u64 = 0x101;
/// A program's system call.
pub const SYSCALL: u64 = 0x102;
/// A 32-bit program's, by `syscall`.
pub const SYSCALL_32: u64 = 0x103;
/// A program's, by `sysenter`.
pub const SYSENTER: u64 = 0x104;
/// A vector that programs may raise.
pub const SOFTWARE: u64 = 0x80;

const VECTORS: usize = 32;
const ENTRY_SIZE: u64 = 16;
/// Exceptions with an error code.
const WITH_ERROR: u64 = 0x6022_7d00;
/// Words of the longest frame: a failed return's.
const WORDS: usize = 11;

/// What the kernel was called for.
#[derive(Debug, Clone, Copy)]
pub struct Trap {
    /// A vector, or one of the above.
    pub kind: u64,
    /// What was on the stack, upwards.
    pub frame: [u64; WORDS],
    /// The address of the last page fault.
    pub address: u64,
    /// Events were masked in the handler.
    pub masks: bool,
}

impl Trap {
    /// The error code, if the exception has one.
    pub fn error(&self) -> Option<u64> {
        let has = self.kind < 32 && WITH_ERROR >> self.kind & 1 != 0;
        has.then_some(self.frame[2])
    }

    /// rip, cs, rflags, rsp, ss.
    pub fn returns_to(&self) -> [u64; 5] {
        let extra = match self.kind {
            FAILSAFE => 4,
            _ => usize::from(self.error().is_some()),
        };
        core::array::from_fn(|index| self.frame[2 + extra + index])
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            EVENT => write!(f, "event"),
            FAILSAFE => write!(f, "failsafe"),
            SYSCALL => write!(f, "system call"),
            SYSCALL_32 => write!(f, "system call of 32 bits"),
            SYSENTER => write!(f, "sysenter"),
            kind => write!(f, "trap {kind}"),
        }?;
        self.error().map_or(Ok(()), |error| write!(f, ", error {error:#x}"))?;
        if self.kind == 14 { write!(f, ", at {:#x}", self.address) } else { Ok(()) }
    }
}

global_asm!(
    r#"
    .globl trap_entries, event_entry, failsafe_entry, syscall_entry, software_entry
    .globl syscall32_entry, sysenter_entry
    .globl guarded, recover, trap_stack
    .balign 16
trap_entries:
    .set vector, 0
    .rept {vectors}
    .balign 16
    mov edi, vector
    jmp trapped
    .set vector, vector + 1
    .endr
event_entry:
    mov edi, {event}
    jmp trapped
failsafe_entry:
    mov edi, {failsafe}
    jmp trapped
syscall_entry:
    mov edi, {syscall}
    jmp trapped
syscall32_entry:
    mov edi, {syscall32}
    jmp trapped
sysenter_entry:
    mov edi, {sysenter}
    jmp trapped
software_entry:
    mov edi, {software}
    jmp trapped
trapped:
    movzx edx, byte ptr [rip + kernel_shared_page + 1]
    // What is being attempted is over: no event shall come when nobody waits for one.
    mov byte ptr [rip + kernel_shared_page + 1], 1
    cld
    mov rsi, rsp
    and rsp, -16
    call {record}
    mov rsp, [rip + recover]
    mov qword ptr [rip + recover], 0
    mov eax, 1
    jmp 2f

    // rdi: a function, rsi: its argument. Leaves 1 in eax if a trap ended it.
guarded:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    mov [rip + recover], rsp
    mov rax, rdi
    mov rdi, rsi
    call rax
    mov qword ptr [rip + recover], 0
    xor eax, eax
2:  add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    .section .bss.recover, "aw", @nobits
    .balign 8
recover: .quad 0
    .balign 16
    .skip 16384
trap_stack:
    .text
    "#,
    vectors = const VECTORS,
    event = const EVENT,
    failsafe = const FAILSAFE,
    syscall = const SYSCALL,
    syscall32 = const SYSCALL_32,
    sysenter = const SYSENTER,
    software = const SOFTWARE,
    record = sym record,
);

unsafe extern "C" {
    static trap_entries: u8;
    static event_entry: u8;
    static failsafe_entry: u8;
    static syscall_entry: u8;
    static syscall32_entry: u8;
    static sysenter_entry: u8;
    static software_entry: u8;
    static recover: u64;
    static trap_stack: u8;
    fn guarded(act: extern "C" fn(*mut u8), argument: *mut u8) -> u32;
}

/// The last trap. There is one vcpu, and nothing runs beside it.
struct Last(UnsafeCell<Option<Trap>>);
// SAFETY: there is one vcpu.
unsafe impl Sync for Last {}
static LAST: Last = Last(UnsafeCell::new(None));

extern "C" fn record(kind: u64, frame: *const u64, mask: u32) {
    // SAFETY: the stack goes on above: frames are pushed to stacks with more on them.
    let frame = core::array::from_fn(|index| unsafe { frame.add(index).read_volatile() });
    let address = memory::shared(memory::FAULT_ADDRESS);
    let trap = Trap { kind, frame, address, masks: mask != 0 };
    // SAFETY: there is one vcpu, and `attempt` takes it out after this.
    unsafe { *LAST.0.get() = Some(trap) };
    // SAFETY: reads a word.
    if unsafe { (&raw const recover).read_volatile() } == 0 {
        let [rip, _, _, rsp, _] = trap.returns_to();
        answer::line(format_args!("unexpected {trap} at {rip:#x}, stack {rsp:#x}"));
        hypercall::end();
    }
}

/// Does something, and says what trap ended it, if one did.
pub fn attempt<T, F: FnOnce() -> T>(act: F) -> Option<Trap> {
    extern "C" fn run<T, F: FnOnce() -> T>(act: *mut u8) {
        // SAFETY: `attempt` made it, and it is taken out once.
        let act = unsafe { act.cast::<MaybeUninit<F>>().read().assume_init() };
        act();
        // While events still end the attempt.
        memory::mask_events(true);
    }
    let mut act = MaybeUninit::new(act);
    // SAFETY: a trap leaves what was being done for good, as if it never returned; `guarded` brings
    // back the registers that a function keeps.
    let trapped = unsafe { guarded(run::<T, F>, (&raw mut act).cast()) };
    // SAFETY: there is one vcpu.
    let last = unsafe { (*LAST.0.get()).take() };
    memory::mask_events(true);
    last.filter(|_| trapped != 0)
}

/// Has system calls of 32-bit programs come here, or not, with events masked or not.
pub fn init_32_bit(is_wanted: bool, masks: bool) -> [i64; 2] {
    let entries = [
        (callback::SYSCALL32, &raw const syscall32_entry),
        (callback::SYSENTER, &raw const sysenter_entry),
    ];
    entries.map(|(kind, entry)| {
        let address = if is_wanted { entry as u64 } else { 0 };
        let mut register = [u64::from(kind) | u64::from(masks) << 16, address];
        hypercall::call(number::CALLBACK_OP, &[callback::REGISTER, hypercall::place(&mut register)])
    })
}

/// Has all traps, events and system calls come here.
pub fn init() {
    let mut table = [TrapInfo { vector: 0, flags: 0, cs: 0, pad: 0, address: 0 }; VECTORS + 2];
    for (vector, entry) in table[..VECTORS].iter_mut().enumerate() {
        entry.vector = vector as u8;
        // Programs may raise breakpoints and overflows.
        entry.flags = if matches!(vector, 3 | 4) { 3 } else { 0 } | 4;
        entry.cs = xen::abi::vcpu::FLAT_KERNEL_CS;
        entry.address = &raw const trap_entries as u64 + ENTRY_SIZE * vector as u64;
    }
    let address = &raw const software_entry as u64;
    table[VECTORS] =
        TrapInfo { vector: SOFTWARE as u8, flags: 3 | 4, cs: table[0].cs, pad: 0, address };
    hypercall::call(number::SET_TRAP_TABLE, &[table.as_ptr() as u64]);
    let (event, failsafe, syscall) =
        (&raw const event_entry, &raw const failsafe_entry, &raw const syscall_entry);
    hypercall::call(number::SET_CALLBACKS, &[event as u64, failsafe as u64, syscall as u64]);
    let segment = xen::abi::vcpu::FLAT_KERNEL_SS.into();
    hypercall::call(number::STACK_SWITCH, &[segment, &raw const trap_stack as u64]);
    init_32_bit(true, false);
}
