//! The state of the NVLink connection from each GPU to each other one.

use model::field;
use model::{Reading, Reason, Value};

use crate::abi;
use crate::{Code, Handle};

/// The field of these states.
pub(crate) const FIELD: model::FieldId = field::EXP_P2P_STATUS;

/// The highest state: unknown to the driver.
const UNKNOWN: u32 = 6;

/// The state of the connection from one GPU to another.
pub(crate) struct PeerState {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) state: Reading,
}

/// The states between these GPUs.
///
/// # Errors
///
/// When the engine does not say.
pub(crate) fn peer_states(handle: &Handle, gpus: &[u32]) -> Result<Vec<PeerState>, Code> {
    let ask = handle.api.peers.ok_or(Code::NOT_SUPPORTED)?;
    let mut found: Box<abi::PeerStates> = abi::empty();
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { ask(handle.raw, &mut *found) })?;
    let count = usize::try_from(found.count).unwrap_or(0).min(found.gpus.len());
    let mut peer_states = Vec::new();
    let found = &found.gpus[..count];
    let is_listed = |gpu: &&abi::GpuPeers| gpus.contains(&gpu.gpu);
    for from in found.iter().filter(is_listed) {
        // States are in the order of the GPUs.
        for (to, state) in found.iter().zip(from.states) {
            if to.gpu == from.gpu || !is_listed(&to) {
                continue;
            }
            let state = match state {
                state @ 0..=UNKNOWN => Ok(Value::Int(state.into())),
                _ => Err(Reason::Implausible),
            };
            peer_states.push(PeerState { from: from.gpu, to: to.gpu, state });
        }
    }
    Ok(peer_states)
}
