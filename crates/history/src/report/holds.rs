//! Finds the time in which a job or a pod had GPUs.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::event::{Event, HolderInfo, What};
use crate::incident::Incident;
use crate::layout::GpuInfo;
use crate::recording::{Item, ReadError, Recording};
use crate::time::{Range, Time};

/// Of a recording with a longer hole, what was between is not known, unless heatsink did not run.
const HOLE: Duration = Duration::from_secs(600);

/// The most other holders that are named.
const MOST_OTHERS: usize = 8;

/// What ends a job is often seen just after it.
const AFTER: Duration = Duration::from_secs(60);

/// What happens to a GPU is seen at most this long after its job gave it back.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// What a recording says of a holder.
#[derive(Clone, PartialEq, Debug)]
pub enum Holds {
    /// It had GPUs.
    Found(JobHolds),
    /// Pods of several namespaces have this name; these, as they are asked for.
    Several(Vec<String>),
    /// It had none; the newest of those that had, as they are asked for.
    NotFound(Vec<String>),
}

/// When a job or a pod had which GPUs.
#[derive(Clone, PartialEq, Debug)]
pub struct JobHolds {
    /// How sentences name it.
    pub name: String,
    /// How it is asked for.
    called: String,
    /// From the first that it got to the last that it gave back. What was before the recording or goes on is cut.
    pub range: Range,
    /// Whether it still had one at the end of the recording.
    pub goes_on: bool,
    /// Each time that it had a GPU. There is at least one.
    pub holds: Vec<Hold>,
}

/// One GPU, from when it was got to when it was given back.
#[derive(Clone, PartialEq, Debug)]
pub struct Hold {
    /// The GPU.
    pub gpu: GpuInfo,
    /// The time.
    pub range: Range,
}

impl Hold {
    /// The GPUs of holds, each once.
    pub fn gpus(holds: &[Self]) -> Vec<GpuInfo> {
        let mut gpus: Vec<GpuInfo> = Vec::new();
        for Self { gpu, .. } in holds {
            if !gpus.iter().any(|known| known.is_same(gpu)) {
                gpus.push(gpu.clone());
            }
        }
        gpus
    }

    /// Whether one of the holds is of this GPU and this time, or of a moment before it.
    pub(super) fn has(holds: &[Self], gpu: &GpuInfo, range: Range) -> bool {
        let reaches = |hold: &Self| {
            let known = Range { from: hold.range.from, to: hold.range.to.after(GIVEN_BACK) };
            hold.gpu.is_same(gpu) && known.overlaps(&range)
        };
        holds.iter().any(reaches)
    }
}

impl JobHolds {
    /// Whether an incident is of the job: it lists the job, or is of a GPU and a time of the job. Of what is seen just
    /// after the job, it is that of which no holder is known.
    pub fn concerns(&self, incident: &Incident) -> bool {
        let has = |gpu: &GpuInfo| self.holds.iter().any(|hold| hold.gpu.is_same(gpu));
        let lists = incident.holders.iter().any(|(position, holder)| {
            called(holder) == self.called && incident.gpus.get(*position).is_none_or(has)
        });
        let time = Range { from: incident.began, to: incident.last.max(incident.began) };
        let after = if incident.holders.is_empty() { AFTER } else { Duration::ZERO };
        let meets = |hold: &Hold| {
            let is_its = |gpu: &GpuInfo| gpu.is_same(&hold.gpu);
            let told = Range { from: hold.range.from, to: hold.range.to.after(after) };
            told.overlaps(&time) && (incident.gpus.is_empty() || incident.gpus.iter().any(is_its))
        };
        lists || self.holds.iter().any(meets)
    }
}

/// Whether people call the holder so: the id of a job, `NAMESPACE/POD`, or the name of a pod.
fn is_called(holder: &HolderInfo, name: &str) -> bool {
    let is_pod = matches!(holder, HolderInfo::Pod { pod, .. } if pod == name);
    is_pod || called(holder) == name
}

/// How a holder is asked for.
fn called(holder: &HolderInfo) -> String {
    match holder {
        HolderInfo::Job { id } => id.clone(),
        HolderInfo::Pod { namespace, pod, .. } => format!("{namespace}/{pod}"),
    }
}

/// When a job or a pod had GPUs, and which.
///
/// # Errors
///
/// If the recording cannot be read.
pub fn holds(recording: &dyn Recording, name: &str) -> Result<Holds, ReadError> {
    let extent = recording.extent()?;
    let mut search = Search { name, ..Search::default() };
    recording.read(Range::ALL, &mut |item| {
        match item {
            Item::Layout(_) => {}
            Item::Row(row) => search.time(row.time),
            Item::Event(event) => search.event(event),
        }
        ControlFlow::Continue(())
    })?;
    Ok(search.found(extent))
}

