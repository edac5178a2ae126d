//! The traits of sources: a source opens sessions, and a session creates readers.
//!
//! Calls of these traits may block as long as a driver call, possibly for ever. Therefore the sampler
//! makes each call on a thread that no other thread waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::{
    FieldId, Health, Moment, Pace, Readings, Reason, Samples, Watch, WatchIndex, XidEvent,
};

/// A way to read GPUs: the driver library, DCGM, a simulation.
pub trait Source: Send {
    /// `nvml`, `dcgm` or `sim`.
    fn name(&self) -> &'static str;

    /// Whether it can read this field on GPUs that support it.
    fn serves(&self, field: FieldId) -> bool;

    /// Whether it reports the health of GPUs ([`Reader::take_health`]).
    fn judges_health(&self) -> bool {
        false
    }

    /// The likely cause and the action for the log line when all of its GPUs are late.
    fn when_all_are_late(&self) -> Option<&'static str> {
        None
    }

    /// The machine's PCI bus, if its GPUs are on one. The sampler calls it on a separate thread.
    fn bus(&self) -> Option<Box<dyn Bus>> {
        None
    }

    /// Opens the driver, to read `watches`. May block.
    ///
    /// # Errors
    ///
    /// If the driver cannot be opened. The sampler logs the error and tries again.
    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        renew: Renew,
    ) -> Result<Box<dyn Session>, SourceError>;
}

/// Whether a new session uses the driver that earlier sessions opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renew {
    /// It uses the same driver: only the watches differ.
    Watches,
    /// It opens the driver again, even while an earlier session uses it: a driver lists only the GPUs
    /// that existed when it was opened.
    Driver,
}

/// Why a source cannot be opened now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError {
    /// One line: the attempt, the error, and an action.
    pub message: String,
    /// Whether only a restart of this process helps: the driver was replaced, and the library that
    /// this process can open does not match it.
    pub needs_restart: bool,
}

impl SourceError {
    /// An error that does not need a restart.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), needs_restart: false }
    }
}

/// The GPUs that the operating system lists, including those that the driver library does not list.
pub trait Bus: Send {
    /// The GPUs that belong to the driver and that this process may use, by PCI address. The call
    /// takes seconds at most.
    ///
    /// # Errors
    ///
    /// If the operating system does not list them.
    fn gpus(&mut self) -> std::io::Result<Vec<Identity>>;
}

/// An open source. It is closed when the session and all its readers are dropped.
pub trait Session: Send {
    /// The driver's version, if it has one.
    fn driver_version(&self) -> Option<Arc<str>>;

    /// The indexes of the GPUs that the driver lists.
    fn gpus(&self) -> Vec<u32>;

    /// New readers for one GPU: first the main one, which identifies it, then any others. Together
    /// they serve each watch that this source serves exactly once. Makes no call to the GPU.
    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>>;

    /// New readers for NVSwitches and CPUs, which belong to no GPU. Each has a part per entity; its
    /// part for the GPU itself stays empty.
    fn machine_readers(&mut self) -> Vec<Box<dyn Reader>> {
        Vec::new()
    }

    /// Whether the session is outdated, because GPUs or the driver have changed. The sampler calls it
    /// about every second; may block.
    fn outdated(&mut self) -> Option<Outdated>;
}

/// Why a session should be replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outdated {
    /// Its readers still work, but a new session would read more: a GPU was added or removed, or the
    /// library was replaced.
    Improvable(String),
    /// Its readers no longer work: the driver is gone.
    Over(String),
}

/// When the sampler calls a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReaderKind {
    /// At every tick. This reader decides whether the GPU is up.
    Main,
    /// At every tick. Its calls may be slow, and no other reader waits for it.
    Background,
    /// Again as soon as it returns: its calls wait for events, for at most about a second.
    Events,
}

