//! The Helm chart: rendered with each of its values files by Helm's own engine, every object held
//! against its schema, and what comes out against what was read in review.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::schema;
use crate::run::{python, run};

/// The oldest Kubernetes that the chart is for, and the newest that there are schemas of.
const KUBERNETES: [&str; 2] = ["1.25", "1.37"];

/// Where the chart as rendered is kept, one file for each values file.
const GOLDEN: &str = "deploy/helm/golden";

/// Where the manifests for those who do without Helm are.
const PLAIN: &str = "deploy/kubernetes";

/// Which templates each of them has.
const PLAIN_FILES: [(&str, &[&str]); 3] = [
    ("heatsink.yaml", &["serviceaccount", "service", "daemonset"]),
    ("prometheus-operator.yaml", &["servicemonitor", "prometheusrule"]),
    ("dashboards.yaml", &["dashboards"]),
];

/// Fails if the chart is not as it should be, or renders otherwise than what is kept.
pub(crate) fn check(root: &Path) -> Result<()> {
    let wanted = rendered(root)?;
    let mut kept = BTreeMap::new();
    for folder in [GOLDEN, PLAIN] {
        for entry in fs::read_dir(root.join(folder)).with_context(|| folder.to_owned())? {
            let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
            if path.ends_with(".yaml") || path.ends_with(".txt") {
                let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
                kept.insert(path, text);
            }
        }
    }
    let paths: BTreeSet<&String> = wanted.keys().chain(kept.keys()).collect();
    let wrong = paths.into_iter().filter(|path| wanted.get(*path) != kept.get(*path));
    let wrong: Vec<&str> = wrong.map(String::as_str).collect();
    ensure!(
        wrong.is_empty(),
        "not as the chart renders: {}; run `cargo xtask generate chart` and read the difference",
        wrong.join(", ")
    );
    println!("{} rendered files are as they were read", wanted.len());
    Ok(())
}

/// Renders the chart and writes what is kept of it.
pub(crate) fn write(root: &Path) -> Result<()> {
    let wanted = rendered(root)?;
    for folder in [GOLDEN, PLAIN] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).context("cannot make a folder")?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml" || ending == "txt") {
                fs::remove_file(path)?;
            }
        }
    }
    for (path, text) in &wanted {
        fs::write(root.join(path), text).with_context(|| path.clone())?;
    }
    println!("wrote {} files", wanted.len());
    Ok(())
}

/// All that is kept, by path, as it has to be.
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
    schema::check(root, "operator", &[out.join("monitoring.json")])?;

    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&out).context("nothing was rendered")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).context("cannot read what was rendered")?;
        if name == "plain.yaml" {
            for (file, templates) in PLAIN_FILES {
                files.insert(format!("{PLAIN}/{file}"), plain(&text, templates)?);
            }
        } else if name.ends_with(".yaml") {
            files.insert(format!("{GOLDEN}/{name}"), abridged(&text));
        } else if name.ends_with(".txt") && name != "plain.notes.txt" {
            files.insert(format!("{GOLDEN}/{name}"), text);
        }
    }
    ensure!(files.len() > 2, "nothing was rendered");
    Ok(files)
}

/// The manifests of some templates, without what only Helm knows, under a line that says where they
/// are from.
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

/// Without the long texts that have files of their own: rules and dashboards.
fn abridged(text: &str) -> String {
    let mut kept = String::new();
    for document in text.split_inclusive("\n---\n") {
        let long = ["templates/prometheusrule.yaml", "templates/dashboards.yaml"];
        let cut = long.iter().any(|template| document.contains(template));
        let start = ["\nspec:\n", "\ndata:\n"]
            .iter()
            .find_map(|word| cut.then(|| document.find(word).map(|at| at + word.len())).flatten());
        match start {
            None => kept += document,
            Some(start) => {
                kept += &document[..start];
                let lines = document[start..].lines().filter(|line| *line != "---").count();
                kept += &format!("  # {lines} lines, as in the chart's files\n");
                if document.ends_with("\n---\n") {
                    kept += "---\n";
                }
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_counted_and_left_out() {
        let text = "---\n# Source: heatsink/templates/service.yaml\nkind: Service\nspec:\n  a: 1\n\
                    ---\n# Source: heatsink/templates/dashboards.yaml\nkind: ConfigMap\ndata:\n  x: |\n    y\n\
                    ---\n# Source: heatsink/templates/daemonset.yaml\nkind: DaemonSet\nspec:\n  b: 2\n";
        let kept = abridged(text);
        assert!(kept.contains("kind: Service\nspec:\n  a: 1\n---\n"), "{kept}");
        assert!(
            kept.contains("data:\n  # 2 lines, as in the chart's files\n---\n# Source"),
            "{kept}"
        );
        assert!(kept.ends_with("spec:\n  b: 2\n"), "{kept}");
    }

    #[test]
    fn plain_manifests_do_not_speak_of_helm_and_say_which_image_to_change() {
        let text = "---\n# Source: heatsink/templates/a.yaml\nlabels:\n  helm.sh/chart: x\n  image: y\n\
                    ---\n# Source: heatsink/templates/b.yaml\nkind: B\n";
        let manifests = plain(text, &["a"]).unwrap();
        let change = "  # CHANGE to the image that you built and pushed.\n";
        let expected = format!(".\n---\nlabels:\n{change}  image: y\n");
        assert!(manifests.ends_with(&expected), "{manifests}");
        assert!(plain(text, &["c"]).is_err());
    }
}
