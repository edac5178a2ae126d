//! Runs all queries of all dashboards on a real Prometheus: each returns data.

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use monitoring::dashboards::{self, Dashboard};
use monitoring::expand::Names;
use monitoring::prometheus::{Choice, Prometheus, Variables, Window};
use rig::{Exporter, Watched, root, source, wait_for};
use serde_json::Value;

/// The text of a panel that is empty without the recording rules.
const NO_RULES: &str = "rules not loaded";

/// With this scale, scrape and evaluation intervals are a second.
const TIME_SCALE: f64 = 15.0;

/// After this time, a query with a step of a minute has a sample.
const SAMPLED: Duration = Duration::from_secs(64);

fn all() -> Vec<Dashboard> {
    dashboards::all(&source()).unwrap_or_else(|error| panic!("{error:#}"))
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs_f64()
}

/// `All` for all variables, but a node where only one can be selected.
fn variables(node: &str) -> Variables {
    let to = now();
    let all = ["cluster", "gpu", "namespace", "pod", "job"];
    let chosen =
        all.iter().fold(Variables::new(1.0), |chosen, name| chosen.with(name, Choice::All));
    let chosen = chosen.with("node", Choice::One(node.to_owned()));
    chosen.over(Window { from: to - 60.0, to, step: 2.0 })
}

/// Replaces the variables in an expression.
fn filled(chosen: &Variables, expr: &str) -> String {
    chosen.fill(expr).unwrap_or_else(|error| panic!("{expr}: {error:#}"))
}

/// The text of a panel without data, if it has one.
fn no_value(panel: &Value) -> Option<&str> {
    panel["fieldConfig"]["defaults"]["noValue"].as_str()
}

/// All queries of a dashboard with their panels, without a trailing `> 0`.
fn queries(dashboard: &Value) -> Vec<(String, String, bool)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let expr = target["expr"].as_str().expect("an expression");
            let expr = expr.strip_suffix(" > 0").unwrap_or(expr);
            (title.to_owned(), expr.to_owned(), target["instant"] == true)
        })
    });
    queries.collect()
}

/// Number of series per query.
fn answers(
    dashboard: &Dashboard,
    prometheus: &Prometheus,
    variables: &Variables,
) -> Vec<(String, String, usize)> {
    let window = variables.window.expect("a window");
    let answer = |(title, expr, instant): (String, String, bool)| {
        let filled = filled(variables, &expr);
        let found = match instant {
            true => prometheus.query(&filled, Some(window.to)),
            false => prometheus.range(&filled, window.from, window.to, window.step),
        };
        let found = found.unwrap_or_else(|error| panic!("{}: {title}: {error:#}", dashboard.name));
        let with_values =
            found.iter().filter(|series| series.points.iter().any(|(_, value)| value.is_finite()));
        (title, expr, with_values.count())
    };
    queries(&dashboard.json).into_iter().map(answer).collect()
}

fn demo_answers_everything(host: &str, names: Names, flag: &str) {
    let exporter = Exporter::start(host, &["demo", "--speed", "12", "--metric-names", flag]);
    let watched = Watched::start(&[&exporter], names, TIME_SCALE);
    let prometheus = watched.client();
    // By then, the demo has reported XIDs and lost a GPU, and there is a sample for each minute.
    std::thread::sleep(SAMPLED);
    for dashboard in all() {
        let chosen = variables(host);
        for (title, expr, answers) in answers(&dashboard, &prometheus, &chosen) {
            assert!(answers > 0, "{} / {title} is empty: {expr}", dashboard.name);
        }
        let window = chosen.window.expect("a window");
        for annotation in dashboard.json["annotations"]["list"].as_array().expect("a list") {
            let expr = annotation["target"]["expr"].as_str().expect("an expression");
            let expr = filled(&chosen, expr);
            let found = prometheus.range(&expr, window.from, window.to, window.step);
            assert!(!found.expect("an answer").is_empty(), "no {}", annotation["name"]);
        }
        for variable in dashboard.json["templating"]["list"].as_array().expect("a list") {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let inside = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')'));
            let (selector, label) = inside.expect("label_values").rsplit_once(", ").expect("two");
            let values = prometheus.label_values(label, &filled(&chosen, selector));
            let values = values.expect("an answer");
            // This Prometheus has no label `cluster`, and the demo no jobs; dashboards work without them.
            let is_optional = ["cluster", "job_id"].contains(&label);
            assert!(!values.is_empty() || is_optional, "{query}");
        }
    }
}

