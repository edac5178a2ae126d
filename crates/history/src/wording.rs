//! How sentences name durations, numbers and GPUs.

use std::time::Duration;

use crate::layout::GpuInfo;

/// `45 s`, `12 min`, `1 h 2 min`, `3 d 4 h`. At most two units; seconds only below ten minutes.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |first: u64, first_unit: &str, second: u64, second_unit: &str| match second {
        0 => format!("{first} {first_unit}"),
        _ => format!("{first} {first_unit} {second} {second_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..600 => two(minutes, "min", seconds % 60, "s"),
        600..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// How long something lasted that was seen in only a part of the time: `59 min`, `12 of 59 min`.
pub(crate) fn duration_seen(seen: Duration, lasted: Duration) -> String {
    let whole = duration(lasted);
    // Rows are read at moments, so that the first and the last one may be missed.
    let most = lasted.saturating_mul(9) / 10;
    if seen >= most || lasted.saturating_sub(seen) < Duration::from_secs(30) {
        return whole;
    }
    let part = duration(seen);
    match (part.split_once(' '), whole.split_once(' ')) {
        (Some((number, unit)), Some((_, of_whole))) if unit == of_whole => {
            format!("{number} of {whole}")
        }
        _ => format!("{part} of {whole}"),
    }
}

/// `GPU 3`, `GPUs 1 and 2`, `GPUs 1, 2 and 5`, `8 GPUs`.
pub(crate) fn gpus(gpus: &[GpuInfo]) -> String {
    let mut indexes: Vec<_> = gpus.iter().filter_map(|gpu| gpu.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    match (gpus, indexes.as_slice()) {
        ([], _) => "no GPU".to_owned(),
        ([gpu], _) => gpu.name(),
        (_, _) if indexes.len() != gpus.len() || indexes.len() > 4 => {
            format!("{} GPUs", gpus.len())
        }
        (_, [first @ .., last]) => {
            let first: Vec<_> = first.iter().map(u32::to_string).collect();
            format!("GPUs {} and {last}", first.join(", "))
        }
        (_, []) => format!("{} GPUs", gpus.len()),
    }
}

/// `512 MiB`, `46 GiB`.
pub(crate) fn mib(mib: f64) -> String {
    if mib < 10_240.0 { format!("{mib:.0} MiB") } else { format!("{:.0} GiB", mib / 1024.0) }
}

/// A whole number in a sentence.
pub(crate) fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// The sentence with its first letter large.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        for (seconds, expected) in [
            (0.5, "500 ms"),
            (45.0, "45 s"),
            (60.0, "1 min"),
            (125.0, "2 min 5 s"),
            (660.0, "11 min"),
            (3720.0, "1 h 2 min"),
            (7200.0, "2 h"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
    }

    #[test]
    fn what_was_seen_in_a_part_of_the_time_is_told_with_both() {
        let told =
            |seen, lasted| duration_seen(Duration::from_secs(seen), Duration::from_secs(lasted));
        assert_eq!(told(12 * 60, 59 * 60), "12 of 59 min");
        assert_eq!(told(3500, 3540), "59 min");
        assert_eq!(told(720, 3900), "12 min of 1 h 5 min");
        assert_eq!(told(0, 20), "20 s");
    }

    #[test]
    fn a_few_gpus_are_named_and_many_are_counted() {
        let some = |indexes: &[u32]| {
            let gpu = |&index| GpuInfo { index: Some(index), ..GpuInfo::default() };
            gpus(&indexes.iter().map(gpu).collect::<Vec<_>>())
        };
        assert_eq!(some(&[3]), "GPU 3");
        assert_eq!(some(&[2, 1]), "GPUs 1 and 2");
        assert_eq!(some(&[1, 2, 5]), "GPUs 1, 2 and 5");
        assert_eq!(some(&[0, 1, 2, 3, 4, 5, 6, 7]), "8 GPUs");
    }
}
