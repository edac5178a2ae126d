//! Questions to recordings that hold their rows.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::incident::Incident;
use crate::layout::HostInfo;
use crate::signal::{Of, Signal};

/// A recording that holds its items.
struct Held(Vec<(Arc<Layout>, Vec<Row>)>);

impl Recording for Held {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        for (layout, rows) in &self.0 {
            if take(Item::Layout(layout)).is_break() {
                break;
            }
            for row in rows.iter().filter(|row| range.contains(row.time)) {
                if take(Item::Row(row)).is_break() {
                    return Ok(Damage::default());
                }
            }
        }
        Ok(Damage::default())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(Vec::new())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        Ok(None)
    }
}

fn known(name: &str) -> &'static Signal {
    SIGNALS.iter().find(|signal| signal.name == name).expect("a signal of the table")
}

fn gpu(index: u32) -> GpuInfo {
    GpuInfo { index: Some(index), uuid: Some(format!("GPU-{index}")), ..GpuInfo::default() }
}

fn layout(signals: &[&str], gpus: Vec<GpuInfo>) -> Arc<Layout> {
    let mut signals: Vec<&Signal> = signals.iter().map(|name| known(name)).collect();
    signals.sort_by_key(|signal| signal.of != Of::Host);
    let signals = signals.into_iter().map(SignalInfo::from).collect();
    Arc::new(Layout { host: HostInfo::default(), gpus, signals })
}

fn row(time: i64, values: &[Option<i64>]) -> Row {
    Row { time: Time(time), values: values.to_vec() }
}

fn query(signal: &str, gpus: &[GpuChoice], step_ms: u64) -> Query {
    Query { signal: signal.to_owned(), gpus: gpus.to_vec(), range: Range::ALL, step_ms }
}

fn of_temperature(rows: Vec<Row>) -> Held {
    Held(vec![(layout(&["gpu_temperature"], vec![gpu(0)]), rows)])
}

#[test]
fn a_step_has_the_least_the_mean_the_largest_and_the_last_value() {
    let rows = vec![
        row(10_000, &[Some(50)]),
        row(11_000, &[Some(80)]),
        row(12_000, &[None]),
        row(13_000, &[Some(56)]),
        // The step that begins at 15 s has no value.
        row(15_000, &[None]),
        row(20_000, &[Some(60)]),
    ];
    let answer = points(&of_temperature(rows), &query("gpu_temperature", &[], 5_000), 100).unwrap();
    assert_eq!((answer.unit.as_str(), answer.step_ms), ("°C", 5_000));
    let point = |time, min, mean, max, last, count| Point {
        time: Time(time),
        min: Some(min),
        mean: Some(mean),
        max: Some(max),
        last,
        count,
    };
    let expected =
        vec![point(10_000, 50.0, 62.0, 80.0, 56.0, 3), point(20_000, 60.0, 60.0, 60.0, 60.0, 1)];
    assert_eq!(answer.series, [Points { gpu: Some(gpu(0)), points: expected }]);
}

#[test]
fn steps_are_aligned_to_1970_also_before_it() {
    let rows = vec![row(-1, &[Some(1)]), row(12_345, &[Some(2)])];
    let answer =
        points(&of_temperature(rows), &query("gpu_temperature", &[], 10_000), 100).unwrap();
    let times: Vec<i64> = answer.series[0].points.iter().map(|point| point.time.0).collect();
    assert_eq!(times, [-10_000, 10_000]);
}

#[test]
fn of_codes_only_the_last_value_is_told() {
    let held = Held(vec![(
        layout(&["down_reason"], vec![gpu(0)]),
        vec![row(0, &[Some(3)]), row(1, &[Some(1)])],
    )]);
    let answer = points(&held, &query("down_reason", &[], 1_000), 100).unwrap();
    let only = answer.series[0].points[0];
    assert_eq!((only.min, only.mean, only.max, only.last), (None, None, None, 1.0));
    assert_eq!(answer.shape, Shape::Code);
}

#[test]
fn gpus_are_chosen_by_index_or_uuid_and_followed_through_layouts() {
    let moved = GpuInfo { index: Some(5), ..gpu(1) };
    let held = Held(vec![
        (
            layout(&["gpu_temperature", "memory_available"], vec![gpu(0), gpu(1)]),
            vec![row(1_000, &[Some(9), Some(40), Some(41)])],
        ),
        (layout(&["gpu_temperature"], vec![moved]), vec![row(2_000, &[Some(42)])]),
    ]);
    let ask = |gpus: &[GpuChoice]| {
        let answer = points(&held, &query("gpu_temperature", gpus, 1_000), 100).unwrap();
        let lasts = |points: &Points| points.points.iter().map(|point| point.last).collect();
        answer.series.iter().map(lasts).collect::<Vec<Vec<f64>>>()
    };
    assert_eq!(ask(&[]), [vec![40.0], vec![41.0, 42.0]]);
    assert_eq!(ask(&[GpuChoice::Index(0)]), [vec![40.0]]);
    assert_eq!(ask(&[GpuChoice::Uuid("gpu-1".to_owned())]), [vec![41.0, 42.0]]);
    let host = points(&held, &query("memory_available", &[], 1_000), 100).unwrap();
    assert_eq!(host.series.len(), 1);
    assert_eq!((&host.series[0].gpu, host.series[0].points[0].last), (&None, 9.0));

    let error = points(&held, &query("gpu_temperature", &[GpuChoice::Index(9)], 1_000), 100);
    assert_eq!(
        error.unwrap_err().to_string(),
        "no such GPU was recorded in this time; there are GPU 0, GPU 1, GPU 5"
    );
}

