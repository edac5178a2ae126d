//! The keeper: opens the source, starts its lanes, and opens it anew when the world has changed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Moment, Rhythm, Session, Source};

use crate::Selection;
use crate::board::{Busy, LaneBoard, Place, Shared};
use crate::lane::Lane;
use crate::plan::Plan;

/// From one look at the world to the next.
const LOOK: Duration = Duration::from_secs(1);

/// How long a source that cannot be opened is left alone: at first, and at most. Whoever brings it
/// back waits for as long, and one try costs little.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// How long lanes may take to end before they are left where they are, and how long one may be
/// inside the driver before nobody waits for it: longer than the longest wait for events.
const END: Duration = Duration::from_millis(900);
const HANG: Duration = Duration::from_millis(700);

/// How long all GPUs have to be down before the source is opened anew, and what that is multiplied
/// by each time that it did not help, up to the most. There is nothing to lose then.
const ALL_DOWN: Patience =
    Patience { now: Duration::from_secs(2), factor: 2, most: Duration::from_secs(60) };

/// The same for any one GPU. Its lane opens it anew every second, which is enough in most cases; a
/// new session is a try in case only that helps, and costs the other GPUs the XIDs of a moment. So
/// there are a few, and then one an hour.
const ONE_DOWN: Patience =
    Patience { now: Duration::from_secs(30), factor: 10, most: Duration::from_secs(3600) };

/// A lane's thread, and what ends it.
struct Running {
    place: Place,
    /// The reader's name.
    name: &'static str,
    rhythm: Rhythm,
    busy: Arc<Busy>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A thread of an earlier session that is still inside the driver.
struct Detained {
    place: Place,
    name: &'static str,
    thread: JoinHandle<()>,
}

/// Patience with GPUs that are down.
#[derive(Clone, Copy)]
struct Patience {
    now: Duration,
    factor: u32,
    most: Duration,
}

/// What the keeper is told.
enum Told {
    /// Nothing, in the time that it listened.
    Nothing,
    /// To end.
    Stop,
    /// To read other watches.
    Replan(Arc<Plan>),
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    orders: &'a Receiver<Arc<Plan>>,
    running: Vec<Running>,
    detained: Vec<Detained>,
    next_id: u64,
    all_down: Patience,
    one_down: Patience,
}

/// Runs until it is stopped, which it is when nobody can tell it anything any more.
pub(crate) fn run(mut source: Box<dyn Source>, shared: &Arc<Shared>, orders: &Receiver<Arc<Plan>>) {
    let mut keeper = Keeper {
        shared,
        orders,
        running: Vec::new(),
        detained: Vec::new(),
        next_id: 0,
        all_down: ALL_DOWN,
        one_down: ONE_DOWN,
    };
    let mut pause = RECONNECT.0;
    let mut said = String::new();
    let mut plan = Arc::clone(&shared.board().plan);
    keeper.enter(&[]);
    loop {
        // The lanes of the session before go on until there is another one, and while they do, it
        // does not matter how long that takes.
        let is_gap = keeper.running.is_empty();
        shared.changed(|board| board.connecting = is_gap.then(Moment::now));
        let told = match source.connect(&plan.watches) {
            Ok(session) => {
                pause = RECONNECT.0;
                said.clear();
                keeper.keep(session, &plan)
            }
            Err(error) => {
                if error.message != said {
                    tracing::warn!("{}; trying again until it works", error.message);
                    said.clone_from(&error.message);
                }
                if is_gap {
                    shared.changed(|board| {
                        board.connecting = None;
                        board.source.up = Err(error.message);
                    });
                }
                let told = keeper.listen(pause);
                pause = (pause * 2).min(RECONNECT.1);
                told
            }
        };
        match told {
            Told::Nothing => {}
            Told::Stop => {
                keeper.end_lanes(|_| true);
                return;
            }
            Told::Replan(new) => plan = new,
        }
    }
}

impl Keeper<'_> {
    /// Waits for orders.
    fn listen(&self, pause: Duration) -> Told {
        match self.orders.recv_timeout(pause) {
            Ok(plan) => Told::Replan(plan),
            Err(RecvTimeoutError::Timeout) => Told::Nothing,
            Err(RecvTimeoutError::Disconnected) => Told::Stop,
        }
    }

