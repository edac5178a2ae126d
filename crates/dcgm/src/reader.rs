//! The readers of a session: one for each GPU, one for the XIDs of each GPU, and one for what
//! belongs to no GPU. They share one collection: the first reader at a tick fetches everything, and
//! the others wait for it and take their part. A call that hangs makes all GPUs late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use model::{
    Entity, FieldId, Health, Identity, PartIndex, Pass, Reader, ReaderKind, Readings, Reason,
    SlotIndex, Watch, WatchIndex, XidEvent,
};

use crate::Handle;
use crate::abi::status;
use crate::collect::{Collection, EntityValues};
use crate::entities::{self, Kind};
use crate::peers;
use crate::xids::XidQueue;

/// What the readers of a session share.
pub(crate) struct Shared {
    pub(crate) handle: Arc<Handle>,
    pub(crate) gpus: Vec<u32>,
    /// The time from one tick to the next: the shortest period of any watch.
    tick: Duration,
    /// The watch of each slot of a GPU.
    watches: Arc<[WatchIndex]>,
    collection: Mutex<Collection>,
    identities: Mutex<BTreeMap<u32, Arc<Identity>>>,
}

impl Shared {
    pub(crate) fn new(
        handle: Arc<Handle>,
        gpus: Vec<u32>,
        tick: Duration,
        collection: Collection,
    ) -> Self {
        let plan = collection.plans.iter().find(|(kind, _)| *kind == Kind::Gpu);
        let watches = plan.map(|(_, plan)| Arc::clone(&plan.watches)).unwrap_or_default();
        Self {
            handle,
            gpus,
            tick,
            watches,
            collection: Mutex::new(collection),
            identities: Mutex::default(),
        }
    }

    /// The collection. Waits while another reader fetches.
    pub(crate) fn collection(&self) -> MutexGuard<'_, Collection> {
        self.collection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The collection, unless a reader is fetching.
    pub(crate) fn idle_collection(&self) -> Option<MutexGuard<'_, Collection>> {
        match self.collection.try_lock() {
            Ok(collection) => Some(collection),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The collection, as soon as no reader is fetching; `None` after `timeout`. A pass is short,
    /// unless the engine hangs.
    pub(crate) fn idle_collection_within(
        &self,
        timeout: Duration,
    ) -> Option<MutexGuard<'_, Collection>> {
        let began = Instant::now();
        loop {
            let idle = self.idle_collection();
            if idle.is_some() || began.elapsed() >= timeout {
                return idle;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The collection, refreshed at this tick.
    fn refreshed(&self, pass: &Pass) -> Result<MutexGuard<'_, Collection>, Reason> {
        let mut collection = self.collection();
        collection.refresh(pass, self.tick).map(|()| collection)
    }

    /// The identity of a GPU. It does not change during a session.
    pub(crate) fn identity(&self, gpu: u32) -> Result<Arc<Identity>, Reason> {
        let identities = || self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        // Not locked during a call to the engine.
        let known = identities().get(&gpu).map(Arc::clone);
        if let Some(identity) = known {
            return Ok(identity);
        }
        let found = entities::attributes(&self.handle, gpu).map_err(|code| code.reason())?;
        let entities::Attributes { uuid, pci_bus_id, name: model_name, .. } = found;
        if uuid.is_none() && pci_bus_id.is_none() {
            // The engine has never read this GPU.
            let status = entities::gpu_status(&self.handle, gpu).map_err(|code| code.reason())?;
            let is_lost =
                matches!(status, Some(status::LOST | status::INACCESSIBLE | status::DETACHED));
            return Err(if is_lost { Reason::Lost } else { Reason::Failed });
        }
        let identity =
            Arc::new(Identity { index: Some(gpu), uuid, pci_bus_id, model_name, minor: None });
        identities().insert(gpu, Arc::clone(&identity));
        Ok(identity)
    }
}

/// Reads one GPU: takes its part of the collection.
pub(crate) struct GpuReader {
    shared: Arc<Shared>,
    gpu: u32,
    watches: Arc<[WatchIndex]>,
    peer_watches: Arc<[WatchIndex]>,
    health: Option<Vec<Health>>,
}

impl GpuReader {
    pub(crate) fn new(shared: &Arc<Shared>, gpu: u32, watches: &[Watch]) -> Self {
        let is_peer = |field: FieldId| field == peers::FIELD;
        let peer_states = WatchIndex::enumerate(watches).filter(|(_, watch)| is_peer(watch.field));
        Self {
            gpu,
            watches: Arc::clone(&shared.watches),
            peer_watches: peer_states.map(|(index, _)| index).collect(),
            health: None,
            shared: Arc::clone(shared),
        }
    }
}

impl Reader for GpuReader {
    fn name(&self) -> &'static str {
        "main"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Main
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        Arc::clone(&self.watches)
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.shared.identity(self.gpu).map(Some)
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let mut collection = self.shared.refreshed(&pass)?;
        collection.state_of(self.gpu)?;
        if let Some(health) = collection.take_health(self.gpu) {
            self.health = Some(health);
        }
        copy(&collection, out, |kept| kept.member.gpu == Some(self.gpu));
        if self.peer_watches.is_empty() {
            return Ok(());
        }
        let mine = collection.peer_states.iter().filter(|peer| peer.from == self.gpu);
        // The states are readings of each peer, not of the GPU itself.
        let reason =
            if collection.peer_states.is_empty() { Reason::NotSupported } else { Reason::NoData };
        let own = collection.plans.iter().find(|(kind, _)| *kind == Kind::Gpu);
        for slot in own.map(|(_, plan)| &plan.peer_states[..]).unwrap_or_default() {
            out.set(*slot, Err(reason));
        }
        for peer in mine {
            let part = out.part(&Entity::Peer(peer.to), &self.peer_watches);
            // For a peer that does not answer, engines report an unknown state.
            let state = collection.state_of(peer.to).and_then(|()| peer.state.clone());
            for slot in SlotIndex::all(self.peer_watches.len()) {
                out.set_in(part, slot, state.clone());
            }
        }
        Ok(())
    }

    fn take_health(&mut self) -> Option<Vec<Health>> {
        self.health.take()
    }
}

/// How long one wait for XIDs lasts.
const WAIT: Duration = Duration::from_millis(500);

/// Takes the XIDs of one GPU from the queue. It makes no call to the engine, so it never hangs.
pub(crate) struct EventReader {
    queue: XidQueue,
    gpu: u32,
    /// Whether the first read, which does not wait, is done.
    looked: bool,
    xids: Vec<XidEvent>,
}

impl EventReader {
    pub(crate) fn new(queue: &XidQueue, gpu: u32) -> Self {
        Self { queue: queue.clone(), gpu, looked: false, xids: Vec::new() }
    }
}

impl Reader for EventReader {
    fn name(&self) -> &'static str {
        "events"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Events
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        // Events are not readings, so the reader can outlive its plan.
        Arc::default()
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        Ok(None)
    }

