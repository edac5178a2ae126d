//! The source: opens the library, connects to an engine, makes it watch fields, and hands out
//! readers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use model::catalog::Level;
use model::{
    FieldId, Kind as Type, Outdated, Reader, Renew, Session, Source, SourceError, Watch, field,
};

use crate::abi::{self, status};
use crate::address::Address;
use crate::collect::{Collection, Parts};
use crate::engine::{Engine, Log};
use crate::entities::{self, Kind, Listing, Needs};
use crate::error::DcgmError;
use crate::handle::Attempts;
use crate::library::{Api, DEFAULT_NAME};
use crate::plan::{self, Plan};
use crate::reader::{EventReader, GpuReader, MachineReader, Shared};
use crate::watching::{Refused, Watching, XidWatch};
use crate::xids::XidQueue;
use crate::{Code, Handle, health};

/// The most field names in one log line.
const MOST_NAMED: usize = 10;

/// How long a session waits for the pass of an earlier session to end.
const RETIRE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the check for an outdated session waits for a running pass.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// How soon something that the engine refused for now is tried again.
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// How long a session waits for the first values of its GPUs.
const FIRST_NUMBERS: Duration = Duration::from_millis(800);

/// How often links, switches and CPUs are listed. GPUs and instances are listed at every check.
const LIST_ALL_INTERVAL: Duration = Duration::from_secs(10);

/// How DCGM is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The path of the library; `None` for the one that the dynamic linker finds.
    pub library: Option<PathBuf>,
    /// The address of a host engine; `None` to start an engine inside this process.
    pub address: Option<Address>,
    /// The collection interval.
    pub interval: Duration,
    /// Whether the compute instances of a MIG GPU are read too, not only its GPU instances.
    pub compute_instances: bool,
    /// Whether fake GPUs of the engine are read.
    pub fake_gpus: bool,
    /// What an embedded engine logs.
    pub log: Log,
}

/// Reads GPUs through DCGM.
pub struct DcgmSource {
    options: Options,
    api: Option<&'static Api>,
    attempts: Attempts,
    /// The engine inside this process.
    embedded: Option<Arc<Handle>>,
    /// The last session: tells whether an embedded engine can be kept.
    last: Option<Arc<Shared>>,
    /// The watches of XIDs of the last session. They outlive it, so that no XID is missed.
    xid_watches: Vec<Arc<XidWatch>>,
    xids: XidQueue,
    /// Lines that were logged once already.
    logged: BTreeSet<String>,
}

