//! Decides when GPUs have been down for so long that only a new session may bring them back.
//!
//! A driver that was reloaded, or a GPU that was reset, answers old handles with errors for ever. A GPU
//! that hangs is no reason for a new session: its old reader would block a new one.

use std::time::Duration;

use model::Moment;

use crate::backoff::Backoff;
use crate::settings::{DownGpu, Settings};
use crate::state::State;

/// How long all GPUs have to be down before the source is opened again. There is nothing to lose
/// then.
const ALL_DOWN: Backoff =
    Backoff { wait: Duration::from_secs(2), factor: 2, max: Duration::from_secs(60) };

/// How long after a probe of a GPU that is down, while others answer, the next one follows.
fn one_down(settings: &Settings) -> Backoff {
    Backoff { wait: settings.probe_after, factor: 4, max: Duration::from_secs(3600) }
}

/// When a new session is worth a try.
pub(crate) struct Recovery {
    all_down: Backoff,
    one_down: Backoff,
    /// Whether a probe is running.
    pub(crate) is_probing: bool,
    probes: usize,
    last_probe: Option<Moment>,
    /// How many GPUs were down the last time.
    down_before: usize,
}

/// What to do about GPUs that are down.
pub(crate) enum Action {
    /// Open the source again, for this reason.
    Reopen(String),
    /// Test in a separate process whether a new session would read this GPU.
    Probe(DownGpu),
}

impl Recovery {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            all_down: ALL_DOWN,
            one_down: one_down(settings),
            is_probing: false,
            probes: 0,
            last_probe: None,
            down_before: 0,
        }
    }

    /// What to do now. GPUs are probed only if `may_probe`.
    pub(crate) fn next(&mut self, state: &State, may_probe: bool, now: Moment) -> Option<Action> {
        let (settings, began) = (&state.settings, state.session_began?);
        let mut listed = 0;
        let mut down: Vec<(Moment, DownGpu)> = Vec::new();
        for gpu in state.gpus.iter().filter(|gpu| gpu.listed) {
            let Some(main) = gpu.main_reader() else { continue };
            listed += 1;
            // A GPU that is just being opened again is still down.
            let deadline = settings.pass_deadline(settings.interval.max(main.cadence));
            let hangs = main.busy.since().is_some_and(|since| now - since > deadline);
            if main.down.is_some() && !hangs {
                let since = main.last_ok.unwrap_or(began).max(began);
                down.push((since, DownGpu { index: gpu.index, identity: gpu.identity.clone() }));
            }
        }
        let Some(since) = down.iter().map(|(since, _)| *since).min() else {
            (self.all_down, self.one_down) = (ALL_DOWN, one_down(settings));
            (self.last_probe, self.down_before) = (None, 0);
            return None;
        };
        if down.len() == listed {
            let age = now - since;
            return (age >= self.all_down.wait).then(|| {
                self.all_down.next();
                Action::Reopen(format!("all GPUs are down since {} s", age.as_secs()))
            });
        }
        // A GPU that has gone down since does not wait as long as those before it.
        if std::mem::replace(&mut self.down_before, down.len()) < down.len() {
            (self.one_down, self.last_probe) = (one_down(settings), None);
        }
        down.retain(|(since, _)| now - *since >= settings.probe_after);
        let is_due = self.last_probe.is_none_or(|last| now - last >= self.one_down.wait);
        let may_probe = may_probe && !self.is_probing && settings.probe.is_some();
        if down.is_empty() || !is_due || !may_probe {
            return None;
        }
        // In turn: a new session may bring back one GPU and not another.
        self.probes += 1;
        let (_, gpu) = down.swap_remove(self.probes % down.len());
        self.one_down.next();
        self.last_probe = Some(now);
        Some(Action::Probe(gpu))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{ReaderKind, Reason};

    use super::*;
    use crate::settings::GpuProbe;
    use crate::state::reader::{ReaderId, Target};
    use crate::state::test_state::*;

    #[test]
    fn the_source_is_opened_again_once_all_gpus_are_down() {
        let mut test = TestState::new(SECOND);
        test.state.session_began = Some(test.at);
        let mut recovery = Recovery::new(&test.state.settings);
        let reopens = |test: &TestState, recovery: &mut Recovery, millis| {
            let action = recovery.next(&test.state, true, test.time(millis));
            matches!(action, Some(Action::Reopen(_)))
        };
        assert!(!reopens(&test, &mut recovery, 5000), "it is up");
        test.fail(MAIN, 1000, Reason::Lost);
        assert!(!reopens(&test, &mut recovery, 1999));
        assert!(reopens(&test, &mut recovery, 2000), "two seconds after the last success");
        assert!(!reopens(&test, &mut recovery, 3999));
        assert!(reopens(&test, &mut recovery, 4000), "it did not help");
    }

    #[test]
    fn one_gpu_that_is_down_is_probed_while_others_are_up() {
        let probe = Some(GpuProbe(Arc::new(|_| Ok(()))));
        let mut test = TestState::with_settings(Settings { probe, ..Settings::new(SECOND) });
        test.state.session_began = Some(test.at);
        let main = ReaderId { target: Target::Gpu(1), number: 3 };
        test.add_reader(main, "main", ReaderKind::Main, &[FAST]);
        test.state.gpu(1).listed = true;
        test.fail(main, 1000, Reason::Lost);
        let mut recovery = Recovery::new(&test.state.settings);
        let mut probes = |may_probe, seconds: u64| {
            let action = recovery.next(&test.state, may_probe, test.time(1000 * seconds));
            matches!(action, Some(Action::Probe(DownGpu { index: 1, .. })))
        };
        assert!(!probes(true, 29));
        assert!(!probes(false, 30), "the source is being opened");
        assert!(probes(true, 30));
        assert!(!probes(true, 149));
        assert!(probes(true, 150), "two minutes after the first probe");
    }
}
