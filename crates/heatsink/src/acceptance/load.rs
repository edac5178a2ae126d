//! Keeps all GPUs busy: a Python program with PyTorch, CuPy or the CUDA driver library.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::{Interrupt, Process};

const PROGRAM: &str = include_str!("load.py");

/// Time until all GPUs are busy: PyTorch alone may need a minute to start.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// Starts it and waits until all GPUs are busy. The process if they are, and a description.
pub(super) fn start(log: &Path, interrupt: &Interrupt) -> Result<(Option<Process>, String)> {
    let mut command = Command::new("python3");
    let Ok(mut process) = Process::start(command.args(["-c", PROGRAM]), log) else {
        return Ok((None, "not run (no python3 here)".to_owned()));
    };
    let began = Instant::now();
    loop {
        let has_ended = process.status().is_some() || began.elapsed() > START_TIMEOUT;
        let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        // A line that is still being written has no end yet.
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        if let Some(line) = lines.find_map(|line| line.trim_end().strip_prefix("load: ")) {
            let is_busy = !line.contains("not run");
            return Ok((is_busy.then_some(process), line.to_owned()));
        }
        if has_ended {
            return Ok((None, "not run (it ended without a message; see load.log)".to_owned()));
        }
        interrupt.sleep(Duration::from_millis(200))?;
    }
}
