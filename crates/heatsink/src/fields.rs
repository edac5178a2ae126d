//! `heatsink fields`: the field catalogue, and the table of XIDs.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Result;
use model::catalog::generation::PAIRS;
use model::catalog::xid::{self, XIDS};
use model::catalog::{FIELDS, Field, Level, builtin, counters};
use model::{Watch, Xid};

use crate::cli::Typed;
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{FIELDS_JSON, MARKDOWN, PATTERN, SERVED, XIDS as OF_XIDS};
use crate::table::aligned;

/// Prints it, or what of it holds the pattern.
pub(crate) fn run(typed: &Typed) -> Result<Exit> {
    let pattern = typed.get(&PATTERN)?.map(|pattern| pattern.to_lowercase());
    let (is_served, is_of_xids) = (typed.get(&SERVED)?, typed.get(&OF_XIDS)?);
    let helps = helps();
    let mut fields: Vec<Row> =
        FIELDS.iter().map(|field| Row { field, help: help(field, &helps) }).collect();
    fields.retain(|row| !is_served || served(row.field) != NOT_SERVED);
    let mut xids: Vec<Xid> = XIDS.iter().map(|entry| xid::lookup(entry.code)).collect();
    if let Some(pattern) = &pattern {
        fields.retain(|row| row.holds(pattern));
        xids.retain(|xid| holds_xid(xid, pattern));
        if if is_of_xids { xids.is_empty() } else { fields.is_empty() } {
            // A failure to print leaves nothing to do about it.
            let _ = writeln!(io::stderr(), "heatsink: {}", nothing_holds(pattern, is_of_xids));
            return Ok(Exit::with(EXIT_UNHEALTHY));
        }
    }
    let text = match (is_of_xids, typed.get(&FIELDS_JSON)?, typed.get(&MARKDOWN)?) {
        (true, true, _) => xids_as_json(&xids)?,
        (true, false, _) => xid_table(&xids),
        (false, true, _) => json(&fields)?,
        (false, false, true) => markdown(&fields),
        (false, false, false) => table(&fields, pattern.is_some()),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::with(EXIT_OK)),
        written => Ok(written.map(|()| Exit::with(EXIT_OK))?),
    }
}

/// A field, and what it is in a sentence.
struct Row {
    field: &'static Field,
    help: String,
}

impl Row {
    /// Whether one of its texts holds the pattern, which is in lower case.
    fn holds(&self, pattern: &str) -> bool {
        let Self { field, help } = self;
        let mut texts = vec![field.name, field.unit, field.group().as_str(), help];
        texts.extend(other_names(field));
        texts.into_iter().any(|text| text.to_lowercase().contains(pattern))
    }
}

/// Whether the pattern, which is in lower case, is its code, or stands in one of its texts.
fn holds_xid(xid: &Xid, pattern: &str) -> bool {
    match pattern.parse::<u32>() {
        Ok(code) => xid.code == code,
        Err(_) => [xid.message, xid.class, xid.action]
            .iter()
            .any(|text| text.to_lowercase().contains(pattern)),
    }
}

/// What to say where nothing holds the pattern: names that it may have been meant for.
fn nothing_holds(pattern: &str, is_of_xids: bool) -> String {
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

/// What a field is read by.
fn served(field: &Field) -> &'static str {
    match nvml::served(field.id) {
        Some(call) => call,
        None if field.level == Level::Exporter => "heatsink itself",
        None if field.level.is_beside_gpus() => "DCGM",
        None => NOT_SERVED,
    }
}

const NOT_SERVED: &str = "-";

/// The help texts of the built-in sets.
fn helps() -> Vec<Watch> {
    // Text is commented out there, for it would be a label of every series.
    let in_words = |set: &str| {
        let all = set.replace("\n# DCGM_", "\nDCGM_").replace("\n#DCGM_", "\nDCGM_");
        counters::parse(all.as_bytes()).watches
    };
    [builtin::HEALTH, builtin::ALL, builtin::MACHINE].map(in_words).concat()
}

/// What the field is: as the built-in sets say, or the names of another generation.
fn help(field: &Field, helps: &[Watch]) -> String {
    let pair = PAIRS.iter().find(|pair| pair.v4_9.name == field.name);
    let of_pair = pair.and_then(|pair| pair.help.as_ref()).map(|help| help.v4_9);
    let of_file = helps.iter().find(|watch| watch.field == field.id);
    of_file.map(|watch| &*watch.help).or(of_pair).unwrap_or_default().to_owned()
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

/// The help texts make it wide: they are there where something is looked for, which may be in them.
fn table(fields: &[Row], with_help: bool) -> String {
    const HEAD: [&str; 9] =
        ["ID", "NAME", "GROUP", "LEVEL", "TYPE", "UNIT", "SERIES PER GPU", "SERVED BY", "SINCE"];
    let mut head = HEAD.map(str::to_owned).to_vec();
    head.extend(with_help.then(|| "WHAT IT IS".to_owned()));
    let rows = fields.iter().map(|Row { field, help }| {
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
        row.extend(with_help.then(|| help.clone()));
        row
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn json(fields: &[Row]) -> Result<String> {
    let rows: Vec<serde_json::Value> = fields
        .iter()
        .map(|Row { field, help }| {
            serde_json::json!({
                "id": field.id.0,
                "name": field.name,
                "canonical_name": field.canonical,
                "other_names": other_names(field),
                "group": field.group().as_str(),
                "help": help,
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

/// The page about metrics of the documentation.
fn markdown(fields: &[Row]) -> String {
    let mut text = include_str!("metrics.txt").to_owned();
    text += "\n## heatsink's own families\n\nHow to use them: [signals](signals.md).\n\n\
             | family | what it is | type | series per GPU | in the set |\n|---|---|---|---|---|\n";
    for Row { field, help } in fields.iter().filter(|row| is_own(row.field)) {
        let (name, kind, series) = (field.name, field.kind.as_str(), field.series());
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
    for Row { field, help } in fields.iter().filter(|row| !is_own(row.field)) {
        let mut name = format!("`{}`", field.name);
        for other in other_names(field) {
            let _ = write!(name, "<br>`{other}`");
        }
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            help,
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