    fn read(&mut self, _: Pass, _: &mut Readings) -> Result<(), Reason> {
        let wait = if self.looked { WAIT } else { Duration::ZERO };
        self.looked = true;
        self.xids.extend(self.queue.wait(self.gpu, wait));
        Ok(())
    }

    fn delivers_xids(&self) -> bool {
        self.queue.is_listening()
    }

    fn take_xids(&mut self) -> Vec<XidEvent> {
        std::mem::take(&mut self.xids)
    }
}

/// Reads NVSwitches and CPUs.
pub(crate) struct MachineReader {
    pub(crate) shared: Arc<Shared>,
}

impl Reader for MachineReader {
    fn name(&self) -> &'static str {
        "switches and CPUs"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Background
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        Arc::default()
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        Ok(None)
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let collection = self.shared.refreshed(&pass)?;
        copy(&collection, out, |kept| kept.member.gpu.is_none());
        Ok(())
    }
}

/// Copies the latest values of some entities.
fn copy(collection: &Collection, out: &mut Readings, which: impl Fn(&EntityValues) -> bool) {
    for kept in collection.kept.iter().filter(|kept| which(kept)) {
        let plan = &collection.plans[kept.plan].1;
        let part = match &kept.member.entity {
            Entity::Gpu => PartIndex::GPU,
            entity => out.part(entity, &plan.watches),
        };
        for (number, field) in plan.fields.iter().enumerate() {
            for (slot, _) in &field.targets {
                out.set_every_in(part, *slot, kept.slower(number, plan.periods[slot.0]));
            }
        }
        for (slot, known) in SlotIndex::all(kept.readings.len()).zip(&kept.readings) {
            if let Some(at) = known.at {
                out.set_sampled_in(part, slot, known.reading.clone(), at);
            }
        }
    }
}
