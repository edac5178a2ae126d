//! An export as JSON, an object per line: layouts, rows and events in the order in which they were recorded,
//! then incidents.

use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use history::layout::{Column, Layout};
use history::recording::{Item, Recording, Row};
use history::time::Range;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::each::each;
use super::progress::Progress;
use super::survey::Survey;
use super::value;

/// Writes the objects. Each has a `type`; times are milliseconds since 1970.
///
/// # Errors
///
/// If the recording cannot be read or the text not be written.
pub(super) fn write(
    recording: &dyn Recording,
    range: Range,
    survey: &Survey,
    progress: &mut Progress<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    progress.begin(survey.rows);
    let mut layout: Option<Arc<Layout>> = None;
    each(recording, range, |item| {
        match item {
            Item::Layout(new) => {
                if layout.as_ref() != Some(new) {
                    write_line(out, "layout", &**new)?;
                    layout = Some(Arc::clone(new));
                }
            }
            Item::Row(row) => {
                if let Some(layout) = &layout {
                    write_line(out, "row", &object(row, layout))?;
                }
                progress.step();
            }
            Item::Event(event) => write_line(out, "event", event)?,
        }
        Ok(())
    })?;
    for incident in recording.incidents()? {
        if incident.window.overlaps(&range) {
            write_line(out, "incident", &incident)?;
        }
    }
    Ok(())
}

fn write_line(out: &mut dyn Write, kind: &str, object: &impl Serialize) -> Result<()> {
    let mut line = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    if let Value::Object(object) = serde_json::to_value(object)? {
        line.extend(object);
    }
    writeln!(out, "{}", Value::Object(line))?;
    Ok(())
}

/// A row: the values of the machine, and of each GPU. What had no value is left out.
fn object(row: &Row, layout: &Layout) -> Value {
    let mut host = Map::new();
    let name = |gpu: &history::layout::GpuInfo| {
        let names =
            [("gpu", gpu.index.map(Value::from)), ("uuid", gpu.uuid.clone().map(Value::from))];
        let names = names.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name?)));
        Map::from_iter(names)
    };
    let mut gpus: Vec<Map<String, Value>> = layout.gpus.iter().map(name).collect();
    for (Column { signal, gpu }, number) in layout.columns().zip(&row.values) {
        let of = match gpu {
            None => Some(&mut host),
            Some(gpu) => gpus.get_mut(gpu),
        };
        if let (Some(of), Some(number)) = (of, number) {
            of.insert(signal.name.clone(), value::json(signal, *number));
        }
    }
    json!({"time": row.time.0, "host": host, "gpus": gpus})
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;

    #[test]
    fn rows_and_events_are_objects_in_the_order_of_recording() {
        let recording = made::recording();
        let survey = Survey::of(&recording, Range::ALL).unwrap();
        let mut out = Vec::new();
        write(&recording, Range::ALL, &survey, &mut Progress::silent(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        let expected =
            ["layout", "event", "event", "row", "event", "row", "row", "layout", "row", "incident"];
        assert_eq!(types, expected);
        let row = json!({
            "type": "row", "time": made::BEGIN + 2_000, "host": {},
            "gpus": [
                {"gpu": 0, "uuid": "GPU-0", "up": 0, "down_reason": "lost"},
                {"gpu": 1, "uuid": "GPU-1", "up": 1, "gpu_temperature": 41, "power": 82},
            ],
        });
        assert_eq!(lines[6], row);
        assert_eq!(lines[0]["signals"][0]["unit"], "MiB");
        assert_eq!(
            (&lines[4]["event"], &lines[4]["time"]),
            (&json!("holder_ended"), &json!(made::BEGIN + 500))
        );
        assert_eq!(lines[9]["number"], 1);
    }
}
