//! Dashboards for Grafana 11 and newer, as code.
//!
//! Every query works under both generations of names, and for GPUs that lack half of what an H100
//! has: where a GPU has no NVLink or no ECC, its series are missing from a panel, and the panel
//! still shows something.

mod fleet;
mod holders;
mod jobs;
mod node;
mod panel;
mod plan;

use anyhow::Result;
use serde_json::Value;

use crate::expand::{Expander, Names};
use crate::source::Source;

/// One dashboard.
pub struct Dashboard {
    /// The name of its file, without `heatsink-` and `.json`.
    pub name: &'static str,
    /// What Grafana reads.
    pub json: Value,
}

/// All of them.
pub fn all(source: &Source) -> Result<Vec<Dashboard>> {
    let expander = Expander { source, names: Names::Either, time_scale: 1.0 };
    let plans = [fleet::PLAN, node::PLAN, jobs::PLAN];
    let build = |plan: &plan::Plan| Ok(Dashboard { name: plan.name, json: plan.build(&expander)? });
    plans.iter().map(build).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn panels(name: &str) -> Vec<Value> {
        let source = include_str!("../../../monitoring/rules/rules.toml");
        let all = all(&Source::parse(source).unwrap()).unwrap();
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
    fn the_fleet_dashboard_begins_with_outages() {
        let panels = panels("fleet");
        let numbers: Vec<&Value> = panels.iter().filter(|panel| panel["type"] == "stat").collect();
        let largest = numbers.iter().map(|panel| area(panel)).max();
        let (first, rest) = numbers.split_at(4);
        let titles: Vec<&str> = first.iter().filter_map(|panel| panel["title"].as_str()).collect();
        let expected =
            ["GPUs down", "GPUs throttled", "Alerts firing", "GPU hours lost, last 24 h"];
        assert_eq!(titles, expected);
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
    fn each_panel_of_a_dashboard_has_an_id_of_its_own() {
        for name in ["fleet", "node", "jobs"] {
            let panels = panels(name);
            let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
            assert_eq!(ids.len(), panels.len(), "{name}");
        }
    }

    #[test]
    fn jobs_names_the_options_that_it_needs() {
        let first = &panels("jobs")[0];
        assert_eq!((&first["type"], &first["gridPos"]["y"]), (&json!("text"), &json!(0)));
        let content = first["options"]["content"].as_str().unwrap();
        for word in ["heatsink_gpu_holder_info", "--kubernetes", "--hpc-job-mapping-dir"] {
            assert!(content.contains(word), "{word}");
        }
    }
}
