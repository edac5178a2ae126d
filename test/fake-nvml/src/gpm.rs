//! GPM: what a sample holds, and the metrics between two of them.

use std::{collections::BTreeMap, ffi::CStr, sync::Arc, time::Duration};

use serde::Deserialize;

use crate::refusal::Refusal;

/// GPM of one board.
#[derive(Deserialize, Clone, Debug)]
#[serde(try_from = "BTreeMap<String, f64>")]
pub(crate) enum Gpm {
    /// The metrics themselves, by id: they do not change.
    Listed(Arc<BTreeMap<u32, f64>>),
    /// Their integrals over time, in metric × seconds: averages are differences of them.
    Integrals { at: Duration, totals: [(u32, f64); METRICS.len()] },
}

/// What a sample took, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub gpu: usize,
    /// The GPU instance, and the compute instance in it, where it is not of the whole GPU.
    pub instance: Option<(u32, Option<u32>)>,
    pub gpm: Gpm,
}

/// The metrics of a simulated GPU: id, short name, long name, unit.
pub(crate) const METRICS: [(u32, &CStr, &CStr, &CStr); 9] = [
    (1, c"GR_UTIL", c"Graphics Utilization", c"%"),
    (2, c"SM_UTIL", c"SM Utilization", c"%"),
    (3, c"SM_OCC", c"SM Occupancy", c"%"),
    (5, c"ANYTENS", c"Any Tensor Utilization", c"%"),
    (10, c"DRAMBW", c"DRAM Bandwidth Utilization", c"%"),
    (20, c"PCIETX", c"PCIe TX", c"MiB/s"),
    (21, c"PCIERX", c"PCIe RX", c"MiB/s"),
    (60, c"NVLRX", c"NVLink RX Total", c"MiB/s"),
    (61, c"NVLTX", c"NVLink TX Total", c"MiB/s"),
];

impl Gpm {
    /// One metric between two samples of one GPU.
    pub(crate) fn metric(first: &Self, second: &Self, id: u32) -> Result<f64, Refusal> {
        match (first, second) {
            (_, Self::Listed(values)) => values.get(&id).copied().ok_or(Refusal::NOT_SUPPORTED),
            (
                Self::Integrals { at: began, totals: before },
                Self::Integrals { at: ended, totals: after },
            ) => {
                let of = |totals: &[(u32, f64)]| {
                    totals.iter().find(|(known, _)| *known == id).map(|(_, total)| *total)
                };
                let (Some(before), Some(after)) = (of(before), of(after)) else {
                    return Err(Refusal::NOT_SUPPORTED);
                };
                let elapsed = ended.checked_sub(*began).filter(|elapsed| !elapsed.is_zero());
                let elapsed = elapsed.ok_or(Refusal::NO_DATA)?;
                Ok((after - before) / elapsed.as_secs_f64())
            }
            (Self::Listed(_), Self::Integrals { .. }) => Err(Refusal::INVALID_ARGUMENT),
        }
    }
}

/// A key that is no id of a metric.
#[derive(thiserror::Error, Debug)]
#[error("GPM metric {0:?} is not an id")]
pub(crate) struct InvalidMetricId(String);

impl TryFrom<BTreeMap<String, f64>> for Gpm {
    type Error = InvalidMetricId;

    fn try_from(text: BTreeMap<String, f64>) -> Result<Self, InvalidMetricId> {
        let parse = |(id, value): (String, f64)| match id.parse() {
            Ok(id) => Ok((id, value)),
            Err(_) => Err(InvalidMetricId(id)),
        };
        let values: BTreeMap<u32, f64> = text.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self::Listed(Arc::new(values)))
    }
}
