//! How GPUs reach each other: the state of the NVLink way from one GPU to each other one, and all of
//! them as bits of one number.
//!
//! It takes the handles of the other GPUs, and getting one touches that GPU. So it has a reader,
//! and a thread, of its own.

use std::sync::Arc;
use std::time::Duration;

use model::field;
use model::{
    Entity, FieldId, Identity, Pass, Reader, ReaderKind, Reading, Readings, Reason, SlotIndex,
    Value, Watch, WatchIndex,
};

use crate::call_times::{CallTimes, Function};
use crate::getters::way;
use crate::plan::{Paces, Plan, Target, TargetPart};
use crate::{Code, Device, Library};

/// A bit for each peer, by its index: whether NVLink leads there.
const REACHED: FieldId = FieldId(64);

/// The fields that this reader serves.
pub(crate) const FIELDS: [FieldId; 2] = [REACHED, field::EXP_P2P_STATUS];

/// NVML's function for both.
pub(crate) const PEERS_CALL: &str = "nvmlDeviceGetP2PStatus";

/// The last peer for which a number that is not negative has a bit.
const LAST_BIT: u32 = 62;

/// Reads the ways from one GPU to all others.
pub(crate) struct PeerReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    /// What is known of each way.
    way_plan: Plan,
    /// Where the GPU itself would have the state of a way.
    ways: Vec<Target>,
    /// Where all ways together go.
    reached: Vec<Target>,
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
        let plan = Plan::of(watches, |field| FIELDS.contains(&field));
        if plan.watches.is_empty() {
            return None;
        }
        let mut paces = Paces::new();
        let (ways, ways_turns) =
            plan.targets(field::EXP_P2P_STATUS, TargetPart::ITSELF, &mut paces);
        let (reached, reached_turns) = plan.targets(REACHED, TargetPart::ITSELF, &mut paces);
        let others = (0..count).filter(|other| *other != index);
        let mut times = CallTimes::default();
        let function = times.function(PEERS_CALL);
        Some(Self {
            library,
            gpu: index,
            way_plan: Plan::of(watches, |field| field == field::EXP_P2P_STATUS),
            plan,
            ways,
            reached,
            paces,
            turns: ways_turns | reached_turns,
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

    fn kind(&self) -> ReaderKind {
        ReaderKind::Background
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
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
        let Self { library, paces, way_plan, turns, device, peers, times, function, .. } = self;
        let Some(device) = device else { return Err(Reason::Failed) };
        if *turns & paces.due(&pass) == 0 {
            return Ok(());
        }
        for target in &self.ways {
            // What is known of ways is known of each; of the GPU alone there is nothing.
            let reason = if peers.is_empty() { Reason::NotSupported } else { Reason::NoData };
            out.set(target.slot, Err(reason));
        }
        let mut reached = Ok(0);
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
            reached = reached.and_then(|bits| with_peer(bits, peer.index, &reading));
            if way_plan.watches.is_empty() {
                continue;
            }
            let part = out.part(&Entity::Peer(peer.index), &way_plan.watches);
            for slot in SlotIndex::all(way_plan.watches.len()) {
                out.set_in(part, slot, reading.clone());
            }
        }
        let reached = reached.map(Value::Int);
        self.reached.iter().for_each(|target| out.set(target.slot, reached.clone()));
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

/// The bits of peers with that of one more. A way of which nothing is known leaves nothing known of
/// the whole.
fn with_peer(bits: i64, peer: u32, way: &Reading) -> Result<i64, Reason> {
    if peer > LAST_BIT {
        return Err(Reason::NotSupported);
    }
    match way {
        Ok(Value::Int(0)) => Ok(bits | 1 << peer),
        Ok(_) => Ok(bits),
        Err(reason) => Err(*reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_set_where_nvlink_leads_to_the_peer() {
        let ways = |ways: &[(u32, Reading)]| {
            let mut ways = ways.iter();
            ways.try_fold(0, |bits, (peer, way)| with_peer(bits, *peer, way))
        };
        let status = |status| Ok(Value::Int(status));
        assert_eq!(ways(&[]), Ok(0));
        assert_eq!(ways(&[(0, status(0)), (2, status(5)), (3, status(0))]), Ok(0b1001));
        assert_eq!(ways(&[(62, status(0)), (0, status(6))]), Ok(1 << 62));
        assert_eq!(ways(&[(0, status(0)), (63, status(5))]), Err(Reason::NotSupported));
        let lost = Err(Reason::Lost);
        assert_eq!(ways(&[(0, status(0)), (1, lost.clone()), (2, status(0))]), lost.map(|_| 0));
    }
}
