//! How raw numbers become readings: one function per kind of number. What cannot be is never handed
//! on as a number.

use model::{Reading, Reason, Value};

use crate::device::{Fabric, FabricState, Memory};

/// A temperature above it is a sensor that is not there.
const HOTTEST_CELSIUS: u32 = 200;
/// No clock is as fast.
const FASTEST_MHZ: u32 = 100_000;
/// No board draws as much.
const MOST_MILLIWATTS: u32 = 100_000_000;
/// Averages of the hardware's counters overshoot a little.
const MOST_GPM_PERCENT: f64 = 101.0;
/// A petabyte per second is no traffic of one GPU.
const MOST_MEBIBYTES_PER_SECOND: f64 = 1e9;
/// Where doubles end to be whole numbers that an `i64` holds.
const MOST_COUNT: f64 = 9.2e18;

/// A whole number as it is. One that no `i64` holds is nonsense, not a number.
pub(crate) fn int(raw: impl TryInto<i64>) -> Reading {
    raw.try_into().map(Value::Int).map_err(|_| Reason::Implausible)
}

/// A 32-bit number as it is. All ones is how drivers say "not available".
pub(crate) fn int32(raw: u32) -> Reading {
    if raw == u32::MAX { Err(Reason::Implausible) } else { int(raw) }
}

/// Percent as they are. Drivers have been seen to answer with values such as 808334905.
pub(crate) fn percent(raw: u32) -> Reading {
    if raw > 100 { Err(Reason::Implausible) } else { int(raw) }
}

/// Percent to a ratio.
pub(crate) fn ratio(percent: u32) -> Reading {
    self::percent(percent)?;
    Ok(Value::Float(f64::from(percent) / 100.0))
}

/// Degrees as they are.
pub(crate) fn celsius(raw: u32) -> Reading {
    if raw > HOTTEST_CELSIUS { Err(Reason::Implausible) } else { int(raw) }
}

/// Degrees left to a threshold, which may be past.
pub(crate) fn margin(raw: i32) -> Reading {
    if raw.unsigned_abs() > HOTTEST_CELSIUS { Err(Reason::Implausible) } else { int(raw) }
}

/// MHz as they are.
pub(crate) fn megahertz(raw: u32) -> Reading {
    if raw > FASTEST_MHZ { Err(Reason::Implausible) } else { int(raw) }
}

/// MHz to Hz.
pub(crate) fn hertz(megahertz: u32) -> Reading {
    self::megahertz(megahertz)?;
    int(u64::from(megahertz) * 1_000_000)
}

/// Milliwatts to watts.
pub(crate) fn watts(milliwatts: u32) -> Reading {
    if milliwatts > MOST_MILLIWATTS {
        return Err(Reason::Implausible);
    }
    Ok(Value::Float(f64::from(milliwatts) / 1000.0))
}

/// Milliwatts to whole watts, rounded down, as limits are.
pub(crate) fn whole_watts(milliwatts: u32) -> Reading {
    watts(milliwatts)?;
    Ok(Value::Float(f64::from(milliwatts / 1000)))
}

/// Millijoules to whole joules, rounded down.
pub(crate) fn joules(millijoules: u64) -> Reading {
    int(millijoules)?;
    int(millijoules / 1000)
}

/// Bytes to whole MiB, rounded down.
pub(crate) fn mebibytes(bytes: u64) -> Reading {
    int(bytes)?;
    int(bytes / (1024 * 1024))
}

/// Framebuffer in use as a ratio of what is not held back.
pub(crate) fn used_ratio(memory: &Memory) -> Reading {
    let usable = memory.total.checked_sub(memory.reserved.unwrap_or(0));
    match usable {
        Some(0) => Err(Reason::NoData),
        Some(usable) if memory.used <= usable => {
            Ok(Value::Float(memory.used as f64 / usable as f64))
        }
        _ => Err(Reason::Implausible),
    }
}

/// KiB in a time to MB/s as DCGM counts them: thousands of KiB per second, rounded down.
pub(crate) fn link_rate(kibibytes: u64, micros: u64) -> Reading {
    let per_second = u128::from(kibibytes) * 1_000_000 / u128::from(micros.max(1));
    int(per_second / 1000)
}

/// KiB in a time to bytes per second, rounded down.
pub(crate) fn link_bytes(kibibytes: u64, micros: u64) -> Reading {
    int(u128::from(kibibytes) * 1024 * 1_000_000 / u128::from(micros.max(1)))
}

/// A bit error rate that NVLink packs into a mantissa of four bits and an exponent of eight.
pub(crate) fn bit_error_rate(packed: u64) -> Reading {
    const MANTISSA_SHIFT: u32 = 8;
    const MANTISSA_MASK: u64 = 0xf;
    const EXPONENT_MASK: u64 = 0xff;
    if packed > u64::from(u32::MAX) {
        return Err(Reason::Implausible);
    }
    let mantissa = (packed >> MANTISSA_SHIFT & MANTISSA_MASK) as f64;
    let exponent = (packed & EXPONENT_MASK) as i32;
    Ok(Value::Float(mantissa / 10f64.powi(exponent)))
}

