//! Locks that outlive a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `mutex` guards, also after another thread panicked while it held the lock. Only for data that is whole at any
/// time, because every change to it is one step.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
