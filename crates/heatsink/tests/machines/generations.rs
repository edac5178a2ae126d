//! The metric names of dcgm-exporter 4.8 and 4.9 on one page: each value of one generation follows from
//! that of the other.

use std::collections::BTreeMap;

use testkit::page::{Page, Sample};

/// From a value under 4.9's name to that under 4.8's.
type Follows = fn(f64) -> f64;

const SAME: Follows = |value| value;
const MHZ: Follows = |hertz| hertz / 1e6;
const MIB: Follows = |bytes| (bytes / 1_048_576.0).floor();
const MB_PER_S: Follows = |bytes| (bytes / 1024.0 / 1000.0).floor();

/// Families with two names: that of 4.8, that of 4.9, and how the value of 4.8 follows from that of 4.9.
///
/// Energy and utilisation are in [`RENAMED_FROM_4_8`]: there it is 4.9 that is the coarser, or a real
/// number.
#[rustfmt::skip]
pub(crate) const RENAMED: [(&str, &str, Follows); 17] = [
    ("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ", MHZ),
    ("DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ", MHZ),
    ("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", SAME),
    ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", SAME),
    ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", SAME),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_PCIE_REPLAY_TOTAL", SAME),
    ("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR", SAME),
    ("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_FREE_BYTES", MIB),
    ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_BYTES", MIB),
    ("DCGM_FI_DEV_FB_RESERVED", "DCGM_FI_DEV_FB_RESERVED_BYTES", MIB),
    ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", MB_PER_S),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", SAME),
    ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL", SAME),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED", SAME),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", SAME),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO", SAME),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO", SAME),
];

const JOULES: Follows = |millijoules| (millijoules / 1000.0).floor();
const RATIO: Follows = |percent| percent / 100.0;

/// The same, where the value under 4.9's name follows from that under 4.8's.
#[rustfmt::skip]
pub(crate) const RENAMED_FROM_4_8: [(&str, &str, Follows); 5] = [
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", JOULES),
    ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO", RATIO),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "DCGM_FI_DEV_MEMORY_UTIL_RATIO", RATIO),
    ("DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_ENC_UTIL_RATIO", RATIO),
    ("DCGM_FI_DEV_DEC_UTIL", "DCGM_FI_DEV_DEC_UTIL_RATIO", RATIO),
];

/// The label that has two names.
pub(crate) const LABEL: (&str, &str) = ("DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION");

/// Names of 4.9 that differ from those of 4.8 in nothing else.
pub(crate) fn only_renamed() -> impl Iterator<Item = (&'static str, &'static str)> {
    let is_same = |follows: Follows| [0.5, 3e9].iter().all(|value| follows(*value) == *value);
    RENAMED
        .into_iter()
        .filter(move |(.., follows)| is_same(*follows))
        .map(|(old, new, _)| (old, new))
}

/// Every pair on the page that does not agree, each in a line.
pub(crate) fn differences(page: &Page) -> Vec<String> {
    let mut differences = Vec::new();
    for (old, new, follows) in RENAMED {
        differences.extend(compare(page, new, old, follows));
    }
    for (old, new, follows) in RENAMED_FROM_4_8 {
        differences.extend(compare(page, old, new, follows));
    }
    let (old, new) = LABEL;
    for sample in page.all_samples() {
        if sample.label(old) != sample.label(new) {
            differences.push(format!("{sample}: {old} and {new} differ"));
        }
    }
    differences
}

fn compare(page: &Page, from: &str, to: &str, follows: Follows) -> Vec<String> {
    let by_labels = |name| -> BTreeMap<_, _> {
        page.samples(name).into_iter().map(|sample| (&sample.labels, sample)).collect()
    };
    let (from, mut to) = (by_labels(from), by_labels(to));
    let mut differences = Vec::new();
    for (labels, sample) in from {
        let expected = follows(sample.value);
        match to.remove(labels) {
            Some(Sample { value, .. }) if is_near(*value, expected) => {}
            Some(other) => differences.push(format!("{sample} and {other} do not agree")),
            None => differences.push(format!("{sample} has no sample in the other generation")),
        }
    }
    differences.extend(
        to.values().map(|sample| format!("{sample} has no sample in the other generation")),
    );
    differences
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= b.abs() * 1e-12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(samples: &[(&str, &str)]) -> Page {
        let family = |(name, value): &(&str, &str)| {
            format!("# HELP {name} x\n# TYPE {name} gauge\n{name}{{gpu=\"0\"}} {value}\n")
        };
        Page::parse(&samples.iter().map(family).collect::<String>()).unwrap()
    }

    #[test]
    fn values_follow_from_each_other() {
        let right = [
            ("DCGM_FI_DEV_SM_CLOCK", "1755"),
            ("DCGM_FI_DEV_SM_CLOCK_HERTZ", "1755000000"),
            ("DCGM_FI_DEV_FB_USED", "3"),
            ("DCGM_FI_DEV_FB_USED_BYTES", "4194303"),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "4999"),
            ("DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", "4"),
            ("DCGM_FI_DEV_GPU_UTIL", "7"),
            ("DCGM_FI_DEV_GPU_UTIL_RATIO", "0.07"),
            ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "1"),
            ("DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", "2046976"),
        ];
        assert_eq!(differences(&page(&right)), Vec::<String>::new());
        let mut wrong = right;
        wrong[2].1 = "4";
        wrong[9].0 = "DCGM_FI_DEV_OTHER";
        assert_eq!(differences(&page(&wrong)).len(), 2);
    }

    #[test]
    fn eleven_have_another_unit() {
        assert_eq!(RENAMED.len() + RENAMED_FROM_4_8.len() + 1, 23);
        assert_eq!(only_renamed().count() + 1 + 11, 23);
    }
}
