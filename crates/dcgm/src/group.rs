//! Groups and watches in the engine. Each ends when it is dropped.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::abi::{self, EntityPair};
use crate::{Code, Handle};

/// A name that no other client of the engine uses: names of groups are unique in an engine.
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
    /// Makes a group. Also returns the entities that the engine refused, usually because they are
    /// lost.
    pub(crate) fn new(
        handle: &Arc<Handle>,
        entities: &[EntityPair],
    ) -> Result<(Self, Vec<(EntityPair, Code)>), Code> {
        let mut raw = 0;
        // SAFETY: the name and the number outlive the call.
        let made = unsafe {
            (handle.api.create_group)(handle.raw, abi::GROUP_EMPTY, name().as_ptr(), &mut raw)
        };
        handle.check(made)?;
        let group = Self { handle: Arc::clone(handle), raw };
        let mut refused = Vec::new();
        for entity in entities {
            // SAFETY: plain numbers.
            let added =
                unsafe { (handle.api.add_entity)(handle.raw, raw, entity.group, entity.id) };
            match handle.check(added) {
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => refused.push((*entity, code)),
                Ok(()) => {}
            }
        }
        Ok((group, refused))
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
    /// Makes a group of at most [`abi::MOST_FIELDS`] fields.
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
    period: Duration,
    keep: Keep,
}

/// How many samples the engine keeps, so that a late poll still finds the newest one.
const SAMPLES_KEPT: i32 = 2;

impl Watch {
    /// Makes the engine sample every `period`. Also returns its answer.
    pub(crate) fn new(
        group: &Arc<Group>,
        fields: FieldGroup,
        period: Duration,
        keep: Keep,
    ) -> (Self, Result<(), Code>) {
        let watch = Self { group: Arc::clone(group), fields, period, keep };
        let answer = watch.renew();
        (watch, answer)
    }

    /// Tells the engine to watch, again if it already does.
    pub(crate) fn renew(&self) -> Result<(), Code> {
        let handle = &self.fields.handle;
        let micros = i64::try_from(self.period.as_micros()).unwrap_or(i64::MAX);
        let (age, samples) = match self.keep {
            Keep::Latest => (3.0 * self.period.as_secs_f64() + 10.0, SAMPLES_KEPT),
            Keep::Events(age) => (age.as_secs_f64(), 0),
        };
        // SAFETY: plain numbers; both groups are alive.
        let answer = unsafe {
            (handle.api.watch)(handle.raw, self.group.raw, self.fields.raw, micros, age, samples)
        };
        handle.check(answer)
    }

    /// The connection, and the ids of the groups of entities and fields.
    pub(crate) fn raw(&self) -> (&Arc<Handle>, usize, usize) {
        (&self.fields.handle, self.group.raw, self.fields.raw)
    }
}

/// Which samples the engine keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// The newest ones.
    Latest,
    /// All of this age.
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
