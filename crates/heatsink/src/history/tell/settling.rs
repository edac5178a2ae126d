//! When which incident is told: once it has settled, and again when it is closed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use history::incident::Incident;
use history::time::Time;

use super::alert::{Labels, News};

/// How long an incident is open before it is told, on the clock of the recording. Triggers of the same cause
/// come within five seconds, and the verdict follows from all of them.
const SETTLE: Duration = Duration::from_secs(10);

/// The most incidents that are followed. More are not told; one that is over and goes on makes room, and is
/// then never told to be over.
const MOST_OPEN: usize = 64;

/// The most incidents that are known to be told for the last time. One that was closed may change for half an
/// hour, in which at most 128 begin.
const MOST_FINISHED: usize = 256;

/// Follows incidents until they are over.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Incidents that are not told yet, and since when they are known.
    waiting: Vec<(Incident, Time)>,
    /// Those that were told.
    told: BTreeMap<u64, Told>,
    /// The last ones of which nothing more is told.
    finished: VecDeque<u64>,
}

/// An incident that was told.
#[derive(Debug)]
struct Told {
    labels: Labels,
    /// As it was when nothing joined it any more, once that is so.
    closed: Option<Incident>,
}

impl Settling {
    /// Takes the newest states of incidents; `now` is on the clock of the recording. Returns what is to be
    /// told: that an incident is over only once its condition is.
    pub(super) fn observe(
        &mut self,
        now: Time,
        incidents: &[Incident],
        goes_on: impl Fn(&Incident) -> bool,
    ) -> Vec<News> {
        let mut news = Vec::new();
        for incident in incidents {
            let waiting = self.waiting.iter_mut().find(|(one, _)| one.number == incident.number);
            if let Some((known, _)) = waiting {
                known.clone_from(incident);
            } else if let Some(told) = self.told.get_mut(&incident.number) {
                told.closed = incident.is_closed.then(|| incident.clone());
            } else if !self.finished.contains(&incident.number) && self.has_room() {
                self.waiting.push((incident.clone(), now));
            }
        }
        for (_, since) in &mut self.waiting {
            // The clock may be set back.
            *since = now.min(*since);
        }
        let is_settled = |(incident, since): &mut (Incident, Time)| {
            incident.is_closed || now.since(*since) >= SETTLE
        };
        for (incident, _) in self.waiting.extract_if(.., is_settled) {
            let labels = Labels::of(&incident);
            let closed = incident.is_closed.then(|| incident.clone());
            self.told.insert(incident.number, Told { labels: labels.clone(), closed });
            news.push(News { incident, labels, ended: None });
        }
        self.told.retain(|number, told| {
            let Some(incident) = told.closed.take_if(|incident| !goes_on(incident)) else {
                return true;
            };
            // It may have gone on for long since nothing joined it.
            let ended = Some(now.max(incident.window.to));
            news.push(News { incident, labels: std::mem::take(&mut told.labels), ended });
            self.finished.push_back(*number);
            false
        });
        self.finished.drain(..self.finished.len().saturating_sub(MOST_FINISHED));
        news
    }

    /// Whether an incident is not over.
    pub(super) fn is_following(&self) -> bool {
        !self.waiting.is_empty() || !self.told.is_empty()
    }

