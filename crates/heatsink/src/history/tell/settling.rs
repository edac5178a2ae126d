//! When which incident is told: once it has settled, and again when it is closed.

use std::collections::BTreeMap;
use std::time::Duration;

use history::incident::Incident;
use history::time::Time;

use super::alert::{Labels, News};

/// How long an incident is open before it is told, on the clock of the recording. Triggers of the same cause
/// come within five seconds, and the verdict follows from all of them.
const SETTLE: Duration = Duration::from_secs(10);

/// The most incidents that are known to be open. More are not told.
const MOST_OPEN: usize = 64;

/// Follows incidents until they are closed.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Incidents that are not told yet, and since when they are known.
    waiting: Vec<(Incident, Time)>,
    /// The labels of those that were told and are open.
    told: BTreeMap<u64, Labels>,
}

impl Settling {
    /// Takes the newest states of incidents; `now` is on the clock of the recording. Returns what is to be
    /// told.
    pub(super) fn observe(&mut self, now: Time, incidents: &[Incident]) -> Vec<News> {
        let mut news = Vec::new();
        for incident in incidents {
            let waiting = self.waiting.iter_mut().find(|(one, _)| one.number == incident.number);
            if let Some((known, _)) = waiting {
                known.clone_from(incident);
            } else if let Some(labels) = self.told.get(&incident.number).cloned() {
                if incident.is_closed {
                    self.told.remove(&incident.number);
                    news.push(News { incident: incident.clone(), labels, is_closed: true });
                }
            } else if self.waiting.len() + self.told.len() < MOST_OPEN {
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
            let opened = News { incident, labels, is_closed: false };
            if opened.incident.is_closed {
                news.push(opened.clone());
                news.push(News { is_closed: true, ..opened });
            } else {
                self.told.insert(opened.incident.number, opened.labels.clone());
                news.push(opened);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::tests::incident;
    use super::*;

    fn told(settling: &mut Settling, seconds: i64, incidents: &[Incident]) -> Vec<(u64, bool)> {
        let news = settling.observe(Time(seconds * 1000), incidents);
        news.into_iter().map(|news| (news.incident.number, news.is_closed)).collect()
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
    fn the_newest_state_is_told_with_the_labels_of_when_it_was_told() {
        let mut settling = Settling::default();
        settling.observe(Time(0), &[incident(1)]);
        let mut later = incident(1);
        later.verdict.cause = "Better known now.".to_owned();
        settling.observe(Time(4_000), &[later.clone()]);
        let opened = settling.observe(Time(10_000), &[]).remove(0);
        assert_eq!(opened.incident, later);
        later.gpus.push(later.gpus[0].clone());
        later.signs.clear();
        later.is_closed = true;
        let ended = settling.observe(Time(200_000), &[later]).remove(0);
        assert_eq!(ended.labels, opened.labels);
    }

    #[test]
    fn one_that_is_closed_before_it_settles_is_told_twice_at_once() {
        let mut settling = Settling::default();
        assert_eq!(told(&mut settling, 5, &[closed(7)]), [(7, false), (7, true)]);
        assert!(settling.told.is_empty() && settling.waiting.is_empty());
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
        settling.observe(Time(0), &many);
        assert_eq!(settling.observe(Time(10_000), &many).len(), MOST_OPEN);
        assert_eq!(settling.observe(Time(90_000), &many).len(), 0);
    }
}
