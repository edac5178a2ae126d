//! The keeper: opens the source, starts its lanes, and opens it again when the world has changed.
//!
//! A session is given up only for a better one. As long as any GPU answers, the next session is opened
//! while the lanes of this one go on, and they end when it is there. Whether a new session would bring
//! back a GPU that is lost is tried in a process of its own first.
//!
//! The source is opened and closed on a thread of its own (`source`), so that a driver which does not
//! come back from that keeps the keeper from nothing else.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Moment, Outdated, Reader, ReaderKind, Renew, Session, Source, SourceError};

use crate::board::{Busy, LaneBoard, Place, Shared};
use crate::lane::Lane;
use crate::plan::Plan;
use crate::{Selection, Suspect};

/// From one look at the world to the next.
const LOOK: Duration = Duration::from_secs(1);

/// How long a source that cannot be opened is left alone: at first, and at most. What brings it back
/// is noticed after as long, and one try costs little.
const RECONNECT: Backoff =
    Backoff { now: Duration::from_millis(500), factor: 2, most: Duration::from_secs(2) };

/// The same while there is a session that works.
const IMPROVE: Backoff =
    Backoff { now: Duration::from_secs(2), factor: 2, most: Duration::from_secs(60) };

/// The same for a thread that cannot be started, or that ended.
const RESTART: Backoff =
    Backoff { now: Duration::from_millis(500), factor: 2, most: Duration::from_secs(30) };

/// How long lanes may take to end before they are left where they are, and how long one may be
/// inside the driver before it is not waited for: longer than the longest wait for events.
const END: Duration = Duration::from_millis(900);
const HANG: Duration = Duration::from_millis(700);

/// How long all GPUs have to be down before the source is opened again, and what that is multiplied
/// by each time that it did not help, up to the most. There is nothing to lose then.
const ALL_DOWN: Backoff =
    Backoff { now: Duration::from_secs(2), factor: 2, most: Duration::from_secs(60) };

/// The same for any one GPU, from the settings' time on, and for whether a new session would help it,
/// which is tried aside.
fn one_down(shared: &Shared) -> Backoff {
    Backoff { now: shared.settings.trial_after, factor: 4, most: Duration::from_secs(3600) }
}

/// How long to wait, longer each time.
#[derive(Clone, Copy)]
struct Backoff {
    now: Duration,
    factor: u32,
    most: Duration,
}

impl Backoff {
    /// How long to wait now.
    fn next(&mut self) -> Duration {
        let now = self.now;
        self.now = (now * self.factor).min(self.most);
        now
    }
}

