//! Whose turn it is to change a domain: one driver at a time, and it may be another thread that
//! ends what one began.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The right to change something, held by one at a time.
#[derive(Debug, Default)]
pub struct Turn {
    taken: Mutex<bool>,
    freed: Condvar,
}

/// The right, until dropped. Unlike a mutex's guard it may move to another thread.
#[derive(Debug)]
pub struct Driver(Arc<Turn>);

impl Turn {
    /// Waits for the right.
    pub fn take(self: &Arc<Self>) -> Driver {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.freed.wait_while(taken, |taken| *taken);
        *wait.unwrap_or_else(PoisonError::into_inner) = true;
        Driver(Arc::clone(self))
    }

    /// Takes the right if nobody has it.
    pub fn try_take(self: &Arc<Self>) -> Option<Driver> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *taken, true) {
            return None;
        }
        Some(Driver(Arc::clone(self)))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_across_threads() {
        let turn = Arc::new(Turn::default());
        let driver = turn.take();
        assert!(turn.try_take().is_none());
        let other = Arc::clone(&turn);
        let waiter = std::thread::spawn(move || drop(other.take()));
        std::thread::spawn(move || drop(driver)).join().unwrap();
        waiter.join().unwrap();
        assert!(turn.try_take().is_some());
    }
}
