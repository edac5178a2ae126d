//! Whole reports, and what is true of all of them.

mod charts;
mod double;
mod properties;
mod stories;

use std::time::Duration;

use testkit::golden::check_golden;

use self::double::Replayed;
use self::stories::{Story, eight, heat, not_known, quiet};
use super::{Hold, Holds, JobHolds, Report, Scope, Style, holds, json};
use crate::event::{Event, HolderInfo, What};
use crate::recording::Damage;
use crate::time::{Range, Time};

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

/// A story as it was recorded.
fn recorded(story: &crate::story::Story) -> Replayed {
    let rows = story.steps.iter().map(|step| step.row.clone()).collect();
    let events = story.steps.iter().flat_map(|step| step.events.clone()).collect();
    let (layout, damage) = (story.layout(), Damage::default());
    Replayed { layout, rows, events, incidents: story.incidents(), damage }
}

/// A report of what the detector and the table of verdicts make of a story.
fn told(story: &crate::story::Story) -> Report {
    let recording = recorded(story);
    let incident = recording.incidents.last().unwrap();
    Report::of_incident(incident, &recording).unwrap()
}

/// A report of the last seconds of a story.
fn last_seconds(recording: &Replayed, seconds: u64) -> Report {
    last(recording, Duration::from_secs(seconds))
}

/// A report of the end of a story.
fn last(recording: &Replayed, length: Duration) -> Report {
    let end = recording.rows.last().unwrap().time;
    let range = Range { from: end.before(length), to: end };
    let (headline, incidents) = ("No incident".to_owned(), Vec::new());
    let scope = Scope { range, end, gpu: None, holds: None, headline, incidents };
    Report::of_range(scope, recording).unwrap()
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
    assert!(lines[0].ends_with("any more (XID 79), at 23:28:59."), "{text}");
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
        Holds::Found(job) => {
            assert_eq!(job.name, format!("job {id}"));
            let seconds = |time: Time| (time.0 - stories::END) / 1000;
            let gpus = Hold::gpus(&job.holds).len();
            (seconds(job.range.from), seconds(job.range.to), gpus, job.goes_on)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found("1"), (-900, -800, 1, false));
    assert_eq!(found("2"), (-700, -90, 2, false));
    assert_eq!(found("3"), (-50, 900, 1, true));
    // Its begin was removed, and it goes on.
    assert_eq!(found("0"), (-900, 900, 1, true));
    let others = ["3", "2", "0", "1"].map(str::to_owned).to_vec();
    assert_eq!(holds(&recording, "4").unwrap(), Holds::NotFound(others));
}

