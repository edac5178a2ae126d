//! Rules and dashboards as Kubernetes objects, for clusters without Helm.

use crate::files::{DASHBOARDS, Generated, RULES};

/// Where the manifests are written, below the root of the repository. They are not in git.
pub const FOLDER: &str = "target/manifests";

const RULE: &str = "\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: heatsink
  labels:
    app.kubernetes.io/name: heatsink
    role: alert-rules
spec:
";

/// `prometheusrule.yaml` and `-4.9` for the Prometheus operator, `dashboards.yaml` for Grafana's
/// sidecar, from the generated rule files and dashboards.
pub fn of(generated: &[Generated]) -> Vec<Generated> {
    let mut manifests = Vec::new();
    let mut dashboards = String::new();
    for Generated { path, text } in generated {
        if let Some(file) = path.strip_prefix(RULES) {
            let suffix = file.trim_start_matches("/heatsink").trim_end_matches(".rules.yml");
            let path = format!("{FOLDER}/prometheusrule{suffix}.yaml");
            manifests.push(Generated { path, text: RULE.to_owned() + &indented(text, 2) });
        } else if let Some(file) = path.strip_prefix(DASHBOARDS) {
            dashboards += &config_map(file.trim_start_matches('/'), text);
        }
    }
    manifests.push(Generated { path: format!("{FOLDER}/dashboards.yaml"), text: dashboards });
    manifests
}

/// A dashboard as Grafana's sidecar takes it: it looks for the label.
fn config_map(file: &str, text: &str) -> String {
    let name = file.trim_start_matches("heatsink-").trim_end_matches(".json");
    let text = indented(text, 4);
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: heatsink-dashboard-{name}\n  \
         labels:\n    app.kubernetes.io/name: heatsink\n    grafana_dashboard: \"1\"\n\
         data:\n  {file}: |\n{text}"
    )
}

fn indented(text: &str, columns: usize) -> String {
    text.lines().map(|line| format!("{:columns$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use yaml_serde::Value;

    use super::*;
    use crate::files;

    fn objects(text: &str) -> Vec<Value> {
        let documents = text.split("---\n").filter(|document| !document.is_empty());
        documents.map(|document| yaml_serde::from_str(document).unwrap()).collect()
    }

    /// The objects have the rules and dashboards that are tested, character for character.
    #[test]
    fn manifests_have_the_generated_rules_and_dashboards() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let generated = files::generated(&files::source(&root).unwrap()).unwrap();
        let manifests = of(&generated);
        let text = |path: &str| {
            let mut all = generated.iter().chain(&manifests);
            all.find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text.clone()
        };
        for suffix in ["", "-4.9"] {
            let rule = &objects(&text(&format!("{FOLDER}/prometheusrule{suffix}.yaml")))[0];
            let rules = text(&format!("{RULES}/heatsink{suffix}.rules.yml"));
            let rules: Value = yaml_serde::from_str(&rules).unwrap();
            assert_eq!(rule["kind"], "PrometheusRule");
            assert_eq!(rule["spec"], rules);
        }
        let maps = objects(&text(&format!("{FOLDER}/dashboards.yaml")));
        assert_eq!(maps.len(), 3);
        for map in &maps {
            assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
            let data = map["data"].as_mapping().unwrap();
            assert_eq!(data.len(), 1);
            for (name, dashboard) in data {
                let file = format!("{DASHBOARDS}/{}", name.as_str().unwrap());
                assert_eq!(dashboard.as_str(), Some(&*text(&file)), "{file}");
            }
        }
    }
}
