//! The newest incidents, as many as fit.

use std::sync::Arc;

use crate::incident::Incident;

/// How many are kept, and how many bytes of them, as JSON.
const MOST: usize = 100;
const BYTES: usize = 1 << 20;

/// The newest incidents, in the order of their numbers. With a directory, older ones are read from there.
#[derive(Default, Debug)]
pub(crate) struct Incidents {
    /// With their sizes.
    kept: Vec<(Arc<Incident>, usize)>,
}

impl Incidents {
    /// Keeps the newest state of an incident. Returns how many others went: closed ones first, then the oldest.
    pub(crate) fn put(&mut self, incident: Arc<Incident>) -> u64 {
        let number = incident.number;
        let entry = (Arc::clone(&incident), incident.size());
        let at = self.kept.partition_point(|(other, _)| other.number < number);
        match self.kept.get_mut(at).filter(|(other, _)| other.number == number) {
            Some(older) => *older = entry,
            None => self.kept.insert(at, entry),
        }
        let mut dropped = 0;
        let mut bytes: usize = self.kept.iter().map(|(_, size)| size).sum();
        while self.kept.len() > 1 && (self.kept.len() > MOST || bytes > BYTES) {
            let others = || self.kept.iter().map(|(other, _)| other);
            let is_other = |other: &Arc<Incident>| other.number != number;
            let oldest = others()
                .position(|other| is_other(other) && other.is_closed)
                .or_else(|| others().position(is_other));
            let Some(oldest) = oldest else { break };
            let (_, size) = self.kept.remove(oldest);
            bytes -= size;
            dropped += 1;
        }
        dropped
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.kept.iter().map(|(incident, _)| incident)
    }

    /// Removes one.
    pub(crate) fn remove(&mut self, number: u64) {
        self.kept.retain(|(incident, _)| incident.number != number);
    }
}
