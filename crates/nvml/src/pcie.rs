//! PCIe traffic: each direction takes the driver 20 ms to sample, so it has a reader of its own.
//!
//! The driver also has cumulative byte counters (field values 197 and 198), which would cost
//! nothing. Its header says that they wrap and does not say at how many bits; at 32 bits a PCIe 5
//! link wraps one in 70 ms. As long as no interval is known to be safe, the sampled rate is the
//! right number.

use std::sync::Arc;

use model::{FieldId, Identity, Pass, Reader, Readings, Reason, Rhythm, Watch};

use crate::getters::{PCIE_GETTERS, int32};
use crate::main_reader::Plan;
use crate::{Device, Library};

/// Samples one GPU's PCIe traffic.
pub(crate) struct PcieReader {
    library: Arc<Library>,
    gpu: u32,
    watches: Vec<usize>,
    directions: Vec<Direction>,
    device: Option<Device>,
}

struct Direction {
    field: FieldId,
    counter: u32,
    slots: Vec<usize>,
    supported: bool,
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
            })
            .filter(|direction| !direction.slots.is_empty())
            .collect();
        (!directions.is_empty()).then(|| Self {
            library,
            gpu: index,
            watches: plan.watches,
            directions,
            device: None,
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
        let device = Device::by_index(&self.library, self.gpu);
        self.device = Some(device.map_err(|code| code.reason())?);
        self.directions.iter_mut().for_each(|direction| direction.supported = true);
        Ok(None)
    }

    fn read(&mut self, _: Pass, out: &mut Readings) -> Result<(), Reason> {
        let Some(device) = &self.device else { return Err(Reason::Failed) };
        for direction in self.directions.iter_mut().filter(|direction| direction.supported) {
            let reading = match device.pcie_throughput(direction.counter) {
                Ok(kilobytes) => int32(kilobytes),
                Err(code) if code.is_about_the_gpu() => return Err(code.reason()),
                Err(code) => Err(code.reason()),
            };
            if reading == Err(Reason::NotSupported) {
                direction.supported = false;
                let name = catalog::by_id(direction.field).map_or("?", |row| row.name);
                tracing::info!(gpu = self.gpu, "not supported by this GPU: {name}");
            }
            direction.slots.iter().for_each(|slot| out.set(*slot, reading.clone()));
        }
        Ok(())
    }
}
