//! Positions, each of its own type, so that one cannot be used for another.

use std::ops::Index;

use crate::Watch;

/// The position of a watch among all watches of a session, and of its reading in
/// [`GpuView::readings`](crate::GpuView::readings).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchIndex(pub usize);

/// The position of a reading within its part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SlotIndex(pub usize);

/// The position of a part among the parts of a reader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartIndex(pub usize);

impl PartIndex {
    /// The GPU itself: the first part of every reader.
    pub const GPU: Self = Self(0);
}

impl WatchIndex {
    /// `watches`, each with its index.
    pub fn enumerate(watches: &[Watch]) -> impl Iterator<Item = (Self, &Watch)> + Clone {
        watches.iter().enumerate().map(|(at, watch)| (Self(at), watch))
    }
}

impl Index<WatchIndex> for [Watch] {
    type Output = Watch;

    fn index(&self, index: WatchIndex) -> &Watch {
        &self[index.0]
    }
}

impl SlotIndex {
    /// The slots of a part with `count` readings.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }
}
