//! Every file that is generated: what is in it, and whether one has drifted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use model::catalog::builtin::Set;

use crate::dashboards;
use crate::expand::{self, Names};
use crate::pages;
use crate::rules::RuleFile;
use crate::source::{Alert, Source};

/// Where the source of the rules is, below the root of the repository.
pub const SOURCE: &str = "monitoring/rules/rules.toml";

/// A file that is generated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generated {
    /// Below the root of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Reads the source of the rules below `root`, and checks it against what is served.
pub fn source(root: &Path) -> Result<Source> {
    source_at(&root.join(SOURCE))
}

/// The same for a source that lies elsewhere.
pub fn source_at(path: &Path) -> Result<Source> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let source = Source::parse(&text)?;
    let known = shipped_rows();
    let alerts = source.alerts().map(|alert| (&alert.name, &alert.expr));
    let records = source.groups.iter().flat_map(|group| &group.records);
    for (name, expr) in alerts.chain(records.map(|record| (&record.name, &record.expr))) {
        for field in expand::fields(expr)? {
            ensure!(
                known.contains(field),
                "`{name}` needs `{field}`, and neither the default counters file nor \
                 deploy/counters/monitoring.csv asks for it: it could never be true"
            );
        }
    }
    Ok(source)
}

/// What is generated from `source`.
pub fn generated(source: &Source) -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for names in Names::OF_RULES {
        let rules = RuleFile::new(source, names, 1.0)?;
        let suffix = if names == Names::V4_8 { "" } else { "-4.9" };
        let heading = heading(names);
        let mut add = |path: String, text: String| files.push(Generated { path, text });
        add(format!("monitoring/rules/heatsink{suffix}.rules.yml"), rules.to_yaml(&heading)?);
        add(
            format!("monitoring/rules/prometheusrule{suffix}.yaml"),
            rules.to_prometheus_rule(&heading)?,
        );
        add(
            format!("deploy/helm/heatsink/files/rules/{}.yaml", names.as_str()),
            rules.to_yaml(&heading)?,
        );
    }
    for dashboard in dashboards::all(source)? {
        let mut text = serde_json::to_string_pretty(&dashboard.json)?;
        text.push('\n');
        // The chart can only ship what lies inside it.
        for folder in ["monitoring/dashboards", "deploy/helm/heatsink/files/dashboards"] {
            let path = format!("{folder}/heatsink-{}.json", dashboard.name);
            files.push(Generated { path, text: text.clone() });
        }
    }
    files.push(Generated { path: "docs/alerts.md".to_owned(), text: pages::alerts(source)? });
    Ok(files)
}

fn heading(names: Names) -> String {
    let flag = match names {
        Names::V4_9 => "4.9",
        _ => "4.8, 4.8.2 or both",
    };
    format!(
        "Recording rules and alerts for heatsink with --metric-names {flag}.\n\
         Some alerts need --extra-collectors monitoring as well.\n\
         Generated from {SOURCE} by `cargo xtask generate`: change it there."
    )
}

/// Writes what is generated below `root`; gives back the paths that were not as they should be.
pub fn write(root: &Path, files: &[Generated]) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
        written.push(file.path.clone());
    }
    Ok(written)
}

/// Fails if a generated file is not what it should be, or an alert has no runbook.
pub fn check(root: &Path, source: &Source, files: &[Generated]) -> Result<()> {
    let mut wrong = Vec::new();
    for file in files {
        match fs::read_to_string(root.join(&file.path)) {
            Ok(text) if text == file.text => {}
            Ok(_) => wrong.push(format!("{} has drifted", file.path)),
            Err(error) => wrong.push(format!("{}: {error}", file.path)),
        }
    }
    wrong.extend(left_over(root, files)?);
    if !wrong.is_empty() {
        bail!("{}; run `cargo xtask generate`", wrong.join(", "));
    }
    runbooks(root, source)
}

/// Where nothing lies but what is generated, as far as it ends so.
const FOLDERS: [(&str, &str); 5] = [
    ("monitoring/rules", "yml"),
    ("monitoring/rules", "yaml"),
    ("monitoring/dashboards", "json"),
    ("deploy/helm/heatsink/files/rules", "yaml"),
    ("deploy/helm/heatsink/files/dashboards", "json"),
];

/// Files that look generated, and that nothing generates any more.
fn left_over(root: &Path, files: &[Generated]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (folder, ending) in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            let is_made = files.iter().any(|file| file.path == path);
            if path.ends_with(&format!(".{ending}")) && !is_made {
                found.push(format!("{path} is made by nothing: remove it"));
            }
        }
    }
    Ok(found)
}

fn runbooks(root: &Path, source: &Source) -> Result<()> {
    let folder = root.join("docs/runbooks");
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        there.extend(name.strip_suffix(".md").filter(|name| *name != "README").map(str::to_owned));
    }
    let wanted: BTreeSet<String> = source.alerts().map(|alert| alert.name.clone()).collect();
    let missing: Vec<_> = wanted.difference(&there).cloned().collect();
    let orphans: Vec<_> = there.difference(&wanted).cloned().collect();
    ensure!(missing.is_empty(), "alerts without a runbook: {}", missing.join(", "));
    ensure!(orphans.is_empty(), "runbooks without an alert: {}", orphans.join(", "));
    Ok(())
}

/// Whether an alert needs rows beyond those of the default counters file to fire at all.
pub fn needs_extra_rows(source: &Source, alert: &Alert) -> Result<bool> {
    let default = rows(Set::Default);
    Ok(fields(source, alert)?.iter().any(|field| !default.contains(*field)))
}

/// The fields that an alert stands on, those of recorded series included.
fn fields(source: &Source, alert: &Alert) -> Result<BTreeSet<&'static str>> {
    let mut fields = expand::fields(&alert.expr)?;
    let records = source.groups.iter().flat_map(|group| &group.records);
    for record in records.filter(|record| alert.expr.contains(&record.name)) {
        fields.extend(expand::fields(&record.expr)?);
    }
    Ok(fields)
}

fn shipped_rows() -> BTreeSet<String> {
    let mut known = rows(Set::Default);
    known.extend(rows(Set::Monitoring));
    known
}

fn rows(set: Set) -> BTreeSet<String> {
    set.watches().into_iter().map(|watch| watch.name.to_string()).collect()
}
