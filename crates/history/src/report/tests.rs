//! Whole reports, and what is true of all of them.

mod charts;
mod double;
mod properties;
mod stories;

use testkit::golden::check_golden;

use self::stories::{Story, eight, heat, not_known, quiet};
use super::{Holds, Style, holds, json};
use crate::event::{Event, HolderInfo, What};
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