    /// Whether one more can be followed; gives up the first that goes on.
    fn has_room(&mut self) -> bool {
        if self.waiting.len() + self.told.len() < MOST_OPEN {
            return true;
        }
        let going_on = self.told.iter().find(|(_, told)| told.closed.is_some());
        let number = going_on.map(|(number, _)| *number);
        self.finished.extend(number);
        number.is_some_and(|number| self.told.remove(&number).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::tests::incident;
    use super::*;

    fn told(settling: &mut Settling, seconds: i64, incidents: &[Incident]) -> Vec<(u64, bool)> {
        let news = settling.observe(Time(seconds * 1000), incidents, |_| false);
        news.into_iter().map(|news| (news.incident.number, news.ended.is_some())).collect()
    }

    /// The condition of no incident goes on.
    fn over(_: &Incident) -> bool {
        false
    }

    fn closed(number: u64) -> Incident {
        Incident { is_closed: true, ..incident(number) }
    }

    #[test]
    fn an_incident_is_told_once_it_has_settled_and_again_when_it_is_closed() {
        let mut settling = Settling::default();
        assert_eq!(told(&mut settling, 100, &[incident(1)]), []);
        assert_eq!(told(&mut settling, 104, &[incident(1), incident(2)]), []);
        assert_eq!(told(&mut settling, 109, &[]), []);
        assert_eq!(told(&mut settling, 110, &[]), [(1, false)]);
        assert_eq!(told(&mut settling, 111, &[incident(1)]), [], "it is told once");
        assert_eq!(told(&mut settling, 120, &[]), [(2, false)]);
        assert_eq!(told(&mut settling, 230, &[closed(1)]), [(1, true)]);
        assert_eq!(told(&mut settling, 240, &[closed(2)]), [(2, true)]);
        assert_eq!(told(&mut settling, 900, &[]), []);
    }

    #[test]
    fn one_that_goes_on_is_not_over_though_nothing_joins_it() {
        let mut settling = Settling::default();
        settling.observe(Time(0), &[incident(1)], over);
        assert_eq!(settling.observe(Time(10_000), &[], |_| true).len(), 1);
        let began = closed(1).began;
        assert_eq!(settling.observe(Time(130_000), &[closed(1)], |_| true), []);
        assert_eq!(settling.observe(began.after(SETTLE * 1000), &[], |_| true), []);
        let end = began.after(SETTLE * 2000);
        let ended = settling.observe(end, &[], over).remove(0);
        assert_eq!((ended.incident.number, ended.ended), (1, Some(end)));
    }

    #[test]
    fn those_that_go_on_for_ever_make_room() {
        let mut settling = Settling::default();
        let many: Vec<Incident> = (1..=64).map(closed).collect();
        assert_eq!(settling.observe(Time(0), &many, |_| true).len(), MOST_OPEN);
        assert_eq!(settling.observe(Time(0), &[closed(65)], |_| true).len(), 1);
        assert_eq!(settling.told.len(), MOST_OPEN);
        assert!(!settling.told.contains_key(&1));
        assert_eq!(settling.observe(Time(0), &[closed(1)], |_| true), [], "it is told once");
    }

    #[test]
    fn the_newest_state_is_told_with_the_labels_of_when_it_was_told() {
        let mut settling = Settling::default();
        settling.observe(Time(0), &[incident(1)], over);
        let mut later = incident(1);
        later.verdict.cause = "Better known now.".to_owned();
        settling.observe(Time(4_000), &[later.clone()], over);
        let opened = settling.observe(Time(10_000), &[], over).remove(0);
        assert_eq!(opened.incident, later);
        later.gpus.push(later.gpus[0].clone());
        later.signs.clear();
        later.is_closed = true;
        let ended = settling.observe(Time(200_000), &[later], over).remove(0);
        assert_eq!(ended.labels, opened.labels);
    }

    #[test]
    fn one_that_is_closed_before_it_settles_is_told_twice_at_once() {
        let mut settling = Settling::default();
        assert_eq!(told(&mut settling, 5, &[closed(7)]), [(7, false), (7, true)]);
        assert!(settling.told.is_empty() && settling.waiting.is_empty());
    }

    /// What follows from a closed incident joins it, and it is counted on.
    #[test]
    fn one_that_changes_after_it_was_over_is_not_told_again() {
        let mut settling = Settling::default();
        assert_eq!(told(&mut settling, 5, &[closed(7)]), [(7, false), (7, true)]);
        let mut later = closed(7);
        later.last.0 += 600_000;
        assert_eq!(told(&mut settling, 600, &[later]), []);
        assert_eq!(told(&mut settling, 700, &[]), []);
        for number in 8..2000 {
            settling.observe(Time(0), &[closed(number)], over);
        }
        assert_eq!(settling.finished.len(), MOST_FINISHED);
    }

    #[test]
    fn a_clock_that_is_set_back_or_forward_delays_nothing() {
        let mut settling = Settling::default();
        assert_eq!(told(&mut settling, 100_000, &[incident(1)]), []);
        assert_eq!(told(&mut settling, 100, &[]), []);
        assert_eq!(told(&mut settling, 110, &[]), [(1, false)]);
    }

    #[test]
    fn the_number_of_open_incidents_is_bounded() {
        let mut settling = Settling::default();
        let many: Vec<Incident> = (1..=500).map(incident).collect();
        settling.observe(Time(0), &many, over);
        assert_eq!(settling.observe(Time(10_000), &many, over).len(), MOST_OPEN);
        assert_eq!(settling.observe(Time(90_000), &many, over).len(), 0);
    }
}
