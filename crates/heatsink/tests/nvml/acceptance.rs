//! `heatsink acceptance` on a machine whose `nvidia-smi` is a shell script. Its numbers are written by
//! hand from the raw numbers of `test/fixtures/raw-nvml.toml`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::exporter::{command, repository_file};
use testkit::pauses::in_time;

use crate::rig::{BINARY, PATIENCE, Rig};

/// A machine with one GPU, `nvidia-smi` and python3.
struct Machine {
    rig: Rig,
    programs: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { rig: Rig::new(), programs: TempDir::new().expect("a folder") };
        let fixture = fs::read_to_string(repository_file("test/fixtures/raw-nvml.toml"));
        let fixture = fixture.expect("the fixture is there");
        let (first_gpu, _) = fixture.split_once("# GPU 1").expect("it has two GPUs");
        let limits = "power_limit_range_mw = { min = 699_500, max = 700_321 }\npower_mw";
        machine.write("gpu.toml", &first_gpu.replace("power_mw", limits));
        machine.write("nvidia-smi", include_str!("acceptance/nvidia-smi"));
        machine.write("values", include_str!("acceptance/values"));
        machine.write("dmon", include_str!("acceptance/dmon"));
        machine.write("details", "\n    Serial Number  : 1652823051234\n    Product : H100\n");
        machine.write("python3", "#!/bin/sh\necho 'load: a test on 1 GPU(s)'\nexec sleep 1000\n");
        Self { rig: Rig::fixture(&machine.path("gpu.toml")), ..machine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.programs.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let executable = fs::Permissions::from_mode(0o755);
        let written = fs::write(self.path(name), text);
        let written = written.and_then(|()| fs::set_permissions(self.path(name), executable));
        written.expect("the temporary folder can be written");
    }

    /// A file, or a file that a run leaves as `output/NAME`; empty if there is none.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sets a column of `nvidia-smi`.
    fn set(&self, column: &str, value: &str) {
        let start = format!("{column}|");
        let values = self.read("values");
        let others = values.lines().filter(|line| !line.starts_with(&start));
        let line = format!("{start}{value}");
        self.write("values", &others.chain([line.as_str()]).collect::<Vec<_>>().join("\n"));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(BINARY, &["acceptance", "--output"], &self.rig.environment());
        let path = std::env::var("PATH").unwrap_or_default();
        command.arg(self.path("output")).args(args);
        command.env("PATH", format!("{}:{path}", self.programs.path().display()));
        command.env("HEATSINK_NVML_LIBRARY", self.rig.library());
        command
    }

    /// Runs it, and returns its exit status and the summary, or what it prints without one. It is run again
    /// if the machine stood still, because its numbers were then not of one moment.
    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let run = || {
            // There is none before the first run.
            let _ = fs::remove_dir_all(self.path("output"));
            let output = self.command(args).output().expect("the binary runs");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), self.read("output/summary.txt") + &errors)
        };
        in_time(run).0
    }
}

/// The end of the summary's line about a field.
fn verdict<'a>(summary: &'a str, field: &str) -> &'a str {
    let line = summary.lines().find(|line| line.starts_with(&format!("{field} ")));
    line.and_then(|line| line.rsplit("  ").next()).unwrap_or_default().trim()
}

#[test]
fn right_numbers_pass_in_all_phases_and_all_files_are_written() {
    let machine = Machine::new();
    let (status, summary) = machine.run(&["--rounds", "2", "--warm-up", "1", "--", "--debug"]);
    assert_eq!(status, Some(0), "{summary}");
    for line in [
        "GPU        NVIDIA H100 80GB HBM3 (1 in this machine)",
        "driver     550.163.01",
        "rounds     2 idle, 2 under load, 2 capped",
        "load       a test on 1 GPU(s)",
        "capped     power limit from 699.99 W to 699.50 W",
        "check      exit status 0",
        "  DCGM_FI_DEV_ECC_CURRENT: nvidia-smi 550.163.01 has no column ecc.mode.current",
        "  DCGM_FI_DEV_RETIRED_PENDING: nvidia-smi has the column, but no longer reads it",
        "  DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    ] {
        assert!(summary.lines().any(|known| known == line), "{line}\n{summary}");
    }
    for (field, expected) in [
        ("label:modelName", "pass"),
        ("DCGM_FI_DEV_FB_USED", "pass"),
        ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "pass"),
        ("DCGM_FI_DEV_FAN_SPEED", "absent in both"),
        ("heatsink_clock_event_active{reason=\"power_cap\"}, set", "pass"),
        ("heatsink_clock_event_seconds_total{reason=\"power_cap\"}, grows", "pass"),
        ("heatsink_gpu_slowdown_ratio, number", "pass"),
        ("heatsink_power_max_watts, peak", "pass"),
        ("DCGM_FI_PROF_PCIE_RX_BYTES, idle", "pass"),
        ("DCGM_FI_PROF_DRAM_ACTIVE, load", "pass"),
    ] {
        assert_eq!(verdict(&summary, field), expected, "{field}\n{summary}");
    }
    for (name, text) in [
        ("comparisons.tsv", "capped\t2\tGPU-6f0d2c5e"),
        ("page-idle.prom", "DCGM_FI_DEV_GPU_TEMP{"),
        ("page-load.prom", "DCGM_FI_DEV_GPU_TEMP{"),
        ("page-capped.prom", "DCGM_FI_DEV_GPU_TEMP{"),
        ("dmon-idle.txt", "GPM:%"),
        ("dmon-load.txt", "GPM:%"),
        ("nvidia-smi-q.txt", "\n    Serial Number  : (left out)\n    Product : H100\n"),
        ("check.txt", "DCGM_FI_DEV_SERIAL (left out)"),
        ("check-timings.txt", "nvmlDeviceGetTemperature"),
        ("heatsink.log", "DEBUG"),
        ("load.log", "load: a test"),
    ] {
        let written = machine.read(&format!("output/{name}"));
        assert!(written.contains(text), "{name}: {written}");
        assert!(!written.contains("1652823051234"), "{name} has a serial number");
    }
    let commands = machine.read("commands");
    let commands: Vec<&str> = commands.lines().collect();
    // Again if the machine stood still.
    let are_restored = commands.chunks(2).all(|both| both == ["699.50", "699.99"]);
    assert!(are_restored && !commands.is_empty(), "the limit is restored: {commands:?}");
}

