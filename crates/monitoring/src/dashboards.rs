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

/// How often each XID came in the time shown: also the first of a code that has no zero before it,
/// and never one that came before.
fn xids(at: &str) -> String {
    let (count, time) = ("heatsink_xid_errors_total", "heatsink_xid_last_timestamp_seconds");
    format!(
        "(increase({count}{{{at}}}[$__range]) \
         + ((min_over_time({count}{{{at}}}[$__range]) unless {count}{{{at}}} offset $__range) \
         or 0 * {count}{{{at}}})) \
         * ({time}{{{at}}} > bool time() - $__range_s) \
         or 0 * {count}{{{at}}}"
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
