//! How the sampler runs, and the deadlines that follow from its interval.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Identity, Windows};
use thiserror::Error;

use crate::kernel_log::KernelLog;

/// How the sampler runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The collection interval: the time from one pass to the next.
    pub interval: Duration,
    /// Which GPUs to read.
    pub gpus: Selection,
    /// When this process began.
    pub started: SystemTime,
    /// The lengths of the rolling windows.
    pub windows: Windows,
    /// The kernel log, if it is read.
    pub kernel_log: Option<KernelLog>,
    /// Tests whether a new session would read a GPU that is down. Without it, a session is kept as
    /// long as any GPU answers.
    pub probe: Option<GpuProbe>,
    /// How long a GPU has to be down before it is probed.
    pub probe_after: Duration,
    /// How long a missing GPU is remembered; `None` for ever.
    pub forget_missing: Option<Duration>,
}

/// Tests in a separate process, within seconds, whether it can read a GPU that is down in this one.
#[derive(Clone)]
pub struct GpuProbe(pub Arc<ProbeFn>);

/// Probes one GPU.
pub type ProbeFn = dyn Fn(&DownGpu) -> Result<(), ProbeError> + Send + Sync;

impl std::fmt::Debug for GpuProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GpuProbe")
    }
}

/// Why a new session would not read a GPU that is down, or why that is not known.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The process could not read the GPU.
    #[error("it cannot be read there either")]
    Unreadable,
    /// The process did not end in time.
    #[error("a new process hangs in the driver")]
    Hangs,
    /// The process of the last probe still hangs, so no second one was started.
    #[error("the process that tried it last hangs in the driver")]
    LastHangs,
    /// The process could not be started or waited for.
    #[error("it cannot be tried: {0}")]
    Process(#[from] io::Error),
}

/// A GPU that is down.
#[derive(Clone, Debug)]
pub struct DownGpu {
    /// Its index in this session.
    pub index: u32,
    /// Its identity, if it has ever answered.
    pub identity: Option<Arc<Identity>>,
}

/// Which GPUs to read, by the driver's index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// All that the driver lists.
    All,
    /// These; one that is not there is shown as missing until it is.
    Only(Vec<u32>),
}

impl Selection {
    pub(crate) fn includes(&self, index: u32) -> bool {
        *self == Self::All || self.required().contains(&index)
    }

    /// The GPUs that are shown even if they are not there.
    pub(crate) fn required(&self) -> &[u32] {
        match self {
            Self::All => &[],
            Self::Only(indexes) => indexes,
        }
    }
}

/// How long a GPU has to be down before it is probed. Its reader opens it every second, which is
/// enough in most cases.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// The longest time that a pass may take before its GPU is down, whatever the interval.
const MAX_PASS: Duration = Duration::from_secs(5);

impl Settings {
    /// Reads all GPUs at this interval, with windows of a minute and no further options.
    pub fn new(interval: Duration) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            interval,
            gpus: Selection::All,
            started: SystemTime::now(),
            windows: Windows { extents: minute, xids: minute, clock_events: minute },
            kernel_log: None,
            probe: None,
            probe_after: PROBE_AFTER,
            forget_missing: None,
        }
    }

    /// The age from which a reading is late: two of its own periods. The floor of one second keeps
    /// short intervals from turning a scheduling delay into a gap.
    pub(crate) fn late_after(&self, period: Duration) -> Duration {
        period.saturating_mul(2).max(Duration::from_secs(1))
    }

    /// The time from one pass to the next if a pass takes `took`: ticks during a pass are skipped.
    /// A hang is no cadence, so it is bounded.
    pub(crate) fn cadence(&self, tick: Duration, took: Duration) -> Duration {
        let ticks = took.as_nanos() / tick.as_nanos().max(1) + 1;
        let cadence = tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        cadence.min(tick.max(MAX_PASS))
    }

    /// How long one pass may take before its GPU counts as down. With long intervals, a hang is
    /// noticed long before the readings are late.
    pub(crate) fn pass_deadline(&self, cadence: Duration) -> Duration {
        self.late_after(cadence).min(MAX_PASS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pass_skips_ticks_up_to_a_bound() {
        let second = Duration::from_secs(1);
        let settings = Settings::new(second);
        assert_eq!(settings.cadence(second, Duration::from_millis(10)), second);
        assert_eq!(settings.cadence(second, Duration::from_millis(2500)), 3 * second);
        assert_eq!(settings.cadence(second, 100 * second), 5 * second);
        assert_eq!(settings.late_after(Duration::from_millis(50)), second, "a floor");
        assert_eq!(settings.pass_deadline(2 * second), 4 * second);
        assert_eq!(settings.pass_deadline(30 * second), 5 * second);
    }
}
