//! Profiling metrics of Hopper and newer (GPM).

use model::{Reading, Reason, Value};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::code::Code;
use crate::convert::int;
use crate::device::Device;
use crate::row::GpmUnit::{self, Count, MebibytesPerSecond, Percent};
use crate::row::{Call, Fields, Row, one, run};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    one!(nvmlGpmQueryDeviceSupport, GPM_SUPPORT, |gpu| is_supported(gpu).map(int)),
    metrics(1001, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_GRAPHICS_UTIL, Percent),
    metrics(1002, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_UTIL, Percent),
    metrics(1003, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_OCCUPANCY, Percent),
    metrics(1004, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_ANY_TENSOR_UTIL, Percent),
    metrics(1005, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_DRAM_BW_UTIL, Percent),
    metrics(1006, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP64_UTIL, Percent),
    metrics(1007, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP32_UTIL, Percent),
    metrics(1008, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_FP16_UTIL, Percent),
    metrics(1009, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_TX_PER_SEC, MebibytesPerSecond),
    metrics(1010, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_RX_PER_SEC, MebibytesPerSecond),
    metrics(1011, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC, MebibytesPerSecond),
    metrics(1012, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, MebibytesPerSecond),
    metrics(1013, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_IMMA_TENSOR_UTIL, Percent),
    metrics(1014, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_HMMA_TENSOR_UTIL, Percent),
    metrics(1015, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_DFMA_TENSOR_UTIL, Percent),
    metrics(1016, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_INTEGER_UTIL, Percent),
    metrics(1017, 8, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVDEC_0_UTIL, Percent),
    metrics(1025, 8, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVJPG_0_UTIL, Percent),
    metrics(1033, 2, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_NVOFA_0_UTIL, Percent),
    // Links 0 to 17: out, in, and so on. NVML has them the other way round.
    every_second(1040, 18, link_out(0)),
    every_second(1041, 18, link_in(0)),
    metrics(1076, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_TOTAL_TX_PER_SEC, MebibytesPerSecond),
    metrics(1077, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_DATA_TX_PER_SEC, MebibytesPerSecond),
    metrics(1078, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_TOTAL_RX_PER_SEC, MebibytesPerSecond),
    metrics(1079, 1, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_C2C_DATA_RX_PER_SEC, MebibytesPerSecond),
    // Hits and misses of memory caches, in a unit that GPM does not name.
    metrics(1080, 4, 160, Count),
    // Counts since the driver was loaded: cycles, and bytes over PCIe. Newer than the bindings.
    metrics(1084, 13, 248, Count),
    run(1532, 1, Call::LinkMetric(link_out, MebibytesPerSecond)),
    run(1533, 1, Call::LinkMetric(link_in, MebibytesPerSecond)),
];

/// Averages of the hardware's counters overshoot a little.
const MOST_PERCENT: f64 = 101.0;
/// A petabyte per second is no traffic of one GPU.
const MOST_MEBIBYTES_PER_SECOND: f64 = 1e9;
/// Where doubles end to be whole numbers that an `i64` holds.
const MOST_COUNT: f64 = 9.2e18;

/// Fields that count up with their metrics.
const fn metrics(first: u16, count: u16, metric: u32, unit: GpmUnit) -> Row {
    run(first, count, Call::Metric(metric, unit))
}

/// Every second field, with every second metric.
const fn every_second(first: u16, count: u16, metric: u32) -> Row {
    let call = Call::Metric(metric, MebibytesPerSecond);
    Row { fields: Fields::Run { first, count, step: 2 }, call }
}

/// The metric of traffic into the GPU on a link: links from 18 on came later.
const fn link_in(link: u32) -> u32 {
    if link < 18 { 62 + 2 * link } else { 212 + 2 * (link - 18) }
}

/// The metric of traffic out of the GPU on a link.
const fn link_out(link: u32) -> u32 {
    link_in(link) + 1
}

/// Whether this GPU can be profiled through the driver.
pub(crate) fn is_supported(gpu: &Device) -> Result<bool, Code> {
    let get = function(&gpu.library.symbols.nvmlGpmQueryDeviceSupport)?;
    let mut support =
        sys::nvmlGpmSupport_t { version: sys::NVML_GPM_SUPPORT_VERSION, isSupportedDevice: 0 };
    // SAFETY: the call writes one struct of the version that it carries, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut support) })?;
    Ok(support.isSupportedDevice != 0)
}

/// A metric's number to the field's.
pub(crate) fn convert(value: f64, unit: GpmUnit) -> Reading {
    if value.is_nan() {
        return Err(Reason::NoData);
    }
    let most = match unit {
        Percent => MOST_PERCENT,
        MebibytesPerSecond => MOST_MEBIBYTES_PER_SECOND,
        Count => MOST_COUNT,
    };
    if !(0.0..=most).contains(&value) {
        return Err(Reason::Implausible);
    }
    Ok(match unit {
        Percent => Value::Float(value / 100.0),
        Count => Value::Int(value as i64),
        MebibytesPerSecond => Value::Int((value * 1_048_576.0) as i64),
    })
}

#[cfg(test)]
mod tests {
    use model::FieldId;

    use super::*;

    #[test]
    fn metrics_have_the_numbers_of_nvmls_header() {
        let metric = |field| {
            ROWS.iter().find_map(|row| {
                let (offset, _) = row.fields.iter().find(|(_, of)| *of == FieldId(field))?;
                let Call::Metric(metric, _) = row.call else { return None };
                Some(offset.after(metric))
            })
        };
        #[rustfmt::skip]
        let expected = [
            (1001, 1), (1005, 10), (1012, 60), (1013, 9), (1016, 4), (1017, 30), (1024, 37),
            (1025, 40), (1032, 47), (1034, 51), (1040, 63), (1041, 62), (1074, 97), (1075, 96),
            (1076, 100), (1077, 102), (1078, 101), (1079, 103), (1080, 160), (1083, 163),
            (1084, 248), (1091, 255), (1096, 260),
        ];
        for (field, expected) in expected {
            assert_eq!(metric(field), Some(expected), "{field}");
        }
        assert_eq!([link_in(17), link_out(17)], [96, 97]);
        assert_eq!([link_in(18), link_out(18)], [212, 213]);
        assert_eq!([link_in(35), link_out(35)], [246, 247]);
    }

    #[test]
    fn percent_may_overshoot_a_little() {
        assert_eq!(convert(12.5, Percent), Ok(Value::Float(0.125)));
        assert_eq!(convert(100.5, Percent), Ok(Value::Float(1.005)));
        assert_eq!(convert(1.5, MebibytesPerSecond), Ok(Value::Int(1_572_864)));
        assert_eq!(convert(123_456_789.9, Count), Ok(Value::Int(123_456_789)));
        for unit in [Percent, MebibytesPerSecond, Count] {
            assert_eq!(convert(f64::NAN, unit), Err(Reason::NoData));
        }
        for (value, unit) in [
            (-0.001, Percent),
            (101.01, Percent),
            (f64::INFINITY, Percent),
            (-1.0, MebibytesPerSecond),
            (1e10, MebibytesPerSecond),
            (-1.0, Count),
            (1e19, Count),
        ] {
            assert_eq!(convert(value, unit), Err(Reason::Implausible));
        }
    }
}
