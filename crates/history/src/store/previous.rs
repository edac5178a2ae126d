//! What earlier runs left in a directory.

use std::ops::ControlFlow;
use std::path::Path;

use crate::archive::{Archive, Source};
use crate::event::{Event, PreviousRun, What};
use crate::files::{self, Name};
use crate::frame::{self, Kind};
use crate::time::Time;

/// What earlier runs left.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Previous {
    /// How the last one ended.
    pub(crate) run: Option<PreviousRun>,
    /// The host name that it recorded.
    pub(crate) hostname: Option<String>,
    /// The largest number of a run; 0 without one.
    pub(crate) number: u64,
    /// The number of the next incident.
    pub(crate) next_incident: u64,
    /// When the newest incident began.
    pub(crate) last_incident: Option<Time>,
}

/// Looks at a directory. What cannot be read is as if it were not there.
pub(crate) fn previous(directory: &Path, boot_id: Option<&str>) -> Previous {
    let mut previous = Previous::default();
    let listed = files::list(directory).unwrap_or_default();
    previous.next_incident = files::next_number(&files::numbers(&listed, Name::incident), 0);
    if let Ok(archive) = Archive::open(directory) {
        // As if there were none, if it cannot be read.
        let _ = archive.visit_incidents(&mut |newest| match newest {
            Ok(newest) => {
                previous.last_incident = Some(newest.began);
                ControlFlow::Break(())
            }
            Err(_) => ControlFlow::Continue(()),
        });
    }
    previous.number = files::largest_run(&listed);
    // Larger ones are not ours.
    let segments = listed
        .iter()
        .filter(|file| matches!(file.name, Name::Segment { .. }) && file.bytes <= files::MAX_FILE);
    for segment in segments.rev() {
        // One that is damaged as a whole says nothing; the one before it may.
        let Ok(source) = Source::load(&segment.path) else {
            continue;
        };
        if let Some((number, run, hostname)) = of_segment(&source, boot_id) {
            previous.number = previous.number.max(number);
            (previous.run, previous.hostname) = (Some(run), hostname);
            break;
        }
    }
    previous
}

/// The number of the run that wrote a segment, how it ended, and on which host.
fn of_segment(
    source: &Source,
    boot_id: Option<&str>,
) -> Option<(u64, PreviousRun, Option<String>)> {
    let last = source.entries.last()?;
    let run = last.key.run;
    let was_stopped = last.kind == Kind::Event && {
        let json = frame::event_time(source.payload(last)).map(|(_, json)| json);
        let event = json.and_then(|json| serde_json::from_slice::<Event>(json).ok());
        event.is_some_and(|event| event.what == What::Stopped)
    };
    let mut layouts = source.layouts.iter().filter(|(key, _)| key.run == run);
    let (_, (layout, _)) = layouts.next_back()?;
    let machine_restarted = match (layout.host.boot_id.as_deref(), boot_id) {
        (Some(then), Some(now)) => then != now,
        _ => false,
    };
    let previous = PreviousRun { was_stopped, machine_restarted, last: last.range.to };
    Some((run, previous, layout.host.hostname.clone()))
}
