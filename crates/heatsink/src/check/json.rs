//! The report as JSON. `docs/check.md` describes the keys.

use anyhow::Result;
use model::catalog::Group;
use model::{Identity, Value, XidSource};
use serde_json::{Map, Value as Json, json};

use super::advice;
use super::place::{Name, Place};
use super::report::{Counts, Device, Report, Row, Xids, meaning};

pub(super) fn text(report: &Report) -> Result<String> {
    let source = &report.snapshot.source;
    let (up, all) = report.answering();
    let (log, problem) = match &report.xids {
        Xids::Log(name) => (Some(name), None),
        Xids::Source(why) => (None, why.as_ref()),
    };
    let xid_source = match source.name {
        _ if log.is_some() => XidSource::KernelLog,
        "dcgm" => XidSource::Dcgm,
        "sim" => XidSource::Sim,
        _ => XidSource::NvmlEvents,
    };
    let whole = json!({
        "data_flows": report.verdict.is_ok(),
        "why_not": report.verdict.as_ref().err(),
        "source": {
            "name": source.name,
            "up": source.up.is_ok(),
            "problem": source.up.as_ref().err(),
            "driver_version": source.driver_version.as_deref(),
        },
        "xids": { "source": xid_source.as_str(), "kernel_log": log, "problem": problem },
        "gpus_up": up,
        "gpus_total": all,
        "devices": report.devices.iter().map(|device| self::device(report, device)).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

fn device(report: &Report, device: &Device) -> Json {
    let identity = device.identity.cloned().unwrap_or_default();
    let Identity { uuid, pci_bus_id, .. } = identity;
    let groups = Group::ALL.into_iter().map(|group| (group, device.counts(Some(group))));
    let groups = groups.filter(|(_, counts)| counts.all() > 0);
    let groups: Map<String, Json> =
        groups.map(|(group, counts)| (group.as_str().to_owned(), self::counts(counts))).collect();
    let readings = report.readings.iter().filter(|row| row.place.row() == device.place);
    let mut object = place_keys(&device.place);
    object.extend([
        ("model".to_owned(), json!(device.model)),
        ("uuid".to_owned(), json!(uuid)),
        ("pci_bus_id".to_owned(), json!(pci_bus_id)),
        ("up".to_owned(), json!(device.down.is_none())),
        ("down".to_owned(), json!(device.down.map(|down| down.as_str()))),
        ("advice".to_owned(), json!(device.down.map(advice::of_gpu))),
        ("counts".to_owned(), self::counts(device.counts(None))),
        ("groups".to_owned(), json!(groups)),
        ("readings".to_owned(), readings.map(reading).collect()),
    ]);
    Json::Object(object)
}

fn counts(counts: Counts) -> Json {
    let Counts { read, no_data, not_supported, failing } = counts;
    json!({ "read": read, "no_data": no_data, "not_supported": not_supported, "failing": failing })
}

fn reading(row: &Row) -> Json {
    let (value, reason) = match row.reading {
        Ok(Value::Int(number)) => (json!(number), None),
        Ok(Value::Float(number)) => (json!(number), None),
        Ok(Value::Text(text)) => (json!(&**text), None),
        Err(reason) => (Json::Null, Some(reason.as_str())),
    };
    let mut object = place_keys(&row.place);
    object.extend([
        ("field".to_owned(), json!(row.field.name)),
        ("id".to_owned(), json!(row.field.id.0)),
        ("group".to_owned(), json!(row.field.group().as_str())),
        ("unit".to_owned(), json!(row.field.unit)),
        ("value".to_owned(), value),
        ("words".to_owned(), json!(meaning(row.field, row.reading))),
        ("reason".to_owned(), json!(reason)),
    ]);
    Json::Object(object)
}

/// `"gpu": 0, "nvlink": 3`.
fn place_keys(place: &Place) -> Map<String, Json> {
    let key = |(kind, name): &(&'static str, Name)| {
        let kind = if *kind == "to GPU" { "to_gpu".to_owned() } else { kind.to_lowercase() };
        let name = match name {
            Name::Number(number) => json!(number),
            Name::Text(text) => json!(text),
        };
        (kind, name)
    };
    std::iter::once(&place.device).chain(&place.part).map(key).collect()
}
