//! The health of a GPU's subsystems: rules over readings.
//!
//! A subsystem without any readable input has no health at all, rather than a good one. The limits are
//! those of DCGM, or of operators.
//!
//! | subsystem | fails | warns |
//! |---|---|---|
//! | `MEM` | double-bit errors since the last reset; a row that could not be remapped; 63 retired pages; SRAM errors past their threshold; memory beyond repair | rows or pages that wait for a reset; 512 rows remapped for uncorrectable errors |
//! | `PCIE` | | more replays in a minute than the link's speed and width explain |
//! | `NVLINK` | a replay or a recovery within a minute; 100 checksum errors a second | any checksum error within a minute |
//! | `THERMAL` | | the hardware slows down for heat |
//! | `POWER` | | the power brake is on |
//! | `DRIVER` | the driver asks for a reset or a reboot; an XID of that kind within ten minutes | the driver asks for a drain of peer traffic |
//! | `ALL` | the worst of these | |

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{FieldId, Health, HealthStatus, Moment, Reading, Value, When, XidLog, field};

use HealthStatus::{Fail, Pass, Warn};

/// The fields that the rules use.
pub(crate) const INPUTS: &[FieldId] = &[
    field::ECC_DBE_VOL_TOTAL,
    field::ROW_REMAP_FAILURE,
    field::ROW_REMAP_PENDING,
    field::UNCORRECTABLE_REMAPPED_ROWS,
    field::RETIRED_SBE,
    field::RETIRED_DBE,
    field::RETIRED_PENDING,
    field::THRESHOLD_SRM,
    field::MEMORY_UNREPAIRABLE_FLAG,
    field::PCIE_REPLAY_COUNTER,
    field::PCIE_LINK_GEN,
    field::PCIE_MAX_LINK_GEN,
    field::PCIE_LINK_WIDTH,
    field::NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
    field::CLOCKS_EVENT_REASONS,
    field::GET_GPU_RECOVERY_ACTION,
];

/// The counters whose growth the rules use.
pub(crate) const TRENDS: &[FieldId] = &[
    field::PCIE_REPLAY_COUNTER,
    field::NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
];

/// The time over which growth is measured.
const MINUTE: Duration = Duration::from_secs(60);

/// The shortest time between two noted values of a counter.
const STEP: Duration = Duration::from_secs(5);

/// How long an XID that asks for a reset makes the driver unhealthy.
const XID_COUNTS: Duration = Duration::from_secs(600);

/// The classes of XIDs after which a GPU cannot go on.
const FATAL_CLASSES: [&str; 3] = ["reset_gpu", "restart_node", "restart_vm"];

/// The values of counters over the last minute.
#[derive(Clone, Default, Debug)]
pub(crate) struct Trends(BTreeMap<FieldId, VecDeque<(Moment, i64)>>);

impl Trends {
    /// Notes the value of a counter.
    pub(crate) fn note(&mut self, field: FieldId, at: Moment, reading: &Reading) {
        let Ok(Value::Int(count)) = reading else { return };
        let noted = self.0.entry(field).or_default();
        // A counter that fell was reset, so its earlier values no longer compare.
        if noted.back().is_some_and(|(_, before)| count < before) {
            noted.clear();
        }
        if noted.back().is_none_or(|(then, _)| at.saturating_duration_since(*then) >= STEP) {
            noted.push_back((at, *count));
        }
        while noted.front().is_some_and(|(then, _)| at.saturating_duration_since(*then) > MINUTE) {
            noted.pop_front();
        }
    }

    /// By how much a counter grew over the last minute, and the time between the first and the last
    /// value; `None` before there are two values.
    fn growth(&self, field: FieldId) -> Option<(i64, Duration)> {
        let noted = self.0.get(&field)?;
        let ((first, from), (last, to)) = (noted.front()?, noted.back()?);
        (first != last).then(|| (to - from, *last - *first))
    }
}

/// What the rules use.
pub(crate) struct HealthInputs<'a, F> {
    /// The reading of one of the [`INPUTS`].
    pub(crate) read: F,
    pub(crate) trends: &'a Trends,
    pub(crate) xids: &'a XidLog,
    pub(crate) now: Moment,
}

