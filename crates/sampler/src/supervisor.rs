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
