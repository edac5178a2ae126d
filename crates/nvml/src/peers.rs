//! NVLink connections from one GPU to each other one: the state of each, and all as bits of a number.
//!
//! It takes the handles of the other GPUs, and getting one touches that GPU. So it has a reader,
//! and a thread, of its own.

use std::sync::Arc;
use std::time::Duration;

use model::field;
use model::{
    Entity, Identity, Pass, Reader, ReaderKind, Reading, Readings, Reason, SlotIndex, Value, Watch,
    WatchIndex,
};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::convert::int;
use crate::device::Device;
use crate::fields::identity::open_gpu;
use crate::fields::links::PEERS_CONNECTED;
use crate::fields::row_of;
use crate::library::Library;
use crate::plan::{Paces, Plan, Target, TargetPart};
use crate::row::{Call, PEERS_CALL};

/// The last peer for which a number that is not negative has a bit.
const LAST_BIT: u32 = 62;

/// Reads the connections from one GPU to all others.
pub(crate) struct PeerReader {
    library: Arc<Library>,
    gpu: u32,
    plan: Plan,
    /// The watches on single connections.
    connection_plan: Plan,
    /// The target of connection states in the GPU's own part, which never has one.
    connections: Option<Target>,
    /// The target of the bits of all connections.
    connected: Option<Target>,
    paces: Paces,
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
    /// `None` if no watch is on the connections to peers. There are `count` GPUs.
    pub(crate) fn new(
        library: Arc<Library>,
        index: u32,
        count: u32,
        watches: &[Watch],
    ) -> Option<Self> {
        let plan = Plan::of(watches, |field| {
            matches!(row_of(field).map(|row| &row.call), Some(Call::Peers))
        });
        if plan.watches.is_empty() {
            return None;
        }
        let mut paces = Paces::new();
        let mut target = |field| plan.target(field, TargetPart::ITSELF, &mut paces);
        let (connections, connected) = (target(field::EXP_P2P_STATUS), target(PEERS_CONNECTED));
        let others = (0..count).filter(|other| *other != index);
        let mut times = CallTimes::default();
        let function = times.function(PEERS_CALL);
        Some(Self {
            library,
            gpu: index,
            connection_plan: Plan::of(watches, |field| field == field::EXP_P2P_STATUS),
            plan,
            connections,
            connected,
            paces,
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
        let (device, identity) = open_gpu(&self.library, self.gpu).map_err(Code::reason)?;
        self.device = Some(device);
        Ok(Some(Arc::new(identity)))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let Self { library, paces, connection_plan, device, peers, times, function, .. } = self;
        let Some(device) = device else { return Err(Reason::Failed) };
        let due = paces.due(&pass);
        let targets = [&self.connections, &self.connected];
        if !targets.into_iter().flatten().any(|target| target.due.is_due(due)) {
            return Ok(());
        }
        let write = |target: &Option<Target>, reading: Reading, out: &mut Readings| {
            let slots = target.iter().flat_map(|target| &target.slots);
            slots.for_each(|slot| out.set(*slot, reading.clone()));
        };
        // The state is that of each connection; the GPU alone has none.
        let reason = if peers.is_empty() { Reason::NotSupported } else { Reason::NoData };
        write(&self.connections, Err(reason), out);
        let mut connected = Ok(0);
        for peer in peers {
            let handle = peer.handle(library);
            let call = |peer| times.time(*function, || connection(device, peer)).0;
            let reading = match handle.and_then(call) {
                Ok(reading) => reading,
                Err(code) if code.is_about_the_driver() => return Err(code.reason()),
                // Each GPU's own reader finds out which of the two fails.
                Err(code) => {
                    peer.device = None;
                    Err(code.reason())
                }
            };
            connected = connected.and_then(|bits| with_peer(bits, peer.index, &reading));
            if connection_plan.watches.is_empty() {
                continue;
            }
            let part = out.part(&Entity::Peer(peer.index), &connection_plan.watches);
            for slot in SlotIndex::all(connection_plan.watches.len()) {
                out.set_in(part, slot, reading.clone());
            }
        }
        write(&self.connected, connected.map(Value::Int), out);
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

/// The state of the connection from one GPU to another.
fn connection(gpu: &Device, peer: &Device) -> Result<Reading, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetP2PStatus)?;
    let nvlink = sys::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK;
    let mut status = 0;
    // SAFETY: both handles are of the same library; the call writes one number, to a live local.
    Code::check(unsafe { get(gpu.handle, peer.handle, nvlink, &mut status) })?;
    Ok(link_status(status))
}

/// The state of a connection, as NVML numbers it, to dcgm-exporter's number, which happens to be the
/// same: 0 OK, 1 chipset not supported, 2 GPU not supported, 3 topology not supported, 4 disabled by
/// registry key, 5 not supported, 6 unknown.
fn link_status(raw: u32) -> Reading {
    if raw > 6 { Err(Reason::Implausible) } else { int(raw) }
}

/// The bits of peers with that of one more. One connection without a state leaves the whole without a
/// value.
fn with_peer(bits: i64, peer: u32, connection: &Reading) -> Result<i64, Reason> {
    if peer > LAST_BIT {
        return Err(Reason::NotSupported);
    }
    match connection {
        Ok(Value::Int(0)) => Ok(bits | 1 << peer),
        Ok(_) => Ok(bits),
        Err(reason) => Err(*reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_set_where_nvlink_connects_the_peer() {
        let bits = |states: &[(u32, Reading)]| {
            let mut states = states.iter();
            states.try_fold(0, |bits, (peer, state)| with_peer(bits, *peer, state))
        };
        let status = |status| Ok(Value::Int(status));
        assert_eq!(bits(&[]), Ok(0));
        assert_eq!(bits(&[(0, status(0)), (2, status(5)), (3, status(0))]), Ok(0b1001));
        assert_eq!(bits(&[(62, status(0)), (0, status(6))]), Ok(1 << 62));
        assert_eq!(bits(&[(0, status(0)), (63, status(5))]), Err(Reason::NotSupported));
        let lost = Err(Reason::Lost);
        assert_eq!(bits(&[(0, status(0)), (1, lost.clone()), (2, status(0))]), lost.map(|_| 0));
    }

    #[test]
    fn a_state_beyond_the_known_ones_is_implausible() {
        assert_eq!(link_status(6), Ok(Value::Int(6)));
        assert_eq!(link_status(7), Err(Reason::Implausible));
    }
}
