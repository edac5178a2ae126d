//! Limits the memory that the C library's allocator keeps for DCGM.
//!
//! For each call that fetches values, DCGM builds a message of 4 MB on the calling thread. glibc
//! returns the first such blocks to the system, then raises its threshold for large blocks, takes
//! the next ones from an arena of the thread, and keeps them. With one calling thread per GPU,
//! eight GPUs cost 35 MB.
//!
//! heatsink's own memory comes from another allocator.

/// Makes the allocator return large blocks of all threads. Called before DCGM's library is loaded,
/// because a thread keeps its arena.
#[cfg(target_env = "gnu")]
pub(crate) fn limit_arenas() {
    /// The size of a large block, in bytes: glibc's default, which it no longer raises once it is
    /// set.
    const LARGE: i32 = 128 * 1024;
    // SAFETY: it takes plain numbers. Each is a word that the allocator's other users read, and the old
    // one is as good for them as the new one; what else it touches is under the allocator's own lock.
    let is_set = unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) == 1
            && libc::mallopt(libc::M_ARENA_MAX, 1) == 1
    };
    if !is_set {
        tracing::debug!("the C library's allocator keeps what DCGM's library takes from it");
    }
}

/// Does nothing: other C libraries do not raise the threshold.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn limit_arenas() {}
