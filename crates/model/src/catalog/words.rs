//! The meaning of numbers that are codes: states, flags, bit masks.

use crate::clock::CLOCK_REASONS;
use crate::field;
use crate::watch::FieldId;

use super::fields::by_id;
use super::xid;

/// The meaning of `number` as a value of this field; `None` for a plain number, and for a code that
/// is not known.
///
/// ```
/// use model::catalog::in_words;
/// use model::field;
///
/// assert_eq!(in_words(field::GET_GPU_RECOVERY_ACTION, 2).as_deref(), Some("reboot"));
/// assert_eq!(in_words(field::CLOCKS_EVENT_REASONS, 0x24).as_deref(), Some("power_cap, sw_thermal"));
/// assert_eq!(in_words(field::GPU_TEMP, 41), None);
/// ```
pub fn in_words(id: FieldId, number: i64) -> Option<String> {
    match id {
        field::CUDA_DRIVER_VERSION => cuda_version(number),
        field::P2P_NVLINK_STATUS => reached_gpus(number),
        field::CLOCKS_EVENT_REASONS => clock_reasons(number),
        field::FABRIC_HEALTH_MASK => fabric_health(number),
        field::PSTATE => performance_state(number),
        field::XID_ERRORS => xid_name(number),
        _ => {
            let row = by_id(id)?;
            match (row.unit, number) {
                ("enum", _) => state(row.help, number),
                ("flag", 0) => Some("no".to_owned()),
                ("flag", 1) => Some("yes".to_owned()),
                _ => None,
            }
        }
    }
}

/// The word that a help text has for a state: `State of the link: 0 inactive, 1 active`.
fn state(help: &str, number: i64) -> Option<String> {
    let (_, states) = help.split_once(": ")?;
    let mut states = states.split([',', ';']).filter_map(|state| state.trim().split_once(' '));
    let (_, word) = states.find(|(code, _)| code.parse() == Ok(number))?;
    Some(word.to_owned())
}

/// 12040 is 12.4.
fn cuda_version(number: i64) -> Option<String> {
    (number > 0).then(|| format!("{}.{}", number / 1000, number % 1000 / 10))
}

/// A bit for the index of each GPU.
fn reached_gpus(mask: i64) -> Option<String> {
    let gpus: Vec<u32> = (0..i64::BITS).filter(|bit| mask >> bit & 1 == 1).collect();
    Some(match gpus.as_slice() {
        [] => "no GPU".to_owned(),
        [gpu] => format!("GPU {gpu}"),
        gpus => format!("GPUs {}", ranges(gpus)),
    })
}

/// The names that the reasons have in labels.
fn clock_reasons(mask: i64) -> Option<String> {
    let mask = mask.cast_unsigned();
    let known = CLOCK_REASONS.iter().filter(|reason| mask & reason.mask != 0);
    let mut words: Vec<String> = known.map(|reason| reason.name.to_owned()).collect();
    let others = CLOCK_REASONS.iter().fold(mask, |mask, reason| mask & !reason.mask);
    if others != 0 {
        words.push(format!("{others:#x}"));
    }
    Some(if words.is_empty() { "none".to_owned() } else { words.join(", ") })
}

/// Fields of two bits, each 1 for yes, 2 for no and 0 where it is not known; and of four bits, for
/// what is wrong with the configuration.
fn fabric_health(mask: i64) -> Option<String> {
    const TROUBLES: [(u32, &str); 4] = [
        (0, "degraded bandwidth"),
        (2, "route recovery in progress"),
        (4, "route unhealthy"),
        (6, "access timeout recovery in progress"),
    ];
    const FAULTS: [(i64, &str); 4] = [
        (2, "wrong system GUID"),
        (3, "wrong chassis serial number"),
        (4, "no partition"),
        (5, "too few NVLinks"),
    ];
    if mask == 0 {
        return Some("not known".to_owned());
    }
    let troubles = TROUBLES.iter().filter(|(shift, _)| mask >> shift & 0b11 == 1);
    let mut words: Vec<&str> = troubles.map(|(_, word)| *word).collect();
    match mask >> 8 & 0b1111 {
        0 | 1 => {}
        fault => {
            let known = FAULTS.iter().find(|(code, _)| *code == fault);
            words.push(known.map_or("wrong configuration", |(_, word)| *word));
        }
    }
    Some(if words.is_empty() { "no trouble".to_owned() } else { words.join(", ") })
}

