//! The library's state: its settings, its engines, and the handles of its clients.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use fake_nvml::control_file::{ControlFile, POLL};

use crate::{
    engine::{Engine, Mode, Setup},
    equipment::Equipment,
    fields::Fields,
    groups::Client,
    sampler,
    settings::Settings,
    status::Status,
    warn,
};

/// A C library has no other place for state than a static.
static LIBRARY: Mutex<Library> = Mutex::new(Library {
    setup: None,
    last: 0,
    handles: BTreeMap::new(),
    embedded: None,
    remote: None,
});

struct Library {
    /// Read once, because callers keep pointers to its fields.
    setup: Option<Arc<Setup>>,
    last: usize,
    handles: BTreeMap<usize, Handle>,
    embedded: Option<Arc<Engine>>,
    /// The host engine that is connected to. It outlives every handle.
    remote: Option<Arc<Engine>>,
}

#[derive(Clone)]
struct Handle {
    engine: Arc<Engine>,
    /// Whether it works at all.
    works: bool,
}

/// How long an engine that starts may take to look at its GPUs before clients get at it.
const START: Duration = Duration::from_secs(2);

/// How long connecting may take if the caller does not say.
const CONNECT: Duration = Duration::from_secs(5);

fn library() -> MutexGuard<'static, Library> {
    LIBRARY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Library {
    fn add(&mut self, engine: Arc<Engine>, works: bool) -> usize {
        self.last += 1;
        self.handles.insert(self.last, Handle { engine, works });
        self.last
    }
}

/// `dcgmInit`.
pub(crate) fn init() {
    library().setup.get_or_insert_with(|| {
        let settings = Settings::from_environment();
        let equipment = settings.equipment.as_deref().map_or_else(Equipment::default, |path| {
            Equipment::read(path).unwrap_or_else(|error| {
                warn(&format!("{}: {error}", path.display()));
                Equipment::default()
            })
        });
        let control_file = ControlFile::new("fake-dcgm", settings.control.clone());
        let fields = Fields::new(&settings, &equipment);
        Arc::new(Setup { settings, control_file, equipment, fields })
    });
}

/// What was read from the environment.
pub(crate) fn setup() -> Result<Arc<Setup>, Status> {
    library().setup.clone().ok_or(Status::UNINITIALIZED)
}

/// Connects to the host engine, within `timeout` if it is down; while it is stopped, this waits
/// without a limit.
pub(crate) fn connect(timeout: Option<Duration>) -> Result<usize, Status> {
    let setup = setup()?;
    let deadline = Instant::now() + timeout.unwrap_or(CONNECT);
    let (engine, works) = loop {
        let faults = setup.faults();
        if faults.stopped {
            thread::sleep(POLL);
        } else if faults.down {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Status::CONNECTION_NOT_VALID);
            }
            thread::sleep(left.min(POLL));
        } else {
            break (remote(&setup)?, !faults.dead_handle);
        }
    };
    engine.wait_for_first_round(START);
    Ok(library().add(engine, works))
}

/// The host engine: a new one if the last one is dead.
fn remote(setup: &Arc<Setup>) -> Result<Arc<Engine>, Status> {
    let mut library = library();
    let alive = library.remote.as_ref().filter(|engine| {
        engine.faults();
        !engine.is_dead()
    });
    if let Some(engine) = alive {
        return Ok(Arc::clone(engine));
    }
    let engine = sampler::start(Arc::clone(setup), Mode::Remote)?;
    library.remote = Some(Arc::clone(&engine));
    Ok(engine)
}

/// Starts the engine of this process. There can be only one.
pub(crate) fn start_embedded() -> Result<usize, Status> {
    let setup = setup()?;
    let engine = {
        let mut library = library();
        if library.embedded.as_ref().is_some_and(|engine| !engine.is_dead()) {
            return Err(Status::ALREADY_INITIALIZED);
        }
        let engine = sampler::start(setup, Mode::Embedded)?;
        library.embedded = Some(Arc::clone(&engine));
        engine
    };
    engine.wait_for_first_round(START);
    Ok(library().add(engine, true))
}

/// Ends the engine in this process.
pub(crate) fn stop_embedded(handle: usize) -> Result<(), Status> {
    setup()?;
    let mut library = library();
    let engine = library.handles.get(&handle).map(|handle| Arc::clone(&handle.engine));
    let engine = engine.filter(|engine| engine.mode != Mode::Remote).ok_or(Status::BAD_PARAM)?;
    library.handles.remove(&handle);
    library.embedded = None;
    drop(library);
    engine.end();
    Ok(())
}

/// Gives a handle back, and with it all that was made through it.
pub(crate) fn disconnect(handle: usize) -> Result<(), Status> {
    let result = call(handle, |engine, client| {
        engine.forget(client);
        Ok(())
    });
    library().handles.remove(&handle);
    result
}

/// What every call on a handle passes through first.
pub(crate) fn call<T>(
    handle: usize,
    serve: impl FnOnce(&Engine, Client) -> Result<T, Status>,
) -> Result<T, Status> {
    let setup = setup()?;
    let client = handle;
    let Handle { engine, works } = {
        let library = library();
        library.handles.get(&client).cloned().ok_or(Status::CONNECTION_NOT_VALID)?
    };
    let began = Instant::now();
    let mut faults = engine.faults();
    while engine.is_stopped(&faults) && !engine.is_dead() {
        if began.elapsed() >= setup.settings.hang {
            return Err(Status::TIMEOUT);
        }
        thread::sleep(POLL);
        faults = engine.faults();
    }
    if engine.is_dead() || !works {
        return Err(Status::CONNECTION_NOT_VALID);
    }
    serve(&engine, client)
}