/// The time of a job in a recording.
fn job(recording: &Replayed, name: &str) -> JobHolds {
    match holds(recording, name).unwrap() {
        Holds::Found(job) => job,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_has_no_incidents_of_others() {
    let story = crate::story::Story::of(2).job("300", &[0]).run(900).job_ends("300", &[0]).run(60);
    let story = story.job("301", &[0]).run(60).xid(0, 31).run(200).job_ends("301", &[0]).run(60);
    let requeued = story.job("300", &[1]).run(60).xid(1, 31).run(200);
    let recording = recorded(&requeued);
    let of = |name: &str| {
        let job = job(&recording, name);
        let incidents = recording.incidents.iter().filter(|incident| job.concerns(incident));
        incidents.map(|incident| incident.gpus[0].index).collect::<Vec<_>>()
    };
    assert_eq!((of("300"), of("301")), (vec![Some(1)], vec![Some(0)]));
    // Nothing of the other is told either.
    let JobHolds { range, holds, .. } = job(&recording, "300");
    let (headline, incidents) = (String::new(), Vec::new());
    let scope = Scope { range, end: range.to, gpu: None, holds: Some(holds), headline, incidents };
    let text = Report::of_range(scope, &recording).unwrap().text(&style(80));
    assert!(text.contains("XID 31 on GPU 1") && !text.contains("XID 31 on GPU 0"), "{text}");
    assert!(!text.contains("job 301"), "{text}");
}

#[test]
fn a_job_that_is_not_there_after_a_restart_has_no_later_incident() {
    let story = crate::story::Story::of(1).job("300", &[0]).run(900).started(false, false, 30);
    let story = story.job("301", &[0]).run(120).xid(0, 31).run(200);
    let recording = recorded(&story);
    let own = job(&recording, "300");
    assert!(!own.goes_on && !own.concerns(&recording.incidents[0]), "{own:?}");
    assert!(job(&recording, "301").concerns(&recording.incidents[0]));
    // Of an incident just after a job without a known holder, it is the job's.
    let orphan =
        crate::incident::Incident { holders: Vec::new(), ..recording.incidents[0].clone() };
    let near = crate::incident::Incident { began: own.range.to, last: own.range.to, ..orphan };
    assert!(own.concerns(&near));
}

#[test]
fn pods_of_one_name_are_told_apart_by_their_namespaces() {
    let pod = |namespace: &str| HolderInfo::Pod {
        namespace: namespace.to_owned(),
        pod: "train-0".to_owned(),
        container: "main".to_owned(),
        uid: None,
    };
    let began = |namespace| What::HolderBegan { holder: pod(namespace) };
    let story = crate::story::Story::of(2).event(Some(0), began("b")).event(Some(1), began("a"));
    let recording = recorded(&story.run(60));
    let both = ["a/train-0", "b/train-0"].map(str::to_owned).to_vec();
    assert_eq!(holds(&recording, "train-0").unwrap(), Holds::Several(both));
    assert_eq!(job(&recording, "a/train-0").holds[0].gpu.index, Some(1));
}

#[test]
fn a_range_knows_who_had_the_gpus_when_it_began() {
    let recording = recorded(&busy().run(3000));
    let report = last_seconds(&recording, 60);
    let [held] = report.holders.as_slice() else { panic!("{:?}", report.holders) };
    assert_eq!((held.holder.name().as_str(), held.gpus.len()), ("job 4711", 4));
    // It is not told as something that happened.
    assert_eq!(report.story, []);
    let recording = recorded(&busy().job_ends("4711", &[0, 1, 2, 3]).run(3000));
    assert_eq!(last_seconds(&recording, 60).holders, []);
}

#[test]
fn a_range_has_the_triggers_of_its_incidents_and_no_others() {
    let triggers = |recording: &Replayed, millis| {
        let report = last(recording, Duration::from_millis(millis));
        let story = report.story.iter().filter(|entry| entry.is_trigger);
        (story.map(|entry| entry.text.clone()).collect::<Vec<_>>(), report.triggers.len())
    };
    // The XID comes before the first row of the range, and explains why the GPUs stop.
    let story = busy().run(600).xid(3, 79).down(3, "lost").idle(&[0, 1, 2]).run(300);
    let mut recording = recorded(&story);
    recording.events.iter_mut().for_each(|event| event.time.0 += 500);
    let (all, count) = triggers(&recording, 1_000_000);
    assert!(all.iter().any(|text| text.starts_with("XID 79 on GPU 3")), "{all:?}");
    assert_eq!(triggers(&recording, 299_600), (all, count));
    // In a range that begins later, what goes on is no trigger.
    assert_eq!(triggers(&recording, 200_000), (Vec::new(), 0));
    let story = last_seconds(&recording, 200).story;
    let texts: Vec<_> = story.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts, ["GPU 3 fell off the bus: the driver has lost it"]);
    // Of a GPU that was down when the range began, it is known later that its link had been slow until then.
    let story = busy().run(60).set(&[3], "pcie_link_width", 8.0).run(60);
    let story = story.down(3, "lost").run(100).set(&[3], "pcie_link_width", 16.0).up(3);
    let report = last_seconds(&recorded(&story.run(60)), 120);
    let over = report.signs.iter().filter(|sign| sign.to.is_some_and(|to| to < report.range.from));
    assert_eq!(over.count(), 0, "{:?}", report.signs);
    // What opened no incident is told, and is no trigger.
    let without = Replayed { incidents: Vec::new(), ..recording };
    let (none, count) = triggers(&without, 1_000_000);
    assert_eq!((none.len(), count), (0, 0), "{none:?}");
}
