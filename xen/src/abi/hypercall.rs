//! Hypercall numbers (xen.h).

/// Entry points of exceptions.
pub const SET_TRAP_TABLE: u64 = 0;
/// Page table updates.
pub const MMU_UPDATE: u64 = 1;
/// The frames of the global descriptor table.
pub const SET_GDT: u64 = 2;
/// The kernel's stack.
pub const STACK_SWITCH: u64 = 3;
/// Entry points of events, faults on the way back, and system calls.
pub const SET_CALLBACKS: u64 = 4;
/// Sets or clears CR0.TS.
pub const FPU_TASKSWITCH: u64 = 5;
/// Scheduling, the old way (`sched_op_compat`).
pub const SCHED_OP_OLD: u64 = 6;
/// What a privileged domain does to the machine.
pub const PLATFORM_OP: u64 = 7;
/// Writes a debug register.
pub const SET_DEBUGREG: u64 = 8;
/// Reads a debug register.
pub const GET_DEBUGREG: u64 = 9;
/// Writes a segment descriptor.
pub const UPDATE_DESCRIPTOR: u64 = 10;
/// Memory reservations.
pub const MEMORY_OP: u64 = 12;
/// A list of hypercalls.
pub const MULTICALL: u64 = 13;
/// Writes the page table entry that maps an address.
pub const UPDATE_VA_MAPPING: u64 = 14;
/// When the timer's event is due.
pub const SET_TIMER_OP: u64 = 15;
/// Version and build of the hypervisor.
pub const XEN_VERSION: u64 = 17;
/// The hypervisor's console.
pub const CONSOLE_IO: u64 = 18;
/// Grant tables.
pub const GRANT_TABLE_OP: u64 = 20;
/// Turns help that a kernel may want on and off.
pub const VM_ASSIST: u64 = 21;
/// As `UPDATE_VA_MAPPING`, to a frame of another domain.
pub const UPDATE_VA_MAPPING_OTHERDOMAIN: u64 = 22;
/// Back from an exception.
pub const IRET: u64 = 23;
/// Virtual processors.
pub const VCPU_OP: u64 = 24;
/// Bases of FS and GS.
pub const SET_SEGMENT_BASE: u64 = 25;
/// Extended page table operations.
pub const MMUEXT_OP: u64 = 26;
/// Scheduler operations.
pub const SCHED_OP: u64 = 29;
/// Entry points, one at a time.
pub const CALLBACK_OP: u64 = 30;
/// Event channels.
pub const EVENT_CHANNEL_OP: u64 = 32;
/// Physical devices.
pub const PHYSDEV_OP: u64 = 33;
/// Host-wide control.
pub const SYSCTL: u64 = 35;
/// Control of one domain.
pub const DOMCTL: u64 = 36;
