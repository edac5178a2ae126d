//! Input of `promtool test rules`: cases in base units, converted to the names and units of a
//! generation.
//!
//! Each case is tested twice: as it is, and with pods that end and others that begin, since series of a
//! GPU may have the labels of its pod.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::duration;
use crate::expand::{self, Names};
use crate::source::{Alert, Source};

/// Cases for every alert.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// Series on which an alert fires, similar series on which it does not, and its state after the
/// series end.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Case {
    alert: String,
    /// The time between two samples, and between two evaluations.
    #[serde(default = "minute")]
    interval: String,
    /// When it fires.
    at: String,
    /// When it does not fire yet.
    not_yet: Option<String>,
    /// `NAME{label="value"} VALUES`, values as promtool writes them, in base units.
    fires: Vec<String>,
    /// How many alerts there are then.
    #[serde(default = "one")]
    count: u32,
    /// Sets of series, each in place of those with the same names and labels.
    quiet: Vec<Vec<String>>,
    /// The state after all series end at `at`: `resolved after 1m` or `firing after 1m`.
    gone: String,
}

/// So many pods have a GPU one after the other until the alert fires.
const PODS: u64 = 4;

fn minute() -> String {
    "1m".to_owned()
}

fn one() -> u32 {
    1
}

/// A file for `promtool test rules`.
pub struct Tests {
    /// The alert that it tests.
    pub alert: String,
    /// The file that it looks for that alert in, beside itself.
    pub rule_file: String,
    /// All of it.
    pub text: String,
}

#[derive(Serialize)]
struct TestFile {
    rule_files: Vec<String>,
    evaluation_interval: String,
    /// The groups in the order of the rule file. Without it promtool evaluates them in a random order,
    /// and an alert may see a recorded series one interval late.
    group_eval_order: Vec<String>,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    interval: String,
    input_series: Vec<InputSeries>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    promql_expr_test: Vec<ExprTest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Serialize)]
struct InputSeries {
    series: String,
    values: String,
}

#[derive(Clone, Serialize)]
struct ExprTest {
    expr: String,
    eval_time: String,
    exp_samples: Vec<Sample>,
}

#[derive(Clone, Serialize)]
struct Sample {
    labels: &'static str,
    value: u32,
}

#[derive(Serialize)]
struct AlertTest {
    eval_time: String,
    alertname: String,
}

impl Cases {
    /// Reads cases, and refuses those that leave an alert of `source` untested.
    pub fn parse(text: &str, source: &Source) -> Result<Self> {
        let cases: Self = toml::from_str(text).context("the cases")?;
        for case in &cases.cases {
            let alert = source.alerts().find(|alert| alert.name == case.alert);
            let alert = alert.with_context(|| format!("there is no alert `{}`", case.alert))?;
            case.check(alert).with_context(|| format!("case of `{}`", case.alert))?;
        }
        for alert in source.alerts() {
            let tested = cases.cases.iter().any(|case| case.alert == alert.name);
            ensure!(tested, "no case for alert `{}`", alert.name);
        }
        Ok(cases)
    }

    /// The files for `promtool test rules`: one per alert and interval, since rules are evaluated as
    /// often as there are samples.
    pub fn tests(&self, names: Names, source: &Source) -> Result<Vec<Tests>> {
        self.files(source, |case| {
            let alert = source.alerts().find(|alert| alert.name == case.alert);
            let severity = alert.map(|alert| alert.severity.as_str()).unwrap_or_default();
            case.tests(names, severity)
        })
    }

    /// Files whose tests all fail, because promtool then prints the texts of each alert.
    pub fn texts(&self, names: Names, source: &Source) -> Result<Vec<Tests>> {
        self.files(source, |case| Ok(vec![case.text(names)?]))
    }

    fn files(
        &self,
        source: &Source,
        tests: impl Fn(&Case) -> Result<Vec<Test>>,
    ) -> Result<Vec<Tests>> {
        let mut sorted: BTreeMap<(&str, &str), Vec<Test>> = BTreeMap::new();
        for case in &self.cases {
            let made = tests(case).with_context(|| format!("case of `{}`", case.alert))?;
            sorted.entry((&case.alert, &case.interval)).or_default().extend(made);
        }
        let files = sorted.into_iter().map(|((alert, interval), tests)| {
            let rule_file = format!("{alert}.rules.yml");
            let file = TestFile {
                rule_files: vec![rule_file.clone()],
                evaluation_interval: interval.to_owned(),
                group_eval_order: source.groups.iter().map(|group| group.name.clone()).collect(),
                tests,
            };
            let text = yaml_serde::to_string(&file)?;
            Ok(Tests { alert: alert.to_owned(), rule_file, text })
        });
        files.collect()
    }
}

