//! An engine: what it knows, and what its clients can ask of it.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    equipment::Equipment,
    fields::Fields,
    gpu::{Gpu, state},
    groups::{Client, Groups},
    look::Look,
    orders::Orders,
    pair::{Pair, kind},
    sampler,
    settings::Settings,
    status::Status,
    watches::{Sample, TICK, Watcher, Watches, ticks},
};

/// What the process reads from its environment once, for all engines.
pub(crate) struct Setup {
    pub settings: Settings,
    pub look: Look,
    pub equipment: Equipment,
    pub fields: Fields,
}

/// Where an engine runs, and what makes it sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Elsewhere, as far as clients can tell.
    Remote,
    /// In the process of its client, at its own pace.
    Embedded,
    /// In the process of its client, when that asks for it.
    Manual,
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
    pub health: std::collections::BTreeMap<usize, u32>,
    /// How many XIDs of each GPU it has found in the kernel's log.
    pub printed: std::collections::BTreeMap<u32, usize>,
    /// How many rounds of sampling were asked for, and which of these have ended.
    pub wanted: u64,
    pub served: u64,
    /// Whether any round has ended.
    pub sampled: bool,
}

/// What a client gets to know of one field of one entity.
pub(crate) struct Answer {
    pub pair: Pair,
    pub field: u16,
    pub result: Result<Sample, Status>,
}

