//! Which source readings come from, and what follows from that.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use catalog::xid;
use dcgm::{Address, DcgmSource};
use model::Source;
use nvml::NvmlSource;
use sampler::{KernelLog, LogPlace, Trial};
use sim::{Scenario, SimSource, World};

use crate::cli::{
    self, DCGM_LOG_LEVEL, KERNEL_LOG, ROOT, SOURCE, ScenarioName, SimArgs, SourceArgs, or_default,
};
use crate::probe;
use crate::settings::{self, DCGM_LOG, DCGM_LOG_LEVELS, FAKE_GPUS, FROM};

/// A source that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Nvml,
    Dcgm,
    Sim,
}

/// The levels of DCGM's own log, by their numbers.
const LEVELS: [&str; 7] = ["NONE", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "VERB"];

impl Origin {
    /// The source that was asked for. Naming a host engine is asking for it.
    pub(crate) fn of(args: &SourceArgs) -> Result<Self> {
        match or_default(&args.source, SOURCE) {
            "auto" if engine(args).is_some() => Ok(Self::Dcgm),
            "auto" | "nvml" => Ok(Self::Nvml),
            "dcgm" => Ok(Self::Dcgm),
            "sim" => Ok(Self::Sim),
            other => Err(FROM.wrong(other, "auto, nvml, dcgm, sim")),
        }
    }
}

/// The host engine that was named.
fn engine(args: &SourceArgs) -> Option<&str> {
    Some(args.remote_hostengine_info.trim()).filter(|text| !text.is_empty())
}

/// The source that was asked for, with one reading per `interval`.
pub(crate) fn source(
    args: &SourceArgs,
    interval: Duration,
    compute_instances: bool,
) -> Result<Box<dyn Source>> {
    match Origin::of(args)? {
        Origin::Nvml => {
            if engine(args).is_some() {
                tracing::warn!("-r, --remote-hostengine-info has no effect with --source nvml");
            }
            let library = library(&args.nvml_library).context("--nvml-library")?;
            let options = nvml::Options { compute_instances, root: root(args) };
            Ok(Box::new(NvmlSource::new(library, options)))
        }
        Origin::Dcgm => Ok(Box::new(DcgmSource::new(dcgm::Options {
            library: library(&args.dcgm_library).context("--dcgm-library")?,
            address: engine(args).map(str::to_owned),
            interval,
            compute_instances,
            fake_gpus: settings::boolean(&FAKE_GPUS, &args.fake_gpus)?,
            log: dcgm_log(args)?,
        }))),
        Origin::Sim => simulation(&args.sim),
    }
}

/// Below which the operating system's files are looked at.
fn root(args: &SourceArgs) -> PathBuf {
    cli::path(&args.rootfs).map_or_else(|| ROOT.into(), PathBuf::from)
}

/// What tries aside whether a new session would read a GPU that is down: where it is NVML that reads.
/// DCGM's engine is one for all GPUs, and is never given up for one.
pub(crate) fn trial(args: &SourceArgs) -> Result<Option<Trial>> {
    let is_nvml = Origin::of(args)? == Origin::Nvml;
    let library = library(&args.nvml_library).context("--nvml-library")?;
    Ok(is_nvml.then(|| probe::trial(library.as_deref())))
}

fn library(path: &Option<OsString>) -> Result<Option<PathBuf>> {
    let path = cli::path(path).map(std::path::absolute).transpose();
    path.context("the path cannot be resolved")
}

/// What an engine in this process logs. Nothing, unless somebody wants it: its own default is a file.
fn dcgm_log(args: &SourceArgs) -> Result<dcgm::Log> {
    const STANDARD_OUTPUT: &str = "-";
    let level = or_default(&args.dcgm_log_level, DCGM_LOG_LEVEL).trim();
    let number = LEVELS.iter().position(|known| known.eq_ignore_ascii_case(level));
    let number = number.ok_or_else(|| DCGM_LOG_LEVELS.wrong(level, &LEVELS.join(", ")))?;
    let is_wanted = settings::boolean(&DCGM_LOG, &args.enable_dcgm_log)?;
    let severity = if is_wanted { i32::try_from(number)? } else { 0 };
    Ok(dcgm::Log { file: Some(STANDARD_OUTPUT.into()), severity })
}

/// The kernel's log that XIDs are counted from, if one is to be read: not where they are made up, and
/// not the log of this machine where the GPUs are in another.
pub(crate) fn kernel_log(args: &SourceArgs, log: &str) -> Result<Option<KernelLog>> {
    let log = or_default(log, KERNEL_LOG);
    let is_ours = match Origin::of(args)? {
        Origin::Nvml => true,
        Origin::Dcgm => match engine(args) {
            None => true,
            // A log that is named is the right one.
            Some(_) if log != KERNEL_LOG => true,
            Some(text) => Address::parse(text).is_ok_and(|address| address.is_local()),
        },
        Origin::Sim => false,
    };
    let (place, root) = (LogPlace::parse(log), root(args));
    let wanted = is_ours && log != "none";
    Ok(wanted.then_some(KernelLog { place, root, meaning: xid::lookup }))
}

