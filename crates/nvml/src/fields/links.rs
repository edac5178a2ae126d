//! NVLinks: traffic, errors and states, of each link and of all together.

use model::{FieldId, Reading, Reason, Value, field};
use nvml_wrapper_sys::bindings::{self as sys, field_id as fi};

use crate::call::function;
use crate::code::Code;
use crate::convert::int;
use crate::device::Device;
use crate::entries::{Decode, Entries, Id, Scope};
use crate::entry::{self, Entry};
use crate::row::{Call, OrdinaryCall, Read, Row, decoded, field_value, row, run};

/// No GPU has more.
pub(crate) const MOST_LINKS: u32 = 36;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    // Of the GPU.
    field_value!(NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, entry::count),
    field_value!(NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, entry::count),
    field_value!(NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, NVLINK_REPLAY_ERROR_COUNT_TOTAL, entry::count),
    field_value!(NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, NVLINK_RECOVERY_ERROR_COUNT_TOTAL, entry::count),
    run(1220, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL)], Scope::Gpu)),
    run(285, 3, count(&[Id::Fixed(fi::NVML_FI_DEV_C2C_LINK_COUNT)], Scope::Gpu)),
    field_value!(NVML_FI_DEV_C2C_LINK_ERROR_INTR, C2C_LINK_ERROR_INTR, entry::count),
    field_value!(NVML_FI_DEV_C2C_LINK_ERROR_REPLAY, C2C_LINK_ERROR_REPLAY, entry::count),
    field_value!(NVML_FI_DEV_C2C_LINK_POWER_STATE, C2C_LINK_POWER_STATE, entry::count),

    // Of all links together; link 0 alone would be a wrong number.
    run(497, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_ERROR_DL_CRC)], Scope::AllLinks)),
    run(498, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY)], Scope::AllLinks)),
    run(499, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY)], Scope::AllLinks)),
    run(449, 1, rate(BOTH_WAYS, Scope::AllLinks)),
    run(843, 1, rate(OUT, Scope::AllLinks)),
    run(897, 1, rate(IN, Scope::AllLinks)),
    row(
        &[field::NVLINK_THROUGHPUT_BYTES_PER_SECOND],
        Call::FieldValue(Entries { ids: BOTH_WAYS, scope: Scope::AllLinks }, Decode::Rate(link_bytes)),
    ),
    run(1200, 4, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS)], Scope::AllLinks)),
    run(1204, 10, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS)], Scope::AllLinks)),
    run(1214, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS)], Scope::AllLinks)),
    run(1215, 1, count(SYMBOL_BER, Scope::AllLinks)),
    run(1216, 1, decoded(SYMBOL_BER, Scope::AllLinks, bit_error_rate)),
    run(1217, 1, count(EFFECTIVE_BER, Scope::AllLinks)),
    run(1218, 1, decoded(EFFECTIVE_BER, Scope::AllLinks, bit_error_rate)),
    run(1219, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS)], Scope::AllLinks)),
    run(1404, 16, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_FEC_HISTORY_0)], Scope::AllLinks)),

    // Errors of single links, which are fields of the GPU.
    run(400, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0)], Scope::Gpu)),
    run(410, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L0)], Scope::Gpu)),
    run(420, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L0)], Scope::Gpu)),
    run(430, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L0)], Scope::Gpu)),
    run(451, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L6)], Scope::Gpu)),
    run(457, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_L6)], Scope::Gpu)),
    run(463, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_L6)], Scope::Gpu)),
    run(469, 6, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_L6)], Scope::Gpu)),
    run(406, 3, errors(Scope::Link(12), flit_errors)),
    run(416, 3, errors(Scope::Link(12), data_errors)),
    run(426, 3, errors(Scope::Link(12), replays)),
    run(436, 3, errors(Scope::Link(12), recoveries)),
    run(481, 3, errors(Scope::Link(15), flit_errors)),
    run(484, 3, errors(Scope::Link(15), data_errors)),
    run(487, 3, errors(Scope::Link(15), replays)),
    run(491, 3, errors(Scope::Link(15), recoveries)),

    // Traffic of single links, which are fields of the GPU.
    run(440, 6, rate(BOTH_WAYS, Scope::Link(0))),
    run(475, 6, rate(BOTH_WAYS, Scope::Link(6))),
    run(446, 3, rate(BOTH_WAYS, Scope::Link(12))),
    run(494, 3, rate(BOTH_WAYS, Scope::Link(15))),
    run(825, 18, rate(OUT, Scope::Link(0))),
    run(879, 18, rate(IN, Scope::Link(0))),

    // Of each link.
    run(1508, 1, count(&[Id::Fixed(fi::NVML_FI_DEV_NVLINK_GET_STATE)], Scope::ThisLink)),
    run(1525, 1, errors(Scope::ThisLink, flit_errors)),
    run(1526, 1, errors(Scope::ThisLink, data_errors)),
    run(1527, 1, errors(Scope::ThisLink, replays)),
    run(1528, 1, errors(Scope::ThisLink, recoveries)),
    run(1529, 1, rate(BOTH_WAYS, Scope::ThisLink)),
    run(1530, 1, rate(OUT, Scope::ThisLink)),
    run(1531, 1, rate(IN, Scope::ThisLink)),
    run(580, 1, Call::PortCounter(1001)), // Whether a recovery is under way, from the register PPRM.
    run(581, 1, Call::PortCounter(102)),  // Seconds since the last recovery.
    run(582, 1, Call::PortCounter(103)),  // Milliseconds between the last two.
    run(583, 1, Call::PortCounter(101)),  // Recoveries that succeeded, in all.
    run(584, 1, Call::PortCounter(2)),    // Recoveries that succeeded, of the physical layer.
    run(585, 1, Call::PortCounter(1)),    // How often the link went down.
    run(586, 1, Call::PortCounter(301)),  // Codes received,
    run(587, 1, Call::PortCounter(302)),  // with errors,
    run(588, 1, Call::PortCounter(303)),  // and beyond correction.
    run(589, 1, Call::PortCounter(304)),  // Codes sent,
    run(590, 1, Call::PortCounter(305)),  // and sent again,
    run(591, 1, Call::PortCounter(306)),  // and how often that was needed.
    run(592, 1, Call::PortCounter(307)),  // How often both ends found each other again.
    run(1509, 1, Call::PortCounter(201)), // How long the port had data and could not send it.

    // Of the connections to other GPUs.
    row(PEER_FIELDS, Call::Peers),
];

