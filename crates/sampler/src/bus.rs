//! Looks for GPUs that are on the machine's bus and that the driver does not list.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::{Bus, Moment};

use crate::board::Shared;

/// From one look to the next: at first, and later. A GPU that was lost before the start is known by
/// what this finds.
const LOOK: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_millis(500);

/// How long the first looks go on for: until the driver's own list is there, as a rule.
const START: Duration = Duration::from_secs(5);

/// Runs until the sampler stops.
pub(crate) fn run(mut bus: Box<dyn Bus>, shared: &Arc<Shared>) {
    loop {
        match bus.gpus() {
            Ok(gpus) => shared.note_bus(gpus),
            Err(error) => tracing::debug!("the PCI bus cannot be looked at: {error}"),
        }
        let looked = Moment::now();
        let pause = if shared.epoch.elapsed() < START { FIRST } else { LOOK };
        while looked.elapsed() < pause {
            if shared.board().stopping {
                return;
            }
            thread::park_timeout(pause.saturating_sub(looked.elapsed()));
        }
    }
}
