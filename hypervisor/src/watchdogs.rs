//! Watchdogs: a domain that does not say in time that it is well is shut down.

use core::sync::atomic::{AtomicU64, Ordering};

use xen::abi::errno::{EINVAL, ENOSPC, Errno};
use xen::abi::sched::SHUTDOWN_WATCHDOG;

use crate::domain::{self, Domain};
use crate::{shutdown, time};

/// So many a domain (NR_DOMAIN_WATCHDOG_TIMERS of Xen).
const COUNT: usize = 2;
const SECOND: u64 = 1_000_000_000;
const NEVER: u64 = u64::MAX;

/// When a domain's watchdogs bark, in nanoseconds since boot.
pub struct Watchdogs([AtomicU64; COUNT]);

impl Default for Watchdogs {
    fn default() -> Self {
        Self([const { AtomicU64::new(NEVER) }; COUNT])
    }
}

/// No watchdog of any domain barks before that.
static NEXT: AtomicU64 = AtomicU64::new(NEVER);

/// Starts a watchdog (number 0), or starts it again, or, with no time, ends it. The number of a new
/// one, counted from 1, else 0.
pub fn set(domain: &Domain, number: u32, seconds: u32) -> Result<u64, Errno> {
    let at = match seconds {
        0 => NEVER,
        _ => time::now() + u64::from(seconds) * SECOND,
    };
    let watchdogs = &domain.watchdogs.0;
    let answer = match number {
        0 if seconds == 0 => return Err(EINVAL),
        0 => {
            let take = |watchdog: &AtomicU64| {
                watchdog.compare_exchange(NEVER, at, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            };
            watchdogs.iter().position(take).ok_or(ENOSPC)? as u64 + 1
        }
        _ => {
            let watchdog = watchdogs.get(number as usize - 1).ok_or(EINVAL)?;
            if watchdog.load(Ordering::Acquire) == NEVER {
                return Err(EINVAL);
            }
            watchdog.store(at, Ordering::Release);
            0
        }
    };
    NEXT.fetch_min(at, Ordering::AcqRel);
    Ok(answer)
}

/// Shuts down what is due; the first processor calls this often.
pub fn check() {
    let now = time::now();
    if NEXT.load(Ordering::Acquire) > now {
        return;
    }
    NEXT.store(NEVER, Ordering::Release);
    domain::for_each(|domain| {
        for watchdog in &domain.watchdogs.0 {
            let at = watchdog.load(Ordering::Acquire);
            if at > now {
                NEXT.fetch_min(at, Ordering::AcqRel);
            } else if watchdog.swap(NEVER, Ordering::AcqRel) <= now {
                crate::note!(Error, "d{}: its watchdog was not heard of in time", domain.number);
                shutdown::domain_is_over(domain, SHUTDOWN_WATCHDOG);
            }
        }
    });
}