#[test]
fn every_query_has_data_with_the_names_of_4_8() {
    demo_answers_everything("127.0.0.41", Names::V4_8, "4.8");
}

#[test]
fn every_query_has_data_with_the_names_of_4_9() {
    demo_answers_everything("127.0.0.42", Names::V4_9, "4.9");
}

/// A workstation, old data centre GPUs and partitioned GPUs: panels may lack some of their lines. Only a
/// panel with a text for no value, such as a list of faults, may be empty.
#[test]
fn no_panel_is_empty_on_common_hardware() {
    let library = tempfile::tempdir().expect("a temporary folder");
    fake_nvml::install_in(library.path());
    let library = library.path().join("libnvidia-ml.so.1").display().to_string();
    let machines = ["geforce", "t4x2", "a100x2-mig", "h100x2", "gb200x2"];
    let start = |(index, machine): (usize, &&str)| {
        let fixture = root().join(format!("test/fixtures/machines/{machine}.toml"));
        let environment = [
            ("FAKE_NVML_FIXTURE", fixture.to_str().expect("a UTF-8 path")),
            ("HEATSINK_KERNEL_LOG", "none"),
        ];
        let args = ["--nvml-library", &library, "--extra-collectors", "monitoring"];
        Exporter::start_in(&format!("127.0.0.{}", 51 + index), &args, &environment)
    };
    let exporters: Vec<Exporter> = machines.iter().enumerate().map(start).collect();
    let watched = Watched::start(&exporters.iter().collect::<Vec<_>>(), Names::V4_8, TIME_SCALE);
    std::thread::sleep(SAMPLED);
    let mut empty = Vec::new();
    for (index, machine) in machines.iter().enumerate() {
        let chosen = variables(&format!("127.0.0.{}", 51 + index));
        for dashboard in all() {
            let may_be_empty = |title: &String| {
                let panels = dashboard.json["panels"].as_array().expect("panels");
                let panel = panels.iter().find(|panel| panel["title"] == title.as_str());
                panel.and_then(no_value).is_some_and(|text| text != NO_RULES)
            };
            let mut panels: BTreeMap<String, usize> = BTreeMap::new();
            for (title, _, answers) in answers(&dashboard, &watched.client(), &chosen) {
                *panels.entry(title).or_default() += answers;
            }
            let none =
                panels.into_iter().filter(|(title, answers)| *answers == 0 && !may_be_empty(title));
            empty.extend(none.map(|(title, _)| format!("{machine}: {} / {title}", dashboard.name)));
        }
    }
    assert_eq!(empty, Vec::<String>::new());
}

/// Without the recording rules, each dashboard that needs them has a panel that reports it.
#[test]
fn dashboards_report_missing_recording_rules() {
    let exporter = Exporter::start("127.0.0.43", &["demo"]);
    let watched = Watched::start(&[&exporter], Names::V4_8, TIME_SCALE);
    // Another Prometheus that scrapes the same exporter, without rules.
    let bare = tempfile::tempdir().expect("a temporary folder");
    let config = bare.path().join("prometheus.yml");
    fs::copy(watched.folder.path().join("prometheus.yml"), &config).expect("a copy");
    fs::write(bare.path().join("heatsink.rules.yml"), "groups: []\n").expect("a file");
    let server = testkit::server::prometheus(&config, bare.path());
    let prometheus = Prometheus::new(&server.url());
    wait_for("it has scraped", Duration::from_secs(30), || {
        prometheus.query("heatsink_gpu_up", None).is_ok_and(|found| !found.is_empty())
    });
    let chosen = variables("127.0.0.43");
    for dashboard in all() {
        let panels = dashboard.json["panels"].as_array().expect("panels");
        let without_rules = panels.iter().filter(|panel| no_value(panel) == Some(NO_RULES));
        let without_rules: Vec<&str> =
            without_rules.filter_map(|panel| panel["title"].as_str()).collect();
        for (title, expr, answers) in answers(&dashboard, &prometheus, &chosen) {
            let is_without = without_rules.contains(&title.as_str());
            assert!(!is_without || answers == 0, "{} / {title}: {expr}", dashboard.name);
        }
        let records =
            |expr: &String| expr.contains("instance:heatsink_") || expr.contains("owner:");
        let needs = queries(&dashboard.json).iter().any(|(_, expr, _)| records(expr));
        assert_eq!(needs, !without_rules.is_empty(), "{}", dashboard.name);
    }
}
