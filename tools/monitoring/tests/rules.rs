//! Tests every alert with `promtool` under both generations of names: it fires, it does not fire just
//! below its threshold, and it has the expected state after its series end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use monitoring::cases::{Cases, Tests};
use monitoring::expand::Names;
use monitoring::files;
use monitoring::rules::RuleFile;
use monitoring::source::Source;
use testkit::exporter::repository_file;

fn root() -> PathBuf {
    repository_file("")
}

fn cases(source: &Source) -> Cases {
    let path = root().join("monitoring/rules/cases.toml");
    let text = fs::read_to_string(path).expect("the cases are there");
    Cases::parse(&text, source).unwrap_or_else(|error| panic!("{error:#}"))
}

fn source() -> Source {
    files::source(&root()).unwrap_or_else(|error| panic!("{error:#}"))
}

fn promtool(folder: &Path, args: &[String]) -> (bool, String) {
    let output = Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("promtool, from Debian's package prometheus; `cargo xtask test` installs it");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}

/// Runs promtool on `tests`, each with the rules of its alert.
fn test(source: &Source, names: Names, tests: &[Tests]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    };
    let rules = |source: &Source| {
        let rules = RuleFile::new(source, names, 1.0).and_then(|rules| rules.to_yaml(""));
        rules.unwrap_or_else(|error| panic!("{error:#}"))
    };
    write("all.yml", &rules(source));
    let checked = promtool(folder.path(), &["check", "rules", "all.yml"].map(str::to_owned));
    assert!(checked.0, "{}", checked.1);
    let mut args = vec!["test".to_owned(), "rules".to_owned()];
    for (number, file) in tests.iter().enumerate() {
        write(&file.rule_file, &rules(&source.only(&file.alert)));
        let name = format!("{number}.test.yml");
        write(&name, &file.text);
        args.push(name);
    }
    promtool(folder.path(), &args)
}

fn all_tests_pass(names: Names) {
    let source = source();
    let tests = cases(&source).tests(names, &source);
    let tests = tests.unwrap_or_else(|error| panic!("{error:#}"));
    let (passed, printed) = test(&source, names, &tests);
    assert!(passed, "{printed}");
}

#[test]
fn all_cases_pass_with_the_names_of_4_8() {
    all_tests_pass(Names::V4_8);
}

#[test]
fn all_cases_pass_with_the_names_of_4_9() {
    all_tests_pass(Names::V4_9);
}

/// A GPU with two instances (one fifth and four fifths of its memory), a GPU that two pods share, one of
/// them with three of four replicas, one with a job, and a free one: each GPU counts once, and each holder
/// gets a share. It makes no difference whether the series of a GPU have the labels of its pod.
#[test]
fn each_gpu_counts_once_and_each_holder_has_its_share() {
    shares_are_right(|_| "");
    shares_are_right(|gpu| match gpu {
        r#"gpu="0",UUID="GPU-0",GPU_I_ID="1""# => r#",namespace="n",pod="a",container="c",app="x""#,
        r#"gpu="2",UUID="GPU-2""# => r#",hpc_job="7""#,
        _ => "",
    });
}

