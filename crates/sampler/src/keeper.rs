//! The keeper: opens the source, starts its lanes, and opens it anew when the world has changed.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use model::{Session, Slot, Source};

use crate::Selection;
use crate::board::{Board, Busy, LaneBoard, Presence, Shared};
use crate::lane::Lane;

/// From one look at the world to the next.
const LOOK: Duration = Duration::from_secs(1);

/// How long a source that cannot be opened is left alone: at first, and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// How long lanes may take to end before they are left where they are. Longer than the longest
/// wait of a healthy one, shorter than readings take to become late.
const END: Duration = Duration::from_millis(900);

/// How long all GPUs have to be down before the source is opened anew, and how long any one; both
/// double with each time that it did not help.
const ALL_DOWN: Duration = Duration::from_secs(2);
const ONE_DOWN: Duration = Duration::from_secs(30);
const LONGEST_DOWN: Duration = Duration::from_secs(300);

/// A lane's thread, and what ends it.
struct Running {
    gpu: u32,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A thread of an earlier session that is still inside the driver.
struct Detained {
    gpu: u32,
    thread: JoinHandle<()>,
}

/// Patience with GPUs that are down.
struct Patience {
    all: Duration,
    one: Duration,
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    stopped: &'a Receiver<()>,
    running: Vec<Running>,
    detained: Vec<Detained>,
    next_id: u64,
    patience: Patience,
}

/// Runs until it is stopped.
pub(crate) fn run(mut source: Box<dyn Source>, shared: &Arc<Shared>, stopped: &Receiver<()>) {
    let mut keeper = Keeper {
        shared,
        stopped,
        running: Vec::new(),
        detained: Vec::new(),
        next_id: 0,
        patience: Patience { all: ALL_DOWN, one: ONE_DOWN },
    };
    let mut pause = RECONNECT.0;
    let mut said = String::new();
    loop {
        shared.changed(|board| board.connecting = Some(Instant::now()));
        let opened = source.connect(&shared.watches);
        match opened {
            Ok(session) => {
                pause = RECONNECT.0;
                said.clear();
                if !keeper.keep(session) {
                    return;
                }
            }
            Err(error) => {
                if error.message != said {
                    tracing::warn!("{}; trying again until it works", error.message);
                    said.clone_from(&error.message);
                }
                shared.changed(|board| {
                    board.connecting = None;
                    board.source.up = Err(error.message);
                });
                if !keeper.pause(pause) {
                    return;
                }
                pause = (pause * 2).min(RECONNECT.1);
            }
        }
    }
}

impl Keeper<'_> {
    /// Waits. Says whether to go on.
    fn pause(&self, pause: Duration) -> bool {
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }

    /// Keeps a session until the world has changed. Says whether to open another one.
    fn keep(&mut self, mut session: Box<dyn Session>) -> bool {
        let driver_version = session.driver_version();
        let name = self.shared.board().source.name;
        let gpus = session.gpus();
        tracing::info!(
            source = name,
            driver = driver_version.as_deref().unwrap_or("unknown"),
            gpus = gpus.len(),
            "reading"
        );
        self.shared.changed(|board| {
            board.connecting = None;
            board.source.up = Ok(());
            board.source.driver_version = driver_version;
        });
        self.enter(&gpus);
        for gpu in &gpus {
            self.start_lanes(session.as_mut(), *gpu);
        }
        let began = Instant::now();
        let (why, go_on) = loop {
            if !self.pause(LOOK) {
                break (None, false);
            }
            self.release_detained(session.as_mut());
            if let Some(why) = session.outdated() {
                break (Some(why), true);
            }
            if let Some(why) = self.out_of_patience(began) {
                break (Some(why), true);
            }
        };
        if let Some(why) = why {
            tracing::info!("opening the source anew: {why}");
        }
        self.end_lanes();
        go_on
    }

    /// Enters the GPUs of a session on the board. Those that are no longer listed stay, as
    /// missing: a GPU that disappears must not disappear in silence.
    fn enter(&self, gpus: &[u32]) {
        let selection = &self.shared.settings.gpus;
        let detained: Vec<u32> = self.detained.iter().map(|detained| detained.gpu).collect();
        self.shared.changed(|board| {
            let wanted: &[u32] = match selection {
                Selection::All => &[],
                Selection::Only(indexes) => indexes,
            };
            for index in wanted.iter().chain(gpus.iter().filter(|gpu| selection.includes(**gpu))) {
                board.gpu(*index);
            }
            for gpu in &mut board.gpus {
                gpu.presence = match gpu.index {
                    index if !gpus.contains(&index) => Presence::Missing,
                    index if detained.contains(&index) => Presence::Detained,
                    _ => Presence::Listed,
                };
            }
        });
    }

