//! Work that may wait for everybody else: a thread does it when no other thread has anything to do,
//! and another thread can have it go on at once.

use nix::libc::{self, c_int, pid_t};
use nix::unistd::gettid;

/// A thread of this process.
#[derive(Debug, Clone, Copy)]
pub struct Thread(pid_t);

impl Thread {
    /// The one that asks.
    pub fn this() -> Self {
        Self(gettid().as_raw())
    }

    /// Has it wait for others until the guard goes.
    pub fn idle(self) -> Idle {
        self.schedule(libc::SCHED_IDLE);
        Idle(self)
    }

    /// Has it run as others do.
    pub fn hurry(self) {
        self.schedule(libc::SCHED_OTHER);
    }

    /// Whether it waits for others.
    #[cfg(test)]
    pub fn is_idle(self) -> bool {
        // SAFETY: the call has no memory of ours to touch.
        unsafe { libc::sched_getscheduler(self.0) == libc::SCHED_IDLE }
    }

    /// Where that isn't allowed the work is done all the same, only with another priority.
    fn schedule(self, policy: c_int) {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameters outlive the call, which reads nothing else.
        if unsafe { libc::sched_setscheduler(self.0, policy, &parameters) } != 0 {
            tracing::debug!("cannot change a thread's priority: {}", nix::Error::last());
        }
    }
}

/// A thread that waits for others, until this is dropped.
#[derive(Debug)]
pub struct Idle(Thread);

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.hurry();
    }
}
