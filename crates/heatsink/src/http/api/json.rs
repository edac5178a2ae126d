//! Answers as JSON. Their names are stable; times are milliseconds since 1970.

use history::event::HolderInfo;
use history::incident::{Confidence, Incident};
use history::layout::GpuInfo;
use history::query::{Answer, Point, Points};
use history::signal::Shape;
use history::time::Range;
use serde::{Serialize, Serializer};
use serde_json::json;

/// The body of an error.
pub(super) fn error(why: &str) -> String {
    format!("{}\n", json!({"error": why}))
}

/// What takes no place if it is not there.
fn is_none<T>(value: &Option<T>) -> bool {
    value.is_none()
}

/// The answer about one signal.
#[derive(Serialize)]
struct History<'a> {
    signal: &'a str,
    unit: &'a str,
    shape: &'static str,
    from: i64,
    to: i64,
    step_ms: u64,
    recorded: Option<Span>,
    series: Vec<Series<'a>>,
    #[serde(skip_serializing_if = "is_none")]
    damage: Option<Damaged<'a>>,
}

#[derive(Serialize)]
struct Span {
    from: i64,
    to: i64,
}

#[derive(Serialize)]
struct Damaged<'a> {
    bytes: u64,
    rows: u64,
    newer_files: &'a [String],
}

#[derive(Serialize)]
struct Series<'a> {
    gpu: Option<Gpu<'a>>,
    #[serde(serialize_with = "write_points")]
    points: &'a [Point],
}

#[derive(Serialize)]
struct Gpu<'a> {
    index: Option<u32>,
    uuid: Option<&'a str>,
    pci_bus_id: Option<&'a str>,
    model_name: Option<&'a str>,
}

#[derive(Serialize)]
struct Step {
    time: i64,
    #[serde(skip_serializing_if = "is_none")]
    min: Option<Number>,
    #[serde(skip_serializing_if = "is_none")]
    mean: Option<Number>,
    #[serde(skip_serializing_if = "is_none")]
    max: Option<Number>,
    last: Number,
    count: u64,
}

/// A number, a whole one without a point.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.0 as i64;
        match whole as f64 == self.0 {
            true => serializer.serialize_i64(whole),
            false => serializer.serialize_f64(self.0),
        }
    }
}

/// Writes one after another: there are many.
fn write_points<S: Serializer>(points: &[Point], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(points.iter().map(|point| Step {
        time: point.time.0,
        min: point.min.map(Number),
        mean: point.mean.map(Number),
        max: point.max.map(Number),
        last: Number(point.last),
        count: point.count,
    }))
}

/// A line of JSON.
fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    Ok(text)
}

/// The answer about one signal. `recorded` is from when to when there is something.
pub(super) fn points(
    answer: &Answer,
    range: Range,
    recorded: Option<Range>,
) -> serde_json::Result<String> {
    let damage = &answer.damage;
    let is_damaged = damage.bytes > 0 || damage.rows > 0 || !damage.newer_files.is_empty();
    line(&History {
        signal: &answer.signal,
        unit: &answer.unit,
        shape: match answer.shape {
            Shape::Gauge => "gauge",
            Shape::Counter => "counter",
            Shape::Flags => "flags",
            Shape::Code => "code",
        },
        from: range.from.0,
        to: range.to.0,
        step_ms: answer.step_ms,
        recorded: recorded.map(|range| Span { from: range.from.0, to: range.to.0 }),
        series: answer.series.iter().map(series).collect(),
        damage: is_damaged.then_some(Damaged {
            bytes: damage.bytes,
            rows: damage.rows,
            newer_files: &damage.newer_files,
        }),
    })
}

fn series(Points { gpu, points }: &Points) -> Series<'_> {
    Series { gpu: gpu.as_ref().map(self::gpu), points }
}

fn gpu(gpu: &GpuInfo) -> Gpu<'_> {
    Gpu {
        index: gpu.index,
        uuid: gpu.uuid.as_deref(),
        pci_bus_id: gpu.pci_bus_id.as_deref(),
        model_name: gpu.model_name.as_deref(),
    }
}

/// An incident in a list.
#[derive(Serialize)]
struct Summary<'a> {
    number: u64,
    kind: &'a str,
    began: i64,
    last: i64,
    is_closed: bool,
    is_simulated: bool,
    gpus: Vec<Gpu<'a>>,
    holders: Vec<HolderOf>,
    verdict: Cause<'a>,
}

#[derive(Serialize)]
struct HolderOf {
    gpu: Option<u32>,
    holder: String,
}

#[derive(Serialize)]
struct Cause<'a> {
    name: &'a str,
    cause: &'a str,
    confidence: Confidence,
}

/// An incident with everything.
pub(super) fn incident(incident: &Incident) -> serde_json::Result<String> {
    line(incident)
}

