//! PCIe traffic: each direction takes the driver 20 ms to sample, so it has a reader of its own.
//!
//! The driver also has cumulative byte counters (field values 197 and 198), which would cost
//! nothing. By its header they wrap, at a number of bits that it leaves open; at 32 bits a PCIe 5
//! link wraps one in 70 ms. As long as no interval is known to be safe, the sampled rate is the
//! right number.

use std::sync::Arc;
use std::time::Duration;

use model::{Identity, Moment, Pass, Reader, ReaderKind, Readings, Reason, Watch, WatchIndex};

use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::convert::int32;
use crate::device::Device;
use crate::fields::identity::open_gpu;
use crate::fields::{pcie, row_of, rows};
use crate::library::Library;
use crate::plan::{Paces, Plan, RETRY_UNSUPPORTED, Target, TargetPart};
use crate::row::{Call, PCIE_CALL};

/// Samples one GPU's PCIe traffic.
pub(crate) struct PcieReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    paces: Paces,
    directions: Vec<Direction>,
    device: Option<Device>,
    /// When everything was last read, supported or not.
    tried_all: Option<Moment>,
    times: CallTimes,
    function: Function,
}

struct Direction {
    counter: u32,
    target: Target,
    supported: bool,
    logged: bool,
}

impl PcieReader {
    /// `None` if no watch is on PCIe traffic.
    pub(crate) fn new(library: Arc<Library>, index: u32, watches: &[Watch]) -> Option<Self> {
        let plan = Plan::of(watches, |field| {
            matches!(row_of(field).map(|row| &row.call), Some(Call::PcieThroughput(_)))
        });
        let mut paces = Paces::new();
        let mut directions = Vec::new();
        for row in rows() {
            let Call::PcieThroughput(counter) = row.call else { continue };
            for (_, field) in row.fields.iter() {
                let target = plan.target(field, TargetPart::ITSELF, &mut paces);
                directions.extend(target.map(|target| Direction {
                    counter,
                    target,
                    supported: true,
                    logged: false,
                }));
            }
        }
        let mut times = CallTimes::default();
        let function = times.function(PCIE_CALL);
        (!directions.is_empty()).then(|| Self {
            library,
            gpu: index,
            plan,
            paces,
            directions,
            device: None,
            tried_all: None,
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
        let (device, identity) = open_gpu(&self.library, self.gpu).map_err(Code::reason)?;
        self.device = Some(device);
        self.tried_all = None;
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let Some(device) = &self.device else { return Err(Reason::Failed) };
        if self.tried_all.is_none_or(|at| pass.now - at > RETRY_UNSUPPORTED) {
            self.tried_all = Some(pass.now);
            self.directions.iter_mut().for_each(|direction| direction.supported = true);
        }
        let due = self.paces.due(&pass);
        for direction in &mut self.directions {
            if !direction.supported || !direction.target.due.is_due(due) {
                continue;
            }
            let sample = || pcie::throughput(device, direction.counter);
            let reading = match self.times.time(self.function, sample).0 {
                Ok(kilobytes) => int32(kilobytes),
                Err(code) if code.is_about_the_gpu() => return Err(code.reason()),
                Err(code) => Err(code.reason()),
            };
            let slots = direction.target.slots.iter();
            slots.for_each(|slot| out.set(*slot, reading.clone()));
            direction.supported = reading != Err(Reason::NotSupported);
            if !direction.supported && !direction.logged {
                direction.logged = true;
                let name =
                    model::catalog::by_id(direction.target.field).map_or("?", |row| row.name);
                tracing::info!(gpu = self.gpu, "not supported by this GPU: {name}");
            }
        }
        Ok(())
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.times.take()
    }
}