impl Case {
    fn check(&self, alert: &Alert) -> Result<()> {
        ensure!(!self.fires.is_empty(), "no `fires`: series on which it fires");
        ensure!(!time(&self.interval)?.is_zero(), "the interval is 0");
        ensure!(
            !self.quiet.is_empty() && self.quiet.iter().all(|set| !set.is_empty()),
            "no `quiet`: series on which it does not fire"
        );
        ensure!(
            alert.hold.is_none() || self.not_yet.is_some(),
            "`not_yet`: when it does not fire yet, since it has `for`"
        );
        Ok(())
    }

    fn tests(&self, names: Names, severity: &str) -> Result<Vec<Test>> {
        let series = |lines: &[String]| -> Result<Vec<Series>> {
            lines.iter().map(|line| Series::parse(line).with_context(|| line.clone())).collect()
        };
        let interval = time(&self.interval)?;
        let at = time(&self.at)?;
        let samples = (at.as_millis() / interval.as_millis()) as u64 + 1;
        let fires = series(&self.fires)?;
        let alert = &self.alert;
        let firing = |when: Duration, count: u32| ExprTest {
            expr: format!(
                "count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",\
                 severity=\"{severity}\"}}) or vector(0)"
            ),
            eval_time: duration::write(when),
            exp_samples: vec![Sample { labels: "{}", value: count }],
        };
        let test = |name: &str, series: &[Series], checks: Vec<ExprTest>| -> Result<Test> {
            let input = series.iter().map(|series| series.input(names));
            Ok(Test {
                name: format!("{alert}: {name}"),
                interval: self.interval.clone(),
                input_series: input.collect::<Result<_>>()?,
                promql_expr_test: checks,
                alert_rule_test: Vec::new(),
            })
        };

        let with_pods = |series: &[Series]| -> Vec<Series> {
            let of_a_pod = samples.div_ceil(PODS);
            series.iter().flat_map(|series| series.with_pods(of_a_pod)).collect()
        };
        // Twice: as they are, and with pods, if some can have pods.
        let both = |name: &str, series: &[Series], checks: &[ExprTest]| -> Result<Vec<Test>> {
            let mut tests = vec![test(name, series, checks.to_vec())?];
            let with_pods = with_pods(series);
            if with_pods != series {
                tests.push(test(
                    &format!("{name} while pods change"),
                    &with_pods,
                    checks.to_vec(),
                )?);
            }
            Ok(tests)
        };

        let mut checks = vec![firing(at, self.count)];
        if let Some(not_yet) = &self.not_yet {
            checks.push(firing(time(not_yet)?, 0));
        }
        let mut tests = both("fires", &fires, &checks)?;
        for set in &self.quiet {
            let quiet = replaced(&fires, series(set)?)?;
            tests.extend(both("stays quiet", &quiet, &[firing(at, 0)])?);
        }
        let (then, after) = self.gone.split_once(" after ").context("`gone`: resolved after 1m")?;
        let count = match then {
            "resolved" => 0,
            "firing" => self.count,
            other => bail!("`gone`: {other}"),
        };
        let ended: Vec<Series> = fires.iter().map(|series| series.ended_after(samples)).collect();
        let checks = vec![firing(at, self.count), firing(at + time(after)?, count)];
        tests.push(test("its series end", &ended, checks)?);
        Ok(tests)
    }

    fn text(&self, names: Names) -> Result<Test> {
        let series = self.fires.iter().map(|line| Series::parse(line)?.input(names));
        Ok(Test {
            name: self.alert.clone(),
            interval: self.interval.clone(),
            input_series: series.collect::<Result<_>>()?,
            promql_expr_test: Vec::new(),
            alert_rule_test: vec![AlertTest {
                eval_time: self.at.clone(),
                alertname: self.alert.clone(),
            }],
        })
    }
}

fn time(text: &str) -> Result<Duration> {
    duration::parse(text).with_context(|| format!("`{text}` is not a duration"))
}

/// `base`, with each of `instead` in place of the series of the same name and labels.
fn replaced(base: &[Series], instead: Vec<Series>) -> Result<Vec<Series>> {
    let mut replaced = base.to_vec();
    for series in instead {
        let same = |other: &Series| other.name == series.name && other.labels == series.labels;
        let place = replaced.iter().position(same);
        let place =
            place.with_context(|| format!("`{}` replaces no series of `fires`", series.name))?;
        replaced[place] = series;
    }
    Ok(replaced)
}

#[derive(Clone, PartialEq, Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    runs: Vec<Run>,
}

/// Samples that follow each other in equal steps.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Run {
    Values { start: f64, step: f64, count: u64 },
    Nothing { count: u64 },
    Stale,
}

