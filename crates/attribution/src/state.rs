//! What the refreshers have found: the last result of each, and its health. Time is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, SystemTime};

use model::{Attribution, Moment, RefresherView};

use crate::error::{ErrorReason, RefreshError};
use crate::merge;
use crate::parts::{Part, PartKind};

/// How long a look may take. A refresher that takes longer counts as down.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The state of all refreshers.
#[derive(Debug)]
pub(crate) struct State {
    max_age: Duration,
    refreshers: BTreeMap<PartKind, Refresher>,
}

#[derive(Default, Debug)]
struct Refresher {
    last: Option<Good>,
    /// The look that has not ended yet.
    began: Option<Moment>,
    has_failed: bool,
    last_success: Option<SystemTime>,
    duration: Option<Duration>,
    errors: BTreeMap<ErrorReason, u64>,
    /// The reasons of errors that were logged since the last success.
    logged: BTreeSet<ErrorReason>,
}

#[derive(Debug)]
struct Good {
    part: Part,
    until: Moment,
}

/// A line for the log.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum LogLine {
    Failed(String),
    Recovered(String),
}

impl State {
    pub(crate) fn new(max_age: Duration, kinds: impl IntoIterator<Item = PartKind>) -> Self {
        let refreshers = kinds.into_iter().map(|kind| (kind, Refresher::default())).collect();
        Self { max_age, refreshers }
    }

    /// A look has begun. It goes on if there is one that has not ended.
    pub(crate) fn begin(&mut self, kind: PartKind, now: Moment) {
        if let Some(refresher) = self.refreshers.get_mut(&kind) {
            refresher.began.get_or_insert(now);
        }
    }

    /// A look has ended, or a watch has something new. Returns the line to log.
    pub(crate) fn end(
        &mut self,
        kind: PartKind,
        result: Result<Part, RefreshError>,
        now: Moment,
        time: SystemTime,
    ) -> Option<LogLine> {
        let refresher = self.refreshers.get_mut(&kind)?;
        if refresher.is_overdue(now) && !is_timeout(&result) {
            // It was shown while the look went on, and a counter does not fall.
            *refresher.errors.entry(ErrorReason::Timeout).or_default() += 1;
        }
        if let Some(began) = refresher.began.take() {
            refresher.duration = Some(now - began);
        }
        match result {
            Ok(part) => {
                refresher.last = Some(Good { part, until: now + self.max_age + kind.lifetime() });
                refresher.last_success = Some(time);
                refresher.has_failed = false;
                let name = kind.name();
                let was_logged = !mem::take(&mut refresher.logged).is_empty();
                was_logged.then(|| LogLine::Recovered(format!("{name}: answers again")))
            }
            Err(error) => {
                *refresher.errors.entry(error.reason).or_default() += 1;
                refresher.has_failed = true;
                if let Some(last) = &mut refresher.last {
                    last.until = last.until.min(now + self.max_age);
                }
                // The texts of one reason may differ in each look.
                let is_new = refresher.logged.insert(error.reason);
                is_new.then(|| LogLine::Failed(format!("{}: {}", kind.name(), error.message)))
            }
        }
    }

    /// The last result of a refresher.
    #[cfg(test)]
    pub(crate) fn part(&self, kind: PartKind) -> Option<Part> {
        Some(self.refreshers.get(&kind)?.last.as_ref()?.part.clone())
    }

    /// Who uses the GPUs at `now`.
    pub(crate) fn view(&self, now: Moment) -> Attribution {
        let good = |refresher: &'_ Refresher| {
            refresher.last.as_ref().filter(|last| now <= last.until).map(|last| last.part.clone())
        };
        let parts: BTreeMap<PartKind, Part> = self
            .refreshers
            .iter()
            .filter_map(|(kind, refresher)| Some((*kind, good(refresher)?)))
            .collect();
        let holders = [PartKind::Kubelet, PartKind::ResourceSlices, PartKind::Jobs];
        let is_missing =
            |kind: &PartKind| self.refreshers.contains_key(kind) && !parts.contains_key(kind);
        let mut view = merge::merge(&parts);
        view.is_complete &= !holders.iter().any(is_missing);
        view.refreshers = self
            .refreshers
            .iter()
            .map(|(kind, refresher)| refresher.view(*kind, parts.get(kind), now))
            .collect();
        let expiries = self.refreshers.values().flat_map(|refresher| {
            let until = refresher.last.as_ref().map(|last| last.until);
            let deadline = refresher.began.map(|began| began + DEADLINE);
            until.into_iter().chain(deadline).filter(|moment| *moment >= now)
        });
        // A look that begins later can be overdue after this time.
        view.good_until = expiries.chain([now + DEADLINE]).min().unwrap_or(now);
        view
    }
}