/// A lane's thread, and what ends it.
struct Running {
    id: u64,
    place: Place,
    /// The reader's name.
    name: &'static str,
    kind: ReaderKind,
    busy: Arc<Busy>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A reader, and a thread that waits to run its lane, or why there is none.
struct Ready {
    place: Place,
    reader: Box<dyn Reader>,
    thread: std::io::Result<(Sender<Start>, JoinHandle<()>)>,
}

/// What a waiting thread is given to begin.
struct Start {
    lane: Lane,
    end: TellOfEnd,
}

/// A thread of an earlier session that is still inside the driver.
struct Detained {
    place: Place,
    name: &'static str,
    thread: JoinHandle<()>,
    /// Whether no second one of its kind is started at its place. Once indexes may have shifted, its
    /// GPU may be at another.
    blocks: bool,
}

/// A place some of whose lanes have no thread.
struct Missing {
    place: Place,
    backoff: Backoff,
    /// When to start them; none while they have been started and go on.
    due: Option<Moment>,
    /// When they were last started.
    tried: Moment,
}

/// What the keeper is told.
pub(crate) enum Order {
    /// To end.
    Stop,
    /// To read other watches, and whom to tell when they are read.
    Replan(Arc<Plan>, InForce),
    /// That a lane's thread ends.
    LaneEnded(u64),
    /// That a new session would help, or not.
    Tried(bool),
    /// What came of opening the source.
    Opened(Box<Opened>),
}

/// What came of opening the source.
pub(crate) struct Opened {
    wish: Wish,
    plan: Arc<Plan>,
    result: Result<Box<dyn Session>, SourceError>,
}

/// What the thread that owns the source is told.
enum Errand {
    Open {
        wish: Wish,
        plan: Arc<Plan>,
    },
    /// To close a session, which may take as long as the driver does.
    Close(Box<dyn Session>),
}

/// Called once a plan is in force; dropped if another one takes its place before.
pub(crate) type InForce = Box<dyn FnOnce() + Send>;

/// What the keeper has to open.
pub(crate) struct Wish {
    renew: Renew,
    why: String,
    backoff: Backoff,
    due: Moment,
}

impl Wish {
    fn new(renew: Renew, why: impl Into<String>) -> Self {
        Self { renew, why: why.into(), backoff: IMPROVE, due: Moment::now() }
    }
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    orders: &'a Receiver<Order>,
    /// Its own end of the orders, for lanes and trials.
    tell: Sender<Order>,
    /// Where the source is opened and closed.
    errands: Sender<Errand>,
    /// Whether it is being opened.
    opening: bool,
    session: Option<Box<dyn Session>>,
    session_began: Moment,
    running: Vec<Running>,
    detained: Vec<Detained>,
    missing: Vec<Missing>,
    next_id: u64,
    all_down: Backoff,
    one_down: Backoff,
    /// Whether a trial is under way, how many there were, and when the last one began.
    trial: bool,
    trials: usize,
    tried: Option<Moment>,
    /// How many GPUs were down when that was last looked at.
    were_down: usize,
    /// What is to be read, and whom to tell when it is.
    plan: Arc<Plan>,
    in_force: Option<InForce>,
    /// What was last said of a source that cannot be opened.
    said: String,
}

/// Runs until it is stopped.
pub(crate) fn run(
    source: Box<dyn Source>,
    shared: &Arc<Shared>,
    orders: &Receiver<Order>,
    tell: Sender<Order>,
) {
    let plan = Arc::clone(&shared.board().plan);
    let (errands, told) = mpsc::channel();
    let answer = tell.clone();
    let source_thread = thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || run_errands(source, &told, &answer));
    if let Err(error) = &source_thread {
        tracing::error!("no thread to open the driver with: {error}");
        let message = format!("no thread to open the driver with: {error}");
        shared.changed(|board| board.source.up = Err(message));
    }
    let mut keeper = Keeper {
        shared,
        orders,
        tell,
        errands,
        opening: false,
        session: None,
        session_began: Moment::now(),
        running: Vec::new(),
        detained: Vec::new(),
        missing: Vec::new(),
        next_id: 0,
        all_down: ALL_DOWN,
        one_down: one_down(shared),
        trial: false,
        trials: 0,
        tried: None,
        were_down: 0,
        plan,
        in_force: None,
        said: String::new(),
    };
    keeper.enter(&[]);
    let mut wish = Some(Wish { backoff: RECONNECT, ..Wish::new(Renew::Driver, "") });
    loop {
        let is_due = |wish: &Wish| wish.due <= Moment::now();
        if !keeper.opening
            && let Some(wish) = wish.take_if(|wish| is_due(wish))
        {
            keeper.open(wish);
        }
        let next_wish = wish.as_ref().filter(|_| !keeper.opening).map(|wish| wish.due);
        let due = [next_wish, keeper.next_restart()];
        let pauses = due.into_iter().flatten().map(|due| due - Moment::now());
        let next = pauses.fold(LOOK, Duration::min);
        match keeper.orders.recv_timeout(next) {
            Ok(Order::Replan(plan, in_force)) => {
                (keeper.plan, keeper.in_force) = (plan, Some(in_force));
                // A driver that cannot be opened once more is no reason not to read other watches
                // through the session that there is; what is better is looked for again after it.
                let renew = keeper.session.as_ref().map_or(Renew::Driver, |_| Renew::Watches);
                wish = Some(Wish::new(renew, "other watches"));
            }
            Ok(Order::Opened(opened)) => {
                keeper.opening = false;
                wish = wish.or(keeper.note_opened(*opened));
            }
            Ok(Order::LaneEnded(id)) => keeper.note_ended(id),
            Ok(Order::Tried(helps)) => {
                keeper.trial = false;
                if helps && keeper.session.is_some() {
                    let why = "a process of its own reads the GPU that is down";
                    wish = Some(Wish::new(Renew::Driver, why));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
        }
        if keeper.session.is_some() {
            wish = keeper.look(wish);
        }
        keeper.restart();
        if let Some(after) = shared.settings.forget_missing {
            shared.forget_missing(after);
        }
    }
    keeper.give_up();
    drop(keeper);
    // One that is inside the driver does not end, and so neither does this: it is left there.
    if let Ok(source) = source_thread {
        let _ = source.join();
    }
}

impl Keeper<'_> {
    /// Lets the source be opened as wished for.
    fn open(&mut self, wish: Wish) {
        // The lanes of the session before go on until there is another one, and while they do, it
        // does not matter how long that takes.
        if self.session.is_none() {
            self.shared.changed(|board| board.connecting = Some(Moment::now()));
        } else {
            tracing::info!("opening the source again: {}", wish.why);
        }
        let plan = Arc::clone(&self.plan);
        // Without that thread, which has been said, nothing is ever opened.
        self.opening = self.errands.send(Errand::Open { wish, plan }).is_ok();
    }

    /// Goes over to the session that was opened. Says what has to be opened next.
    fn note_opened(&mut self, Opened { mut wish, plan, result }: Opened) -> Option<Wish> {
        match result {
            Ok(session) => match self.change_over(session, &plan, wish.renew) {
                Ok(()) => {
                    self.said.clear();
                    // Others were asked for meanwhile.
                    let is_old = !Arc::ptr_eq(&plan, &self.plan);
                    is_old.then(|| Wish::new(Renew::Watches, "other watches"))
                }
                Err(why) => {
                    self.note_error(SourceError::new(why), false);
                    wish.due = Moment::now() + wish.backoff.next();
                    Some(wish)
                }
            },
            Err(error) => {
                self.note_error(error, self.session.is_none());
                wish.due = Moment::now() + wish.backoff.next();
                Some(wish)
            }
        }
    }

    fn note_error(&mut self, SourceError { message, needs_restart }: SourceError, is_gap: bool) {
        if message != self.said {
            tracing::warn!("{message}; trying again until it works");
            self.said.clone_from(&message);
        }
        if is_gap {
            self.shared.changed(|board| {
                board.connecting = None;
                board.source.up = Err(message);
                let since = board.source.needs_restart.unwrap_or_else(Moment::now);
                board.source.needs_restart = needs_restart.then_some(since);
            });
        }
    }

    /// Goes over to a new session: the lanes of the one before end, its own take over what they read.
    ///
    /// # Errors
    ///
    /// When there are no threads for its lanes, and there is a session that has some: that one stays.
    fn change_over(
        &mut self,
        mut session: Box<dyn Session>,
        plan: &Arc<Plan>,
        renew: Renew,
    ) -> Result<(), String> {
        let gpus = session.gpus();
        let mut ready = Vec::new();
        for place in gpus.iter().copied().map(Place::Gpu).chain([Place::Machine]) {
            let goes_on = |reader: &dyn Reader| {
                let is_kept = renew == Renew::Watches && reader.kind() == ReaderKind::Events;
                is_kept && self.is_running(place, reader.name())
            };
            ready.extend(self.ready(session.as_mut(), place, |reader| !goes_on(reader)));
        }
        let error = ready.iter().find_map(|ready| ready.thread.as_ref().err());
        if let Some(error) = error.filter(|_| self.session.is_some()) {
            let why = format!("the session stays, for there are no threads for a new one: {error}");
            self.close(Some(session));
            return Err(why);
        }
        let driver_version = session.driver_version();
        let name = self.shared.board().source.name;
        tracing::info!(
            source = name,
            driver = driver_version.as_deref().unwrap_or("unknown"),
            gpus = gpus.len(),
            "reading"
        );
        // Those that wait for events go on where only the plan is another: none is missed. Else they
        // end first, since that takes longest, and readings go on meanwhile.
        if renew == Renew::Driver {
            self.end_lanes(|running| running.kind == ReaderKind::Events);
        }
        self.end_lanes(|running| running.kind != ReaderKind::Events);
        self.shared.changed(|board| {
            board.connecting = None;
            board.source.up = Ok(());
            board.source.needs_restart = None;
            board.source.driver_version = driver_version;
            if !Arc::ptr_eq(&board.plan, plan) {
                board.replan(plan);
            }
        });
        self.missing.clear();
        let before = self.session.take();
        if self.shared.board().listed != gpus.len() {
            self.detained.iter_mut().for_each(|detained| detained.blocks = false);
        }
        self.enter(&gpus);
        for ready in ready {
            if !self.is_detained(ready.place, ready.reader.name()) {
                self.start(ready);
            }
        }
        self.session = Some(session);
        self.session_began = Moment::now();
        let began = self.session_began;
        self.shared.changed(|board| board.session_began = Some(began));
        if Arc::ptr_eq(plan, &self.plan)
            && let Some(in_force) = self.in_force.take()
        {
            in_force();
        }
        self.close(before);
        Ok(())
    }

    /// Closes a session, which may take as long as the driver does.
    fn close(&self, session: Option<Box<dyn Session>>) {
        if let Some(session) = session {
            // Without that thread, it is closed here.
            let _ = self.errands.send(Errand::Close(session));
        }
    }

    /// Looks at whether the session still fits the world. Says what has to be opened.
    fn look(&mut self, wish: Option<Wish>) -> Option<Wish> {
        let mut session = self.session.take()?;
        self.release_detained(session.as_mut());
        let outdated = session.outdated();
        self.session = Some(session);
        match outdated {
            Some(Outdated::Over(why)) => {
                tracing::info!("the session is over: {why}");
                self.give_up();
                return Some(Wish { backoff: RECONNECT, ..Wish::new(Renew::Driver, "") });
            }
            Some(Outdated::Improvable(why)) if wish.is_none() && !self.opening => {
                return Some(Wish::new(Renew::Driver, why));
            }
            Some(Outdated::Improvable(_)) | None => {}
        }
        match self.out_of_patience() {
            Some(Verdict::Reopen(why)) => {
                tracing::info!("opening the source again: {why}");
                self.give_up();
                Some(Wish { backoff: RECONNECT, ..Wish::new(Renew::Driver, "") })
            }
            Some(Verdict::Try(suspect)) => {
                self.start_trial(suspect);
                wish
            }
            None => wish,
        }
    }

    /// Ends a session without which nothing is lost.
    fn give_up(&mut self) {
        self.end_lanes(|_| true);
        let session = self.session.take();
        self.close(session);
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
                gpu.list(gpus.contains(&gpu.index));
            }
            board.listed = gpus.len();
            board.forget_empty_places(|index| wanted.contains(&index));
        });
    }

    fn is_detained(&self, place: Place, name: &str) -> bool {
        let is_it = |detained: &Detained| detained.place == place && detained.name == name;
        self.detained.iter().any(|detained| detained.blocks && is_it(detained))
    }

    fn is_running(&self, place: Place, name: &str) -> bool {
        let is_it = |running: &Running| running.place == place && running.name == name;
        self.running.iter().any(|running| is_it(running) && !running.thread.is_finished())
    }

    /// Starts the lanes that this place should have and has not. Where one of an earlier session is
    /// still inside the driver, a second one would only join it there.
    fn start_lanes(&mut self, session: &mut dyn Session, place: Place) {
        let is_absent = |reader: &dyn Reader| {
            !self.is_detained(place, reader.name()) && !self.is_running(place, reader.name())
        };
        let ready = self.ready(session, place, is_absent);
        ready.into_iter().for_each(|ready| self.start(ready));
    }

    /// The readers of a place that are wanted, each with a thread for its lane.
    fn ready(
        &self,
        session: &mut dyn Session,
        place: Place,
        is_wanted: impl Fn(&dyn Reader) -> bool,
    ) -> Vec<Ready> {
        let mut readers = match place {
            Place::Gpu(gpu) if self.shared.settings.gpus.includes(gpu) => session.readers(gpu),
            Place::Gpu(_) => Vec::new(),
            Place::Machine => session.machine_readers(),
        };
        readers.retain(|reader| is_wanted(reader.as_ref()));
        let ready = |reader: Box<dyn Reader>| {
            let (go, told) = mpsc::channel::<Start>();
            let name = format!("{place} {}", reader.name());
            let spawned = thread::Builder::new().name(name).spawn(move || {
                // Without a lane it is not needed after all.
                if let Ok(Start { lane, end: _end }) = told.recv() {
                    lane.run();
                }
            });
            Ready { place, reader, thread: spawned.map(|thread| (go, thread)) }
        };
        readers.into_iter().map(ready).collect()
    }

    /// Starts a lane on its thread.
    fn start(&mut self, Ready { place, reader, thread }: Ready) {
        let (name, kind) = (reader.name(), reader.kind());
        self.next_id += 1;
        let id = self.next_id;
        let (stop, stopped) = mpsc::channel();
        let busy = Arc::new(Busy::new(self.shared.epoch));
        let plan = Arc::clone(&self.shared.board().plan);
        let (tick, settings) = (plan.tick, &self.shared.settings);
        let lane = LaneBoard::new(id, reader.as_ref(), &busy, tick);
        self.shared.changed(|board| board.enter(place).take_over(lane, settings));
        match thread {
            Ok((go, thread)) => {
                let (shared, its_busy) = (Arc::clone(self.shared), Arc::clone(&busy));
                let lane = Lane { id, place, reader, busy, shared, plan, cadence: tick, stopped };
                // It waits for nothing else.
                let _ = go.send(Start { lane, end: TellOfEnd { id, tell: self.tell.clone() } });
                let busy = its_busy;
                self.running.push(Running { id, place, name, kind, busy, stop, thread });
            }
            Err(error) => {
                self.shared.changed(|board| board.lose_thread(place, id));
                self.note_missing(place, &format!("no thread can be started: {error}"));
            }
        }
    }

    /// Notes that a lane's thread has ended, which it does by itself only if something is wrong.
    fn note_ended(&mut self, id: u64) {
        let Some(at) = self.running.iter().position(|running| running.id == id) else { return };
        let Running { place, name, .. } = self.running.swap_remove(at);
        self.shared.changed(|board| board.lose_thread(place, id));
        self.note_missing(place, &format!("the thread of its reader `{name}` ended"));
    }

    fn note_missing(&mut self, place: Place, why: &str) {
        let now = Moment::now();
        let known = self.missing.iter().position(|missing| missing.place == place);
        let at = known.unwrap_or_else(|| {
            tracing::error!("{place}: {why}; started again until it works");
            self.missing.push(Missing { place, backoff: RESTART, due: None, tried: now });
            self.missing.len() - 1
        });
        let missing = &mut self.missing[at];
        if missing.tried.elapsed() > RESTART.most * 2 {
            missing.backoff = RESTART;
        }
        // Several lanes of one place may end at once.
        if missing.due.is_none() {
            missing.due = Some(now + missing.backoff.next());
        }
        tracing::debug!("{place}: {why}");
        self.shared.changed(|board| board.reader_restarts += 1);
    }

    /// When lanes have to be started again.
    fn next_restart(&self) -> Option<Moment> {
        self.missing.iter().filter_map(|missing| missing.due).min()
    }

    /// Starts the lanes again that have no thread, where that is due.
    fn restart(&mut self) {
        let now = Moment::now();
        let Some(mut session) = self.session.take() else { return };
        let is_due = |missing: &&mut Missing| missing.due.is_some_and(|due| due <= now);
        let due = self.missing.iter_mut().filter(is_due);
        let places: Vec<Place> = due
            .map(|missing| {
                (missing.due, missing.tried) = (None, now);
                missing.place
            })
            .collect();
        for place in places {
            self.start_lanes(session.as_mut(), place);
        }
        self.session = Some(session);
    }

    /// Ends the lanes of a session. Those that do not end are inside the driver: they are left
    /// there, with all that they hold.
    fn end_lanes(&mut self, which: impl Fn(&Running) -> bool) {
        let ending: Vec<(Arc<Busy>, Detained)> = self
            .running
            .extract_if(.., |running| which(running))
            .map(|Running { place, name, busy, stop, thread, .. }| {
                drop(stop);
                (busy, Detained { place, name, thread, blocks: true })
            })
            .collect();
        // One that has been inside the driver for longer than a healthy one ever is, is not waited
        // for: the others' readings grow old meanwhile.
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
                lane.delivers_xids &= self.is_running(place, lane.name);
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
    fn out_of_patience(&mut self) -> Option<Verdict> {
        let board = self.shared.board();
        let settings = &self.shared.settings;
        // One that is being opened just now is down as much as one that waits for that.
        let hangs = |lane: &LaneBoard| {
            let deadline = settings.pass_deadline(settings.interval.max(lane.cadence));
            lane.busy.since().is_some_and(|since| since.elapsed() > deadline)
        };
        let listed: Vec<_> = board.gpus.iter().filter(|gpu| gpu.listed).collect();
        let lanes = listed.iter().filter_map(|gpu| Some((*gpu, gpu.main_lane()?)));
        let began = self.session_began;
        let mut down: Vec<(Moment, Suspect)> = lanes
            .clone()
            .filter(|(_, lane)| lane.down.is_some() && !hangs(lane))
            .map(|(gpu, lane)| {
                let suspect = Suspect { index: gpu.index, identity: gpu.identity.clone() };
                (lane.last_ok.unwrap_or(began).max(began), suspect)
            })
            .collect();
        let all = down.len() == lanes.count();
        drop(listed);
        drop(board);
        let Some(since) = down.iter().map(|(since, _)| *since).min() else {
            (self.all_down, self.one_down) = (ALL_DOWN, one_down(self.shared));
            (self.tried, self.were_down) = (None, 0);
            return None;
        };
        if all {
            let age = since.elapsed();
            let is_due = age >= self.all_down.now;
            return is_due.then(|| {
                self.all_down.next();
                Verdict::Reopen(format!("all GPUs are down since {} s", age.as_secs()))
            });
        }
        // One that has come down since is no reason to wait as long as for those before.
        if std::mem::replace(&mut self.were_down, down.len()) < down.len() {
            (self.one_down, self.tried) = (one_down(self.shared), None);
        }
        down.retain(|(since, _)| since.elapsed() >= settings.trial_after);
        let is_rested = self.tried.is_none_or(|tried| tried.elapsed() >= self.one_down.now);
        let may_try = settings.trial.is_some() && !self.trial && !self.opening;
        if down.is_empty() || !is_rested || !may_try {
            return None;
        }
        // Each in turn: a new session may bring back one of several.
        self.trials += 1;
        let at = self.trials % down.len();
        let suspect = down.into_iter().nth(at).map(|(_, suspect)| suspect)?;
        self.one_down.next();
        self.tried = Some(Moment::now());
        Some(Verdict::Try(suspect))
    }

    /// Lets a process of its own try whether it can read a GPU that is down here.
    fn start_trial(&mut self, suspect: Suspect) {
        let Some(trial) = self.shared.settings.trial.clone() else { return };
        let tell = self.tell.clone();
        let gpu = suspect.index;
        let spawned = thread::Builder::new().name("trial".to_owned()).spawn(move || {
            let outcome = (trial.0)(&suspect);
            match &outcome {
                Ok(()) => tracing::info!(gpu, "a new session would read the GPU that is down"),
                Err(why) => tracing::debug!(gpu, "a new session would not help: {why}"),
            }
            // The keeper is gone only when everything is over.
            let _ = tell.send(Order::Tried(outcome.is_ok()));
        });
        self.trial = spawned.is_ok();
    }
}

/// Opens and closes the source, until there is nothing more to do.
fn run_errands(mut source: Box<dyn Source>, told: &Receiver<Errand>, answer: &Sender<Order>) {
    while let Ok(errand) = told.recv() {
        match errand {
            Errand::Open { wish, plan } => {
                let result = source.connect(&plan.watches, wish.renew);
                let opened = Opened { wish, plan, result };
                if answer.send(Order::Opened(Box::new(opened))).is_err() {
                    return;
                }
            }
            Errand::Close(session) => drop(session),
        }
    }
}

/// What is to be done about GPUs that are down.
enum Verdict {
    /// To open the source again: there is nothing to lose.
    Reopen(String),
    /// To try aside whether that would help this GPU.
    Try(Suspect),
}

/// Tells the keeper of the end of a lane, however it ends.
struct TellOfEnd {
    id: u64,
    tell: Sender<Order>,
}

impl Drop for TellOfEnd {
    fn drop(&mut self) {
        // The keeper is gone only when everything is over.
        let _ = self.tell.send(Order::LaneEnded(self.id));
    }
}
