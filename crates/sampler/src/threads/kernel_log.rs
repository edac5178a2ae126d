//! Reads the kernel log, and counts what it reports.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, SystemTime};

use model::{Moment, When};

use super::shared::SharedState;
use crate::kernel_log::KernelLog;
use crate::kernel_log::location::LogError;
use crate::kernel_log::log::Log;
use crate::state::XidAuthority;
use crate::state::kernel_messages::{Clocks, XidQueue};
use crate::state::log_line::LogLine;

/// From one look at the log to the next.
const INTERVAL: Duration = Duration::from_millis(200);

/// The same while XIDs wait for their GPU to be identified, which is soon after the start.
const IDENTIFYING_INTERVAL: Duration = Duration::from_millis(5);

/// From one try to open a log that cannot be read to the next.
const RETRY: Duration = Duration::from_secs(10);

/// Follows the log until the sampler stops. Drops `opened` once it is known which source counts.
pub(crate) fn run(settings: &KernelLog, shared: &SharedState, opened: Sender<()>) {
    let mut opened = Some(opened);
    loop {
        let follow = AssertUnwindSafe(|| follow(settings, shared, &mut opened));
        if catch_unwind(follow).is_ok() {
            return;
        }
        // A log that makes a parser panic must not stop XIDs from being counted.
        tracing::error!("reading the kernel's log went wrong; XIDs come from events for a while");
        shared.change(|state| {
            state.xid_authority = XidAuthority::Events;
            state.events_counted_first = true;
        });
        opened = None;
        thread::park_timeout(RETRY);
        if shared.is_stopping() {
            return;
        }
    }
}

fn follow(settings: &KernelLog, shared: &SharedState, opened: &mut Option<Sender<()>>) {
    let mut log = open(settings, shared, opened.is_some());
    *opened = None;
    let mut tried = Moment::now();
    let mut queue = XidQueue::default();
    let mut caught_up = log.is_none();
    while !shared.is_stopping() {
        if log.is_none() && tried.elapsed() >= RETRY {
            tried = Moment::now();
            log = open(settings, shared, false);
        }
        // While GPUs are being identified, the log itself keeps what the queue has no room for.
        let is_identifying = !queue.is_empty() && shared.lock().is_identifying(Moment::now());
        let mut is_behind = false;
        if let Some(open) = log.as_mut().filter(|_| queue.has_room() || !is_identifying) {
            match open.read() {
                Ok(batch) => {
                    is_behind = batch.is_behind;
                    let reports = queue.parse(&batch, !caught_up, clocks());
                    if !reports.is_empty() {
                        let lines = shared.change(|state| state.apply_reports(reports));
                        lines.into_iter().for_each(LogLine::write);
                    }
                    caught_up |= !is_behind;
                }
                Err(error) => {
                    tracing::warn!(
                        "the kernel's log cannot be read any more: {error}; XIDs come from events"
                    );
                    shared.change(|state| state.xid_authority = XidAuthority::Events);
                    log = None;
                }
            }
        }
        if !queue.is_empty() {
            let counted = shared.lock().count_waiting(&mut queue, settings.meaning, Moment::now());
            if let Some(lines) = counted {
                shared.wake.notify_all();
                lines.into_iter().for_each(LogLine::write);
            }
        }
        if !is_behind {
            thread::park_timeout(if is_identifying { IDENTIFYING_INTERVAL } else { INTERVAL });
        }
    }
}

fn clocks() -> Clocks {
    let now = When { time: SystemTime::now(), moment: Moment::now() };
    Clocks { now, awake: Moment::now_without_suspend() }
}

/// Opens the log, and makes it the source of XIDs. What is in it by then has been counted from events,
/// unless it is opened at the start.
fn open(settings: &KernelLog, shared: &SharedState, is_start: bool) -> Option<Log> {
    let opened = Log::open(&settings.location, &settings.root).and_then(|(mut log, name)| {
        let counts_all = is_start && !shared.lock().events_counted_first;
        let skipped = if counts_all { Ok(()) } else { log.skip() };
        match skipped {
            Ok(()) => Ok((log, name)),
            Err(source) => Err(LogError::unreadable(name, source)),
        }
    });
    match opened {
        Ok((log, name)) => {
            tracing::info!("XIDs come from the kernel's log: {name}");
            shared.change(|state| {
                state.xid_authority = XidAuthority::KernelLog;
                state.driver_log.get_or_insert_default();
            });
            Some(log)
        }
        Err(why) if is_start => {
            tracing::warn!("the kernel's log cannot be read, so XIDs come from events: {why}");
            None
        }
        Err(why) => {
            tracing::debug!("the kernel's log: {why}");
            None
        }
    }
}
