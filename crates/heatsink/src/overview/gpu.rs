//! One GPU as the page shows it.

use model::{GpuView, Snapshot, When};

use super::conditions::{CONDITIONS, Condition, Severity};
use super::readings::Readings;
use crate::health::gpu_name;

/// One GPU, with the conditions that hold.
pub(super) struct Gpu<'a> {
    pub(super) name: String,
    pub(super) readings: Readings<'a>,
    /// The conditions that hold, the worst first, by position in [`CONDITIONS`]; each with the
    /// readings and what to do.
    pub(super) conditions: Vec<(usize, String)>,
}

impl<'a> Gpu<'a> {
    pub(super) fn of(view: &'a GpuView, snapshot: &Snapshot, now: When) -> Self {
        let readings = Readings::of(view, snapshot, now);
        let tests = CONDITIONS.iter().map(|condition| condition.test).enumerate();
        let conditions = tests.filter_map(|(at, test)| Some((at, test(&readings)?))).collect();
        Self { name: gpu_name(&view.gpu), readings, conditions }
    }

    /// The position of its worst condition; none if it is healthy.
    pub(super) fn state(&self) -> Option<usize> {
        self.conditions.first().map(|(at, _)| *at)
    }

    pub(super) fn condition(&self) -> Option<&'static Condition> {
        self.state().map(|at| &CONDITIONS[at])
    }

    pub(super) fn severity(&self) -> Severity {
        self.condition().map_or(Severity::Healthy, |condition| condition.severity)
    }

    pub(super) fn state_text(&self) -> &'static str {
        self.condition().map_or("healthy", |condition| condition.one)
    }
}
