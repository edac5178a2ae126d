//! `heatsink fields`: the field catalogue, and the table of XIDs.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Result;
use catalog::generation::PAIRS;
use catalog::xid::{self, XIDS};
use catalog::{FIELDS, Field, Level, builtin, counters};
use model::Watch;

use crate::Outcome;
use crate::cli::FieldsArgs;

/// Prints it.
pub(crate) fn run(args: &FieldsArgs) -> Result<Outcome> {
    let fields: Vec<&Field> =
        FIELDS.iter().filter(|field| !args.served || served(field) != "-").collect();
    let text = match (args.xids, args.json, args.markdown) {
        (true, true, _) => xids_as_json()?,
        (true, false, _) => xids(),
        (false, true, _) => json(&fields)?,
        (false, false, true) => markdown(&fields),
        (false, false, false) => table(&fields),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::DONE),
        written => Ok(written.map(|()| Outcome::DONE)?),
    }
}

/// What a field is read by.
fn served(field: &Field) -> &'static str {
    match nvml::served(field.id) {
        Some(call) => call,
        None if field.level == Level::Exporter => "heatsink itself",
        None if field.level.is_beside_gpus() => "DCGM",
        None => "-",
    }
}

/// The names that a field has in other generations.
fn other_names(field: &Field) -> Vec<&'static str> {
    let mut names: Vec<&str> = field.canonical.into_iter().collect();
    // A twin in another unit is another field.
    for pair in PAIRS.iter().filter(|pair| pair.v4_8.field == pair.v4_9.field) {
        if pair.v4_8.name == field.name && !names.contains(&pair.v4_9.name) {
            names.push(pair.v4_9.name);
        }
    }
    names
}

fn table(fields: &[&Field]) -> String {
    let rows = fields.iter().map(|field| {
        [
            field.id.0.to_string(),
            field.name.to_owned(),
            field.level.as_str().to_owned(),
            field.kind.as_str().to_owned(),
            field.unit.to_owned(),
            field.series().to_owned(),
            served(field).to_owned(),
            nvml::since(field.id).to_owned(),
        ]
    });
    let head = ["ID", "NAME", "LEVEL", "TYPE", "UNIT", "SERIES PER GPU", "SERVED BY", "SINCE"];
    aligned(head, rows.collect())
}

/// Rows with columns as wide as they need to be.
fn aligned<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(head.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn json(fields: &[&Field]) -> Result<String> {
    let rows: Vec<serde_json::Value> = fields
        .iter()
        .map(|field| {
            serde_json::json!({
                "id": field.id.0,
                "name": field.name,
                "canonical_name": field.canonical,
                "other_names": other_names(field),
                "level": field.level.as_str(),
                "type": field.kind.as_str(),
                "value": field.value.as_str(),
                "unit": field.unit,
                "series_per_gpu": field.series(),
                "served_by": Some(served(field)).filter(|served| *served != "-"),
                "since": Some(nvml::since(field.id)).filter(|since| !since.is_empty()),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

/// The page about metrics of the documentation.
fn markdown(fields: &[&Field]) -> String {
    let mut text = include_str!("metrics.md").to_owned();
    let helps = helps();
    let help_of = |field: &Field| {
        let pair = PAIRS.iter().find(|pair| pair.v4_9.name == field.name);
        let of_pair = pair.and_then(|pair| pair.help.as_ref()).map(|help| help.v4_9);
        let of_file = helps.iter().find(|watch| watch.field == field.id);
        of_file.map(|watch| watch.help.to_string()).or(of_pair.map(str::to_owned))
    };
    text += "\n## heatsink's own families\n\nHow to use them: [signals](signals.md).\n\n\
             | family | what it is | type | series per GPU | in the set |\n|---|---|---|---|---|\n";
    for field in fields.iter().filter(|field| is_own(field)) {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            field.name,
            help_of(field).unwrap_or_default(),
            field.kind.as_str(),
            field.series(),
            set_of(field),
        );
    }
    text += "\n## Fields of DCGM\n\n\
             The first name is that of dcgm-exporter 4.8 (or, in base units, of 4.9). A field of a \
             finer level exists for the coarser ones, too; one of the GPU is repeated for its \
             instances. A field that a GPU or driver does not have is absent, and \
             `heatsink_field_unavailable_info` says so. Where `since` is empty, no beginning is \
             known. NVSwitches, their links, CPUs and their cores belong to no GPU; the set `machine` \
             has their rows.\n\n\
             | field | what it is | unit | type | level | id | read by | since |\n\
             |---|---|---|---|---|---|---|---|\n";
    for field in fields.iter().filter(|field| !is_own(field)) {
        let mut name = format!("`{}`", field.name);
        for other in other_names(field) {
            let _ = write!(name, "<br>`{other}`");
        }
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            help_of(field).unwrap_or_default(),
            field.unit,
            field.kind.as_str(),
            field.level.as_str().replace('_', " "),
            field.id.0,
            served(field),
            nvml::since(field.id),
        );
    }
    text
}

/// The rows of the built-in sets that have every field, with those that are comments there.
fn helps() -> Vec<Watch> {
    // Text is commented out there, for it would be a label of every series.
    let in_words = |set: &str| {
        let all = set.replace("\n# DCGM_", "\nDCGM_").replace("\n#DCGM_", "\nDCGM_");
        counters::parse(all.as_bytes()).watches
    };
    [builtin::HEALTH, builtin::ALL, builtin::MACHINE].map(in_words).concat()
}

/// Whether it is a family of heatsink's own rather than a field of DCGM or dcgm-exporter.
fn is_own(field: &Field) -> bool {
    !field.name.starts_with("DCGM_")
}

/// The smallest built-in set that has the field.
fn set_of(field: &Field) -> &'static str {
    const SETS: [(&str, &str); 5] = [
        ("every page", builtin::HEALTH),
        ("minimal", builtin::MINIMAL),
        ("default", builtin::DEFAULT),
        ("monitoring", builtin::MONITORING),
        ("all", builtin::ALL),
    ];
    let has_it = |text: &str| {
        counters::parse(text.as_bytes()).watches.iter().any(|watch| watch.field == field.id)
    };
    SETS.iter().find(|(_, text)| has_it(text)).map_or("", |(name, _)| name)
}

fn xids() -> String {
    let critical: Vec<u32> = xid::critical().map(|xid| xid.code).collect();
    let rows = XIDS.iter().map(|entry| {
        let xid = xid::lookup(entry.code);
        let mark = if critical.contains(&xid.code) { "critical" } else { "" };
        [
            xid.code.to_string(),
            xid.message.to_owned(),
            xid.class.to_owned(),
            mark.to_owned(),
            xid.action.to_owned(),
        ]
    });
    aligned(["XID", "NAME", "CLASS", "", "WHAT TO DO"], rows.collect())
}

fn xids_as_json() -> Result<String> {
    let critical: Vec<u32> = xid::critical().map(|xid| xid.code).collect();
    let rows: Vec<serde_json::Value> = XIDS
        .iter()
        .map(|entry| {
            let xid = xid::lookup(entry.code);
            serde_json::json!({
                "xid": xid.code,
                "name": xid.message,
                "class": xid.class,
                "critical": critical.contains(&xid.code),
                "action": xid.action,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}
