//! Event sets: XIDs from the simulation and from the control file.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nvml_wrapper_sys::bindings::nvmlEventTypeXidCriticalError;

use crate::{
    call::{Call, is_lost},
    refusal::Refusal,
    session::{self, Session},
    watch::POLL,
};

/// The only kind of event that ever happens here.
pub(crate) const XID: u64 = nvmlEventTypeXidCriticalError as u64;

/// An event set.
#[derive(Default)]
pub(crate) struct EventSet {
    registrations: Mutex<Vec<Registration>>,
}

/// A GPU in an event set, and how far its events have been read.
struct Registration {
    gpu: usize,
    kinds: u64,
    next_simulated: usize,
    next_commanded: usize,
}

/// XIDs that the driver prints to the kernel's log and of which it raises no event: 79, 119 and 120 as
/// NVIDIA says, the others as the source of its open module shows.
const NO_EVENT: [u32; 7] = [79, 119, 120, 140, 143, 154, 172];

/// Whether the driver raises an event for an XID.
pub(crate) fn is_raised(code: u32) -> bool {
    !NO_EVENT.contains(&code)
}

/// What an event says that belongs to no MIG instance.
const NO_INSTANCE: u32 = u32::MAX;

/// An XID, and the MIG instances it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Xid {
    pub code: u32,
    pub instance: u32,
    pub compute_instance: u32,
}

impl Xid {
    /// One of the whole GPU.
    pub(crate) fn whole(code: u32) -> Self {
        Self { code, instance: NO_INSTANCE, compute_instance: NO_INSTANCE }
    }
}

/// An XID of a GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub gpu: usize,
    pub xid: Xid,
}

impl EventSet {
    /// Adds the GPU of the call. What the simulation has reported before is not seen.
    pub(crate) fn register(&self, call: &Call, kinds: u64) -> Result<(), Refusal> {
        let supported = call.board.event_types.ok_or(Refusal::NOT_SUPPORTED)?;
        if kinds & !supported != 0 {
            return Err(Refusal::NOT_SUPPORTED);
        }
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        match registrations.iter_mut().find(|known| known.gpu == call.gpu) {
            Some(known) => known.kinds |= kinds,
            None => registrations.push(Registration {
                gpu: call.gpu,
                kinds,
                next_simulated: call.board.xids.len(),
                next_commanded: call.session.watch.delivered(call.gpu),
            }),
        }
        Ok(())
    }

    /// The next event of any of the GPUs, or why there is none after `timeout`.
    ///
    /// A lost GPU still delivers what it has from before.
    pub(crate) fn wait(
        &self,
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
            let gpus = self.gpus();
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
            if let Some(event) = self.next(&session) {
                return Ok(event);
            }
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                let lost = |gpu: &usize| match session.machine.board(*gpu) {
                    Some(board) => is_lost(&session, &faults, *gpu, &board),
                    None => false,
                };
                let any_lost = gpus.iter().any(lost);
                return Err(if any_lost { Refusal::GPU_IS_LOST } else { Refusal::TIMEOUT });
            }
            thread::sleep(left.min(POLL));
        }
    }

    fn gpus(&self) -> Vec<usize> {
        let registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.iter().map(|known| known.gpu).collect()
    }

    fn next(&self, session: &Session) -> Option<Event> {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.iter_mut().filter(|known| known.kinds & XID != 0).find_map(|known| {
            let xid = known.next(session)?;
            Some(Event { gpu: known.gpu, xid })
        })
    }
}

impl Registration {
    fn next(&mut self, session: &Session) -> Option<Xid> {
        while let Some(xid) = session.watch.deliver(self.gpu, self.next_commanded) {
            self.next_commanded += 1;
            if is_raised(xid.code) {
                return Some(xid);
            }
        }
        let board = session.machine.board(self.gpu)?;
        while let Some(xid) = board.xids.get(self.next_simulated) {
            self.next_simulated += 1;
            if is_raised(xid.code) {
                return Some(*xid);
            }
        }
        None
    }
}
