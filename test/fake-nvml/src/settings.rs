//! The environment, read by `nvmlInit`.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

/// The settings of the library.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Settings {
    pub origin: Origin,
    /// Driver version, where one is set.
    pub driver: Option<String>,
    pub control: Option<PathBuf>,
}

/// Where the GPUs come from.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Origin {
    /// A file, and the number of GPUs, where it is not that of the file.
    Fixture(PathBuf, Option<usize>),
    Simulation(Simulation),
}

/// A simulation to run.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Simulation {
    pub scenario: ScenarioName,
    pub gpus: usize,
    pub seed: u64,
    /// The simulated time at which the simulation is frozen; `None` if it runs.
    pub frozen_at: Option<Duration>,
    /// Simulated seconds per second.
    pub speed: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ScenarioName {
    Story,
    Steady,
    Idle,
    /// One fault on eight GPUs.
    Fault(sim::Fault),
}

/// Why the library cannot start; written on stderr.
#[derive(Clone, PartialEq, Eq, thiserror::Error, Debug)]
#[error("{0}")]
pub(crate) struct Misconfigured(pub String);

impl Settings {
    pub(crate) fn from_environment() -> Result<Self, Misconfigured> {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Misconfigured> {
        let origin = match lookup("FAKE_NVML_FIXTURE") {
            Some(path) => Origin::Fixture(path.into(), number(&lookup, "FAKE_NVML_GPUS")?),
            None => Origin::Simulation(simulation(&lookup)?),
        };
        Ok(Self {
            origin,
            driver: lookup("FAKE_NVML_DRIVER"),
            control: lookup("FAKE_NVML_CONTROL").map(PathBuf::from),
        })
    }
}

fn simulation(lookup: &impl Fn(&str) -> Option<String>) -> Result<Simulation, Misconfigured> {
    let scenario = match lookup("FAKE_NVML_SCENARIO").as_deref() {
        None | Some("steady") => ScenarioName::Steady,
        Some("story") => ScenarioName::Story,
        Some("idle") => ScenarioName::Idle,
        Some(other) => match sim::Fault::parse(other) {
            Some(fault) => ScenarioName::Fault(fault),
            None => return Err(Misconfigured(format!("FAKE_NVML_SCENARIO={other}: unknown"))),
        },
    };
    let frozen_at = match number::<f64>(lookup, "FAKE_NVML_AT")? {
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds)
                .map_err(|error| Misconfigured(format!("FAKE_NVML_AT={seconds}: {error}")))?,
        ),
        None => None,
    };
    let speed = number::<f64>(lookup, "FAKE_NVML_SPEED")?.unwrap_or(1.0);
    if !(speed.is_finite() && speed > 0.0) {
        return Err(Misconfigured(format!("FAKE_NVML_SPEED={speed}: must be above 0")));
    }
    Ok(Simulation {
        scenario,
        gpus: number(lookup, "FAKE_NVML_GPUS")?.unwrap_or(8),
        seed: number(lookup, "FAKE_NVML_SEED")?.unwrap_or(1),
        frozen_at,
        speed,
    })
}

fn number<T: FromStr<Err: fmt::Display>>(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, Misconfigured> {
    let Some(text) = lookup(name) else { return Ok(None) };
    let parsed = text.parse().map_err(|error| Misconfigured(format!("{name}={text}: {error}")))?;
    Ok(Some(parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> Result<Settings, Misconfigured> {
        Settings::from_lookup(|name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_default_is_eight_healthy_gpus() {
        let Origin::Simulation(simulation) = read(&[]).unwrap().origin else { panic!("a fixture") };
        assert_eq!((simulation.gpus, simulation.seed, simulation.speed), (8, 1, 1.0));
        assert_eq!(simulation.scenario, ScenarioName::Steady);
        assert_eq!(simulation.frozen_at, None);
    }

    #[test]
    fn a_wrong_value_is_named() {
        for (name, value) in [
            ("FAKE_NVML_SCENARIO", "calm"),
            ("FAKE_NVML_GPUS", "many"),
            ("FAKE_NVML_AT", "-1"),
            ("FAKE_NVML_SPEED", "0"),
        ] {
            let Misconfigured(message) = read(&[(name, value)]).unwrap_err();
            assert!(message.contains(name) && message.contains(value), "{message}");
        }
    }
}