/// What a list says of an incident.
pub(super) fn summary(incident: &Incident) -> serde_json::Result<String> {
    let holder = |(place, holder): &(usize, HolderInfo)| {
        let index = incident.gpus.get(*place).and_then(|gpu| gpu.index);
        HolderOf { gpu: index, holder: holder.name() }
    };
    serde_json::to_string(&Summary {
        number: incident.number,
        kind: incident.kind.as_str(),
        began: incident.began.0,
        last: incident.last.0,
        is_closed: incident.is_closed,
        is_simulated: incident.host.is_simulated(),
        gpus: incident.gpus.iter().map(gpu).collect(),
        holders: incident.holders.iter().map(holder).collect(),
        verdict: Cause {
            name: &incident.verdict.name,
            cause: &incident.verdict.cause,
            confidence: incident.verdict.confidence,
        },
    })
}

/// A list of summaries, the newest first, out of so many, and which ones between them cannot be read.
pub(super) fn list(
    summaries: &[String],
    unread: &[String],
    total: usize,
) -> serde_json::Result<String> {
    let unread = match unread {
        [] => String::new(),
        unread => format!(",\"unread\":{}", serde_json::to_string(unread)?),
    };
    Ok(format!("{{\"incidents\":[{}],\"total\":{total}{unread}}}\n", summaries.join(",")))
}

/// The sentence for a number that no incident has.
pub(super) fn unknown_incident(newest: Option<u64>) -> String {
    match newest {
        Some(newest) => format!("there is no such incident; the newest is {newest}"),
        None => "there is no such incident: none was recorded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use history::query::{self, Query};
    use history::time::Time;
    use serde_json::Value;

    use super::*;
    use crate::history::export::made::{self, BEGIN};

    fn ask(signal: &str, step_ms: u64) -> Value {
        let range = Range { from: Time(BEGIN), to: Time(BEGIN + 4_000) };
        let query = Query { signal: signal.to_owned(), gpus: Vec::new(), range, step_ms };
        let recorded = Some(Range { from: Time(BEGIN), to: Time(BEGIN + 3_001) });
        let answer = query::points(&made::recording(), &query, 100).unwrap();
        serde_json::from_str(&points(&answer, range, recorded).unwrap()).unwrap()
    }

    #[test]
    fn a_signal_has_its_statistics_per_step_and_gpu() {
        let gpu = |index: u32, address: &str| {
            json!({
                "index": index, "uuid": format!("GPU-{index}"),
                "pci_bus_id": format!("00000000:{address}:00.0"), "model_name": "NVIDIA H100 80GB HBM3",
            })
        };
        let expected = json!({
            "signal": "power", "unit": "W", "shape": "gauge",
            "from": BEGIN, "to": BEGIN + 4_000, "recorded": {"from": BEGIN, "to": BEGIN + 3_001},
            "step_ms": 2_000,
            "series": [
                {"gpu": gpu(0, "1A"), "points": [
                    {"time": BEGIN, "min": 500.125, "mean": 500.625, "max": 501.125, "last": 501.125, "count": 2},
                ]},
                {"gpu": gpu(1, "1B"), "points": [
                    {"time": BEGIN, "min": 80, "mean": 80, "max": 80, "last": 80, "count": 1},
                    {"time": BEGIN + 2_000, "min": 82, "mean": 82.5, "max": 83, "last": 83, "count": 2},
                ]},
            ],
        });
        assert_eq!(ask("power", 2_000), expected);
    }

    #[test]
    fn a_code_has_only_its_last_value_and_the_machine_no_gpu() {
        let up = ask("up", 4_000);
        let last = json!([{"time": BEGIN, "last": 0, "count": 3}]);
        assert_eq!(up["series"][0]["points"], last);
        let memory = ask("memory_available", 4_000);
        assert_eq!((&memory["series"][0]["gpu"], &memory["unit"]), (&Value::Null, &json!("MiB")));
    }

    #[test]
    fn incidents_are_listed_with_the_most_important() {
        let summaries = [4, 2].map(|number| summary(&made::incident(number)).unwrap());
        let list = |summaries: &[String], unread: &[String], total| -> Value {
            serde_json::from_str(&super::list(summaries, unread, total).unwrap()).unwrap()
        };
        let none = list(&[], &[], 0);
        assert_eq!(none, json!({"incidents": [], "total": 0}));
        let list = list(&summaries, &["incident 3 is \"it\"".to_owned()], 3);
        assert_eq!(list["unread"], json!(["incident 3 is \"it\""]));
        assert_eq!(list["total"], 3);
        let numbers: Vec<&Value> =
            list["incidents"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
        assert_eq!(numbers, [4, 2]);
        let first = &list["incidents"][0];
        assert_eq!(first["kind"], "gpu_lost");
        assert_eq!(first["holders"], json!([{"gpu": 0, "holder": "pod ml/train-0"}]));
        assert_eq!(first["verdict"]["confidence"], "certain");
    }
}
