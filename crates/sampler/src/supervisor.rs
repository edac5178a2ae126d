//! The supervisor: never calls a driver, drops what is too old, publishes snapshots.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use model::{Down, Identity, Moment};

use crate::board::{Board, Shared};
use crate::compose::LONGEST;
use crate::lane::next_tick;
use crate::{Selection, process};

/// How long after a tick the readings of that tick are published: all of them in one snapshot, so
/// that an idle exporter wakes once a tick for it and not once a GPU.
const GRACE: Duration = Duration::from_millis(10);

/// How long news waits for more of it: readers that run aside end at about the same time.
const COALESCE: Duration = Duration::from_millis(3);

/// From one look at this process's own use to the next.
const PROCESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the sampler stops.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut all_late = false;
    loop {
        let due = next_publication(shared, Moment::now());
        let mut board = shared.board();
        while !board.stopping && !board.urgent && Moment::now() < due {
            let pause = due.saturating_duration_since(Moment::now());
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
        let now = Moment::now();
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
        // Last, and without the board: a log that is not read must not keep the page waiting.
        let mut board = shared.board();
        let changes = changes(&mut board, &shared.settings.gpus);
        let were_late = std::mem::replace(&mut all_late, are_all_late(&board));
        drop(board);
        changes.into_iter().for_each(Change::say);
        if let Some(line) = shared.when_all_are_late.filter(|_| all_late && !were_late) {
            tracing::warn!("{line}");
        }
    }
}

/// When to publish next, if nothing urgent comes: shortly after the next tick, or when something of
/// the current snapshot is too old.
fn next_publication(shared: &Shared, now: Moment) -> Moment {
    let before = now.checked_sub(GRACE).filter(|before| *before > shared.epoch);
    let tick = next_tick(shared.epoch, shared.board().plan.tick, before.unwrap_or(shared.epoch));
    // A little later than the last good moment, since that itself is still good.
    let expiry = shared.current.load().good_until + Duration::from_micros(100);
    (tick + GRACE).min(expiry).min(now + LONGEST).max(now)
}

/// A GPU whose state is another than was said last.
struct Change {
    gpu: u32,
    /// Whether it was asked for by its index.
    is_selected: bool,
    identity: Option<Arc<Identity>>,
    before: Option<Result<(), Down>>,
    now: Result<(), Down>,
}

/// Whether there are GPUs, and each of them is late.
fn are_all_late(board: &Board) -> bool {
    let mut listed = board.gpus.iter().filter(|gpu| gpu.listed).peekable();
    listed.peek().is_some() && listed.all(|gpu| gpu.state == Err(Down::Late))
}

/// The changes that have not been said yet.
fn changes(board: &mut Board, selection: &Selection) -> Vec<Change> {
    let changed = board.gpus.iter_mut().filter(|gpu| gpu.said != Some(gpu.state));
    changed
        .map(|gpu| Change {
            gpu: gpu.index,
            is_selected: *selection != Selection::All,
            identity: gpu.identity.clone(),
            before: gpu.said.replace(gpu.state),
            now: gpu.state,
        })
        .collect()
}

impl Change {
    fn say(self) {
        let gpu = self.gpu;
        let uuid = self.identity.as_ref().and_then(|identity| identity.uuid.as_deref());
        match self.now {
            Ok(()) if matches!(self.before, None | Some(Err(Down::Starting))) => {
                tracing::info!(gpu, uuid, "answers");
            }
            Ok(()) => tracing::info!(gpu, uuid, "answers again"),
            // Every GPU is starting at first, or unknown while its source is down, which is said.
            Err(Down::Starting | Down::SourceDown) => {}
            Err(Down::Missing) if self.is_selected => tracing::warn!(
                "-d, --devices (DCGM_EXPORTER_DEVICES_STR) asks for GPU {gpu}, which the driver does \
                 not list; its heatsink_gpu_up is 0 until it does"
            ),
            Err(Down::Missing) => tracing::warn!(
                gpu,
                uuid,
                "the driver does not list this GPU any more; its heatsink_gpu_up is 0 until it does"
            ),
            Err(Down::NotInitialized) => {
                tracing::warn!(gpu, uuid, "on the PCI bus, and not listed by the driver");
            }
            Err(Down::NoThread) => tracing::warn!(
                gpu,
                uuid,
                "no thread reads it; if there can be none, raise the limit on tasks (TasksMax=, pids.max)"
            ),
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
    use model::Snapshot;

    use super::*;
    use crate::Settings;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_tick_is_published_shortly_after_it() {
        let settings = Settings::new(SECOND);
        let shared = Shared::new("test", Arc::new([]), settings);
        // The next snapshot's readings, not the expiry of something in this one, set the time.
        let tick = shared.epoch + SECOND;
        let current = Snapshot::clone(&shared.current.load());
        let good_until = shared.epoch + 10 * SECOND;
        shared.current.store(Arc::new(Snapshot { good_until, ..current }));
        let at = |millis| next_publication(&shared, tick + Duration::from_millis(millis));
        assert_eq!(at(0), tick + GRACE);
        assert_eq!(at(9), tick + GRACE);
        assert_eq!(at(11), tick + SECOND + GRACE);
    }
}
