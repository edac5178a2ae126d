//! What is true of all reports, whatever was recorded.

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::stories::{eight, heat, not_known, quiet};
use super::style;
use crate::event::{Event, HolderInfo, What};
use crate::report::{Report, json};
use crate::time::Time;

/// The text without the control sequences of colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (parameters, rest) = part.split_once('m').expect("it ends");
        assert!(parameters.chars().all(|c| c.is_ascii_digit() || c == ';'), "{parameters:?}");
        plain.push_str(rest);
    }
    plain
}

/// Checks the text of a report at a width.
fn check(report: &Report, width: usize) {
    let mut style = style(width);
    let plain = report.text(&style);
    let fits = width.clamp(40, 120);
    for line in plain.lines() {
        assert!(line.width() <= fits, "{} columns: {line}", line.width());
        assert_eq!(line, line.trim_end_matches(' '));
    }
    assert!(!plain.contains(|c: char| c.is_control() && c != '\n'), "{plain:?}");
    assert!(!plain.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{plain:?}");
    assert!(!plain.starts_with('\n') && !plain.contains("\n\n\n"), "{plain}");
    style.has_colour = true;
    assert_eq!(without_colours(&report.text(&style)), plain);
}

#[test]
fn stories_fit_any_terminal() {
    for story in [heat(), eight(), not_known(), quiet()] {
        let report = story.report();
        for width in (0..140).step_by(9).chain([1000, usize::MAX]) {
            check(&report, width);
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    let text = r"\PC{0,40}|[\x00-\u{10ffff}]{0,60}";
    prop_oneof![
        (0u32..200, text, proptest::option::of(text)).prop_map(|(code, message, line)| What::Xid {
            code,
            message,
            process: None,
            link: None,
            line,
            count: u64::MAX / u64::from(code + 1),
        }),
        text.prop_map(|line| What::DriverLine { line }),
        text.prop_map(|reason| What::GpuDown { reason }),
        text.prop_map(|why| What::SourceDown { why }),
        any::<i64>().prop_map(|by_ms| What::ClockSet { by_ms }),
        text.prop_map(|id| What::HolderBegan { holder: HolderInfo::Job { id } }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_was_recorded_fits_and_is_in_order(
        events in proptest::collection::vec((any::<i32>(), any::<bool>(), what()), 0..90),
        name in r"[\x00-\u{10ffff}]{0,50}",
        began in prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()],
        width in 40usize..100,
    ) {
        let mut story = not_known();
        let incident = story.incident.as_mut().expect("it has one");
        incident.host.hostname = Some(name.clone());
        incident.gpus[0].uuid = Some(name.clone());
        incident.verdict.cause = name;
        let gpu = incident.gpus[0].clone();
        let end = incident.last;
        incident.events = events
            .into_iter()
            .map(|(millis, has_gpu, what)| Event {
                time: Time(end.0 + i64::from(millis)),
                gpu: has_gpu.then(|| gpu.clone()),
                what,
            })
            .collect();
        let report = story.report();
        check(&report, width);
        json(&report).unwrap();
        let relative: Vec<i64> = report.story.iter().map(|entry| entry.relative_ms).collect();
        prop_assert!(relative.is_sorted());
        let consistent = report.story.iter().all(|entry| {
            entry.time.0 - report.end.0 == entry.relative_ms && entry.time <= entry.last
        });
        prop_assert!(consistent);

        // Times from a damaged file.
        let mut damaged = story.incident.clone().expect("it has one");
        (damaged.began, damaged.last) = (Time(began), Time(began.wrapping_add(1)));
        damaged.window.from = Time(began);
        check(&Report::of_incident(&damaged, &story.recording).unwrap(), width);
    }
}
