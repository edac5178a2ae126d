//! Whole reports, and what is true of all of them.

mod charts;
mod double;
mod properties;
mod stories;

use std::time::Duration;

use testkit::golden::check_golden;

use self::double::Replayed;
use self::stories::{Story, eight, heat, not_known, quiet};
use super::{Holds, Report, Style, holds, json};
use crate::event::{Event, HolderInfo, What};
use crate::recording::Damage;
use crate::time::Time;

fn style(width: usize) -> Style {
    let time_zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    Style { width, has_colour: false, time_zone }
}

/// Compares the text of a story at both widths with `test/fixtures/report/NAME-WIDTH.txt`.
fn check(name: &str, story: &Story) {
    for width in [80, 40] {
        let text = story.report().text(&style(width));
        check_golden(format!("report/{name}-{width}.txt"), &text);
    }
}

#[test]
fn an_incident_of_one_gpu() {
    check("heat", &heat());
}

#[test]
fn an_incident_of_eight_gpus_with_repeated_lines() {
    check("eight", &eight());
}

#[test]
fn an_incident_whose_cause_is_not_known() {
    check("not-known", &not_known());
}

/// A report of what the detector and the table of verdicts make of a story.
fn told(story: &crate::story::Story) -> Report {
    let incident = story.incidents().pop().unwrap();
    let rows = story.steps.iter().map(|step| step.row.clone()).collect();
    let events = story.steps.iter().flat_map(|step| step.events.clone()).collect();
    let (layout, damage) = (story.layout(), Damage::default());
    Report::of_incident(&incident, &Replayed { layout, rows, events, damage }).unwrap()
}

fn busy() -> crate::story::Story {
    crate::story::Story::of(4).job("4711", &[0, 1, 2, 3]).run(900)
}

#[test]
fn an_incident_that_was_found_and_judged() {
    let cooled = busy().set(&[0], "memory_used", 81_000.0).hot(2, 89).run(1800).exit(&[0, 1, 2, 3]);
    let report = told(&cooled.run(1).cool(2).run(200));
    check_golden("report/judged-80.txt", &report.text(&style(80)));
}

#[test]
fn events_that_an_incident_leaves_out_are_missing() {
    let flood = |story: crate::story::Story, _| (0..4).fold(story, |s, gpu| s.xid(gpu, 74)).run(1);
    let report = told(&(0..150).fold(busy(), flood).run(200));
    let all = report.events.len() as u64 + report.missing.events_left_out;
    assert_eq!(all, 600);
    let told = format!("{} more events were recorded.", report.missing.events_left_out);
    let text = report.text(&style(80));
    assert!(report.missing.events_left_out > 0 && text.contains(&told), "{text}");
}

#[test]
fn charts_show_what_explains_an_incident_and_not_what_goes_on_for_days() {
    let full = busy().set(&[1, 3], "memory_used", 81_000.0).set(&[0], "clock_reasons", 4.0);
    let days = || full.clone().every_ms(60_000).run(3 * 86_400).every_ms(1000).run(900);
    let lasts = |story: crate::story::Story| {
        let report = told(&story.run(200));
        let first = report.signs.iter().map(|sign| sign.from).min().unwrap();
        assert!(report.range.from.since(first) > Duration::from_secs(86_400));
        assert_eq!(report.missing.gaps, []);
        report.range.to.since(report.range.from)
    };
    assert_eq!(lasts(days().xid(3, 79).down(3, "lost")), Duration::from_secs(720));
    // Another GPU was hot for an hour.
    assert_eq!(lasts(days().hot(0, 89).run(3600).xid(3, 79)), Duration::from_secs(720));
    let hour = lasts(days().hot(3, 89).run(3600).xid(3, 79)).as_secs();
    assert!((3600..3900).contains(&hour), "{hour}");
    let long = busy().hot(3, 89).run(5 * 3600).xid(3, 79);
    let report = told(&long.run(200));
    assert_eq!(report.range.to.since(report.range.from), Duration::from_secs(3 * 3600 + 120));
    // No more than was recorded, but all of the window.
    let young = told(&crate::story::Story::of(4).run(60).xid(3, 79).run(200));
    assert_eq!(young.range.to.since(young.range.from), Duration::from_secs(720));
}

#[test]
fn the_charts_of_a_machine_that_was_off_for_days_show_the_time_before() {
    let off = busy().every_ms(2 * 86_400_000).run(1);
    let report = told(&off.every_ms(1000).started(false, true, 2 * 86_400).run(200));
    let length = report.range.to.since(report.range.from);
    assert_eq!(length, Duration::from_secs(2400));
}