/// A bit for each peer, by its index: whether NVLink connects it.
pub(crate) const PEERS_CONNECTED: FieldId = FieldId(64);

const PEER_FIELDS: &[FieldId] = &[PEERS_CONNECTED, field::EXP_P2P_STATUS];
const OUT: &[Id] = &[Id::Fixed(fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX)];
const IN: &[Id] = &[Id::Fixed(fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX)];
const BOTH_WAYS: &[Id] = &[IN[0], OUT[0]];
const SYMBOL_BER: &[Id] = &[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER)];
const EFFECTIVE_BER: &[Id] = &[Id::Fixed(fi::NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER)];

const fn count(ids: &'static [Id], scope: Scope) -> Call {
    decoded(ids, scope, entry::count)
}

const fn rate(ids: &'static [Id], scope: Scope) -> Call {
    Call::FieldValue(Entries { ids, scope }, Decode::Rate(link_rate))
}

const fn errors(scope: Scope, read: fn(&Device, u32) -> Result<Reading, Code>) -> Call {
    let name = "nvmlDeviceGetNvLinkErrorCounter";
    Call::Ordinary(OrdinaryCall { name, read: Read::Link(scope, read) })
}

fn flit_errors(gpu: &Device, link: u32) -> Result<Reading, Code> {
    link_errors(gpu, link, sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_FLIT)
}

fn data_errors(gpu: &Device, link: u32) -> Result<Reading, Code> {
    link_errors(gpu, link, sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_DATA)
}

fn replays(gpu: &Device, link: u32) -> Result<Reading, Code> {
    link_errors(gpu, link, sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_REPLAY)
}

fn recoveries(gpu: &Device, link: u32) -> Result<Reading, Code> {
    link_errors(gpu, link, sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_RECOVERY)
}

/// An error counter of one NVLink.
fn link_errors(
    gpu: &Device,
    link: u32,
    counter: sys::nvmlNvLinkErrorCounter_t,
) -> Result<Reading, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetNvLinkErrorCounter)?;
    let mut count = 0;
    // SAFETY: the call writes one number, to a live local.
    Code::check(unsafe { get(gpu.handle, link, counter, &mut count) }).map_err(|code| {
        match code {
            // The GPU has no link of this number, or none that counts this.
            Code::INVALID_ARGUMENT => Code::NOT_SUPPORTED,
            code => code,
        }
    })?;
    Ok(int(count))
}

