//! How the GPU is connected: PCIe, NVLink, the fabric, and its peers.

use serde::Deserialize;

use crate::{field::Kind, refusal::Refusal};

/// PCIe generation and lanes, at present and at most.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct PcieLink {
    pub generation: Option<u32>,
    pub width: Option<u32>,
    pub max_generation: Option<u32>,
    pub max_width: Option<u32>,
}

/// State and error counters of each NVLink, by its number; a list left out is not supported.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nvlink {
    pub active: Vec<u32>,
    pub replay: Vec<u64>,
    pub recovery: Vec<u64>,
    pub crc_flit: Vec<u64>,
    pub crc_data: Vec<u64>,
    pub ecc_data: Vec<u64>,
    pub prm: Ports,
}

/// Registers of the links' ports as `nvmlDeviceReadPRMCounters_v1` reads them, by the number of the
/// link.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ports {
    link_down_events: Vec<u64>,
    successful_recovery_events: Vec<u64>,
    total_successful_recovery: Vec<u64>,
    time_since_last_recovery: Vec<u64>,
    time_between_last_two: Vec<u64>,
    port_xmit_wait: Vec<u64>,
    rcv_codes: Vec<u64>,
    rcv_code_err: Vec<u64>,
    rcv_uncorrectable: Vec<u64>,
    xmit_codes: Vec<u64>,
    xmit_retry_codes: Vec<u64>,
    xmit_retry_events: Vec<u64>,
    sync_events: Vec<u64>,
    oper_recovery: Vec<u64>,
}

impl Ports {
    /// By `nvmlPRMCounterId_t`, with its type. Types differ, so that a reader has to look at them.
    fn counter(&self, id: u32) -> Option<(Kind, &[u64])> {
        let (kind, ports) = match id {
            1 => (Kind::U64, &self.link_down_events),
            2 => (Kind::U64, &self.successful_recovery_events),
            101 => (Kind::U64, &self.total_successful_recovery),
            102 => (Kind::U32, &self.time_since_last_recovery),
            103 => (Kind::U32, &self.time_between_last_two),
            201 => (Kind::Ulong, &self.port_xmit_wait),
            301 => (Kind::U64, &self.rcv_codes),
            302 => (Kind::U64, &self.rcv_code_err),
            303 => (Kind::U64, &self.rcv_uncorrectable),
            304 => (Kind::U64, &self.xmit_codes),
            305 => (Kind::U64, &self.xmit_retry_codes),
            306 => (Kind::U64, &self.xmit_retry_events),
            307 => (Kind::U64, &self.sync_events),
            1001 => (Kind::U32, &self.oper_recovery),
            _ => return None,
        };
        Some((kind, ports))
    }
}

impl Nvlink {
    /// By `nvmlNvLinkErrorCounter_t`.
    pub(crate) fn errors(&self, kind: u32, link: u32) -> Result<Option<u64>, Refusal> {
        let all = [&self.replay, &self.recovery, &self.crc_flit, &self.crc_data, &self.ecc_data];
        let counters = all.get(kind as usize).ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok(counters.get(link as usize).copied())
    }

    /// A register of a port, with its type. Ports count from 1: link 0 is at the first.
    pub(crate) fn register(&self, id: u32, port: u32) -> Result<(Kind, u64), Refusal> {
        let link = (port as usize).checked_sub(1).filter(|link| *link < self.active.len());
        let link = link.ok_or(Refusal::INVALID_ARGUMENT)?;
        let (kind, ports) = self.prm.counter(id).ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok((kind, *ports.get(link).ok_or(Refusal::NOT_SUPPORTED)?))
    }
}

/// What `nvmlDeviceGetGpuFabricInfoV` answers.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fabric {
    /// 0 not supported, 1 not started, 2 in progress, 3 completed.
    pub state: u8,
    /// An `nvmlReturn_t`: how the probe ended.
    #[serde(default)]
    pub status: u32,
    #[serde(default)]
    pub clique: u32,
    #[serde(default)]
    pub cluster_uuid: ClusterUuid,
    #[serde(default)]
    pub health_mask: u32,
    #[serde(default)]
    pub health_summary: u8,
}

/// A text that is no cluster UUID.
#[derive(thiserror::Error, Debug)]
#[error("cluster UUID {0:?} is not 32 hexadecimal digits")]
pub(crate) struct InvalidClusterUuid(String);

/// Sixteen bytes, written as the text of a UUID.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq, Debug)]
#[serde(try_from = "String")]
pub(crate) struct ClusterUuid(pub [u8; 16]);

impl TryFrom<String> for ClusterUuid {
    type Error = InvalidClusterUuid;

    fn try_from(text: String) -> Result<Self, InvalidClusterUuid> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        match u128::from_str_radix(&digits, 16) {
            Ok(number) if digits.len() == 32 => Ok(Self(number.to_be_bytes())),
            _ => Err(InvalidClusterUuid(text)),
        }
    }
}

/// `nvmlGpuP2PStatus_t` of each peer by its index; a list left out is not supported.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    pub read: Vec<u32>,
    pub write: Vec<u32>,
    pub nvlink: Vec<u32>,
    pub atomics: Vec<u32>,
    pub pci: Vec<u32>,
}

impl Peers {
    /// By `nvmlGpuP2PCapsIndex_t`.
    pub(crate) fn status(&self, index: u32, peer: usize) -> Result<Option<u32>, Refusal> {
        let all = [&self.read, &self.write, &self.nvlink, &self.atomics, &self.pci];
        let peers = all.get(index as usize).ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok(peers.get(peer).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_uuid_keeps_the_order_of_its_bytes() {
        let read = |text: &str| ClusterUuid::try_from(text.to_owned());
        let uuid = read("00010203-0405-0607-0809-0a0b0c0d0e0f").unwrap();
        assert_eq!(uuid.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert!(read("0001").is_err() && read(&"g".repeat(32)).is_err());
    }
}