impl Series {
    fn parse(line: &str) -> Result<Self> {
        let (head, values) = match line.split_once('}') {
            Some((head, values)) => (head, values),
            None => line.split_once(' ').context("no values")?,
        };
        let (name, given) = head.split_once('{').unwrap_or((head, ""));
        let mut labels = defaults(name);
        for pair in given.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (label, value) = pair.split_once('=').context("a label without a value")?;
            labels.insert(label.trim().to_owned(), value.trim().trim_matches('"').to_owned());
        }
        labels.retain(|_, value| !value.is_empty());
        let runs = values.split_whitespace().map(Run::parse);
        Ok(Self { name: name.to_owned(), labels, runs: runs.collect::<Result<_>>()? })
    }

    fn ended_after(&self, samples: u64) -> Self {
        let mut left = samples;
        let mut runs = Vec::new();
        for run in &self.runs {
            let taken = run.first(left);
            left -= taken.count();
            runs.push(taken);
            if left == 0 {
                break;
            }
        }
        runs.push(Run::Stale);
        Self { runs, ..self.clone() }
    }

    /// A series for each pod, of which each has the GPU for some samples. Series of DCGM have the labels
    /// of pods.
    fn with_pods(&self, samples: u64) -> Vec<Self> {
        if !self.name.starts_with("DCGM_") || self.labels.contains_key("pod") {
            return vec![self.clone()];
        }
        let mut pods: BTreeMap<u64, Self> = BTreeMap::new();
        for (at, sample) in self.runs.iter().flat_map(Run::samples).enumerate() {
            let at = at as u64;
            let pod = pods.entry(at / samples).or_insert_with_key(|number| {
                let mut pod = self.clone();
                pod.labels.insert("namespace".to_owned(), "ml".to_owned());
                pod.labels.insert("pod".to_owned(), format!("pod-{number}"));
                pod.runs = vec![Run::Nothing { count: at }];
                pod
            });
            pod.runs.push(sample);
        }
        pods.values_mut().for_each(|pod| pod.runs.push(Run::Stale));
        pods.into_values().collect()
    }

    fn input(&self, names: Names) -> Result<InputSeries> {
        let (name, factor) = match self.name.starts_with("DCGM_") {
            true => expand::from_base(&self.name, names)?,
            false => (self.name.as_str(), 1.0),
        };
        let labels = self.labels.iter().map(|(label, value)| format!("{label}=\"{value}\""));
        let labels = labels.collect::<Vec<_>>().join(",");
        let mut values = String::new();
        for run in &self.runs {
            run.write(&mut values, factor);
        }
        Ok(InputSeries {
            series: format!("{name}{{{labels}}}"),
            values: values.trim_end().to_owned(),
        })
    }
}

impl Run {
    fn parse(token: &str) -> Result<Self> {
        if token == "stale" {
            return Ok(Self::Stale);
        }
        let (values, times) = token.split_once('x').unwrap_or((token, "0"));
        let times: u64 = times.parse().with_context(|| token.to_owned())?;
        if values == "_" {
            return Ok(Self::Nothing { count: times.max(1) });
        }
        let sign = values.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-'));
        let (start, step) = values.split_at(sign.map_or(values.len(), |(at, _)| at));
        let number = |text: &str| text.parse::<f64>().with_context(|| token.to_owned());
        let step = if step.is_empty() { 0.0 } else { number(step)? };
        // As promtool counts: the first one, and so many more.
        Ok(Self::Values { start: number(start)?, step, count: times + 1 })
    }

    /// Its samples, each as a run.
    fn samples(&self) -> Vec<Self> {
        match *self {
            Self::Values { start, step, count } => {
                let value = |index| start + step * index as f64;
                let one = |index| Self::Values { start: value(index), step: 0.0, count: 1 };
                (0..count).map(one).collect()
            }
            Self::Nothing { count } => vec![Self::Nothing { count: 1 }; count as usize],
            Self::Stale => vec![Self::Stale],
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Values { count, .. } | Self::Nothing { count } => *count,
            Self::Stale => 1,
        }
    }

    fn first(self, most: u64) -> Self {
        match self {
            Self::Values { start, step, count } => {
                Self::Values { start, step, count: count.min(most) }
            }
            Self::Nothing { count } => Self::Nothing { count: count.min(most) },
            Self::Stale => Self::Stale,
        }
    }

    fn write(self, out: &mut String, factor: f64) {
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Values { count: 0, .. } | Self::Nothing { count: 0 } => Ok(()),
            Self::Values { start, step, count } => {
                let (start, step) = (tidy(start / factor), tidy(step / factor));
                write!(out, "{start}{step:+}x{} ", count - 1)
            }
            Self::Nothing { count } => write!(out, "_x{count} "),
            Self::Stale => write!(out, "stale "),
        };
    }
}