/// A text as it is; an empty one says nothing.
pub(crate) fn text(raw: String) -> Reading {
    if raw.is_empty() { Err(Reason::NoData) } else { Ok(Value::Text(raw.into())) }
}

/// A count of NVLink errors or the like, 64 bits as they are.
pub(crate) fn count(raw: u64) -> Reading {
    int(raw)
}

/// The version that the structure of the unrepairable memory flag carries, where it carries one.
pub(crate) const UNREPAIRABLE_VERSION: u32 = 8 | 1 << 24;

/// The unrepairable memory flag. NVIDIA publishes two forms of its structure: version and flag, and
/// the flag alone. In the first, the version that was asked with is still there.
pub(crate) fn unrepairable(words: [u32; 2]) -> Reading {
    match words {
        [UNREPAIRABLE_VERSION, flag @ (0 | 1)] | [flag @ (0 | 1), _] => int(flag),
        _ => Err(Reason::Implausible),
    }
}

/// What is only known of a GPU that is in a fabric.
pub(crate) fn in_fabric(fabric: &Fabric, reading: impl FnOnce() -> Reading) -> Reading {
    if fabric.state == FabricState::NOT_SUPPORTED { Err(Reason::NotSupported) } else { reading() }
}

/// How far joining the fabric is, as DCGM counts: NVML's "completed" is 3 if it went well and 4 if it
/// did not; what it may say in future is 5.
pub(crate) fn fabric_status(fabric: &Fabric) -> Reading {
    match fabric.state {
        FabricState::COMPLETED if fabric.status != 0 => int(4),
        FabricState(known) if known <= FabricState::COMPLETED.0 => int(known),
        _ => int(5),
    }
}

/// A performance state; 32 is how drivers say that they do not know.
pub(crate) fn performance_state(state: u32) -> Reading {
    if state <= 15 { int(state) } else { Err(Reason::NoData) }
}

/// How joining the fabric ended.
pub(crate) fn fabric_error(fabric: &Fabric) -> Reading {
    in_fabric(fabric, || match fabric.state {
        FabricState::COMPLETED => int32(fabric.status),
        _ => Err(Reason::NoData),
    })
}

/// A UUID of 16 bytes as text.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// What a GPM metric's number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GpmUnit {
    /// Percent, 0 to 100, served as a ratio.
    Percent,
    /// MiB per second, served as bytes per second, rounded down.
    MebibytesPerSecond,
    /// A count, rounded down.
    Count,
}

/// A GPM metric's number to the field's.
pub(crate) fn gpm(value: f64, unit: GpmUnit) -> Reading {
    if value.is_nan() {
        return Err(Reason::NoData);
    }
    let most = match unit {
        GpmUnit::Percent => MOST_GPM_PERCENT,
        GpmUnit::MebibytesPerSecond => MOST_MEBIBYTES_PER_SECOND,
        GpmUnit::Count => MOST_COUNT,
    };
    if !(0.0..=most).contains(&value) {
        return Err(Reason::Implausible);
    }
    Ok(match unit {
        GpmUnit::Percent => Value::Float(value / 100.0),
        GpmUnit::Count => Value::Int(value as i64),
        GpmUnit::MebibytesPerSecond => Value::Int((value * 1_048_576.0) as i64),
    })
}

