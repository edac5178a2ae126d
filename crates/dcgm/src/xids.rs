//! XIDs as the engine reports them: the newest one of each entity, and on request those before it.
//!
//! They are queued outside of sessions until the reader of their GPU takes them, so that no XID is
//! lost when a session ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::catalog::xid;
use model::{Moment, XidEvent};

use crate::abi::{EntityPair, FieldValue, entity};
use crate::fetch::values_since;
use crate::group::Watch;
use crate::moments;
use crate::value::Raw;

/// XIDs of all sessions, each reported once.
#[derive(Clone, Default)]
pub(crate) struct XidQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// The timestamp of the last XID of each entity; 0 if it had none.
    last: BTreeMap<(u32, u32), i64>,
    /// XIDs that were not taken yet, by GPU.
    waiting: BTreeMap<u32, VecDeque<XidEvent>>,
    /// The last XIDs: GPU, entity, timestamp and code.
    recent: VecDeque<(u32, EntityPair, i64, u32)>,
    /// Until when XIDs would be seen.
    listening_until: Option<Moment>,
}

/// The most XIDs queued for a GPU.
const MOST_WAITING: usize = 4096;

/// The number of last XIDs among which duplicates are detected.
const MOST_RECENT: usize = 64;

/// One XID and its entity.
pub(crate) struct NewXid {
    pub(crate) key: EntityPair,
    stamp: i64,
    pub(crate) event: XidEvent,
}

/// What a poll of the newest XIDs found.
#[derive(Default)]
pub(crate) struct XidPoll {
    /// The timestamp from which there are new XIDs.
    since: Option<i64>,
    /// XIDs from before the first poll.
    before: Vec<NewXid>,
    /// The newest XID of each entity with a new one.
    newest: Vec<NewXid>,
}

impl XidQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an XID for the reader of its GPU.
    pub(crate) fn keep(&self, gpu: u32, event: XidEvent) {
        let mut state = self.state();
        let waiting = state.waiting.entry(gpu).or_default();
        if waiting.len() == MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(event);
        drop(state);
        self.0.news.notify_all();
    }

    /// Takes the XIDs of a GPU; waits up to `timeout` for the first one.
    pub(crate) fn wait(&self, gpu: u32, timeout: Duration) -> Vec<XidEvent> {
        let has_none = |state: &mut State| state.waiting.get(&gpu).is_none_or(VecDeque::is_empty);
        let waited = self.0.news.wait_timeout_while(self.state(), timeout, has_none);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting.remove(&gpu).unwrap_or_default().into()
    }

    /// Notes that the engine reports XIDs and is polled again before `until`.
    pub(crate) fn listen_until(&self, until: Option<Moment>) {
        self.state().listening_until = until;
    }

    /// Whether XIDs would be seen now, so that 0 is a valid count.
    pub(crate) fn is_listening(&self) -> bool {
        self.state().listening_until.is_some_and(|until| Moment::now() <= until)
    }

    /// Adds the newest XID of an entity to the poll. Marks an XID from before the first poll.
    pub(crate) fn newest(&self, key: EntityPair, value: &FieldValue, poll: &mut XidPoll) {
        let last = &mut self.state().last;
        let place = (key.group, key.id);
        let Raw::Int(code @ 1..) = Raw::of(value) else {
            last.entry(place).or_insert(0);
            return;
        };
        let new = NewXid { key, stamp: value.ts, event: event(code) };
        let Some(known) = last.get_mut(&place) else {
            last.insert(place, value.ts);
            let before = Some(moments::time_of(value.ts));
            poll.before.push(NewXid { event: XidEvent { before, ..new.event }, ..new });
            return;
        };
        // The engine's clock was set back.
        if value.ts < *known {
            *known = value.ts - 1;
        }
        if value.ts > *known {
            let since = known.saturating_add(1).max(1);
            poll.since = Some(poll.since.map_or(since, |other| other.min(since)));
            poll.newest.push(new);
        }
    }

    /// All new XIDs with their GPU; the newest value is only the last of a burst. `owner` gives the
    /// GPU of an entity.
    pub(crate) fn take_new<'a>(
        &self,
        watches: impl Iterator<Item = &'a Watch>,
        poll: XidPoll,
        owner: impl Fn(EntityPair) -> Option<u32>,
    ) -> Vec<(u32, NewXid)> {
        let XidPoll { since, before, newest } = poll;
        let mut found = Vec::new();
        if let Some(since) = since {
            for watch in watches {
                let mut take = |key: EntityPair, value: &FieldValue| {
                    if let Raw::Int(code @ 1..) = Raw::of(value) {
                        found.push(NewXid { key, stamp: value.ts, event: event(code) });
                    }
                };
                if let Err(code) = values_since(watch, since, &mut take) {
                    tracing::debug!("only the newest XIDs are known: {code}");
                }
            }
        }
        let mut state = self.state();
        found.retain(|one| one.stamp > state.last_of(one.key));
        // If the engine does not return the whole burst, its last XID counts.
        let is_known = |one: &NewXid| found.iter().any(|other| other.key == one.key);
        let missing: Vec<NewXid> = newest.into_iter().filter(|one| !is_known(one)).collect();
        found.extend(missing);
        found.sort_by_key(|one| (one.stamp, one.is_of_gpu()));
        let mut new_values = Vec::new();
        for one in before.into_iter().chain(found) {
            let last = state.last.entry((one.key.group, one.key.id)).or_insert(0);
            *last = one.stamp.max(*last);
            // The engine may report an XID of an instance twice: for the instance and for its GPU.
            if let Some(gpu) = owner(one.key)
                && !state.is_duplicate(gpu, &one)
            {
                new_values.push((gpu, one));
            }
        }
        new_values
    }
}

