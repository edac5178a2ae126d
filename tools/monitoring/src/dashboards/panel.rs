//! Panels: their queries, display options and places.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::expand::Expander;

/// One panel.
pub(super) struct Panel {
    /// If absent, it is the number of panels before it, plus one.
    id: Option<usize>,
    kind: Kind,
    title: &'static str,
    /// The data that it shows and what to look for; empty for headings only.
    description: &'static str,
    /// Width in twenty-fourths, and height in rows.
    size: (u32, u32),
    queries: Vec<Query>,
    unit: &'static str,
    steps: Option<(&'static str, Steps)>,
    defaults: Map<String, Value>,
    custom: Map<String, Value>,
    overrides: Vec<Value>,
    options: Map<String, Value>,
    transformations: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Heading,
    Stat,
    TimeSeries,
    Matrix,
    Table,
    BarGauge,
    StateTimeline,
    Text,
}

struct Query {
    expr: String,
    legend: &'static str,
}

/// The text of a panel while its recording rules are not loaded.
pub(super) const NO_RULES: &str = "rules not loaded";

/// The colour of GPU 0, 1, ... in every panel of a node. Red is for limits.
const GPU_COLOURS: [&str; 8] =
    ["green", "yellow", "blue", "orange", "purple", "#4fd1c5", "#ff8fb8", "#ccccdc"];

/// Colours, each with the least value that it is for.
pub(super) type Steps = &'static [(Bound, &'static str)];

/// The least value of a colour.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// A value of this panel.
    At(f64),
    /// The threshold of an alert, by name.
    Alert(&'static str),
}

impl Bound {
    fn value(self, expander: &Expander<'_>) -> Result<f64> {
        match self {
            Self::At(value) => Ok(value),
            Self::Alert(name) => {
                let threshold = expander.source.thresholds.get(name);
                Ok(threshold.with_context(|| format!("`{name}` is no threshold"))?.value)
            }
        }
    }
}

impl Panel {
    fn new(kind: Kind, title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        Self {
            id: None,
            kind,
            title,
            description: "",
            size,
            queries: Vec::new(),
            unit,
            steps: None,
            defaults: Map::new(),
            custom: Map::new(),
            overrides: Vec::new(),
            options: Map::new(),
            transformations: Vec::new(),
        }
    }

    /// A heading across the dashboard.
    pub(super) fn heading(title: &'static str) -> Self {
        Self::new(Kind::Heading, title, "", (24, 1))
    }

