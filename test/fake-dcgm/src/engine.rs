//! An engine: its state, and what its clients can ask it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use fake_nvml::control_file::ControlFile;

use crate::{
    entity::EntityId,
    equipment::Equipment,
    faults::Faults,
    fields::Fields,
    gpu::{Gpu, state},
    groups::{Client, Groups},
    settings::Settings,
    status::Status,
    watches::{Sample, TICK, Watcher, Watches, ticks},
};

/// What the process reads from its environment once, for all engines.
pub(crate) struct Setup {
    pub settings: Settings,
    pub control_file: ControlFile<Faults>,
    pub equipment: Equipment,
    pub fields: Fields,
}

impl Setup {
    /// The faults in force.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        self.control_file.commands(|_| ())
    }
}

/// Where an engine runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// A host engine, which clients connect to.
    Remote,
    /// In the process of its client.
    Embedded,
}

/// An engine. Its threads end once it is dead, if the driver lets them.
pub(crate) struct Engine {
    pub setup: Arc<Setup>,
    pub mode: Mode,
    /// The number of the restart that it came after.
    restart: Option<u64>,
    epoch: Instant,
    dead: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

/// What an engine knows.
#[derive(Default)]
pub(crate) struct State {
    pub groups: Groups,
    pub watches: Watches,
    pub gpus: Vec<Gpu>,
    /// The subsystems whose health is watched, by group.
    pub health: BTreeMap<usize, u32>,
    /// How many XIDs of each GPU it has found in the kernel's log.
    pub logged_xids: BTreeMap<u32, usize>,
    /// How many rounds of sampling were requested, and how many of these have ended.
    pub rounds_requested: u64,
    pub rounds_done: u64,
    /// Whether any round has ended.
    pub sampled: bool,
}

/// The answer to a client about one field of one entity.
pub(crate) struct Answer {
    pub entity: EntityId,
    pub field: u16,
    pub result: Result<Sample, Status>,
}

impl Engine {
    /// An engine that nothing samples yet.
    pub(crate) fn new(setup: Arc<Setup>, mode: Mode) -> Self {
        Self {
            restart: setup.faults().restart,
            setup,
            mode,
            epoch: Instant::now(),
            dead: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Release);
        let _state = self.state();
        self.changed.notify_all();
    }

    /// The faults in force. An engine that was killed or restarted on command is dead.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        let faults = self.setup.faults();
        let restarted = faults.restart.is_some() && faults.restart != self.restart;
        if self.mode == Mode::Remote && (faults.down || restarted) && !self.is_dead() {
            self.end();
        }
        faults
    }

    /// Whether it neither samples nor answers.
    pub(crate) fn is_stopped(&self, faults: &Faults) -> bool {
        self.mode == Mode::Remote && faults.stopped
    }

