//! From an expression with placeholders to PromQL, for one generation of names.
//!
//! A rule names a field in base units. Its family and factor depend on the generation that is served:
//! `DCGM_FI_DEV_FB_USED` in MiB up to 4.8, `DCGM_FI_DEV_FB_USED_BYTES` from 4.9 on.
//!
//! The series of a GPU end and others begin when its pod or job changes, because they may have its
//! labels. `[[gpu ...]]` and `[[device ...]]` are without these labels, and go on.

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
            let is_range = rest.starts_with('[') && !rest.starts_with("[[");
            let is_shifted = rest.starts_with(" offset") && !filled.ends_with(']');
            let name = inside.trim_start_matches("raw ");
            ensure!(
                !is_range && !is_shifted,
                "`[[{inside}]]`: its series end when the pod of the GPU does; write \
                 [[gpu {name} over 5m]] or [[gpu {name} offset 1h]]"
            );
        }
        Ok(filled + rest)
    }

    fn placeholder(&self, inside: &str) -> Result<String> {
        if let Some(field) = Field::parse(inside)? {
            return self.field(&field);
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

    fn field(&self, field: &Field<'_>) -> Result<String> {
        let Field { series, name, matchers, when } = *field;
        let labels = match series {
            Series::Raw => return Ok(format!("{}{matchers}", self.one(name)?)),
            Series::All => {
                let series = self.in_base_units(name, |name| format!("{name}{matchers}"))?;
                return Ok(if series.contains(" * ") { format!("({series})") } else { series });
            }
            Series::OfGpus => self.gpu_labels()?.to_owned(),
            Series::OfDevices => format!("{}, GPU_I_ID", self.gpu_labels()?),
        };
        let max = |series: &dyn Fn(&str) -> String| {
            let series = self.in_base_units(name, series)?;
            Ok::<_, anyhow::Error>(format!("max by ({labels}) ({series})"))
        };
        let now = max(&|name| format!("{name}{matchers}"));
        match when {
            When::Now => now,
            When::Offset(offset) => max(&|name| format!("{name}{matchers} offset {offset}")),
            When::Within(time) => {
                let last = max(&|name| format!("last_over_time({name}{matchers}[{time}])"))?;
                Ok(format!("({} or {last})", now?))
            }
            When::Over(range) => {
                let step = if range.contains(':') { "" } else { ":1m" };
                Ok(format!("{}[{range}{step}]", now?))
            }
        }
    }

    /// The labels of a GPU, without those of its pod or job.
    fn gpu_labels(&self) -> Result<&str> {
        let labels =
            self.source.words.get("gpu_labels").context("there is no word `gpu_labels`")?;
        Ok(labels)
    }

    /// The series that `series` makes of the name of a field, in base units.
    fn in_base_units(&self, field: &str, series: impl Fn(&str) -> String) -> Result<String> {
        let product = |(name, factor): (&str, f64)| format!("{} * {factor}", series(name));
        let one = |(name, factor): (&str, f64)| match factor {
            1.0 => series(name),
            _ => product((name, factor)),
        };
        let old = named(field, Names::V4_8)?;
        let new = named(field, Names::V4_9)?;
        Ok(match self.names {
            Names::V4_8 => one(old),
            Names::V4_9 => one(new),
            Names::Either if old == new => one(old),
            // Products have no metric name, so that `or` matches series of both.
            Names::Either => format!("{} or {}", product(old), product(new)),
        })
    }

    fn one(&self, field: &str) -> Result<&'static str> {
        ensure!(
            self.names != Names::Either || named(field, Names::V4_8)? == named(field, Names::V4_9)?,
            "`{field}` has two names, and only one can stand here"
        );
        let names = if self.names == Names::V4_9 { Names::V4_9 } else { Names::V4_8 };
        Ok(named(field, names)?.0)
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

/// A placeholder for a field: `[[gpu NAME{matchers} over 5m]]`.
struct Field<'a> {
    series: Series,
    name: &'a str,
    matchers: &'a str,
    when: When<'a>,
}

/// The series of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Series {
    /// `raw`: all, in the unit of the generation.
    Raw,
    /// No word: all, in base units.
    All,
    /// `gpu`: one for each GPU, in base units.
    OfGpus,
    /// `device`: one for each GPU instance, and for each GPU that has none, in base units.
    OfDevices,
}

