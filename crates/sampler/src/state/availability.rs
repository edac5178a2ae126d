//! Whether a GPU is up at a moment, and until when what is known is good.

use std::time::Duration;

use model::{Down, Moment, Reading, Reason, SlotIndex};

use crate::settings::Selection;
use crate::state::gpu::GpuState;
use crate::state::log_line::LogLine;
use crate::state::reader::{ReaderPart, ReaderState};
use crate::state::{State, XidAuthority};

/// The longest life of a snapshot, and the time that opening the source may take before the source
/// counts as down.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(5);

/// The longest time that a healthy reader waits for events.
const MAX_WAIT_FOR_EVENTS: Duration = Duration::from_secs(1);

/// A moment, and until when all that was found good at this moment stays good.
pub(crate) struct Validity {
    pub(crate) now: Moment,
    pub(crate) until: Moment,
}

impl Validity {
    pub(crate) fn new(now: Moment) -> Self {
        Self { now, until: now + MAX_AGE }
    }

    /// Checks what is good until `end`.
    fn check<E>(&mut self, end: Moment, late: E) -> Result<(), E> {
        if self.now > end {
            return Err(late);
        }
        self.until = self.until.min(end);
        Ok(())
    }
}

impl State {
    /// Whether the source is open, or why not.
    pub(crate) fn source_up(&self, validity: &mut Validity) -> Result<(), String> {
        if let Some(since) = self.connecting_since
            && validity.check(since + MAX_AGE, ()).is_err()
        {
            let seconds = (validity.now - since).as_secs();
            return Err(format!("the driver has not come back for {seconds} s"));
        }
        self.source.up.clone()
    }

    /// Whether a GPU answers, or why not.
    pub(crate) fn gpu_up(
        &self,
        gpu: &GpuState,
        source_up: bool,
        validity: &mut Validity,
    ) -> Result<(), Down> {
        if !source_up {
            return Err(Down::SourceDown);
        }
        if !gpu.listed {
            let is_on_bus = gpu.address().is_some_and(|address| self.on_bus.contains(address));
            return Err(if is_on_bus { Down::NotInitialized } else { Down::Missing });
        }
        let settings = &self.settings;
        let main = gpu.main_reader().ok_or(Down::Starting)?;
        if !main.has_thread {
            return Err(Down::NoThread);
        }
        // Ticks between two intervals may be missed.
        let cadence = settings.interval.max(main.cadence);
        if let Some(since) = main.busy.since() {
            validity.check(since + settings.pass_deadline(cadence), Down::Late)?;
        }
        if let Some(reason) = main.down {
            return Err(reason.into());
        }
        let last_ok = main.last_ok.ok_or(Down::Starting)?;
        validity.check(last_ok + settings.late_after(cadence), Down::Late)
    }

    /// Whether an XID of the GPU would be seen: the kernel log is read, or a reader waits for events
    /// and is not stuck in that.
    pub(crate) fn would_see_xids(&self, gpu: &GpuState, validity: &mut Validity) -> bool {
        match self.xid_authority {
            XidAuthority::KernelLog => gpu.address().is_some(),
            XidAuthority::Events => {
                let Some(reader) = gpu.readers.iter().find(|reader| reader.delivers_xids) else {
                    return false;
                };
                let since = reader.busy.since().or(reader.last_ok).unwrap_or(validity.now);
                validity.check(since + 2 * MAX_WAIT_FOR_EVENTS, ()).is_ok()
            }
        }
    }

    /// The reading of a slot, unless it is too old.
    pub(crate) fn reading(
        &self,
        reader: &ReaderState,
        ReaderPart { part, .. }: &ReaderPart,
        slot: SlotIndex,
        validity: &mut Validity,
    ) -> Reading {
        if let Some(reason) = reader.down {
            return Err(reason);
        }
        let read = part.at(slot);
        let value = read.reading.as_ref().map_err(|reason| *reason)?;
        let at = read.at.ok_or(Reason::NoData)?;
        let watch = &self.plan.watches[part.watches[slot.0]];
        let period = watch.pace.period(self.settings.interval);
        let period = part.slower.get(&slot).map_or(period, |slower| period.max(*slower));
        let period = self.plan.in_ticks(period).max(reader.cadence);
        validity.check(at + self.settings.late_after(period), Reason::Late).map(|()| value.clone())
    }

    /// A line for each GPU that has gone up or down since this was last called.
    pub(crate) fn report_availability(&mut self, now: Moment) -> Vec<LogLine> {
        let mut validity = Validity::new(now);
        let source_up = self.source_up(&mut validity).is_ok();
        let mut lines = Vec::new();
        for at in 0..self.gpus.len() {
            let up = self.gpu_up(&self.gpus[at], source_up, &mut validity);
            let gpu = &mut self.gpus[at];
            let before = gpu.reported.replace(up);
            if before != Some(up) {
                lines.push(LogLine::Availability {
                    gpu: gpu.index,
                    is_selected: self.settings.gpus != Selection::All,
                    identity: gpu.identity.clone(),
                    before,
                    up,
                });
            }
        }
        lines
    }

    /// Whether there are GPUs, and each of them was last reported as late.
    pub(crate) fn are_all_late(&self) -> bool {
        let mut listed = self.gpus.iter().filter(|gpu| gpu.listed).peekable();
        listed.peek().is_some() && listed.all(|gpu| gpu.reported == Some(Err(Down::Late)))
    }
}
