//! What the C library's allocator keeps of the memory that DCGM's library takes from it.
//!
//! For each call that fetches values DCGM's library builds a message of 4 MB, on the thread that makes
//! the call. glibc's allocator takes the first ones for large blocks and gives them back; then it
//! raises its own idea of large, takes the next ones from an arena of the calling thread, and keeps
//! them. There is a calling thread for each GPU, so eight GPUs cost 35 MB for nothing.
//!
//! heatsink's own memory comes from another allocator.

/// Lets it give large blocks back, whichever thread took them. Before DCGM's library is loaded, since
/// a thread keeps the arena that it has.
#[cfg(target_env = "gnu")]
pub(crate) fn limit_arenas() {
    /// From how many bytes on a block is large: glibc's own number, before it raises that. Once set, it
    /// stays.
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

/// Nothing: other C libraries do not raise it.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn limit_arenas() {}
