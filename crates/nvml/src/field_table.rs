//! The table of fields that are made from entries of `nvmlDeviceGetFieldValues`.
//!
//! One row per field; runs of fields that count up together are made, not written. Rows that are
//! made from the same entries are read from the same entries.

use model::field;
use model::{FieldId, Reading};
use nvml_wrapper_sys::bindings::field_id as fi;

use crate::convert::{link_bytes, link_rate};
use crate::entry::{self, Entry};
use crate::{Code, Device, convert};

/// A field made from one or two entries.
#[derive(Clone, Copy)]
pub(crate) struct FieldRow {
    pub(crate) field: FieldId,
    pub(crate) entries: Entries,
    pub(crate) decode: Decode,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entries {
    /// One entry.
    One(Id, Scope),
    /// The sum of two.
    Sum(Id, Id, Scope),
}

/// NVML's number of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Id {
    /// The same in every driver.
    Fixed(u32),
    /// NVML was renumbered with driver [`RENUMBERED`], and gave the new number another meaning
    /// before.
    Renumbered { before: u32, since: u32 },
}

/// The driver whose NVML has other numbers for the times of clock event reasons.
pub(crate) const RENUMBERED: (u32, u32) = (580, 82);

impl Id {
    /// The number for this driver; `None` if the driver's version is not known but matters.
    pub(crate) fn of_driver(self, version: Option<&str>) -> Option<u32> {
        match self {
            Self::Fixed(id) => Some(id),
            Self::Renumbered { before, since } => {
                let mut parts = version?.split('.').map(str::parse::<u32>);
                let version = (parts.next()?.ok()?, parts.next()?.ok()?);
                Some(if version < RENUMBERED { before } else { since })
            }
        }
    }
}

/// What an entry's scope says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// Nothing: the GPU.
    Gpu,
    /// This NVLink.
    Link(u32),
    /// All NVLinks of the GPU together.
    AllLinks,
    /// The NVLink that the reading is of.
    ThisLink,
}

impl Scope {
    /// NVML's number, in a reading of `link`.
    pub(crate) fn number(self, link: u32) -> u32 {
        match self {
            Self::Gpu => 0,
            Self::Link(number) => number,
            Self::AllLinks => u32::MAX,
            Self::ThisLink => link,
        }
    }
}

/// How entries become a reading.
#[derive(Clone, Copy)]
pub(crate) enum Decode {
    /// From the entry alone.
    One(fn(&Entry) -> Reading),
    /// From the entry, or from another call where the driver does not fill the entry in.
    OrAsk(fn(&Entry) -> Reading, fn(&Device) -> Result<Reading, Code>),
    /// From the growth of the entries' sum since the last pass: (KiB, time in µs) to a rate.
    Rate(fn(kibibytes: u64, micros: u64) -> Reading),
    /// A time in ns that adds up, from the entry and what it said in the last pass.
    Time,
}

const fn one(field: FieldId, id: u32, decode: fn(&Entry) -> Reading) -> FieldRow {
    FieldRow {
        field,
        entries: Entries::One(Id::Fixed(id), Scope::Gpu),
        decode: Decode::One(decode),
    }
}

/// `N` fields that count up with NVML's numbers.
const fn run<const N: usize>(first: u16, id: u32, scope: Scope) -> [FieldRow; N] {
    let mut rows = [one(FieldId(0), 0, entry::count); N];
    let mut row = 0;
    while row < N {
        rows[row].field = FieldId(first + row as u16);
        rows[row].entries = Entries::One(Id::Fixed(id + row as u32), scope);
        row += 1;
    }
    rows
}

/// The same, of times.
const fn times<const N: usize>(first: u16, id: u32) -> [FieldRow; N] {
    let mut rows = run(first, id, Scope::Gpu);
    let mut row = 0;
    while row < N {
        rows[row].decode = Decode::Time;
        row += 1;
    }
    rows
}

const RX: Id = Id::Fixed(fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX);
const TX: Id = Id::Fixed(fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX);

const fn both_ways(scope: Scope) -> Entries {
    Entries::Sum(RX, TX, scope)
}

const fn traffic(field: u16, entries: Entries) -> FieldRow {
    FieldRow { field: FieldId(field), entries, decode: Decode::Rate(link_rate) }
}

