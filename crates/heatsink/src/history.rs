//! The history: recorded by `serve` and `demo`, read by `report`, `incidents`, `history export` and the API.

mod clock;
pub(crate) mod export;
mod headline;
pub(crate) mod incidents;
mod place;
mod pod_events;
mod read;
pub(crate) mod recording;
pub(crate) mod report;
mod tell;
mod when;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use history::history::Settings;
use history::store::StoreSettings;

use self::clock::RecordingClock;
use self::pod_events::PodEventSettings;
use self::tell::TellSettings;
use crate::cli::Args;
use crate::flag::Row;
use crate::flags;
use crate::parse::SourceKind;
use crate::source;

/// What is recorded, and who is told of incidents.
pub(crate) struct HistorySetup {
    settings: Settings,
    /// Why nothing is written to disk, if that is worth a line in the log.
    only_memory: Option<&'static str>,
    clock: RecordingClock,
    /// The time from one row to the next.
    interval: Duration,
    /// The folder that `proc` is in.
    root: PathBuf,
    tell: TellSettings,
    pod_events: Option<PodEventSettings>,
}

/// How much is kept of a demo.
const DEMO_BYTES: u64 = 320 << 20;

/// The same, as time.
const DEMO_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

impl HistorySetup {
    /// Reads the settings of `serve`; `None` if nothing is recorded.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args) -> Result<Option<Self>> {
        let (max_bytes, keep) = (args.get(&flags::HISTORY_SIZE)?, args.get(&flags::HISTORY_KEEP)?);
        let kind = source::kind(args)?;
        let directory = place::to_write(args.get(&flags::HISTORY_DIR)?, kind);
        let (tell, pod_events) = (TellSettings::read(args)?, PodEventSettings::read(args)?);
        let speed = match kind {
            SourceKind::Sim => args.get(&flags::SIM_SPEED)?.unwrap_or(1.0),
            SourceKind::Nvml | SourceKind::Dcgm => args.get(&flags::HISTORY_SPEED)?,
        };
        let only_memory = directory.as_ref().err().copied();
        let store = directory.ok().map(|directory| StoreSettings { directory, max_bytes, keep });
        let root = args.get(&flags::ROOTFS)?;
        Ok(args.get(&flags::HISTORY)?.then(|| Self {
            settings: Settings { store, boot_id: boot_id(&root) },
            only_memory,
            clock: RecordingClock::new(speed),
            interval: args.get(&flags::COLLECT_INTERVAL).unwrap_or(Duration::from_secs(1)),
            root,
            tell,
            pod_events,
        }))
    }

    /// Reads the settings of `demo`, whose time passes `speed` times as fast, with a row per `interval`.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn of_demo(args: &Args, speed: f64, interval: Duration) -> Result<Option<Self>> {
        let directory = place::to_write(args.get(&flags::DEMO_HISTORY_DIR)?, SourceKind::Sim);
        let store = directory.ok().map(|directory| StoreSettings {
            directory,
            max_bytes: DEMO_BYTES,
            keep: DEMO_KEEP,
        });
        Ok(Some(Self {
            settings: Settings { store, boot_id: boot_id(Path::new("/")) },
            only_memory: None,
            clock: RecordingClock::new(speed),
            interval,
            root: "/".into(),
            tell: TellSettings::default(),
            pod_events: None,
        }))
    }
}

/// The kernel's id of this boot, below `root` or, where nothing of `/proc` is there, at its usual place.
fn boot_id(root: &Path) -> Option<String> {
    const FILE: &str = "proc/sys/kernel/random/boot_id";
    let read = |root: &Path| std::fs::read_to_string(root.join(FILE));
    let id = read(root).or_else(|_| read(Path::new("/"))).ok()?;
    Some(id.trim().to_owned())
}

/// Checks the settings of the history.
///
/// Returns a warning for each setting that has no effect.
///
/// # Errors
///
/// The first mistake.
pub(crate) fn check(args: &Args) -> Result<Vec<String>> {
    TellSettings::read(args)?;
    if args.get(&flags::HISTORY)? {
        return Ok(Vec::new());
    }
    let rows: [&Row; 4] = [
        &flags::HISTORY_DIR.row,
        &flags::ON_INCIDENT.row,
        &flags::INCIDENT_WEBHOOK.row,
        &flags::POD_EVENTS.row,
    ];
    let unused = rows.into_iter().filter(|row| args.asks_for(row));
    let warning = |row| format!("{} has no effect without {}", args.place(row), &flags::HISTORY);
    Ok(unused.map(warning).collect())
}
