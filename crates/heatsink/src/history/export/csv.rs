//! An export as a table: a line for each row and GPU.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use history::layout::{Layout, SignalInfo};
use history::recording::{Item, Recording, Row};
use history::time::Range;

use super::each::each;
use super::progress::Progress;
use super::survey::Survey;
use super::value;

/// Writes the table. Values of the machine are repeated for each GPU; a row without GPUs has a line, too.
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
    let head = |signal: &SignalInfo| match signal.unit.as_str() {
        "" => signal.name.clone(),
        unit => format!("{} [{unit}]", signal.name),
    };
    let mut line = "time,gpu,uuid".to_owned();
    for signal in &survey.signals {
        push_cell(&mut line, &head(signal));
    }
    writeln!(out, "{line}")?;
    let mut layout: Option<(Arc<Layout>, Vec<Places>)> = None;
    each(recording, range, |item| {
        match item {
            Item::Layout(new) => layout = Some((Arc::clone(new), places(new, &survey.signals))),
            Item::Row(row) => {
                if let Some((layout, places)) = &layout {
                    for (gpu, places) in places.iter().enumerate() {
                        line.clear();
                        push_line(&mut line, row, layout, gpu, places);
                        out.write_all(line.as_bytes())?;
                    }
                }
                progress.step();
            }
            Item::Event(_) => {}
        }
        Ok(())
    })
}

/// The place in rows of each column of the table, and its signal as the layout has it.
type Places = Vec<Option<(usize, SignalInfo)>>;

/// The places for each GPU of a layout; for the machine alone if there is none.
fn places(layout: &Layout, signals: &[SignalInfo]) -> Vec<Places> {
    let of = |gpu: Option<usize>| -> Places {
        let place = |signal: &SignalInfo| {
            let mut columns = layout.columns().enumerate();
            let found = columns.find(|(_, column)| {
                let is_there = column.gpu.is_none() || column.gpu == gpu;
                let is_same = column.signal.number == signal.number;
                is_there && is_same && column.signal.name == signal.name
            });
            found.map(|(place, column)| (place, column.signal.clone()))
        };
        signals.iter().map(place).collect()
    };
    match layout.gpus.len() {
        0 => vec![of(None)],
        gpus => (0..gpus).map(|gpu| of(Some(gpu))).collect(),
    }
}

fn push_line(line: &mut String, row: &Row, layout: &Layout, gpu: usize, places: &Places) {
    let gpu = layout.gpus.get(gpu);
    line.push_str(&value::time(row.time));
    let index = gpu.and_then(|gpu| gpu.index).map(|index| index.to_string());
    push_cell(line, index.as_deref().unwrap_or_default());
    push_cell(line, gpu.and_then(|gpu| gpu.uuid.as_deref()).unwrap_or_default());
    for place in places {
        line.push(',');
        if let Some((place, signal)) = place
            && let Some(number) = row.values.get(*place).copied().flatten()
        {
            line.push_str(&value::text(signal, number));
        }
    }
    line.push('\n');
}

/// Adds a cell behind a comma, in quotes if it needs them (RFC 4180).
fn push_cell(line: &mut String, cell: &str) {
    line.push(',');
    line.push_str(&quoted(cell));
}

fn quoted(cell: &str) -> Cow<'_, str> {
    match cell.contains([',', '"', '\n', '\r']) {
        true => Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\""))),
        false => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;

    #[test]
    fn each_row_and_gpu_has_a_line_and_gaps_are_empty() {
        let recording = made::recording();
        let survey = Survey::of(&recording, Range::ALL).unwrap();
        let mut out = Vec::new();
        write(&recording, Range::ALL, &survey, &mut Progress::silent(), &mut out).unwrap();
        let expected = "\
            time,gpu,uuid,memory_available [MiB],up,down_reason,gpu_temperature [°C],power [W]\n\
            2023-11-14T22:13:20.000Z,0,GPU-0,1000,1,,70,500.125\n\
            2023-11-14T22:13:20.000Z,1,GPU-1,1000,1,,40,80\n\
            2023-11-14T22:13:21.000Z,0,GPU-0,900,1,,71,501.125\n\
            2023-11-14T22:13:21.000Z,1,GPU-1,900,1,,40,\n\
            2023-11-14T22:13:22.000Z,0,GPU-0,,0,lost,,\n\
            2023-11-14T22:13:22.000Z,1,GPU-1,,1,,41,82\n\
            2023-11-14T22:13:23.001Z,1,GPU-1,,1,,42,83\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        assert_eq!(quoted("GPU-1"), "GPU-1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
