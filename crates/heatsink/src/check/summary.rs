//! The report as text: the verdict, what to do, and a table of devices and groups of fields.

use std::collections::BTreeSet;

use model::catalog::{Field, Group};
use model::{Down, FieldId, Reason, field};

use super::advice;
use super::place::{Place, fold};
use super::report::{Device, Outcome, Report, Xids, group_by_key, meaning};
use crate::table;

/// The width at which paragraphs are wrapped, in characters.
const WIDTH: usize = 100;

/// How many names a list has before the rest is only counted.
const MAX_NAMES: usize = 4;

pub(super) fn text(report: &Report) -> String {
    let mut text = verdict(report);
    text += &down(report);
    if report.snapshot.source.up.is_err() {
        return text;
    }
    text += &recovery_actions(report);
    text += &xids(report);
    text += &links(report);
    if !report.readings.is_empty() {
        text += &counts(report);
        text += &failing(report);
        text += &missing(report);
    }
    text
}

/// Whether data flows, and from which source; or why not.
fn verdict(report: &Report) -> String {
    let source = &report.snapshot.source;
    let source_text = match (source.name, source.driver_version.as_deref()) {
        ("sim", _) => "simulated".to_owned(),
        (name, None) => format!("through {}", name.to_uppercase()),
        (name, Some(driver)) => format!("through {}, driver {driver}", name.to_uppercase()),
    };
    let (up, all) = report.answering();
    if let Err(why) = &report.verdict {
        let mut text = wrapped(&format!("No data flows: {why}."), "  ");
        // Without any driver, the reason says so already.
        if source.up.is_err() && !why.contains("heatsink demo") {
            text += "\nNo GPU here? `heatsink demo` serves eight simulated ones.\n";
        }
        return text;
    }
    let answering = match (up, all) {
        (1, 1) => "the GPU answers".to_owned(),
        (up, all) if up == all => format!("all {all} GPUs answer"),
        (up, all) => format!("{up} of {all} GPUs answer"),
    };
    let failing = match failing_fields(report) {
        0 => "",
        1 => ", 1 field fails",
        count => &format!(", {count} fields fail"),
    };
    let gaps = if up < all || !failing.is_empty() { ", with gaps" } else { "" };
    format!("Data flows{gaps}: {answering}{failing} ({source_text}).\n")
}

/// How many fields fail on at least one device.
fn failing_fields(report: &Report) -> usize {
    let outcomes = report.devices.iter().flat_map(|device| &device.outcomes);
    let failing = outcomes.filter(|(_, outcome)| *outcome == Outcome::Failing);
    failing.map(|(field, _)| field.id).collect::<BTreeSet<_>>().len()
}

/// The GPUs that are down, why, and what to do.
fn down(report: &Report) -> String {
    // The verdict says why the source is down.
    let is_listed = |down: &Down| *down != Down::SourceDown;
    let down = report
        .devices
        .iter()
        .filter_map(|device| Some((device.down.filter(is_listed)?, device.place.clone())));
    let mut text = String::new();
    for (down, places) in group_by_key(down) {
        let verb = if places.len() == 1 { "is" } else { "are" };
        let advice = advice::of_gpu(down);
        text += &wrapped(&format!("{} {verb} down ({down}): {advice}", fold(&places)), "  ");
    }
    let gpus = &report.snapshot.gpus;
    let are_all_late = !gpus.is_empty() && gpus.iter().all(|view| view.up == Err(Down::Late));
    if let Some(line) = report.when_all_are_late.filter(|_| are_all_late) {
        text += &wrapped(&format!("All are late at once: {line}."), "  ");
    }
    text
}

/// The recovery actions that the driver asks for.
fn recovery_actions(report: &Report) -> String {
    let mut text = String::new();
    for (action, places) in states(report, &[field::GET_GPU_RECOVERY_ACTION]) {
        if action != "nothing" {
            text += &format!("The driver asks for a recovery of {}: {action}.\n", fold(&places));
        }
    }
    text
}