impl DcgmSource {
    /// A source that has not opened anything yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            api: None,
            attempts: Attempts::default(),
            embedded: None,
            last: None,
            xid_watches: Vec::new(),
            xids: XidQueue::default(),
            logged: BTreeSet::new(),
        }
    }

    fn engine(&self) -> Engine {
        match &self.options.address {
            Some(address) => Engine::Remote(address.clone()),
            None => Engine::Embedded(self.options.log.clone()),
        }
    }

    fn api(&mut self) -> Result<&'static Api, DcgmError> {
        if let Some(api) = self.api {
            return Ok(api);
        }
        let name = self.options.library.clone().unwrap_or_else(|| DEFAULT_NAME.into());
        let api = Api::open(&name)?;
        self.api = Some(api);
        Ok(api)
    }

    /// A connection for one session. An engine identifies a watch by its connection and ends it for
    /// all sessions that share the connection. There can be only one embedded engine; it is kept as
    /// long as it answers.
    fn handle(&mut self, engine: &Engine) -> Result<Arc<Handle>, DcgmError> {
        let api = self.api()?;
        // Only a new engine sees a driver that was reloaded.
        let was_alive = self.last.as_ref().is_none_or(|last| {
            let collection = last.idle_collection_within(RETIRE_TIMEOUT);
            collection.is_some_and(|collection| collection.is_alive())
        });
        if let Some(handle) = self.embedded.take() {
            if was_alive && handle.answers() {
                self.embedded = Some(Arc::clone(&handle));
                return Ok(handle);
            }
            self.last = None;
            self.xid_watches.clear();
            if Arc::strong_count(&handle) > 1 && handle.answers() {
                // Readers still use it, and there can be only one.
                self.embedded = Some(Arc::clone(&handle));
                return Ok(handle);
            }
        }
        // A new session with the same engine is not worth a log line; an engine that is back is.
        let is_news = self.last.as_ref().is_none_or(|last| last.handle.is_dead());
        let handle = Arc::new(self.attempts.connect(api, engine)?);
        if is_news {
            let version = handle.version.as_deref().unwrap_or("of an unknown version");
            tracing::info!("connected with {}, DCGM {version}", engine.name());
        }
        if matches!(engine, Engine::Embedded(_)) {
            self.embedded = Some(Arc::clone(&handle));
        }
        Ok(handle)
    }

    /// Ends the watches of the last session, and returns those of XIDs for a session on the same
    /// connection. Its readings stay valid until they are late.
    fn retire_last(&mut self, engine: &Engine, handle: &Arc<Handle>) -> Vec<Arc<XidWatch>> {
        let mut xid_watches = std::mem::take(&mut self.xid_watches);
        xid_watches.retain(|xids| Arc::ptr_eq(xids.watch.raw().0, handle));
        let Some(last) = self.last.take() else { return xid_watches };
        if matches!(engine, Engine::Remote(_)) {
            // The call may wait for an engine that has stopped.
            let end = move || drop(last);
            let _ = thread::Builder::new().name("dcgm end".to_owned()).spawn(end);
        } else if let Some(mut collection) = last.idle_collection_within(RETIRE_TIMEOUT) {
            collection.retire();
        }
        xid_watches
    }

    fn needs(&self, watches: &[Watch]) -> Needs {
        let has = |levels: &[Level]| {
            watches.iter().any(|watch| {
                model::catalog::by_id(watch.field).is_some_and(|row| levels.contains(&row.level))
            })
        };
        Needs {
            compute_instances: self.options.compute_instances,
            links: has(&[Level::Link]),
            switches: has(&[Level::Switch, Level::SwitchLink]),
            cpus: has(&[Level::Cpu, Level::CpuCore]),
            fake_gpus: self.options.fake_gpus,
        }
    }

    fn open(&mut self, watches: &Arc<[Watch]>) -> Result<DcgmSession, DcgmError> {
        let engine = self.engine();
        let handle = self.handle(&engine)?;
        let failed = |code: Code| match code {
            Code::MAX_LIMIT => DcgmError::NoGroupLeft(engine.clone()),
            code => DcgmError::NotListed { engine: engine.clone(), code },
        };
        let needs = self.needs(watches);
        let gpus = entities::gpus(&handle, needs).map_err(failed)?;
        let listed = entities::members(&handle, &gpus, needs).map_err(failed)?;
        let mut members = listed.members.clone();
        entities::name_instances(&handle, &mut members).map_err(failed)?;
        let (interval, api) = (self.options.interval, handle.api);
        let knows = |field| api.knows(field) && !NEVER_SERVED.contains(&FieldId(field));
        let plans: Vec<(Kind, Plan)> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, Plan::of(kind, watches, interval, knows)))
            .collect();
        let xid_watches = self.retire_last(&engine, &handle);
        let watching =
            Watching::begin(&handle, &members, &plans, interval, xid_watches).map_err(failed)?;
        self.log_missing(watches, &watching, &handle);
        let is_passing = |refused: &Refused| refused.code.is_passing();
        let may_pass = watching.refused.iter().any(is_passing)
            || watching.left_out.iter().any(|(_, code)| code.is_passing());
        let of_gpus = watching.left_out.iter().filter(|(key, _)| key.group == abi::entity::GPU);
        let left_out: Vec<u32> = of_gpus.map(|(key, _)| key.id).collect();
        let has = |field: FieldId| watches.iter().any(|watch| watch.field == field);
        let mut wants_health = has(field::EXP_GPU_HEALTH_STATUS);
        if let Some(group) = watching.gpus.as_ref().filter(|_| wants_health)
            && let Err(code) = health::begin(&handle, group, interval)
        {
            // Without the watch, the engine would report every GPU as healthy.
            wants_health = false;
            self.log_once(format!("DCGM_EXP_GPU_HEALTH_STATUS is absent: {code}"));
        }
        // Makes the engine sample now. The call does not wait for the GPUs.
        if let Some(update) = api.update_all {
            // SAFETY: plain numbers.
            let _ = handle.check(unsafe { update(handle.raw, 0) });
        }
        let first = gpus.first().map(|gpu| entities::attributes(&handle, *gpu));
        let driver_version = first.and_then(|first| first.ok()?.driver_version).map(Arc::from);
        let periods = watches.iter().map(|watch| watch.pace.period(interval));
        let tick = periods.fold(interval, Duration::min);
        let mut collection = Collection::new(Parts {
            handle: Arc::clone(&handle),
            plans,
            members,
            watching,
            is_local: engine.is_local(),
            xids: self.xids.clone(),
            wants_health,
            wants_peers: has(field::EXP_P2P_STATUS),
        });
        collection.prime(FIRST_NUMBERS).map_err(failed)?;
        if handle.is_dead() {
            return Err(DcgmError::EngineGone(engine));
        }
        self.xid_watches = collection.xid_watches();
        let shared = Arc::new(Shared::new(handle, gpus, tick, collection));
        self.last = Some(Arc::clone(&shared));
        Ok(DcgmSession {
            shared,
            xids: self.xids.clone(),
            driver_version,
            engine: engine.name(),
            needs,
            listed,
            left_out,
            retry: may_pass.then(|| Instant::now() + RETRY_REFUSED),
            looked: Instant::now(),
            watches: Arc::clone(watches),
        })
    }

    /// Logs once what this engine does not have or does not accept.
    fn log_missing(&mut self, watches: &[Watch], watching: &Watching, handle: &Handle) {
        let visible: Vec<Watch> =
            watches.iter().filter(|watch| watch.kind != Type::Hidden).cloned().collect();
        let unknown = plan::unknown(&visible, |field| handle.api.knows(field));
        if !unknown.is_empty() {
            let version = handle.api.own_version().unwrap_or_else(|| "this release".to_owned());
            let names = named(unknown.into_iter());
            self.log_once(format!("absent, because DCGM {version} does not have them: {names}"));
        }
        let (gpus, others): (Vec<_>, Vec<_>) =
            watching.left_out.iter().partition(|(key, _)| key.group == abi::entity::GPU);
        for (key, code) in gpus {
            self.log_once(format!(
                "GPU {} is absent, because the engine does not accept it: {code}",
                key.id
            ));
        }
        if let Some((_, code)) = others.first() {
            let count = others.len();
            self.log_once(format!("{count} links, instances or others are absent, because the engine does not accept them: {code}"));
        }
        let codes: BTreeSet<i32> = watching.refused.iter().map(|refused| refused.code.0).collect();
        for code in codes {
            let refused = watching.refused.iter().filter(|refused| refused.code.0 == code);
            let names: BTreeSet<&str> = refused
                .filter_map(|refused| {
                    model::catalog::by_id(FieldId(refused.field)).map(|row| row.name)
                })
                .collect();
            let names = named(names.into_iter());
            self.log_once(format!(
                "absent, because the engine does not watch them: {names}: {}",
                Code(code)
            ));
        }
    }

    fn log_once(&mut self, line: String) {
        if self.logged.insert(line.clone()) {
            tracing::warn!("{line}");
        }
    }
}