/// The identity of a GPU. Values that the driver does not have are `None`: integrated GPUs have no PCI
/// address, and some virtual GPUs have no UUID.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Identity {
    /// The driver's index; `None` if the driver does not list the GPU.
    pub index: Option<u32>,
    /// `GPU-` and a UUID.
    pub uuid: Option<String>,
    /// `00000000:1A:00.0`: eight-digit domain, upper-case hex.
    pub pci_bus_id: Option<String>,
    /// The model name of the driver: `NVIDIA H100 80GB HBM3`.
    pub model_name: Option<String>,
    /// The number of the device node, as in `/dev/nvidia0`.
    pub minor: Option<u32>,
}

impl Identity {
    /// Whether both are the same GPU. Compares the first of UUID, PCI address and index that both
    /// have.
    pub fn is_same_gpu(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.uuid, &other.uuid) {
            return one == other;
        }
        if let (Some(one), Some(other)) = (&self.pci_bus_id, &other.pci_bus_id) {
            return one == other;
        }
        self.index.is_some() && self.index == other.index
    }

    /// Fills what is missing from what was `known` of the same GPU. One that is only at the same index may be
    /// another.
    pub fn complete(&mut self, known: &Self) {
        let is_equal = |own: &Option<String>, known: &Option<String>| own.is_some() && own == known;
        if !is_equal(&self.uuid, &known.uuid) && !is_equal(&self.pci_bus_id, &known.pci_bus_id) {
            return;
        }
        for (own, known) in [
            (&mut self.uuid, &known.uuid),
            (&mut self.pci_bus_id, &known.pci_bus_id),
            (&mut self.model_name, &known.model_name),
        ] {
            if own.is_none() {
                own.clone_from(known);
            }
        }
        self.minor = self.minor.or(known.minor);
    }
}

/// One pass of a reader.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// When it began.
    pub now: Moment,
    /// Time since the start of the sampler; the clock of the simulation.
    pub elapsed: Duration,
    /// `elapsed` of the previous pass; `None` if the GPU was opened for this pass.
    pub previous: Option<Duration>,
    /// The collection interval.
    pub interval: Duration,
    /// Time between passes: the shortest period of all watches, or the duration of a pass if it is
    /// longer.
    pub cadence: Duration,
}

impl Pass {
    /// Whether watches with this pace are due: whether one of their ticks, counted from the start of
    /// the sampler, has passed since the previous pass.
    pub fn is_due(&self, pace: Pace) -> bool {
        let period = pace.period(self.interval).as_nanos().max(1);
        let ticks = |elapsed: Duration| elapsed.as_nanos() / period;
        self.previous.is_none_or(|previous| ticks(previous) < ticks(self.elapsed))
    }
}

/// Reads some watches of one GPU, on its own thread.
pub trait Reader: Send {
    /// Its name among the readers of the GPU: `main`, `events`, `pcie`.
    fn name(&self) -> &'static str;

    /// When the sampler calls it.
    fn kind(&self) -> ReaderKind;

    /// The watches that it serves: slot `i` of its readings is watch `watches()[i]`.
    fn watches(&self) -> Arc<[WatchIndex]>;

    /// Opens the GPU (again), and returns its identity. The main reader always returns one. Other
    /// readers may return `None`, and must do so if indexes may shift.
    ///
    /// # Errors
    ///
    /// The reason why the GPU cannot be opened.
    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason>;

    /// Reads the watches that are due.
    ///
    /// # Errors
    ///
    /// If the GPU as a whole does not answer. The sampler then calls [`Reader::open`] until it
    /// answers.
    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason>;

    /// Whether the driver now delivers XIDs of this GPU to this reader.
    fn delivers_xids(&self) -> bool {
        false
    }

    /// The XIDs delivered since the last call, in order.
    fn take_xids(&mut self) -> Vec<XidEvent> {
        Vec::new()
    }

    /// The health of the GPU's subsystems, if the source has assessed it since the last call. It is
    /// valid until the next assessment. Without a source that reports it, the sampler derives it.
    fn take_health(&mut self) -> Option<Vec<Health>> {
        None
    }

    /// The samples that the driver has taken since the last call.
    fn take_samples(&mut self) -> Vec<Samples> {
        Vec::new()
    }

    /// Duration of each kind of driver call in the last pass that made it, by its name.
    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_compared_by_the_first_identifier_that_both_have() {
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
