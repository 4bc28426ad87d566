//! platform_op: the host's firmware and clock, for dom0 (platform.h).

use hypervisor::power::{Sleep, SleepError};
use xen::abi::errno::{EACCES, EINVAL, EIO, ENOSYS, EPERM};
use xen::abi::platform as op;

use super::Answer;
use crate::arch::{platform, power, processor};
use crate::guest::memory;
use crate::vcpu::Guest;
use crate::{note, time};

/// Does what the command says.
pub fn operation(guest: &mut Guest<'_>, place: u64) -> Answer {
    if !guest.domain().is_privileged {
        return Err(EPERM.into());
    }
    let [head, ..] = memory::read_words::<1>(place)?;
    let (command, version) = (head as u32, (head >> 32) as u32);
    if version != op::INTERFACE_VERSION {
        return Err(EACCES.into());
    }
    match command {
        // Seconds, nanoseconds, at a system time.
        op::SETTIME32 => {
            let [seconds_and_nanoseconds, at] = memory::read_words::<2>(place + 8)?;
            let (seconds, nanoseconds) =
                (seconds_and_nanoseconds & 0xffff_ffff, seconds_and_nanoseconds >> 32);
            time::set_wall_clock(seconds, nanoseconds, at);
            Ok(0)
        }
        op::SETTIME64 => {
            let [seconds, nanoseconds, at] = memory::read_words::<3>(place + 8)?;
            time::set_wall_clock(seconds, nanoseconds & 0xffff_ffff, at);
            Ok(0)
        }
        // Two values for control registers, the state, flags.
        op::ENTER_ACPI_SLEEP => {
            let [values, flags] = memory::read_words::<2>(place + 8)?;
            let (pm1a, pm1b) = (values as u16, (values >> 16) as u16);
            let state = (values >> 32) as u32;
            let sleep = Sleep { pm1a, pm1b, state, flags: flags as u32 };
            power::sleep(sleep).map_err(|error| {
                note!(Error, "{error}");
                if error == SleepError::StillOn { EIO } else { EINVAL }
            })?;
            Ok(0)
        }
        // A number, the highest, flags, two identifiers.
        op::GET_CPUINFO => {
            let number: u32 = memory::read(place + 8)?;
            let processors = &platform::firmware().madt;
            let found = processors.processors().get(number as usize);
            let count = processor::all().count() as u32;
            let in_use = |is_it: bool| if is_it { op::PCPU_ONLINE } else { 0 };
            let (flags, apic, acpi) = match found {
                Some(found) => (in_use(number < count), found.apic_id, found.acpi_id),
                None => (op::PCPU_INVALID, u32::MAX, u32::MAX),
            };
            memory::write(place + 12, &[count - 1, flags, apic, acpi])?;
            Ok(0)
        }
        _ => Err(ENOSYS.into()),
    }
}
