//! Charts show what was recorded, and nothing else.

use super::double::Replayed;
use super::style;
use crate::layout::{GpuInfo, HostInfo};
use crate::report::{Chart, Report, Scope};
use crate::time::{Range, Time};

fn gpu() -> GpuInfo {
    GpuInfo { index: Some(0), ..GpuInfo::default() }
}

/// The charts of a GPU over this many seconds.
fn charts(
    seconds: i64,
    is_recorded: impl Fn(i64) -> bool,
    value: impl Fn(&str, i64) -> Option<i64>,
) -> (Vec<Chart>, Report) {
    let range = Range { from: Time(0), to: Time(seconds * 1000) };
    let value = |name: &str, _: usize, second: i64| value(name, second);
    let recording = Replayed::new(HostInfo::default(), vec![gpu()], range, is_recorded, value);
    let headline = "No incident".to_owned();
    let scope =
        Scope { range, end: range.to, gpu: None, holds: None, headline, incidents: Vec::new() };
    let report = Report::of_range(scope, &recording).unwrap();
    (report.charts.clone(), report)
}

#[test]
fn a_gap_is_neither_drawn_nor_interpolated() {
    // Two minutes without rows, and one without a value.
    let is_recorded = |second: i64| !(300..420).contains(&second);
    let value = |name: &str, second: i64| {
        let is_there = name == "gpu_utilization" && !(600..660).contains(&second);
        is_there.then_some(if second < 450 { 10 } else { 90 })
    };
    let (charts, report) = charts(1200, is_recorded, value);
    let [chart] = charts.as_slice() else { panic!("{charts:?}") };
    for point in &chart.points {
        let second = point.time.0 / 1000;
        let end = second + chart.step_ms / 1000;
        let is_in_gap = |from, to| second >= from && end < to;
        assert!(!is_in_gap(300, 420) && !is_in_gap(600, 660), "{point:?}");
        assert!(point.mean == 10.0 || point.mean == 90.0 || (440..460).contains(&second));
    }
    let text = report.text(&style(80));
    let line = text.lines().find(|line| line.contains("utilization")).unwrap();
    let cells: String =
        line.chars().skip_while(|c| !c.is_ascii_punctuation() && *c < '▁').collect();
    let drawn: Vec<&str> =
        cells.split(' ').filter(|part| part.starts_with('▂') || part.starts_with('▇')).collect();
    assert_eq!(drawn.len(), 3, "{line}");
}

#[test]
fn steps_are_so_long_that_each_has_a_row() {
    for seconds in [1, 10, 60, 239, 240, 500, 5000] {
        let (charts, report) =
            charts(seconds, |_| true, |name, second| (name == "power").then_some(second));
        let [chart] = charts.as_slice() else { panic!("{charts:?}") };
        let steps = chart.points.windows(2);
        assert!(steps.into_iter().all(|pair| pair[1].time.0 - pair[0].time.0 == chart.step_ms));
        assert_eq!((chart.min, chart.max, report.rows), (0.0, seconds as f64, seconds as u64 + 1));
        assert!(chart.points.len() <= 241 && report.missing.gaps.is_empty(), "{seconds}");
    }
}

#[test]
fn a_count_is_told_by_its_increase() {
    let (charts, _) = charts(
        600,
        |_| true,
        |name, second| {
            let count = match second {
                0..100 => 7,
                100..300 => 10,
                // The driver was loaded again.
                _ => 2,
            };
            (name == "pcie_replays").then_some(count)
        },
    );
    let [chart] = charts.as_slice() else { panic!("{charts:?}") };
    assert_eq!((chart.increase, chart.min, chart.max), (Some(5.0), 2.0, 10.0));
    let total: f64 = chart.points.iter().map(|point| point.max).sum();
    assert_eq!(total, 5.0);
}

#[test]
fn a_signal_that_is_not_known_is_skipped() {
    let (charts, report) = charts(60, |_| true, |name, _| (name == "power_limit").then_some(700));
    assert!(charts.is_empty());
    assert!(!report.is_empty());
}
