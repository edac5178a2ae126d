//! Runs all queries of all dashboards on a real Prometheus: each returns data.

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use monitoring::dashboards::{self, Dashboard};
use monitoring::expand::Names;
use monitoring::prometheus::{Choice, Prometheus, Variables, Window};
use rig::{Exporter, PATIENCE, Watched, root, source, wait_for};
use serde_json::Value;
use testkit::exporter::command;
use testkit::server::{Server, prometheus_of};

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

/// Waits until each has had data once. `empty` lists those without; a busy machine has some of them late.
fn each_has_data(empty: impl Fn() -> Vec<String>) {
    let until = Instant::now() + PATIENCE;
    let mut missing = empty();
    while !missing.is_empty() {
        assert!(Instant::now() < until, "empty: {missing:#?}");
        std::thread::sleep(Duration::from_secs(1));
        let empty = empty();
        missing.retain(|one| empty.contains(one));
    }
}

fn demo_answers_everything(host: &str, names: Names, flag: &str) {
    let exporter = Exporter::start(host, &["demo", "--speed", "12", "--metric-names", flag]);
    let watched = Watched::start(&[&exporter], names, TIME_SCALE);
    let prometheus = watched.client();
    // By then, the demo has reported XIDs and lost a GPU, and there is a sample for each minute.
    std::thread::sleep(SAMPLED);
    each_has_data(|| unanswered(&prometheus, host));
}

/// Queries, annotations and variables of all dashboards that have no data.
fn unanswered(prometheus: &Prometheus, host: &str) -> Vec<String> {
    let mut empty = Vec::new();
    for dashboard in all() {
        let chosen = variables(host);
        for (title, expr, answers) in answers(&dashboard, prometheus, &chosen) {
            if answers == 0 {
                empty.push(format!("{} / {title}: {expr}", dashboard.name));
            }
        }
        let window = chosen.window.expect("a window");
        for annotation in dashboard.json["annotations"]["list"].as_array().expect("a list") {
            let expr = annotation["target"]["expr"].as_str().expect("an expression");
            let expr = filled(&chosen, expr);
            let found = prometheus.range(&expr, window.from, window.to, window.step);
            if found.expect("an answer").is_empty() {
                empty.push(format!("{} / {}", dashboard.name, annotation["name"]));
            }
        }
        for variable in dashboard.json["templating"]["list"].as_array().expect("a list") {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let inside = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')'));
            let (selector, label) = inside.expect("label_values").rsplit_once(", ").expect("two");
            let values = prometheus.label_values(label, &filled(&chosen, selector));
            let values = values.expect("an answer");
            // This Prometheus has no label `cluster`, and the demo no jobs; dashboards work without them.
            let is_optional = ["cluster", "job_id"].contains(&label);
            if values.is_empty() && !is_optional {
                empty.push(format!("{} / {query}", dashboard.name));
            }
        }
    }
    empty
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
    each_has_data(|| empty_panels(&watched.client(), &machines));
}

