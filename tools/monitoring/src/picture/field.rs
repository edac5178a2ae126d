//! A dashboard's `fieldConfig`: how the values of one series or column are written and coloured.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::colour::{Colour, TEXT};
use super::unit::{self, Written};
use super::{axis::Wish, pattern};

/// How one series or column is shown: the defaults of its panel, and the overrides that match it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Field {
    pub(super) unit: String,
    pub(super) decimals: Option<usize>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) thresholds: Thresholds,
    pub(super) mappings: Vec<Mapping>,
    pub(super) color: Colouring,
    pub(super) display_name: Option<String>,
    pub(super) no_value: Option<String>,
    pub(super) custom: Custom,
}

/// Colours by value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Thresholds {
    /// `absolute`, or `percentage` of the way from the field's minimum to its maximum.
    mode: String,
    pub(super) steps: Vec<Step>,
}

/// A colour from a value on; from the beginning where there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    color: String,
    value: Option<f64>,
}

/// Where colours come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Colouring {
    pub(super) mode: String,
    fixed_color: Option<String>,
}

/// What is shown in place of some values.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", content = "options", rename_all = "lowercase")]
pub(super) enum Mapping {
    /// By the value as it is written in the dashboard.
    Value(BTreeMap<String, Shown>),
    /// From one value to another, both included.
    Range { from: Option<f64>, to: Option<f64>, result: Shown },
    /// Values that are none, such as `nan`.
    Special {
        #[serde(rename = "match")]
        which: String,
        result: Shown,
    },
    /// Texts that match.
    Regex { pattern: String, result: Shown },
}

/// A mapping's outcome.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    pub(super) text: Option<String>,
    pub(super) color: Option<String>,
}

/// What only some kinds of panel know.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Custom {
    pub(super) align: String,
    pub(super) axis_label: String,
    pub(super) axis_placement: String,
    axis_soft_max: Option<f64>,
    axis_soft_min: Option<f64>,
    pub(super) cell_options: CellOptions,
    pub(super) draw_style: String,
    pub(super) fill_below_to: Option<String>,
    pub(super) fill_opacity: Option<f64>,
    pub(super) gradient_mode: String,
    pub(super) hidden: bool,
    pub(super) hide_from: HideFrom,
    pub(super) line_interpolation: String,
    pub(super) line_style: LineStyle,
    pub(super) line_width: Option<f64>,
    pub(super) show_points: String,
    pub(super) span_nulls: Value,
    pub(super) stacking: Mode,
    pub(super) thresholds_style: Mode,
    pub(super) transform: String,
    pub(super) width: Option<f64>,
}

/// How a table's cells look.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CellOptions {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) mode: String,
}

/// Where a series is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HideFrom {
    pub(super) legend: bool,
    pub(super) viz: bool,
}

/// `solid`, or dashes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LineStyle {
    pub(super) fill: String,
    pub(super) dash: Vec<f64>,
}

/// An option with a mode of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mode {
    pub(super) mode: String,
}

impl Field {
    /// How `panel` shows what is named `name` and was asked for as `ref_id`.
    pub(super) fn of(panel: &Value, name: &str, ref_id: &str) -> Result<Self> {
        let mut merged = panel.pointer("/fieldConfig/defaults").cloned().unwrap_or_default();
        let overrides = panel.pointer("/fieldConfig/overrides").and_then(Value::as_array);
        for rule in overrides.into_iter().flatten().filter(|rule| matches(rule, name, ref_id)) {
            for property in rule["properties"].as_array().into_iter().flatten() {
                let path = property["id"].as_str().unwrap_or_default();
                put(&mut merged, path, property["value"].clone());
            }
        }
        let merged = without_nulls(merged);
        if merged.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(merged).with_context(|| format!("the fieldConfig of {name:?}"))
    }

    /// `value` as it is shown: by a mapping, or written in the unit.
    pub(super) fn write(&self, value: f64) -> Written {
        match self.mapped(value).and_then(|shown| shown.text.clone()) {
            Some(text) => Written { number: text, unit: String::new() },
            None => unit::write(value, &self.unit, self.decimals),
        }
    }

    /// The colour of `value`, where values run from `span.0` to `span.1` if the dashboard does not
    /// say. `number` is the place among the panel's series.
    pub(super) fn colour(&self, value: f64, span: (f64, f64), number: usize) -> Colour {
        if let Some(name) = self.mapped(value).and_then(|shown| shown.color.as_deref()) {
            return Colour::of(name);
        }
        let (lo, hi) = self.span(span);
        match self.color.mode.as_str() {
            "fixed" | "shades" => self.fixed(),
            "palette-classic" | "palette-classic-by-name" => Colour::of_series(number),
            mode => Colour::on_ramp(mode, (value - lo) / (hi - lo).max(f64::MIN_POSITIVE))
                .unwrap_or_else(|| self.thresholds.colour(value, (lo, hi))),
        }
    }

