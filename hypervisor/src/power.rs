//! Turning the machine off with the values that domain 0's AML interpreter found
//! (`XENPF_enter_acpi_sleep`, xen/include/public/platform.h).

use thiserror::Error;

/// What domain 0 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleep {
    /// `val_a`: for control register PM1a.
    pub pm1a: u16,
    /// `val_b`: for control register PM1b.
    pub pm1b: u16,
    /// `sleep_state`: 5 is off.
    pub state: u32,
    /// `flags`.
    pub flags: u32,
}

/// Why the machine isn't put to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SleepError {
    /// Sleeping and going on is not for this hypervisor.
    #[error("sleep state S{0} is not supported: S5 is")]
    State(u32),
    /// ACPI's reduced hardware has other registers.
    #[error("extended sleep registers are not supported (flags {0:#x})")]
    Extended(u32),
    /// There is no such register to write to.
    #[error("firmware names no control register PM1{0}")]
    NoRegister(char),
    /// It was written, and nothing happened.
    #[error("the machine did not turn off")]
    StillOn,
}

/// The bit that starts the transition: SLP_EN (ACPI Specification 6.5, section 4.8.3.2.1).
const SLEEP_ENABLE: u16 = 1 << 13;
/// The bit that says that ACPI is on: SCI_EN.
const SCI_ENABLE: u16 = 1 << 0;

/// The values to write to PM1a and PM1b, of which a machine may lack the second.
pub fn to_write(
    sleep: Sleep,
    has_pm1a: bool,
    has_pm1b: bool,
) -> Result<(u16, Option<u16>), SleepError> {
    if sleep.state != 5 {
        return Err(SleepError::State(sleep.state));
    }
    if sleep.flags != 0 {
        return Err(SleepError::Extended(sleep.flags));
    }
    if !has_pm1a {
        return Err(SleepError::NoRegister('a'));
    }
    let value = |given: u16| given | SLEEP_ENABLE | SCI_ENABLE;
    Ok((value(sleep.pm1a), has_pm1b.then(|| value(sleep.pm1b))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Sleep = Sleep { pm1a: 0x1400, pm1b: 0x1c00, state: 5, flags: 0 };

    #[test]
    fn only_off_is_supported() {
        for state in [0, 1, 3, 4, 6] {
            let asked = Sleep { state, ..OFF };
            assert_eq!(to_write(asked, true, true), Err(SleepError::State(state)));
        }
        let extended = Sleep { flags: 1, ..OFF };
        assert_eq!(to_write(extended, true, true), Err(SleepError::Extended(1)));
    }

    #[test]
    fn values_go_to_the_registers_there_are() {
        assert_eq!(to_write(OFF, true, false), Ok((0x3401, None)));
        assert_eq!(to_write(OFF, true, true), Ok((0x3401, Some(0x3c01))));
        assert_eq!(to_write(OFF, false, true), Err(SleepError::NoRegister('a')));
    }
}