/// Traffic of `N` links one after the other: both ways.
const fn traffic_both_ways<const N: usize>(first: u16, link: u32) -> [FieldRow; N] {
    let mut rows = [traffic(0, both_ways(Scope::Gpu)); N];
    let mut row = 0;
    while row < N {
        let scope = Scope::Link(link + row as u32);
        rows[row] = traffic(first + row as u16, both_ways(scope));
        row += 1;
    }
    rows
}

/// Traffic of links 0 to 17: one way.
const fn traffic_one_way(first: u16, way: Id) -> [FieldRow; 18] {
    let mut rows = [traffic(0, both_ways(Scope::Gpu)); 18];
    let mut row = 0;
    while row < rows.len() {
        let scope = Scope::Link(row as u32);
        rows[row] = traffic(first + row as u16, Entries::One(way, scope));
        row += 1;
    }
    rows
}

const fn time(field: FieldId, id: Id) -> FieldRow {
    FieldRow { field, entries: Entries::One(id, Scope::Gpu), decode: Decode::Time }
}

const fn renumbered(field: FieldId, before: u32, since: u32) -> FieldRow {
    time(field, Id::Renumbered { before, since })
}

const fn all_links(field: u16, id: u32, decode: fn(&Entry) -> Reading) -> FieldRow {
    let entries = Entries::One(Id::Fixed(id), Scope::AllLinks);
    FieldRow { field: FieldId(field), entries, decode: Decode::One(decode) }
}

/// Fields without a pattern.
static SINGLE: &[FieldRow] = &[
    one(field::MEMORY_TEMP, fi::NVML_FI_DEV_MEMORY_TEMP, entry::celsius),
    one(field::TOTAL_ENERGY_CONSUMPTION, fi::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, entry::count),
    one(field::GPU_ENERGY_JOULES_TOTAL, fi::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, entry::joules),
    one(field::POWER_USAGE_INSTANT, fi::NVML_FI_DEV_POWER_INSTANT, entry::watts),
    FieldRow {
        field: field::ECC_CURRENT,
        entries: Entries::One(Id::Fixed(fi::NVML_FI_DEV_ECC_CURRENT), Scope::Gpu),
        decode: Decode::OrAsk(entry::ecc, |gpu| Ok(convert::int(gpu.ecc_enabled()?))),
    },
    one(field::ECC_SBE_VOL_TOTAL, fi::NVML_FI_DEV_ECC_SBE_VOL_TOTAL, entry::ecc),
    one(field::ECC_DBE_VOL_TOTAL, fi::NVML_FI_DEV_ECC_DBE_VOL_TOTAL, entry::ecc),
    one(field::ECC_SBE_AGG_TOTAL, fi::NVML_FI_DEV_ECC_SBE_AGG_TOTAL, entry::ecc),
    one(field::ECC_DBE_AGG_TOTAL, fi::NVML_FI_DEV_ECC_DBE_AGG_TOTAL, entry::ecc),
    one(field::RETIRED_DBE, fi::NVML_FI_DEV_RETIRED_DBE, entry::count),
    one(field::RETIRED_PENDING, fi::NVML_FI_DEV_RETIRED_PENDING, entry::count),
    one(field::UNCORRECTABLE_REMAPPED_ROWS, fi::NVML_FI_DEV_REMAPPED_UNC, entry::count),
    one(field::CORRECTABLE_REMAPPED_ROWS, fi::NVML_FI_DEV_REMAPPED_COR, entry::count),
    one(field::ROW_REMAP_FAILURE, fi::NVML_FI_DEV_REMAPPED_FAILURE, entry::count),
    one(field::ROW_REMAP_PENDING, fi::NVML_FI_DEV_REMAPPED_PENDING, entry::count),
    one(
        field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        fi::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        entry::count,
    ),
    one(
        field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        fi::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        entry::count,
    ),
    one(
        field::NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        fi::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        entry::count,
    ),
    one(
        field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
        fi::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
        entry::count,
    ),
    // Of the whole GPU, these are the sum of its links; link 0 alone would be a wrong number.
    all_links(497, fi::NVML_FI_DEV_NVLINK_ERROR_DL_CRC, entry::count),
    all_links(498, fi::NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY, entry::count),
    all_links(499, fi::NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, entry::count),
    traffic(449, both_ways(Scope::AllLinks)),
    traffic(843, Entries::One(TX, Scope::AllLinks)),
    traffic(897, Entries::One(RX, Scope::AllLinks)),
    FieldRow {
        field: field::NVLINK_THROUGHPUT_BYTES_PER_SECOND,
        entries: both_ways(Scope::AllLinks),
        decode: Decode::Rate(link_bytes),
    },
    all_links(1214, fi::NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS, entry::count),
    all_links(1215, fi::NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER, entry::count),
    all_links(1216, fi::NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER, entry::bit_error_rate),
    all_links(1217, fi::NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER, entry::count),
    all_links(1218, fi::NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER, entry::bit_error_rate),
    all_links(1219, fi::NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS, entry::count),
    one(FieldId(1220), fi::NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL, entry::count),
    time(
        field::CLOCKS_EVENT_REASON_SW_POWER_CAP_NS,
        Id::Fixed(fi::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP),
    ),
    time(
        field::CLOCKS_EVENT_REASON_SYNC_BOOST_NS,
        Id::Fixed(fi::NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST),
    ),
    renumbered(field::CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS, 251, 269),
    renumbered(field::CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS, 252, 270),
    renumbered(field::CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS, 253, 271),
    one(
        field::PCIE_COUNT_CORRECTABLE_ERRORS,
        fi::NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS,
        entry::count,
    ),
    one(field::GET_GPU_RECOVERY_ACTION, fi::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, entry::count),
];