    /// Keeps a session until the world has changed, or it is told something.
    fn keep(&mut self, mut session: Box<dyn Session>, plan: &Arc<Plan>) -> Told {
        let driver_version = session.driver_version();
        let name = self.shared.board().source.name;
        let gpus = session.gpus();
        tracing::info!(
            source = name,
            driver = driver_version.as_deref().unwrap_or("unknown"),
            gpus = gpus.len(),
            "reading"
        );
        // Those that wait for events go on where only the plan is another: none is missed.
        self.end_lanes(|running| running.rhythm != Rhythm::Waiting);
        self.shared.changed(|board| {
            board.connecting = None;
            board.source.up = Ok(());
            board.source.driver_version = driver_version;
            if !Arc::ptr_eq(&board.plan, plan) {
                board.replan(plan);
            }
        });
        self.enter(&gpus);
        for gpu in &gpus {
            self.start_lanes(session.as_mut(), Place::Gpu(*gpu));
        }
        self.start_lanes(session.as_mut(), Place::Machine);
        let began = Moment::now();
        let why = loop {
            match self.listen(LOOK) {
                Told::Nothing => {}
                Told::Stop => return Told::Stop,
                // Only the readings' lanes end, and not before there is a session for the new ones;
                // but not even those go on with a driver that is gone.
                told @ Told::Replan(_) => {
                    if session.outdated().is_some() {
                        self.end_lanes(|_| true);
                    }
                    return told;
                }
            }
            self.release_detained(session.as_mut());
            if let Some(why) = session.outdated() {
                break why;
            }
            if let Some(why) = self.out_of_patience(began) {
                break why;
            }
        };
        tracing::info!("opening the source anew: {why}");
        self.end_lanes(|_| true);
        Told::Nothing
    }

    /// Enters the GPUs of a session on the board. Those that are no longer listed stay, as
    /// missing: a GPU that disappears must not disappear in silence.
    fn enter(&self, gpus: &[u32]) {
        let selection = &self.shared.settings.gpus;
        let wanted: &[u32] = match selection {
            Selection::All => &[],
            Selection::Only(indexes) => indexes,
        };
        self.shared.changed(|board| {
            for index in wanted.iter().chain(gpus.iter().filter(|gpu| selection.includes(**gpu))) {
                board.gpu(*index);
            }
            for gpu in &mut board.gpus {
                gpu.listed = gpus.contains(&gpu.index);
            }
            board.forget_empty_places(|index| wanted.contains(&index));
        });
    }

    fn is_detained(&self, place: Place, name: &str) -> bool {
        self.detained.iter().any(|detained| detained.place == place && detained.name == name)
    }

    fn is_running(&self, place: Place, name: &str) -> bool {
        let is_it = |running: &Running| running.place == place && running.name == name;
        self.running.iter().any(|running| is_it(running) && !running.thread.is_finished())
    }

    /// Starts the lanes that this place should have and has not. Where one of an earlier session is
    /// still inside the driver, a second one would only join it there.
    fn start_lanes(&mut self, session: &mut dyn Session, place: Place) {
        let readers = match place {
            Place::Gpu(gpu) if self.shared.settings.gpus.includes(gpu) => session.readers(gpu),
            Place::Gpu(_) => return,
            Place::Machine => session.machine_readers(),
        };
        for reader in readers {
            let (name, rhythm) = (reader.name(), reader.rhythm());
            if self.is_detained(place, name) || self.is_running(place, name) {
                continue;
            }
            self.next_id += 1;
            let (stop, stopped) = mpsc::channel();
            let busy = Arc::new(Busy::new(self.shared.epoch));
            let plan = Arc::clone(&self.shared.board().plan);
            let (tick, settings) = (plan.tick, &self.shared.settings);
            let lane = LaneBoard::new(self.next_id, reader.as_ref(), &busy, tick);
            self.shared.changed(|board| board.enter(place).take_over(lane, settings));
            let shared = Arc::clone(self.shared);
            let its_busy = Arc::clone(&busy);
            let id = self.next_id;
            let lane = Lane { id, place, reader, busy, shared, plan, cadence: tick, stopped };
            let spawned = thread::Builder::new().name(format!("{place} {name}"));
            match spawned.spawn(move || lane.run()) {
                Ok(thread) => {
                    let busy = its_busy;
                    self.running.push(Running { place, name, rhythm, busy, stop, thread });
                }
                Err(error) => tracing::error!("no thread to read {place} with: {error}"),
            }
        }
    }