    /// A number.
    pub(super) fn stat(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Stat, title, unit, size);
        panel.options = object(json!({
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": "auto",
            "orientation": "auto",
            "wideLayout": true,
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        }));
        panel
    }

    /// Lines over time.
    pub(super) fn time_series(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::TimeSeries, title, unit, size);
        panel.custom = object(json!({
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 0,
            "showPoints": "never",
            "spanNulls": false,
            "axisPlacement": "auto",
        }));
        panel.options = object(json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }));
        panel
    }

    /// A row for each node, a column for each GPU, coloured cells. The query is by `instance` and `gpu`.
    pub(super) fn matrix(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Matrix, title, unit, size);
        panel.custom = object(json!({
            "align": "center",
            "cellOptions": { "type": "color-background", "mode": "basic" },
            "inspect": false,
            "filterable": false,
        }));
        // The transformation keeps the order in which rows and columns first occur.
        let sorted = |field: &str| {
            json!({
                "id": "sortBy",
                "options": { "fields": {}, "sort": [{ "field": field, "desc": false }] },
            })
        };
        panel.transformations = vec![
            sorted("gpu"),
            sorted("instance"),
            json!({
                "id": "groupingToMatrix",
                "options": { "columnField": "gpu", "rowField": "instance", "valueField": "Value" },
            }),
        ];
        panel.overrides = vec![json!({
            "matcher": { "id": "byName", "options": "instance\\gpu" },
            "properties": [
                { "id": "custom.cellOptions", "value": { "type": "auto" } },
                { "id": "custom.align", "value": "left" },
                { "id": "unit", "value": "string" },
                { "id": "displayName", "value": "Node \\ GPU" },
            ],
        })];
        panel.options = table_options();
        panel
    }

    /// Rows of several queries, merged by their labels.
    pub(super) fn table(title: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Table, title, "short", size);
        panel.custom = object(json!({
            "align": "auto",
            "cellOptions": { "type": "auto" },
            "inspect": false,
            "filterable": false,
        }));
        panel.transformations = vec![json!({ "id": "merge", "options": {} })];
        panel.options = table_options();
        panel
    }

    /// A bar for each series.
    pub(super) fn bar_gauge(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::BarGauge, title, unit, size);
        panel.options = object(json!({
            "displayMode": "basic",
            "orientation": "horizontal",
            "showUnfilled": true,
            "minVizHeight": 12,
            "minVizWidth": 8,
            "valueMode": "color",
            "namePlacement": "left",
            "sizing": "auto",
            "maxVizHeight": 300,
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": [] },
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        }));
        panel
    }

    /// States over time, a row for each series.
    pub(super) fn state_timeline(title: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::StateTimeline, title, "short", size);
        panel.custom = object(json!({ "fillOpacity": 80, "lineWidth": 0 }));
        panel.options = object(json!({
            "mergeValues": true,
            "showValue": "never",
            "rowHeight": 0.85,
            "alignValue": "left",
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "single", "sort": "none" },
        }));
        panel
    }

    /// Text in Markdown.
    pub(super) fn text(title: &'static str, content: &str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Text, title, "", size);
        panel.options = object(json!({ "mode": "markdown", "content": content }));
        panel
    }

    /// An id for a panel that is newer than others, which keep theirs: links to panels contain it.
    pub(super) fn with_id(mut self, id: usize) -> Self {
        self.id = Some(id);
        self
    }

    pub(super) fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) fn query(mut self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }

    /// Colours by value, the first for everything below the first step.
    pub(super) fn steps(mut self, first: &'static str, steps: Steps) -> Self {
        self.steps = Some((first, steps));
        self.defaults.insert("color".into(), json!({ "mode": "thresholds" }));
        self
    }

    /// Thresholds as dashed lines, and a colour for each series.
    pub(super) fn threshold_lines(mut self) -> Self {
        self.custom.insert("thresholdsStyle".into(), json!({ "mode": "dashed" }));
        self.defaults.insert("color".into(), json!({ "mode": "palette-classic" }));
        self
    }

    pub(super) fn between(mut self, min: f64, max: f64) -> Self {
        self.defaults.insert("min".into(), json!(min));
        self.defaults.insert("max".into(), json!(max));
        self
    }

    pub(super) fn zero_based(mut self) -> Self {
        self.defaults.insert("min".into(), json!(0));
        self
    }

    pub(super) fn decimals(mut self, decimals: u32) -> Self {
        self.defaults.insert("decimals".into(), json!(decimals));
        self
    }

    pub(super) fn filled(mut self) -> Self {
        self.custom.insert("fillOpacity".into(), json!(20));
        self
    }

    pub(super) fn stacked(mut self) -> Self {
        self.custom.insert("fillOpacity".into(), json!(60));
        self.custom.insert("lineWidth".into(), json!(0));
        self.custom.insert("stacking".into(), json!({ "mode": "normal", "group": "A" }));
        self
    }

    /// Texts and colours in place of values.
    pub(super) fn value_mappings(mut self, mappings: &[(&str, &str, &str)]) -> Self {
        let options: Map<String, Value> = mappings
            .iter()
            .enumerate()
            .map(|(index, (value, text, color))| {
                let mapping = json!({ "text": text, "color": color, "index": index });
                ((*value).to_owned(), mapping)
            })
            .collect();
        self.defaults.insert("mappings".into(), json!([{ "type": "value", "options": options }]));
        self
    }

    /// The text if the queries return nothing; Grafana's is `No data`.
    pub(super) fn no_value(mut self, text: &str) -> Self {
        self.defaults.insert("noValue".into(), json!(text));
        self
    }

    /// The colour of each GPU (`GPU 0`), the same in all panels of a node.
    pub(super) fn gpu_colours(mut self) -> Self {
        for (gpu, colour) in GPU_COLOURS.iter().enumerate() {
            let colour = [("color", json!({ "mode": "fixed", "fixedColor": colour }))];
            self.overrides.push(override_of("byName", &format!("GPU {gpu}"), &colour));
        }
        self
    }

    /// Dashed lines for the query with this letter. The legend leaves them out, because the GPUs are
    /// those of the first query.
    pub(super) fn dashed(mut self, letter: &str, properties: &[(&str, Value)]) -> Self {
        let dash = json!({ "fill": "dash", "dash": [4, 4] });
        let hidden = json!({ "legend": true, "tooltip": false, "viz": false });
        let looks = [("custom.lineStyle", dash), ("custom.hideFrom", hidden)];
        let all = [&looks, properties].concat();
        self.overrides.push(override_of("byFrameRefID", letter, &all));
        self
    }

    /// Properties of the column or series with this name.
    pub(super) fn override_named(mut self, name: &str, properties: &[(&str, Value)]) -> Self {
        self.overrides.push(override_of("byName", name, properties));
        self
    }

    /// Columns in this order under other names, `without` those.
    pub(super) fn columns(mut self, all: &[(&str, &str)], without: &[&str]) -> Self {
        let index: Map<String, Value> =
            all.iter().enumerate().map(|(at, (name, _))| ((*name).into(), json!(at))).collect();
        let names: Map<String, Value> =
            all.iter().map(|(name, shown)| ((*name).into(), json!(shown))).collect();
        let excluded: Map<String, Value> =
            without.iter().map(|name| ((*name).into(), json!(true))).collect();
        self.transformations.push(json!({
            "id": "organize",
            "options": {
                "excludeByName": excluded,
                "indexByName": index,
                "renameByName": names,
                "includeByName": {},
            },
        }));
        self
    }

    pub(super) fn sorted_by(mut self, column: &str, desc: bool) -> Self {
        self.options.insert("sortBy".into(), json!([{ "displayName": column, "desc": desc }]));
        self.transformations.push(json!({
            "id": "sortBy",
            "options": { "fields": {}, "sort": [{ "field": column, "desc": desc }] },
        }));
        self
    }

    fn is_instant(&self) -> bool {
        matches!(self.kind, Kind::Stat | Kind::Matrix | Kind::Table | Kind::BarGauge)
    }

    fn json(&self, id: usize, at: (u32, u32), expander: &Expander<'_>) -> Result<Value> {
        let place = json!({ "x": at.0, "y": at.1, "w": self.size.0, "h": self.size.1 });
        if self.kind == Kind::Heading {
            return Ok(json!({
                "id": id,
                "type": "row",
                "title": self.title,
                "collapsed": false,
                "gridPos": place,
                "panels": [],
            }));
        }
        let kind = match self.kind {
            Kind::Stat | Kind::Heading => "stat",
            Kind::TimeSeries => "timeseries",
            Kind::Matrix | Kind::Table => "table",
            Kind::BarGauge => "bargauge",
            Kind::StateTimeline => "state-timeline",
            Kind::Text => "text",
        };
        let targets = self.queries.iter().enumerate();
        let targets = targets.map(|(index, query)| self.target(index, query, expander));
        let mut defaults = self.defaults.clone();
        defaults.insert("unit".into(), json!(self.unit));
        // Grafana's default would colour everything above 80 red.
        let (first, steps) = self.steps.unwrap_or(("green", &[]));
        let mut list = vec![json!({ "color": first, "value": null })];
        for (bound, color) in steps {
            list.push(json!({ "color": color, "value": bound.value(expander)? }));
        }
        defaults.insert("thresholds".into(), json!({ "mode": "absolute", "steps": list }));
        defaults.entry("color").or_insert(json!({ "mode": "palette-classic" }));
        if !self.custom.is_empty() {
            defaults.insert("custom".into(), json!(self.custom));
        }
        Ok(json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": expander.text(self.description).with_context(|| self.title.to_owned())?,
            "datasource": data_source(),
            "gridPos": place,
            "targets": targets.collect::<Result<Vec<_>>>()?,
            "fieldConfig": { "defaults": defaults, "overrides": self.overrides },
            "options": self.options,
            "transformations": self.transformations,
        }))
    }

    fn target(&self, index: usize, query: &Query, expander: &Expander<'_>) -> Result<Value> {
        let expr = expander.text(query.expr.trim()).with_context(|| self.title.to_owned())?;
        let letter = char::from(b'A' + u8::try_from(index)?);
        let is_table = matches!(self.kind, Kind::Matrix | Kind::Table);
        Ok(json!({
            "refId": letter.to_string(),
            "datasource": data_source(),
            "editorMode": "code",
            "expr": expr,
            "legendFormat": query.legend,
            "instant": self.is_instant(),
            "range": !self.is_instant(),
            "format": if is_table { "table" } else { "time_series" },
        }))
    }
}

/// Places panels side by side, row by row.
pub(super) fn place(panels: &[Panel], expander: &Expander<'_>) -> Result<Vec<Value>> {
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut ids = 1..;
    let mut placed = Vec::new();
    for panel in panels {
        if x + panel.size.0 > 24 {
            (x, y, height) = (0, y + height, 0);
        }
        let id = panel.id.or_else(|| ids.next()).unwrap_or_default();
        placed.push(panel.json(id, (x, y), expander)?);
        x += panel.size.0;
        height = height.max(panel.size.1);
    }
    Ok(placed)
}

/// The data source that every query goes to.
pub(super) fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn override_of(matcher: &str, options: &str, properties: &[(&str, Value)]) -> Value {
    let properties = properties.iter().map(|(id, value)| json!({ "id": id, "value": value }));
    json!({
        "matcher": { "id": matcher, "options": options },
        "properties": properties.collect::<Vec<_>>(),
    })
}

fn table_options() -> Map<String, Value> {
    object(json!({ "showHeader": true, "cellHeight": "sm" }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
