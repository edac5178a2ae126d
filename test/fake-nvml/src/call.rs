//! One call on one GPU: what happens to it before it is answered.

use std::{sync::Arc, thread};

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::{
    board::{Bar1, Board, ComputeInstance, Instance, Memory, Mig},
    control_file::POLL,
    faults::{Faults, GpuFaults},
    mig_command,
    refusal::Refusal,
    session::{self, MigPlace, Session},
};

/// A call that has got past the faults of its GPU.
pub(crate) struct Call {
    pub session: Arc<Session>,
    pub gpu: usize,
    /// The GPU as it was when the call began.
    pub board: Arc<Board>,
    /// Where the handle was not that of a whole GPU.
    pub mig_device: Option<MigDevice>,
    function: &'static str,
    faults: Arc<Faults>,
}

/// A MIG device: a compute instance, and the GPU instance it is in.
pub(crate) struct MigDevice {
    pub instance: Instance,
    pub compute: ComputeInstance,
}

impl MigDevice {
    /// What its handle names.
    pub(crate) fn place(&self, gpu: usize) -> MigPlace {
        MigPlace { gpu, instance: self.instance.id, compute: self.compute.id }
    }
}

impl Call {
    /// A call of `function` with the handle of a whole GPU; that of a MIG device is no argument.
    pub(crate) fn on(function: &'static str, device: nvmlDevice_t) -> Result<Self, Refusal> {
        let (session, faults) = session::current()?;
        let gpu = session.gpu(device)?;
        Self::reach(function, session, faults, gpu)
    }

    /// A call of `function` with the handle of a GPU or of a MIG device that is still there.
    pub(crate) fn on_any(function: &'static str, device: nvmlDevice_t) -> Result<Self, Refusal> {
        let (session, faults) = session::current()?;
        let Ok(place) = session.mig_place(device) else {
            let gpu = session.gpu(device)?;
            return Self::reach(function, session, faults, gpu);
        };
        let mut call = Self::reach(function, session, faults, place.gpu)?;
        let found = call.mig_devices().find(|device| device.place(call.gpu) == place);
        call.mig_device = Some(found.ok_or(Refusal::INVALID_ARGUMENT)?);
        Ok(call)
    }

    /// A call of `function` on a GPU that is not given by its handle.
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
        let call = Self { session, gpu, board, mig_device: None, function, faults };
        if let Some(faults) = call.faults() {
            let delay = faults.delay(function);
            if !delay.is_zero() {
                thread::sleep(delay);
            }
        }
        if call.session.is_lost(&call.faults, gpu, &call.board) {
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
            Some(on) => Some(Mig::new(on)),
            None => self.board.mig,
        }
    }

    /// The GPU instances; none unless MIG is on.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        if self.mig().is_none_or(|mig| mig.current == 0) {
            return Vec::new();
        }
        let commands = self.faults().map_or(&[][..], |faults| &faults.mig_commands);
        mig_command::instances_after(&self.board, commands)
    }

    /// The MIG devices: one for each compute instance.
    pub(crate) fn mig_devices(&self) -> impl Iterator<Item = MigDevice> {
        self.instances().into_iter().flat_map(|instance| {
            let compute = instance.compute_instances.clone();
            compute
                .into_iter()
                .map(move |compute| MigDevice { instance: instance.clone(), compute })
        })
    }

    /// The memory of the GPU or of the instance.
    pub(crate) fn memory(&self) -> Option<Memory> {
        self.mig_device.as_ref().map_or(self.board.memory, |device| device.instance.memory)
    }

    /// The same for what the host can reach.
    pub(crate) fn bar1(&self) -> Option<Bar1> {
        self.mig_device.as_ref().map_or(self.board.bar1, |device| device.instance.bar1)
    }

    /// A value of the board; none if it has instances: the driver does not read it then.
    pub(crate) fn without_instances<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.instances().is_empty())
    }

    /// A value of the board; none in MIG mode: the driver measures it for a whole GPU only.
    pub(crate) fn outside_mig<T>(&self, value: Option<T>) -> Option<T> {
        value.filter(|_| self.mig().is_none_or(|mig| mig.current == 0))
    }

    /// The number that this function answers instead of the true one, if any.
    pub(crate) fn nonsense(&self) -> Option<u64> {
        self.faults().and_then(|faults| faults.nonsense_of_function(self.function))
    }
}