#[test]
fn the_times_of_the_first_and_the_last_trigger_are_told_apart() {
    let report = told(&busy().xid(3, 48).run(39).xid(3, 79).down(3, "lost").run(200));
    let text = report.text(&style(100));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with("at 23:28:20."), "{text}");
    let both = "2023-11-14 23:28:20 to 23:28:59 CET, from the first trigger to the last";
    assert_eq!(lines[1], both);
    let last = "What happened; 0:00 is the last trigger, 2023-11-14 23:28:59 CET";
    assert!(lines.contains(&last), "{text}");
}

#[test]
fn a_range_without_an_incident() {
    check("quiet", &quiet());
}

#[test]
fn json_has_everything() {
    let report = heat().report();
    let value: serde_json::Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
    assert_eq!(value["incident"], 17);
    assert_eq!(value["verdict"]["name"], "heat");
    assert_eq!(value["kind"], "heat_slowdown");
    assert_eq!(value["gpus"][0]["serial"], "1650923000002");
    assert_eq!(value["holders"][0]["holder"]["id"], "4711");
    assert_eq!(value["holders"][0]["gpus"][0], 0);
    let story = value["story"].as_array().unwrap();
    assert!(story.iter().any(|entry| entry["relative_ms"] == 0), "{story:?}");
    let chart = &value["charts"][0];
    assert_eq!((&chart["signal"], &chart["unit"]), (&"gpu_temperature".into(), &"°C".into()));
    assert_eq!((&chart["limit"], &chart["max"]), (&87.0.into(), &89.0.into()));
    let points = chart["points"].as_array().unwrap();
    assert!(points.len() > 100, "{}", points.len());
    // The three minutes without rows.
    let step = chart["step_ms"].as_i64().unwrap();
    let times: Vec<i64> = points.iter().filter_map(|point| point["time"].as_i64()).collect();
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!((180_000 - 2 * step..180_000 + 2 * step).contains(&longest), "{longest}");
    assert_eq!(value["missing"]["gaps"].as_array().unwrap().len(), 1);
    assert_eq!(value["missing"]["newer_files"][0], "00000042.segment");
}

#[test]
fn a_repeated_story_without_rows_is_told() {
    let mut story = eight();
    story.recording.rows.clear();
    let text = story.report().text(&style(80));
    assert!(text.contains("XID 45 ×31 on GPU 0-7"), "{text}");
    assert!(!text.contains("Charts"), "{text}");
    assert!(text.contains("Nothing was recorded for 12 min"), "{text}");
}

#[test]
fn a_job_is_told_from_its_begin_to_its_end() {
    let holder = |id: &str| HolderInfo::Job { id: id.to_owned() };
    let event = |seconds: i64, index: usize, what| {
        let story = quiet();
        let gpu = story.recording.layout.gpus.get(index).cloned();
        Event { time: Time(stories::END + seconds * 1000), gpu, what }
    };
    let began =
        |seconds, index, id: &str| event(seconds, index, What::HolderBegan { holder: holder(id) });
    let ended =
        |seconds, index, id: &str| event(seconds, index, What::HolderEnded { holder: holder(id) });
    let mut recording = quiet().recording;
    recording.events = vec![
        ended(-800, 0, "1"),
        began(-700, 0, "2"),
        began(-690, 1, "2"),
        ended(-100, 0, "2"),
        ended(-90, 1, "2"),
        began(-50, 1, "3"),
    ];
    let goes_on =
        |seconds, index, id: &str| event(seconds, index, What::HolderGoesOn { holder: holder(id) });
    recording.events.insert(1, goes_on(-750, 1, "0"));
    let found = |id| match holds(&recording, id).unwrap() {
        Holds::Found { range, gpus, goes_on, name } => {
            assert_eq!(name, format!("job {id}"));
            let seconds = |time: Time| (time.0 - stories::END) / 1000;
            (seconds(range.from), seconds(range.to), gpus.len(), goes_on)
        }
        Holds::NotFound(others) => panic!("{others:?}"),
    };
    assert_eq!(found("1"), (-900, -800, 1, false));
    assert_eq!(found("2"), (-700, -90, 2, false));
    assert_eq!(found("3"), (-50, 900, 1, true));
    // Its begin was removed, and it goes on.
    assert_eq!(found("0"), (-900, 900, 1, true));
    let others = ["3", "2", "0", "1"].map(str::to_owned).to_vec();
    assert_eq!(holds(&recording, "4").unwrap(), Holds::NotFound(others));
}
