//! Waiting for events: XIDs from the simulation and from the control file.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    control_file::POLL,
    event_set::{Event, EventSet},
    refusal::Refusal,
    session::{self, Session},
};

/// The next event of any of the GPUs, or why there is none after `timeout`.
///
/// A lost GPU still delivers its earlier events.
pub(crate) fn wait(
    set: &EventSet,
    function: &str,
    timeout: Duration,
    begun_in: &Arc<Session>,
) -> Result<Event, Refusal> {
    let mut delayed = Duration::ZERO;
    let began = Instant::now();
    loop {
        let (session, faults) = session::current()?;
        if !Arc::ptr_eq(&session, begun_in) {
            return Err(Refusal::UNINITIALIZED);
        }
        let gpus = set.gpus();
        let of_gpus = || gpus.iter().filter_map(|gpu| faults.of(*gpu));
        if of_gpus().any(|faults| faults.hangs_by_name(function)) {
            thread::sleep(POLL);
            continue;
        }
        let delay = of_gpus().map(|faults| faults.delay(function)).sum();
        if delayed < delay {
            thread::sleep(delay - delayed);
            delayed = delay;
            continue;
        }
        if let Some(refusal) = of_gpus().find_map(|known| known.refusal_of_function(function)) {
            return Err(refusal);
        }
        if let Some(event) = set.next(&session.machine, &session.watch) {
            return Ok(event);
        }
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            let lost = |gpu: &usize| {
                let board = session.machine.board(*gpu);
                board.is_some_and(|board| session.is_lost(&faults, *gpu, &board))
            };
            let any_lost = gpus.iter().any(lost);
            return Err(if any_lost { Refusal::GPU_IS_LOST } else { Refusal::TIMEOUT });
        }
        thread::sleep(left.min(POLL));
    }
}
