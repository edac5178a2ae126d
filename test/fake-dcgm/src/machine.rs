//! The GPUs of an engine: the session with the driver library, and the readers of each GPU.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use model::field;
use model::{FieldId, Kind, Pace, Renew, Session, Source, Watch};
use nvml::{NvmlSource, Options};

use crate::{engine::Engine, gpu::Gpu, listener, readers::Readers, warn};

/// Fields that are read without a watch: identities, sizes, links and P2P states of GPUs.
const ALWAYS: [FieldId; 11] = [
    field::DRIVER_VERSION,
    field::NAME,
    field::BRAND,
    field::SERIAL,
    field::UUID,
    field::PCI_BUSID,
    field::VBIOS_VERSION,
    field::GPU_TEMP,
    field::FB_USED,
    FieldId(1508),
    field::EXP_P2P_STATUS,
];

/// From one try to open the driver library to the next, and from one look at what it lists to the
/// next.
const RETRY: Duration = Duration::from_millis(200);

/// How long watches are collected before the driver library is opened for them.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// The GPUs, as an engine's own thread reads them.
pub(crate) struct Machine {
    source: Option<NvmlSource>,
    session: Option<Box<dyn Session>>,
    pub gpus: Vec<(Gpu, Readers)>,
    /// The fields of the session's watches, ascending.
    fields: Vec<FieldId>,
    /// Those of them that are texts and always read, with their positions.
    pub texts: Vec<(u16, usize)>,
    tried: Option<Instant>,
    looked: Instant,
    /// Since when fields are watched that the session does not read.
    grown: Option<Instant>,
    /// By GPU: set when its listener shall end.
    listeners: Vec<Arc<AtomicBool>>,
}

impl Machine {
    pub(crate) fn new(engine: &Engine) -> Self {
        let path = engine.setup.settings.nvml.clone();
        if path.is_none() {
            warn("FAKE_DCGM_NVML is not set, so there are no GPUs");
        }
        let options = Options {
            compute_instances: true,
            // Where the fake driver has its files, if it has any.
            root: std::env::var_os("FAKE_NVML_ROOT").map_or_else(|| "/".into(), PathBuf::from),
        };
        Self {
            source: path.map(|path| NvmlSource::new(Some(path), options)),
            session: None,
            gpus: Vec::new(),
            fields: Vec::new(),
            texts: Vec::new(),
            tried: None,
            looked: Instant::now(),
            grown: None,
            listeners: Vec::new(),
        }
    }

    /// The position of a field among the session's watches.
    pub(crate) fn position(&self, field: u16) -> Option<usize> {
        self.fields.binary_search(&FieldId(field)).ok()
    }

    /// Opens the driver library if there is no session, if the GPUs have changed, or if clients watch
    /// more fields; `at_once` without a pause. Returns whether it did.
    pub(crate) fn refresh(&mut self, engine: &Arc<Engine>, at_once: bool) -> bool {
        let outdated = self.looked.elapsed() >= RETRY && {
            self.looked = Instant::now();
            self.session.as_mut().is_some_and(|session| session.outdated().is_some())
        };
        if outdated {
            self.close();
        }
        let fields = fields_to_read(engine);
        let grown = fields.iter().any(|field| self.fields.binary_search(field).is_err());
        self.grown = if grown { self.grown.or(Some(Instant::now())) } else { None };
        let is_time = match &self.session {
            None => self.tried.is_none_or(|at| at_once || outdated || at.elapsed() >= RETRY),
            Some(_) => self.grown.is_some_and(|at| at_once || at.elapsed() >= DEBOUNCE),
        };
        if is_time {
            self.connect(engine, fields);
        }
        self.listen(engine);
        is_time
    }

    fn close(&mut self) {
        self.stop_listeners();
        self.gpus.clear();
        self.session = None;
    }

    fn connect(&mut self, engine: &Engine, fields: Vec<FieldId>) {
        self.tried = Some(Instant::now());
        let watches: Arc<[Watch]> = fields.iter().filter_map(|field| watch(*field)).collect();
        let renew = if self.session.is_some() { Renew::Watches } else { Renew::Driver };
        let session = self.source.as_mut().and_then(|source| source.connect(&watches, renew).ok());
        let known = std::mem::take(&mut self.gpus).into_iter().map(|(gpu, _)| gpu);
        let mut known: Vec<Gpu> = known.collect();
        if let Some(mut session) = session {
            for index in session.gpus() {
                let readers = Readers::new(session.readers(index));
                let old = known.iter().position(|gpu| gpu.index == index);
                let gpu = old.map_or_else(|| Gpu::new(index), |old| known.swap_remove(old));
                self.gpus.push((gpu, readers));
            }
            self.session = Some(session);
            self.fields = fields;
            self.grown = None;
            self.texts = ALWAYS
                .iter()
                .filter(|field| watch(**field).is_some_and(|watch| watch.kind == Kind::Label))
                .filter_map(|field| Some((field.0, self.position(field.0)?)))
                .collect();
        } else {
            self.close();
        }
        engine.state().gpus = self.gpus.iter().map(|(gpu, _)| gpu.clone()).collect();
    }

    /// Listens for XIDs once they are watched: only then does an engine register for them. A listener
    /// outlives its session, unless the GPUs change.
    fn listen(&mut self, engine: &Arc<Engine>) {
        let is_watched = || engine.state().watches.fields().contains(&field::XID_ERRORS.0);
        if self.gpus.is_empty() || !self.listeners.is_empty() || !is_watched() {
            return;
        }
        for (gpu, readers) in &mut self.gpus {
            let Some(reader) = readers.waiting.take() else { continue };
            let ended = Arc::new(AtomicBool::new(false));
            listener::start(Arc::clone(engine), gpu.index, reader, Arc::clone(&ended));
            self.listeners.push(ended);
        }
    }

    fn stop_listeners(&mut self) {
        self.listeners.drain(..).for_each(|ended| ended.store(true, Ordering::Release));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop_listeners();
    }
}

/// All fields to read, ascending, each once.
fn fields_to_read(engine: &Engine) -> Vec<FieldId> {
    let mut fields: Vec<FieldId> =
        engine.state().watches.fields().into_iter().map(FieldId).collect();
    fields.extend(ALWAYS);
    fields.retain(|field| model::catalog::by_id(*field).is_some() && !NEVER_READ.contains(field));
    fields.sort();
    fields.dedup();
    fields
}

/// PCIe traffic: DCGM has field numbers for it, and never reads it, since the driver takes 20 ms for each.
pub(crate) const NEVER_READ: [FieldId; 2] = [FieldId(200), FieldId(201)];

fn watch(field: FieldId) -> Option<Watch> {
    let row = model::catalog::by_id(field)?;
    Some(Watch {
        field,
        name: row.name.into(),
        kind: row.kind,
        help: "".into(),
        pace: Pace::Every,
        cumulative: row.is_cumulative(),
    })
}