#[test]
fn an_unknown_signal_is_an_error_that_names_similar_ones_and_all() {
    let held = of_temperature(vec![row(0, &[Some(1)])]);
    for (asked, near) in [("gpu_temprature", "gpu_temperature"), ("temperature", "gpu_temperature")]
    {
        let error = points(&held, &query(asked, &[], 1), 10).unwrap_err();
        let QueryError::UnknownSignal { similar, all, .. } = &error else { panic!("{error}") };
        assert!(similar.iter().any(|name| name == near), "{error}");
        assert_eq!(all.len(), SIGNALS.len());
        assert!(error.to_string().starts_with(&format!("there is no signal `{asked}` (near it: ")));
    }
    let error = points(&held, &query(&"x".repeat(1 << 20), &[], 1), 10).unwrap_err().to_string();
    assert!(error.len() < 4_000 && error.contains("; the signals are memory_available, "));
}

#[test]
fn a_signal_of_a_later_version_is_answered_too() {
    let mut later = SignalInfo::from(known("power"));
    later.number = 60_000;
    later.name = "later".to_owned();
    let layout = Layout { host: HostInfo::default(), gpus: vec![gpu(0)], signals: vec![later] };
    let held = Held(vec![(Arc::new(layout), vec![row(0, &[Some(1_500)])])]);
    let answer = points(&held, &query("later", &[], 1_000), 10).unwrap();
    assert_eq!(answer.series[0].points[0].mean, Some(1.5));
    // It is among the names that there are.
    let error = points(&held, &query("nonsense", &[], 1_000), 10).unwrap_err();
    assert!(error.to_string().ends_with(", later"), "{error}");
}

#[test]
fn a_signal_that_was_not_recorded_has_no_series() {
    let answer = points(&of_temperature(Vec::new()), &query("power", &[], 1_000), 10).unwrap();
    assert_eq!((answer.series.len(), answer.unit.as_str()), (0, "W"));
}

#[test]
fn rows_of_the_wrong_width_cost_only_their_values() {
    let rows = vec![row(0, &[]), row(1_000, &[Some(1), Some(2), Some(3)])];
    let answer = points(&of_temperature(rows), &query("gpu_temperature", &[], 1_000), 10).unwrap();
    assert_eq!(answer.series[0].points.len(), 1);
}

proptest! {
    /// Whatever was recorded, the answer is what a direct calculation gives, and bounded.
    #[test]
    fn points_agree_with_a_direct_calculation(
        mut values in prop::collection::vec((-5_000_i64..5_000_000, prop::option::of(-50_i64..150)), 0..200),
        asked in 1_u64..50_000,
        most in 2_usize..40,
    ) {
        values.sort_by_key(|(time, _)| *time);
        let rows = values.iter().map(|(time, value)| row(*time, &[*value])).collect();
        let answer =
            points(&of_temperature(rows), &query("gpu_temperature", &[], asked), most).unwrap();
        let points = &answer.series[0].points;
        prop_assert!(points.len() <= most);
        prop_assert!(answer.step_ms.is_multiple_of(asked) && (answer.step_ms / asked).is_power_of_two());
        let step = answer.step_ms as i64;
        let mut expected: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (time, value) in &values {
            if let Some(value) = value {
                expected.entry(time.div_euclid(step) * step).or_default().push(*value as f64);
            }
        }
        prop_assert_eq!(points.len(), expected.len());
        for (point, (time, values)) in points.iter().zip(expected) {
            prop_assert_eq!(point.time.0, time);
            prop_assert_eq!(point.count as usize, values.len());
            prop_assert_eq!(point.min, values.iter().copied().reduce(f64::min));
            prop_assert_eq!(point.max, values.iter().copied().reduce(f64::max));
            prop_assert_eq!(Some(point.last), values.last().copied());
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert!((point.mean.unwrap() - mean).abs() < 1e-9);
        }
        // The step is not longer than it has to be.
        if answer.step_ms > asked {
            let half = |(time, _): &(i64, Option<i64>)| time.div_euclid(step / 2);
            let halves: BTreeSet<i64> =
                values.iter().filter(|(_, value)| value.is_some()).map(half).collect();
            prop_assert!(halves.len() > most);
        }
    }
}