/// Panels without data that should have some; the machines are nodes from 127.0.0.51 on.
fn empty_panels(prometheus: &Prometheus, machines: &[&str]) -> Vec<String> {
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
            for (title, _, answers) in answers(&dashboard, prometheus, &chosen) {
                *panels.entry(title).or_default() += answers;
            }
            let none =
                panels.into_iter().filter(|(title, answers)| *answers == 0 && !may_be_empty(title));
            empty.extend(none.map(|(title, _)| format!("{machine}: {} / {title}", dashboard.name)));
        }
    }
    empty
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
    wait_for("it has scraped", PATIENCE, || {
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

/// Records the demo, from its begin to its end.
fn recorded_demo(history: &Path) {
    let history = history.display().to_string();
    let args = ["demo", "--address", "127.0.0.1:0", "--speed", "60"];
    let args = [&args[..], &["--history-dir", &history]].concat();
    let mut child = command(&rig::binary(), &args, &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let is_over = |line: &String| line.contains("The story is over");
    assert!(output.by_ref().lines().map_while(Result::ok).any(|line| is_over(&line)));
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.is_ok_and(|status| status.success()));
    // It tells its last incident, and must not wait for a reader.
    output.read_to_string(&mut String::new()).expect("UTF-8");
    assert!(child.wait().expect("it ends").success());
}

/// Runs a command of promtool's.
fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).output().expect("promtool");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// As docs/history.md describes it: a Prometheus of its own for what was recorded.
fn scratch(folder: &Path) -> Server {
    let config = folder.join("scratch.yml");
    fs::write(&config, "").expect("a file can be written");
    let lookback = format!("--query.lookback-delta={}ms", 2.0 * RECORDED_INTERVAL * 1000.0);
    let arguments = ["--storage.tsdb.retention.time=10y", &lookback];
    prometheus_of(Path::new("prometheus"), &arguments, &config, folder)
}

/// From one row of that recording to the next, in simulated seconds.
const RECORDED_INTERVAL: f64 = 6.0;

/// Families of queries that have no data from a recording, as docs/history.md says.
const NOT_RECORDED: [&str; 4] = [
    "heatsink_power_max_watts",
    "heatsink_power_min_watts",
    "DCGM_FI_DEV_PCIE_TX_THROUGHPUT",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
];

#[test]
fn a_recording_answers_the_dashboard_of_a_node() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let history = folder.path().join("history");
    recorded_demo(&history);
    let history = history.display().to_string();
    let args = ["history", "export", "--history-dir", &history, "--label", "job=heatsink"];
    let args = [&args[..], &["--label", "instance=node-1"]].concat();
    let export = command(&rig::binary(), &args, &[]).output().expect("the binary runs");
    assert!(export.status.success(), "{}", String::from_utf8_lossy(&export.stderr));
    let text = String::from_utf8(export.stdout).expect("UTF-8");
    let ups = text.lines().filter(|line| line.starts_with("heatsink_gpu_up{"));
    let times = ups.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let (from, to) = times.fold((f64::MAX, 0.0_f64), |(from, to), at| (from.min(at), to.max(at)));
    let (file, data) = (folder.path().join("hour.txt"), folder.path().join("prometheus-data"));
    fs::write(&file, text).expect("a file can be written");
    let (file, data) = (file.display().to_string(), data.display().to_string());
    promtool(&["tsdb", "create-blocks-from", "openmetrics", &file, &data]);

    // Then the recording rules, which a Prometheus that has scraped it would have evaluated.
    let server = scratch(folder.path());
    let rules = root().join("monitoring/rules/heatsink.rules.yml").display().to_string();
    let (start, end) = (format!("--start={from:.0}"), format!("--end={to:.0}"));
    let (url, output) = (format!("--url={}", server.url()), format!("--output-dir={data}"));
    let interval = format!("--eval-interval={RECORDED_INTERVAL}s");
    let args = ["tsdb", "create-blocks-from", "rules", &start, &end, &url, &output, &interval];
    promtool(&[&args[..], &[&rules]].concat());
    drop(server);

    let server = scratch(folder.path());
    let prometheus = Prometheus::new(&server.url());
    let window = Window { from, to, step: RECORDED_INTERVAL };
    let chosen = Variables { scrape_interval: RECORDED_INTERVAL, ..variables("node-1") };
    let chosen = chosen.over(window);
    let node = all().into_iter().find(|dashboard| dashboard.name.contains("node"));
    let node = node.expect("the dashboard of a node");
    let mut empty: Vec<String> = Vec::new();
    for (title, expr, answers) in answers(&node, &prometheus, &chosen) {
        let is_recorded = !NOT_RECORDED.iter().any(|name| expr.contains(name));
        if is_recorded != (answers > 0) {
            empty.push(format!("{title}: {answers} of {expr}"));
        }
    }
    for annotation in node.json["annotations"]["list"].as_array().expect("a list") {
        let expr = filled(&chosen, annotation["target"]["expr"].as_str().expect("an expression"));
        let found = prometheus.range(&expr, window.from, window.to, window.step);
        if found.expect("an answer").is_empty() {
            empty.push(annotation["name"].to_string());
        }
    }
    assert_eq!(empty, [""; 0]);
}
