//! PCIe traffic: each direction takes the driver 20 ms to sample, so it has a reader of its own.
//!
//! The driver also has cumulative byte counters (field values 197 and 198), which would cost
//! nothing. By its header they wrap, at a number of bits that it leaves open; at 32 bits a PCIe 5
//! link wraps one in 70 ms. As long as no interval is known to be safe, the sampled rate is the
//! right number.

use std::sync::Arc;
use std::time::Duration;

use model::{
    Identity, Moment, PartIndex, Pass, Reader, ReaderKind, Readings, Reason, Watch, WatchIndex,
};

use crate::call_group::CallGroup;
use crate::code::Code;
use crate::device::Device;
use crate::fields::identity::open_gpu;
use crate::fields::{row_of, rows};
use crate::library::Library;
use crate::ordinary_calls::OrdinaryCalls;
use crate::pass::{PassContext, PassOutcome, Shared, TargetFinder};
use crate::plan::{Plan, RETRY_UNSUPPORTED, TargetPart};
use crate::row::Call;
use crate::unsupported_log::UnsupportedLog;

/// Samples one GPU's PCIe traffic.
pub(crate) struct PcieReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    shared: Shared,
    calls: OrdinaryCalls,
    device: Option<Device>,
    /// When everything was last read, supported or not.
    tried_all: Option<Moment>,
    unsupported: UnsupportedLog,
}

impl PcieReader {
    /// `None` if no watch is on PCIe traffic.
    pub(crate) fn new(library: Arc<Library>, gpu: u32, watches: &[Watch]) -> Option<Self> {
        let plan = Plan::of(watches, |field| {
            row_of(field).is_some_and(|row| matches!(row.call, Call::Pcie(_)))
        });
        if plan.watches.is_empty() {
            return None;
        }
        let (mut shared, mut calls) = (Shared::new(), OrdinaryCalls::default());
        let mut targets =
            TargetFinder { plan: &plan, part: TargetPart::ITSELF, shared: &mut shared };
        rows().for_each(|row| calls.add(row, 0, &mut targets));
        let (device, tried_all) = (None, None);
        let unsupported = UnsupportedLog::new(gpu);
        Some(Self { library, gpu, plan, shared, calls, device, tried_all, unsupported })
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
            self.calls.retry_unsupported();
        }
        // Each call is slow; none is made less often for that.
        let mut outcome = PassOutcome { gpu_is_slow: true, ..PassOutcome::default() };
        let mut pass = PassContext {
            gpu: self.gpu,
            pass,
            due: self.shared.paces.due(&pass),
            shared: &mut self.shared,
            out,
            parts: &[PartIndex::GPU],
            outcome: &mut outcome,
        };
        let result = self.calls.read(device, &mut pass).map_err(Code::reason);
        self.unsupported.log(&outcome.unsupported);
        result
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.shared.times.take()
    }
}