    /// What `value` stands for among a few states: a mapping's text, or the thresholds that it is
    /// between if colours come from those.
    pub(super) fn meaning(&self, value: f64, span: (f64, f64)) -> String {
        let by_threshold = matches!(self.color.mode.as_str(), "" | "thresholds");
        let steps: Vec<f64> =
            self.thresholds.absolute(self.span(span)).map(|(from, _)| from).collect();
        if self.mapped(value).is_some() || !by_threshold || steps.len() < 2 {
            return self.write(value).to_string();
        }
        match steps.iter().rfind(|from| value >= **from) {
            Some(from) if from.is_finite() => format!("{}+", self.write(*from)),
            _ => format!("< {}", self.write(steps[1])),
        }
    }

    /// The colour of a text, which only a mapping gives.
    pub(super) fn text_shown(&self, text: &str) -> Option<&Shown> {
        self.mappings.iter().find_map(|mapping| match mapping {
            Mapping::Value(values) => values.get(text),
            Mapping::Regex { pattern, result } => pattern::matches(pattern, text).then_some(result),
            Mapping::Special { which, result } => {
                (text.is_empty() && which == "empty").then_some(result)
            }
            Mapping::Range { .. } => None,
        })
    }

    /// The field's minimum and maximum, or the data's.
    pub(super) fn span(&self, (lo, hi): (f64, f64)) -> (f64, f64) {
        (self.min.unwrap_or(lo), self.max.unwrap_or(hi))
    }

    /// What the axis of this field is to be.
    pub(super) fn wish(&self) -> Wish {
        Wish {
            min: self.min,
            max: self.max,
            soft_min: self.custom.axis_soft_min,
            soft_max: self.custom.axis_soft_max,
        }
    }

    /// The colour of a field that has the same one for every value.
    pub(super) fn fixed(&self) -> Colour {
        self.color.fixed_color.as_deref().map_or(TEXT, Colour::of)
    }

    fn mapped(&self, value: f64) -> Option<&Shown> {
        self.mappings.iter().find_map(|mapping| match mapping {
            Mapping::Value(values) => {
                let same = |key: &String| key.parse::<f64>().is_ok_and(|key| key == value);
                values.iter().find(|(key, _)| same(key)).map(|(_, shown)| shown)
            }
            Mapping::Range { from, to, result } => {
                let inside =
                    from.is_none_or(|from| value >= from) && to.is_none_or(|to| value <= to);
                (inside && !value.is_nan()).then_some(result)
            }
            Mapping::Special { which, result } => {
                (value.is_nan() && which.contains("nan")).then_some(result)
            }
            Mapping::Regex { .. } => None,
        })
    }
}

impl Thresholds {
    /// The colour of `value`, where values run over `span`.
    pub(super) fn colour(&self, value: f64, span: (f64, f64)) -> Colour {
        let reached = self.absolute(span).filter(|(from, _)| value >= *from).last();
        let first =
            || self.steps.first().map_or(Colour::of("green"), |step| Colour::of(&step.color));
        reached.map_or_else(first, |(_, colour)| colour)
    }

    /// The values from which on colours hold, the first from minus infinity, where values run over
    /// `span`.
    pub(super) fn absolute(&self, (lo, hi): (f64, f64)) -> impl Iterator<Item = (f64, Colour)> {
        self.steps.iter().map(move |step| {
            let from = match step.value {
                None => f64::NEG_INFINITY,
                Some(value) if self.mode == "percentage" => lo + (hi - lo) * value / 100.0,
                Some(value) => value,
            };
            (from, Colour::of(&step.color))
        })
    }
}

/// Whether an override is for what is named `name` and was asked for as `ref_id`.
fn matches(rule: &Value, name: &str, ref_id: &str) -> bool {
    let options = &rule["matcher"]["options"];
    let text = options.as_str().unwrap_or_default();
    match rule["matcher"]["id"].as_str().unwrap_or_default() {
        "byName" => text == name,
        "byRegexp" => pattern::matches(text, name),
        "byFrameRefID" => text == ref_id,
        "byNames" => {
            let names = options["names"].as_array();
            names.is_some_and(|names| names.iter().any(|other| other == name))
        }
        _ => false,
    }
}

/// Puts `value` where `path` says, which has dots between its parts.
fn put(into: &mut Value, path: &str, value: Value) {
    let mut place = into;
    for part in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = &mut place[part];
    }
    *place = value;
}

