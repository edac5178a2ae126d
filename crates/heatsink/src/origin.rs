//! Which source readings come from, and what follows from that.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use dcgm::{Address, DcgmSource};
use model::Source;
use model::catalog::xid;
use nvml::NvmlSource;
use sampler::{GpuProbe, KernelLog, LogLocation};
use sim::{Scenario, SimSource, World};

use crate::cli::{
    self, DCGM_LOG_LEVEL, KERNEL_LOG, ROOT, SOURCE, ScenarioName, ServeArgs, SimArgs, SourceArgs,
    or_default,
};
use crate::probe;
use crate::settings::{self, Named};

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
            "auto" if engine_text(args).is_some() => Ok(Self::Dcgm),
            "auto" | "nvml" => Ok(Self::Nvml),
            "dcgm" => Ok(Self::Dcgm),
            "sim" => Ok(Self::Sim),
            other => Err(settings::not_among(other, "auto, nvml, dcgm, sim")),
        }
        .named::<SourceArgs>("source")
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nvml => "nvml",
            Self::Dcgm => "dcgm",
            Self::Sim => "sim",
        }
    }
}

fn engine_text(args: &SourceArgs) -> Option<&str> {
    Some(args.remote_hostengine_info.trim()).filter(|text| !text.is_empty())
}

/// The host engine that was named.
fn engine(args: &SourceArgs) -> Result<Option<Address>> {
    let address = engine_text(args).map(Address::parse).transpose();
    address.map_err(anyhow::Error::from).named::<SourceArgs>("remote-hostengine-info")
}

/// The source that was asked for, with one reading per `interval`.
pub(crate) fn source(
    args: &SourceArgs,
    interval: Duration,
    compute_instances: bool,
) -> Result<Box<dyn Source>> {
    let origin = Origin::of(args)?;
    warn_of_unused(args, origin);
    if origin != Origin::Sim
        && let Some(flag) = args.sim.first_given()
    {
        bail!("--{flag} has no effect without --source sim");
    }
    match origin {
        Origin::Nvml => {
            let library = library(&args.nvml_library).named::<SourceArgs>("nvml-library")?;
            let options = nvml::Options { compute_instances, root: root(args)? };
            Ok(Box::new(NvmlSource::new(library, options)))
        }
        Origin::Dcgm => Ok(Box::new(DcgmSource::new(dcgm::Options {
            library: library(&args.dcgm_library).named::<SourceArgs>("dcgm-library")?,
            address: engine(args)?,
            interval,
            compute_instances,
            fake_gpus: settings::boolean(&args.fake_gpus).named::<SourceArgs>("fake-gpus")?,
            log: dcgm_log(args)?,
        }))),
        Origin::Sim => simulation(&args.sim),
    }
}

/// Names what only another source reads. Manifests may have it for both, so it is not refused.
fn warn_of_unused(args: &SourceArgs, origin: Origin) {
    let is_path = |text| cli::path(text).is_some();
    for (long, is_given, reads) in [
        ("nvml-library", is_path(&args.nvml_library), Origin::Nvml),
        ("dcgm-library", is_path(&args.dcgm_library), Origin::Dcgm),
        ("remote-hostengine-info", engine_text(args).is_some(), Origin::Dcgm),
    ] {
        if is_given && reads != origin {
            let (flag, used) = (settings::name::<SourceArgs>(long), origin.name());
            tracing::warn!("{flag} has no effect: the source is {used}");
        }
    }
}

/// Below which the operating system's files are looked at.
fn root(args: &SourceArgs) -> Result<PathBuf> {
    match cli::path(&args.rootfs) {
        None => Ok(ROOT.into()),
        Some(root) if root.is_dir() => Ok(root.to_owned()),
        Some(root) => Err(anyhow!("{} is not a folder", root.display())),
    }
    .named::<SourceArgs>("path.rootfs")
}

/// Tests whether a new session would read a GPU that is down, for NVML. DCGM's engine is one for all
/// GPUs, and is never given up for one.
pub(crate) fn gpu_probe(args: &SourceArgs) -> Result<Option<GpuProbe>> {
    if Origin::of(args)? != Origin::Nvml {
        return Ok(None);
    }
    let library = library(&args.nvml_library).named::<SourceArgs>("nvml-library")?;
    Ok(Some(probe::gpu_probe(library.as_deref())))
}

/// The file of a library. One that is not there, or is empty, may still come; one that is there and
/// cannot be a library is a mistake.
fn library(path: &Option<OsString>) -> Result<Option<PathBuf>> {
    let path = cli::path(path).map(std::path::absolute).transpose();
    let Some(path) = path.context("the path cannot be resolved")? else { return Ok(None) };
    let what = match path.metadata() {
        Ok(meta) if meta.is_dir() => Some("a folder, not a library"),
        Ok(meta) if meta.is_file() && meta.len() > 0 && !is_elf(&path) => Some("not a library"),
        _ => None,
    };
    match what {
        Some(what) => {
            bail!("{} is {what}; name the library's file, or leave the flag out", path.display())
        }
        None => Ok(Some(path)),
    }
}

/// Whether a file may be a library. One that cannot be read may be.
fn is_elf(path: &Path) -> bool {
    const MAGIC: &[u8] = b"\x7fELF";
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_err() || start == MAGIC
}

