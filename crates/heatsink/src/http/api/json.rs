//! Answers as JSON. Their names are stable; times are milliseconds since 1970.

use history::incident::Incident;
use history::layout::GpuInfo;
use history::query::{Answer, Point, Points};
use history::signal::Shape;
use history::time::Range;
use serde_json::{Map, Value, json};

use super::ask::IncidentsQuestion;

/// The body of an error.
pub(super) fn error(why: &str) -> String {
    format!("{}\n", json!({"error": why}))
}

/// The answer about one signal. `recorded` is from when to when there is something.
pub(super) fn points(answer: &Answer, range: Range, recorded: Option<Range>) -> Value {
    let series = |Points { gpu, points }: &Points| {
        let points: Vec<Value> = points.iter().map(point).collect();
        json!({"gpu": gpu.as_ref().map(self::gpu), "points": points})
    };
    let shape = match answer.shape {
        Shape::Gauge => "gauge",
        Shape::Counter => "counter",
        Shape::Flags => "flags",
        Shape::Code => "code",
    };
    let mut object = json!({
        "signal": answer.signal,
        "unit": answer.unit,
        "shape": shape,
        "from": range.from.0,
        "to": range.to.0,
        "recorded": recorded.map(|range| json!({"from": range.from.0, "to": range.to.0})),
        "step_ms": answer.step_ms,
        "series": answer.series.iter().map(series).collect::<Vec<_>>(),
    });
    let damage = &answer.damage;
    if damage.bytes > 0 || damage.rows > 0 || !damage.newer_files.is_empty() {
        object["damage"] = json!({
            "bytes": damage.bytes, "rows": damage.rows, "newer_files": damage.newer_files,
        });
    }
    object
}

fn point(point: &Point) -> Value {
    let mut object = Map::new();
    object.insert("time".to_owned(), point.time.0.into());
    for (name, value) in [("min", point.min), ("mean", point.mean), ("max", point.max)] {
        if let Some(value) = value {
            object.insert(name.to_owned(), number(value));
        }
    }
    object.insert("last".to_owned(), number(point.last));
    object.insert("count".to_owned(), point.count.into());
    Value::Object(object)
}

/// A number, a whole one without a point.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { whole.into() } else { value.into() }
}

fn gpu(gpu: &GpuInfo) -> Value {
    json!({
        "index": gpu.index,
        "uuid": gpu.uuid,
        "pci_bus_id": gpu.pci_bus_id,
        "model_name": gpu.model_name,
    })
}

/// The answer about incidents; `None` if there is none with the number that was asked for.
pub(super) fn incidents(all: &[Incident], question: IncidentsQuestion) -> Option<Value> {
    match question {
        IncidentsQuestion::One(number) => {
            let incident = all.iter().find(|incident| incident.number == number)?;
            serde_json::to_value(incident).ok()
        }
        IncidentsQuestion::List(limit) => {
            let list: Vec<Value> = all.iter().rev().take(limit).map(summary).collect();
            Some(json!({"incidents": list, "total": all.len()}))
        }
    }
}

/// An incident in a list.
fn summary(incident: &Incident) -> Value {
    let holders: Vec<Value> = incident
        .holders
        .iter()
        .map(|(place, holder)| {
            let index = incident.gpus.get(*place).and_then(|gpu| gpu.index);
            json!({"gpu": index, "holder": holder.name()})
        })
        .collect();
    json!({
        "number": incident.number,
        "kind": incident.kind.as_str(),
        "began": incident.began.0,
        "last": incident.last.0,
        "is_closed": incident.is_closed,
        "is_simulated": incident.host.is_simulated(),
        "gpus": incident.gpus.iter().map(gpu).collect::<Vec<_>>(),
        "holders": holders,
        "verdict": {
            "name": incident.verdict.name,
            "cause": incident.verdict.cause,
            "confidence": incident.verdict.confidence,
        },
    })
}

/// The sentence for a number that no incident has.
pub(super) fn unknown_incident(all: &[Incident]) -> String {
    match (all.first(), all.last()) {
        (Some(first), Some(last)) if first.number == last.number => {
            format!("there is no such incident; there is {}", first.number)
        }
        (Some(first), Some(last)) => {
            format!("there is no such incident; there are {} to {}", first.number, last.number)
        }
        _ => "there is no such incident: none was recorded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use history::query::{self, Query};
    use history::time::Time;

    use super::*;
    use crate::history::export::made::{self, BEGIN};

    fn ask(signal: &str, step_ms: u64) -> Value {
        let range = Range { from: Time(BEGIN), to: Time(BEGIN + 4_000) };
        let query = Query { signal: signal.to_owned(), gpus: Vec::new(), range, step_ms };
        let recorded = Some(Range { from: Time(BEGIN), to: Time(BEGIN + 3_001) });
        points(&query::points(&made::recording(), &query, 100).unwrap(), range, recorded)
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
    fn incidents_are_listed_from_the_newest_and_told_one_by_one() {
        let all = [1, 2, 4].map(made::incident);
        let list = incidents(&all, IncidentsQuestion::List(2)).unwrap();
        assert_eq!(list["total"], 3);
        let numbers: Vec<&Value> =
            list["incidents"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
        assert_eq!(numbers, [4, 2]);
        let first = &list["incidents"][0];
        assert_eq!(first["kind"], "gpu_lost");
        assert_eq!(first["holders"], json!([{"gpu": 0, "holder": "pod ml/train-0"}]));
        assert_eq!(first["verdict"]["confidence"], "certain");
        let one = incidents(&all, IncidentsQuestion::One(2)).unwrap();
        assert_eq!(serde_json::from_value::<Incident>(one).unwrap(), all[1]);
        assert_eq!(incidents(&all, IncidentsQuestion::One(3)), None);
        assert_eq!(unknown_incident(&all), "there is no such incident; there are 1 to 4");
        assert_eq!(unknown_incident(&[]), "there is no such incident: none was recorded");
    }
}
