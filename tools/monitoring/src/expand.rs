//! From an expression with placeholders to PromQL, for one generation of names.
//!
//! A rule names a field in base units. Its family and factor depend on the generation that is served: `DCGM_FI_DEV_FB_USED` in MiB up to 4.8,
//! `DCGM_FI_DEV_FB_USED_BYTES` from 4.9 on.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use model::catalog::generation::pairs;

use crate::duration;
use crate::source::{Source, Threshold, Unit};

/// The metric names of an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// Those up to 4.8, which `both` serves too.
    V4_8,
    /// Those from 4.9 on.
    V4_9,
    /// Either: dashboards work with both.
    Either,
}

impl Names {
    /// The names for which there are rule files.
    pub const OF_RULES: [Self; 2] = [Self::V4_8, Self::V4_9];

    /// From a value of `--metric-names`.
    pub fn parse(text: &str) -> Result<Self> {
        use model::catalog::Generation;
        match Generation::parse(text) {
            Some(Generation::V4_8_2 | Generation::V4_8 | Generation::Both) => Ok(Self::V4_8),
            Some(Generation::V4_9) => Ok(Self::V4_9),
            None => {
                let all = Generation::ALL.map(Generation::as_str).join(", ");
                bail!("`{text}` is no generation of names that heatsink serves; there are {all}")
            }
        }
    }
}

/// Fills in the placeholders of expressions and texts.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    /// The thresholds and words.
    pub source: &'a Source,
    /// The names to use.
    pub names: Names,
    /// The divisor of durations; 1 except in tests and demonstrations.
    pub time_scale: f64,
}

impl Expander<'_> {
    /// An expression, without placeholders, durations scaled.
    pub fn expr(&self, text: &str) -> Result<String> {
        self.scale_durations(&self.fill(text.trim())?)
    }

    /// A text with its words and thresholds, as they are when time is not scaled.
    pub fn text(&self, text: &str) -> Result<String> {
        Expander { time_scale: 1.0, ..*self }.fill(text)
    }

    /// A duration, scaled.
    pub fn duration(&self, text: &str) -> Result<String> {
        let read = duration::parse(text).with_context(|| format!("`{text}` is not a duration"))?;
        Ok(duration::write(read.div_f64(self.time_scale)))
    }

    fn fill(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("[[") {
            let (inside, tail) =
                tail.split_once("]]").with_context(|| format!("`[[{tail}` does not end"))?;
            filled += before;
            filled += &self.placeholder(inside)?;
            rest = tail;
            let ranged = rest.starts_with('[') || rest.starts_with(" offset");
            ensure!(
                !(ranged && filled.ends_with(')')),
                "`[[{inside}]]` has a unit to be converted, so nothing can follow it: \
                 [[raw {inside}]] has not"
            );
        }
        Ok(filled + rest)
    }

    fn placeholder(&self, inside: &str) -> Result<String> {
        if let Some(name) = inside.strip_prefix("raw ") {
            let (field, matchers) = field(name)?;
            return Ok(format!("{}{matchers}", self.one(field)?.0));
        }
        if let Some(name) = inside.strip_prefix("unit ") {
            return Ok(self.one(field(name)?.0)?.1.to_string());
        }
        if let Some(name) = inside.strip_prefix("time ") {
            let threshold = self.source.thresholds.get(name);
            let threshold = threshold.with_context(|| format!("`{name}` is no threshold"))?;
            ensure!(threshold.unit == Unit::Seconds, "`{name}` is no time");
            return Ok(duration::write(Duration::from_secs_f64(self.threshold(*threshold))));
        }
        if let Some(alerts) = inside.strip_prefix("cause ") {
            return Ok(self.firing(alerts));
        }
        if inside.starts_with("DCGM_") {
            let (name, matchers) = field(inside)?;
            return self.in_base_units(name, matchers);
        }
        if let Some(threshold) = self.source.thresholds.get(inside) {
            return Ok(self.threshold(*threshold).to_string());
        }
        if let Some(word) = self.source.words.get(inside) {
            return Ok(word.clone());
        }
        bail!("`[[{inside}]]` is no field, no threshold and no word")
    }

    /// Alerts that fire, are pending, or fired within a time, so that alerts that follow from them fire
    /// neither before them nor when they end. `A|B`, or `A|B within 1h`; a threshold may be the time.
    fn firing(&self, alerts: &str) -> String {
        let (names, within) = alerts.split_once(" within ").unwrap_or((alerts, "10m"));
        let seconds = self.source.thresholds.get(within).map(|threshold| threshold.value);
        let window = seconds.map(|seconds| duration::write(Duration::from_secs_f64(seconds)));
        let window = window.as_deref().unwrap_or(within);
        let alert = format!("alertname=~\"{names}\"");
        format!(
            "(max_over_time(ALERTS{{{alert}, alertstate=\"firing\"}}[{window}]) or ALERTS{{{alert}}})"
        )
    }

    fn threshold(&self, threshold: Threshold) -> f64 {
        match threshold.unit {
            Unit::Seconds => threshold.value / self.time_scale,
            Unit::PerSecond => threshold.value * self.time_scale,
            _ => threshold.value,
        }
    }

    fn in_base_units(&self, field: &str, matchers: &str) -> Result<String> {
        let product = |(name, factor): (&str, f64)| format!("{name}{matchers} * {factor}");
        let one = |(name, factor): (&str, f64)| match factor {
            1.0 => format!("{name}{matchers}"),
            _ => format!("({})", product((name, factor))),
        };
        let old = named(field, Names::V4_8)?;
        let new = named(field, Names::V4_9)?;
        Ok(match self.names {
            Names::V4_8 => one(old),
            Names::V4_9 => one(new),
            Names::Either if old == new => one(old),
            // Products have no metric name, so that `or` matches series of both.
            Names::Either => format!("({} or {})", product(old), product(new)),
        })
    }

    fn one(&self, field: &str) -> Result<(&'static str, f64)> {
        ensure!(
            self.names != Names::Either || named(field, Names::V4_8)? == named(field, Names::V4_9)?,
            "`{field}` has two names, and only one can stand here"
        );
        named(field, if self.names == Names::V4_9 { Names::V4_9 } else { Names::V4_8 })
    }

    /// Every range, subquery and offset, divided by the time scale. Steps of subqueries too.
    fn scale_durations(&self, expr: &str) -> Result<String> {
        let mut scaled = String::new();
        let mut rest = expr;
        while let Some(at) = rest.find(['[', '"', '\'']).into_iter().chain(offset(rest)).min() {
            let (before, tail) = rest.split_at(at);
            scaled += before;
            let (piece, tail) = match tail.as_bytes().first() {
                Some(b'[') => {
                    let (range, tail) = tail[1..].split_once(']').context("a range without end")?;
                    let parts = range.split(':').map(|part| match part {
                        "" => Ok(String::new()),
                        part => self.duration(part),
                    });
                    let parts = parts.collect::<Result<Vec<_>>>()?;
                    (format!("[{}]", parts.join(":")), tail)
                }
                Some(quote @ (b'"' | b'\'')) => {
                    let quote = char::from(*quote);
                    let end = tail[1..].find(quote).context("a string without end")? + 2;
                    (tail[..end].to_owned(), &tail[end..])
                }
                _ => {
                    let tail = &tail[OFFSET.len()..];
                    let end = tail.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tail.len());
                    (format!("{OFFSET}{}", self.duration(&tail[..end])?), &tail[end..])
                }
            };
            scaled += &piece;
            rest = tail;
        }
        Ok(scaled + rest)
    }
}

