//! `heatsink config`: the settings in force, and where each comes from.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::checks;
use crate::cli::{Args, Origin};
use crate::exit::{EXIT_OK, Exit};
use crate::flag::{Command, Support};
use crate::flags::{self, CONFIG_JSON};
use crate::loaded::Loaded;
use crate::table::aligned;

/// A setting.
struct Setting {
    name: &'static str,
    text: String,
    origin: String,
    json: Value,
}

/// Prints the settings that `heatsink serve` would use with the same flags. Nothing is opened but the
/// files that they name.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let args = &args.with_file()?;
    let settings = settings(args)?;
    for warning in checks::check(args)? {
        // A failure to print leaves nothing to do about it.
        let _ = writeln!(io::stderr(), "heatsink: warning: {warning}");
    }
    Loaded::of_files(args)?;
    let text = if args.get(&CONFIG_JSON)? {
        let list: Vec<Value> = settings.into_iter().map(|setting| setting.json).collect();
        format!("{:#}\n", Value::from(list))
    } else {
        let head = ["SETTING", "VALUE", "FROM"].map(str::to_owned).to_vec();
        let row = |it: Setting| vec![it.name.to_owned(), it.text, it.origin];
        aligned(&[vec![head], settings.into_iter().map(row).collect()].concat())
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::with(EXIT_OK))
}

/// All settings of `serve`, checked. Flags that do nothing here are left out unless they are given.
fn settings(args: &Args) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for checked in flags::checked().filter(|checked| checked.row.is_of(Command::Serve)) {
        let row = checked.row;
        let origin = args.origin(row);
        let text = args.text(row);
        (checked.meaning)(text.as_deref()).with_context(|| args.place(row))?;
        if row.support != Support::Served && matches!(origin, Origin::Default) {
            continue;
        }
        let text = text.unwrap_or_default().to_string_lossy().into_owned();
        let text = if text.is_empty() { row.default.to_owned() } else { text };
        let (from, json_of_origin) = match origin {
            Origin::Flag => ("flag".to_owned(), json!({"kind": "flag"})),
            Origin::Variable(name) => {
                (format!("variable {name}"), json!({"kind": "variable", "variable": name}))
            }
            Origin::File(file, entry) => {
                let path = file.path().display().to_string();
                (
                    format!("{path}:{}", entry.line),
                    json!({"kind": "file", "file": path, "line": entry.line, "key": entry.key}),
                )
            }
            Origin::Default => ("default".to_owned(), json!({"kind": "default"})),
        };
        settings.push(Setting {
            name: row.long,
            json: json!({
                "name": row.long, "value": text, "from": json_of_origin, "reloads": row.reloads,
            }),
            text: if text.is_empty() { "-".to_owned() } else { text.replace('\n', " ") },
            origin: from,
        });
    }
    Ok(settings)
}