impl State {
    fn last_of(&self, key: EntityPair) -> i64 {
        self.last.get(&(key.group, key.id)).copied().unwrap_or(0)
    }

    /// Whether the same event was reported for another entity of this GPU. Remembers it if not.
    fn is_duplicate(&mut self, gpu: u32, one: &NewXid) -> bool {
        let code = one.event.xid.code;
        let same = |(of, key, stamp, known): &(u32, EntityPair, i64, u32)| {
            *of == gpu && *key != one.key && *stamp == one.stamp && *known == code
        };
        if self.recent.iter().any(same) {
            return true;
        }
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((gpu, one.key, one.stamp, code));
        false
    }
}

impl NewXid {
    /// Whether it is of a whole GPU.
    fn is_of_gpu(&self) -> bool {
        self.key.group == entity::GPU
    }
}

fn event(code: i64) -> XidEvent {
    let xid = xid::lookup(u32::try_from(code).unwrap_or(u32::MAX));
    XidEvent { xid, instance: None, before: None }
}

#[cfg(test)]
mod tests {
    use crate::abi;

    use super::*;

    const GPU: EntityPair = EntityPair { group: entity::GPU, id: 3 };

    fn value(code: Option<u64>, ts: i64) -> FieldValue {
        let mut words = [0; 512];
        words[0] = code.unwrap_or(abi::BLANK_INT as u64);
        FieldValue {
            version: abi::version_word::<FieldValue>(1),
            field: 230,
            kind: abi::TYPE_INT,
            status: 0,
            ts,
            value: words,
        }
    }

    /// The codes of new XIDs, and whether they are from before the first poll.
    fn poll(xids: &XidQueue, value: &FieldValue) -> Vec<(u32, bool)> {
        let mut poll = XidPoll::default();
        xids.newest(GPU, value, &mut poll);
        let new = xids.take_new(std::iter::empty(), poll, |_| Some(3));
        new.iter().map(|(_, xid)| (xid.event.xid.code, xid.event.before.is_some())).collect()
    }

    #[test]
    fn each_xid_is_reported_once_and_earlier_ones_are_marked() {
        let xids = XidQueue::default();
        assert_eq!(poll(&xids, &value(Some(79), 5)), [(79, true)]);
        assert_eq!(poll(&xids, &value(Some(79), 5)), []);
        assert_eq!(poll(&xids, &value(Some(79), 6)), [(79, false)], "again");
        assert_eq!(poll(&xids, &value(None, 7)), []);
        assert_eq!(poll(&xids, &value(Some(48), 8)), [(48, false)]);
    }

    #[test]
    fn a_clock_that_is_set_back_hides_no_xid() {
        let xids = XidQueue::default();
        assert_eq!(poll(&xids, &value(None, 0)), []);
        assert_eq!(poll(&xids, &value(Some(31), 5_000)), [(31, false)]);
        assert_eq!(poll(&xids, &value(Some(48), 100)), [(48, false)]);
        assert_eq!(poll(&xids, &value(Some(48), 100)), []);
    }

    #[test]
    fn an_xid_of_an_instance_and_its_gpu_counts_once() {
        let xids = XidQueue::default();
        let instance = EntityPair { group: entity::GPU_INSTANCE, id: 22 };
        let both = |stamp: i64| {
            let mut poll = XidPoll::default();
            for key in [GPU, instance] {
                xids.newest(key, &value(Some(43).filter(|_| stamp > 0), stamp), &mut poll);
            }
            let new = xids.take_new(std::iter::empty(), poll, |_| Some(3));
            new.iter().map(|(_, xid)| xid.key).collect::<Vec<_>>()
        };
        assert_eq!(both(0), []);
        assert_eq!(both(7), [instance]);
        assert_eq!(both(8), [instance]);
    }

    #[test]
    fn the_first_xid_after_the_first_poll_is_new() {
        let xids = XidQueue::default();
        assert_eq!(poll(&xids, &value(None, 0)), []);
        assert_eq!(poll(&xids, &value(Some(31), 5)), [(31, false)]);
    }
}
