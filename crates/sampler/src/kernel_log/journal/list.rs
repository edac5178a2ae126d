//! The list of the entries that have one field, and how far it has been read.
//!
//! Each part of a list is written after the parts before it, so its offsets only grow. That holds
//! for damaged files, too, as they are read here: no list leads in a circle.

use std::io;

use super::object::{Data, Entry, Objects, Pages, damaged};

/// A place in a list.
#[derive(Default)]
pub(super) struct EntryList {
    /// The DATA object that keeps the list; 0 as long as it is not known.
    pub(super) data: u64,
    /// The next entry, once it has been read.
    pub(super) next: Option<Entry>,
    /// How many entries the list has, and how many have been passed.
    entries: u64,
    passed: u64,
    first_entry: u64,
    first_array: u64,
    /// The array that the next entry is in, its capacity, and the place in it.
    array: u64,
    capacity: u64,
    index: u64,
    /// The newest entry that has been passed.
    last_entry: u64,
    /// Whether the rest cannot be read for now.
    is_stuck: bool,
}

/// What is at the next place in a list.
pub(super) enum Step {
    /// An entry at this offset.
    Entry(u64),
    /// No entry, and there may be one at the place after it.
    Gap,
    End,
}

impl EntryList {
    /// Whether an entry can be read without another look.
    pub(super) fn has_more(&self) -> bool {
        self.next.is_some() || self.passed < self.entries && !self.is_stuck
    }

    /// Sees what has been appended: whether there is anything to read.
    pub(super) fn look(&mut self, data: &Data) -> bool {
        self.entries = data.entries;
        self.first_entry = data.first_entry;
        self.first_array = data.first_array;
        self.is_stuck = false;
        self.passed < self.entries
    }

    /// Passes the next place. A file that `is_final` gets no more entries: what is not there yet
    /// will never be.
    pub(super) fn step(&mut self, objects: &Objects, pages: &mut Pages, is_final: bool) -> Step {
        if self.passed >= self.entries || self.is_stuck {
            return Step::End;
        }
        let entry = match self.passed {
            0 => Ok(self.first_entry),
            _ => self.item(objects, pages),
        };
        let entry = match entry {
            Ok(entry) if entry != 0 || is_final => entry,
            _ => {
                self.is_stuck = true;
                return Step::End;
            }
        };
        self.index += u64::from(self.passed > 0);
        self.passed += 1;
        if entry <= self.last_entry {
            return Step::Gap;
        }
        self.last_entry = entry;
        Step::Entry(entry)
    }

    /// What is at the next place in the arrays.
    fn item(&mut self, objects: &Objects, pages: &mut Pages) -> io::Result<u64> {
        if self.index >= self.capacity {
            let next = match self.array {
                0 => self.first_array,
                array => objects.next_array(pages, array)?,
            };
            let capacity = objects.array_capacity(pages, next)?;
            if next <= self.array || capacity == 0 {
                return Err(damaged());
            }
            (self.array, self.capacity, self.index) = (next, capacity, 0);
        }
        objects.array_item(pages, self.array, self.index)
    }
}