/// Follows the holders with a name.
#[derive(Default)]
struct Search<'a> {
    name: &'a str,
    found: Vec<Followed>,
    others: Vec<String>,
    /// What was recorded without a hole until now.
    piece: Option<Range>,
}

/// A job, or the pods of one namespace.
struct Followed {
    name: String,
    called: String,
    holds: Vec<Kept>,
}

/// A hold, and until when it was: `None` while it goes on.
struct Kept {
    gpu: GpuInfo,
    holder: HolderInfo,
    from: Time,
    to: Option<Time>,
}

impl Search<'_> {
    fn time(&mut self, time: Time) {
        let before = self.piece.filter(|piece| time.since(piece.to) <= HOLE);
        let from = before.map_or(time, |piece| piece.from.min(time));
        self.piece = Some(Range { from, to: before.map_or(time, |piece| piece.to.max(time)) });
    }

    fn event(&mut self, event: &Event) {
        if let (What::Started { .. }, Some(piece)) = (&event.what, self.piece) {
            // What is so is told again.
            self.found.iter_mut().for_each(|followed| followed.end_all(piece.to));
        }
        self.time(event.time);
        let (
            What::HolderBegan { holder }
            | What::HolderGoesOn { holder }
            | What::HolderEnded { holder },
            Some(gpu),
        ) = (&event.what, &event.gpu)
        else {
            return;
        };
        let called = called(holder);
        if !is_called(holder, self.name) {
            self.others.retain(|known| *known != called);
            self.others.push(called);
            return;
        }
        let since = match event.what {
            What::HolderBegan { .. } => event.time,
            // It began before what is left of the recording.
            _ => self.piece.map_or(event.time, |piece| piece.from),
        };
        let known = self.found.iter().position(|followed| followed.called == called);
        let position = known.unwrap_or_else(|| {
            self.found.push(Followed { name: holder.name(), called, holds: Vec::new() });
            self.found.len() - 1
        });
        if let Some(followed) = self.found.get_mut(position) {
            let ends = matches!(event.what, What::HolderEnded { .. });
            followed.step(gpu, holder, since, ends.then_some(event.time));
        }
    }

    fn found(self, extent: Option<Range>) -> Holds {
        let Self { name, mut found, others, .. } = self;
        // The whole name comes before the name of a pod alone.
        if found.iter().any(|followed| followed.called == name) {
            found.retain(|followed| followed.called == name);
        }
        let Some(followed) = found.pop() else {
            return Holds::NotFound(others.into_iter().rev().take(MOST_OTHERS).collect());
        };
        if found.is_empty() {
            return Holds::Found(followed.holds(extent));
        }
        found.push(followed);
        let mut several: Vec<_> = found.into_iter().map(|followed| followed.called).collect();
        several.sort_unstable();
        Holds::Several(several)
    }
}

impl Followed {
    /// Takes that the holder has a GPU at least since a time, and whether it gives it back.
    fn step(&mut self, gpu: &GpuInfo, holder: &HolderInfo, since: Time, to: Option<Time>) {
        let mut own = self.holds.iter_mut().filter(|kept| kept.gpu.is_same(gpu));
        if let Some(kept) = own.find(|kept| kept.to.is_none() && kept.holder.is_same(holder)) {
            // Its UID may be known by now.
            kept.holder = holder.clone();
            kept.to = to.map(|to| to.max(kept.from));
            return;
        }
        let own = self.holds.iter().filter(|kept| kept.gpu.is_same(gpu));
        let last = own.filter(|kept| kept.holder.is_same(holder)).filter_map(|kept| kept.to).max();
        let from = last.map_or(since, |last| last.max(since));
        let to = to.map(|to| to.max(from));
        self.holds.push(Kept { gpu: gpu.clone(), holder: holder.clone(), from, to });
    }

    fn end_all(&mut self, time: Time) {
        for kept in &mut self.holds {
            kept.to.get_or_insert(time.max(kept.from));
        }
    }

    fn holds(self, extent: Option<Range>) -> JobHolds {
        let goes_on = self.holds.iter().any(|kept| kept.to.is_none());
        let hold = |kept: Kept| {
            let end = kept.to.or(extent.map(|extent| extent.to)).unwrap_or(kept.from);
            Hold { gpu: kept.gpu, range: Range { from: kept.from, to: end.max(kept.from) } }
        };
        let holds: Vec<Hold> = self.holds.into_iter().map(hold).collect();
        let range = holds.iter().map(|hold| hold.range).reduce(Range::joined);
        let range = range.unwrap_or(Range { from: Time(0), to: Time(0) });
        JobHolds { name: self.name, called: self.called, range, goes_on, holds }
    }
}
