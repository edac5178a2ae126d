//! When it is recorded again who has which GPU.

use std::sync::Arc;
use std::time::Duration;

use model::Moment;

use crate::layout::Layout;

/// The time between two repetitions, on the clock of the recording: that of a segment.
const HOUR: Duration = Duration::from_secs(3600);

/// When the holders were last repeated.
#[derive(Default, Debug)]
pub(super) struct Repetition(Option<(Moment, Arc<Layout>)>);

impl Repetition {
    /// Whether they are to be repeated now: after an hour, and with a new layout. `speed` is that of the clock
    /// of the recording.
    pub(super) fn is_due(&mut self, moment: Moment, speed: f64, layout: &Arc<Layout>) -> bool {
        let is_up_to_date = |(last, of): &(Moment, Arc<Layout>)| {
            (moment - *last).mul_f64(speed.max(0.0)) < HOUR && Arc::ptr_eq(of, layout)
        };
        let is_due = !self.0.as_ref().is_some_and(is_up_to_date);
        if is_due {
            self.0 = Some((moment, Arc::clone(layout)));
        }
        is_due
    }
}
