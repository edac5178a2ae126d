//! PCIe traffic: each direction takes the driver 20 ms to sample, so it has a reader of its own.
//!
//! The driver also has cumulative byte counters (field values 197 and 198), which would cost
//! nothing. Its header says that they wrap and does not say at how many bits; at 32 bits a PCIe 5
//! link wraps one in 70 ms. As long as no interval is known to be safe, the sampled rate is the
//! right number.

use std::sync::Arc;
use std::time::Instant;

use model::{FieldId, Identity, Pass, Reader, Readings, Reason, Rhythm, Watch};

use crate::getters::{PCIE_GETTERS, int32};
use crate::main_reader::{ASK_ALL, Plan};
use crate::{Code, Device, Library};

/// Samples one GPU's PCIe traffic.
pub(crate) struct PcieReader {
    library: Arc<Library>,
    gpu: u32,
    watches: Vec<usize>,
    directions: Vec<Direction>,
    device: Option<Device>,
    /// When everything was last asked for, supported or not.
    asked_all: Option<Instant>,
}

struct Direction {
    field: FieldId,
    counter: u32,
    slots: Vec<usize>,
    supported: bool,
    logged: bool,
}

impl PcieReader {
    /// `None` if nobody watches PCIe traffic.
    pub(crate) fn new(library: Arc<Library>, index: u32, watches: &[Watch]) -> Option<Self> {
        let mut plan = Plan::default();
        let directions: Vec<Direction> = PCIE_GETTERS
            .iter()
            .map(|(field, counter)| Direction {
                field: *field,
                counter: *counter,
                slots: plan.slots(watches, *field).0,
                supported: true,
                logged: false,
            })
            .filter(|direction| !direction.slots.is_empty())
            .collect();
        (!directions.is_empty()).then(|| Self {
            library,
            gpu: index,
            watches: plan.watches,
            directions,
            device: None,
            asked_all: None,
        })
    }
}

impl Reader for PcieReader {
    fn rhythm(&self) -> Rhythm {
        Rhythm::Aside
    }

    fn watches(&self) -> &[usize] {
        &self.watches
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
        for direction in self.directions.iter_mut().filter(|direction| direction.supported) {
            let reading = match device.pcie_throughput(direction.counter) {
                Ok(kilobytes) => int32(kilobytes),
                Err(code) if code.is_about_the_gpu() => return Err(code.reason()),
                Err(code) => Err(code.reason()),
            };
            direction.slots.iter().for_each(|slot| out.set(*slot, reading.clone()));
            direction.supported = reading != Err(Reason::NotSupported);
            if !direction.supported && !direction.logged {
                direction.logged = true;
                let name = catalog::by_id(direction.field).map_or("?", |row| row.name);
                tracing::info!(gpu = self.gpu, "not supported by this GPU: {name}");
            }
        }
        Ok(())
    }
}
