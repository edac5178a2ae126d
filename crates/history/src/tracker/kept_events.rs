//! The events of an incident, with a bound.

use std::collections::{BTreeSet, HashSet};

use crate::event::{Event, HolderInfo, What};
use crate::time::Time;

/// Events of one incident.
pub(crate) const MOST_EVENTS: usize = 512;
/// At most as many are left out at once, so that a flood costs little.
const ROOM: usize = 32;

/// The events of an incident.
#[derive(Clone, Default, Debug)]
pub(crate) struct KeptEvents {
    events: Vec<Event>,
    /// How many were left out.
    left_out: u64,
}

impl KeptEvents {
    /// Adds an event. `triggers` are the times of the triggers, whose events are left out last.
    pub(crate) fn add<I: Iterator<Item = Time>>(
        &mut self,
        event: &Event,
        triggers: impl Fn() -> I,
    ) {
        if self.events.len() >= MOST_EVENTS {
            self.make_room(&triggers().collect());
        }
        self.events.push(event.clone());
    }

    /// Those until a time, in order.
    pub(crate) fn until(&self, end: Time) -> Vec<Event> {
        let mut events: Vec<_> =
            self.events.iter().filter(|event| event.time <= end).cloned().collect();
        events.sort_by_key(|event| event.time);
        events
    }

    /// How many were left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Leaves out the oldest events that later ones repeat; if there is none, the oldest ones.
    fn make_room(&mut self, triggers: &BTreeSet<Time>) {
        let mut later = HashSet::new();
        let mut ranks: Vec<_> = Vec::with_capacity(self.events.len());
        for (position, event) in self.events.iter().enumerate().rev() {
            let is_repeated = Repeatable::of(event).is_some_and(|what| !later.insert(what));
            ranks.push((triggers.contains(&event.time), !is_repeated, position));
        }
        ranks.sort_unstable();
        let first = ranks.first().map(|(is_of_trigger, is_last, _)| (*is_of_trigger, *is_last));
        let is_equal = |(is_of_trigger, is_last, _): &&(bool, bool, usize)| {
            first == Some((*is_of_trigger, *is_last))
        };
        let out: HashSet<usize> =
            ranks.iter().take_while(is_equal).take(ROOM).map(|(.., position)| *position).collect();
        let mut position = 0;
        self.events.retain(|_| {
            position += 1;
            !out.contains(&(position - 1))
        });
        self.left_out = self.left_out.saturating_add(out.len() as u64);
    }
}

/// What is the same in events that repeat each other: the GPU, and what happens to it.
#[derive(PartialEq, Eq, Hash)]
struct Repeatable<'a> {
    gpu: Option<(Option<&'a str>, Option<u32>)>,
    kind: Kind<'a>,
}

#[derive(PartialEq, Eq, Hash)]
enum Kind<'a> {
    Xid(u32, Option<u32>),
    DriverLine(&'a str),
    OomKill(Option<&'a str>, Option<&'a str>),
    GpuDown(&'a str),
    GpuUp,
    HolderGoesOn(&'a HolderInfo),
}

impl<'a> Repeatable<'a> {
    /// `None` of what is rare, or says when something began or ended.
    fn of(event: &'a Event) -> Option<Self> {
        let kind = match &event.what {
            What::Xid { code, link, .. } => Kind::Xid(*code, *link),
            What::DriverLine { line } => Kind::DriverLine(line),
            What::OomKill { process, limited_cgroup, .. } => {
                Kind::OomKill(limited_cgroup.as_deref(), process.name.as_deref())
            }
            What::GpuDown { reason } => Kind::GpuDown(reason),
            What::GpuUp => Kind::GpuUp,
            What::HolderGoesOn { holder } => Kind::HolderGoesOn(holder),
            What::Started { .. }
            | What::Stopped
            | What::ClockSet { .. }
            | What::SourceDown { .. }
            | What::SourceUp { .. }
            | What::HolderBegan { .. }
            | What::HolderEnded { .. } => return None,
        };
        let gpu = event.gpu.as_ref();
        let gpu = gpu.map(|gpu| (gpu.uuid.as_deref().or(gpu.pci_bus_id.as_deref()), gpu.index));
        Some(Self { gpu, kind })
    }
}