static VIOLATIONS: [FieldRow; 8] = times(240, fi::NVML_FI_DEV_PERF_POLICY_POWER);
static C2C: [FieldRow; 3] = run(285, fi::NVML_FI_DEV_C2C_LINK_COUNT, Scope::Gpu);

// Error counters of links 0 to 11, which are fields of the GPU.
static FLIT_ERRORS_0: [FieldRow; 6] =
    run(400, fi::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0, Scope::Gpu);
static DATA_ERRORS_0: [FieldRow; 6] =
    run(410, fi::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L0, Scope::Gpu);
static REPLAYS_0: [FieldRow; 6] =
    run(420, fi::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L0, Scope::Gpu);
static RECOVERIES_0: [FieldRow; 6] =
    run(430, fi::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L0, Scope::Gpu);
static FLIT_ERRORS_6: [FieldRow; 6] =
    run(451, fi::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L6, Scope::Gpu);
static DATA_ERRORS_6: [FieldRow; 6] =
    run(457, fi::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L6, Scope::Gpu);
static REPLAYS_6: [FieldRow; 6] =
    run(463, fi::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L6, Scope::Gpu);
static RECOVERIES_6: [FieldRow; 6] =
    run(469, fi::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L6, Scope::Gpu);

// Traffic of single links, which are fields of the GPU.
static TRAFFIC_0: [FieldRow; 6] = traffic_both_ways(440, 0);
static TRAFFIC_6: [FieldRow; 6] = traffic_both_ways(475, 6);
static TRAFFIC_12: [FieldRow; 3] = traffic_both_ways(446, 12);
static TRAFFIC_15: [FieldRow; 3] = traffic_both_ways(494, 15);
static TRAFFIC_OUT: [FieldRow; 18] = traffic_one_way(825, TX);
static TRAFFIC_IN: [FieldRow; 18] = traffic_one_way(879, RX);

// Counters of NVLink 5, over all links.
static PACKETS: [FieldRow; 4] =
    run(1200, fi::NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS, Scope::AllLinks);
static PACKET_ERRORS: [FieldRow; 10] =
    run(1204, fi::NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS, Scope::AllLinks);
static FEC_HISTORY: [FieldRow; 16] =
    run(1404, fi::NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_0, Scope::AllLinks);

