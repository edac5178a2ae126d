//! PCIe traffic: each direction takes the driver 20 ms to sample, so it has a reader of its own.
//!
//! The driver also has cumulative byte counters (field values 197 and 198), which would cost
//! nothing. Its header says that they wrap and does not say at how many bits; at 32 bits a PCIe 5
//! link wraps one in 70 ms. As long as no interval is known to be safe, the sampled rate is the
//! right number.

use std::sync::Arc;
use std::time::Duration;

use model::{
    FieldId, Identity, Moment, Pass, Reader, ReaderKind, Readings, Reason, Watch, WatchIndex,
};

use crate::call_times::{CallTimes, Function};
use crate::convert::int32;
use crate::getters::PCIE_GETTERS;
use crate::main_reader::ASK_ALL;
use crate::plan::{Paces, Plan, Target, TargetPart};
use crate::{Code, Device, Library};

/// Samples one GPU's PCIe traffic.
pub(crate) struct PcieReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    paces: Paces,
    directions: Vec<Direction>,
    device: Option<Device>,
    /// When everything was last asked for, supported or not.
    asked_all: Option<Moment>,
    times: CallTimes,
    function: Function,
}

struct Direction {
    field: FieldId,
    counter: u32,
    targets: Vec<Target>,
    turns: u64,
    supported: bool,
    logged: bool,
}

impl PcieReader {
    /// `None` if nobody watches PCIe traffic.
    pub(crate) fn new(library: Arc<Library>, index: u32, watches: &[Watch]) -> Option<Self> {
        let is_mine = |field| PCIE_GETTERS.iter().any(|(of, _)| *of == field);
        let plan = Plan::of(watches, is_mine);
        let mut paces = Paces::new();
        let directions: Vec<Direction> = PCIE_GETTERS
            .iter()
            .map(|(field, counter)| {
                let (targets, turns) = plan.targets(*field, TargetPart::ITSELF, &mut paces);
                let (field, counter) = (*field, *counter);
                Direction { field, counter, targets, turns, supported: true, logged: false }
            })
            .filter(|direction| !direction.targets.is_empty())
            .collect();
        let mut times = CallTimes::default();
        let function = times.function("nvmlDeviceGetPcieThroughput");
        (!directions.is_empty()).then(|| Self {
            library,
            gpu: index,
            plan,
            paces,
            directions,
            device: None,
            asked_all: None,
            times,
            function,
        })
    }
}

impl Reader for PcieReader {
    fn name(&self) -> &'static str {
        "pcie"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Background
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        Arc::clone(&self.plan.watches)
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.device = None;
        let open = || {
            let device = Device::by_index(&self.library, self.gpu)?;
            let identity = device.identity(self.gpu)?;
            Ok((device, identity))
        };
        let (device, identity) = open().map_err(|code: Code| code.reason())?;
        self.device = Some(device);
        self.asked_all = None;
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let Some(device) = &self.device else { return Err(Reason::Failed) };
        if self.asked_all.is_none_or(|at| pass.now - at > ASK_ALL) {
            self.asked_all = Some(pass.now);
            self.directions.iter_mut().for_each(|direction| direction.supported = true);
        }
        let due = self.paces.due(&pass);
        let is_due = |direction: &&mut Direction| direction.supported && direction.turns & due != 0;
        for direction in self.directions.iter_mut().filter(is_due) {
            let sample = || device.pcie_throughput(direction.counter);
            let reading = match self.times.time(self.function, sample).0 {
                Ok(kilobytes) => int32(kilobytes),
                Err(code) if code.is_about_the_gpu() => return Err(code.reason()),
                Err(code) => Err(code.reason()),
            };
            direction.targets.iter().for_each(|target| out.set(target.slot, reading.clone()));
            direction.supported = reading != Err(Reason::NotSupported);
            if !direction.supported && !direction.logged {
                direction.logged = true;
                let name = model::catalog::by_id(direction.field).map_or("?", |row| row.name);
                tracing::info!(gpu = self.gpu, "not supported by this GPU: {name}");
            }
        }
        Ok(())
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.times.take()
    }
}