/// The samples of a series.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When<'a> {
    Now,
    /// `offset 1w`: earlier.
    Offset(&'a str),
    /// `within 5m`: now, or the last of the last five minutes.
    Within(&'a str),
    /// `over 10m` or `over 2m:15s`: one a minute, or one every 15 seconds.
    Over(&'a str),
}

impl<'a> Field<'a> {
    /// `None` if it is a placeholder for something else.
    fn parse(inside: &'a str) -> Result<Option<Self>> {
        let (series, rest) = match inside.split_once(' ') {
            Some(("raw", rest)) => (Series::Raw, rest),
            Some(("gpu", rest)) => (Series::OfGpus, rest),
            Some(("device", rest)) => (Series::OfDevices, rest),
            _ if inside.starts_with("DCGM_") => (Series::All, inside),
            _ => return Ok(None),
        };
        let end = match rest.rfind('}') {
            Some(at) => at + 1,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        let (selector, when) = rest.split_at(end);
        let (name, matchers) = selector.split_at(selector.find('{').unwrap_or(end));
        ensure!(
            model::catalog::by_name(name).is_some(),
            "`{name}` is no field: `heatsink fields` has them"
        );
        let when = match when.trim_start().split_once(' ') {
            None if when.is_empty() => When::Now,
            Some(("offset", offset)) => When::Offset(offset),
            Some(("within", time)) => When::Within(time),
            Some(("over", range)) => When::Over(range),
            _ => bail!("`[[{inside}]]`: after a field stands `over`, `within` or `offset`"),
        };
        let is_each = matches!(series, Series::OfGpus | Series::OfDevices);
        ensure!(
            is_each || when == When::Now,
            "`[[{inside}]]`: only [[gpu ...]] and [[device ...]] have a time"
        );
        Ok(Some(Self { series, name, matchers, when }))
    }
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
        if let Some(field) = Field::parse(inside)? {
            fields.insert(named(field.name, Names::V4_8)?.0);
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
        gpu_labels = "instance, gpu"
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
        let same = "[[gpu DCGM_FI_DEV_SLOWDOWN_TEMP]]";
        for names in [Names::V4_8, Names::V4_9, Names::Either] {
            let expanded = expand(names, 1.0, same).unwrap();
            assert_eq!(expanded, "max by (instance, gpu) (DCGM_FI_DEV_SLOWDOWN_TEMP)");
        }
    }

    #[test]
    fn a_gpu_has_one_series_at_each_time() {
        for (text, expanded) in [
            (
                "[[device DCGM_FI_DEV_FB_USED{gpu=\"0\", a=\"b\"}]]",
                "max by (instance, gpu, GPU_I_ID) (DCGM_FI_DEV_FB_USED{gpu=\"0\", a=\"b\"} * 1048576)",
            ),
            (
                "increase([[gpu DCGM_FI_DEV_PCIE_REPLAY_COUNTER over 5m]] offset 1h)",
                "increase(max by (instance, gpu) (DCGM_FI_DEV_PCIE_REPLAY_COUNTER)[5m:1m] offset 1h)",
            ),
            (
                "[[gpu DCGM_FI_DEV_GPU_TEMP over 2m:15s]]",
                "max by (instance, gpu) (DCGM_FI_DEV_GPU_TEMP)[2m:15s]",
            ),
            (
                "[[gpu DCGM_FI_DEV_GPU_TEMP offset 1h]]",
                "max by (instance, gpu) (DCGM_FI_DEV_GPU_TEMP offset 1h)",
            ),
            (
                "[[gpu DCGM_FI_DEV_GPU_UTIL within 5m]]",
                "(max by (instance, gpu) (DCGM_FI_DEV_GPU_UTIL * 0.01) \
                 or max by (instance, gpu) (last_over_time(DCGM_FI_DEV_GPU_UTIL[5m]) * 0.01))",
            ),
        ] {
            assert_eq!(expand(Names::V4_8, 1.0, text).unwrap(), expanded);
        }
    }

    #[test]
    fn time_is_scaled_where_it_is_time() {
        let text = "rate(x{a=\"[5m]\"}[5m] offset 20m) > [[often]] \
                    and [[gpu DCGM_FI_DEV_GPU_TEMP over 1h]] > [[soon]] + 300";
        assert_eq!(
            expand(Names::V4_8, 60.0, text).unwrap(),
            "rate(x{a=\"[5m]\"}[5s] offset 20s) > 120 \
             and max by (instance, gpu) (DCGM_FI_DEV_GPU_TEMP)[1m:1s] > 60 + 300"
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
        let of_gpu = "[[gpu DCGM_FI_DEV_FB_USED over 5m]]";
        assert!(refused("[[DCGM_FI_DEV_FB_USED]][5m]").contains(of_gpu));
        assert!(refused("[[raw DCGM_FI_DEV_FB_USED]] offset 1h").contains(of_gpu));
        assert!(refused("[[DCGM_FI_DEV_FB_USED over 5m]]").contains("only [[gpu ...]]"));
        assert!(refused("[[gpu DCGM_FI_DEV_FB_USED for 5m]]").contains("`over`, `within`"));
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
            "[[raw DCGM_FI_DEV_GPU_TEMP{a=\"b\"}]] [[full]] [[gpu DCGM_FI_DEV_GPU_UTIL over 5m]]";
        let found: Vec<_> = fields(text).unwrap().into_iter().collect();
        assert_eq!(found, ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_UTIL"]);
    }
}
