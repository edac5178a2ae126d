//! Fetches the values of a watch from the engine.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use crate::abi::{EntityPair, FieldValue, TakeValues};
use crate::code::Code;
use crate::group::Watch;

/// Takes one value at a time. DCGM passes it back to [`take`] as a pointer.
struct Taker<'a>(&'a mut dyn FnMut(EntityPair, &FieldValue));

/// Fetches the newest value of each entity and field of a watch.
///
/// # Errors
///
/// The engine's code, if it does not return them.
pub(crate) fn latest_values(
    watch: &Watch,
    take_each: &mut dyn FnMut(EntityPair, &FieldValue),
) -> Result<(), Code> {
    let (handle, group, fields) = watch.raw();
    let mut taker = Taker(take_each);
    let callback: TakeValues = take;
    let user = std::ptr::from_mut(&mut taker).cast();
    // SAFETY: DCGM calls `take` on this thread before it returns, with values that live as long as that
    // call, and with `user`, which is the `Taker` that `take` expects.
    handle.check(unsafe { (handle.api.latest_values)(handle.raw, group, fields, callback, user) })
}

/// Fetches all values of a watch that the engine sampled since a timestamp, in microseconds since 1970
/// by the engine's clock.
///
/// # Errors
///
/// The engine's code, if it does not return them.
pub(crate) fn values_since(
    watch: &Watch,
    since: i64,
    take_each: &mut dyn FnMut(EntityPair, &FieldValue),
) -> Result<(), Code> {
    let (handle, group, fields) = watch.raw();
    let ask = handle.api.values_since.ok_or(Code::NOT_SUPPORTED)?;
    let mut next = 0;
    let mut taker = Taker(take_each);
    let callback: TakeValues = take;
    let user = std::ptr::from_mut(&mut taker).cast();
    // SAFETY: as in `latest_values`; `next` outlives the call.
    handle.check(unsafe { ask(handle.raw, group, fields, since, &mut next, callback, user) })
}

/// Called by DCGM, which is C, for each entity and field. No panic leaves this function.
///
/// # Safety
///
/// `user` is a [`Taker`] that is not used elsewhere during the call, and `values` are `count` values.
unsafe extern "C" fn take(
    group: u32,
    id: u32,
    values: *mut FieldValue,
    count: c_int,
    user: *mut c_void,
) -> c_int {
    let Some(count) = usize::try_from(count).ok().filter(|_| !values.is_null()) else { return 0 };
    // SAFETY: as the caller promises.
    let (taker, values) =
        unsafe { (&mut *user.cast::<Taker<'_>>(), slice::from_raw_parts(values, count)) };
    let key = EntityPair { group, id };
    let taken = catch_unwind(AssertUnwindSafe(|| {
        values.iter().for_each(|value| (taker.0)(key, value));
    }));
    if taken.is_ok() { 0 } else { -1 }
}
