//! The table of profiling fields: which GPM metric each is.

use model::FieldId;
use nvml_wrapper_sys::bindings as sys;

use crate::convert::GpmUnit;

/// A profiling field and the GPM metric that it is.
#[derive(Clone, Copy)]
pub(crate) struct GpmRow {
    pub(crate) field: FieldId,
    pub(crate) metric: u32,
    pub(crate) unit: GpmUnit,
}

const fn row(field: u16, metric: u32, unit: GpmUnit) -> GpmRow {
    GpmRow { field: FieldId(field), metric, unit }
}

/// `N` fields that count up with their metrics.
const fn run<const N: usize>(first: u16, metric: u32, unit: GpmUnit) -> [GpmRow; N] {
    let mut rows = [row(0, 0, unit); N];
    let mut place = 0;
    while place < N {
        rows[place] = row(first + place as u16, metric + place as u32, unit);
        place += 1;
    }
    rows
}

use GpmUnit::{Count, MebibytesPerSecond, Percent};

static SINGLE: &[GpmRow] = &[
    row(1001, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_GRAPHICS_UTIL, Percent),
    row(1002, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_UTIL, Percent),
    row(1003, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_OCCUPANCY, Percent),
    row(1004, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_ANY_TENSOR_UTIL, Percent),
    row(1005, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_DRAM_BW_UTIL, Percent),
    row(1006, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP64_UTIL, Percent),
    row(1007, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP32_UTIL, Percent),
    row(1008, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP16_UTIL, Percent),
    row(1009, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_TX_PER_SEC, MebibytesPerSecond),
    row(1010, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_RX_PER_SEC, MebibytesPerSecond),
    row(1011, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, MebibytesPerSecond),
    row(1012, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, MebibytesPerSecond),
    row(1013, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_IMMA_TENSOR_UTIL, Percent),
    row(1014, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_HMMA_TENSOR_UTIL, Percent),
    row(1015, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_DFMA_TENSOR_UTIL, Percent),
    row(1016, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_INTEGER_UTIL, Percent),
    row(1076, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_TOTAL_TX_PER_SEC, MebibytesPerSecond),
    row(1077, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_DATA_TX_PER_SEC, MebibytesPerSecond),
    row(1078, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_TOTAL_RX_PER_SEC, MebibytesPerSecond),
    row(1079, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_DATA_RX_PER_SEC, MebibytesPerSecond),
];

static NVDEC: [GpmRow; 8] = run(1017, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVDEC_0_UTIL, Percent);
static NVJPG: [GpmRow; 8] = run(1025, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVJPG_0_UTIL, Percent);
static NVOFA: [GpmRow; 2] = run(1033, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVOFA_0_UTIL, Percent);
/// Hits and misses of memory caches, in a unit that GPM does not name.
static CACHES: [GpmRow; 4] = run(1080, 160, Count);
/// Counts since the driver was loaded: cycles, and bytes over PCIe. Newer than the bindings.
static COUNTS: [GpmRow; 13] = run(1084, 248, Count);

/// Links 0 to 17: out, in, and so on. NVML has them the other way round.
static LINKS: [GpmRow; 36] = {
    let mut rows = [row(0, 0, MebibytesPerSecond); 36];
    let mut place = 0;
    while place < rows.len() {
        let link = place as u32 / 2;
        let metric = if place % 2 == 0 { link_out(link) } else { link_in(link) };
        rows[place] = row(1040 + place as u16, metric, MebibytesPerSecond);
        place += 1;
    }
    rows
};

/// The metric of traffic into the GPU on a link: links from 18 on came later.
pub(crate) const fn link_in(link: u32) -> u32 {
    if link < 18 { 62 + 2 * link } else { 212 + 2 * (link - 18) }
}

/// The metric of traffic out of the GPU on a link.
pub(crate) const fn link_out(link: u32) -> u32 {
    link_in(link) + 1
}

/// Every field of the GPU, or of an instance, that comes from GPM; all go in one call.
pub(crate) static GPM_TABLE: &[&[GpmRow]] =
    &[SINGLE, &NVDEC, &NVJPG, &NVOFA, &LINKS, &CACHES, &COUNTS];

/// The metric of a link.
pub(crate) type MetricOf = fn(link: u32) -> u32;

/// Fields of one NVLink.
pub(crate) static GPM_OF_LINK: [(FieldId, MetricOf); 2] =
    [(FieldId(1532), link_out), (FieldId(1533), link_in)];

/// The unit of them.
pub(crate) const LINK_UNIT: GpmUnit = MebibytesPerSecond;

/// All rows for the GPU.
pub(crate) fn rows() -> impl Iterator<Item = &'static GpmRow> {
    GPM_TABLE.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_numbers_of_nvmls_header() {
        for (field, metric) in [
            (1001, 1),
            (1005, 10),
            (1012, 60),
            (1013, 9),
            (1016, 4),
            (1017, 30),
            (1024, 37),
            (1025, 40),
            (1032, 47),
            (1034, 51),
            (1040, 63),
            (1041, 62),
            (1074, 97),
            (1075, 96),
            (1076, 100),
            (1077, 102),
            (1078, 101),
            (1079, 103),
            (1080, 160),
            (1083, 163),
            (1084, 248),
            (1091, 255),
            (1096, 260),
        ] {
            let found = rows().find(|row| row.field == FieldId(field)).map(|row| row.metric);
            assert_eq!(found, Some(metric), "{field}");
        }
        assert_eq!([link_in(17), link_out(17)], [96, 97]);
        assert_eq!([link_in(18), link_out(18)], [212, 213]);
        assert_eq!([link_in(35), link_out(35)], [246, 247]);
    }
}
