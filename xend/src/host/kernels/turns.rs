//! Who unpacks which kernel: one thread each. Whoever waits for one lends the thread that has it
//! its own priority.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::host::priority::Thread;

/// Kernels that are worked on, by name.
#[derive(Debug, Default)]
pub struct Turns {
    /// Held for moments, and by no thread that is idle.
    taken: Mutex<HashMap<String, Arc<Worker>>>,
    freed: Condvar,
}

/// A thread that works on a kernel.
#[derive(Debug)]
struct Worker {
    thread: Thread,
    is_awaited: AtomicBool,
}

/// The right to work on one kernel, until dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    name: String,
    worker: Arc<Worker>,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Worker>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else works on it.
    pub fn take(&self, name: &str) -> Turn<'_> {
        let mut taken = self.lock();
        while let Some(worker) = taken.get(name) {
            worker.is_awaited.store(true, Ordering::SeqCst);
            worker.thread.hurry();
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        self.begin(taken, name)
    }

    /// Nothing if somebody works on it.
    pub fn try_take(&self, name: &str) -> Option<Turn<'_>> {
        let taken = self.lock();
        (!taken.contains_key(name)).then(|| self.begin(taken, name))
    }

    fn begin(&self, mut taken: MutexGuard<HashMap<String, Arc<Worker>>>, name: &str) -> Turn<'_> {
        let worker =
            Arc::new(Worker { thread: Thread::this(), is_awaited: AtomicBool::new(false) });
        taken.insert(name.to_owned(), Arc::clone(&worker));
        Turn { turns: self, name: name.to_owned(), worker }
    }

    /// Whether somebody waits.
    #[cfg(test)]
    pub fn is_awaited(&self) -> bool {
        self.lock().values().any(|worker| worker.is_awaited.load(Ordering::SeqCst))
    }

    /// What is worked on.
    pub fn names(&self) -> HashSet<String> {
        self.lock().keys().cloned().collect()
    }
}

impl Turn<'_> {
    /// Does what may wait for other threads, as long as nobody waits for it.
    pub fn unhurried<T>(&self, work: impl FnOnce() -> T) -> T {
        let _idle = self.worker.thread.idle();
        // Who came before that has woken it in vain.
        if self.worker.is_awaited.load(Ordering::SeqCst) {
            self.worker.thread.hurry();
        }
        work()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.name);
        self.turns.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_has_the_work_hurried() {
        // An ordinary user's threads can't come back.
        drop(Thread::this().idle());
        if Thread::this().is_idle() {
            return;
        }
        let turns = Turns::default();
        let turn = turns.take("vmlinuz");
        assert!(turns.try_take("vmlinuz").is_none());
        let has_priority_of_others = || !Thread::this().is_idle();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(turns.take("vmlinuz")));
            turn.unhurried(|| {
                while !turns.is_awaited() || !has_priority_of_others() {
                    std::thread::yield_now();
                }
            });
            // It waits already.
            turn.unhurried(|| assert!(has_priority_of_others()));
            drop(turn);
        });
        let turn = turns.try_take("vmlinuz").unwrap();
        turn.unhurried(|| assert!(!has_priority_of_others()));
        assert!(has_priority_of_others());
    }
}
