//! Whether what an incident is about goes on, though nothing joins it any more.

use history::incident::Incident;
use history::layout::{GpuInfo, Layout};
use history::recording::Row;
use history::sign::Sign;

/// What is known of the machine now.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) row: Option<&'a Row>,
    /// The signs that go on.
    pub(crate) ongoing: &'a [Sign],
}

/// Whether a GPU of the incident does not answer, or one of its triggers goes on. What is not known is taken to
/// go on.
pub(super) fn goes_on(incident: &Incident, now: Now<'_>) -> bool {
    let is_trigger = |sign: &Sign| {
        let is_same =
            |own: &Sign| own.is_trigger && own.kind == sign.kind && has_same_gpu(own, sign);
        sign.kind.opens() && incident.signs.iter().any(is_same)
    };
    incident.gpus.iter().any(|gpu| !answers(gpu, now)) || now.ongoing.iter().any(is_trigger)
}

fn has_same_gpu(one: &Sign, other: &Sign) -> bool {
    one.is_on_same_gpu(other) || one.gpu.is_none() && other.gpu.is_none()
}

/// Whether the GPU is known to answer.
fn answers(gpu: &GpuInfo, now: Now<'_>) -> bool {
    let column = |position| now.layout.column("up", Some(position));
    let column = now.layout.position(gpu).and_then(column);
    let value = now.row.zip(column).and_then(|(row, column)| row.values.get(column).copied());
    value.flatten().is_some_and(|up| up > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use history::event::{Event, What};
    use history::layout::{HostInfo, SignalInfo};
    use history::sign::SignKind;
    use history::time::Time;
    use history::tracker::Tracker;

    use super::super::alert::tests::incident;
    use super::*;

    fn layout(signals: &[&str], gpu: &GpuInfo) -> Layout {
        let known = |name: &&str| {
            let signal = history::signal::SIGNALS.iter().find(|signal| signal.name == *name);
            SignalInfo::from(signal.expect("a signal"))
        };
        Layout {
            host: HostInfo { interval_ms: 1000, ..HostInfo::default() },
            gpus: vec![gpu.clone()],
            signals: signals.iter().map(known).collect(),
        }
    }

    fn row(seconds: i64, values: &[Option<i64>]) -> Row {
        Row { time: Time(seconds * 1000), values: values.to_vec() }
    }

    #[test]
    fn a_gpu_that_is_not_known_to_answer_goes_on() {
        let incident = incident(1);
        let gpu = &incident.gpus[0];
        let with_up = layout(&["up"], gpu);
        let other = GpuInfo { index: Some(4), ..GpuInfo::default() };
        let (up, down, gap) = (row(1, &[Some(1)]), row(1, &[Some(0)]), row(1, &[None]));
        for (what, layout, row, expected) in [
            ("it answers", &with_up, Some(&up), false),
            ("it is down", &with_up, Some(&down), true),
            ("a gap", &with_up, Some(&gap), true),
            ("no row", &with_up, None, true),
            ("a short row", &with_up, Some(&row(1, &[])), true),
            ("no such signal", &layout(&["power"], gpu), Some(&up), true),
            ("no such GPU", &layout(&["up"], &other), Some(&up), true),
        ] {
            assert_eq!(goes_on(&incident, Now { layout, row, ongoing: &[] }), expected, "{what}");
        }
    }

    #[test]
    fn a_trigger_that_goes_on_is_that_of_its_own_gpu() {
        let incident = incident(1);
        let layout = layout(&["up"], &incident.gpus[0]);
        let row = row(1, &[Some(1)]);
        let own = incident.signs.iter().find(|sign| sign.is_trigger).expect("a trigger");
        let mut ongoing = Sign { to: None, ..own.clone() };
        let is = |sign: &Sign| {
            goes_on(
                &incident,
                Now { layout: &layout, row: Some(&row), ongoing: std::slice::from_ref(sign) },
            )
        };
        assert!(is(&ongoing));
        ongoing.kind = SignKind::PowerBrake;
        assert!(!is(&ongoing), "another trigger");
        ongoing = Sign { gpu: None, to: None, ..own.clone() };
        assert!(!is(&ongoing), "of the machine");
    }

    /// A GPU that was lost is down for hours after its incident was closed.
    #[test]
    fn a_story_goes_on_until_the_gpu_answers_again() {
        let gpu = incident(1).gpus[0].clone();
        let layout = Arc::new(layout(&["up"], &gpu));
        let mut tracker = Tracker::new(1);
        let mut last = None;
        let mut step = |seconds, up, what: Option<What>| {
            let time = Time(seconds * 1000);
            let event = what.map(|what| Event { time, gpu: Some(gpu.clone()), what });
            let row = row(seconds, &[Some(up)]);
            let told = tracker.observe(time, &layout, Some(&row), event.as_slice());
            last = told.last().cloned().or(last.take());
            let now = Now { layout: &layout, row: Some(&row), ongoing: &tracker.ongoing() };
            last.as_ref().map(|incident| (incident.is_closed, goes_on(incident, now)))
        };
        for seconds in 0..20 {
            assert_eq!(step(seconds, 1, None), None);
        }
        step(20, 0, Some(What::GpuDown { reason: "lost".to_owned() }));
        for seconds in 21..400 {
            step(seconds, 0, None);
        }
        assert_eq!(step(400, 0, None), Some((true, true)));
        assert_eq!(step(401, 1, Some(What::GpuUp)), Some((true, false)));
    }
}
