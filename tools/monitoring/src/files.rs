//! The generated files that are in git: their content, and whether one has drifted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::expand::Names;
use crate::rules::RuleFile;
use crate::source::Source;
use crate::{dashboards, json, pages, rows};

/// Where the source of the rules is, below the root of the repository.
pub const SOURCE: &str = "monitoring/rules/rules.toml";
/// The folder of the rule files.
pub const RULES: &str = "monitoring/rules";
/// The folder of the dashboards.
pub const DASHBOARDS: &str = "monitoring/dashboards";

/// Where the chart has links to the rule files, one for each generation of names.
const CHART_RULES: &str = "deploy/helm/heatsink/files/rules";
/// Where the chart has links to the dashboards.
const CHART_DASHBOARDS: &str = "deploy/helm/heatsink/files/dashboards";

/// A file that is generated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Generated {
    /// Below the root of the repository.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Reads the source of the rules below `root`, and checks that heatsink serves what they need.
pub fn source(root: &Path) -> Result<Source> {
    source_at(&root.join(SOURCE))
}

/// The same for a source at another path.
pub fn source_at(path: &Path) -> Result<Source> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let source = Source::parse(&text)?;
    rows::check(&source)?;
    Ok(source)
}

/// The generated files that are in git.
pub fn generated(source: &Source) -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for names in Names::OF_RULES {
        let text = RuleFile::new(source, names, 1.0)?.to_yaml(&heading(names))?;
        let suffix = if names == Names::V4_8 { "" } else { "-4.9" };
        files.push(Generated { path: format!("{RULES}/heatsink{suffix}.rules.yml"), text });
    }
    for dashboard in dashboards::all(source)? {
        let path = format!("{DASHBOARDS}/heatsink-{}.json", dashboard.name);
        files.push(Generated { path, text: json::pretty(&dashboard.json) });
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

/// Writes `files` below `root`; returns the paths of those that differed.
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

/// Fails if a generated file has drifted, a link of the chart is wrong, or an alert has no runbook.
pub fn check(root: &Path, source: &Source, files: &[Generated]) -> Result<()> {
    let mut wrong = Vec::new();
    for file in files {
        match fs::read_to_string(root.join(&file.path)) {
            Ok(text) if text == file.text => {}
            Ok(_) => wrong.push(format!("{} has drifted", file.path)),
            Err(error) => wrong.push(format!("{}: {error}", file.path)),
        }
    }
    let links = chart_links(files);
    let is_wrong = |(link, path): &&(String, &str)| !is_link_to(root, link, path);
    let wrong_links = links.iter().filter(is_wrong);
    wrong.extend(wrong_links.map(|(link, path)| format!("{link} is not a link to {path}")));
    let linked = links.iter().map(|(link, _)| link.as_str());
    let known = files.iter().map(|file| file.path.as_str()).chain(linked).collect();
    wrong.extend(left_over(root, &known)?);
    if !wrong.is_empty() {
        bail!("{}; run `cargo xtask generate`", wrong.join(", "));
    }
    runbooks(root, source)
}

/// The chart's links to generated files, and the files. Helm packages what is in the folder of the
/// chart, and follows links.
fn chart_links(files: &[Generated]) -> Vec<(String, &str)> {
    let link = |path: &str| match path.strip_prefix(DASHBOARDS) {
        Some(file) => Some(format!("{CHART_DASHBOARDS}{file}")),
        None if path.ends_with("heatsink.rules.yml") => Some(format!("{CHART_RULES}/4.8.yaml")),
        None if path.ends_with("-4.9.rules.yml") => Some(format!("{CHART_RULES}/4.9.yaml")),
        None => None,
    };
    files.iter().filter_map(|file| Some((link(&file.path)?, file.path.as_str()))).collect()
}

fn is_link_to(root: &Path, link: &str, path: &str) -> bool {
    let is_link = root.join(link).is_symlink();
    is_link && fs::canonicalize(root.join(link)).ok() == fs::canonicalize(root.join(path)).ok()
}

/// Folders in which every file with this ending is generated, or a link to one that is.
const FOLDERS: [(&str, &str); 5] = [
    (RULES, "yml"),
    (RULES, "yaml"),
    (DASHBOARDS, "json"),
    (CHART_RULES, "yaml"),
    (CHART_DASHBOARDS, "json"),
];

/// Files that look generated, and that nothing generates.
fn left_over(root: &Path, known: &BTreeSet<&str>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (folder, ending) in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if path.ends_with(&format!(".{ending}")) && !known.contains(path.as_str()) {
                found.push(format!("nothing generates {path}: remove it"));
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
    let needed: BTreeSet<String> = source.alerts().map(|alert| alert.name.clone()).collect();
    let missing: Vec<_> = needed.difference(&there).cloned().collect();
    let orphans: Vec<_> = there.difference(&needed).cloned().collect();
    ensure!(missing.is_empty(), "alerts without a runbook: {}", missing.join(", "));
    ensure!(orphans.is_empty(), "runbooks without an alert: {}", orphans.join(", "));
    Ok(())
}
