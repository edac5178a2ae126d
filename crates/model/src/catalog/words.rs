//! What the numbers of a field stand for, where they are codes: a state, flags, bits.

use crate::{CLOCK_REASONS, FieldId, field};

use crate::catalog::{by_id, xid};

/// How the numbers of a field become words.
enum Coding {
    /// Each number has a word.
    States(&'static [(i64, &'static str)]),
    /// Anything else. None where a number has no words.
    Other(fn(i64) -> Option<String>),
}

use Coding::{Other, States};

/// What an NVSwitch's link leads to. What 1 is depends on the library behind DCGM: a GPU or an adapter.
const LINK_TYPE: FieldId = FieldId(871);

/// The fields whose numbers have words. The words of states are those of the help texts.
static CODINGS: &[(FieldId, Coding)] = &[
    (field::CUDA_DRIVER_VERSION, Other(cuda_version)),
    (FieldId(64), Other(reached_gpus)),
    (field::CLOCKS_EVENT_REASONS, Other(clock_reasons)),
    (
        field::FABRIC_MANAGER_STATUS,
        States(&[
            (0, "has none"),
            (1, "not started"),
            (2, "in progress"),
            (3, "joined"),
            (4, "failed"),
        ]),
    ),
    (field::FABRIC_HEALTH_MASK, Other(fabric_health)),
    (
        field::FABRIC_HEALTH_SUMMARY,
        States(&[(0, "not known"), (1, "healthy"), (2, "unhealthy"), (3, "limited capacity")]),
    ),
    (field::PSTATE, Other(performance_state)),
    (field::XID_ERRORS, Other(xid_name)),
    (FieldId(286), States(&[(0, "inactive"), (1, "active")])),
    (
        FieldId(870),
        States(&[(-1, "not known"), (0, "off"), (1, "safe mode"), (2, "active"), (3, "error")]),
    ),
    (LINK_TYPE, States(&[(2, "switch"), (5, "GPU")])),
    (field::NVLINK_GET_STATE, States(&[(0, "inactive"), (1, "active"), (2, "asleep")])),
    (
        field::GET_GPU_RECOVERY_ACTION,
        States(&[
            (0, "nothing"),
            (1, "GPU reset"),
            (2, "reboot"),
            (3, "drain of peer-to-peer traffic"),
            (4, "drain and reset"),
        ]),
    ),
    (field::EXP_GPU_HEALTH_STATUS, States(&[(0, "pass"), (10, "warn"), (20, "fail")])),
    (
        field::EXP_P2P_STATUS,
        States(&[
            (0, "good"),
            (1, "chipset not supported"),
            (2, "GPU not supported"),
            (3, "topology not supported"),
            (4, "disabled by registry key"),
            (5, "not supported"),
            (6, "unknown"),
        ]),
    ),
];

/// What `number` stands for as a value of this field; none where it is a plain number, or a code of
/// which nothing is known.
///
/// ```
/// use model::catalog::in_words;
/// use model::field;
///
/// assert_eq!(in_words(field::GET_GPU_RECOVERY_ACTION, 2).as_deref(), Some("reboot"));
/// assert_eq!(in_words(field::CLOCKS_EVENT_REASONS, 0x24).as_deref(), Some("power_cap, sw_thermal"));
/// assert_eq!(in_words(field::GPU_TEMP, 41), None);
/// ```
pub fn in_words(field: FieldId, number: i64) -> Option<String> {
    if let Some((_, coding)) = CODINGS.iter().find(|(known, _)| *known == field) {
        return match coding {
            States(states) => {
                let state = states.iter().find(|(code, _)| *code == number);
                state.map(|(_, word)| (*word).to_owned())
            }
            Other(words) => words(number),
        };
    }
    match (by_id(field)?.unit, number) {
        ("flag", 0) => Some("no".to_owned()),
        ("flag", 1) => Some("yes".to_owned()),
        _ => None,
    }
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

/// Ascending numbers as people write them: `0-3, 7`.
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
    use crate::catalog::{FIELDS, builtin, counters};

    #[test]
    fn every_enum_and_bit_mask_has_words() {
        for field in FIELDS.iter().filter(|field| matches!(field.unit, "enum" | "bitmask")) {
            assert!(CODINGS.iter().any(|(id, _)| *id == field.id), "{}", field.name);
        }
        for (id, _) in CODINGS {
            assert!(by_id(*id).is_some(), "{id}");
            assert_eq!(CODINGS.iter().filter(|(other, _)| other == id).count(), 1, "{id}");
        }
    }

    /// `State of the link: 0 inactive, 1 active` gives each number the word that the table has.
    #[test]
    fn words_are_those_of_the_help_texts() {
        let helps = [builtin::ALL, builtin::MACHINE].map(|set| counters::parse(set.as_bytes()));
        let mut checked = 0;
        for watch in helps.iter().flat_map(|counters| &counters.watches) {
            let Some((_, list)) = watch.help.split_once(": ") else { continue };
            if watch.field == LINK_TYPE {
                continue;
            }
            let states = list.split(", ").filter_map(|item| item.split_once(' '));
            for (number, word) in states {
                let Ok(number) = number.parse::<i64>() else { continue };
                let is_range = word.starts_with("to ");
                if is_range {
                    continue;
                }
                assert_eq!(in_words(watch.field, number).as_deref(), Some(word), "{}", watch.name);
                checked += 1;
            }
        }
        assert_eq!(checked, 29);
    }

    #[test]
    fn what_is_no_state_has_words_of_its_own() {
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