/// Every field of the GPU that comes from field values; all that are due go in one call.
pub(crate) static FIELD_TABLE: &[&[FieldRow]] = &[
    SINGLE,
    &VIOLATIONS,
    &C2C,
    &FLIT_ERRORS_0,
    &DATA_ERRORS_0,
    &REPLAYS_0,
    &RECOVERIES_0,
    &FLIT_ERRORS_6,
    &DATA_ERRORS_6,
    &REPLAYS_6,
    &RECOVERIES_6,
    &TRAFFIC_0,
    &TRAFFIC_6,
    &TRAFFIC_12,
    &TRAFFIC_15,
    &TRAFFIC_OUT,
    &TRAFFIC_IN,
    &PACKETS,
    &PACKET_ERRORS,
    &FEC_HISTORY,
];

/// Every field of one NVLink that comes from field values.
pub(crate) static LINK_TABLE: &[FieldRow] = &[
    FieldRow {
        field: FieldId(1508),
        entries: Entries::One(Id::Fixed(fi::NVML_FI_DEV_NVLINK_GET_STATE), Scope::ThisLink),
        decode: Decode::One(entry::count),
    },
    traffic(1529, both_ways(Scope::ThisLink)),
    traffic(1530, Entries::One(TX, Scope::ThisLink)),
    traffic(1531, Entries::One(RX, Scope::ThisLink)),
];

/// NVML's function for them.
pub(crate) const FIELD_VALUES_CALL: &str = "nvmlDeviceGetFieldValues";

/// All rows for the GPU.
pub(crate) fn rows() -> impl Iterator<Item = &'static FieldRow> {
    FIELD_TABLE.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: u16, entries: &[(u32, u32)]) {
        let row = rows().find(|row| row.field == FieldId(field)).expect("a row");
        let found: Vec<(u32, u32)> = match row.entries {
            Entries::One(id, scope) => vec![(id, scope)],
            Entries::Sum(one, other, scope) => vec![(one, scope), (other, scope)],
        }
        .into_iter()
        .map(|(id, scope)| (id.of_driver(Some("550.1")).expect("a number"), scope.number(99)))
        .collect();
        assert_eq!(found, entries, "{field}");
    }

    #[test]
    fn runs_end_with_the_numbers_of_the_field_table() {
        for (field, id) in [
            (240, 74),
            (247, 81),
            (287, 172),
            (405, 37),
            (415, 44),
            (425, 51),
            (435, 58),
            (456, 101),
            (462, 107),
            (468, 113),
            (474, 119),
            (300, 1),
            (311, 4),
            (393, 143),
            (394, 142),
            (395, 145),
            (396, 144),
            (1220, 160),
            (1420, 74),
            (1421, 76),
            (1424, 253),
            (1501, 173),
            (1523, 230),
        ] {
            check(field, &[(id, 0)]);
        }
        for (field, id) in [(1203, 204), (1204, 206), (1210, 212), (1213, 215), (1419, 250)] {
            check(field, &[(id, u32::MAX)]);
        }
        for (field, id) in [(497, 163), (498, 162), (499, 161)] {
            check(field, &[(id, u32::MAX)]);
        }
        for (field, link) in [(440, 0), (445, 5), (475, 6), (480, 11), (448, 14), (496, 17)] {
            check(field, &[(139, link), (138, link)]);
        }
        check(842, &[(138, 17)]);
        check(896, &[(139, 17)]);
        check(843, &[(138, u32::MAX)]);
    }

    #[test]
    fn names_of_single_links_are_those_links() {
        for row in rows() {
            let name = model::catalog::by_id(row.field).expect("a field").name;
            let (Entries::One(_, Scope::Link(link)) | Entries::Sum(_, _, Scope::Link(link))) =
                row.entries
            else {
                continue;
            };
            assert!(name.ends_with(&format!("_L{link}")), "{name}");
        }
    }

    #[test]
    fn times_of_clock_event_reasons_follow_the_drivers_version() {
        let id = Id::Renumbered { before: 251, since: 269 };
        for (version, number) in [
            (Some("550.163.01"), Some(251)),
            (Some("580.65.06"), Some(251)),
            (Some("580.82.07"), Some(269)),
            (Some("580.105.08"), Some(269)),
            (Some("595.10"), Some(269)),
            (Some("unknown"), None),
            (Some("580"), None),
            (None, None),
        ] {
            assert_eq!(id.of_driver(version), number, "{version:?}");
        }
        assert_eq!(Id::Fixed(74).of_driver(None), Some(74));
    }
}