impl Engine {
    /// An engine, running.
    pub(crate) fn start(setup: &Arc<Setup>, mode: Mode) -> Result<Arc<Self>, Status> {
        let engine = Arc::new(Self {
            setup: Arc::clone(setup),
            mode,
            restart: setup.look.orders().restart,
            epoch: Instant::now(),
            dead: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        sampler::start(Arc::clone(&engine)).map_err(|_| Status::GENERIC_ERROR)?;
        Ok(engine)
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

    /// What goes wrong at present. An engine that was killed or restarted on command is dead.
    pub(crate) fn orders(&self) -> Arc<Orders> {
        let orders = self.setup.look.orders();
        let restarted = orders.restart.is_some() && orders.restart != self.restart;
        if self.mode == Mode::Remote && (orders.down || restarted) && !self.is_dead() {
            self.end();
        }
        orders
    }

    /// Whether it stands still and answers nobody.
    pub(crate) fn is_stopped(&self, orders: &Orders) -> bool {
        self.mode == Mode::Remote && orders.stopped
    }

    /// The engine's clock, in microseconds since 1970.
    pub(crate) fn clock(&self, orders: &Orders) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add(orders.clock_us)
    }

    /// How many ticks ago it began.
    pub(crate) fn tick(&self) -> u64 {
        (self.epoch.elapsed().as_nanos() / TICK.as_nanos()) as u64
    }

    /// Waits until the next tick, or until somebody wants a round.
    pub(crate) fn wait(&self, tick: u64) {
        let next = self.epoch + TICK * u32::try_from(tick + 1).unwrap_or(u32::MAX);
        let pause = next.saturating_duration_since(Instant::now());
        let is_idle = |state: &mut State| state.wanted == state.served && !self.is_dead();
        let waited = self.changed.wait_timeout_while(self.state(), pause, is_idle);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that a round has ended that began when `wanted` rounds had been asked for.
    pub(crate) fn end_round(&self, wanted: u64) {
        let mut state = self.state();
        state.served = state.served.max(wanted);
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
        state.wanted += 1;
        let mine = state.wanted;
        self.changed.notify_all();
        if !wait {
            return Ok(());
        }
        let is_pending = |state: &mut State| state.served < mine && !self.is_dead();
        let waited = self.changed.wait_timeout_while(state, self.setup.settings.hang, is_pending);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.served >= mine {
            true => Ok(()),
            false if self.is_dead() => Err(Status::CONNECTION_NOT_VALID),
            false => Err(Status::TIMEOUT),
        }
    }

    /// The GPUs, or only those that work.
    pub(crate) fn gpus(&self, only_working: bool, orders: &Orders) -> Vec<u32> {
        let state = self.state();
        let works = |gpu: &&Gpu| gpu.state(orders.gpu(gpu.index)) == state::OK;
        let gpus = state.gpus.iter().filter(|gpu| !only_working || works(gpu));
        gpus.map(|gpu| gpu.index).collect()
    }

    /// All entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<Pair> {
        let state = self.state();
        let mut entities: Vec<Pair> = state.gpus.iter().flat_map(|gpu| gpu.entities(of)).collect();
        entities.extend(self.setup.equipment.entities(of));
        entities
    }

    /// Whether there is such an entity.
    pub(crate) fn has(&self, pair: Pair) -> bool {
        match pair.as_link() {
            // Which of its links a GPU has may not be known yet.
            Some((owner, _)) => self.entities(owner.kind).contains(&owner),
            None => pair == Pair::MACHINE || self.entities(pair.kind).contains(&pair),
        }
    }

    /// What is in a group, the built-in ones included.
    pub(crate) fn group(&self, group: usize) -> Result<Vec<Pair>, Status> {
        let built_in: &[u32] = match group {
            ALL_GPUS => &[kind::GPU],
            ALL_SWITCHES => &[kind::SWITCH],
            ALL_INSTANCES => &[kind::GPU_INSTANCE],
            ALL_COMPUTE_INSTANCES => &[kind::COMPUTE_INSTANCE],
            ALL_ENTITIES => &EVERYTHING,
            _ => return self.state().groups.entities(group).map(<[Pair]>::to_vec),
        };
        Ok(built_in.iter().flat_map(|of| self.entities(*of)).collect())
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
        let orders = self.orders();
        let entities = self.group(group)?;
        let mut state = self.state();
        let fields = state.groups.fields(field_group)?.to_vec();
        let watcher = Watcher { client, group, field_group, every: ticks(micros) };
        for field in fields.iter().filter(|field| !orders.is_unsupported(**field)) {
            for pair in &entities {
                state.watches.watch(self.key(*pair, *field), watcher);
            }
        }
        match fields.iter().any(|field| orders.is_unsupported(*field)) {
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
        for pair in entities {
            for field in &fields {
                state.watches.unwatch(self.key(pair, *field), client);
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
    pub(crate) fn latest(&self, entities: &[Pair], fields: &[u16]) -> Vec<Answer> {
        let orders = self.orders();
        let state = self.state();
        let each = entities.iter().flat_map(|pair| fields.iter().map(|field| (*pair, *field)));
        each.map(|(pair, field)| {
            let samples = state.watches.samples(self.key(pair, field));
            let samples = samples.filter(|_| !orders.is_unsupported(field));
            let result = match samples.map(|samples| samples.back()) {
                None => Err(Status::NOT_WATCHED),
                Some(None) => Err(Status::NO_DATA),
                Some(Some(sample)) => Ok(sample.clone()),
            };
            Answer { pair, field, result }
        })
        .collect()
    }

    /// Every value since a moment, and a placeholder for each field of each entity without one.
    pub(crate) fn since(&self, entities: &[Pair], fields: &[u16], since: i64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for answer in self.latest(entities, fields) {
            let Answer { pair, field, ref result } = answer;
            if result.is_err() {
                answers.push(answer);
                continue;
            }
            let state = self.state();
            let before = answers.len();
            for sample in state.watches.samples(self.key(pair, field)).into_iter().flatten() {
                if sample.at >= since {
                    answers.push(Answer { pair, field, result: Ok(sample.clone()) });
                }
            }
            if answers.len() == before {
                answers.push(Answer { pair, field, result: Err(Status::NO_DATA) });
            }
        }
        answers
    }

    /// Why an entity goes into no group: a GPU does only while it is well, or made up.
    pub(crate) fn refusal(&self, pair: Pair) -> Option<Status> {
        let orders = self.orders();
        let known = self.state();
        let gpu = known.gpus.iter().find(|gpu| pair == Pair::gpu(gpu.index))?;
        match gpu.state(orders.gpu(gpu.index)) {
            state::OK | state::FAKE => None,
            state::LOST => Some(Status::GPU_IS_LOST),
            _ => Some(Status::BAD_PARAM),
        }
    }

    /// Where samples of a field of an entity are kept: what is true of the machine is kept once.
    fn key(&self, pair: Pair, field: u16) -> (Pair, u16) {
        let global = self.setup.fields.get(field).is_some_and(|field| field.is_global());
        (if global { Pair::MACHINE } else { pair }, field)
    }
}

/// The numbers of the groups that are always there.
const ALL_GPUS: usize = 0x7FFF_FFFF;
const ALL_SWITCHES: usize = 0x7FFF_FFFE;
const ALL_INSTANCES: usize = 0x7FFF_FFFD;
const ALL_COMPUTE_INSTANCES: usize = 0x7FFF_FFFC;
const ALL_ENTITIES: usize = 0x7FFF_FFFB;

/// The kinds of entities in the group of everything.
pub(crate) const EVERYTHING: [u32; 6] = [
    kind::GPU,
    kind::SWITCH,
    kind::GPU_INSTANCE,
    kind::COMPUTE_INSTANCE,
    kind::CPU,
    kind::CPU_CORE,
];