    fn start_lanes(&mut self, session: &mut dyn Session, gpu: u32) {
        let is_detained = self.detained.iter().any(|detained| detained.gpu == gpu);
        if is_detained || !self.shared.settings.gpus.includes(gpu) {
            return;
        }
        let readers = session.readers(gpu);
        let mut lanes = Vec::with_capacity(readers.len());
        let mut boards = Vec::with_capacity(readers.len());
        for reader in readers {
            self.next_id += 1;
            let (stop, stopped) = mpsc::channel();
            let busy = Arc::new(Busy::new(self.shared.epoch));
            boards.push(LaneBoard {
                id: self.next_id,
                rhythm: reader.rhythm(),
                watches: reader.watches().to_vec(),
                slots: vec![
                    Slot { reading: Err(model::Reason::NoData), at: None };
                    reader.watches().len()
                ],
                down: None,
                last_ok: None,
                busy: Arc::clone(&busy),
                xids: None,
            });
            let shared = Arc::clone(self.shared);
            lanes.push((Lane { id: self.next_id, gpu, reader, busy, shared, stopped }, stop));
        }
        self.shared.changed(|board| inherit(board, gpu, boards));
        for (lane, stop) in lanes {
            let name = format!("gpu {gpu} {:?}", lane.reader.rhythm()).to_lowercase();
            match thread::Builder::new().name(name).spawn(move || lane.run()) {
                Ok(thread) => self.running.push(Running { gpu, stop, thread }),
                Err(error) => tracing::error!(gpu, "no thread to read it with: {error}"),
            }
        }
    }

    /// Ends the lanes of a session. Those that do not end are inside the driver: they are left
    /// there, with all that they hold.
    fn end_lanes(&mut self) {
        let running: Vec<(u32, JoinHandle<()>)> = self
            .running
            .drain(..)
            .map(|Running { gpu, stop, thread }| {
                drop(stop);
                (gpu, thread)
            })
            .collect();
        let until = Instant::now() + END;
        while running.iter().any(|(_, thread)| !thread.is_finished()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let stuck = running.into_iter().filter(|(_, thread)| !thread.is_finished());
        self.detained.extend(stuck.map(|(gpu, thread)| Detained { gpu, thread }));
        let detained = self.detained.len();
        self.shared.changed(|board| board.detained = detained);
    }

    /// Starts to read the GPUs whose stuck readers have come back.
    fn release_detained(&mut self, session: &mut dyn Session) {
        let held: Vec<u32> = self.detained.iter().map(|detained| detained.gpu).collect();
        self.detained.retain(|detained| !detained.thread.is_finished());
        let listed = session.gpus();
        for gpu in held {
            let still_held = self.detained.iter().any(|detained| detained.gpu == gpu);
            let is_running = self.running.iter().any(|running| running.gpu == gpu);
            if !still_held && !is_running && listed.contains(&gpu) {
                self.shared.changed(|board| board.gpu(gpu).presence = Presence::Listed);
                self.start_lanes(session, gpu);
            }
        }
        let detained = self.detained.len();
        self.shared.board().detained = detained;
    }

    /// Whether GPUs have been down for so long that only a new session may help: a driver that was
    /// reloaded, or a GPU that was reset, answers old handles with errors for ever. A GPU that
    /// hangs is no reason: its old reader would be in the way of a new one.
    fn out_of_patience(&mut self, session_began: Instant) -> Option<String> {
        let board = self.shared.board();
        let listed = board.gpus.iter().filter(|gpu| gpu.presence == Presence::Listed);
        let main_lanes: Vec<&LaneBoard> = listed.filter_map(|gpu| gpu.lanes.first()).collect();
        let failing = |lane: &&LaneBoard| lane.down.is_some() && lane.busy.since().is_none();
        let down = main_lanes.iter().copied().filter(failing);
        let since = down.clone().map(|lane| lane.last_ok.unwrap_or(session_began)).min();
        let all = down.count() == main_lanes.len();
        drop(board);
        let Some(since) = since else {
            self.patience = Patience { all: ALL_DOWN, one: ONE_DOWN };
            return None;
        };
        let age = since.max(session_began).elapsed();
        let patience = if all { &mut self.patience.all } else { &mut self.patience.one };
        if age < *patience {
            return None;
        }
        *patience = (*patience * 2).min(LONGEST_DOWN);
        let who = if all { "all GPUs are" } else { "a GPU is" };
        Some(format!("{who} down since {} s", age.as_secs()))
    }
}

/// Gives a GPU its new lanes. They take over what the old ones read, which stays good until it is
/// late: a new session makes no gap.
fn inherit(board: &mut Board, gpu: u32, mut lanes: Vec<LaneBoard>) {
    let gpu = board.gpu(gpu);
    for new in &mut lanes {
        let old = gpu.lanes.iter_mut().find(|old| old.watches == new.watches);
        if let Some(old) = old {
            new.slots = std::mem::take(&mut old.slots);
            new.last_ok = old.last_ok;
            new.down = old.down;
        }
    }
    let earlier = gpu.xids.as_deref().cloned();
    gpu.earlier_xids = earlier.map(|log| model::XidLog { listening: false, ..log });
    gpu.lanes = lanes;
}
