//! Panels: what they ask, how they show it, and where they stand.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::expand::Expander;

/// One panel.
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    /// What it shows and what to look for. Every panel has one, but a heading.
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
    Lines,
    Matrix,
    Table,
    Bars,
    States,
    Text,
}

struct Query {
    expr: String,
    legend: &'static str,
}

/// What a panel says while the recording rules that it asks for are not loaded.
pub(super) const NO_RULES: &str = "rules not loaded";

/// The colour of GPU 0, 1, ... in every panel of a node. Red is for limits.
const GPU_COLOURS: [&str; 8] =
    ["green", "yellow", "blue", "orange", "purple", "#4fd1c5", "#ff8fb8", "#ccccdc"];

/// Colours from a value on, beginning with that of everything below the first.
pub(super) type Steps = &'static [(Bound, &'static str)];

/// Where a colour begins.
#[derive(Clone, Copy)]
pub(super) enum Bound {
    /// At a value that means something on this panel only.
    At(f64),
    /// Where an alert fires, by the name of its threshold.
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

    /// A line across, which begins a part of the dashboard.
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
    pub(super) fn lines(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Lines, title, unit, size);
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

    /// Nodes down, GPUs across, one coloured cell for each. The query is by `instance` and `gpu`.
    pub(super) fn matrix(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Matrix, title, unit, size);
        panel.custom = object(json!({
            "align": "center",
            "cellOptions": { "type": "color-background", "mode": "basic" },
            "inspect": false,
            "filterable": false,
        }));
        // It keeps the order in which it first sees rows and columns.
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

    /// The worst few, as bars.
    pub(super) fn bars(title: &'static str, unit: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Bars, title, unit, size);
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

    /// What was so when, a row for each series.
    pub(super) fn states(title: &'static str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::States, title, "short", size);
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

    /// A few sentences, in Markdown.
    pub(super) fn text(title: &'static str, content: &str, size: (u32, u32)) -> Self {
        let mut panel = Self::new(Kind::Text, title, "", size);
        panel.options = object(json!({ "mode": "markdown", "content": content }));
        panel
    }

    pub(super) fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) fn ask(mut self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.queries.push(Query { expr: expr.into(), legend });
        self
    }

    /// Colours by value.
    pub(super) fn steps(mut self, first: &'static str, steps: Steps) -> Self {
        self.steps = Some((first, steps));
        self.defaults.insert("color".into(), json!({ "mode": "thresholds" }));
        self
    }

    /// The thresholds as dashed lines through the picture, and every series in its own colour.
    pub(super) fn drawn(mut self) -> Self {
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

    /// Words in place of values.
    pub(super) fn words(mut self, words: &[(&str, &str, &str)]) -> Self {
        let options: Map<String, Value> = words
            .iter()
            .enumerate()
            .map(|(index, (value, text, color))| {
                let word = json!({ "text": text, "color": color, "index": index });
                ((*value).to_owned(), word)
            })
            .collect();
        self.defaults.insert("mappings".into(), json!([{ "type": "value", "options": options }]));
        self
    }

    /// What it says where its queries have no answer; `No data` otherwise.
    pub(super) fn or_says(mut self, text: &str) -> Self {
        self.defaults.insert("noValue".into(), json!(text));
        self
    }

    /// One line for each GPU, called `GPU 0`, which has the same colour in all such panels.
    pub(super) fn of_gpus(mut self) -> Self {
        for (gpu, colour) in GPU_COLOURS.iter().enumerate() {
            let colour = [("color", json!({ "mode": "fixed", "fixedColor": colour }))];
            self.overrides.push(override_of("byName", &format!("GPU {gpu}"), &colour));
        }
        self
    }

    /// The answers to the query with this letter are dashed, and the legend leaves them out: they
    /// are of the same GPUs as those of the first.
    pub(super) fn dashed(mut self, letter: &str, properties: &[(&str, Value)]) -> Self {
        let dash = json!({ "fill": "dash", "dash": [4, 4] });
        let hidden = json!({ "legend": true, "tooltip": false, "viz": false });
        let looks = [("custom.lineStyle", dash), ("custom.hideFrom", hidden)];
        let all = [&looks, properties].concat();
        self.overrides.push(override_of("byFrameRefID", letter, &all));
        self
    }

    /// A column, or the series of this name, has properties of its own.
    pub(super) fn named(mut self, name: &str, properties: &[(&str, Value)]) -> Self {
        self.overrides.push(override_of("byName", name, properties));
        self
    }

    /// Columns in this order under other names; what is not named is left out.
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
        matches!(self.kind, Kind::Stat | Kind::Matrix | Kind::Table | Kind::Bars)
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
            Kind::Lines => "timeseries",
            Kind::Matrix | Kind::Table => "table",
            Kind::Bars => "bargauge",
            Kind::States => "state-timeline",
            Kind::Text => "text",
        };
        let targets = self.queries.iter().enumerate();
        let targets = targets.map(|(index, query)| self.target(index, query, expander));
        let mut defaults = self.defaults.clone();
        defaults.insert("unit".into(), json!(self.unit));
        // Grafana's own default would colour what is above 80 red, whatever it is.
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

/// Puts panels side by side, row by row.
pub(super) fn place(panels: Vec<Panel>, expander: &Expander<'_>) -> Result<Vec<Value>> {
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut placed = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        if x + panel.size.0 > 24 {
            (x, y, height) = (0, y + height, 0);
        }
        placed.push(panel.json(index + 1, (x, y), expander)?);
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