/// How many NVLinks the GPU has, up or down: one more than the number of the last. `None` if that
/// is not known now, as while links are trained again.
///
/// # Errors
///
/// NVML's code, if it is about the GPU.
pub(crate) fn count_links(gpu: &Device) -> Result<Option<u32>, Code> {
    let mut count = 0;
    for link in 0..MOST_LINKS {
        match gpu.number_of(link, |nvml| &nvml.nvmlDeviceGetNvLinkState) {
            Ok(_) => count = link + 1,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            // There is no such number, nor a higher one.
            Err(Code::INVALID_ARGUMENT) => break,
            // A board may leave some of its links out.
            Err(code) if code.reason() == Reason::NotSupported => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(count))
}

/// KiB in a time to MB/s as DCGM counts them: thousands of KiB per second, rounded down.
fn link_rate(kibibytes: u64, micros: u64) -> Reading {
    let per_second = u128::from(kibibytes) * 1_000_000 / u128::from(micros.max(1));
    int(per_second / 1000)
}

/// KiB in a time to bytes per second, rounded down.
fn link_bytes(kibibytes: u64, micros: u64) -> Reading {
    int(u128::from(kibibytes) * 1024 * 1_000_000 / u128::from(micros.max(1)))
}

/// A bit error rate, which NVLink packs into a mantissa of four bits and an exponent of eight.
fn bit_error_rate(entry: &Entry) -> Reading {
    const MANTISSA_SHIFT: u32 = 8;
    const MANTISSA_MASK: u64 = 0xf;
    const EXPONENT_MASK: u64 = 0xff;
    let packed = entry::unsigned(entry)?;
    if packed > u64::from(u32::MAX) {
        return Err(Reason::Implausible);
    }
    let mantissa = (packed >> MANTISSA_SHIFT & MANTISSA_MASK) as f64;
    let exponent = (packed & EXPONENT_MASK) as i32;
    Ok(Value::Float(mantissa / 10f64.powi(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: FieldId) -> &'static str {
        model::catalog::by_id(field).map_or("", |row| row.name)
    }

    #[test]
    fn error_counters_have_the_numbers_of_the_field_table() {
        let counters: Vec<(FieldId, u32)> = ROWS
            .iter()
            .filter_map(|row| match row.call {
                Call::Ordinary(OrdinaryCall { read: Read::Link(scope, _), .. }) => {
                    Some((row, scope))
                }
                _ => None,
            })
            .flat_map(|(row, scope)| {
                row.fields.iter().map(move |(offset, field)| (field, scope.number(offset, 99)))
            })
            .collect();
        let kinds = ["CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY"];
        assert_eq!(counters.len(), kinds.len() * (6 + 1));
        for (place, (field, link)) in counters.into_iter().enumerate() {
            let expected = match link {
                99 => format!("DCGM_FI_DEV_NVLINK_{}_ERROR_PER_LINK_TOTAL", kinds[place % 4]),
                _ => format!("DCGM_FI_DEV_NVLINK_{}_ERROR_COUNT_L{link}", kinds[place / 3 % 4]),
            };
            assert_eq!(name(field), expected);
            assert!(link == 99 || (12..18).contains(&link));
        }
    }

    #[test]
    fn names_of_single_links_are_those_links() {
        for row in ROWS {
            let Call::FieldValue(Entries { scope: scope @ Scope::Link(_), .. }, _) = row.call
            else {
                continue;
            };
            for (offset, field) in row.fields.iter() {
                let link = scope.number(offset, 99);
                assert!(name(field).ends_with(&format!("_L{link}")), "{}", name(field));
            }
        }
    }

    #[test]
    fn no_port_counter_is_read_twice() {
        let mut ids: Vec<u32> = ROWS
            .iter()
            .filter_map(|row| match row.call {
                Call::PortCounter(id) => Some(id),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids.len(), 14);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }

    #[test]
    fn traffic_is_rounded_down_in_both_units() {
        // 3,999,999 KiB in 2 s are 1,999,999.5 KiB/s: 1,999 thousands of them.
        assert_eq!(link_rate(3_999_999, 2_000_000), Ok(Value::Int(1_999)));
        assert_eq!(link_bytes(3_999_999, 2_000_000), Ok(Value::Int(2_047_999_488)));
        assert_eq!(link_bytes(1, 3), Ok(Value::Int(341_333_333)));
        assert_eq!(link_rate(u64::MAX, 1), Err(Reason::Implausible));
        assert_eq!(link_bytes(u64::MAX, 0), Err(Reason::Implausible));
    }

    #[test]
    fn bit_error_rates_are_unpacked() {
        let rate = |packed| bit_error_rate(&entry::answer(3, |value| value.ullVal = packed));
        assert_eq!(rate(0x0f0f), Ok(Value::Float(15e-15)));
        assert_eq!(rate(0x0100), Ok(Value::Float(1.0)));
        assert_eq!(rate(0x070c), Ok(Value::Float(7e-12)));
        assert_eq!(rate(0x030a), Ok(Value::Float(3e-10)));
        assert_eq!(rate(0x00ff), Ok(Value::Float(0.0)));
        // What is above the twelve bits is not part of it.
        assert_eq!(rate(0xffff_f105), Ok(Value::Float(1e-5)));
        assert_eq!(rate(1 << 32), Err(Reason::Implausible));
    }
}
