//! How sentences name durations, numbers and GPUs.

use std::time::Duration;

/// XIDs whose process is often a bystander: the one that asked the firmware when that no longer answered.
pub(crate) const BYSTANDER: [u32; 2] = [119, 120];

use crate::layout::GpuInfo;

/// What is said of PCIe packets that are counted, and not of a slow link.
pub(crate) const SENT_AGAIN: &str = "sent again on PCIe";

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

/// `GPU 3`, `GPU 0-3, 7`; those that the driver does not list by their PCI addresses.
pub(crate) fn gpus(gpus: &[GpuInfo]) -> String {
    let mut indexes: Vec<u32> = gpus.iter().filter_map(|gpu| gpu.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let mut names = Vec::new();
    if !indexes.is_empty() {
        names.push(format!("GPU {}", ranges(&indexes)));
    }
    names.extend(gpus.iter().filter(|gpu| gpu.index.is_none()).map(GpuInfo::name));
    if names.is_empty() { "no GPU".to_owned() } else { names.join(", ") }
}

/// Numbers in ascending order: `0-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let ranges = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
}

/// How the duration of what goes on is told.
pub(crate) const SO_FAR: &str = " so far";

/// The sentence of a sign that goes on, once nothing more is told of it.
pub(crate) fn went_on(text: &str) -> String {
    match text.contains(SO_FAR) {
        true => text.replacen(SO_FAR, "", 1) + ", and it went on when this was written",
        false => text.to_owned(),
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
    fn gpus_in_a_row_are_joined() {
        let some = |indexes: &[u32]| {
            let gpu = |&index| GpuInfo { index: Some(index), ..GpuInfo::default() };
            gpus(&indexes.iter().map(gpu).collect::<Vec<_>>())
        };
        assert_eq!(some(&[3]), "GPU 3");
        assert_eq!(some(&[2, 1]), "GPU 1, 2");
        assert_eq!(some(&[1, 2, 5]), "GPU 1, 2, 5");
        assert_eq!(some(&[0, 1, 2, 3, 4, 5, 6, 7]), "GPU 0-7");
        assert_eq!(some(&[7, 0, 1, 2, 2]), "GPU 0-2, 7");
        assert_eq!(some(&[4, 3, u32::MAX]), "GPU 3, 4, 4294967295");
        assert_eq!(some(&[]), "no GPU");
        let unlisted =
            GpuInfo { pci_bus_id: Some("00000000:1A:00.0".to_owned()), ..GpuInfo::default() };
        assert_eq!(gpus(&[unlisted]), "the GPU at 00000000:1A:00.0");
    }

    #[test]
    fn what_goes_on_is_not_told_so_far_for_ever() {
        let text = "GPU 2 was slowed by heat for 5 min so far, at up to 89 °C";
        assert_eq!(
            went_on(text),
            "GPU 2 was slowed by heat for 5 min, at up to 89 °C, and it went on when this was written"
        );
        assert_eq!(went_on("GPU 2 became idle"), "GPU 2 became idle");
    }
}
