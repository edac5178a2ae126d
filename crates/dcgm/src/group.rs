//! Groups and watches in the engine: each undoes itself when it is dropped.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::abi::{self, EntityPair};
use crate::{Code, Handle};

/// A name that no other client of the engine has: names of groups are unique there.
fn name() -> CString {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    CString::new(format!("heatsink-{:x}-{number}", now.as_nanos())).unwrap_or_default()
}

/// A group of entities.
pub(crate) struct Group {
    handle: Arc<Handle>,
    raw: usize,
}

impl Group {
    pub(crate) fn new(handle: &Arc<Handle>, entities: &[EntityPair]) -> Result<Self, Code> {
        let mut raw = 0;
        // SAFETY: the name and the number outlive the call.
        let made = unsafe {
            (handle.api.create_group)(handle.raw, abi::GROUP_EMPTY, name().as_ptr(), &mut raw)
        };
        handle.check(made)?;
        let group = Self { handle: Arc::clone(handle), raw };
        for entity in entities {
            // SAFETY: plain numbers.
            let added =
                unsafe { (handle.api.add_entity)(handle.raw, raw, entity.group, entity.id) };
            handle.check(added)?;
        }
        Ok(group)
    }

    pub(crate) fn raw(&self) -> usize {
        self.raw
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.handle.is_dead() {
            // SAFETY: the group is the engine's, and this is its last user.
            let _ = self
                .handle
                .check(unsafe { (self.handle.api.destroy_group)(self.handle.raw, self.raw) });
        }
    }
}

/// A group of fields.
pub(crate) struct FieldGroup {
    handle: Arc<Handle>,
    raw: usize,
}

impl FieldGroup {
    /// At most [`abi::MOST_FIELDS`].
    pub(crate) fn new(handle: &Arc<Handle>, fields: &[u16]) -> Result<Self, Code> {
        let count = i32::try_from(fields.len()).map_err(|_| Code::BAD_PARAMETER)?;
        let mut raw = 0;
        // SAFETY: `count` numbers are there; they, the name and the handle outlive the call.
        let made = unsafe {
            (handle.api.create_fields)(
                handle.raw,
                count,
                fields.as_ptr(),
                name().as_ptr(),
                &mut raw,
            )
        };
        handle.check(made)?;
        Ok(Self { handle: Arc::clone(handle), raw })
    }
}

impl Drop for FieldGroup {
    fn drop(&mut self) {
        if !self.handle.is_dead() {
            // SAFETY: as for a group of entities.
            let _ = self
                .handle
                .check(unsafe { (self.handle.api.destroy_fields)(self.handle.raw, self.raw) });
        }
    }
}

/// Fields of entities that the engine samples.
pub(crate) struct Watch {
    group: Arc<Group>,
    fields: FieldGroup,
}

/// How much the engine keeps of what it samples: enough for whoever asks a little late.
const SAMPLES_KEPT: i32 = 2;

impl Watch {
    /// Lets the engine sample every `period`. Says too what it answered: that it does not watch some
    /// of the fields is no reason not to watch the others.
    pub(crate) fn new(
        group: &Arc<Group>,
        fields: FieldGroup,
        period: Duration,
        keep: Keep,
    ) -> (Self, Result<(), Code>) {
        let handle = &fields.handle;
        let micros = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
        let (age, samples) = match keep {
            Keep::Latest => (3.0 * period.as_secs_f64() + 10.0, SAMPLES_KEPT),
            Keep::Events(age) => (age.as_secs_f64(), 0),
        };
        // SAFETY: plain numbers; both groups are alive.
        let answer =
            unsafe { (handle.api.watch)(handle.raw, group.raw, fields.raw, micros, age, samples) };
        let answer = handle.check(answer);
        (Self { group: Arc::clone(group), fields }, answer)
    }

    /// The handle, and the groups of entities and of fields.
    pub(crate) fn raw(&self) -> (&Arc<Handle>, usize, usize) {
        (&self.fields.handle, self.group.raw, self.fields.raw)
    }
}

/// What the engine keeps of a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// The newest.
    Latest,
    /// Everything of so long.
    Events(Duration),
}

impl Drop for Watch {
    fn drop(&mut self) {
        let handle = &self.fields.handle;
        if !handle.is_dead() {
            // SAFETY: as above.
            let _ = handle.check(unsafe {
                (handle.api.unwatch)(handle.raw, self.group.raw, self.fields.raw)
            });
        }
    }
}
