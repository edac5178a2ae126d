//! `heatsink acceptance`, a hidden command: compares the page with the output of `nvidia-smi` on a
//! machine with real NVIDIA GPUs, and records the run. `docs/hardware/README.md` describes it.

mod compare;
mod dmon;
mod exporter;
mod load;
mod nvidia_smi;
mod phases;
mod power_limit;
mod process;
mod report;
mod table;
mod value;
mod values;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, anyhow};

use self::exporter::Exporter;
use self::nvidia_smi::Queries;
use self::phases::Phases;
use self::power_limit::PowerLimits;
use self::process::{Interrupt, Process, describe};
use self::report::Report;
use self::table::Phase;
use crate::cli::Args;
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{NO_POWER_CAP, OUTPUT, ROUNDS, WARM_UP};

const SUCCESS: &str = "exit status 0";

/// Runs all phases and writes the summary. The exit status is 1 if something differs.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (rounds, warm_up) = (args.get(&ROUNDS)?, args.get(&WARM_UP)?);
    let interrupt = Interrupt::new()?;
    let gpus = nvidia_smi::query(&["--query-gpu=name,driver_version"])?;
    let first = gpus.first().and_then(|gpu| Some((gpu.first()?, gpu.get(1)?)));
    let (gpu, driver) = first.context("nvidia-smi prints no GPU")?;
    let folder = args.get(&OUTPUT)?.unwrap_or_else(|| folder(gpu, driver));
    let file = |name| folder.join(name);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    remove_old(&folder)?;
    let flags: Vec<_> = env::args_os().skip_while(|arg| arg != "--").skip(1).collect();
    let exporter = Exporter::start(&flags, &file("heatsink.log"), &interrupt)?;
    let queries = Queries::new()?;
    let (rows, not_compared) = queries.plan(driver);
    let report = Report { not_compared, ..Report::default() };
    let (history, output) = (Vec::new(), folder.clone());
    let mut phases =
        Phases { output, exporter, interrupt, rounds, warm_up, queries, rows, history, report };

    println!("comparing {gpu}, driver {driver}, with nvidia-smi");
    phases.run(Phase::Idle)?;
    let busy = under_load(&mut phases, &file("load.log"), !args.get(&NO_POWER_CAP)?)?;

    let Phases { mut exporter, interrupt, report, .. } = phases;
    let check = run_check("--all", &file("check.txt"), &interrupt)?;
    let timings = run_check("--timings", &file("check-timings.txt"), &interrupt)?;
    let began = Instant::now();
    let status = exporter.process.terminate()?;
    let ended = format!("{} after {} ms", describe(status), began.elapsed().as_millis());
    let failed = busy.failed
        || report.has_failure()
        || check != SUCCESS
        || timings != SUCCESS
        || !status.success();
    let [idle, loaded, limited] = [Phase::Idle, Phase::Load, Phase::Capped]
        .map(|phase| if report.has(phase) { rounds } else { 0 });
    let head = [
        ("GPU", format!("{gpu} ({} in this machine)", gpus.len())),
        ("driver", driver.clone()),
        ("heatsink", concat!("heatsink ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("date", today()?),
        ("rounds", format!("{idle} idle, {loaded} under load, {limited} capped")),
        ("load", busy.load),
        ("capped", busy.capped),
        ("check", check),
        ("timings", timings),
        ("SIGTERM", ended),
    ];
    let head: String = head.iter().map(|(name, text)| format!("{name:<10} {text}\n")).collect();
    let summary = head + &report.summary();
    fs::write(file("nvidia-smi-q.txt"), nvidia_smi::details()?)?;
    fs::write(file("summary.txt"), &summary)?;
    let result = if failed { "FAILED" } else { "passed" };
    println!("{summary}\n{result}; all of it is in {}", folder.display());
    Ok(Exit::with(if failed { EXIT_UNHEALTHY } else { EXIT_OK }))
}

/// The result of the phases with busy GPUs, as texts for the summary.
struct Busy {
    load: String,
    capped: String,
    /// Whether more than a comparison failed.
    failed: bool,
}

/// Runs the phases with busy GPUs, if there is a load.
fn under_load(phases: &mut Phases, log: &Path, may_cap: bool) -> Result<Busy> {
    let (process, mut load) = load::start(log, &phases.interrupt)?;
    println!("load: {load}");
    let Some(mut process) = process else {
        return Ok(Busy { load, capped: "not run (no load)".to_owned(), failed: false });
    };
    phases.run(Phase::Load)?;
    // After an error, this restores the limits before the load ends.
    let mut limits = PowerLimits::default();
    let lowered = if may_cap { limits.lower() } else { Err(anyhow!("--no-power-cap")) };
    let is_lowered = lowered.is_ok();
    let mut capped = lowered.unwrap_or_else(|reason| format!("not run ({reason:#})"));
    println!("capped: {capped}");
    if is_lowered {
        phases.run(Phase::Capped)?;
    }
    let has_ended = process.status().is_some();
    if has_ended {
        load += " (ended before the rounds: not all were under load)";
    }
    let is_restored = limits.restore();
    if !is_restored {
        capped += ", AND NOT RESTORED";
    }
    Ok(Busy { load, capped, failed: has_ended || !is_restored })
}

/// `<gpu-name>-<driver>`, in lower case and with dashes.
fn folder(gpu: &str, driver: &str) -> PathBuf {
    let words = gpu.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_lowercase();
    format!("{name}-{driver}").into()
}

/// Removes pages and samples of an earlier run: this one may not write all.
fn remove_old(folder: &Path) -> Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        if ["page-", "dmon-"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// Runs `heatsink check`, and returns how it ended. The file has no serial numbers.
fn run_check(flag: &str, file: &Path, interrupt: &Interrupt) -> Result<String> {
    let mut command = Command::new(env::current_exe()?);
    let status = Process::start(command.args(["check", flag]), file)?.wait(interrupt)?;
    let without_serial = |line: &str| match line.split_once("DCGM_FI_DEV_SERIAL ") {
        Some((start, _)) => format!("{start}DCGM_FI_DEV_SERIAL (left out)\n"),
        None => format!("{line}\n"),
    };
    fs::write(file, fs::read_to_string(file)?.lines().map(without_serial).collect::<String>())?;
    Ok(describe(status))
}

/// In UTC.
fn today() -> Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