/// Checks the recorded shares. `labels` are those that the series of a device have besides its own.
fn shares_are_right(labels: fn(&str) -> &'static str) {
    let devices = [
        (r#"gpu="0",UUID="GPU-0",GPU_I_ID="1""#, 1_000, 3_000, 300, 0.5),
        (r#"gpu="0",UUID="GPU-0",GPU_I_ID="2""#, 4_000, 12_000, 300, 1.0),
        (r#"gpu="1",UUID="GPU-1""#, 8_000, 2_000, 500, 0.8),
        (r#"gpu="2",UUID="GPU-2""#, 1_000, 9_000, 200, 0.0),
        (r#"gpu="3",UUID="GPU-3""#, 0, 10_000, 100, 0.0),
    ];
    let holders = [
        r#"gpu="0",UUID="GPU-0",GPU_I_ID="1",kind="pod",namespace="n",pod="a",container="c""#,
        r#"gpu="0",UUID="GPU-0",GPU_I_ID="2",kind="pod",namespace="n",pod="b",container="c""#,
        r#"gpu="1",UUID="GPU-1",kind="pod",namespace="n",pod="c",container="c",share="0""#,
        r#"gpu="1",UUID="GPU-1",kind="pod",namespace="n",pod="c",container="c",share="1""#,
        r#"gpu="1",UUID="GPU-1",kind="pod",namespace="n",pod="c",container="c",share="2""#,
        r#"gpu="1",UUID="GPU-1",kind="pod",namespace="n",pod="a",container="c",share="3""#,
        r#"gpu="2",UUID="GPU-2",kind="job",job_id="7""#,
    ];
    let mut tests = "rule_files: [all.yml]\nevaluation_interval: 1m\n\
                     tests:\n- interval: 1m\n  input_series:\n"
        .to_owned();
    let mut series = |name: &str, labels: &str, value: f64| {
        tests += &format!(
            "  - series: '{name}{{instance=\"node-1\",job=\"heatsink\",{labels}}}'\n    \
             values: '{value}x5'\n"
        );
    };
    for (device, used, free, power, active) in devices {
        let labels = format!("{device}{}", labels(device));
        series("DCGM_FI_DEV_FB_USED", &labels, f64::from(used));
        series("DCGM_FI_DEV_FB_FREE", &labels, f64::from(free));
        series("DCGM_FI_DEV_POWER_USAGE", &labels, f64::from(power));
        series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", &labels, active);
    }
    for holder in holders {
        series("heatsink_gpu_holder_info", holder, 1.0);
    }
    tests += "  promql_expr_test:\n";
    let node = r#"instance="node-1",job="heatsink""#;
    let mut expect = |record: &str, samples: &[(String, f64)]| {
        tests +=
            &format!("  - expr: 'round({record}, 1e-6)'\n    eval_time: 3m\n    exp_samples:\n");
        for (labels, value) in samples {
            tests += &format!("    - labels: '{{{labels}}}'\n      value: {value}\n");
        }
    };
    let mib = 1_048_576.0;
    // The pods a, b and c, the job, and the GPU without a holder.
    let owners = |values: [f64; 5]| -> Vec<(String, f64)> {
        let pods = ["a", "b", "c"].map(|pod| format!("namespace=\"n\",pod=\"{pod}\""));
        let others = [r#"job_id="7""#.to_owned(), String::new()];
        pods.into_iter().chain(others).zip(values).collect()
    };
    expect("owner:heatsink_gpus:sum", &owners([0.45, 0.8, 0.75, 1.0, 1.0]));
    expect("owner:heatsink_power_watts:sum", &owners([185.0, 240.0, 375.0, 200.0, 100.0]));
    expect("owner:heatsink_idle_gpus:sum", &owners([0.15, 0.0, 0.15, 1.0, 1.0]));
    expect("owner:heatsink_activity_ratio:avg", &owners([0.666_667, 1.0, 0.8, 0.0, 0.0]));
    let used = [3_000.0, 4_000.0, 6_000.0, 1_000.0, 0.0].map(|used| used * mib);
    expect("owner:heatsink_memory_used_bytes:sum", &owners(used));
    expect("instance:heatsink_power_watts:sum", &[(node.to_owned(), 1_100.0)]);
    expect("instance:heatsink_memory_used_bytes:sum", &[(node.to_owned(), 14_000.0 * mib)]);
    expect("instance:heatsink_memory_usable_bytes:sum", &[(node.to_owned(), 50_000.0 * mib)]);
    let file = Tests {
        alert: "HeatsinkDown".to_owned(),
        rule_file: "HeatsinkDown.rules.yml".to_owned(),
        text: tests,
    };
    let (passed, printed) = test(&source(), Names::V4_8, &[file]);
    assert!(passed, "{printed}");
}

/// Checks that a wrong rule fails the test.
#[test]
fn a_wrong_alert_fails() {
    let text = fs::read_to_string(root().join(files::SOURCE)).unwrap();
    let wrong = text.replace("> [[temperature_high]]", ">= [[temperature_high]]");
    assert_ne!(text, wrong);
    let source = Source::parse(&wrong).unwrap();
    let mut tests = cases(&source).tests(Names::V4_8, &source).unwrap();
    tests.retain(|file| file.alert == "GpuTemperatureHigh");
    let (passed, printed) = test(&source, Names::V4_8, &tests);
    assert!(!passed && printed.contains("GpuTemperatureHigh"), "{printed}");
}

/// The texts of each alert, rendered by Prometheus itself, for review.
#[test]
fn texts_of_all_alerts_match_the_golden() {
    let source = source();
    let tests = cases(&source).texts(Names::V4_8, &source).unwrap();
    let (_, printed) = test(&source, Names::V4_8, &tests);
    let mut texts = std::collections::BTreeMap::new();
    for (labels, annotations) in firing(&printed) {
        let alert = value(labels, "alertname").expect("a name");
        let [severity, summary, description] = [
            value(labels, "severity"),
            value(annotations, "summary"),
            value(annotations, "description"),
        ]
        .map(|text| text.expect("every alert has it"));
        let text = format!("{alert} ({severity})\n  {summary}\n  {description}\n");
        assert!(!text.contains("error expanding") && !text.contains("no value"), "{text}");
        texts.entry(alert).or_insert(text);
    }
    let named = source.alerts().filter_map(|alert| texts.get(alert.name.as_str()).cloned());
    let all: Vec<String> = named.collect();
    assert_eq!(all.len(), source.alerts().count(), "each alert fires somewhere");
    testkit::golden::check_golden("alerts.txt", &all.join("\n"));
    for holders in ["(job 4711)", "(pod ml/a, pod ml/b)", "(pod ml/c, pod web/d)", "(pod ml/e)"] {
        assert!(printed.contains(&format!("is allocated and idle {holders}")), "{holders}");
    }
}

/// Labels and annotations of every alert that promtool found firing.
fn firing(printed: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = printed.lines().map(str::trim);
    let labels = lines.clone().filter(|line| line.starts_with("Labels:"));
    labels.zip(lines.filter(|line| line.starts_with("Annotations:")))
}

/// The value of the label `name`, as promtool writes it.
fn value(set: &str, name: &str) -> Option<String> {
    let quoted = set.split_once(&format!("{name}=\""))?.1;
    let mut end = quoted.match_indices('"').map(|(at, _)| at);
    let end = end.find(|&at| !quoted[..at].ends_with('\\'))?;
    Some(quoted[..end].replace("\\\"", "\""))
}
