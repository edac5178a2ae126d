//! Opaque handles: pointers that name a thing and are never followed.

use std::{
    collections::HashMap,
    ptr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::refusal::Refusal;

/// What a handle names; a device's handle is no event set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Device = 0x4E01,
    EventSet = 0x4E02,
    GpmSample = 0x4E03,
    MigDevice = 0x4E04,
    GpuInstance = 0x4E05,
}

/// A handle: kind, session, and number, in 16, 16 and 32 bits.
///
/// The session is part of it so that one from before a shutdown is not valid after it.
pub(crate) fn make<T>(kind: Kind, generation: u16, number: u32) -> *mut T {
    let address = (kind as usize) << 48 | usize::from(generation) << 32 | number as usize;
    ptr::without_provenance_mut(address)
}

/// The number in a handle of this kind and session.
pub(crate) fn number<T>(kind: Kind, generation: u16, handle: *mut T) -> Result<u32, Refusal> {
    let address = handle.addr();
    let number = (address & 0xFFFF_FFFF) as u32;
    if address != make::<T>(kind, generation, number).addr() {
        return Err(Refusal::INVALID_ARGUMENT);
    }
    Ok(number)
}

/// The things of one kind that a session has given out handles for.
pub(crate) struct Table<T> {
    kind: Kind,
    generation: u16,
    next: AtomicU32,
    entries: RwLock<HashMap<u32, Arc<T>>>,
}

impl<T> Table<T> {
    pub(crate) fn new(kind: Kind, generation: u16) -> Self {
        Self { kind, generation, next: AtomicU32::new(1), entries: RwLock::default() }
    }

    pub(crate) fn insert<H>(&self, entry: T) -> *mut H {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(number, Arc::new(entry));
        make(self.kind, self.generation, number)
    }

    pub(crate) fn get<H>(&self, handle: *mut H) -> Result<Arc<T>, Refusal> {
        let number = number(self.kind, self.generation, handle)?;
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&number).cloned().ok_or(Refusal::INVALID_ARGUMENT)
    }

    pub(crate) fn remove<H>(&self, handle: *mut H) -> Result<(), Refusal> {
        let number = number(self.kind, self.generation, handle)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&number).map(drop).ok_or(Refusal::INVALID_ARGUMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_for_its_kind_and_session_only() {
        let handle = make::<u8>(Kind::Device, 3, 7);
        assert_eq!(number(Kind::Device, 3, handle), Ok(7));
        assert_eq!(number(Kind::Device, 4, handle), Err(Refusal::INVALID_ARGUMENT));
        assert_eq!(number(Kind::EventSet, 3, handle), Err(Refusal::INVALID_ARGUMENT));
        let null = ptr::null_mut::<u8>();
        assert_eq!(number(Kind::Device, 3, null), Err(Refusal::INVALID_ARGUMENT));
    }
}