const OFFSET: &str = "offset ";

fn offset(text: &str) -> Option<usize> {
    text.find(OFFSET)
}

/// A field's name, and the matchers behind it.
fn field(text: &str) -> Result<(&str, &str)> {
    let (name, matchers) = text.split_at(text.find('{').unwrap_or(text.len()));
    ensure!(
        model::catalog::by_name(name).is_some(),
        "`{name}` is no field: `heatsink fields` has them"
    );
    Ok((name, matchers))
}

/// The name of a field and its factor to base units. `name` is one of 4.8.
fn named(name: &str, names: Names) -> Result<(&'static str, f64)> {
    let row = model::catalog::by_name(name).with_context(|| format!("`{name}` is no field"))?;
    if let Some(pair) = pairs().find(|pair| pair.has(name)) {
        ensure!(pair.v4_8.name == name, "write `{}`, the name of 4.8", pair.v4_8.name);
        let half = if names == Names::V4_9 { &pair.v4_9 } else { &pair.v4_8 };
        let unit = model::catalog::by_id(half.field).map_or(row.unit, |row| row.unit);
        return Ok((half.name, base(unit)));
    }
    ensure!(row.name == name, "write `{}`, the name that is served", row.name);
    Ok((row.name, base(row.unit)))
}

/// How many base units one of these is.
fn base(unit: &str) -> f64 {
    match unit {
        "MHz" => 1e6,
        "kHz" => 1e3,
        "mJ" | "mV" => 1e-3,
        "%" => 0.01,
        "ns" => 1e-9,
        "MiB" => 1_048_576.0,
        "KB/s" => 1e3,
        "MB/s" => 1e6,
        "1000 KiB/s" => 1_024_000.0,
        _ => 1.0,
    }
}

/// The name of a field and the factor of its unit, for input series of tests.
pub(crate) fn from_base(name: &str, names: Names) -> Result<(&'static str, f64)> {
    named(name, names)
}