/// What an engine in this process logs. Nothing, unless it is asked to: its own default is a file.
fn dcgm_log(args: &SourceArgs) -> Result<dcgm::Log> {
    const STANDARD_OUTPUT: &str = "-";
    let level = or_default(&args.dcgm_log_level, DCGM_LOG_LEVEL).trim();
    let number = LEVELS.iter().position(|known| known.eq_ignore_ascii_case(level));
    let number = number.ok_or_else(|| settings::not_among(level, &LEVELS.join(", ")));
    let number = number.named::<SourceArgs>("dcgm-log-level")?;
    let is_wanted =
        settings::boolean(&args.enable_dcgm_log).named::<SourceArgs>("enable-dcgm-log")?;
    let severity = if is_wanted { i32::try_from(number)? } else { 0 };
    Ok(dcgm::Log { file: Some(STANDARD_OUTPUT.into()), severity })
}

/// The kernel's log that XIDs are counted from, if one is to be read: not where they are made up, and
/// not the log of this machine where the GPUs are in another.
pub(crate) fn kernel_log(args: &SourceArgs, log: &str) -> Result<Option<KernelLog>> {
    let log = or_default(log, KERNEL_LOG);
    let is_ours = match Origin::of(args)? {
        Origin::Nvml => true,
        // A log that is named is the right one.
        Origin::Dcgm if log != KERNEL_LOG => true,
        Origin::Dcgm => engine(args)?.is_none_or(|address| address.is_local()),
        Origin::Sim => false,
    };
    if log == "none" {
        return Ok(None);
    }
    let (location, root) = (log_place(log).named::<ServeArgs>("kernel-log")?, root(args)?);
    Ok(is_ours.then_some(KernelLog { location, root, meaning: xid::lookup }))
}

/// A word that is neither known nor a file is a mistake; a path may be of a file that is still to come.
fn log_place(log: &str) -> Result<LogLocation> {
    match LogLocation::parse(log) {
        LogLocation::Path(path) if !log.contains('/') && !path.exists() => bail!(
            "`{log}` is none of auto, kmsg, journal, none, and no file; write a path such \
             as /var/log/kern.log"
        ),
        place => Ok(place),
    }
}

/// The label `hostname`: the node's name where Kubernetes gives it, else that of the host engine's
/// machine, else the system's.
pub(crate) fn hostname(args: Option<&SourceArgs>) -> Option<Arc<str>> {
    let node = std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    let engine = || {
        let args = args.filter(|args| matches!(Origin::of(args), Ok(Origin::Dcgm)))?;
        // `localhost` is the name of every machine.
        let address = engine(args).ok()?.filter(|address| !address.is_local())?;
        address.host().map(str::to_owned)
    };
    let system = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = node.or_else(engine).or_else(system)?;
    Some(Arc::from(name.trim()))
}

/// Simulated GPUs.
fn simulation(args: &SimArgs) -> Result<Box<dyn Source>> {
    let name = args.sim_scenario.unwrap_or(ScenarioName::Story);
    if args.sim_gpus.is_some() && name == ScenarioName::Story {
        bail!(
            "--sim-gpus has no effect with --sim-scenario story, which has eight GPUs; \
             use --sim-scenario steady"
        );
    }
    if args.speed.is_some() && args.sim_at.is_some() {
        bail!("--speed has no effect with --sim-at, for time stands still; leave one of them out");
    }
    let gpus = args.sim_gpus.map_or(8, usize::from);
    let scenario = match name {
        ScenarioName::Story => Scenario::story(),
        ScenarioName::Steady => Scenario::steady(gpus),
        ScenarioName::Idle => Scenario::idle(gpus),
    };
    let options = sim::Options {
        speed: speed(args.speed.unwrap_or(1.0))?,
        start: Duration::from_secs(args.sim_at.unwrap_or(0)),
        frozen: args.sim_at.is_some(),
    };
    let world = World::new(scenario, args.sim_seed.unwrap_or(1));
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
    use crate::cli::Cli;

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
            kernel_log(&args.source, &args.kernel_log).unwrap().map(|log| log.location)
        };
        let default = Some(LogLocation::Auto);
        assert_eq!(log("heatsink"), default);
        assert_eq!(log("heatsink --source dcgm"), default);
        assert_eq!(log("heatsink -r unix:///run/dcgm"), default);
        assert_eq!(log("heatsink -r node-7:5555"), None);
        let path = Some(LogLocation::Path("/log".into()));
        assert_eq!(log("heatsink -r node-7:5555 --kernel-log /log"), path);
        assert_eq!(log("heatsink --kernel-log journal"), Some(LogLocation::Journal));
        assert_eq!(log("heatsink --kernel-log kmsg"), Some(LogLocation::Kmsg));
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
    fn dcgms_log_is_silent_unless_asked_for() {
        let severity = |line| dcgm_log(&serve(line).source).map(|log| log.severity).ok();
        assert_eq!(severity("heatsink --dcgm-log-level DEBUG"), Some(0));
        assert_eq!(severity("heatsink --enable-dcgm-log --dcgm-log-level info"), Some(4));
        assert_eq!(severity("heatsink --dcgm-log-level loud"), None);
    }
}