    /// The engine's clock, in microseconds since 1970.
    pub(crate) fn clock(&self, faults: &Faults) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add(faults.clock_us)
    }

    /// How many ticks ago it began.
    pub(crate) fn tick(&self) -> u64 {
        (self.epoch.elapsed().as_nanos() / TICK.as_nanos()) as u64
    }

    /// Waits until the next tick, or until a round is requested.
    pub(crate) fn wait(&self, tick: u64) {
        let next = self.epoch + TICK * u32::try_from(tick + 1).unwrap_or(u32::MAX);
        let pause = next.saturating_duration_since(Instant::now());
        let is_idle =
            |state: &mut State| state.rounds_requested == state.rounds_done && !self.is_dead();
        let waited = self.changed.wait_timeout_while(self.state(), pause, is_idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that a round has ended that began when `requested` rounds had been requested.
    pub(crate) fn end_round(&self, requested: u64) {
        let mut state = self.state();
        state.rounds_done = state.rounds_done.max(requested);
        state.sampled = true;
        self.changed.notify_all();
    }

    /// Waits until it has looked at its GPUs once, if that does not take too long.
    pub(crate) fn wait_for_first_round(&self, longest: Duration) {
        let is_new = |state: &mut State| !state.sampled && !self.is_dead();
        let waited = self.changed.wait_timeout_while(self.state(), longest, is_new);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Samples now all that is watched.
    pub(crate) fn update(&self, wait: bool) -> Result<(), Status> {
        let mut state = self.state();
        state.rounds_requested += 1;
        let mine = state.rounds_requested;
        self.changed.notify_all();
        if !wait {
            return Ok(());
        }
        let is_pending = |state: &mut State| state.rounds_done < mine && !self.is_dead();
        let waited = self.changed.wait_timeout_while(state, self.setup.settings.hang, is_pending);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.rounds_done >= mine {
            true => Ok(()),
            false if self.is_dead() => Err(Status::CONNECTION_NOT_VALID),
            false => Err(Status::TIMEOUT),
        }
    }

    /// All entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<EntityId> {
        let state = self.state();
        let mut entities: Vec<EntityId> =
            state.gpus.iter().flat_map(|gpu| gpu.entities(of)).collect();
        entities.extend(self.setup.equipment.entities(of));
        entities
    }

    /// Whether there is such an entity.
    pub(crate) fn has(&self, entity: EntityId) -> bool {
        match entity.as_link() {
            // Which of its links a GPU has may not be known yet.
            Some((owner, _)) => self.entities(owner.kind).contains(&owner),
            None => entity == EntityId::MACHINE || self.entities(entity.kind).contains(&entity),
        }
    }

    /// What is in a group.
    pub(crate) fn group(&self, group: usize) -> Result<Vec<EntityId>, Status> {
        self.state().groups.entities(group).map(<[EntityId]>::to_vec)
    }

    /// Watches the fields of a group on the entities of another. Those that cannot be watched leave
    /// the others watched.
    pub(crate) fn watch(
        &self,
        client: Client,
        (group, field_group): (usize, usize),
        micros: i64,
    ) -> Result<(), Status> {
        if micros <= 0 {
            return Err(Status::BAD_PARAM);
        }
        let faults = self.faults();
        let entities = self.group(group)?;
        let mut state = self.state();
        let fields = state.groups.fields(field_group)?.to_vec();
        let watcher = Watcher { client, group, field_group, every: ticks(micros) };
        for field in fields.iter().filter(|field| !faults.is_unsupported(**field)) {
            for entity in &entities {
                state.watches.watch(self.key(*entity, *field), watcher);
            }
        }
        match fields.iter().any(|field| faults.is_unsupported(*field)) {
            true => Err(Status::MODULE_NOT_LOADED),
            false => Ok(()),
        }
    }

    /// Takes back a watch.
    pub(crate) fn unwatch(
        &self,
        client: Client,
        group: usize,
        field_group: usize,
    ) -> Result<(), Status> {
        let mut state = self.state();
        let fields = state.groups.fields(field_group)?.to_vec();
        let entities = state.groups.entities(group)?.to_vec();
        for entity in entities {
            for field in &fields {
                state.watches.unwatch(self.key(entity, *field), client);
            }
        }
        Ok(())
    }

    /// Forgets a client and all that it made.
    pub(crate) fn forget(&self, client: Client) {
        let mut state = self.state();
        state.groups.forget(client);
        state.watches.drop_watchers(|watcher| watcher.client == client);
    }

    /// The newest value of each field of each entity.
    pub(crate) fn latest(&self, entities: &[EntityId], fields: &[u16]) -> Vec<Answer> {
        let faults = self.faults();
        let state = self.state();
        let each = entities.iter().flat_map(|entity| fields.iter().map(|field| (*entity, *field)));
        each.map(|(entity, field)| {
            let samples = state.watches.samples(self.key(entity, field));
            let samples = samples.filter(|_| !faults.is_unsupported(field));
            let result = match samples.map(|samples| samples.back()) {
                None => Err(Status::NOT_WATCHED),
                Some(None) => Err(Status::NO_DATA),
                Some(Some(sample)) => Ok(sample.clone()),
            };
            Answer { entity, field, result }
        })
        .collect()
    }

    /// Every value since a moment, and a placeholder for each field of each entity without one.
    pub(crate) fn since(&self, entities: &[EntityId], fields: &[u16], since: i64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for answer in self.latest(entities, fields) {
            let Answer { entity, field, ref result } = answer;
            if result.is_err() {
                answers.push(answer);
                continue;
            }
            let state = self.state();
            let before = answers.len();
            for sample in state.watches.samples(self.key(entity, field)).into_iter().flatten() {
                if sample.at >= since {
                    answers.push(Answer { entity, field, result: Ok(sample.clone()) });
                }
            }
            if answers.len() == before {
                answers.push(Answer { entity, field, result: Err(Status::NO_DATA) });
            }
        }
        answers
    }

    /// Why an entity cannot be put into a group: a GPU can only while its status is OK or fake.
    pub(crate) fn refusal(&self, entity: EntityId) -> Option<Status> {
        let faults = self.faults();
        let known = self.state();
        let gpu = known.gpus.iter().find(|gpu| entity == EntityId::gpu(gpu.index))?;
        match gpu.state(faults.gpu(gpu.index)) {
            state::OK | state::FAKE => None,
            state::LOST => Some(Status::GPU_IS_LOST),
            _ => Some(Status::BAD_PARAM),
        }
    }

    /// Where samples of a field of an entity are kept: what is true of the machine is kept once.
    fn key(&self, entity: EntityId, field: u16) -> (EntityId, u16) {
        let global = self.setup.fields.get(field).is_some_and(|field| field.is_global());
        (if global { EntityId::MACHINE } else { entity }, field)
    }
}