/// Without the rounding error of a division.
fn tidy(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// The labels of a series with this name, unless a case gives others; an empty value removes one.
fn defaults(name: &str) -> BTreeMap<String, String> {
    let machine = [("instance", "node-1"), ("job", "heatsink")];
    let gpu = [("gpu", "3"), ("UUID", "GPU-3")];
    let more = [
        ("modelName", "NVIDIA H100 80GB HBM3"),
        ("hostname", "node-1"),
        ("pci_bus_id", "00000000:41:00.0"),
        ("device", "nvidia3"),
        ("DCGM_FI_DRIVER_VERSION", "570.86.15"),
    ];
    let of_machine = [
        "up",
        "heatsink_source_",
        "heatsink_build_",
        "heatsink_config_",
        "heatsink_xid_info",
        "heatsink_nvswitch_",
        "heatsink_driver_errors",
        "heatsink_gpus_expected",
        "heatsink_attribution_",
        "heatsink_incidents_",
    ];
    let mut labels: Vec<(&str, &str)> = machine.to_vec();
    if !of_machine.iter().any(|prefix| name.starts_with(prefix)) {
        labels.extend(gpu);
        if name.starts_with("DCGM_") {
            labels.extend(more);
        }
    }
    labels.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(line: &str, names: Names) -> (String, String) {
        let made = Series::parse(line).unwrap().input(names).unwrap();
        (made.series, made.values)
    }

    #[test]
    fn values_are_converted_to_the_unit_of_the_generation() {
        let line = "DCGM_FI_DEV_FB_USED{gpu=\"0\", pod=\"p\"} 1073741824+1048576x3 _x2 stale";
        let (series, values) = input(line, Names::V4_8);
        assert!(series.starts_with("DCGM_FI_DEV_FB_USED{"), "{series}");
        assert!(series.contains("gpu=\"0\"") && series.contains("pod=\"p\""), "{series}");
        assert_eq!(values, "1024+1x3 _x2 stale");
        let (series, values) = input(line, Names::V4_9);
        assert!(series.starts_with("DCGM_FI_DEV_FB_USED_BYTES{"), "{series}");
        assert_eq!(values, "1073741824+1048576x3 _x2 stale");
    }

    #[test]
    fn a_series_ends_at_its_cut() {
        let series = Series::parse("heatsink_gpu_up 1x4 0x9").unwrap();
        assert_eq!(series.ended_after(7).input(Names::V4_8).unwrap().values, "1+0x4 0+0x1 stale");
        assert_eq!(series.ended_after(5).input(Names::V4_8).unwrap().values, "1+0x4 stale");
    }

    #[test]
    fn each_pod_has_series_of_its_own() {
        let with_pods = |line: &str| {
            let series = Series::parse(line).unwrap().with_pods(3);
            let input = series.iter().map(|series| series.input(Names::V4_9).unwrap());
            input.map(|input| (input.series, input.values)).collect::<Vec<_>>()
        };
        let series = with_pods("DCGM_FI_DEV_GPU_TEMP 50+1x2 _x1 60");
        let values: Vec<&str> = series.iter().map(|(_, values)| values.as_str()).collect();
        assert_eq!(values, ["50+0x0 51+0x0 52+0x0 stale", "_x3 _x1 60+0x0 stale"]);
        assert!(series[1].0.contains("pod=\"pod-1\""), "{}", series[1].0);
        assert_eq!(with_pods("heatsink_gpu_up 1x9").len(), 1);
        assert_eq!(with_pods("DCGM_FI_DEV_GPU_TEMP{pod=\"a\"} 1x9").len(), 1);
    }

    #[test]
    fn a_case_without_a_test_is_refused() {
        let source = r#"
            runbooks = "https://example.org"
            thresholds = {}
            words = {}
            [[group]]
            name = "heatsink.g"
            [[group.alert]]
            name = "A"
            severity = "info"
            for = "1m"
            expr = "x"
            summary = "s"
            description = "d."
        "#;
        let source = Source::parse(source).unwrap();
        let refused = |text: &str| format!("{:#}", Cases::parse(text, &source).unwrap_err());
        assert!(refused("case = []").contains("no case for alert `A`"));
        let case = "[[case]]\nalert = \"A\"\nat = \"2m\"\nfires = [\"x 1x9\"]\n\
                    quiet = []\ngone = \"resolved after 1m\"\n";
        assert!(refused(case).contains("on which it does not fire"));
        assert!(refused(&case.replace("[]", "[[\"x 0x9\"]]")).contains("not_yet"));
        assert!(refused(&case.replace("\"A\"", "\"B\"")).contains("no alert `B`"));
        assert!(refused(&case.replace("at =", "interval = \"0s\"\nat =")).contains("interval"));
        for odd in ["heatsink_gpu_up x5", "heatsink_gpu_up \u{2212}1x5", "heatsink_gpu_up"] {
            assert!(Series::parse(odd).is_err(), "{odd}");
        }
    }
}
