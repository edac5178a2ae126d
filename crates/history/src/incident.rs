//! Incidents: one fault with everything that belongs to it.

use serde::{Deserialize, Serialize};

use crate::event::{Event, HolderInfo};
use crate::layout::{GpuInfo, HostInfo};
use crate::sign::{Sign, SignKind};
use crate::time::{Range, Time};

/// One fault: what was seen, in order, and the most likely cause. It is updated until it is closed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Its number in this directory, from 1; in memory alone, in this run.
    pub number: u64,
    /// The kind of the first trigger.
    pub kind: SignKind,
    /// When the first trigger happened, which may be before it was seen.
    pub began: Time,
    /// When the last trigger happened.
    pub last: Time,
    /// What is kept at full resolution: ten minutes before the first trigger to two after the last.
    pub window: Range,
    /// Whether nothing joins it any more.
    pub is_closed: bool,
    /// The machine and the programs.
    pub host: HostInfo,
    /// The GPUs of its triggers.
    pub gpus: Vec<GpuInfo>,
    /// Who had these GPUs then, with the position in `gpus`.
    pub holders: Vec<(usize, HolderInfo)>,
    /// Triggers and other signs, in order of time.
    pub signs: Vec<Sign>,
    /// The events of the window, in order of time; at most a few hundred.
    pub events: Vec<Event>,
    /// Events of the window that were left out because there were too many.
    #[serde(default)]
    pub events_left_out: u64,
    /// The most likely cause.
    pub verdict: Verdict,
}

impl Incident {
    /// Its size in bytes, as JSON.
    pub(crate) fn size(&self) -> usize {
        let mut count = Count(0);
        // It is written to a counter, which never fails.
        let _ = serde_json::to_writer(&mut count, self);
        count.0
    }
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The most likely cause of an incident, and what to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The name of the row in the table of verdicts: `heat`, `off_bus`, `not_known`.
    pub name: String,
    /// The cause in a sentence: the first line of a report.
    pub cause: String,
    /// What speaks for it, a sentence each.
    pub evidence: Vec<String>,
    /// What to do, a sentence each, the first one first.
    pub actions: Vec<String>,
    /// How sure it is.
    pub confidence: Confidence,
    /// The name of a page in `docs/runbooks`, without `.md`.
    #[serde(default)]
    pub runbook: Option<String>,
    /// The XID that decided, if one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub xid: Option<u32>,
    /// When the trigger that decided began; `None` if an earlier version wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<Time>,
}

/// How sure a verdict is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing that was recorded explains it.
    None,
    /// It fits, and so do other causes.
    Possible,
    /// Other causes are unlikely.
    Likely,
    /// The hardware or the kernel said so.
    Certain,
}
