//! Which signals are drawn for which verdict, and how.

use crate::sign::SignKind;

/// Which signals matter for a cause, the most telling one first.
pub(super) struct Interest {
    /// Names of verdicts.
    verdicts: &'static [&'static str],
    /// Kinds of incidents, for verdicts that no row names.
    kinds: &'static [SignKind],
    /// Names of signals.
    pub(super) signals: &'static [&'static str],
}

/// The first row that names the verdict, else the first that has the kind, else [`OTHERWISE`].
#[rustfmt::skip]
const INTERESTS: &[Interest] = &[
    Interest {
        verdicts: &["heat", "heat_then_lost"],
        kinds: &[SignKind::HeatSlowdown],
        signals: &["gpu_temperature", "sm_clock", "power", "gpu_utilization", "memory_temperature", "fan"],
    },
    Interest {
        verdicts: &["power_brake", "power_brake_machine"],
        kinds: &[SignKind::PowerBrake],
        signals: &["power", "sm_clock", "gpu_utilization", "gpu_temperature"],
    },
    Interest {
        verdicts: &["off_bus", "bus_link", "missing"],
        kinds: &[SignKind::GpuLost, SignKind::GpuMissing],
        signals: &["gpu_temperature", "power", "gpu_utilization", "pcie_replays", "pcie_link_width", "memory_used"],
    },
    Interest {
        verdicts: &["ecc_uncorrected", "ecc_contained", "ecc_uncontained", "remap_failed", "memory_then_lost"],
        kinds: &[SignKind::EccUncorrected],
        signals: &["ecc_uncorrected", "ecc_corrected", "remapped_uncorrected", "gpu_utilization", "memory_temperature", "memory_used"],
    },
    Interest {
        verdicts: &["host_memory", "oom_kill_limit", "oom_kill_machine"],
        kinds: &[SignKind::OomKill],
        signals: &["memory_available", "memory_pressure_some", "memory_pressure_full", "gpu_utilization", "memory_used"],
    },
    Interest {
        verdicts: &["gpu_memory_full"],
        kinds: &[SignKind::MemoryFull],
        signals: &["memory_used", "gpu_utilization", "power"],
    },
    Interest {
        verdicts: &["nvlink"],
        kinds: &[SignKind::LinkDown],
        signals: &["nvlink_errors", "links_active", "gpu_utilization", "nvlink_tx", "gpu_temperature"],
    },
    Interest {
        verdicts: &["hung", "gsp", "application_fault", "application_channel", "application_ended"],
        kinds: &[SignKind::GpuHung, SignKind::JobSilent],
        signals: &["gpu_utilization", "power", "memory_used", "sm_clock", "gpu_temperature", "memory_available"],
    },
];

/// For all other causes, and for ranges without an incident.
const OTHERWISE: &[&str] = &[
    "gpu_temperature",
    "gpu_utilization",
    "power",
    "sm_clock",
    "memory_used",
    "ecc_corrected",
    "ecc_uncorrected",
    "pcie_replays",
    "memory_available",
    "memory_pressure_some",
];

/// The signals that matter for a verdict on an incident of this kind.
pub(super) fn signals(verdict: &str, kind: SignKind) -> &'static [&'static str] {
    let named = INTERESTS.iter().find(|row| row.verdicts.contains(&verdict));
    // Nothing explains it, so that anything may matter.
    if named.is_none() && verdict == "not_known" {
        return OTHERWISE;
    }
    let row = named.or_else(|| INTERESTS.iter().find(|row| row.kinds.contains(&kind)));
    row.map_or(OTHERWISE, |row| row.signals)
}

/// The signals of a range without an incident.
pub(super) fn signals_of_range() -> &'static [&'static str] {
    OTHERWISE
}

/// How a signal is drawn.
pub(super) struct Drawing {
    /// The name of the signal.
    pub(super) signal: &'static str,
    /// How a chart calls it.
    pub(super) title: &'static str,
    /// What the lowest and the highest line of the chart stand for.
    pub(super) scale: Scale,
    /// Which value of a step is drawn.
    pub(super) shows: Shows,
    /// A signal that bounds it, and the words before its value.
    pub(super) limit: Option<(&'static str, &'static str)>,
    /// Whether a value that reaches the limit is a fault.
    pub(super) limit_is_fault: bool,
}

