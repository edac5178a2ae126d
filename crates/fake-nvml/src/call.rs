//! One call on one GPU: what happens to it before it is answered.

use std::{sync::Arc, thread};

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::{
    board::{Board, Mig},
    faults::{Faults, GpuFaults},
    refusal::Refusal,
    session::{self, Session},
    watch::POLL,
};

/// A call that has got past the faults of its GPU.
pub(crate) struct Call {
    pub session: Arc<Session>,
    pub gpu: usize,
    /// The GPU as it was when the call began.
    pub board: Arc<Board>,
    function: &'static str,
    faults: Arc<Faults>,
}

impl Call {
    /// A call of `function` with the handle of a GPU.
    pub(crate) fn on(function: &'static str, device: nvmlDevice_t) -> Result<Self, Refusal> {
        let (session, faults) = session::current()?;
        let gpu = session.gpu(device)?;
        Self::reach(function, session, faults, gpu)
    }

    /// A call of `function` that reaches a GPU some other way than by its handle.
    ///
    /// Blocks for as long as the GPU hangs, without any lock.
    pub(crate) fn reach(
        function: &'static str,
        session: Arc<Session>,
        mut faults: Arc<Faults>,
        gpu: usize,
    ) -> Result<Self, Refusal> {
        while faults.of(gpu).is_some_and(|faults| faults.hangs(function)) {
            thread::sleep(POLL);
            faults = session.watch.faults();
        }
        let board = session.machine.board(gpu).ok_or(Refusal::INVALID_ARGUMENT)?;
        let call = Self { session, gpu, board, function, faults };
        if let Some(faults) = call.faults() {
            let delay = faults.delay(function);
            if !delay.is_zero() {
                thread::sleep(delay);
            }
        }
        if is_lost(&call.session, &call.faults, gpu, &call.board) {
            return Err(Refusal::GPU_IS_LOST);
        }
        match call.faults().and_then(|faults| faults.refusal_of_function(function)) {
            Some(refusal) => Err(refusal),
            None => Ok(call),
        }
    }

    /// The faults of this GPU, if it has any.
    pub(crate) fn faults(&self) -> Option<&GpuFaults> {
        self.faults.of(self.gpu)
    }

    /// MIG mode, if the board has one.
    pub(crate) fn mig(&self) -> Option<Mig> {
        match self.faults().and_then(|faults| faults.mig) {
            Some(on) => Some(Mig { current: on.into(), pending: on.into() }),
            None => self.board.mig,
        }
    }

    /// What the board says, if it is not in MIG mode: the driver measures this for a whole GPU only.
    pub(crate) fn outside_mig<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.mig().is_none_or(|mig| mig.current == 0))
    }

    /// The number that this function answers instead of the true one, if any.
    pub(crate) fn nonsense(&self) -> Option<u64> {
        self.faults().and_then(|faults| faults.nonsense_of_function(self.function))
    }
}

/// Whether a GPU has fallen off the bus, in the simulation or on command.
pub(crate) fn is_lost(session: &Session, faults: &Faults, gpu: usize, board: &Board) -> bool {
    board.lost || gpu >= session.listed(faults) || faults.of(gpu).is_some_and(|faults| faults.lost)
}
