//! Finds the time in which a job or a pod had GPUs.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::event::{HolderInfo, What};
use crate::layout::GpuInfo;
use crate::recording::{Item, ReadError, Recording};
use crate::time::{Range, Time};

/// Of a recording with a longer hole, what was between is not known, unless heatsink did not run.
const HOLE: Duration = Duration::from_secs(600);

/// The most other holders that are named.
const MOST_OTHERS: usize = 8;

/// What a recording says of a holder.
#[derive(Clone, PartialEq, Debug)]
pub enum Holds {
    /// It had GPUs.
    Found {
        /// How sentences name it.
        name: String,
        /// From the first that it got to the last that it gave back. What was before the recording or goes on
        /// is cut.
        range: Range,
        /// The GPUs.
        gpus: Vec<GpuInfo>,
        /// Whether it still had one at the end of the recording.
        goes_on: bool,
    },
    /// It had none; the newest of those that had, as they are asked for.
    NotFound(Vec<String>),
}

/// Whether people call the holder so: the id of a job, `NAMESPACE/POD`, or the name of a pod.
fn is_called(holder: &HolderInfo, name: &str) -> bool {
    match holder {
        HolderInfo::Job { id } => id == name,
        HolderInfo::Pod { namespace, pod, .. } => {
            pod == name || name.split_once('/') == Some((namespace, pod))
        }
    }
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
    let mut found: Option<(String, Time, Time)> = None;
    let mut gpus: Vec<GpuInfo> = Vec::new();
    let mut held: Vec<Option<GpuInfo>> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let extent = recording.extent()?;
    // What was recorded without a hole until now.
    let mut piece: Option<Range> = None;
    recording.read(Range::ALL, &mut |item| {
        let time = match item {
            Item::Layout(_) => return ControlFlow::Continue(()),
            Item::Row(row) => row.time,
            Item::Event(event) => event.time,
        };
        let before = piece.filter(|piece| time.since(piece.to) <= HOLE);
        let since = before.map_or(time, |piece| piece.from.min(time));
        piece = Some(Range { from: since, to: before.map_or(time, |piece| piece.to.max(time)) });
        let Item::Event(event) = item else { return ControlFlow::Continue(()) };
        let (What::HolderBegan { holder }
        | What::HolderGoesOn { holder }
        | What::HolderEnded { holder }) = &event.what
        else {
            return ControlFlow::Continue(());
        };
        if !is_called(holder, name) {
            let other = called(holder);
            others.retain(|known| *known != other);
            others.push(other);
            return ControlFlow::Continue(());
        }
        let has_it = !matches!(event.what, What::HolderEnded { .. });
        if found.is_none() {
            // One that goes on or ends first began before what is left of the recording.
            let begins = matches!(event.what, What::HolderBegan { .. });
            let from = if begins { event.time } else { since };
            found = Some((holder.name(), from, event.time));
        }
        if let Some((_, _, last)) = &mut found {
            *last = event.time.max(*last);
        }
        let is_known = |gpus: &[GpuInfo]| {
            event.gpu.as_ref().is_none_or(|gpu| gpus.iter().any(|known| known.is_same(gpu)))
        };
        if !is_known(&gpus) {
            gpus.extend(event.gpu.clone());
        }
        held.retain(|other| match (other, &event.gpu) {
            (Some(other), Some(gpu)) => !other.is_same(gpu),
            (other, gpu) => other.is_some() || gpu.is_some(),
        });
        if has_it {
            held.push(event.gpu.clone());
        }
        ControlFlow::Continue(())
    })?;
    let Some((name, from, last)) = found else {
        let newest = others.into_iter().rev().take(MOST_OTHERS);
        return Ok(Holds::NotFound(newest.collect()));
    };
    let goes_on = !held.is_empty();
    let end = extent.filter(|_| goes_on).map_or(last, |extent| extent.to.max(last));
    Ok(Holds::Found { name, range: Range { from, to: end }, gpus, goes_on })
}