/// The state of the way to another GPU, as NVML numbers it, to dcgm-exporter's number, which
/// happens to be the same: 0 OK, 1 chipset not supported, 2 GPU not supported, 3 topology not
/// supported, 4 disabled by registry key, 5 not supported, 6 unknown.
pub(crate) fn link_status(raw: u32) -> Reading {
    if raw > 6 { Err(Reason::Implausible) } else { int(raw) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPLAUSIBLE: Reading = Err(Reason::Implausible);

    fn whole(number: i64) -> Reading {
        Ok(Value::Int(number))
    }

    fn real(number: f64) -> Reading {
        Ok(Value::Float(number))
    }

    #[test]
    fn numbers_keep_their_unit_or_become_the_base_unit() {
        assert_eq!(percent(57), whole(57));
        assert_eq!(ratio(57), real(0.57));
        assert_eq!(celsius(83), whole(83));
        assert_eq!(margin(-3), whole(-3));
        assert_eq!(megahertz(1_755), whole(1_755));
        assert_eq!(hertz(1_755), whole(1_755_000_000));
        assert_eq!(watts(299_999), real(299.999));
        assert_eq!(whole_watts(299_999), real(299.0));
        assert_eq!(joules(12_345_999), whole(12_345));
        assert_eq!(mebibytes(85_520_809_983), whole(81_558));
        assert_eq!(text(String::from("96.00.5E")), Ok(Value::Text("96.00.5E".into())));
        assert_eq!(text(String::new()), Err(Reason::NoData));
    }

    #[test]
    fn nonsense_is_never_a_number() {
        for reading in [
            percent(808_334_905),
            ratio(101),
            celsius(255),
            celsius(201),
            margin(-201),
            margin(i32::MIN),
            megahertz(100_001),
            hertz(u32::MAX),
            watts(100_000_001),
            watts(u32::MAX),
            whole_watts(u32::MAX),
            int(u64::MAX),
            int32(u32::MAX),
            mebibytes(u64::MAX),
            joules(u64::MAX),
            count(u64::MAX),
            bit_error_rate(u64::MAX),
            unrepairable([7, 1]),
            unrepairable([UNREPAIRABLE_VERSION, 2]),
            unrepairable([UNREPAIRABLE_VERSION, u32::MAX]),
            link_status(7),
            gpm(-0.001, GpmUnit::Percent),
            gpm(101.01, GpmUnit::Percent),
            gpm(f64::INFINITY, GpmUnit::Percent),
            gpm(-1.0, GpmUnit::MebibytesPerSecond),
            gpm(1e10, GpmUnit::MebibytesPerSecond),
            gpm(-1.0, GpmUnit::Count),
            gpm(1e19, GpmUnit::Count),
        ] {
            assert_eq!(reading, IMPLAUSIBLE);
        }
    }

    #[test]
    fn traffic_of_links_is_rounded_down_in_both_units() {
        // 3,999,999 KiB in 2 s are 1,999,999.5 KiB/s: 1,999 thousands of them.
        assert_eq!(link_rate(3_999_999, 2_000_000), whole(1_999));
        assert_eq!(link_bytes(3_999_999, 2_000_000), whole(2_047_999_488));
        assert_eq!(link_bytes(1, 3), whole(341_333_333));
        assert_eq!(link_rate(u64::MAX, 1), IMPLAUSIBLE);
        assert_eq!(link_bytes(u64::MAX, 0), IMPLAUSIBLE);
    }

    #[test]
    fn memory_in_use_is_a_ratio_of_what_is_usable() {
        let memory = |total, reserved, used| Memory { total, reserved, free: 0, used };
        assert_eq!(used_ratio(&memory(1_100, Some(100), 250)), real(0.25));
        assert_eq!(used_ratio(&memory(1_000, None, 250)), real(0.25));
        assert_eq!(used_ratio(&memory(100, Some(100), 0)), Err(Reason::NoData));
        assert_eq!(used_ratio(&memory(100, Some(50), 51)), IMPLAUSIBLE);
        assert_eq!(used_ratio(&memory(100, Some(101), 0)), IMPLAUSIBLE);
    }

    #[test]
    fn bit_error_rates_are_unpacked() {
        assert_eq!(bit_error_rate(0x0f0f), real(15e-15));
        assert_eq!(bit_error_rate(0x0100), real(1.0));
        assert_eq!(bit_error_rate(0x070c), real(7e-12));
        assert_eq!(bit_error_rate(0x00ff), real(0.0));
        // What is above the twelve bits is not part of it.
        assert_eq!(bit_error_rate(0xffff_f105), real(1e-5));
    }

    #[test]
    fn gpm_percent_may_overshoot_a_little() {
        assert_eq!(gpm(12.5, GpmUnit::Percent), real(0.125));
        assert_eq!(gpm(100.5, GpmUnit::Percent), real(1.005));
        assert_eq!(gpm(1.5, GpmUnit::MebibytesPerSecond), whole(1_572_864));
        assert_eq!(gpm(123_456_789.9, GpmUnit::Count), whole(123_456_789));
        for unit in [GpmUnit::Percent, GpmUnit::MebibytesPerSecond, GpmUnit::Count] {
            assert_eq!(gpm(f64::NAN, unit), Err(Reason::NoData));
        }
    }

    #[test]
    fn both_forms_of_the_unrepairable_flag_are_understood() {
        assert_eq!(unrepairable([UNREPAIRABLE_VERSION, 0]), whole(0));
        assert_eq!(unrepairable([UNREPAIRABLE_VERSION, 1]), whole(1));
        assert_eq!(unrepairable([0, u32::MAX]), whole(0));
        assert_eq!(unrepairable([1, u32::MAX]), whole(1));
    }

    #[test]
    fn a_gpu_without_fabric_has_a_state_and_nothing_else() {
        let fabric = |state, status| Fabric {
            state,
            status,
            cluster: [0; 16],
            clique: 3,
            health_mask: None,
            health_summary: None,
        };
        let none = fabric(FabricState::NOT_SUPPORTED, 0);
        assert_eq!(fabric_error(&none), Err(Reason::NotSupported));
        assert_eq!(fabric_error(&fabric(FabricState(2), 0)), Err(Reason::NoData));
        assert_eq!(fabric_error(&fabric(FabricState::COMPLETED, 999)), whole(999));
        assert_eq!(in_fabric(&fabric(FabricState(1), 0), || int(3)), whole(3));
    }

    #[test]
    fn a_uuid_is_written_in_five_groups() {
        let bytes: [u8; 16] = std::array::from_fn(|place| place as u8 * 17);
        assert_eq!(uuid(&bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
