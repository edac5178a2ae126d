//! The library's state: what `dcgmInit` begins, and the handles that it has given out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{Engine, Mode, Setup},
    equipment::Equipment,
    fields::Fields,
    groups::Client,
    look::{Look, POLL, complain},
    settings::Settings,
    status::Status,
};

/// A C library has no other place than a static for what its first call begins.
static LIBRARY: Mutex<Library> = Mutex::new(Library {
    references: 0,
    setup: None,
    last: 0,
    handles: BTreeMap::new(),
    embedded: None,
    remote: None,
});

struct Library {
    /// Calls of `dcgmInit` less those of `dcgmShutdown`.
    references: usize,
    /// Read once: what it says of fields is handed out for good.
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
    let mut library = library();
    library.references += 1;
    library.setup.get_or_insert_with(|| {
        let settings = Settings::from_environment();
        let equipment = settings.equipment.as_deref().map_or_else(Equipment::default, |path| {
            Equipment::read(path).unwrap_or_else(|error| {
                complain(&format!("{}: {error}", path.display()));
                Equipment::default()
            })
        });
        let look = Look::new(settings.control.clone());
        let fields = Fields::new(&settings, &equipment);
        Arc::new(Setup { settings, look, equipment, fields })
    });
}

/// `dcgmShutdown`. The last one takes all handles along; threads of engines may live on.
pub(crate) fn shut_down() -> Result<(), Status> {
    let mut library = library();
    library.references = library.references.checked_sub(1).ok_or(Status::UNINITIALIZED)?;
    if library.references == 0 {
        if let Some(embedded) = library.embedded.take() {
            embedded.end();
        }
        for (client, handle) in std::mem::take(&mut library.handles) {
            handle.engine.forget(client);
        }
    }
    Ok(())
}

/// What was read from the environment.
pub(crate) fn setup() -> Result<Arc<Setup>, Status> {
    let library = library();
    let setup = library.setup.as_ref().filter(|_| library.references > 0);
    setup.cloned().ok_or(Status::UNINITIALIZED)
}

/// Connects to the host engine, within `timeout` if it is down; if it stands still, this waits for
/// as long as it does.
pub(crate) fn connect(timeout: Option<Duration>) -> Result<usize, Status> {
    let setup = setup()?;
    let deadline = Instant::now() + timeout.unwrap_or(CONNECT);
    thread::sleep(setup.look.orders().slow);
    let (engine, works) = loop {
        let orders = setup.look.orders();
        if orders.stopped {
            thread::sleep(POLL);
        } else if orders.down {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Status::CONNECTION_NOT_VALID);
            }
            thread::sleep(left.min(POLL));
        } else {
            break (remote(&setup)?, !orders.dead_handle);
        }
    };
    engine.wait_for_first_round(START);
    Ok(library().add(engine, works))
}

/// The host engine: a new one if the last one is dead.
fn remote(setup: &Arc<Setup>) -> Result<Arc<Engine>, Status> {
    let mut library = library();
    let alive = library.remote.as_ref().filter(|engine| {
        engine.orders();
        !engine.is_dead()
    });
    if let Some(engine) = alive {
        return Ok(Arc::clone(engine));
    }
    let engine = Engine::start(setup, Mode::Remote)?;
    library.remote = Some(Arc::clone(&engine));
    Ok(engine)
}

/// Starts an engine in this process, of which there can be one.
pub(crate) fn start_embedded(mode: Mode) -> Result<usize, Status> {
    let setup = setup()?;
    thread::sleep(setup.look.orders().slow);
    let engine = {
        let mut library = library();
        if library.embedded.as_ref().is_some_and(|engine| !engine.is_dead()) {
            return Err(Status::ALREADY_INITIALIZED);
        }
        let engine = Engine::start(&setup, mode)?;
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
    let mut orders = engine.orders();
    thread::sleep(orders.slow);
    while engine.is_stopped(&orders) && !engine.is_dead() {
        if began.elapsed() >= setup.settings.hang {
            return Err(Status::TIMEOUT);
        }
        thread::sleep(POLL);
        orders = engine.orders();
    }
    if engine.is_dead() || !works {
        return Err(Status::CONNECTION_NOT_VALID);
    }
    serve(&engine, client)
}
