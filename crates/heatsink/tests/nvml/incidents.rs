//! Incidents as programs read them: from the API and from `heatsink incidents --json`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::exporter::{Exporter, run};

use crate::rig::BINARY;

/// How long an incident may take. Much longer than needed: the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// An incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    /// Its number.
    pub(crate) number: u64,
    /// The name of its verdict.
    pub(crate) verdict: String,
    /// The indexes of its GPUs.
    pub(crate) gpus: Vec<u64>,
}

/// The incidents of a JSON text, the first one first; none of a text that has no list of them.
fn parsed(text: &str) -> Vec<Told> {
    let json: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let list = json.as_array().or_else(|| json["incidents"].as_array());
    let told = |incident: &Value| Told {
        number: incident["number"].as_u64().unwrap_or_default(),
        verdict: {
            // The command lists only its name.
            let verdict = &incident["verdict"];
            verdict["name"].as_str().or(verdict.as_str()).unwrap_or_default().to_owned()
        },
        gpus: {
            let gpus = incident["gpus"].as_array().into_iter().flatten();
            gpus.filter_map(|gpu| gpu["index"].as_u64()).collect()
        },
    };
    let mut incidents: Vec<Told> = list.into_iter().flatten().map(told).collect();
    incidents.sort_by_key(|incident| incident.number);
    incidents
}

/// The incidents that a running heatsink knows.
pub(crate) fn served(exporter: &Exporter) -> Vec<Told> {
    parsed(&exporter.get("/api/v1/incidents").body)
}

/// Waits for incidents that fulfil a condition.
///
/// # Errors
///
/// The incidents that there were instead.
pub(crate) fn wait_for(
    exporter: &Exporter,
    condition: impl Fn(&[Told]) -> bool,
) -> Result<Vec<Told>, String> {
    let end = Instant::now() + LIMIT;
    loop {
        let incidents = served(exporter);
        if condition(&incidents) {
            return Ok(incidents);
        }
        if Instant::now() > end {
            return Err(format!("{incidents:?}\n{}", exporter.log()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What `heatsink incidents --json` lists of a folder.
pub(crate) fn listed(folder: &Path) -> Vec<Told> {
    parsed(&command(&["incidents", "--json"], folder).0)
}

/// What a command says of a folder, and its exit status.
pub(crate) fn command(args: &[&str], folder: &Path) -> (String, Option<i32>) {
    let folder = folder.display().to_string();
    let output = run(BINARY, &[args, &["--history-dir", &folder]].concat(), &[("TZ", "UTC")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text + &String::from_utf8_lossy(&output.stderr), output.status.code())
}