fn xids(report: &Report) -> String {
    let why = match (&report.xids, report.snapshot.source.name) {
        (Xids::Log(name), _) => return format!("XIDs come from the kernel's log: {name}.\n"),
        (Xids::Source(_), "sim") => return String::new(),
        (Xids::Source(_), "dcgm") => return "XIDs come from DCGM.\n".to_owned(),
        (Xids::Source(why), _) => why,
    };
    let lacking = "XIDs come from the driver's events, which never bring 79 (the GPU has fallen off the \
                   bus), 119 and 120 (its firmware does not answer). The kernel's log has them";
    match why {
        None => wrapped(&format!("{lacking}: leave out `--kernel-log none`."), "  "),
        Some(why) => {
            let advice = "In a container, pass the host's log in and name the host's root with \
                          --path.rootfs.";
            wrapped(&format!("{lacking}, and heatsink cannot read it: {why}. {advice}"), "  ")
        }
    }
}

/// How many NVLinks are in each state.
fn links(report: &Report) -> String {
    let states = states(report, &[field::NVLINK_GET_STATE, SWITCH_LINK_STATUS]);
    let texts =
        states.iter().map(|(state, places)| format!("{} {state} ({})", places.len(), fold(places)));
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => String::new(),
        false => wrapped(&format!("NVLinks: {}.", texts.join("; ")), "  "),
    }
}

/// The state of a link of an NVSwitch.
const SWITCH_LINK_STATUS: FieldId = FieldId(870);

/// The meanings of the values of these fields, each with the places that have it.
fn states(report: &Report, fields: &[FieldId]) -> Vec<(String, Vec<Place>)> {
    let rows = report.readings.iter().filter(|row| fields.contains(&row.field.id));
    group_by_key(rows.filter_map(|row| Some((meaning(row.field, row.reading)?, row.place.clone()))))
}

/// A table with a row for devices with the same outcomes, and a column for each group.
fn counts(report: &Report) -> String {
    let kind = |place: &Place| (place.device.0, place.part.as_ref().map(|(kind, _)| *kind));
    let devices = report.devices.iter().map(|device| {
        let Device { place, model, down, outcomes, .. } = device;
        ((kind(place), model, down, outcomes), device)
    });
    let has_fields =
        |group: &Group| report.devices.iter().any(|device| device.counts(Some(*group)).all() > 0);
    let groups: Vec<Group> = Group::ALL.into_iter().filter(has_fields).collect();
    let mut head = vec!["DEVICE".to_owned(), "MODEL".to_owned()];
    head.extend(groups.iter().map(|group| group.as_str().to_uppercase()));
    let mut rows = vec![head];
    for ((_, model, down, _), devices) in group_by_key(devices) {
        let places: Vec<Place> = devices.iter().map(|device| device.place.clone()).collect();
        let model = model.unwrap_or("-");
        let model = down.map_or(model.to_owned(), |down| format!("{model} ({down})"));
        let mut row = vec![fold(&places), model];
        row.extend(groups.iter().map(|group| {
            let counts =
                devices.first().map(|device| device.counts(Some(*group))).unwrap_or_default();
            match counts.all() {
                0 => "-".to_owned(),
                all => format!("{}/{all}", counts.read),
            }
        }));
        rows.push(row);
    }
    let readable = match report.snapshot.source.name {
        "sim" => "are simulated".to_owned(),
        name => format!("heatsink can read through {}", name.to_uppercase()),
    };
    let table = table::aligned(&rows);
    format!("\nFields that have a value, of those that {readable}:\n\n{table}")
}

/// The fields that fail, why, and what to do.
fn failing(report: &Report) -> String {
    let failing = report.readings.iter().filter_map(|row| {
        let reason = row.reading.as_ref().err().filter(|reason| fails(**reason))?;
        Some((*reason, row))
    });
    let mut text = String::new();
    for (reason, rows) in group_by_key(failing) {
        text += "\n";
        text += &wrapped(&format!("Failing ({reason}): {}", advice::of_field(reason)), "  ");
        let by_field = group_by_key(rows.into_iter().map(|row| (row.field, row.place.clone())));
        let by_places =
            group_by_key(by_field.into_iter().map(|(field, places)| (fold(&places), field.name)));
        for (places, names) in by_places {
            text += &indented(&format!("{places}: {}", first_names(&names)), "  ");
        }
    }
    text
}

fn fails(reason: Reason) -> bool {
    !matches!(reason, Reason::NoData | Reason::NotServed | Reason::NotSupported)
}

