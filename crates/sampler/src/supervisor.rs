//! The supervisor: never calls a driver, drops what is too old, publishes snapshots.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{
    Down, FieldId, Gpu, GpuView, Pace, Reading, Reason, Rhythm, Snapshot, Value, Watch, XidLog,
};

use crate::board::{Board, GpuBoard, LaneBoard, Presence, Shared};
use crate::lane::next_tick;
use crate::{Settings, process};

/// How long after a tick the readings of that tick are published: all of them in one snapshot, so
/// that an idle exporter wakes once a tick for it and not once a GPU.
const GRACE: Duration = Duration::from_millis(10);

/// The longest sleep. Also how long opening the source may take before it is said.
const LONGEST: Duration = Duration::from_secs(5);

/// From one look at this process's own use to the next.
const PROCESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the sampler stops.
pub(crate) fn run(shared: &Arc<Shared>) {
    loop {
        let now = Instant::now();
        let current = shared.current.load();
        let mut board = shared.board();
        if board.stopping {
            return;
        }
        let expired = now > current.good_until;
        if !board.dirty && !expired {
            let tick = next_tick(shared.epoch, shared.settings.interval, now) + GRACE;
            let until = tick.min(current.good_until).min(now + LONGEST);
            let pause = until.saturating_duration_since(now) + Duration::from_micros(100);
            let woken = shared.wake.wait_timeout(board, pause);
            board = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            if !board.dirty {
                continue;
            }
        }
        drop(board);
        shared.publish(Instant::now());
    }
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

/// The pure part: what the board says at `now`.
fn compose(
    board: &mut Board,
    watches: &Arc<[Watch]>,
    settings: &Settings,
    now: Instant,
) -> Snapshot {
    board.dirty = false;
    board.sequence += 1;
    if now >= board.process_read + PROCESS_INTERVAL {
        board.process = process::usage(settings.started);
        board.process_read = now;
    }
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
        say(gpu, up);
        let readings = match up {
            Ok(()) => readings(gpu, watches, settings, now, &mut good_until),
            Err(down) => vec![Err(reason(down)); watches.len()],
        };
        gpus.push(GpuView {
            gpu: Gpu { index: gpu.index, identity: gpu.identity.clone() },
            up,
            readings,
            xids: gpu.xids.clone(),
            last_success: gpu.last_success,
            pass_duration: gpu.pass_duration.filter(|_| up.is_ok()),
            errors: Arc::clone(&gpu.errors),
        });
    }
    for identity in &board.former {
        gpus.push(GpuView {
            gpu: Gpu { index: identity.index, identity: Some(Arc::clone(identity)) },
            up: Err(Down::Missing),
            readings: vec![Err(Reason::Lost); watches.len()],
            xids: None,
            last_success: None,
            pass_duration: None,
            errors: Arc::default(),
        });
    }
    Snapshot {
        sequence: board.sequence,
        watches: Arc::clone(watches),
        gpus,
        source,
        process: board.process,
        good_until,
    }
}

/// Whether a GPU answers. Lowers `good_until` to the moment when that would change by itself.
fn state(
    gpu: &GpuBoard,
    settings: &Settings,
    now: Instant,
    good_until: &mut Instant,
) -> Result<(), Down> {
    match gpu.presence {
        Presence::Missing => return Err(Down::Missing),
        Presence::Detained => return Err(Down::Late),
        Presence::Listed => {}
    }
    let Some(main) = gpu.lanes.first() else { return Err(Down::Starting) };
    if let Some(since) = main.busy.since() {
        expires(since + settings.pass_deadline(), now, good_until, Down::Late)?;
    }
    if let Some(reason) = main.down {
        return Err(reason.into());
    }
    let last_ok = main.last_ok.ok_or(Down::Starting)?;
    expires(last_ok + settings.late_after(), now, good_until, Down::Late)
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
    watches: &[Watch],
    settings: &Settings,
    now: Instant,
    good_until: &mut Instant,
) -> Vec<Reading> {
    let mut readings = vec![Err(Reason::NotSupported); watches.len()];
    for lane in &gpu.lanes {
        for (slot, position) in lane.slots.iter().zip(&lane.watches) {
            let watch = &watches[*position];
            if watch.field == FieldId::XID_ERRORS {
                readings[*position] = last_xid(gpu.xids.as_deref(), lane);
                continue;
            }
            let late_after = match (lane.rhythm, watch.pace) {
                (Rhythm::Main, Pace::Slow) => settings.slow_late_after(),
                _ => settings.late_after(),
            };
            readings[*position] = match (&slot.reading, slot.at, lane.down) {
                (_, _, Some(reason)) => Err(reason),
                (Ok(value), Some(at), None) => {
                    expires(at + late_after, now, good_until, Reason::Late).map(|()| value.clone())
                }
                (Ok(_), None, None) => Err(Reason::NoData),
                (Err(reason), _, None) => Err(*reason),
            };
        }
    }
    readings
}

