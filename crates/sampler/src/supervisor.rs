//! The supervisor: never calls a driver, drops what is too old, publishes snapshots.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use model::{
    Down, FieldId, Gpu, GpuView, Identity, Kind, Pace, Reading, Reason, Rhythm, Snapshot, Value,
    Watch, Xid,
};

use crate::board::{Board, GpuBoard, History, Shared};
use crate::lane::next_tick;
use crate::{Settings, process};

/// How long after a tick the readings of that tick are published: all of them in one snapshot, so
/// that an idle exporter wakes once a tick for it and not once a GPU.
const GRACE: Duration = Duration::from_millis(10);

/// How long news waits for more of it: readers that run aside end at about the same time.
const COALESCE: Duration = Duration::from_millis(3);

/// The longest sleep. Also how long opening the source may take before it is said.
const LONGEST: Duration = Duration::from_secs(5);

/// From one look at this process's own use to the next.
const PROCESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the sampler stops.
pub(crate) fn run(shared: &Arc<Shared>) {
    loop {
        let due = next_publication(shared, Instant::now());
        let mut board = shared.board();
        while !board.stopping && !board.urgent && Instant::now() < due {
            let pause = due.saturating_duration_since(Instant::now());
            let woken = shared.wake.wait_timeout(board, pause);
            board = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if board.stopping {
            return;
        }
        let urgent = board.urgent;
        drop(board);
        if urgent {
            thread::sleep(COALESCE);
        }
        let now = Instant::now();
        let expired = now > shared.current.load().good_until;
        let mut board = shared.board();
        if !board.dirty && !expired {
            continue;
        }
        if now >= board.process_read + PROCESS_INTERVAL {
            board.process = process::usage(shared.settings.started);
            board.process_read = now;
        }
        drop(board);
        shared.publish(now);
        // Last, and without the board: a log that nobody reads must not keep the page waiting.
        let changes = changes(&mut shared.board());
        changes.into_iter().for_each(Change::say);
    }
}

/// When to publish next, if nothing urgent comes: shortly after the next tick, or when something of
/// the current snapshot is too old.
fn next_publication(shared: &Shared, now: Instant) -> Instant {
    let before = now.checked_sub(GRACE).filter(|before| *before > shared.epoch);
    let tick = next_tick(shared.epoch, shared.settings.interval, before.unwrap_or(shared.epoch));
    // A little later than the last good moment, since that itself is still good.
    let expiry = shared.current.load().good_until + Duration::from_micros(100);
    (tick + GRACE).min(expiry).min(now + LONGEST).max(now)
}

impl Shared {
    /// Makes a snapshot of what is good at `now`, and publishes it.
    pub(crate) fn publish(&self, now: Instant) -> Arc<Snapshot> {
        let mut board = self.board();
        let snapshot = Arc::new(compose(&mut board, &self.watches, &self.settings, now));
        // Stored under the lock, so that an older one never replaces a newer one.
        self.current.store(Arc::clone(&snapshot));
        snapshot
    }
}

/// What the board says at `now`.
fn compose(
    board: &mut Board,
    watches: &Arc<[Watch]>,
    settings: &Settings,
    now: Instant,
) -> Snapshot {
    board.dirty = false;
    board.urgent = false;
    let mut good_until = now + LONGEST;
    let mut source = board.source.clone();
    if let Some(since) = board.connecting {
        if now >= since + LONGEST {
            let seconds = (now - since).as_secs();
            source.up = Err(format!("the driver has not come back for {seconds} s"));
        } else {
            good_until = good_until.min(since + LONGEST);
        }
    }
    let source_up = source.up.is_ok();
    let mut gpus = Vec::with_capacity(board.gpus.len() + board.former.len());
    for gpu in &mut board.gpus {
        let up = match source_up {
            true => state(gpu, settings, now, &mut good_until),
            false => Err(Down::SourceDown),
        };
        gpu.state = up;
        let is_listening = listening(gpu, settings, now, &mut good_until);
        if gpu.history.xids.listening != is_listening {
            Arc::make_mut(&mut gpu.history.xids).listening = is_listening;
        }
        let mut view = GpuView {
            gpu: Gpu { index: gpu.index, identity: gpu.identity.clone() },
            up,
            readings: Vec::new(),
            xids: Arc::clone(&gpu.history.xids),
            last_success: gpu.history.last_success,
            pass_duration: gpu.pass_duration.filter(|_| up.is_ok()),
            errors: Arc::clone(&gpu.history.errors),
        };
        view.readings = match up {
            Ok(()) => readings(gpu, &view, watches, settings, now, &mut good_until),
            Err(down) => vec![Err(reason(down)); watches.len()],
        };
        keep_labels(gpu, watches, &mut view);
        gpus.push(view);
    }
    gpus.extend(board.former.iter().map(|(identity, history)| {
        let mut readings = vec![Err(Reason::Lost); watches.len()];
        show_labels(history, &mut readings);
        GpuView {
            gpu: Gpu { index: identity.index, identity: Some(Arc::clone(identity)) },
            up: Err(Down::Missing),
            readings,
            xids: Arc::clone(&history.xids),
            last_success: history.last_success,
            pass_duration: None,
            errors: Arc::clone(&history.errors),
        }
    }));
    Snapshot { watches: Arc::clone(watches), gpus, source, process: board.process, good_until }
}

/// Whether a GPU answers. Lowers `good_until` to the moment when that would change by itself.
fn state(
    gpu: &GpuBoard,
    settings: &Settings,
    now: Instant,
    good_until: &mut Instant,
) -> Result<(), Down> {
    if !gpu.listed {
        return Err(Down::Missing);
    }
    let Some(main) = gpu.main_lane() else { return Err(Down::Starting) };
    if let Some(since) = main.busy.since() {
        expires(since + settings.pass_deadline(main.cadence), now, good_until, Down::Late)?;
    }
    if let Some(reason) = main.down {
        return Err(reason.into());
    }
    let last_ok = main.last_ok.ok_or(Down::Starting)?;
    expires(last_ok + settings.late_after(main.cadence), now, good_until, Down::Late)
}

/// Whether silence means that no XID has happened: somebody listens, and is not stuck in it.
fn listening(gpu: &GpuBoard, settings: &Settings, now: Instant, good_until: &mut Instant) -> bool {
    let Some(lane) = gpu.lanes.iter().find(|lane| lane.listens) else { return false };
    let since = lane.busy.since().or(lane.last_ok).unwrap_or(now);
    expires(since + settings.late_after(lane.cadence), now, good_until, ()).is_ok()
}

/// What is good until `end`: either it is over, or that is noted.
fn expires<E>(end: Instant, now: Instant, good_until: &mut Instant, over: E) -> Result<(), E> {
    if now > end {
        return Err(over);
    }
    *good_until = (*good_until).min(end);
    Ok(())
}

fn readings(
    gpu: &GpuBoard,
    view: &GpuView,
    watches: &[Watch],
    settings: &Settings,
    now: Instant,
    good_until: &mut Instant,
) -> Vec<Reading> {
    let mut readings = vec![Err(Reason::NotSupported); watches.len()];
    for lane in &gpu.lanes {
        for (slot, position) in lane.slots.iter().zip(&lane.watches) {
            let watch = &watches[*position];
            let late_after = match (lane.rhythm, watch.pace) {
                (Rhythm::Main, Pace::Slow) => settings.slow_late_after(),
                _ => settings.late_after(lane.cadence),
            };
            readings[*position] = match (&slot.reading, slot.at, lane.down) {
                (_, _, Some(reason)) => Err(reason),
                (Ok(value), Some(at), None) => {
                    expires(at + late_after, now, good_until, Reason::Late).map(|()| value.clone())
                }
                (Ok(_), None, None) => Err(Reason::NoData),
                (Err(reason), _, None) => Err(*reason),
            };
            if watch.field == FieldId::XID_ERRORS {
                let silence = Err(lane.down.unwrap_or(Reason::NoData));
                let code = |xid: Xid| Ok(Value::Int(i64::from(xid.code)));
                readings[*position] = view.last_xid().map_or(silence, code);
            }
        }
    }
    readings
}

/// Remembers the labels of a GPU that is up, and shows them while it is down.
fn keep_labels(gpu: &mut GpuBoard, watches: &[Watch], view: &mut GpuView) {
    if view.up.is_err() {
        show_labels(&gpu.history, &mut view.readings);
        return;
    }
    gpu.history.labels.clear();
    let is_label = |(_, watch): &(usize, &Watch)| watch.kind == Kind::Label;
    for (position, _) in watches.iter().enumerate().filter(is_label) {
        if let Ok(value) = &view.readings[position] {
            gpu.history.labels.push((position, value.clone()));
        }
    }
}

fn show_labels(history: &History, readings: &mut [Reading]) {
    for (position, value) in &history.labels {
        readings[*position] = Ok(value.clone());
    }
}

/// The reason that the readings of a GPU that is down carry.
fn reason(down: Down) -> Reason {
    match down {
        Down::Late => Reason::Late,
        Down::Lost | Down::Missing => Reason::Lost,
        Down::NotPermitted => Reason::NotPermitted,
        Down::Failed => Reason::Failed,
        Down::Starting | Down::SourceDown => Reason::NoData,
    }
}

/// A GPU whose state is another than was said last.
struct Change {
    gpu: u32,
    identity: Option<Arc<Identity>>,
    before: Option<Result<(), Down>>,
    now: Result<(), Down>,
}

/// The changes that have not been said yet.
fn changes(board: &mut Board) -> Vec<Change> {
    let changed = board.gpus.iter_mut().filter(|gpu| gpu.said != Some(gpu.state));
    changed
        .map(|gpu| Change {
            gpu: gpu.index,
            identity: gpu.identity.clone(),
            before: gpu.said.replace(gpu.state),
            now: gpu.state,
        })
        .collect()
}

impl Change {
    fn say(self) {
        let gpu = self.gpu;
        let uuid = self.identity.as_ref().map_or("", |identity| identity.uuid.as_str());
        match self.now {
            Ok(()) if matches!(self.before, None | Some(Err(Down::Starting))) => {
                tracing::info!(gpu, uuid, "answers");
            }
            Ok(()) => tracing::info!(gpu, uuid, "answers again"),
            // Every GPU is starting at first, or unknown while its source is down, which is said.
            Err(Down::Starting | Down::SourceDown) => {}
            Err(Down::Missing) => {
                tracing::warn!(gpu, uuid, "the driver does not list it; it is awaited");
            }
            Err(Down::Late) => tracing::warn!(
                gpu,
                uuid,
                "a driver call does not come back; its series are absent until it does"
            ),
            Err(down) => tracing::warn!(gpu, uuid, "down: {down}; its series are absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use model::{Kind, Slot};

    use super::*;
    use crate::Selection;
    use crate::board::{Busy, LaneBoard};

    const FAST: usize = 0;
    const SLOW: usize = 1;
    const XID: usize = 2;

    /// One GPU whose main lane has read both of its watches once, at `at`.
    struct Scene {
        shared: Shared,
        at: Instant,
    }

    impl Scene {
        fn new(interval: Duration) -> Self {
            let watch = |id, pace| Watch {
                field: FieldId(id),
                name: "name".into(),
                kind: Kind::Gauge,
                help: "help".into(),
                pace,
            };
            let watches =
                [watch(150, Pace::Every), watch(310, Pace::Slow), watch(230, Pace::Every)];
            let settings =
                Settings { interval, gpus: Selection::All, started: SystemTime::UNIX_EPOCH };
            let shared = Shared::new("test", Arc::new(watches), settings);
            let at = shared.epoch + Duration::from_secs(1);
            let slot = Slot { reading: Ok(Value::Int(61)), at: Some(at) };
            let lane = |rhythm, watches: &[usize]| LaneBoard {
                id: 1,
                rhythm,
                watches: watches.to_vec(),
                slots: vec![slot.clone(); watches.len()],
                down: None,
                last_ok: Some(at),
                busy: Arc::new(Busy::new(shared.epoch)),
                cadence: interval,
                listens: rhythm == Rhythm::Waiting,
                detained: false,
            };
            let lanes = vec![lane(Rhythm::Main, &[FAST, SLOW]), lane(Rhythm::Waiting, &[XID])];
            let mut board = shared.board();
            board.source.up = Ok(());
            let gpu = board.gpu(0);
            gpu.listed = true;
            gpu.lanes = lanes;
            drop(board);
            Self { shared, at }
        }

        fn after(&self, millis: u64) -> Snapshot {
            let mut board = self.shared.board();
            let now = self.at + Duration::from_millis(millis);
            compose(&mut board, &self.shared.watches, &self.shared.settings, now)
        }

        fn with(self, change: impl FnOnce(&mut GpuBoard)) -> Self {
            change(self.shared.board().gpu(0));
            self
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reading_lives_for_two_of_its_intervals() {
        let scene = Scene::new(SECOND);
        assert_eq!(scene.after(2000).gpus[0].readings[FAST], Ok(Value::Int(61)));
        let late = scene.after(2001);
        assert_eq!(late.gpus[0].up, Err(Down::Late));
        assert_eq!(late.gpus[0].readings[FAST], Err(Reason::Late));
        assert_eq!(late.gpus[0].readings[SLOW], Err(Reason::Late), "a GPU is down as a whole");
    }

    #[test]
    fn a_slow_reading_lives_for_two_slow_intervals() {
        let scene = Scene::new(SECOND);
        let pass = |millis| {
            let at = scene.at + Duration::from_millis(millis);
            let mut board = scene.shared.board();
            let main = &mut board.gpu(0).lanes[0];
            main.slots[FAST].at = Some(at);
            main.last_ok = Some(at);
        };
        pass(20_000);
        assert_eq!(scene.after(20_000).gpus[0].readings[SLOW], Ok(Value::Int(61)));
        assert_eq!(scene.after(20_001).gpus[0].readings[SLOW], Err(Reason::Late));
        assert_eq!(scene.after(20_001).gpus[0].readings[FAST], Ok(Value::Int(61)));
    }

    #[test]
    fn a_snapshot_knows_until_when_it_is_good() {
        let scene = Scene::new(SECOND);
        assert_eq!(scene.after(0).good_until, scene.at + 2 * SECOND);
        let scene = Scene::new(30 * SECOND).with(|gpu| {
            let busy = &gpu.lanes[0].busy;
            busy.begin(gpu.lanes[0].last_ok.unwrap() + 30 * SECOND);
        });
        assert_eq!(scene.after(30_000).good_until, scene.at + 35 * SECOND);
        assert_eq!(
            scene.after(35_001).gpus[0].up,
            Err(Down::Late),
            "a long interval hides no hang"
        );
    }

    #[test]
    fn short_intervals_do_not_flicker() {
        let scene = Scene::new(Duration::from_millis(50));
        assert!(scene.after(1000).gpus[0].up.is_ok());
        assert_eq!(scene.after(1001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn why_a_gpu_is_down() {
        let lost = Scene::new(SECOND).with(|gpu| gpu.lanes[0].down = Some(Reason::Lost));
        assert_eq!(lost.after(0).gpus[0].up, Err(Down::Lost));
        assert_eq!(lost.after(0).gpus[0].readings[FAST], Err(Reason::Lost));
        let missing = Scene::new(SECOND).with(|gpu| gpu.listed = false);
        assert_eq!(missing.after(0).gpus[0].up, Err(Down::Missing));
        let fresh = Scene::new(SECOND).with(|gpu| gpu.lanes[0].last_ok = None);
        assert_eq!(fresh.after(0).gpus[0].up, Err(Down::Starting));
        let closed = Scene::new(SECOND);
        closed.shared.board().source.up = Err("gone".to_owned());
        assert_eq!(closed.after(0).gpus[0].up, Err(Down::SourceDown));
    }

    #[test]
    fn a_lane_aside_that_fails_costs_its_own_watches() {
        let scene = Scene::new(SECOND).with(|gpu| {
            gpu.lanes[1].rhythm = Rhythm::Aside;
            gpu.lanes[1].watches = vec![SLOW];
            gpu.lanes[0].watches = vec![FAST, XID];
            gpu.lanes[1].down = Some(Reason::Failed);
        });
        let snapshot = scene.after(0);
        assert!(snapshot.gpus[0].up.is_ok());
        assert_eq!(snapshot.gpus[0].readings[SLOW], Err(Reason::Failed));
        assert_eq!(snapshot.gpus[0].readings[FAST], Ok(Value::Int(61)));
    }

    #[test]
    fn silence_is_zero_only_while_somebody_listens() {
        let scene = Scene::new(SECOND);
        let reading = |scene: &Scene, millis| scene.after(millis).gpus[0].readings[XID].clone();
        assert_eq!(reading(&scene, 0), Ok(Value::Int(0)));
        let deaf = Scene::new(SECOND).with(|gpu| gpu.lanes[1].listens = false);
        assert_eq!(reading(&deaf, 0), Err(Reason::NoData));
        let stuck = Scene::new(SECOND).with(|gpu| {
            let since = gpu.lanes[1].last_ok.unwrap();
            gpu.lanes[1].busy.begin(since);
            gpu.lanes[0].last_ok = Some(since + 10 * SECOND);
        });
        assert_eq!(reading(&stuck, 2000), Ok(Value::Int(0)));
        assert_eq!(reading(&stuck, 2001), Err(Reason::NoData), "nobody listens any more");
    }

    #[test]
    fn an_xid_outlives_its_gpu_and_so_do_the_labels_of_its_series() {
        let mut scene = Scene::new(SECOND).with(|gpu| {
            Arc::make_mut(&mut gpu.history.xids).record(Xid { code: 79, message: "gone" });
        });
        let mut watches = scene.shared.watches.to_vec();
        watches[SLOW].kind = Kind::Label;
        scene.shared.watches = watches.into();
        assert_eq!(scene.after(0).gpus[0].readings[XID], Ok(Value::Int(79)));
        let down = &scene.after(2001).gpus[0];
        assert!(down.up.is_err());
        assert_eq!(down.last_xid().map(|xid| xid.code), Some(79));
        assert_eq!(down.readings[SLOW], Ok(Value::Int(61)), "a label stays");
        assert_eq!(down.readings[FAST], Err(Reason::Late));
    }

    #[test]
    fn passes_longer_than_the_interval_are_not_late_by_nature() {
        let scene = Scene::new(SECOND).with(|gpu| gpu.lanes[0].cadence = 2 * SECOND);
        assert!(scene.after(4000).gpus[0].up.is_ok());
        assert_eq!(scene.after(4001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn a_pass_that_is_longer_than_the_interval_skips_ticks_but_a_hang_is_no_cadence() {
        let settings = Scene::new(SECOND).shared.settings;
        assert_eq!(settings.cadence(SECOND / 5), SECOND);
        assert_eq!(settings.cadence(SECOND * 6 / 5), 2 * SECOND);
        assert_eq!(settings.cadence(3600 * SECOND), 5 * SECOND);
        assert_eq!(settings.pass_deadline(2 * SECOND), 4 * SECOND);
    }

    #[test]
    fn what_was_heard_before_a_gpu_was_known_is_its_own() {
        let scene = Scene::new(SECOND).with(|gpu| {
            Arc::make_mut(&mut gpu.history.xids).record(Xid { code: 79, message: "gone" });
        });
        scene.shared.board().identify(0, identity(0, "GPU-a"));
        assert_eq!(scene.after(0).gpus[0].xids.counts.get(&79), Some(&1));
    }

    #[test]
    fn a_lane_that_is_still_inside_the_driver_has_no_place_at_another_gpu() {
        let scene = Scene::new(SECOND).with(|gpu| gpu.lanes[1].detained = true);
        let mut board = scene.shared.board();
        board.identify(0, identity(0, "GPU-a"));
        assert_eq!(board.gpu(0).lanes.len(), 2, "its own GPU");
        board.identify(0, identity(0, "GPU-b"));
        assert_eq!(board.gpu(0).lanes.len(), 1);
    }

    #[test]
    fn each_tick_is_published_shortly_after_it() {
        let scene = Scene::new(SECOND);
        // The next snapshot's readings, not the expiry of something in this one, set the time.
        let tick = scene.shared.epoch + SECOND;
        let at = |millis| next_publication(&scene.shared, tick + Duration::from_millis(millis));
        scene
            .shared
            .current
            .store(Arc::new(Snapshot { good_until: scene.at + 10 * SECOND, ..scene.after(0) }));
        assert_eq!(at(0), tick + GRACE);
        assert_eq!(at(9), tick + GRACE);
        assert_eq!(at(11), tick + SECOND + GRACE);
    }

    fn identity(index: u32, uuid: &str) -> Arc<Identity> {
        let (uuid, text) = (uuid.to_owned(), String::new);
        Arc::new(Identity { index, uuid, pci_bus_id: text(), model_name: text() })
    }

    #[test]
    fn a_gpu_that_another_one_replaced_is_remembered_as_missing() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        board.identify(0, identity(0, "GPU-a"));
        board.identify(0, identity(0, "GPU-b"));
        drop(board);
        let snapshot = scene.after(0);
        assert_eq!(snapshot.gpus.len(), 2);
        assert_eq!(snapshot.gpus[1].up, Err(Down::Missing));
        assert_eq!(snapshot.gpus[1].gpu.identity.as_ref().unwrap().uuid, "GPU-a");
        let mut board = scene.shared.board();
        board.gpu(1).listed = true;
        board.identify(1, identity(1, "GPU-a"));
        drop(board);
        let uuids = |snapshot: &Snapshot| -> Vec<String> {
            let identities = snapshot.gpus.iter().filter_map(|view| view.gpu.identity.clone());
            identities.map(|identity| identity.uuid.clone()).collect()
        };
        assert_eq!(uuids(&scene.after(0)), ["GPU-b", "GPU-a"], "it is back, under a new index");
    }

    #[test]
    fn what_is_known_of_a_gpu_moves_with_it() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        for (index, uuid) in [(0, "GPU-a"), (1, "GPU-b"), (2, "GPU-c")] {
            board.gpu(index).listed = true;
            board.identify(index, identity(index, uuid));
            let log = &mut board.gpu(index).history.xids;
            Arc::make_mut(log).record(Xid { code: 10 + index, message: "?" });
        }
        // GPU-a was taken out: the others move up, in whatever order they answer.
        board.gpu(2).listed = false;
        board.identify(1, identity(1, "GPU-c"));
        board.identify(0, identity(0, "GPU-b"));
        board.forget_empty_places(|_| false);
        drop(board);
        let snapshot = scene.after(0);
        let known: Vec<(u32, &str, u32)> = snapshot
            .gpus
            .iter()
            .map(|view| {
                let identity = view.gpu.identity.as_ref().unwrap();
                (view.gpu.index, identity.uuid.as_str(), view.xids.last.unwrap().code)
            })
            .collect();
        assert_eq!(known, [(0, "GPU-b", 11), (1, "GPU-c", 12), (0, "GPU-a", 10)]);
        assert_eq!(snapshot.gpus[2].up, Err(Down::Missing));
        let shown = &snapshot.gpus[0].readings[FAST];
        assert!(shown.is_err(), "what was read of another GPU");
    }

    #[test]
    fn gpus_that_are_gone_take_bounded_room() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        for serial in 0..1000 {
            board.identify(0, identity(0, &format!("GPU-{serial}")));
        }
        assert!(board.former.len() <= 64);
    }
}
