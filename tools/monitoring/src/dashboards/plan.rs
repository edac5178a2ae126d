//! A dashboard: its variables, annotations, panels, and the settings that all dashboards share.

use anyhow::Result;
use serde_json::{Value, json};

use super::panel::{Panel, data_source, place};
use crate::expand::Expander;

/// A dashboard before its placeholders are filled in.
pub(super) struct Plan {
    /// The name of its file, after `heatsink-`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The start of its default time range.
    pub(super) from: &'static str,
    pub(super) variables: &'static [Variable],
    pub(super) annotations: fn() -> Vec<Value>,
    pub(super) panels: fn() -> Vec<Panel>,
}

/// A selector at the top of a dashboard.
pub(super) struct Variable {
    name: &'static str,
    label: &'static str,
    query: &'static str,
    /// Whether several values, or all, can be selected.
    many: bool,
}

pub(super) const CLUSTER: Variable = Variable {
    name: "cluster",
    label: "Cluster",
    query: "label_values(heatsink_gpu_up, cluster)",
    many: true,
};

pub(super) const NODES: Variable = Variable {
    name: "node",
    label: "Node",
    query: "label_values(heatsink_gpu_up{cluster=~\"$cluster\"}, instance)",
    many: true,
};

pub(super) const NODE: Variable = Variable { many: false, ..NODES };

pub(super) const GPU: Variable = Variable {
    name: "gpu",
    label: "GPU",
    query: "label_values(heatsink_gpu_up{cluster=~\"$cluster\", instance=~\"$node\"}, gpu)",
    many: true,
};

pub(super) const NAMESPACE: Variable = Variable {
    name: "namespace",
    label: "Namespace",
    query: "label_values(heatsink_gpu_holder_info{cluster=~\"$cluster\"}, namespace)",
    many: true,
};

pub(super) const POD: Variable = Variable {
    name: "pod",
    label: "Pod",
    query: "label_values(heatsink_gpu_holder_info{cluster=~\"$cluster\", namespace=~\"$namespace\"}, pod)",
    many: true,
};

/// The jobs of a batch system. Its label is not `job`, which Prometheus has for the scraped job.
pub(super) const JOB: Variable = Variable {
    name: "job",
    label: "Job",
    query: "label_values(heatsink_gpu_holder_info{cluster=~\"$cluster\"}, job_id)",
    many: true,
};

/// How often each XID occurred in the time range. A series begins with the first occurrence, so its
/// first value counts; a code that last occurred before the range does not.
pub(super) fn xids(at: &str) -> String {
    let (count, time) = ("heatsink_xid_errors_total", "heatsink_xid_last_timestamp_seconds");
    format!(
        "(increase({count}{{{at}}}[$__range]) \
         + (min_over_time({count}{{{at}}}[$__range]) unless {count}{{{at}}} offset $__range \
         or 0 * {count}{{{at}}}) \
         and {time}{{{at}}} > time() - $__range_s) > 0"
    )
}

impl Plan {
    /// The dashboard as Grafana reads it.
    pub(super) fn build(&self, expander: &Expander<'_>) -> Result<Value> {
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
        let panels = place(&(self.panels)(), expander)?;
        Ok(json!({
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
        }))
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
            // Also matches series without the label: not every Prometheus has clusters.
            json["allValue"] = json!(".*");
            json["current"] = json!({ "text": "All", "value": "$__all" });
        }
        json
    }
}
