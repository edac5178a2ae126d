//! How readings come in: a source opens a session, a session hands out readers.
//!
//! Calls on these traits may block for as long as a driver does, even for ever. The sampler
//! therefore makes each of them on a thread that nothing else waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    FieldId, Health, Moment, Pace, Readings, Reason, Samples, Watch, WatchIndex, XidEvent,
};

/// A way to read GPUs: the driver library, DCGM, a simulation.
pub trait Source: Send {
    /// `nvml`, `dcgm` or `sim`.
    fn name(&self) -> &'static str;

    /// Whether it has a way to read this field at all, on GPUs that support it.
    fn serves(&self, field: FieldId) -> bool;

    /// Whether it judges by itself how GPUs are ([`Reader::take_health`]).
    fn judges_health(&self) -> bool {
        false
    }

    /// What to say when none of its GPUs answers in time, beside that: what is likely, and what to do.
    fn when_all_are_late(&self) -> Option<&'static str> {
        None
    }

    /// The machine's PCI bus, where its GPUs are on one. The sampler looks at it on a thread of its
    /// own.
    fn bus(&self) -> Option<Box<dyn Bus>> {
        None
    }

    /// Opens the driver, to read `watches`. May block.
    ///
    /// # Errors
    ///
    /// When there is nothing to read from now; the sampler says so and tries again.
    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        renew: Renew,
    ) -> Result<Box<dyn Session>, SourceError>;
}

/// What becomes of the driver that earlier sessions opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renew {
    /// It is used again: only what is read is different.
    Watches,
    /// It is opened once more, even while an earlier session is in use: it knows only the GPUs that
    /// were there when it was opened.
    Driver,
}

/// Why a source cannot be opened now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError {
    /// One line: what was tried, what came back, what to do.
    pub message: String,
    /// Whether a restart of this process, and nothing that it can do itself, would help: the driver
    /// was replaced, and what this process can open does not fit the new one.
    pub needs_restart: bool,
}

impl SourceError {
    /// One that goes away without a restart.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), needs_restart: false }
    }
}

/// The GPUs that the operating system knows of, whether the driver's library lists them or not.
pub trait Bus: Send {
    /// The GPUs that belong to the driver and that this process may use, by PCI address. An answer
    /// takes seconds at most.
    ///
    /// # Errors
    ///
    /// When the operating system does not say.
    fn gpus(&mut self) -> std::io::Result<Vec<Identity>>;
}

/// An open source. Dropping it closes it, once every reader of it is gone.
pub trait Session: Send {
    /// The driver's version, if it has one.
    fn driver_version(&self) -> Option<Arc<str>>;

    /// The indexes of the GPUs that the driver lists.
    fn gpus(&self) -> Vec<u32>;

    /// New readers for one GPU: first the main one, which identifies it, then any others. Together
    /// they serve each watch that this source knows exactly once. Does not touch the GPU.
    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>>;

    /// New readers for what belongs to no GPU: NVSwitches and CPUs. Their parts are the entities;
    /// the part of the GPU itself stays empty.
    fn machine_readers(&mut self) -> Vec<Box<dyn Reader>> {
        Vec::new()
    }

    /// Whether the world has changed so that this session no longer fits it. Asked every second or
    /// so; may block.
    fn outdated(&mut self) -> Option<Outdated>;
}

/// Why a session should be replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outdated {
    /// Its readers still read what they did; a new session would read more: a GPU came or went, the
    /// library was replaced.
    Improvable(String),
    /// Its readers read nothing more: the driver is gone.
    Over(String),
}

/// When the sampler calls a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReaderKind {
    /// At every tick. This reader decides whether the GPU is up.
    Main,
    /// At every tick. Its calls may be slow, and nothing waits for it.
    Background,
    /// Again as soon as it returns: its calls wait for events, for about a second at most.
    Events,
}

/// What a GPU is. What the driver does not say is absent: integrated GPUs have no PCI address, some
/// virtual ones no UUID.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Identity {
    /// The driver's index; none if the driver does not list the GPU.
    pub index: Option<u32>,
    /// `GPU-` and a UUID.
    pub uuid: Option<String>,
    /// `00000000:1A:00.0`: eight-digit domain, upper-case hex.
    pub pci_bus_id: Option<String>,
    /// As the driver says: `NVIDIA H100 80GB HBM3`.
    pub model_name: Option<String>,
}

impl Identity {
    /// Whether both are the same GPU: by UUID, else by PCI address, else by index, whichever is known
    /// of both.
    pub fn is_same_gpu(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.uuid, &other.uuid) {
            return one == other;
        }
        if let (Some(one), Some(other)) = (&self.pci_bus_id, &other.pci_bus_id) {
            return one == other;
        }
        self.index.is_some() && self.index == other.index
    }
}

