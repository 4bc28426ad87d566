//! What a vcpu does.

use core::sync::atomic::Ordering;

use hypervisor::credit::State;
use xen::abi::domctl::GetVcpuInfo;
use xen::abi::errno::{ESRCH, Errno};

use crate::domain::Domain;
use crate::guest::memory;
use crate::scheduler;

/// What a vcpu is doing.
pub fn info(domain: &Domain, body: u64) -> Result<(), Errno> {
    let asked: GetVcpuInfo = memory::read(body)?;
    let vcpu = domain.vcpu(asked.vcpu as usize).ok_or(ESRCH)?;
    let account = scheduler::account(vcpu);
    let info = GetVcpuInfo {
        online: vcpu.online.load(Ordering::Relaxed).into(),
        blocked: vcpu.blocked.load(Ordering::Relaxed).into(),
        running: u8::from(account.state == State::Running),
        cpu_time: account.times[State::Running as usize],
        cpu: account.processor as u32,
        ..asked
    };
    memory::write(body, &info)
}
