//! Signs of the machine: memory pressure, the source of readings, the driver, restarts.

use std::time::Duration;

use super::condition::{Change, Condition, Timing};
use super::found::Found;
use super::input::HostReading;
use crate::event::{PreviousRun, What};
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::{duration, duration_seen, mib, whole};

const PRESSURE: Timing =
    Timing { begin: Duration::from_secs(5), rows: 2, end: Duration::from_secs(30) };
/// Memory that programs can still get, in MiB, below which it is short.
const LITTLE_MIB: f64 = 512.0;
/// Percent of the time in which all programs, or some, wait for memory.
const FULL: f64 = 20.0;
const SOME: f64 = 40.0;

/// What is known of the machine.
#[derive(Clone, Default, Debug)]
pub(crate) struct Machine {
    pressure: Condition,
    /// The largest share of time with pressure, and the least memory.
    worst: (f64, Option<f64>),
    /// Since when the source is down, and why.
    source_down: Option<(Time, String)>,
    driver: Option<String>,
}

impl Machine {
    /// Whether nothing can be read of any GPU.
    pub(crate) fn is_source_down(&self) -> bool {
        self.source_down.is_some()
    }

    /// Takes the version of the driver that a layout names.
    pub(crate) fn know_driver(&mut self, version: Option<&str>) {
        if self.driver.is_none() {
            self.driver = version.map(str::to_owned);
        }
    }

    /// Takes a row.
    pub(crate) fn row(
        &mut self,
        time: Time,
        gap: Duration,
        reading: &HostReading,
    ) -> Option<Found> {
        let HostReading { memory_available, pressure_some, pressure_full } = *reading;
        let is_known = memory_available.or(pressure_some).or(pressure_full).is_some();
        let is_short = memory_available.is_some_and(|memory| memory < LITTLE_MIB)
            || pressure_some.is_some_and(|share| share >= SOME)
            || pressure_full.is_some_and(|share| share >= FULL);
        let change = self.pressure.step(&PRESSURE, time, gap, is_known.then_some(is_short));
        if self.pressure.is_on() {
            let shares = pressure_some.into_iter().chain(pressure_full);
            self.worst.0 = shares.fold(self.worst.0, f64::max);
            let least = self.worst.1.into_iter().chain(memory_available).reduce(f64::min);
            self.worst.1 = least;
        }
        let found = change.map(|change| self.of_pressure(change, time));
        if !self.pressure.is_on() {
            self.worst = (0.0, None);
        }
        found
    }

    /// Takes an event at its time on the detector's clock.
    pub(crate) fn event(&mut self, time: Time, what: &What) -> Vec<Found> {
        match what {
            What::SourceDown { why } => {
                self.source_down.get_or_insert((time, why.clone()));
                self.source(time, None).into_iter().collect()
            }
            What::SourceUp { driver_version } => {
                let up = self.source(time, Some(time));
                self.source_down = None;
                up.into_iter().chain(self.driver(time, driver_version.as_deref())).collect()
            }
            What::Started { before } => {
                self.source_down = None;
                before.and_then(|before| restart(time, &before)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The signs that go on, as they are at `time`.
    pub(crate) fn ongoing(&self, time: Time) -> Vec<Found> {
        let pressure = self.pressure.sign_since().map(|from| {
            self.of_pressure(Change::Began { from }, time.min(self.pressure.last_seen()))
        });
        pressure.into_iter().chain(self.source(time, None)).collect()
    }

    fn of_pressure(&self, change: Change, time: Time) -> Found {
        let (range, lasted) = match change {
            Change::Began { from } => ((from, None), time.since(from)),
            Change::Ended { from, to } => ((from, Some(to)), to.since(from)),
        };
        let lasted = duration_seen(self.pressure.seen(), lasted);
        let mut text = format!("programs waited for memory of the machine for {lasted}");
        if self.worst.0 > 0.0 {
            text += &format!(", up to {} % of the time", whole(self.worst.0));
        }
        if let Some(least) = self.worst.1 {
            text += &format!(", with as little as {} available", mib(least));
        }
        let found = Found::lasting(
            SignKind::HostMemoryPressure,
            None,
            range,
            time,
            crate::wording::sentence(&text),
        );
        Found { is_end: range.1.is_some(), ..found }
    }

    fn source(&self, time: Time, to: Option<Time>) -> Option<Found> {
        let (from, why) = self.source_down.as_ref()?;
        let text = format!("No GPU could be read: {why}");
        let found = Found::lasting(SignKind::SourceDown, None, (*from, to), time, text);
        Some(Found { is_end: to.is_some(), ..found })
    }

    fn driver(&mut self, time: Time, version: Option<&str>) -> Option<Found> {
        let version = version?;
        let before = self.driver.replace(version.to_owned()).filter(|before| before != version)?;
        let text = format!("The driver was changed from version {before} to {version}");
        Some(Found::once(SignKind::DriverChanged, None, time, text))
    }
}

/// A run of heatsink that ended without being stopped.
fn restart(time: Time, before: &PreviousRun) -> Option<Found> {
    if before.was_stopped {
        return None;
    }
    let silent = duration(time.since(before.last));
    let (kind, text) = if before.machine_restarted {
        let text = format!(
            "heatsink was not stopped before the machine restarted: nothing was recorded for {silent}"
        );
        (SignKind::MachineRestart, text)
    } else {
        let text = format!("heatsink was killed, and recorded nothing for {silent}");
        (SignKind::HeatsinkKilled, text)
    };
    let from = before.last.min(time);
    Some(Found::lasting(kind, None, (from, Some(time)), time, text))
}
