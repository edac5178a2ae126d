//! The rounds of a phase: scrapes between two answers of `nvidia-smi`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::compare::{self, Round};
use super::dmon::{Dmon, Gpm};
use super::exporter::Exporter;
use super::nvidia_smi::Queries;
use super::process::Interrupt;
use super::report::Report;
use super::table::{Phase, Row, name};
use super::values::of_page;

/// Longer than heatsink's interval, so that each round sees another reading.
const PAUSE: Duration = Duration::from_millis(1300);

/// A run, with all that its phases share.
pub(super) struct Phases {
    pub(super) output: PathBuf,
    pub(super) exporter: Exporter,
    pub(super) interrupt: Interrupt,
    /// In each phase.
    pub(super) rounds: u32,
    /// Time before the first round of a phase: heatsink reads what seldom changes every 10 s.
    pub(super) warm_up: Duration,
    pub(super) queries: Queries,
    /// The rows that can be compared.
    pub(super) rows: Vec<Row>,
    pub(super) history: Vec<Round>,
    pub(super) report: Report,
}

impl Phases {
    pub(super) fn run(&mut self, phase: Phase) -> Result<()> {
        let name = name(phase);
        println!("{name}: {} rounds after {:?} ...", self.rounds, self.warm_up);
        self.interrupt.sleep(self.warm_up)?;
        let began = Instant::now();
        self.queries.answers()?;
        let time = (began.elapsed() * 2 + PAUSE + Duration::from_millis(100)) * self.rounds;
        let dmon = Dmon::start(&self.rows, phase, time, &self.output)?;
        let mut page = String::new();
        for number in 1..=self.rounds {
            let before = self.queries.answers()?;
            page = self.exporter.get("/metrics")?;
            let at = Instant::now();
            let after = self.queries.answers()?;
            self.history.push(Round { phase, number, at, before, page: of_page(&page), after });
            self.report.comparisons.extend(compare::round(&self.rows, &self.history));
            self.interrupt.sleep(PAUSE)?;
        }
        fs::write(self.output.join(format!("page-{name}.prom")), &page)?;
        let gpm = match dmon {
            Some(dmon) => dmon.finish(&self.interrupt)?,
            None => Gpm::default(),
        };
        let compared = compare::phase(&self.rows, &self.history, phase, &gpm.means);
        self.report.comparisons.extend(compared);
        self.report.add(&name, &page, gpm);
        fs::write(self.output.join("comparisons.tsv"), self.report.comparisons())?;
        Ok(())
    }
}
