//! The source of readings, and the settings that depend on it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use dcgm::DcgmSource;
use model::Source;
use model::catalog::xid;
use nvml::NvmlSource;
use sampler::{GpuProbe, KernelLog, LogLocation};
use sim::{Scenario, SimSource, World};

use crate::cli::Args;
use crate::flags::{
    DCGM_LIBRARY, DCGM_LOG_LEVEL, ENABLE_DCGM_LOG, FAKE_GPUS, KERNEL_LOG, NVML_LIBRARY,
    REMOTE_HOSTENGINE_INFO, ROOTFS, SIM_AT, SIM_GPUS, SIM_SCENARIO, SIM_SEED, SIM_SPEED, SOURCE,
};
use crate::parse::{ScenarioName, SourceKind};
use crate::probe;

/// The kind of source to read. `auto` is DCGM if a host engine is named.
pub(crate) fn kind(args: &Args) -> Result<SourceKind> {
    Ok(match args.get(&SOURCE)? {
        Some(kind) => kind,
        None if args.is_given(&REMOTE_HOSTENGINE_INFO.row) => SourceKind::Dcgm,
        None => SourceKind::Nvml,
    })
}

/// The source to read, with one reading per `interval`.
pub(crate) fn open(
    args: &Args,
    interval: Duration,
    compute_instances: bool,
) -> Result<Box<dyn Source>> {
    check(args)?;
    match kind(args)? {
        SourceKind::Nvml => {
            let options = nvml::Options { compute_instances, root: args.get(&ROOTFS)? };
            Ok(Box::new(NvmlSource::new(args.get(&NVML_LIBRARY)?, options)))
        }
        SourceKind::Dcgm => Ok(Box::new(DcgmSource::new(dcgm::Options {
            library: args.get(&DCGM_LIBRARY)?,
            address: args.get(&REMOTE_HOSTENGINE_INFO)?,
            interval,
            compute_instances,
            fake_gpus: args.get(&FAKE_GPUS)?,
            log: dcgm_log(args)?,
        }))),
        SourceKind::Sim => simulation(args),
    }
}

/// Checks the settings of all sources against each other.
///
/// Returns warnings of settings that only another source reads. Manifests may have them for both, so
/// they are not refused.
///
/// # Errors
///
/// The first mistake.
pub(crate) fn check(args: &Args) -> Result<Vec<String>> {
    let kind = kind(args)?;
    let sim = [&SIM_SCENARIO.row, &SIM_GPUS.row, &SIM_SEED.row, &SIM_AT.row, &SIM_SPEED.row];
    if kind == SourceKind::Sim {
        check_simulation(args)?;
    } else if let Some(row) = sim.into_iter().find(|row| args.is_given(row)) {
        bail!("{} has no effect without --source sim", args.place(row));
    }
    let unused = [
        (&NVML_LIBRARY.row, SourceKind::Nvml),
        (&DCGM_LIBRARY.row, SourceKind::Dcgm),
        (&REMOTE_HOSTENGINE_INFO.row, SourceKind::Dcgm),
    ];
    let unused = unused.into_iter().filter(|(row, of)| args.is_given(row) && *of != kind);
    let warning = |row| format!("{} has no effect: the source is {kind}", args.place(row));
    Ok(unused.map(|(row, _)| warning(row)).collect())
}

fn check_simulation(args: &Args) -> Result<()> {
    let name = args.get(&SIM_SCENARIO)?;
    let (gpus, at, speed) = (args.get(&SIM_GPUS)?, args.get(&SIM_AT)?, args.get(&SIM_SPEED)?);
    let named = match name {
        ScenarioName::Story => Some("story"),
        ScenarioName::Fault(fault) => Some(fault.name()),
        ScenarioName::Steady | ScenarioName::Idle => None,
    };
    if let (Some(named), Some(_)) = (named, gpus) {
        bail!(
            "--sim-gpus has no effect with --sim-scenario {named}, which has eight GPUs; \
             use --sim-scenario steady"
        );
    }
    if speed.is_some() && at.is_some() {
        bail!("--speed has no effect with --sim-at, which stops time; leave one of them out");
    }
    Ok(())
}

/// How to find out whether a new session would read a GPU that is down, with NVML. DCGM's engine is
/// one for all GPUs, and is never closed because of one.
pub(crate) fn gpu_probe(args: &Args) -> Result<Option<GpuProbe>> {
    if kind(args)? != SourceKind::Nvml {
        return Ok(None);
    }
    Ok(Some(probe::gpu_probe(args.get(&NVML_LIBRARY)?)))
}

