//! `heatsink fields`: the field catalogue.

use std::io::{self, Write};

use anyhow::Result;
use catalog::{FIELDS, Field};

use crate::Outcome;
use crate::cli::FieldsArgs;

/// Prints it.
pub(crate) fn run(args: &FieldsArgs) -> Result<Outcome> {
    let fields: Vec<&Field> =
        FIELDS.iter().filter(|field| !args.served || nvml::served(field.id).is_some()).collect();
    let text = if args.json { json(&fields)? } else { table(&fields) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::DONE),
        written => Ok(written.map(|()| Outcome::DONE)?),
    }
}

fn table(fields: &[&Field]) -> String {
    let widest = fields.iter().map(|field| field.name.len()).max().unwrap_or_default();
    let mut text = format!(
        "{:>5}  {:widest$}  {:16}  {:7}  {:22}  {}\n",
        "ID", "NAME", "LEVEL", "TYPE", "UNIT", "SERVED BY"
    );
    for field in fields {
        text += &format!(
            "{:>5}  {:widest$}  {:16}  {:7}  {:22}  {}\n",
            field.id.0,
            field.name,
            field.level.as_str(),
            field.kind.as_str(),
            field.unit,
            nvml::served(field.id).unwrap_or("-"),
        );
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
                "level": field.level.as_str(),
                "type": field.kind.as_str(),
                "value": field.value.as_str(),
                "unit": field.unit,
                "served_by": nvml::served(field.id),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}
