//! The boards, and the passing of simulated time.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sim::{Scenario, World};

use crate::{
    board::Board,
    encode::{self, Pace},
    fault_watch::FaultWatch,
    faults::Faults,
    field::FIRST_TIMESTAMP_US,
    fixture,
    settings::{Misconfigured, Origin, ScenarioName, Settings, Simulation},
    xid::Xid,
};

/// The step of the simulation: in between, its state is the same.
const STEP: Duration = Duration::from_millis(100);

const DEFAULT_DRIVER: &str = "550.163.01";

/// All GPUs of the host.
pub(crate) struct Machine {
    pub driver: String,
    boards: Vec<RwLock<Arc<Board>>>,
    running: Option<Running>,
}

/// A running simulation.
struct Running {
    world: Mutex<World>,
    speed: f64,
    began: Instant,
    began_us: i64,
    /// What commands change in the state.
    watch: Arc<FaultWatch>,
    /// Nanoseconds after `began` at which the next step of the simulation begins.
    due: AtomicU64,
}

impl Machine {
    pub(crate) fn new(settings: &Settings, watch: &Arc<FaultWatch>) -> Result<Self, Misconfigured> {
        let (driver, boards, running) = match &settings.origin {
            Origin::Fixture(path, gpus) => {
                let fixture = fixture::read(path, *gpus)?;
                (fixture.driver.version, fixture.boards, None)
            }
            Origin::Simulation(simulation) => {
                let mut world = world(simulation);
                match simulation.frozen_at {
                    Some(at) => {
                        world.advance_to(at);
                        let timestamp_us = FIRST_TIMESTAMP_US + micros(world.now());
                        (
                            None,
                            snapshot(&world, timestamp_us, Pace::Frozen, &Faults::default()),
                            None,
                        )
                    }
                    None => {
                        let running = Running::new(world, simulation.speed, Arc::clone(watch));
                        (None, running.boards(), Some(running))
                    }
                }
            }
        };
        Ok(Self {
            driver: settings.driver.clone().or(driver).unwrap_or_else(|| DEFAULT_DRIVER.into()),
            boards: boards.into_iter().map(|board| RwLock::new(Arc::new(board))).collect(),
            running,
        })
    }

    /// How many GPUs there are.
    pub(crate) fn len(&self) -> usize {
        self.boards.len()
    }

    /// The board of a GPU as it is now; none for an index that does not exist.
    pub(crate) fn board(&self, gpu: usize) -> Option<Arc<Board>> {
        if let Some(running) = &self.running {
            running.step(|fresh| {
                for (slot, board) in self.boards.iter().zip(fresh) {
                    *slot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(board);
                }
            });
        }
        let slot = self.boards.get(gpu)?;
        Some(Arc::clone(&slot.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Running {
    fn new(world: World, speed: f64, watch: Arc<FaultWatch>) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            world: Mutex::new(world),
            speed,
            began: Instant::now(),
            began_us: micros(since_epoch),
            watch,
            due: AtomicU64::new(nanos(STEP.div_f64(speed))),
        }
    }

    /// Publishes the boards of now, if a step is due and no other thread is taking it.
    ///
    /// The world stays locked meanwhile, so that no older boards come after newer ones.
    fn step(&self, publish: impl FnOnce(Vec<Board>)) {
        let elapsed = self.began.elapsed();
        if nanos(elapsed) < self.due.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut world) = self.world.try_lock() else { return };
        // Another thread may have taken the step between the look at the clock and the lock.
        if nanos(elapsed) < self.due.load(Ordering::Relaxed) {
            return;
        }
        world.advance_to(elapsed.mul_f64(self.speed));
        publish(self.snapshot(&world));
        let next = (world.now() + STEP).div_f64(self.speed);
        self.due.store(nanos(next), Ordering::Relaxed);
    }

    fn boards(&self) -> Vec<Board> {
        self.snapshot(&self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn snapshot(&self, world: &World) -> Vec<Board> {
        let timestamp_us = self.began_us + micros(world.now());
        snapshot(world, timestamp_us, Pace::Running, &self.watch.faults())
    }
}

fn world(simulation: &Simulation) -> World {
    let scenario = match simulation.scenario {
        ScenarioName::Story => Scenario::story(),
        ScenarioName::Steady => Scenario::steady(simulation.gpus),
        ScenarioName::Idle => Scenario::idle(simulation.gpus),
        ScenarioName::Fault(fault) => fault.scenario(),
    };
    World::new(scenario, simulation.seed)
}

fn snapshot(world: &World, timestamp_us: i64, pace: Pace, faults: &Faults) -> Vec<Board> {
    let boards = world.gpus().iter().enumerate().map(|(gpu, state)| {
        let xids = world.events(gpu).iter().map(|event| Xid::whole(event.code)).collect();
        let changes = faults.of(gpu).map_or(&[][..], |faults| &faults.changes);
        let mut state = Cow::Borrowed(state);
        for change in changes {
            change.apply(state.to_mut());
        }
        let mut board = encode::board(gpu, &state, xids, world.now(), timestamp_us, pace);
        if changes.iter().any(|change| change.is_activity) {
            board.gpm = Some(encode::gpm_of_moment(&state));
        }
        board
    });
    boards.collect()
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
