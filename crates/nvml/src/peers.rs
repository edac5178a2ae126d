//! How GPUs reach each other: the state of the NVLink way from one GPU to each other one.
//!
//! It takes the handles of the other GPUs, and getting one touches that GPU. So it has a reader,
//! and a thread, of its own.

use std::sync::Arc;
use std::time::Duration;

use catalog::field;
use model::{Entity, Identity, Pass, Reader, Readings, Reason, Rhythm, Watch};

use crate::call_times::{CallTimes, Function};
use crate::getters::way;
use crate::plan::{Paces, Plan};
use crate::{Code, Device, Library};

/// Reads the ways from one GPU to all others.
pub(crate) struct PeerReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    paces: Paces,
    turns: u64,
    device: Option<Device>,
    peers: Vec<Peer>,
    times: CallTimes,
    function: Function,
}

struct Peer {
    index: u32,
    device: Option<Device>,
}

impl PeerReader {
    /// `None` if nobody watches the ways to peers. There are `count` GPUs.
    pub(crate) fn new(
        library: Arc<Library>,
        index: u32,
        count: u32,
        watches: &[Watch],
    ) -> Option<Self> {
        let plan = Plan::of(watches, |field| field == field::EXP_P2P_STATUS);
        let mut paces = Paces::new();
        let (targets, turns) = plan.targets(field::EXP_P2P_STATUS, 0, &mut paces);
        if targets.is_empty() {
            return None;
        }
        let others = (0..count).filter(|other| *other != index);
        let mut times = CallTimes::default();
        let function = times.function("nvmlDeviceGetP2PStatus");
        Some(Self {
            library,
            gpu: index,
            plan,
            paces,
            turns,
            device: None,
            peers: others.map(|index| Peer { index, device: None }).collect(),
            times,
            function,
        })
    }
}

impl Reader for PeerReader {
    fn name(&self) -> &'static str {
        "peers"
    }

    fn rhythm(&self) -> Rhythm {
        Rhythm::Aside
    }

    fn watches(&self) -> Arc<[usize]> {
        Arc::clone(&self.plan.watches)
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.device = None;
        self.peers.iter_mut().for_each(|peer| peer.device = None);
        let open = || {
            let device = Device::by_index(&self.library, self.gpu)?;
            let identity = device.identity(self.gpu)?;
            Ok((device, identity))
        };
        let (device, identity) = open().map_err(|code: Code| code.reason())?;
        self.device = Some(device);
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let Self { library, paces, plan, turns, device, peers, times, function, .. } = self;
        let Some(device) = device else { return Err(Reason::Failed) };
        if *turns & paces.due(&pass) == 0 {
            return Ok(());
        }
        for slot in 0..plan.watches.len() {
            // What is known of ways is known of each; of the GPU alone there is nothing.
            let reason = if peers.is_empty() { Reason::NotSupported } else { Reason::NoData };
            out.set(slot, Err(reason));
        }
        for peer in peers {
            let handle = peer.handle(library);
            let reading = match handle.and_then(|it| times.time(*function, || way(device, it)).0) {
                Ok(reading) => reading,
                Err(code) if code.is_about_the_driver() => return Err(code.reason()),
                // Whose fault it is, each GPU's own reader finds out.
                Err(code) => {
                    peer.device = None;
                    Err(code.reason())
                }
            };
            let part = out.part(&Entity::Peer(peer.index), &plan.watches);
            for slot in 0..plan.watches.len() {
                out.set_in(part, slot, reading.clone());
            }
        }
        Ok(())
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.times.take()
    }
}

impl Peer {
    fn handle(&mut self, library: &Arc<Library>) -> Result<&Device, Code> {
        let device = match self.device.take() {
            Some(device) => device,
            None => Device::by_index(library, self.index)?,
        };
        Ok(self.device.insert(device))
    }
}
