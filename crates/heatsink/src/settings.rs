//! `heatsink config`: the settings in force, and where each comes from.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::checks;
use crate::cli::{Args, Origin};
use crate::config_file::ConfigFile;
use crate::exit::{EXIT_OK, Exit};
use crate::flag::{Command, Support};
use crate::flags::{self, CONFIG_JSON};
use crate::loaded::Loaded;
use crate::message::one_line;
use crate::table::aligned;

/// A setting.
struct Setting {
    name: String,
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
        let row = |it: Setting| vec![it.name, it.text, it.origin];
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
        let text = match row.shown {
            Some(shown) if !text.is_empty() => shown(&text),
            _ => text,
        };
        let rows = args.file().and_then(|file| file.counters.as_deref());
        if *row == flags::COLLECTORS.row
            && matches!(origin, Origin::Default)
            && let (Some(file), Some(rows)) = (args.file(), rows)
        {
            let line = rows.lines.iter().flatten().next().copied().unwrap_or_default();
            settings.push(in_file(file, row.long, "metrics.fields", line, &|place| {
                format!("(rows in {place})")
            }));
            continue;
        }
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
            name: row.long.to_owned(),
            json: json!({
                "name": row.long, "value": text, "from": json_of_origin, "reloads": row.reloads,
            }),
            text: if text.is_empty() { "-".to_owned() } else { text.replace('\n', " ") },
            origin: from,
        });
    }
    if let Some(file) = args.file() {
        settings.extend(file.groups.iter().map(|group| {
            let text = format!("{:?}: {}", group.interval, group.fields.join(", "));
            let name = one_line(&format!("{} {}", group.key, group.name));
            in_file(file, &name, group.key, group.line, &|_| one_line(&text))
        }));
    }
    Ok(settings)
}

/// What only a file of dcgm-exporter has; its text is that of `text` for its place.
fn in_file(
    file: &ConfigFile,
    name: &str,
    key: &str,
    line: u64,
    text: &dyn Fn(&str) -> String,
) -> Setting {
    let path = file.path().display().to_string();
    let place = format!("{path}:{line}");
    let text = text(&place);
    Setting {
        name: name.to_owned(),
        json: json!({
            "name": name, "value": text, "reloads": true,
            "from": {"kind": "file", "file": path, "line": line, "key": key},
        }),
        text,
        origin: place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_a_webhook_are_not_printed() {
        let url = "https://ann:s3cret@hooks.example.com:8443/s3cret?key=s3cret";
        let line = ["heatsink", "config", "--incident-webhook", url].map(Into::into);
        let args = Args::parse(line).unwrap();
        let settings = settings(&args).unwrap();
        let setting = settings.iter().find(|it| it.name == "incident-webhook").unwrap();
        assert_eq!(setting.text, "https://hooks.example.com:8443");
        assert_eq!(setting.json["value"], "https://hooks.example.com:8443");
        let all: Vec<_> = settings.iter().map(|it| it.json.to_string()).collect();
        assert!(!all.concat().contains("s3cret"));
    }

    #[test]
    fn the_arguments_of_a_command_are_not_printed() {
        for (command, shown) in [
            ("curl https://hooks.example.com/s3cret", "curl ..."),
            ("/etc/heatsink/mail", "/etc/heatsink/mail"),
        ] {
            let line = ["heatsink", "config", "--on-incident", command].map(Into::into);
            let settings = settings(&Args::parse(line).unwrap()).unwrap();
            let setting = settings.iter().find(|it| it.name == "on-incident").unwrap();
            assert_eq!(setting.text, shown);
            assert_eq!(setting.json["value"], shown);
        }
    }

    #[test]
    fn rows_and_groups_of_a_file_of_dcgm_exporter_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.yaml");
        let text = "version: 1\nmetrics:\n  fields:\n  - {name: DCGM_FI_DEV_GPU_TEMP, \
                    prometheusType: gauge, help: h}\ncollection:\n  watchGroups:\n  \
                    - {name: fast, interval: 5s, fields: ['*_TEMP', b]}\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let line = ["heatsink", "config", "--config-file", path].map(Into::into);
        let args = Args::parse(line).unwrap().with_file().unwrap();
        let settings = settings(&args).unwrap();
        let one = |name: &str| {
            let setting = settings.iter().find(|setting| setting.name == name).unwrap();
            (setting.text.clone(), setting.origin.clone())
        };
        assert_eq!(one("collectors"), (format!("(rows in {path}:4)"), format!("{path}:4")));
        let group = one("collection.watchGroups fast");
        assert_eq!(group, ("5s: *_TEMP, b".to_owned(), format!("{path}:7")));
    }
}
