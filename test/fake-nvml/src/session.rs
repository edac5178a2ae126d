//! The library's state between `nvmlInit` and `nvmlShutdown`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard},
    thread,
};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlGpuInstance_t};

use crate::{
    board::Board,
    control_file::{POLL, warn},
    event_set::EventSet,
    fault_watch::FaultWatch,
    faults::{Faults, InitFault},
    gpm::Sample,
    handle::{self, Kind, Table},
    machine::Machine,
    refusal::Refusal,
    samples::Recorder,
    settings::Settings,
};

/// A C library has no other place for state than a static.
static LIBRARY: RwLock<Library> =
    RwLock::new(Library { references: 0, generation: 0, session: None, watch: None });

struct Library {
    /// Calls of `nvmlInit` less those of `nvmlShutdown`.
    references: usize,
    generation: u16,
    session: Option<Arc<Session>>,
    /// Outlives the session, so that no XID is delivered again after a restart of it.
    watch: Option<Arc<FaultWatch>>,
}

/// What is true from the first `nvmlInit` to the last `nvmlShutdown`.
pub(crate) struct Session {
    generation: u16,
    pub machine: Machine,
    pub watch: Arc<FaultWatch>,
    pub event_sets: Table<EventSet>,
    pub samples: Table<Mutex<Option<Sample>>>,
    /// The sample buffers, by GPU.
    pub recorders: Vec<Mutex<Recorder>>,
    /// How many GPUs the driver listed when this session began: NVML reads it once.
    listed: usize,
    /// GPUs that were lost in this session, and stay so in it.
    lost: Mutex<BTreeSet<usize>>,
}

/// Which MIG device a handle names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MigPlace {
    pub gpu: usize,
    pub instance: u32,
    pub compute: u32,
}

/// Bits of a handle's number for the id of an instance; what is above them is the GPU.
const ID_BITS: u32 = 10;
const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// `nvmlInit`.
pub(crate) fn open() -> Result<(), Refusal> {
    let settings = Settings::from_environment().map_err(|error| {
        warn("fake-nvml", &error.to_string());
        Refusal::UNKNOWN
    })?;
    // No lock is held while this hangs, and none while the file is looked at.
    let watch = watch(&settings);
    loop {
        match watch.faults().init {
            None => break,
            Some(InitFault::Mismatch) => return Err(Refusal::LIB_RM_VERSION_MISMATCH),
            Some(InitFault::NotLoaded) => return Err(Refusal::DRIVER_NOT_LOADED),
            Some(InitFault::Hang) => thread::sleep(POLL),
        }
    }
    let mut library = library();
    if library.session.is_none() {
        let machine = Machine::new(&settings, &watch).map_err(|error| {
            warn("fake-nvml", &error.to_string());
            Refusal::UNKNOWN
        })?;
        library.generation = library.generation.wrapping_add(1);
        library.session = Some(Arc::new(Session::new(library.generation, machine, watch)));
    }
    library.references += 1;
    Ok(())
}

/// `nvmlShutdown`.
pub(crate) fn close() -> Result<(), Refusal> {
    let mut library = library();
    library.references = library.references.checked_sub(1).ok_or(Refusal::UNINITIALIZED)?;
    if library.references == 0 {
        library.session = None;
    }
    Ok(())
}

/// The session, and the faults in force.
pub(crate) fn current() -> Result<(Arc<Session>, Arc<Faults>), Refusal> {
    let session = {
        let library = LIBRARY.read().unwrap_or_else(PoisonError::into_inner);
        library.session.clone().ok_or(Refusal::UNINITIALIZED)?
    };
    let faults = session.watch.faults();
    if faults.init == Some(InitFault::Mismatch) {
        return Err(Refusal::LIB_RM_VERSION_MISMATCH);
    }
    Ok((session, faults))
}

fn library() -> RwLockWriteGuard<'static, Library> {
    LIBRARY.write().unwrap_or_else(PoisonError::into_inner)
}

/// The watch of the live session, or of the one before it if it has the same control file.
fn watch(settings: &Settings) -> Arc<FaultWatch> {
    let mut library = library();
    let kept = library
        .watch
        .as_ref()
        .filter(|watch| library.session.is_some() || watch.path() == settings.control.as_deref());
    if let Some(watch) = kept {
        return Arc::clone(watch);
    }
    let fresh = Arc::new(FaultWatch::new(settings.control.clone()));
    library.watch = Some(Arc::clone(&fresh));
    fresh
}

/// How many GPUs the driver lists now.
fn listed(machine: &Machine, faults: &Faults) -> usize {
    faults.listed.map_or(machine.len(), |listed| listed.min(machine.len()))
}

impl Session {
    fn new(generation: u16, machine: Machine, watch: Arc<FaultWatch>) -> Self {
        let recorders = (0..machine.len()).map(|_| Mutex::new(Recorder::new())).collect();
        let listed = listed(&machine, &watch.faults());
        Self {
            listed,
            lost: Mutex::default(),
            generation,
            machine,
            watch,
            event_sets: Table::new(Kind::EventSet, generation),
            samples: Table::new(Kind::GpmSample, generation),
            recorders,
        }
    }

    /// How many GPUs this session knows of.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// Whether a GPU has fallen off the bus, in the simulation or on command, or is not listed any more.
    pub(crate) fn is_lost(&self, faults: &Faults, gpu: usize, board: &Board) -> bool {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let of_gpu = faults.of(gpu);
        if of_gpu.is_some_and(|faults| faults.stays_lost) {
            lost.insert(gpu);
        }
        let is_lost = of_gpu.is_some_and(|faults| faults.lost) || lost.contains(&gpu);
        board.lost || is_lost || gpu >= listed(&self.machine, faults)
    }

    /// The handle of a GPU.
    pub(crate) fn handle(&self, gpu: usize) -> nvmlDevice_t {
        handle::make(Kind::Device, self.generation, gpu as u32)
    }

    /// The GPU of a handle.
    pub(crate) fn gpu(&self, handle: nvmlDevice_t) -> Result<usize, Refusal> {
        let gpu = handle::number(Kind::Device, self.generation, handle)? as usize;
        if gpu < self.machine.len() { Ok(gpu) } else { Err(Refusal::INVALID_ARGUMENT) }
    }

    /// The handle of a MIG device.
    pub(crate) fn mig_handle(&self, place: MigPlace) -> nvmlDevice_t {
        let MigPlace { gpu, instance, compute } = place;
        let number = (gpu as u32) << (2 * ID_BITS) | instance << ID_BITS | compute;
        handle::make(Kind::MigDevice, self.generation, number)
    }

    /// The MIG device of a handle, which may be gone by now.
    pub(crate) fn mig_place(&self, handle: nvmlDevice_t) -> Result<MigPlace, Refusal> {
        let number = handle::number(Kind::MigDevice, self.generation, handle)?;
        Ok(MigPlace {
            gpu: (number >> (2 * ID_BITS)) as usize,
            instance: number >> ID_BITS & ID_MASK,
            compute: number & ID_MASK,
        })
    }

    /// The handle of a GPU instance.
    pub(crate) fn instance_handle(&self, gpu: usize, id: u32) -> nvmlGpuInstance_t {
        handle::make(Kind::GpuInstance, self.generation, (gpu as u32) << ID_BITS | id)
    }

    /// The GPU of a GPU instance's handle, and its id.
    pub(crate) fn instance(&self, handle: nvmlGpuInstance_t) -> Result<(usize, u32), Refusal> {
        let number = handle::number(Kind::GpuInstance, self.generation, handle)?;
        Ok(((number >> ID_BITS) as usize, number & ID_MASK))
    }
}
