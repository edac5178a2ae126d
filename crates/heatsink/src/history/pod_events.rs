//! Events on the pods that hold a GPU of an incident.

use anyhow::Result;
use history::incident::Incident;

use crate::cli::Args;
use crate::flags;

/// How Events are written.
#[derive(Clone, Debug)]
pub(crate) struct PodEventSettings {}

impl PodEventSettings {
    /// Reads the settings; `None` if no Events are written.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args) -> Result<Option<Self>> {
        Ok(args.get(&flags::POD_EVENTS)?.then_some(Self {}))
    }
}

/// Writes Events on a thread of its own.
pub(crate) struct PodEvents {}

impl PodEvents {
    /// A writer; its thread is started with the first incident.
    pub(crate) fn new(settings: PodEventSettings) -> Self {
        let _ = settings;
        Self {}
    }

    /// Takes the newest state of an incident. Waits for nothing.
    pub(crate) fn tell(&self, incident: &Incident) {
        let _ = incident;
    }
}
