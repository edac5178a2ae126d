//! GPM metrics of `nvidia-smi dmon`, which runs beside the rounds of a phase.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::compare::{Means, mean};
use super::nvidia_smi::query;
use super::process::{Interrupt, Process, describe};
use super::table::{Kind, Phase, Row, name};
use super::values::number;

/// A running `nvidia-smi dmon`.
pub(super) struct Dmon {
    process: Process,
    /// In ascending order, as `dmon` prints them.
    metrics: Vec<u32>,
    output: PathBuf,
}

/// The output, as means.
#[derive(Default)]
pub(super) struct Gpm {
    pub(super) means: Means,
    /// Number, name and unit of each metric.
    pub(super) columns: String,
    /// The reason for each metric or GPU without a mean.
    pub(super) not_compared: Vec<String>,
}

impl Dmon {
    /// Starts it for a time, if the phase compares GPM metrics. It takes a sample per second.
    pub(super) fn start(
        rows: &[Row],
        phase: Phase,
        time: Duration,
        folder: &Path,
    ) -> Result<Option<Self>> {
        let metric =
            |row: &Row| if let Kind::Mean(metric) = row.kind { Some(metric) } else { None };
        let mut metrics: Vec<u32> =
            rows.iter().filter(|row| row.is_in(phase)).filter_map(metric).collect();
        metrics.sort_unstable();
        if metrics.is_empty() {
            return Ok(None);
        }
        // The first two samples are always empty.
        let samples = time.as_secs() + 3;
        let list = metrics.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let output = folder.join(format!("dmon-{}.txt", name(phase)));
        let mut command = Command::new("timeout");
        command.arg((samples + 60).to_string()).args(["nvidia-smi", "dmon", "-d", "1"]);
        command.args(["--gpm-metrics", &list, "-c", &samples.to_string()]);
        let process = Process::start(&mut command, &output)?;
        Ok(Some(Self { process, metrics, output }))
    }

    /// Waits for its end and reads the output.
    pub(super) fn finish(mut self, interrupt: &Interrupt) -> Result<Gpm> {
        let status = self.process.wait(interrupt)?;
        let output = fs::read(&self.output)?;
        let output = String::from_utf8_lossy(&output);
        let gpus = query(&["--query-gpu=index,uuid"])?;
        let mut gpm = Gpm::default();
        let mut lines =
            output.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        if !status.success() {
            let reason = lines.next().unwrap_or_default();
            gpm.not_compared
                .push(format!("nvidia-smi dmon ended with {}: {reason}", describe(status)));
        } else if let Err(reason) = gpm.read(&output, &self.metrics, &gpus) {
            gpm.not_compared.push(reason.to_string());
        }
        Ok(gpm)
    }
}

impl Gpm {
    /// Metrics are the columns whose unit begins with `GPM:`. They come in the order of their numbers.
    fn read(&mut self, output: &str, metrics: &[u32], gpus: &[Vec<String>]) -> Result<()> {
        let rows = |is_header: bool| -> Vec<Vec<&str>> {
            let lines = output.lines().filter(|line| line.starts_with('#') == is_header);
            let lines = lines.map(|line| line.trim_start_matches('#'));
            lines.map(|line| line.split_whitespace().collect()).collect()
        };
        let (headers, samples) = (rows(true), rows(false));
        let names = headers.first().context("nvidia-smi dmon prints no header")?;
        let units = headers.get(1).context("nvidia-smi dmon prints no units")?;
        let mut columns: Vec<usize> = (0..units.len().min(names.len())).collect();
        columns.retain(|column| units[*column].starts_with("GPM:"));
        ensure!(columns.len() == metrics.len(), "nvidia-smi dmon prints other columns: {units:?}");
        for gpu in gpus {
            let [index, uuid] = &gpu[..] else { continue };
            let of_gpu = || samples.iter().filter(|cells| cells.first() == Some(&index.as_str()));
            if of_gpu().next().is_none() {
                self.not_compared.push(format!("nvidia-smi dmon does not print GPU {index}"));
                continue;
            }
            let mut missing = Vec::new();
            for (metric, column) in metrics.iter().zip(&columns) {
                let mean = mean(of_gpu().filter_map(|cells| number(cells.get(*column)?)));
                missing.extend(mean.is_none().then(|| metric.to_string()));
                self.means.insert((uuid.clone(), *metric), mean);
            }
            if !missing.is_empty() {
                let missing = missing.join(", ");
                let reason =
                    format!("nvidia-smi dmon has no value of GPU {index} for metrics {missing}");
                self.not_compared.push(reason);
            }
        }
        let describe = |(metric, column): (&u32, &usize)| {
            format!("{metric} {} ({})", names[*column], units[*column])
        };
        self.columns = metrics.iter().zip(&columns).map(describe).collect::<Vec<_>>().join(", ");
        Ok(())
    }
}