/// The worst that was found of one subsystem; `None` if none of its inputs can be read.
type Finding = Option<(HealthStatus, &'static str)>;

/// The health of all subsystems with a readable input, and of `ALL`.
pub(crate) fn assess<'a, F: Fn(FieldId) -> Option<&'a Reading>>(
    inputs: &HealthInputs<'_, F>,
) -> Vec<Health> {
    let findings = [
        ("PCIE", inputs.pcie()),
        ("NVLINK", inputs.nvlink()),
        ("MEM", inputs.memory()),
        ("THERMAL", inputs.clocks(0x40, "DCGM_FR_CLOCK_THROTTLE_THERMAL")),
        ("POWER", inputs.clocks(0x80, "DCGM_FR_CLOCK_THROTTLE_POWER")),
        ("DRIVER", inputs.driver()),
    ];
    let mut found: Vec<Health> = findings
        .into_iter()
        .filter_map(|(subsystem, finding)| {
            let (status, error) = finding?;
            Some(Health { subsystem, status, error })
        })
        .collect();
    if let Some(worst) = found.iter().rev().max_by_key(|health| health.status) {
        found.push(Health { subsystem: "ALL", ..*worst });
    }
    found
}

impl<'a, F: Fn(FieldId) -> Option<&'a Reading>> HealthInputs<'_, F> {
    fn int(&self, field: FieldId) -> Option<i64> {
        match (self.read)(field) {
            Some(Ok(Value::Int(int))) => Some(*int),
            _ => None,
        }
    }

    /// By how much a counter grew over the last minute; `None` if it cannot be read now.
    fn growth(&self, field: FieldId) -> Option<(i64, Duration)> {
        self.int(field)?;
        self.trends.growth(field)
    }

    /// `found` if the number is at least `limit`.
    fn at_least(&self, field: FieldId, limit: i64, found: (HealthStatus, &'static str)) -> Finding {
        self.int(field).map(|number| if number >= limit { found } else { (Pass, "") })
    }

    fn memory(&self) -> Finding {
        let pages = match (self.int(field::RETIRED_SBE), self.int(field::RETIRED_DBE)) {
            (None, None) => None,
            (single, double) => Some(single.unwrap_or(0) + double.unwrap_or(0)),
        };
        let pages = pages.map(|pages| match pages {
            63.. => (Fail, "DCGM_FR_RETIRED_PAGES_LIMIT"),
            _ => (Pass, ""),
        });
        worst([
            self.at_least(field::ECC_DBE_VOL_TOTAL, 1, (Fail, "DCGM_FR_VOLATILE_DBE_DETECTED")),
            self.at_least(field::ROW_REMAP_FAILURE, 1, (Fail, "DCGM_FR_ROW_REMAP_FAILURE")),
            self.at_least(field::MEMORY_UNREPAIRABLE_FLAG, 1, (Fail, "DCGM_FR_FAULTY_MEMORY")),
            self.at_least(field::THRESHOLD_SRM, 1, (Fail, "DCGM_FR_SRAM_THRESHOLD")),
            pages,
            self.at_least(
                field::UNCORRECTABLE_REMAPPED_ROWS,
                512,
                (Warn, "DCGM_FR_UNCORRECTABLE_ROW_REMAP_LIMIT"),
            ),
            self.at_least(field::ROW_REMAP_PENDING, 1, (Warn, "DCGM_FR_PENDING_ROW_REMAP")),
            self.at_least(field::RETIRED_PENDING, 1, (Warn, "DCGM_FR_PENDING_PAGE_RETIREMENTS")),
        ])
    }

    /// How often a link may replay depends on its highest speed and its width.
    fn pcie(&self) -> Finding {
        let (grown, over) = self.growth(field::PCIE_REPLAY_COUNTER)?;
        // An idle link is slower than it was when it replayed.
        let generation =
            self.int(field::PCIE_MAX_LINK_GEN).or_else(|| self.int(field::PCIE_LINK_GEN))?;
        let lanes = self.int(field::PCIE_LINK_WIDTH)?;
        let per_lane = [0.15, 0.3, 0.48, 0.96, 1.92, 3.84];
        let place = usize::try_from(generation - 1).unwrap_or(0).min(per_lane.len() - 1);
        let limit = (lanes as f64 * per_lane[place]).ceil();
        let per_minute = grown as f64 * MINUTE.as_secs_f64() / over.as_secs_f64().max(1.0);
        // Within less than a minute, a few replays may look like a high rate.
        let is_much = per_minute > limit && grown as f64 > limit.min(2.0);
        Some(if is_much { (Warn, "DCGM_FR_PCI_REPLAY_RATE") } else { (Pass, "") })
    }

    fn nvlink(&self) -> Finding {
        let broken = |field| {
            let (grown, _) = self.growth(field)?;
            Some(if grown > 0 { (Fail, "DCGM_FR_NVLINK_ERROR_CRITICAL") } else { (Pass, "") })
        };
        let checksums = |field| {
            let (grown, over) = self.growth(field)?;
            let per_second = grown as f64 / over.as_secs_f64().max(1.0);
            Some(match grown {
                0 => (Pass, ""),
                _ if per_second >= 100.0 => (Fail, "DCGM_FR_NVLINK_CRC_ERROR_THRESHOLD"),
                _ => (Warn, "DCGM_FR_NVLINK_ERROR_THRESHOLD"),
            })
        };
        worst([
            broken(field::NVLINK_REPLAY_ERROR_COUNT_TOTAL),
            broken(field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
            checksums(field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
            checksums(field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
        ])
    }

    fn clocks(&self, mask: i64, error: &'static str) -> Finding {
        let reasons = self.int(field::CLOCKS_EVENT_REASONS)?;
        Some(if reasons & mask != 0 { (Warn, error) } else { (Pass, "") })
    }

    fn driver(&self) -> Finding {
        let action = self.int(field::GET_GPU_RECOVERY_ACTION).map(|action| match action {
            0 => (Pass, ""),
            1 => (Fail, "DCGM_FR_GPU_RECOVERY_RESET"),
            2 => (Fail, "DCGM_FR_GPU_RECOVERY_REBOOT"),
            3 => (Warn, "DCGM_FR_GPU_RECOVERY_DRAIN_P2P"),
            4 => (Fail, "DCGM_FR_GPU_RECOVERY_DRAIN_RESET"),
            _ => (Fail, "HEATSINK_RECOVERY_ACTION_UNKNOWN"),
        });
        // The wall clock may have been set since.
        let is_fresh = |last: When| self.now - last.moment < XID_COUNTS;
        let fatal = self.xids.counts.values().filter(|entry| {
            FATAL_CLASSES.contains(&entry.xid.class) && entry.last.is_some_and(is_fresh)
        });
        let xids = match (
            fatal.max_by_key(|entry| entry.last.map(|last| last.moment)),
            self.xids.listening,
        ) {
            (Some(entry), _) => Some((
                Fail,
                match entry.xid.code {
                    79 => "DCGM_FR_FALLEN_OFF_BUS",
                    95 => "DCGM_FR_UNCONTAINED_ERROR",
                    _ => "DCGM_FR_XID_ERROR",
                },
            )),
            (None, true) => Some((Pass, "")),
            (None, false) => None,
        };
        worst([action, xids])
    }
}

/// The worst finding; of equals the first.
fn worst<const N: usize>(findings: [Finding; N]) -> Finding {
    findings.into_iter().flatten().rev().max_by_key(|(status, _)| *status)
}

#[cfg(test)]
mod tests {
    use model::{Reason, Xid, XidEvent};

    use std::time::SystemTime;

    use super::*;

    struct Case {
        readings: BTreeMap<FieldId, Reading>,
        trends: Trends,
        xids: XidLog,
    }

    fn case(readings: &[(FieldId, i64)]) -> Case {
        let readings = readings.iter().map(|(field, int)| (*field, Ok(Value::Int(*int)))).collect();
        Case { readings, trends: Trends::default(), xids: XidLog::default() }
    }

    impl Case {
        /// A counter that grew by so much in the last minute.
        fn grown(mut self, field: FieldId, by: i64) -> Self {
            let start = Moment::now();
            for (second, count) in [(0, 0), (30, by / 2), (60, by)] {
                let at = start + Duration::from_secs(second);
                self.trends.note(field, at, &Ok(Value::Int(1000 + count)));
            }
            self.readings.insert(field, Ok(Value::Int(1000 + by)));
            self
        }

        fn of(&self, subsystem: &str) -> Option<(HealthStatus, &'static str)> {
            let inputs = HealthInputs {
                read: |field| self.readings.get(&field),
                trends: &self.trends,
                xids: &self.xids,
                now: Moment::BOOT + Duration::from_secs(10_000),
            };
            let all = assess(&inputs);
            let health = all.iter().find(|health| health.subsystem == subsystem)?;
            Some((health.status, health.error))
        }
    }

    #[test]
    fn a_subsystem_that_cannot_be_read_has_no_health() {
        let mut unknown = case(&[]);
        unknown.readings.insert(field::ECC_DBE_VOL_TOTAL, Err(Reason::NotSupported));
        for subsystem in ["PCIE", "NVLINK", "MEM", "THERMAL", "POWER", "DRIVER", "ALL"] {
            assert_eq!(unknown.of(subsystem), None, "{subsystem}");
        }
    }

    #[test]
    fn memory() {
        let mem = |readings: &[(FieldId, i64)]| case(readings).of("MEM");
        assert_eq!(mem(&[(field::ECC_DBE_VOL_TOTAL, 0)]), Some((Pass, "")));
        assert_eq!(
            mem(&[(field::ROW_REMAP_PENDING, 1), (field::ECC_DBE_VOL_TOTAL, 1)]),
            Some((Fail, "DCGM_FR_VOLATILE_DBE_DETECTED"))
        );
        assert_eq!(
            mem(&[(field::UNCORRECTABLE_REMAPPED_ROWS, 512)]),
            Some((Warn, "DCGM_FR_UNCORRECTABLE_ROW_REMAP_LIMIT"))
        );
        assert_eq!(mem(&[(field::UNCORRECTABLE_REMAPPED_ROWS, 511)]), Some((Pass, "")));
        assert_eq!(mem(&[(field::RETIRED_SBE, 60), (field::RETIRED_DBE, 2)]), Some((Pass, "")));
        assert_eq!(
            mem(&[(field::RETIRED_SBE, 60), (field::RETIRED_DBE, 3)]),
            Some((Fail, "DCGM_FR_RETIRED_PAGES_LIMIT"))
        );
    }

    #[test]
    fn the_replay_limit_depends_on_the_link() {
        let link = [(field::PCIE_LINK_GEN, 5), (field::PCIE_LINK_WIDTH, 16)];
        let pcie = |replays| case(&link).grown(field::PCIE_REPLAY_COUNTER, replays).of("PCIE");
        assert_eq!(pcie(31), Some((Pass, "")), "16 lanes of generation 5 may replay 31 a minute");
        assert_eq!(pcie(32), Some((Warn, "DCGM_FR_PCI_REPLAY_RATE")));
        assert_eq!(case(&link).of("PCIE"), None, "one value gives no rate");
        let mut unread = case(&link).grown(field::PCIE_REPLAY_COUNTER, 1000);
        unread.readings.insert(field::PCIE_REPLAY_COUNTER, Err(Reason::NotSupported));
        assert_eq!(unread.of("PCIE"), None, "an unreadable counter has no rate");
    }

    #[test]
    fn links_and_their_checksums() {
        let flits = field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL;
        let crc = |count| case(&[]).grown(flits, count).of("NVLINK").map(|(status, _)| status);
        assert_eq!((crc(0), crc(1), crc(5999)), (Some(Pass), Some(Warn), Some(Warn)));
        assert_eq!(crc(6000), Some(Fail));
        let replay = case(&[]).grown(field::NVLINK_REPLAY_ERROR_COUNT_TOTAL, 1);
        assert_eq!(replay.of("NVLINK").map(|(status, _)| status), Some(Fail));
    }

    #[test]
    fn heat_power_and_recovery_actions() {
        let hot = case(&[(field::CLOCKS_EVENT_REASONS, 0x49), (field::GET_GPU_RECOVERY_ACTION, 4)]);
        assert_eq!(hot.of("THERMAL"), Some((Warn, "DCGM_FR_CLOCK_THROTTLE_THERMAL")));
        assert_eq!(hot.of("POWER"), Some((Pass, "")));
        assert_eq!(hot.of("DRIVER"), Some((Fail, "DCGM_FR_GPU_RECOVERY_DRAIN_RESET")));
        assert_eq!(hot.of("ALL"), Some((Fail, "DCGM_FR_GPU_RECOVERY_DRAIN_RESET")));
    }

    #[test]
    fn a_fatal_xid_counts_for_ten_minutes() {
        let of = |class, age: u64| {
            let mut case = case(&[]);
            case.xids.listening = true;
            let xid = Xid { code: 79, message: "?", class, action: "?", critical: true };
            // The wall clock was set back since.
            let time = SystemTime::now() + Duration::from_secs(100_000);
            let at = When { time, moment: Moment::BOOT + Duration::from_secs(10_000 - age) };
            case.xids.record(XidEvent { xid, instance: None, before: None }, Some(at), None);
            case.of("DRIVER").map(|(status, _)| status)
        };
        assert_eq!(of("restart_node", 599), Some(Fail));
        assert_eq!(of("restart_node", 600), Some(Pass));
        assert_eq!(of("restart_application", 1), Some(Pass));
    }
}