/// Grafana writes `null` for what is not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(defaults: Value) -> Field {
        Field::of(&json!({ "fieldConfig": { "defaults": defaults } }), "x", "A").unwrap()
    }

    #[test]
    fn thresholds_hold_from_their_value_on() {
        let steps = json!([{"color": "green", "value": null}, {"color": "red", "value": 80}]);
        let absolute = field(json!({ "thresholds": { "mode": "absolute", "steps": steps } }));
        assert_eq!(absolute.colour(79.9, (0.0, 1.0), 0), Colour::of("green"));
        assert_eq!(absolute.colour(80.0, (0.0, 1.0), 0), Colour::of("red"));
        assert_eq!(absolute.colour(f64::NAN, (0.0, 1.0), 0), Colour::of("green"));

        let share = field(json!({
            "min": 0, "max": 10, "thresholds": { "mode": "percentage", "steps": steps }
        }));
        assert_eq!(share.colour(7.0, (0.0, 1.0), 0), Colour::of("green"));
        assert_eq!(share.colour(8.0, (0.0, 1.0), 0), Colour::of("red"));
    }

    #[test]
    fn a_colour_comes_from_where_the_mode_says() {
        let fixed = field(json!({ "color": { "mode": "fixed", "fixedColor": "purple" } }));
        assert_eq!(fixed.colour(1.0, (0.0, 1.0), 3), Colour::of("purple"));
        let classic = field(json!({ "color": { "mode": "palette-classic" } }));
        assert_eq!(classic.colour(1.0, (0.0, 1.0), 3), Colour::of_series(3));
        let ramp = field(json!({ "max": 4, "color": { "mode": "continuous-GrYlRd" } }));
        assert_eq!(ramp.colour(2.0, (0.0, 9.0), 0), Colour::of("yellow"));
    }

    #[test]
    fn mappings_come_before_units() {
        let mapped = field(json!({ "unit": "watt", "mappings": [
            { "type": "value", "options": { "1": { "text": "up", "color": "blue", "index": 0 } } },
            { "type": "range", "options": { "from": 5, "to": null, "result": { "text": "many" } } },
            { "type": "special", "options": { "match": "nan", "result": { "text": "n/a" } } },
            { "type": "regex", "options": { "pattern": "^GPU", "result": { "color": "red" } } },
        ] }));
        let text = |value| mapped.write(value).to_string();
        assert_eq!([text(1.0), text(2.0), text(7.0), text(f64::NAN)], ["up", "2 W", "many", "n/a"]);
        assert_eq!(mapped.colour(1.0, (0.0, 1.0), 0), Colour::of("blue"));
        assert_eq!(mapped.text_shown("GPU 1").unwrap().color.as_deref(), Some("red"));
        assert!(mapped.text_shown("CPU").is_none());
    }

    #[test]
    fn a_state_is_what_it_is_between() {
        let steps = json!([{"color": "green"}, {"color": "orange", "value": 75}, {"color": "red", "value": 87}]);
        let field = field(json!({ "unit": "celsius", "thresholds": { "steps": steps } }));
        let meaning = |value| field.meaning(value, (0.0, 100.0));
        assert_eq!([meaning(60.0), meaning(75.0), meaning(99.0)], ["< 75 °C", "75 °C+", "87 °C+"]);
    }

    #[test]
    fn overrides_are_put_over_defaults() {
        let panel = json!({ "fieldConfig": {
            "defaults": { "unit": "celsius", "decimals": null, "custom": { "lineWidth": 1 } },
            "overrides": [
                { "matcher": { "id": "byName", "options": "a" }, "properties": [
                    { "id": "unit", "value": "watt" },
                    { "id": "custom.axisPlacement", "value": "right" } ] },
                { "matcher": { "id": "byFrameRefID", "options": "B" }, "properties": [
                    { "id": "decimals", "value": 2 } ] },
                { "matcher": { "id": "byRegexp", "options": "/^(a|b)/" }, "properties": [
                    { "id": "max", "value": 9 } ] },
                { "matcher": { "id": "byNames", "options": { "names": ["c"] } }, "properties": [
                    { "id": "custom.hideFrom", "value": { "legend": true } } ] },
            ]
        } });
        let a = Field::of(&panel, "a", "A").unwrap();
        assert_eq!((a.unit.as_str(), a.custom.axis_placement.as_str()), ("watt", "right"));
        assert_eq!((a.custom.line_width, a.max, a.decimals), (Some(1.0), Some(9.0), None));
        let c = Field::of(&panel, "c", "B").unwrap();
        assert_eq!(
            (c.unit.as_str(), c.decimals, c.custom.hide_from.legend),
            ("celsius", Some(2), true)
        );
    }

    #[test]
    fn what_cannot_be_read_names_the_field() {
        let panel = json!({ "fieldConfig": { "defaults": { "unit": 7 } } });
        assert!(
            Field::of(&panel, "temperature", "A").unwrap_err().to_string().contains("temperature")
        );
    }
}