/// `P0` to `P15`.
fn performance_state(number: i64) -> Option<String> {
    match number {
        0..=15 => Some(format!("P{number}")),
        32 => Some("unknown".to_owned()),
        _ => None,
    }
}

fn xid_name(code: i64) -> Option<String> {
    match u32::try_from(code).ok()? {
        0 => Some("none".to_owned()),
        code => Some(xid::lookup(code).message.to_owned()),
    }
}

/// Ascending numbers with runs folded: `0-3, 7`.
pub fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let words = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::FIELDS;

    #[test]
    fn every_enum_and_bit_mask_has_words() {
        for field in FIELDS {
            let first = (-1..3).find(|number| in_words(field.id, *number).is_some());
            let is_code = matches!(field.unit, "enum" | "bitmask" | "flag");
            assert!(!is_code || first.is_some(), "{}", field.name);
        }
    }

    #[test]
    fn states_are_those_of_the_help_text() {
        let states = |field: FieldId| {
            let words = (-10..100).filter_map(|n| Some(format!("{n} {}", in_words(field, n)?)));
            words.collect::<Vec<_>>()
        };
        for field in FIELDS.iter().filter(|field| field.unit == "enum") {
            let states = states(field.id);
            assert!(states.len() > 1, "{}", field.name);
            assert!(states.iter().all(|state| field.help.contains(state)), "{states:?}");
        }
        assert_eq!(states(field::EXP_GPU_HEALTH_STATUS), ["0 pass", "10 warn", "20 fail"]);
        assert_eq!(states(field::NVLINK_GET_STATE), ["0 inactive", "1 active", "2 asleep"]);
        assert_eq!(states(field::EXP_P2P_STATUS).len(), 7);
        assert_eq!(
            states(field::NVSWITCH_LINK_STATUS),
            ["-1 not known", "0 off", "1 safe mode", "2 active", "3 error"]
        );
        // 1 is a GPU or an adapter, depending on the library behind DCGM.
        assert_eq!(states(field::NVSWITCH_LINK_TYPE), ["2 switch", "5 GPU"]);
    }

    #[test]
    fn numbers_other_than_states_have_words() {
        for (field, number, words) in [
            (5, 12040, Some("12.4")),
            (5, 13010, Some("13.1")),
            (5, 0, None),
            (64, 0, Some("no GPU")),
            (64, 0b10, Some("GPU 1")),
            (64, 0xfe, Some("GPUs 1-7")),
            (64, i64::MAX, Some("GPUs 0-62")),
            (112, 0, Some("none")),
            (112, 1, Some("gpu_idle")),
            (112, 0x1044, Some("power_cap, hw_thermal, 0x1000")),
            (112, i64::MIN, Some("0x8000000000000000")),
            (94, 1, Some("yes")),
            (300, 0, Some("no")),
            (300, 2, None),
            (174, 0, Some("not known")),
            (174, 170, Some("no trouble")),
            (174, 426, Some("no trouble")),
            (174, 169, Some("degraded bandwidth")),
            (174, 1450, Some("too few NVLinks")),
            (
                174,
                0xf55,
                Some(
                    "degraded bandwidth, route recovery in progress, route unhealthy, access timeout recovery in progress, wrong configuration",
                ),
            ),
            (190, 0, Some("P0")),
            (190, 32, Some("unknown")),
            (190, 16, None),
            (230, 0, Some("none")),
            (230, 79, Some(xid::lookup(79).message)),
            (230, -1, None),
            (1508, 7, None),
            (155, 1, None),
            (0, 1, None),
        ] {
            assert_eq!(in_words(FieldId(field), number).as_deref(), words, "{field} {number}");
        }
    }

    #[test]
    fn runs_of_numbers_are_folded() {
        for (numbers, text) in [
            (&[][..], ""),
            (&[3], "3"),
            (&[0, 1], "0-1"),
            (&[0, 1, 2, 5, 7, 8], "0-2, 5, 7-8"),
            (&[u32::MAX], "4294967295"),
        ] {
            assert_eq!(ranges(numbers), text);
        }
    }
}