#[test]
fn a_wrong_an_absent_and_an_unexpected_value_fail() {
    let machine = Machine::new();
    machine.write("python3", "#!/bin/sh\necho 'load: not run (a test)'\n");
    machine.set("temperature.gpu", "67");
    machine.set("fan.speed", "45");
    machine.set("temperature.memory", "[N/A]");
    machine.set("pci.bus_id", "00000000:1C:00.0");
    machine.set("clocks_throttle_reasons.active", "0x0000000000000005");
    let (status, summary) = machine.run(&["--rounds=1", "--warm-up=1"]);
    assert_eq!(status, Some(1), "{summary}");
    for (field, expected) in [
        ("DCGM_FI_DEV_GPU_TEMP", "FAIL"),
        ("DCGM_FI_DEV_FAN_SPEED", "FAIL: not on the page"),
        ("DCGM_FI_DEV_MEMORY_TEMP", "FAIL: not in nvidia-smi"),
        ("label:pci_bus_id", "FAIL: another text"),
        ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "FAIL"),
        ("DCGM_FI_DEV_POWER_USAGE", "pass"),
    ] {
        assert_eq!(verdict(&summary, field), expected, "{field}\n{summary}");
    }
    assert!(summary.contains("load       not run (a test)\ncapped     not run (no load)\n"));
    let comparisons = machine.read("output/comparisons.tsv");
    let temperature = "DCGM_FI_DEV_GPU_TEMP\tnumber\tFAIL\t3\t67\t64\t67";
    assert!(comparisons.contains(temperature), "{comparisons}");
    assert!(machine.read("commands").is_empty());
}

#[test]
fn without_nvidia_smi_it_cannot_run() {
    let machine = Machine::new();
    machine.write("nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n");
    let (status, message) = machine.run(&[]);
    assert_eq!(status, Some(2));
    assert!(message.contains("NVIDIA-SMI has failed"), "{message}");
}

#[test]
fn a_signal_restores_the_power_limit() {
    let machine = Machine::new();
    let mut child = machine.command(&["--rounds=1", "--warm-up=2"]).spawn().unwrap();
    let began = Instant::now();
    while !machine.read("commands").contains("699.50") {
        assert!(began.elapsed() < 3 * PATIENCE, "the limit is not lowered");
        assert_eq!(child.try_wait().unwrap(), None, "it ended before the limit is lowered");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert_eq!(machine.read("commands"), "699.50\n699.99\n");
}

#[test]
fn a_limit_that_cannot_be_lowered_is_no_failure() {
    let machine = Machine::new();
    machine.write("gpu.toml", &machine.read("gpu.toml").replace("699_500", "600_500"));
    machine.set("power.min_limit", "600.50");
    machine.write("nvidia-smi-for-root", include_str!("acceptance/nvidia-smi"));
    let refuse = "[ \"$3\" != -pl ] || { echo 'No permission'; exit 4; }";
    machine.write("nvidia-smi", &format!("#!/bin/sh\n{refuse}\nexec \"$0-for-root\" \"$@\"\n"));
    let (status, summary) = machine.run(&["--rounds=1", "--warm-up=1"]);
    assert_eq!(status, Some(0), "{summary}");
    let capped = "capped     not run (nvidia-smi -pl 600.50: No permission)\n";
    assert!(summary.contains(capped), "{summary}");
}