/// The last XID; 0 only while silence means that there was none.
fn last_xid(log: Option<&XidLog>, lane: &LaneBoard) -> Reading {
    let silence = Err(lane.down.unwrap_or(Reason::NoData));
    match log {
        Some(XidLog { last: Some(xid), .. }) => Ok(Value::Int(i64::from(xid.code))),
        Some(XidLog { listening: true, .. }) => Ok(Value::Int(0)),
        _ => silence,
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

/// Logs a change of a GPU's state, once.
fn say(gpu: &mut GpuBoard, up: Result<(), Down>) {
    let before = gpu.said.replace(up);
    if before == Some(up) {
        return;
    }
    let index = gpu.index;
    let uuid = gpu.identity.as_ref().map_or("", |identity| identity.uuid.as_str());
    match up {
        Ok(()) if matches!(before, None | Some(Err(Down::Starting))) => {
            tracing::info!(gpu = index, uuid, "answers");
        }
        Ok(()) => tracing::info!(gpu = index, uuid, "answers again"),
        Err(Down::Starting) => {}
        Err(Down::Missing) => {
            tracing::warn!(gpu = index, uuid, "the driver does not list it; it is awaited");
        }
        Err(Down::Late) => {
            tracing::warn!(
                gpu = index,
                uuid,
                "a driver call does not come back; its series are absent until it does"
            );
        }
        Err(down) => tracing::warn!(gpu = index, uuid, "down: {down}; its series are absent"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use model::{Identity, Kind, Slot, Xid};

    use super::*;
    use crate::Selection;
    use crate::board::Busy;

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
                xids: None,
            };
            let lanes = vec![lane(Rhythm::Main, &[FAST, SLOW]), lane(Rhythm::Waiting, &[XID])];
            let mut board = shared.board();
            board.source.up = Ok(());
            let gpu = board.gpu(0);
            gpu.presence = Presence::Listed;
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
        let missing = Scene::new(SECOND).with(|gpu| gpu.presence = Presence::Missing);
        assert_eq!(missing.after(0).gpus[0].up, Err(Down::Missing));
        let detained = Scene::new(SECOND).with(|gpu| gpu.presence = Presence::Detained);
        assert_eq!(detained.after(0).gpus[0].up, Err(Down::Late));
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
        let reading = |log: Option<XidLog>| {
            let scene = Scene::new(SECOND).with(|gpu| gpu.xids = log.map(Arc::new));
            scene.after(0).gpus[0].readings[XID].clone()
        };
        assert_eq!(reading(None), Err(Reason::NoData));
        assert_eq!(reading(Some(XidLog::default())), Err(Reason::NoData));
        let listening = XidLog { listening: true, ..XidLog::default() };
        assert_eq!(reading(Some(listening)), Ok(Value::Int(0)));
        let mut log = XidLog::default();
        log.record(Xid { code: 79, message: "gone" });
        assert_eq!(reading(Some(log)), Ok(Value::Int(79)));
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
        board.gpu(1).presence = Presence::Listed;
        board.identify(1, identity(1, "GPU-a"));
        drop(board);
        let uuids = |snapshot: &Snapshot| -> Vec<String> {
            let identities = snapshot.gpus.iter().filter_map(|view| view.gpu.identity.clone());
            identities.map(|identity| identity.uuid.clone()).collect()
        };
        assert_eq!(uuids(&scene.after(0)), ["GPU-b", "GPU-a"], "it is back, under a new index");
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
