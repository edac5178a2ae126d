//! Looks for GPUs that are on the machine's bus and that the driver does not list.

use std::thread;
use std::time::Duration;

use model::{Bus, Moment};

use super::shared::SharedState;
use crate::state::Unpublished;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(5);

/// The same at first: a GPU that was lost before the start is identified by what this finds.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// How long looks are frequent: usually the driver's own list is there by then.
const START: Duration = Duration::from_secs(5);

/// Runs until the sampler stops.
pub(crate) fn run(mut bus: Box<dyn Bus>, shared: &SharedState) {
    loop {
        match bus.gpus() {
            Ok(gpus) => {
                let mut state = shared.lock();
                let is_changed = state.note_bus(gpus, Moment::now());
                if is_changed {
                    state.mark(Unpublished::AtOnce);
                    drop(state);
                    shared.wake.notify_all();
                }
            }
            Err(error) => tracing::debug!("the PCI bus cannot be looked at: {error}"),
        }
        let looked = Moment::now();
        let pause = if shared.epoch.elapsed() < START { FIRST_INTERVAL } else { INTERVAL };
        while looked.elapsed() < pause {
            if shared.is_stopping() {
                return;
            }
            thread::park_timeout(pause.saturating_sub(looked.elapsed()));
        }
    }
}