/// The first names, and the number of the others.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let (shown, rest) = names.split_at(names.len().min(MOST_NAMED));
    match rest.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more; `heatsink check --all` lists them", shown.join(", ")),
    }
}

/// Fields with a DCGM number for which DCGM never has a value: PCIe traffic, and one of NVLink.
const NEVER_SERVED: [FieldId; 3] =
    [field::PCIE_TX_THROUGHPUT, field::PCIE_RX_THROUGHPUT, FieldId(450)];

/// Whether DCGM has a field, or a field from which heatsink computes it.
pub fn serves(id: FieldId) -> bool {
    !NEVER_SERVED.contains(&id) && !field::is_derived(id) && model::catalog::by_id(id).is_some()
}

impl Source for DcgmSource {
    fn name(&self) -> &'static str {
        "dcgm"
    }

    fn serves(&self, field: FieldId) -> bool {
        serves(field)
    }

    fn judges_health(&self) -> bool {
        true
    }

    fn when_all_are_late(&self) -> Option<&'static str> {
        Some(
            "an engine answers for all of its GPUs or for none: all of its GPUs are late. \
             --source nvml reads the driver directly, each GPU by itself",
        )
    }

    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        _: Renew,
    ) -> Result<Box<dyn Session>, SourceError> {
        match self.open(watches) {
            Ok(session) => Ok(Box::new(session)),
            Err(error) => Err(SourceError::new(error.to_string())),
        }
    }
}