    /// Ends the lanes of a session. Those that do not end are inside the driver: they are left
    /// there, with all that they hold.
    fn end_lanes(&mut self, which: impl Fn(&Running) -> bool) {
        let ending: Vec<(Arc<Busy>, Detained)> = self
            .running
            .extract_if(.., |running| which(running))
            .map(|Running { place, name, busy, stop, thread, .. }| {
                drop(stop);
                (busy, Detained { place, name, thread })
            })
            .collect();
        // Nobody waits for one that has been inside the driver for longer than a healthy one ever
        // is: the others' readings grow old meanwhile.
        let hangs = |busy: &Busy| busy.since().is_some_and(|since| since.elapsed() > HANG);
        let worth_waiting =
            |(busy, lane): &(Arc<Busy>, Detained)| !lane.thread.is_finished() && !hangs(busy);
        let until = Moment::now() + END;
        while ending.iter().any(worth_waiting) && Moment::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let stuck = ending.into_iter().map(|(_, lane)| lane);
        self.detained.extend(stuck.filter(|lane| !lane.thread.is_finished()));
        self.shared.changed(|board| {
            board.detained = self.detained.len();
            for (place, lane) in board.lanes_mut() {
                lane.listens &= self.is_running(place, lane.name);
                lane.detained = self.is_detained(place, lane.name);
            }
        });
    }

    /// Replaces the stuck lanes that have come back, and so have ended.
    fn release_detained(&mut self, session: &mut dyn Session) {
        let held: Vec<Place> = self.detained.iter().map(|detained| detained.place).collect();
        if held.is_empty() {
            return;
        }
        self.detained.retain(|detained| !detained.thread.is_finished());
        let detained = self.detained.len();
        if detained < held.len() {
            self.shared.changed(|board| board.detained = detained);
            let listed = session.gpus();
            let is_there = |place: &Place| place.gpu().is_none_or(|gpu| listed.contains(&gpu));
            for place in held.into_iter().filter(is_there) {
                self.start_lanes(session, place);
            }
        }
    }

    /// Whether GPUs have been down for so long that only a new session may help: a driver that was
    /// reloaded, or a GPU that was reset, answers old handles with errors for ever. A GPU that
    /// hangs is no reason: its old reader would be in the way of a new one.
    fn out_of_patience(&mut self, session_began: Moment) -> Option<String> {
        let board = self.shared.board();
        let settings = &self.shared.settings;
        let listed = board.gpus.iter().filter(|gpu| gpu.listed);
        let main_lanes: Vec<&LaneBoard> = listed.filter_map(|gpu| gpu.main_lane()).collect();
        // One that is being opened anew just now is down as much as one that waits for that.
        let hangs = |lane: &LaneBoard| {
            let deadline = settings.pass_deadline(settings.interval.max(lane.cadence));
            lane.busy.since().is_some_and(|since| since.elapsed() > deadline)
        };
        let down = main_lanes.iter().filter(|lane| lane.down.is_some() && !hangs(lane));
        let since = down.clone().map(|lane| lane.last_ok.unwrap_or(session_began)).min();
        let all = down.count() == main_lanes.len();
        drop(board);
        let Some(since) = since else {
            (self.all_down, self.one_down) = (ALL_DOWN, ONE_DOWN);
            return None;
        };
        let age = since.max(session_began).elapsed();
        let patience = if all { &mut self.all_down } else { &mut self.one_down };
        if age < patience.now {
            return None;
        }
        patience.now = (patience.now * patience.factor).min(patience.most);
        let who = if all { "all GPUs are" } else { "a GPU is" };
        Some(format!("{who} down since {} s", age.as_secs()))
    }
}
