//! The hypervisor's image.
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod dom0;
mod domain;
mod events;
mod frames;
mod granting;
mod guest;
mod heap;
mod host;
mod hypercall;
mod interrupts;
mod keys;
mod lock;
mod logging;
mod machine_to_physical;
mod pirqs;
mod policy;
mod ports;
mod queues;
mod report;
mod scheduler;
mod shutdown;
mod start;
mod tables;
mod teardown;
mod time;
mod vcpu;
mod watchdogs;