/// What the height of a chart stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// From the smallest to the largest value.
    Values,
    /// From 0 to the largest value.
    FromZero,
    /// From 0 to this.
    UpTo(u32),
}

/// Which value of a step is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shows {
    /// The smallest.
    Min,
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// By how much a count grew.
    Increase,
}

/// The signals that are drawn. Others are skipped.
#[rustfmt::skip]
const DRAWINGS: &[Drawing] = &[
    drawing("gpu_temperature",      "temperature",        Scale::Values,    Shows::Max).limit("slowdown_temperature", "slows at").at_limit_faulty(),
    drawing("memory_temperature",   "memory temperature", Scale::Values,    Shows::Max),
    drawing("fan",                  "fan",                Scale::UpTo(100), Shows::Max),
    drawing("power",                "power",              Scale::FromZero,  Shows::Max).limit("power_limit", "limit"),
    drawing("sm_clock",             "SM clock",           Scale::FromZero,  Shows::Min),
    drawing("gpu_utilization",      "utilization",        Scale::UpTo(100), Shows::Mean),
    drawing("memory_used",          "memory used",        Scale::FromZero,  Shows::Max).limit("memory_total", "of"),
    drawing("nvlink_tx",            "NVLink sent",        Scale::FromZero,  Shows::Mean),
    drawing("pcie_link_width",      "PCIe lanes",         Scale::FromZero,  Shows::Min),
    drawing("pcie_replays",         "PCIe replays",       Scale::FromZero,  Shows::Increase),
    drawing("ecc_corrected",        "ECC corrected",      Scale::FromZero,  Shows::Increase),
    drawing("ecc_uncorrected",      "ECC uncorrected",    Scale::FromZero,  Shows::Increase),
    drawing("remapped_uncorrected", "rows remapped",      Scale::FromZero,  Shows::Increase),
    drawing("nvlink_errors",        "NVLink errors",      Scale::FromZero,  Shows::Increase),
    drawing("links_active",         "NVLinks active",     Scale::FromZero,  Shows::Min),
    drawing("memory_available",     "memory available",   Scale::FromZero,  Shows::Min),
    drawing("memory_pressure_some", "memory pressure",    Scale::UpTo(100), Shows::Max),
    drawing("memory_pressure_full", "full mem. pressure", Scale::UpTo(100), Shows::Max),
];

const fn drawing(signal: &'static str, title: &'static str, scale: Scale, shows: Shows) -> Drawing {
    Drawing { signal, title, scale, shows, limit: None, limit_is_fault: false }
}

impl Drawing {
    const fn limit(mut self, signal: &'static str, words: &'static str) -> Self {
        self.limit = Some((signal, words));
        self
    }

    const fn at_limit_faulty(mut self) -> Self {
        self.limit_is_fault = true;
        self
    }
}

/// How a signal is drawn; `None` if it is not.
pub(super) fn how(signal: &str) -> Option<&'static Drawing> {
    DRAWINGS.iter().find(|drawing| drawing.signal == signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_of_interest_is_drawn_and_each_trigger_has_some() {
        let all = INTERESTS.iter().flat_map(|row| row.signals).chain(OTHERWISE);
        for signal in all {
            assert!(how(signal).is_some(), "{signal}");
        }
        for kind in SignKind::TRIGGERS {
            assert!(signals("of a later version", kind).len() >= 3, "{kind:?}");
        }
        assert_eq!(signals("heat", SignKind::JobSilent)[0], "gpu_temperature");
        assert_eq!(signals("not_known", SignKind::HeatSlowdown), OTHERWISE);
        let mut verdicts: Vec<_> = INTERESTS.iter().flat_map(|row| row.verdicts).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        assert_eq!(verdicts.len(), INTERESTS.iter().flat_map(|row| row.verdicts).count());
    }
}
