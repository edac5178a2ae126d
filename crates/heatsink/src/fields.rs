//! `heatsink fields`: the field catalogue, and the table of XIDs.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Result;
use catalog::xid::{self, XIDS};
use catalog::{FIELDS, Field, Level, generation};

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
        None => "-",
    }
}

/// The names that a field has in other generations.
fn other_names(field: &Field) -> Vec<&'static str> {
    let mut names: Vec<&str> = field.canonical.into_iter().collect();
    for pair in generation::PAIRS {
        let twin = if pair.v4_8.name == field.name { pair.v4_9.name } else { pair.v4_8.name };
        let is_in = pair.v4_8.name == field.name || pair.v4_9.name == field.name;
        if is_in && !names.contains(&twin) {
            names.push(twin);
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
            served(field).to_owned(),
            nvml::since(field.id).to_owned(),
        ]
    });
    aligned(["ID", "NAME", "LEVEL", "TYPE", "UNIT", "SERVED BY", "SINCE"], rows.collect())
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
                "served_by": Some(served(field)).filter(|served| *served != "-"),
                "since": Some(nvml::since(field.id)).filter(|since| !since.is_empty()),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

fn markdown(fields: &[&Field]) -> String {
    let mut text = String::from(
        "| field | id | level | unit | type | read by | since |\n|---|---|---|---|---|---|---|\n",
    );
    for field in fields {
        let mut name = format!("`{}`", field.name);
        for other in other_names(field) {
            let _ = write!(name, "<br>also `{other}`");
        }
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            field.id.0,
            field.level.as_str().replace('_', " "),
            field.unit,
            field.kind.as_str(),
            served(field),
            nvml::since(field.id),
        );
    }
    text
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
