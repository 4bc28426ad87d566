//! The hypervisor's image; on a host there is nothing to run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "escalus: this is a hypervisor's image; build it with `--target x86_64-unknown-none`"
    );
}
