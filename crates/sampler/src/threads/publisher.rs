//! The publisher: publishes snapshots, and never calls a driver.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use model::Moment;

use super::process;
use super::shared::SharedState;
use crate::state::MAX_AGE;
use crate::state::Unpublished;
use crate::state::log_line::LogLine;
use crate::state::plan::next_tick;

/// How long after a tick its readings are published: all of them in one snapshot, so that an idle
/// exporter wakes once a tick for it and not once a GPU.
const GRACE: Duration = Duration::from_millis(10);

/// How long something urgent waits for more: background readers end at about the same time.
const COALESCE: Duration = Duration::from_millis(3);

/// From one reading of this process's own resource use to the next.
const PROCESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the sampler stops.
pub(crate) fn run(shared: &SharedState) {
    let (mut all_late, mut process_read) = (false, shared.epoch);
    loop {
        let good_until = shared.current.load().good_until;
        let mut state = shared.lock();
        let due = next_publication(shared.epoch, state.plan.tick, good_until, Moment::now());
        while !shared.is_stopping()
            && state.unpublished < Unpublished::AtOnce
            && Moment::now() < due
        {
            let pause = due.saturating_duration_since(Moment::now());
            let woken = shared.wake.wait_timeout(state, pause);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if shared.is_stopping() {
            return;
        }
        let is_urgent = state.unpublished == Unpublished::AtOnce;
        drop(state);
        if is_urgent {
            thread::sleep(COALESCE);
        }
        let now = Moment::now();
        let expired = now > shared.current.load().good_until;
        if !expired && shared.lock().unpublished == Unpublished::Nothing {
            continue;
        }
        if now >= process_read + PROCESS_INTERVAL {
            let process = process::usage(shared.settings.started);
            shared.lock().process = process;
            process_read = now;
        }
        shared.publish(now);
        let mut state = shared.lock();
        let lines = state.report_availability(now);
        let were_late = std::mem::replace(&mut all_late, state.are_all_late());
        drop(state);
        lines.into_iter().for_each(LogLine::write);
        if let Some(line) = shared.when_all_are_late.filter(|_| all_late && !were_late) {
            tracing::warn!("{line}");
        }
    }
}

/// When to publish next, if nothing urgent comes: shortly after the next tick, or when something in
/// the current snapshot, which is good until `good_until`, becomes too old.
fn next_publication(epoch: Moment, tick: Duration, good_until: Moment, now: Moment) -> Moment {
    let before = now.checked_sub(GRACE).filter(|before| *before > epoch);
    let next = next_tick(epoch, tick, before.unwrap_or(epoch));
    // A little later than the last good moment, since that itself is still good.
    let expiry = good_until + Duration::from_micros(100);
    (next + GRACE).min(expiry).min(now + MAX_AGE).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_tick_is_published_shortly_after_it() {
        let epoch = Moment::now();
        let tick = epoch + SECOND;
        let at = |millis| {
            let now = tick + Duration::from_millis(millis);
            next_publication(epoch, SECOND, epoch + 10 * SECOND, now)
        };
        assert_eq!(at(0), tick + GRACE);
        assert_eq!(at(9), tick + GRACE);
        assert_eq!(at(11), tick + SECOND + GRACE);
    }

    #[test]
    fn an_expired_snapshot_is_replaced_before_the_next_tick() {
        let epoch = Moment::now();
        let expiry = epoch + 2 * SECOND;
        let due = next_publication(epoch, 10 * SECOND, expiry, epoch + SECOND);
        assert_eq!(due, expiry + Duration::from_micros(100));
    }
}