fn is_timeout(result: &Result<Part, RefreshError>) -> bool {
    result.as_ref().is_err_and(|error| error.reason == ErrorReason::Timeout)
}

impl Refresher {
    /// Whether there is a look that takes too long.
    fn is_overdue(&self, now: Moment) -> bool {
        self.began.is_some_and(|began| now > began + DEADLINE)
    }

    fn view(&self, kind: PartKind, part: Option<&Part>, now: Moment) -> RefresherView {
        let overdue = self.is_overdue(now);
        let mut errors: BTreeMap<&'static str, u64> =
            self.errors.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        // Those of the last result, however old it is: a counter does not fall.
        let skipped = self.last.as_ref().and_then(|last| last.part.skipped());
        for (reason, count) in skipped.into_iter().flatten() {
            *errors.entry(reason.as_str()).or_default() += count;
        }
        if overdue {
            *errors.entry(ErrorReason::Timeout.as_str()).or_default() += 1;
        }
        RefresherView {
            name: kind.name(),
            up: self.last_success.is_some() && !self.has_failed && !overdue,
            last_success: self.last_success,
            duration: self.duration,
            entries: part.map(|part| part.entries() as u64),
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::parts::{JobsPart, PodsPart};
    use model::DeviceKey;

    const SECOND: Duration = Duration::from_secs(1);

    fn pods() -> Result<Part, RefreshError> {
        Ok(Part::Pods(Arc::new(PodsPart { labels_cut: Some(0), ..PodsPart::default() })))
    }

    fn timeouts(state: &State, now: Moment) -> u64 {
        state.view(now).refreshers[0].errors.get("timeout").copied().unwrap_or(0)
    }

    /// Whether a refresher is up, and how many entries of its result are used.
    fn health(state: &State, now: Moment) -> (bool, Option<u64>) {
        let view = &state.view(now).refreshers[0];
        (view.up, view.entries)
    }

    fn jobs() -> Result<Part, RefreshError> {
        let uses = vec![(DeviceKey::uuid("GPU-a"), "17".into())];
        Ok(Part::Jobs(Arc::new(JobsPart { uses, ..JobsPart::default() })))
    }

    fn failed(message: &str) -> Result<Part, RefreshError> {
        Err(RefreshError::new(ErrorReason::Failed, message))
    }

    #[test]
    fn a_result_is_used_for_its_time_whether_looks_fail_or_hang() {
        let start = Moment::BOOT + SECOND;
        let mut state = State::new(60 * SECOND, [PartKind::Jobs]);
        assert_eq!(health(&state, start), (false, None));
        assert!(!state.view(start).is_complete, "nothing is known yet");
        state.end(PartKind::Jobs, jobs(), start, SystemTime::UNIX_EPOCH);
        assert_eq!(health(&state, start), (true, Some(1)));
        assert!(state.view(start).is_complete);

        state.begin(PartKind::Jobs, start + 5 * SECOND);
        let view = state.view(start + 5 * SECOND);
        assert_eq!(view.good_until, start + 5 * SECOND + DEADLINE);
        assert_eq!(health(&state, start + 16 * SECOND), (false, Some(1)), "it hangs");
        assert_eq!(health(&state, start + 60 * SECOND), (false, Some(1)));
        let late = start + 61 * SECOND;
        assert_eq!(health(&state, late), (false, None));
        assert!(!state.view(late).is_complete && state.view(late).uses.is_empty());

        state.end(PartKind::Jobs, jobs(), late, SystemTime::UNIX_EPOCH);
        assert_eq!(health(&state, late), (true, Some(1)));
        state.end(PartKind::Jobs, failed("gone"), late + 30 * SECOND, SystemTime::UNIX_EPOCH);
        assert_eq!(health(&state, late + 60 * SECOND), (false, Some(1)));
        assert_eq!(health(&state, late + 61 * SECOND), (false, None));
    }

    #[test]
    fn what_a_watch_found_is_good_until_the_watch_is_over_or_breaks() {
        let start = Moment::BOOT;
        let mut state = State::new(60 * SECOND, [PartKind::Pods]);
        state.end(PartKind::Pods, pods(), start, SystemTime::UNIX_EPOCH);
        let is_known = |state: &State, now| state.view(now).pod_labels_cut.is_some();
        assert!(is_known(&state, start + 300 * SECOND));
        assert!(!is_known(&state, start + 351 * SECOND));
        state.end(PartKind::Pods, failed("broken"), start + 10 * SECOND, SystemTime::UNIX_EPOCH);
        state.end(PartKind::Pods, failed("broken"), start + 50 * SECOND, SystemTime::UNIX_EPOCH);
        assert!(is_known(&state, start + 70 * SECOND));
        assert!(!is_known(&state, start + 71 * SECOND), "from the first error on");
    }

    #[test]
    fn an_error_is_logged_once_and_so_is_its_end() {
        let mut state = State::new(SECOND, [PartKind::Jobs]);
        let mut end =
            |result| state.end(PartKind::Jobs, result, Moment::BOOT, SystemTime::UNIX_EPOCH);
        assert_eq!(end(jobs()), None);
        assert_eq!(end(failed("a")), Some(LogLine::Failed("jobs: a".into())));
        assert_eq!(end(failed("a")), None);
        assert_eq!(end(failed("b")), None);
        let late = Err(RefreshError::new(ErrorReason::Timeout, "c"));
        assert_eq!(end(late), Some(LogLine::Failed("jobs: c".into())));
        assert_eq!(end(failed("a")), None);
        assert_eq!(end(jobs()), Some(LogLine::Recovered("jobs: answers again".into())));
        assert_eq!(end(jobs()), None);
    }

    #[test]
    fn a_look_that_took_too_long_stays_counted_when_it_ends() {
        let error = |reason| Err(RefreshError::new(reason, "failed"));
        for result in [pods(), error(ErrorReason::Failed), error(ErrorReason::Timeout)] {
            let mut state = State::new(SECOND, [PartKind::Pods]);
            let begin = Moment::BOOT;
            state.begin(PartKind::Pods, begin);
            let late = begin + DEADLINE + SECOND;
            assert_eq!((timeouts(&state, begin), timeouts(&state, late)), (0, 1));
            state.end(PartKind::Pods, result, late, SystemTime::UNIX_EPOCH);
            assert_eq!(timeouts(&state, late), 1);
        }
    }

    #[test]
    fn a_look_that_begins_twice_lasts_from_the_first_time() {
        let mut state = State::new(SECOND, [PartKind::Pods]);
        state.begin(PartKind::Pods, Moment::BOOT);
        state.begin(PartKind::Pods, Moment::BOOT + SECOND);
        let end = Moment::BOOT + 3 * SECOND;
        state.end(PartKind::Pods, pods(), end, SystemTime::UNIX_EPOCH);
        assert_eq!(state.view(end).refreshers[0].duration, Some(3 * SECOND));
    }

    #[test]
    fn what_a_look_skips_counts_as_an_error_of_a_refresher_that_is_up() {
        let (now, second) = (Moment::BOOT, Duration::from_secs(1));
        let mut state = State::new(second, [PartKind::Jobs]);
        let skipped = [(ErrorReason::TooLarge, 2)].into();
        let part = Part::Jobs(Arc::new(JobsPart { skipped, ..JobsPart::default() }));
        state.end(PartKind::Jobs, Ok(part), now, SystemTime::UNIX_EPOCH);
        let view = |state: &State, now| state.view(now).refreshers[0].clone();
        assert!(view(&state, now).up);
        assert_eq!(view(&state, now).errors, [("too_large", 2)].into());

        let error = RefreshError::new(ErrorReason::TooLarge, "too large");
        state.end(PartKind::Jobs, Err(error), now + second, SystemTime::UNIX_EPOCH);
        let later = view(&state, now + 9 * second);
        assert!(!later.up);
        assert_eq!(later.errors, [("too_large", 3)].into(), "the counter does not fall");
    }
}