/// The label `hostname`: the node's name where Kubernetes gives it, else that of the host engine's
/// machine, else the system's.
pub(crate) fn hostname(args: Option<&SourceArgs>) -> Option<Arc<str>> {
    let node = std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    let engine = || {
        let args = args.filter(|args| matches!(Origin::of(args), Ok(Origin::Dcgm)))?;
        // `localhost` is the name of every machine.
        let address = Address::parse(engine(args)?).ok().filter(|address| !address.is_local())?;
        address.host().map(str::to_owned)
    };
    let system = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = node.or_else(engine).or_else(system)?;
    Some(Arc::from(name.trim()))
}

/// Simulated GPUs.
pub(crate) fn simulation(args: &SimArgs) -> Result<Box<dyn Source>> {
    let scenario = match args.sim_scenario {
        ScenarioName::Story => Scenario::story(),
        ScenarioName::Steady => Scenario::steady(args.sim_gpus.into()),
        ScenarioName::Idle => Scenario::idle(args.sim_gpus.into()),
    };
    let options = sim::Options {
        speed: speed(args.speed)?,
        start: Duration::from_secs(args.sim_at.unwrap_or(0)),
        frozen: args.sim_at.is_some(),
    };
    let world = World::new(scenario, args.sim_seed);
    Ok(Box::new(SimSource::new(world, options)))
}

/// A simulation's speed.
pub(crate) fn speed(factor: f64) -> Result<f64> {
    if !(factor > 0.0 && factor <= 1000.0) {
        bail!("--speed: {factor} is not above 0 and at most 1000");
    }
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, ServeArgs};

    fn serve(line: &str) -> ServeArgs {
        Cli::try_parse_from(line.split(' ')).unwrap().serve
    }

    fn origin(line: &str) -> Origin {
        Origin::of(&serve(line).source).unwrap()
    }

    #[test]
    fn naming_a_host_engine_is_asking_for_it() {
        assert_eq!(origin("heatsink"), Origin::Nvml);
        assert_eq!(origin("heatsink -r localhost:5555"), Origin::Dcgm);
        assert_eq!(origin("heatsink --source dcgm"), Origin::Dcgm);
        assert_eq!(origin("heatsink --source nvml -r localhost:5555"), Origin::Nvml);
        assert!(Origin::of(&serve("heatsink --source file").source).is_err());
    }

    #[test]
    fn the_kernels_log_is_that_of_the_gpus_machine() {
        let log = |line| {
            let args = serve(line);
            kernel_log(&args.source, &args.kernel_log).unwrap().map(|log| log.place)
        };
        let default = Some(LogPlace::Auto);
        assert_eq!(log("heatsink"), default);
        assert_eq!(log("heatsink --source dcgm"), default);
        assert_eq!(log("heatsink -r unix:///run/dcgm"), default);
        assert_eq!(log("heatsink -r node-7:5555"), None);
        let path = Some(LogPlace::Path("/log".into()));
        assert_eq!(log("heatsink -r node-7:5555 --kernel-log /log"), path);
        assert_eq!(log("heatsink --kernel-log journal"), Some(LogPlace::Journal));
        assert_eq!(log("heatsink --kernel-log kmsg"), Some(LogPlace::Kmsg));
        assert_eq!(log("heatsink --kernel-log none"), None);
        assert_eq!(log("heatsink --source sim"), None);
    }

    #[test]
    fn the_engines_host_is_the_host() {
        let name = |line| hostname(Some(&serve(line).source)).unwrap();
        assert_eq!(&*name("heatsink -r tcp://node-7:5555"), "node-7");
        let own = hostname(None).unwrap();
        for line in ["heatsink", "heatsink -r localhost:5555", "heatsink --source nvml -r node-7"] {
            assert_eq!(name(line), own, "{line}");
        }
    }

    #[test]
    fn dcgms_log_is_silent_unless_somebody_wants_it() {
        let severity = |line| dcgm_log(&serve(line).source).map(|log| log.severity).ok();
        assert_eq!(severity("heatsink --dcgm-log-level DEBUG"), Some(0));
        assert_eq!(severity("heatsink --enable-dcgm-log --dcgm-log-level info"), Some(4));
        assert_eq!(severity("heatsink --dcgm-log-level loud"), None);
    }
}
