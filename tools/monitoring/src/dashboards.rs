//! Dashboards for Grafana 11 and newer, as code.
//!
//! Every query works under both generations of names, and for GPUs that lack half of what an H100
//! has: where a board has no NVLink or no ECC, its series are missing from a panel, and the panel
//! still shows something.

mod fleet;
mod jobs;
mod node;
mod panel;

use anyhow::Result;
use serde_json::{Value, json};

use crate::expand::{Expander, Names};
use crate::source::Source;

/// One dashboard.
pub struct Dashboard {
    /// The name of its file, without `.json`.
    pub name: &'static str,
    /// What Grafana reads.
    pub json: Value,
}

/// All of them.
pub fn all(source: &Source) -> Result<Vec<Dashboard>> {
    let expander = Expander { source, names: Names::Either, time_scale: 1.0 };
    [fleet::PLAN, node::PLAN, jobs::PLAN].iter().map(|plan| plan.build(&expander)).collect()
}

/// What a dashboard is made of, before its placeholders are filled.
struct Plan {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// How far back it looks unless told otherwise.
    from: &'static str,
    variables: &'static [Variable],
    annotations: fn() -> Vec<Value>,
    panels: fn() -> Vec<panel::Panel>,
}

/// A choice at the top of a dashboard.
struct Variable {
    name: &'static str,
    label: &'static str,
    query: &'static str,
    /// Whether several can be chosen, and all.
    many: bool,
}

const CLUSTER: Variable = Variable {
    name: "cluster",
    label: "Cluster",
    query: "label_values(heatsink_gpu_up, cluster)",
    many: true,
};

const NODES: Variable = Variable {
    name: "node",
    label: "Node",
    query: "label_values(heatsink_gpu_up{cluster=~\"$cluster\"}, instance)",
    many: true,
};

const NODE: Variable = Variable { many: false, ..NODES };

const GPU: Variable = Variable {
    name: "gpu",
    label: "GPU",
    query: "label_values(heatsink_gpu_up{cluster=~\"$cluster\", instance=~\"$node\"}, gpu)",
    many: true,
};

const NAMESPACE: Variable = Variable {
    name: "namespace",
    label: "Namespace",
    query: "label_values(owner:heatsink_gpus:sum{cluster=~\"$cluster\"}, namespace)",
    many: true,
};

/// How often each XID came in the time shown. A code is first there when it has happened, so its
/// first value counts as well; one that last came before that time does not.
fn xids(at: &str) -> String {
    let (count, time) = ("heatsink_xid_errors_total", "heatsink_xid_last_timestamp_seconds");
    format!(
        "(increase({count}{{{at}}}[$__range]) \
         + (min_over_time({count}{{{at}}}[$__range]) unless {count}{{{at}}} offset $__range \
         or 0 * {count}{{{at}}}) \
         and {time}{{{at}}} > time() - $__range_s) > 0"
    )
}

/// The data source that every query goes to.
fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Plan {
    fn build(&self, expander: &Expander<'_>) -> Result<Dashboard> {
        let mut variables = vec![json!({
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "includeAll": false,
            "multi": false,
            "hide": 0,
        })];
        variables.extend(self.variables.iter().map(Variable::json));
        let panels = panel::place((self.panels)(), expander)?;
        let json = json!({
            "uid": format!("heatsink-{}", self.name),
            "title": self.title,
            "description": self.description,
            "tags": ["heatsink", "gpu"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": { "from": self.from, "to": "now" },
            "templating": { "list": variables },
            "annotations": { "list": (self.annotations)() },
            "links": [{
                "title": "heatsink",
                "type": "dashboards",
                "tags": ["heatsink"],
                "asDropdown": false,
                "icon": "external link",
                "includeVars": true,
                "keepTime": true,
                "targetBlank": false,
                "tooltip": "",
                "url": "",
            }],
            "panels": panels,
        });
        Ok(Dashboard { name: self.name, json })
    }
}

impl Variable {
    fn json(&self) -> Value {
        let mut json = json!({
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": data_source(),
            "query": { "query": self.query, "refId": self.name },
            "refresh": 2,
            "sort": 3,
            "multi": self.many,
            "includeAll": self.many,
            "hide": 0,
        });
        if self.many {
            // Matches a label that is not there, too: not every Prometheus has clusters.
            json["allValue"] = json!(".*");
            json["current"] = json!({ "text": "All", "value": "$__all" });
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files;

    fn panels(name: &str) -> Vec<Value> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let all = all(&files::source(&root).unwrap()).unwrap();
        let one = all.into_iter().find(|dashboard| dashboard.name == name).unwrap();
        one.json["panels"].as_array().unwrap().clone()
    }

    fn area(panel: &Value) -> u64 {
        panel["gridPos"]["w"].as_u64().unwrap() * panel["gridPos"]["h"].as_u64().unwrap()
    }

    fn legends(panel: &Value) -> Vec<&str> {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.filter_map(|target| target["legendFormat"].as_str()).collect()
    }

    #[test]
    fn the_biggest_numbers_of_fleet_are_what_an_operator_asks_first() {
        let panels = panels("fleet");
        let numbers: Vec<&Value> = panels.iter().filter(|panel| panel["type"] == "stat").collect();
        let largest = numbers.iter().map(|panel| area(panel)).max();
        let (first, rest) = numbers.split_at(4);
        let titles: Vec<&str> = first.iter().filter_map(|panel| panel["title"].as_str()).collect();
        let asked = ["GPUs down", "GPUs held back", "Alerts firing", "GPU hours lost, last 24 h"];
        assert_eq!(titles, asked);
        assert!(first.iter().all(|panel| panel["gridPos"]["y"] == 0));
        assert!(first.iter().all(|panel| Some(area(panel)) == largest));
        assert!(rest.iter().all(|panel| Some(area(panel)) < largest));
        assert_eq!(legends(first[2]), ["critical", "warning"]);
    }

    #[test]
    fn a_legend_has_each_gpu_once() {
        for panel in panels("node").iter().filter(|panel| panel["type"] == "timeseries") {
            let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap();
            let hidden = |letter: &Value| {
                overrides.iter().any(|rule| {
                    let hides = |property: &Value| {
                        property["id"] == "custom.hideFrom" && property["value"]["legend"] == true
                    };
                    rule["matcher"]["options"] == *letter
                        && rule["properties"].as_array().unwrap().iter().any(hides)
                })
            };
            let targets = panel["targets"].as_array().unwrap();
            let of_gpus = targets.iter().filter(|target| target["legendFormat"] == "GPU {{gpu}}");
            let shown = of_gpus.filter(|target| !hidden(&target["refId"])).count();
            assert!(shown <= 1, "{}", panel["title"]);
        }
    }

    #[test]
    fn jobs_says_what_it_needs() {
        let first = &panels("jobs")[0];
        assert_eq!((&first["type"], &first["gridPos"]["y"]), (&json!("text"), &json!(0)));
        let content = first["options"]["content"].as_str().unwrap();
        for word in ["namespace", "pod", "hpc_job", "docs/hpc.md"] {
            assert!(content.contains(word), "{word}");
        }
    }
}