/// The fields that devices do not have, or that have no value yet: how many of each group, and why.
fn missing(report: &Report) -> String {
    let of_device = |device: &Device| {
        let reasons = device
            .outcomes
            .iter()
            .filter_map(|(field, outcome)| Some((why(report, device, field, *outcome)?, *field)));
        let place = device.place.clone();
        group_by_key(reasons).into_iter().map(move |entry| (entry, place.clone()))
    };
    let rows = group_by_key(report.devices.iter().flat_map(of_device));
    if rows.is_empty() {
        return String::new();
    }
    let head = ["WITHOUT A VALUE", "FIELDS", "WHY"].map(str::to_owned).to_vec();
    let rows = rows.into_iter().map(|((why, fields), places)| {
        let groups = Group::ALL.into_iter().filter_map(|group| {
            let count = fields.iter().filter(|field| field.group() == group).count();
            (count > 0).then(|| format!("{} {count}", group.as_str()))
        });
        vec![fold(&places), groups.collect::<Vec<_>>().join(", "), why]
    });
    format!("\n{}", table::aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

/// Why a field of a device has no value, unless it fails.
fn why(report: &Report, device: &Device, field: &Field, outcome: Outcome) -> Option<String> {
    let source = &report.snapshot.source;
    let has = |is: &dyn Fn(&Field) -> bool| {
        let same_model = report.devices.iter().filter(|other| other.model == device.model);
        let mut outcomes = same_model.flat_map(|device| &device.outcomes);
        outcomes.any(|(field, outcome)| *outcome == Outcome::Read && is(field))
    };
    match outcome {
        Outcome::Read | Outcome::Failing => None,
        Outcome::NoData => {
            Some("no value yet: it has not happened, or there is nothing to measure".to_owned())
        }
        Outcome::NotSupported => {
            Some(advice::of_missing(field, source.name, source.driver_version.as_deref(), has))
        }
    }
}

/// The first names, and how many are left out. Names that differ only in a number are one.
fn first_names(names: &[&str]) -> String {
    let patterns = group_by_key(names.iter().map(|name| (without_numbers(name), *name)));
    let first = patterns.iter().take(MAX_NAMES).map(|(pattern, names)| match names.as_slice() {
        [name] => name,
        _ => pattern.as_str(),
    });
    let first = first.collect::<Vec<_>>().join(", ");
    let left: usize = patterns.iter().skip(MAX_NAMES).map(|(_, names)| names.len()).sum();
    if left == 0 { first } else { format!("{first} and {left} more") }
}

/// A name with `*` for the numbers of its links, engines and bins: `_L7`, `NVDEC0`, `HISTORY_15`.
fn without_numbers(name: &str) -> String {
    let digits = |word: &str| word.chars().all(|letter| letter.is_ascii_digit());
    let words = name.split('_').map(|word| {
        let stem = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let is_numbered = stem.len() < word.len()
            && (digits(word) || matches!(stem, "L" | "NVDEC" | "NVJPG" | "NVOFA"));
        if is_numbered { format!("{stem}*") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join("_")
}

/// A paragraph in lines of `WIDTH`; all but the first are indented.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines += "\n";
            lines += indent;
            width = indent.len();
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines += word;
        width += length;
    }
    lines + "\n"
}

/// The same, with the first line indented, and the others twice.
fn indented(text: &str, indent: &str) -> String {
    format!("{indent}{}", wrapped(text, &indent.repeat(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_a_number_are_one() {
        assert_eq!(first_names(&["A_L0_B", "A_L1_B", "FP64"]), "A_L*_B, FP64");
        assert_eq!(first_names(&["NVDEC7_ACTIVE", "X_15"]), "NVDEC7_ACTIVE, X_15");
        assert_eq!(first_names(&["A", "B", "C", "D", "E_0", "E_1", "F"]), "A, B, C, D and 3 more");
    }

    #[test]
    fn lines_are_no_longer_than_their_width() {
        let words = ["word"; 60].join(" ");
        for text in [wrapped(&words, "  "), indented(&words, "  ")] {
            assert!(text.lines().all(|line| line.len() <= WIDTH + 2), "{text}");
            assert_eq!(text.split_whitespace().count(), 60);
        }
        let long = "x".repeat(WIDTH * 2);
        assert_eq!(wrapped(&format!("{long} y"), "  "), format!("{long}\n  y\n"));
    }
}
