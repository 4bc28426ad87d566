//! What a daemon needed for a moment, and keeps for ever unless it is told not to.

/// Gives the memory back to the system that is allocated and not used. After something that took
/// much of it: it looks at all of the heap.
pub fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time, and changes nothing that is in use.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