struct DcgmSession {
    shared: Arc<Shared>,
    xids: XidQueue,
    driver_version: Option<Arc<str>>,
    engine: String,
    needs: Needs,
    /// The entities that the engine listed; instances without profile names.
    listed: Listing,
    /// GPUs that the engine does not watch.
    left_out: Vec<u32>,
    /// When the things that it refused are tried again.
    retry: Option<Instant>,
    /// When all kinds of entities were last listed.
    looked: Instant,
    watches: Arc<[Watch]>,
}

impl DcgmSession {
    /// Whether the entities have changed.
    fn is_other(&mut self) -> Result<bool, Code> {
        let handle = &self.shared.handle;
        let gpus = entities::gpus(handle, self.needs)?;
        if gpus != self.shared.gpus || self.retry.is_some_and(|at| at <= Instant::now()) {
            return Ok(true);
        }
        for gpu in &self.left_out {
            if matches!(entities::gpu_status(handle, *gpu)?, Some(status::OK | status::FAKE)) {
                return Ok(true);
            }
        }
        let all = self.looked.elapsed() >= LIST_ALL_INTERVAL;
        let needs = match all {
            true => self.needs,
            false => Needs { links: false, switches: false, cpus: false, ..self.needs },
        };
        let now = entities::members(handle, &gpus, needs)?;
        if all {
            self.looked = Instant::now();
        }
        let is_looked_at = |kind| all || matches!(kind, Kind::GpuInstance | Kind::ComputeInstance);
        Ok(now.differs(&self.listed, is_looked_at))
    }
}

impl Session for DcgmSession {
    fn driver_version(&self) -> Option<Arc<str>> {
        self.driver_version.clone()
    }

    fn gpus(&self) -> Vec<u32> {
        self.shared.gpus.clone()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        vec![
            Box::new(GpuReader::new(&self.shared, gpu, &self.watches)),
            Box::new(EventReader::new(&self.xids, gpu)),
        ]
    }

    fn machine_readers(&mut self) -> Vec<Box<dyn Reader>> {
        match self.listed.members.iter().any(|member| member.gpu.is_none()) {
            true => vec![Box::new(MachineReader { shared: Arc::clone(&self.shared) })],
            false => Vec::new(),
        }
    }

    fn outdated(&mut self) -> Option<Outdated> {
        if self.shared.handle.is_dead() {
            return Some(Outdated::Over(format!("{} is gone", self.engine)));
        }
        // A second call to an engine that hangs would hang as well.
        drop(self.shared.idle_collection_within(LOCK_TIMEOUT)?);
        match self.is_other() {
            Ok(false) => None,
            Ok(true) => {
                let why = "the entities of the engine may have changed";
                Some(Outdated::Improvable(why.to_owned()))
            }
            Err(code) if code.is_about_the_engine() => {
                Some(Outdated::Over(format!("{}: {code}", self.engine)))
            }
            Err(code) => {
                tracing::debug!("cannot look for GPUs: {code}");
                None
            }
        }
    }
}
