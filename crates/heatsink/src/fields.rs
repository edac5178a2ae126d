//! `heatsink fields`: the field table and the XID table, as text, JSON or Markdown.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Result;
use model::catalog::builtin::Set;
use model::catalog::xid::{self, XIDS};
use model::catalog::{FIELDS, Field};
use model::{Xid, field};

use crate::cli::Args;
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{FIELDS_JSON, MARKDOWN, PATTERN, SERVED, XIDS as OF_XIDS};
use crate::table::aligned;

/// Prints the fields or the XIDs, all or those that match the pattern.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let pattern = args.get(&PATTERN)?.map(|pattern| pattern.to_lowercase());
    let (is_served, is_of_xids) = (args.get(&SERVED)?, args.get(&OF_XIDS)?);
    let mut fields: Vec<&Field> = FIELDS.iter().collect();
    fields.retain(|field| !is_served || served(field) != NOT_SERVED);
    let mut xids: Vec<Xid> = XIDS.iter().map(|entry| xid::lookup(entry.code)).collect();
    if let Some(pattern) = &pattern {
        fields.retain(|field| field_matches(field, pattern));
        xids.retain(|xid| xid_matches(xid, pattern));
        if if is_of_xids { xids.is_empty() } else { fields.is_empty() } {
            // A failure to print leaves nothing to do about it.
            let _ = writeln!(io::stderr(), "heatsink: {}", nothing_matches(pattern, is_of_xids));
            return Ok(Exit::with(EXIT_UNHEALTHY));
        }
    }
    let text = match (is_of_xids, args.get(&FIELDS_JSON)?, args.get(&MARKDOWN)?) {
        (true, true, _) => xids_as_json(&xids)?,
        (true, false, _) => xid_table(&xids),
        (false, true, _) => json(&fields)?,
        (false, false, true) => markdown(&fields),
        (false, false, false) => table(&fields, pattern.is_some()),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader closed the pipe, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::with(EXIT_OK)),
        written => Ok(written.map(|()| Exit::with(EXIT_OK))?),
    }
}

/// Whether one of the field's texts contains the pattern, which is in lower case.
fn field_matches(field: &Field, pattern: &str) -> bool {
    let texts = [field.name, field.unit, field.group().as_str(), field.help];
    let mut texts = texts.into_iter().chain(field.canonical);
    texts.any(|text| text.to_lowercase().contains(pattern))
}

/// Whether the pattern, which is in lower case, is the XID's code, or stands in one of its texts.
fn xid_matches(xid: &Xid, pattern: &str) -> bool {
    match pattern.parse::<u32>() {
        Ok(code) => xid.code == code,
        Err(_) => [xid.message, xid.class, xid.action]
            .iter()
            .any(|text| text.to_lowercase().contains(pattern)),
    }
}

/// The message for a pattern without a match, with names that it may have been meant for.
fn nothing_matches(pattern: &str, is_of_xids: bool) -> String {
    /// How many names are proposed.
    const MOST: usize = 5;
    if is_of_xids {
        return format!("no XID has `{pattern}` as its code or in its texts");
    }
    let names = model::catalog::names_like(pattern);
    let proposed = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => format!("no field has `{pattern}` in its names, unit, group or help"),
        _ => format!(
            "no field has `{pattern}` in its names, unit, group or help; near it: {proposed}"
        ),
    }
}

/// The driver call, the source or the program that a field's values come from.
fn served(field: &Field) -> &'static str {
    match nvml::served(field.id) {
        Some(call) => call,
        None if field::is_derived(field.id) => "heatsink itself",
        None if field.level.is_beside_gpus() => "DCGM",
        None => NOT_SERVED,
    }
}

const NOT_SERVED: &str = "-";

/// The help texts make the table wide, so they are left out unless a pattern may have matched in them.
fn table(fields: &[&Field], with_help: bool) -> String {
    const HEAD: [&str; 9] =
        ["ID", "NAME", "GROUP", "LEVEL", "TYPE", "UNIT", "SERIES PER GPU", "SERVED BY", "SINCE"];
    let mut head = HEAD.map(str::to_owned).to_vec();
    head.extend(with_help.then(|| "WHAT IT IS".to_owned()));
    let rows = fields.iter().map(|field| {
        let mut row = vec![
            field.id.0.to_string(),
            field.name.to_owned(),
            field.group().as_str().to_owned(),
            field.level.as_str().to_owned(),
            field.kind.as_str().to_owned(),
            field.unit.to_owned(),
            field.series().to_owned(),
            served(field).to_owned(),
            nvml::since(field.id).to_owned(),
        ];
        row.extend(with_help.then(|| field.help.to_owned()));
        row
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn json(fields: &[&Field]) -> Result<String> {
    let rows: Vec<serde_json::Value> = fields
        .iter()
        .map(|field| {
            serde_json::json!({
                "id": field.id.0,
                "name": field.name,
                "canonical_name": field.canonical,
                "other_names": Vec::from_iter(field.canonical),
                "group": field.group().as_str(),
                "help": field.help,
                "level": field.level.as_str(),
                "type": field.kind.as_str(),
                "value": field.value.as_str(),
                "unit": field.unit,
                "series_per_gpu": field.series(),
                "served_by": Some(served(field)).filter(|served| *served != NOT_SERVED),
                "since": Some(nvml::since(field.id)).filter(|since| !since.is_empty()),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

/// `docs/metrics.md`.
fn markdown(fields: &[&Field]) -> String {
    let mut text = include_str!("metrics.txt").to_owned();
    text += "\n## heatsink's own families\n\nHow to use them: [signals](signals.md).\n\n\
             | family | what it is | type | series per GPU | in the set |\n|---|---|---|---|---|\n";
    for field in fields.iter().filter(|field| is_own(field)) {
        let (name, help, kind, series) =
            (field.name, field.help, field.kind.as_str(), field.series());
        let set = set_of(field);
        let _ = writeln!(text, "| `{name}` | {help} | {kind} | {series} | {set} |");
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
        if let Some(other) = field.canonical {
            let _ = write!(name, "<br>`{other}`");
        }
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            field.help,
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

/// Whether it is a family of heatsink's own rather than a field of DCGM or dcgm-exporter.
fn is_own(field: &Field) -> bool {
    !field.name.starts_with("DCGM_")
}

/// The smallest built-in set that has the field.
fn set_of(field: &Field) -> &'static str {
    const SETS: [(&str, Set); 5] = [
        ("every page", Set::Health),
        ("minimal", Set::Minimal),
        ("default", Set::Default),
        ("monitoring", Set::Monitoring),
        ("all", Set::All),
    ];
    SETS.iter().find(|(_, set)| set.reads(field)).map_or("", |(name, _)| name)
}

fn xid_table(xids: &[Xid]) -> String {
    let critical: Vec<u32> = xid::critical().map(|xid| xid.code).collect();
    let head = ["XID", "NAME", "CLASS", "", "WHAT TO DO"].map(str::to_owned).to_vec();
    let rows = xids.iter().map(|xid| {
        let mark = if critical.contains(&xid.code) { "critical" } else { "" };
        let code = xid.code.to_string();
        [&code, xid.message, xid.class, mark, xid.action].map(str::to_owned).to_vec()
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn xids_as_json(xids: &[Xid]) -> Result<String> {
    let critical: Vec<u32> = xid::critical().map(|xid| xid.code).collect();
    let rows: Vec<serde_json::Value> = xids
        .iter()
        .map(|xid| {
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