/// The fields that a text with placeholders asks for, by their names of 4.8.
pub fn fields(text: &str) -> Result<BTreeSet<&'static str>> {
    let mut fields = BTreeSet::new();
    for inside in text.split("[[").skip(1).filter_map(|tail| tail.split("]]").next()) {
        let inside = inside.strip_prefix("raw ").unwrap_or(inside);
        let inside = inside.strip_prefix("unit ").unwrap_or(inside);
        if inside.starts_with("DCGM_") {
            fields.insert(named(field(inside)?.0, Names::V4_8)?.0);
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        runbooks = "https://example.org"
        group = []
        [thresholds]
        full = { value = 0.9, unit = "ratio", least = 0.5, most = 0.99 }
        soon = { value = 3600, unit = "seconds", least = 1, most = 9999 }
        often = { value = 2, unit = "per_second", least = 1, most = 9 }
        [words]
        gpu = "without (pod)"
    "#;

    fn expand(names: Names, time_scale: f64, text: &str) -> Result<String> {
        let source = Source::parse(SOURCE).unwrap();
        Expander { source: &source, names, time_scale }.expr(text)
    }

    #[test]
    fn a_field_has_base_units_and_the_name_of_its_generation() {
        let text = "[[DCGM_FI_DEV_FB_USED{gpu=\"0\"}]] > [[full]]";
        assert_eq!(
            expand(Names::V4_8, 1.0, text).unwrap(),
            "(DCGM_FI_DEV_FB_USED{gpu=\"0\"} * 1048576) > 0.9"
        );
        assert_eq!(
            expand(Names::V4_9, 1.0, text).unwrap(),
            "DCGM_FI_DEV_FB_USED_BYTES{gpu=\"0\"} > 0.9"
        );
        assert_eq!(
            expand(Names::Either, 1.0, "[[DCGM_FI_DEV_GPU_UTIL]]").unwrap(),
            "(DCGM_FI_DEV_GPU_UTIL * 0.01 or DCGM_FI_DEV_GPU_UTIL_RATIO * 1)"
        );
        let same = "max [[gpu]] ([[DCGM_FI_DEV_SLOWDOWN_TEMP]])";
        for names in [Names::V4_8, Names::V4_9, Names::Either] {
            let expanded = expand(names, 1.0, same).unwrap();
            assert_eq!(expanded, "max without (pod) (DCGM_FI_DEV_SLOWDOWN_TEMP)");
        }
    }

    #[test]
    fn time_is_scaled_where_it_is_time() {
        let text = "rate([[raw DCGM_FI_DEV_GPU_TEMP{a=\"[5m]\"}]][5m] offset 20m) > [[often]] \
                    and x[1h:1m] > [[soon]] + 300";
        assert_eq!(
            expand(Names::V4_8, 60.0, text).unwrap(),
            "rate(DCGM_FI_DEV_GPU_TEMP{a=\"[5m]\"}[5s] offset 20s) > 120 and x[1m:1s] > 60 + 300"
        );
    }

    #[test]
    fn a_cause_is_an_alert_that_fires_fired_or_is_pending() {
        assert_eq!(
            expand(Names::V4_8, 60.0, "x unless [[cause A|B within 1h]]").unwrap(),
            "x unless (max_over_time(ALERTS{alertname=~\"A|B\", alertstate=\"firing\"}[1m]) \
             or ALERTS{alertname=~\"A|B\"})"
        );
        assert!(expand(Names::V4_8, 1.0, "[[cause A]]").unwrap().contains("[10m]"));
        let soon = expand(Names::V4_8, 60.0, "[[cause A within soon]]").unwrap();
        assert!(soon.contains("[1m]"), "{soon}");
    }

    #[test]
    fn bad_placeholders_are_refused() {
        let refused = |text| format!("{:#}", expand(Names::V4_8, 1.0, text).unwrap_err());
        assert!(refused("[[DCGM_FI_DEV_FB_USED]][5m]").contains("[[raw DCGM_FI_DEV_FB_USED]]"));
        assert!(refused("[[DCGM_FI_DEV_FB_USEDD]]").contains("is no field"));
        assert!(refused("[[ful]]").contains("no threshold"));
        assert!(refused("[[time full]]").contains("is no time"));
        assert!(refused("x[5mm]").contains("not a duration"));
        assert!(refused("[[DCGM_FI_DEV_FB_USED_BYTES]]").contains("write `DCGM_FI_DEV_FB_USED`"));
        assert!(expand(Names::Either, 1.0, "[[raw DCGM_FI_DEV_FB_USED]]").is_err());
    }

    #[test]
    fn only_served_generations_have_rules() {
        assert_eq!(Names::parse("4.8.4").unwrap(), Names::V4_8);
        assert_eq!(Names::parse("4.9").unwrap(), Names::V4_9);
        let error = Names::parse("5.0").unwrap_err().to_string();
        assert!(error.contains("there are 4.8.2, 4.8, 4.9, both"), "{error}");
    }

    #[test]
    fn the_fields_of_an_expression_are_listed() {
        let text =
            "[[raw DCGM_FI_DEV_GPU_TEMP{a=\"b\"}]][5m] [[gpu]] [[unit DCGM_FI_DEV_GPU_UTIL]]";
        let found: Vec<_> = fields(text).unwrap().into_iter().collect();
        assert_eq!(found, ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_UTIL"]);
    }
}