/// One pass of a reader.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// When it began.
    pub now: Moment,
    /// How long the sampler has been running: the simulation's clock.
    pub elapsed: Duration,
    /// What `elapsed` was at the pass before; none if the GPU was opened for this one.
    pub previous: Option<Duration>,
    /// The collection interval.
    pub interval: Duration,
    /// From one pass to the next: the shortest period of all watches, or, where passes take longer,
    /// what they take.
    pub cadence: Duration,
}

impl Pass {
    /// Whether what is read at this pace is due: whether one of its ticks, which are counted from
    /// the sampler's start, has come since the pass before.
    pub fn is_due(&self, pace: Pace) -> bool {
        let period = pace.period(self.interval).as_nanos().max(1);
        let ticks = |elapsed: Duration| elapsed.as_nanos() / period;
        self.previous.is_none_or(|previous| ticks(previous) < ticks(self.elapsed))
    }
}

/// Reads some of one GPU's watches, on a thread of its own.
pub trait Reader: Send {
    /// What it is called among the readers of its GPU: `main`, `events`, `pcie`.
    fn name(&self) -> &'static str;

    /// When the sampler calls it.
    fn kind(&self) -> ReaderKind;

    /// The watches that it serves: slot `i` of its readings is watch `watches()[i]`.
    fn watches(&self) -> Arc<[WatchIndex]>;

    /// Opens the GPU, again if it was open, and says which GPU it is. The main reader always says
    /// it; another reader may return `None`, and must where indexes may shift.
    ///
    /// # Errors
    ///
    /// The reason why the GPU cannot be had now.
    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason>;

    /// Reads what is due.
    ///
    /// # Errors
    ///
    /// When the GPU as a whole does not answer; the sampler then calls [`Reader::open`] until it
    /// does.
    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason>;

    /// Whether the driver now delivers XIDs of this GPU to this reader.
    fn delivers_xids(&self) -> bool {
        false
    }

    /// The XIDs that were delivered since this was last asked, in their order.
    fn take_xids(&mut self) -> Vec<XidEvent> {
        Vec::new()
    }

    /// How the GPU's subsystems are, where the driver judges that itself and did so just now. What it
    /// judged lately is good until the next time; a source that never says leaves it to the sampler.
    fn take_health(&mut self) -> Option<Vec<Health>> {
        None
    }

    /// What the driver sampled by itself since this was last asked.
    fn take_samples(&mut self) -> Vec<Samples> {
        Vec::new()
    }

    /// How long each kind of driver call took in the last pass that made it, by the call's name.
    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_known_by_the_best_that_both_have() {
        let text = |text: &str| Some(text.to_owned());
        let full =
            Identity { index: Some(0), uuid: text("GPU-a"), pci_bus_id: text("A"), ..none() };
        assert!(full.is_same_gpu(&Identity {
            index: Some(3),
            pci_bus_id: text("B"),
            ..full.clone()
        }));
        assert!(!full.is_same_gpu(&Identity { uuid: text("GPU-b"), ..full.clone() }));
        assert!(full.is_same_gpu(&Identity { uuid: None, index: Some(3), ..full.clone() }));
        assert!(!full.is_same_gpu(&Identity { uuid: None, pci_bus_id: text("B"), ..full.clone() }));
        assert!(full.is_same_gpu(&Identity { index: Some(0), ..none() }));
        assert!(!none().is_same_gpu(&none()));
    }

    fn none() -> Identity {
        Identity::default()
    }

    #[test]
    fn a_pace_is_due_once_in_each_of_its_periods() {
        let now = Moment::now();
        let pass = |previous: u64, elapsed: u64| Pass {
            now,
            elapsed: Duration::from_millis(elapsed),
            previous: Some(Duration::from_millis(previous)),
            interval: Duration::from_secs(3),
            cadence: Duration::from_secs(1),
        };
        // Passes a second apart, each a little late.
        let due: Vec<u64> = (1..=12)
            .filter(|second| pass((second - 1) * 1000 + 7, second * 1000 + 3).is_due(Pace::Every))
            .collect();
        assert_eq!(due, [3, 6, 9, 12]);
        assert!(pass(9_007, 10_003).is_due(Pace::Slow));
        assert!(!pass(8_007, 9_003).is_due(Pace::Slow));
        assert!(pass(9_007, 10_003).is_due(Pace::At(Duration::from_millis(100))));
        assert!(Pass { previous: None, ..pass(1, 2) }.is_due(Pace::Slow));
    }
}
