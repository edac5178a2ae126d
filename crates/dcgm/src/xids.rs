//! XIDs, as the engine tells of them: the newest one of each entity, and those before it on demand.
//!
//! They wait here, beside all sessions, until their GPU's reader takes them: a session that ends takes
//! none with it.

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

/// What was heard of XIDs, for all sessions, so that none is told twice and none is missed.
#[derive(Clone, Default)]
pub(crate) struct XidQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// The stamp of the last one, by entity; 0 where there had been none.
    last: BTreeMap<(u32, u32), i64>,
    /// Those that nobody has taken yet, by GPU.
    waiting: BTreeMap<u32, VecDeque<XidEvent>>,
    /// The last ones: GPU, entity, stamp and code.
    recent: VecDeque<(u32, EntityPair, i64, u32)>,
    /// Until when silence means that nothing happened.
    listening_until: Option<Moment>,
}

/// How many wait for a GPU that nobody reads.
const MOST_WAITING: usize = 4096;

/// Among how many one that was told already is looked for.
const MOST_RECENT: usize = 64;

/// One XID, and of which entity.
pub(crate) struct NewXid {
    pub(crate) key: EntityPair,
    stamp: i64,
    pub(crate) event: XidEvent,
}

/// What is due to be asked for after a look at the newest values.
#[derive(Default)]
pub(crate) struct XidPoll {
    /// Stamps from which on there is something new.
    since: Option<i64>,
    /// What was there before anybody listened.
    before: Vec<NewXid>,
    /// The newest of each entity that has something new.
    newest: Vec<NewXid>,
}

impl XidQueue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one for its GPU's reader.
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

    /// Those of a GPU, as soon as there are any, or none after `timeout`.
    pub(crate) fn wait(&self, gpu: u32, timeout: Duration) -> Vec<XidEvent> {
        let has_none = |state: &mut State| state.waiting.get(&gpu).is_none_or(VecDeque::is_empty);
        let waited = self.0.news.wait_timeout_while(self.state(), timeout, has_none);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting.remove(&gpu).unwrap_or_default().into()
    }

    /// Notes that the engine tells of XIDs, and will have been asked again by then.
    pub(crate) fn listen_until(&self, until: Option<Moment>) {
        self.state().listening_until = until;
    }

    /// Whether silence means that nothing happened.
    pub(crate) fn is_listening(&self) -> bool {
        self.state().listening_until.is_some_and(|until| Moment::now() <= until)
    }

    /// Looks at the newest XID of each entity. One that was there before anybody listened is told as
    /// such.
    pub(crate) fn newest(&self, key: EntityPair, value: &FieldValue, look: &mut XidPoll) {
        let last = &mut self.state().last;
        let place = (key.group, key.id);
        let Raw::Int(code @ 1..) = Raw::of(value) else {
            last.entry(place).or_insert(0);
            return;
        };
        let told = NewXid { key, stamp: value.ts, event: event(code) };
        let Some(known) = last.get_mut(&place) else {
            last.insert(place, value.ts);
            let before = Some(moments::time_of(value.ts));
            look.before.push(NewXid { event: XidEvent { before, ..told.event }, ..told });
            return;
        };
        // The engine's clock was set back.
        if value.ts < *known {
            *known = value.ts - 1;
        }
        if value.ts > *known {
            let since = known.saturating_add(1).max(1);
            look.since = Some(look.since.map_or(since, |other| other.min(since)));
            look.newest.push(told);
        }
    }

    /// All that is new, each with its GPU: of a burst, the newest is only the last. `owner` says to
    /// which GPU an entity belongs.
    pub(crate) fn tell<'a>(
        &self,
        watches: impl Iterator<Item = &'a Watch>,
        look: XidPoll,
        owner: impl Fn(EntityPair) -> Option<u32>,
    ) -> Vec<(u32, NewXid)> {
        let XidPoll { since, before, newest } = look;
        let mut told = Vec::new();
        if let Some(since) = since {
            for watch in watches {
                let mut take = |key: EntityPair, value: &FieldValue| {
                    if let Raw::Int(code @ 1..) = Raw::of(value) {
                        told.push(NewXid { key, stamp: value.ts, event: event(code) });
                    }
                };
                if let Err(code) = values_since(watch, since, &mut take) {
                    tracing::debug!("only the newest XIDs are known: {code}");
                }
            }
        }
        let mut state = self.state();
        told.retain(|one| one.stamp > state.last_of(one.key));
        // Where the engine does not tell of a burst, its last one is better than none.
        let is_told = |one: &NewXid| told.iter().any(|other| other.key == one.key);
        let missing: Vec<NewXid> = newest.into_iter().filter(|one| !is_told(one)).collect();
        told.extend(missing);
        told.sort_by_key(|one| (one.stamp, one.is_of_gpu()));
        let mut new_values = Vec::new();
        for one in before.into_iter().chain(told) {
            let last = state.last.entry((one.key.group, one.key.id)).or_insert(0);
            *last = one.stamp.max(*last);
            // Of an instance the engine may tell twice: of it, and of its GPU.
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

    /// Whether the same event was told of another entity of this GPU; notes it if not.
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
    /// Whether it is about a GPU as a whole.
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

    /// The codes that are told, and whether as of before.
    fn look(xids: &XidQueue, value: &FieldValue) -> Vec<(u32, bool)> {
        let mut look = XidPoll::default();
        xids.newest(GPU, value, &mut look);
        let told = xids.tell(std::iter::empty(), look, |_| Some(3));
        told.iter().map(|(_, told)| (told.event.xid.code, told.event.before.is_some())).collect()
    }

    #[test]
    fn each_is_told_once_and_one_from_before_is_told_as_such() {
        let xids = XidQueue::default();
        assert_eq!(look(&xids, &value(Some(79), 5)), [(79, true)]);
        assert_eq!(look(&xids, &value(Some(79), 5)), []);
        assert_eq!(look(&xids, &value(Some(79), 6)), [(79, false)], "again");
        assert_eq!(look(&xids, &value(None, 7)), []);
        assert_eq!(look(&xids, &value(Some(48), 8)), [(48, false)]);
    }

    #[test]
    fn a_clock_that_is_set_back_hides_none() {
        let xids = XidQueue::default();
        assert_eq!(look(&xids, &value(None, 0)), []);
        assert_eq!(look(&xids, &value(Some(31), 5_000)), [(31, false)]);
        assert_eq!(look(&xids, &value(Some(48), 100)), [(48, false)]);
        assert_eq!(look(&xids, &value(Some(48), 100)), []);
    }

    #[test]
    fn one_that_is_told_of_an_instance_and_of_its_gpu_is_one() {
        let xids = XidQueue::default();
        let instance = EntityPair { group: entity::GPU_INSTANCE, id: 22 };
        let both = |stamp: i64| {
            let mut look = XidPoll::default();
            for key in [GPU, instance] {
                xids.newest(key, &value(Some(43).filter(|_| stamp > 0), stamp), &mut look);
            }
            let told = xids.tell(std::iter::empty(), look, |_| Some(3));
            told.iter().map(|(_, told)| told.key).collect::<Vec<_>>()
        };
        assert_eq!(both(0), []);
        assert_eq!(both(7), [instance]);
        assert_eq!(both(8), [instance]);
    }

    #[test]
    fn the_first_one_after_silence_is_news() {
        let xids = XidQueue::default();
        assert_eq!(look(&xids, &value(None, 0)), []);
        assert_eq!(look(&xids, &value(Some(31), 5)), [(31, false)]);
    }
}
