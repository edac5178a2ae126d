//! Event sets: which GPUs they have, and which XIDs they have delivered.

use std::sync::{Mutex, PoisonError};

use nvml_wrapper_sys::bindings::nvmlEventTypeXidCriticalError;

use crate::{
    board::Board,
    fault_watch::FaultWatch,
    machine::Machine,
    refusal::Refusal,
    xid::{Xid, is_raised},
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

/// An XID of a GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub gpu: usize,
    pub xid: Xid,
}

impl EventSet {
    /// Adds a GPU. What the simulation has reported before is not delivered.
    pub(crate) fn register(
        &self,
        gpu: usize,
        board: &Board,
        kinds: u64,
        watch: &FaultWatch,
    ) -> Result<(), Refusal> {
        let supported = board.event_types.ok_or(Refusal::NOT_SUPPORTED)?;
        if kinds & !supported != 0 {
            return Err(Refusal::NOT_SUPPORTED);
        }
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        match registrations.iter_mut().find(|known| known.gpu == gpu) {
            Some(known) => known.kinds |= kinds,
            None => registrations.push(Registration {
                gpu,
                kinds,
                next_simulated: board.xids.len(),
                next_commanded: watch.delivered(gpu),
            }),
        }
        Ok(())
    }

    /// The GPUs that are registered.
    pub(crate) fn gpus(&self) -> Vec<usize> {
        let registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.iter().map(|known| known.gpu).collect()
    }

    /// The next event of any of the GPUs.
    pub(crate) fn next(&self, machine: &Machine, watch: &FaultWatch) -> Option<Event> {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.iter_mut().filter(|known| known.kinds & XID != 0).find_map(|known| {
            let xid = known.next(machine, watch)?;
            Some(Event { gpu: known.gpu, xid })
        })
    }
}

impl Registration {
    fn next(&mut self, machine: &Machine, watch: &FaultWatch) -> Option<Xid> {
        while let Some(xid) = watch.deliver(self.gpu, self.next_commanded) {
            self.next_commanded += 1;
            if is_raised(xid.code) {
                return Some(xid);
            }
        }
        let board = machine.board(self.gpu)?;
        while let Some(xid) = board.xids.get(self.next_simulated) {
            self.next_simulated += 1;
            if is_raised(xid.code) {
                return Some(*xid);
            }
        }
        None
    }
}
