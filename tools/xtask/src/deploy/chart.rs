//! The Helm chart: rendered with each of its values files by Helm's own engine, every object checked
//! against its schema, and the renderings compared with those that were reviewed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::schema;
use crate::generate;
use crate::run::{python, run};

/// The oldest Kubernetes that the chart is for, and the newest that there are schemas of.
const KUBERNETES: [&str; 2] = ["1.25", "1.37"];

/// The reviewed renderings: two whole ones, and the others as differences from the first of these.
const GOLDEN: &str = "deploy/helm/golden";

/// The manifests for clusters without Helm.
const PLAIN: &str = "deploy/kubernetes";

/// Which templates each manifest has.
const PLAIN_FILES: [(&str, &[&str]); 2] = [
    ("heatsink.yaml", &["serviceaccount", "service", "daemonset"]),
    ("servicemonitor.yaml", &["servicemonitor"]),
];

/// Fails if the chart breaks a rule, or renders differently from what is in git.
pub(crate) fn check(root: &Path) -> Result<()> {
    let rendered = rendered(root)?;
    let mut reviewed = BTreeMap::new();
    for path in reviewed_files(root)? {
        let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
        reviewed.insert(path, text);
    }
    let paths: BTreeSet<&String> = rendered.keys().chain(reviewed.keys()).collect();
    let wrong = paths.into_iter().filter(|path| rendered.get(*path) != reviewed.get(*path));
    let wrong: Vec<&str> = wrong.map(String::as_str).collect();
    ensure!(
        wrong.is_empty(),
        "not as the chart renders: {}; run `cargo xtask generate chart` and read the difference",
        wrong.join(", ")
    );
    println!("{} rendered files are as they were reviewed", rendered.len());
    Ok(())
}

/// Renders the chart and writes the files that `check` compares with.
pub(crate) fn write(root: &Path) -> Result<()> {
    let rendered = rendered(root)?;
    for path in reviewed_files(root)? {
        fs::remove_file(root.join(&path)).context(path)?;
    }
    for (path, text) in &rendered {
        fs::write(root.join(path), text).with_context(|| path.clone())?;
    }
    println!("wrote {} files", rendered.len());
    Ok(())
}

/// The paths of the files in git that are rendered from the chart.
fn reviewed_files(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for folder in [GOLDEN, PLAIN] {
        for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if path.ends_with(".yaml") || path.ends_with(".diff") {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// The text of each file that is rendered from the chart, by path.
fn rendered(root: &Path) -> Result<BTreeMap<String, String>> {
    let out = root.join("target/deploy/chart");
    if out.exists() {
        fs::remove_dir_all(&out).context("cannot empty the folder")?;
    }
    let bin = python(root, "chart")?;
    let mut render = Command::new(bin.join("python"));
    render.arg(root.join("tools/scripts/chart.py")).args(["render", "--chart"]);
    render.arg(root.join("deploy/helm/heatsink")).arg("--out").arg(&out);
    run(render.args(KUBERNETES.map(|version| format!("--kubernetes={version}"))))?;
    let mut of_operator = generate::manifests(root)?;
    of_operator.push(out.join("monitoring.json"));
    schema::check(root, "operator", &of_operator)?;

    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&out).context("nothing was rendered")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".yaml") && !name.ends_with(".diff") {
            continue;
        }
        let text = fs::read_to_string(&path).context("cannot read what was rendered")?;
        if name == "plain.yaml" {
            for (file, templates) in PLAIN_FILES {
                files.insert(format!("{PLAIN}/{file}"), plain(&text, templates)?);
            }
        } else {
            files.insert(format!("{GOLDEN}/{name}"), text);
        }
    }
    ensure!(files.len() > 2, "nothing was rendered");
    Ok(files)
}

/// The manifests of some templates, without Helm's labels, under a line that names their source.
fn plain(text: &str, templates: &[&str]) -> Result<String> {
    let mut manifests = String::from(
        "# Made from the chart in deploy/helm/heatsink by `cargo xtask generate chart`: change it there.\n",
    );
    for template in templates {
        let source = format!("# Source: heatsink/templates/{template}.yaml\n");
        let documents: Vec<&str> =
            text.split("---\n").filter_map(|document| document.strip_prefix(&*source)).collect();
        ensure!(!documents.is_empty(), "the chart has rendered no {template}");
        for document in documents {
            manifests += "---\n";
            let of_helm = ["helm.sh/chart:", "app.kubernetes.io/managed-by:"];
            for line in document.lines() {
                let text = line.trim_start();
                if of_helm.iter().any(|start| text.starts_with(start)) {
                    continue;
                }
                if text.starts_with("image: ") {
                    let indent = &line[..line.len() - text.len()];
                    manifests +=
                        &format!("{indent}# CHANGE to the image that you built and pushed.\n");
                }
                manifests += line;
                manifests.push('\n');
            }
        }
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_manifests_have_no_labels_of_helm_and_say_which_image_to_change() {
        let text = "---\n# Source: heatsink/templates/a.yaml\nlabels:\n  helm.sh/chart: x\n  image: y\n\
                    ---\n# Source: heatsink/templates/b.yaml\nkind: B\n";
        let manifests = plain(text, &["a"]).unwrap();
        let change = "  # CHANGE to the image that you built and pushed.\n";
        let expected = format!(".\n---\nlabels:\n{change}  image: y\n");
        assert!(manifests.ends_with(&expected), "{manifests}");
        assert!(plain(text, &["c"]).is_err());
    }
}