/// What a DCGM engine in this process logs. Nothing, unless asked to: its own default is a file.
fn dcgm_log(args: &Args) -> Result<dcgm::Log> {
    const STANDARD_OUTPUT: &str = "-";
    let level = args.get(&DCGM_LOG_LEVEL)?;
    let severity = if args.get(&ENABLE_DCGM_LOG)? { level } else { 0 };
    Ok(dcgm::Log { file: Some(STANDARD_OUTPUT.into()), severity })
}

/// The kernel log that XIDs are counted from; none if GPUs are simulated, or if they are on another
/// machine than the log.
pub(crate) fn kernel_log(args: &Args) -> Result<Option<KernelLog>> {
    let kind = kind(args)?;
    let Some(location) = args.get(&KERNEL_LOG)? else { return Ok(None) };
    let is_of_these_gpus = match kind {
        SourceKind::Nvml => true,
        // A log that is named is the right one.
        SourceKind::Dcgm if location != LogLocation::Auto => true,
        SourceKind::Dcgm => {
            args.get(&REMOTE_HOSTENGINE_INFO)?.is_none_or(|address| address.is_local())
        }
        SourceKind::Sim => false,
    };
    let root = args.get(&ROOTFS)?;
    Ok(is_of_these_gpus.then_some(KernelLog { location, root, meaning: xid::lookup }))
}

/// The label `hostname`: the node's name where Kubernetes gives it, else that of the host engine's
/// machine, else the system's.
pub(crate) fn hostname(args: Option<&Args>) -> Option<Arc<str>> {
    let node = std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    let engine = || {
        let args = args.filter(|args| matches!(kind(args), Ok(SourceKind::Dcgm)))?;
        // `localhost` is the name of every machine.
        let address = args.get(&REMOTE_HOSTENGINE_INFO).ok()??;
        Some(address).filter(|address| !address.is_local())?.host().map(str::to_owned)
    };
    let system = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = node.or_else(engine).or_else(system)?;
    Some(Arc::from(name.trim()))
}

/// Simulated GPUs.
fn simulation(args: &Args) -> Result<Box<dyn Source>> {
    let name = args.get(&SIM_SCENARIO)?;
    let (gpus, at, speed) = (args.get(&SIM_GPUS)?, args.get(&SIM_AT)?, args.get(&SIM_SPEED)?);
    let gpus = gpus.map_or(8, usize::from);
    let scenario = match name {
        ScenarioName::Story => Scenario::story(),
        ScenarioName::Steady => Scenario::steady(gpus),
        ScenarioName::Idle => Scenario::idle(gpus),
        ScenarioName::Fault(fault) => fault.scenario(),
    };
    let options = sim::Options {
        speed: speed.unwrap_or(1.0),
        start: Duration::from_secs(at.unwrap_or(0)),
        frozen: at.is_some(),
    };
    let world = World::new(scenario, args.get(&SIM_SEED)?.unwrap_or(1));
    Ok(Box::new(SimSource::new(world, options)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::parse(line.split(' ').map(Into::into)).unwrap()
    }

    fn kind(line: &str) -> SourceKind {
        super::kind(&args(line)).unwrap()
    }

    #[test]
    fn naming_a_host_engine_selects_dcgm() {
        assert_eq!(kind("heatsink"), SourceKind::Nvml);
        assert_eq!(kind("heatsink -r localhost:5555"), SourceKind::Dcgm);
        assert_eq!(kind("heatsink --source dcgm"), SourceKind::Dcgm);
        assert_eq!(kind("heatsink --source nvml -r localhost:5555"), SourceKind::Nvml);
        assert!(super::kind(&args("heatsink --source file")).is_err());
    }

    #[test]
    fn the_kernel_log_is_read_on_the_machine_of_the_gpus() {
        let log = |line| kernel_log(&args(line)).unwrap().map(|log| log.location);
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
    fn the_host_of_a_remote_engine_is_the_hostname() {
        let name = |line| hostname(Some(&args(line))).unwrap();
        assert_eq!(&*name("heatsink -r tcp://node-7:5555"), "node-7");
        let system = hostname(None).unwrap();
        for line in ["heatsink", "heatsink -r localhost:5555", "heatsink --source nvml -r node-7"] {
            assert_eq!(name(line), system, "{line}");
        }
    }

    #[test]
    fn the_log_of_dcgm_is_off_by_default() {
        let severity = |line| dcgm_log(&args(line)).map(|log| log.severity).ok();
        assert_eq!(severity("heatsink --dcgm-log-level DEBUG"), Some(0));
        assert_eq!(severity("heatsink --enable-dcgm-log --dcgm-log-level info"), Some(4));
        assert_eq!(severity("heatsink --dcgm-log-level loud"), None);
    }
}
