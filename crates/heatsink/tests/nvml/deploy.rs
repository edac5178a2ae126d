//! Each DaemonSet that the chart renders starts heatsink, with the real binary and the fake driver
//! library. Also the plugin for node-problem-detector.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::rig::{BINARY, PATIENCE, Rig, up};
use testkit::exporter::{Exporter, repository_file};
use testkit::page::Page;
use yaml_serde::Value;

/// All objects that the chart renders from a values file, and the plain manifests.
fn rendered() -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    let default = fs::read_to_string(repository_file("deploy/helm/golden/default.yaml"));
    let default = default.expect("it is there");
    for folder in ["deploy/helm/golden", "deploy/kubernetes"] {
        let entries = fs::read_dir(repository_file(folder)).expect("the folder is there");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).expect("UTF-8");
            let is_diff = path.extension().is_some_and(|ending| ending == "diff");
            let text = if is_diff { patched(&default, &text) } else { text };
            let documents = text.split("---\n").filter(|document| document.contains("kind:"));
            let parsed = documents.map(|document| yaml_serde::from_str(document).expect("YAML"));
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            all.push((name, parsed.collect()));
        }
    }
    all
}

/// Applies a unified diff to `text`.
fn patched(text: &str, diff: &str) -> String {
    let mut rest = text.lines().enumerate().peekable();
    let mut lines = Vec::new();
    for line in diff.lines().skip(2) {
        if let Some(hunk) = line.strip_prefix("@@ -") {
            let [start, count] = hunk.split_once(' ').map_or(["", ""], |(old, _)| {
                old.split_once(',').map_or([old, "1"], |(start, count)| [start, count])
            });
            // A hunk without old lines is inserted after its start line.
            let start = start.parse::<usize>().expect("a line number") - usize::from(count != "0");
            lines.extend(std::iter::from_fn(|| Some(rest.next_if(|(at, _)| *at < start)?.1)));
            continue;
        }
        let (mark, line) = line.split_at(1);
        if mark != "+" {
            assert_eq!(
                rest.next().map(|(_, line)| line),
                Some(line),
                "the diff is of another text"
            );
        }
        if mark != "-" {
            lines.push(line);
        }
    }
    lines.extend(rest.map(|(_, line)| line));
    lines.join("\n") + "\n"
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A pod of a DaemonSet, started on a rig.
struct Pod {
    rig: Rig,
    args: Vec<String>,
    reads_engine: bool,
}

impl Pod {
    fn of(objects: &[Value]) -> Option<Self> {
        let daemon_set = of_kind(objects, "DaemonSet")?;
        let container = &daemon_set["spec"]["template"]["spec"]["containers"][0];
        let mut rig = Rig::new();
        for variable in list(&container["env"]) {
            let value = match &variable["value"] {
                Value::Null => "node-of-the-cluster",
                value => text(value),
            };
            rig = rig.with(text(&variable["name"]), value);
        }
        // The ConfigMap as a file, at the path where a pod mounts it.
        let counters = of_kind(objects, "ConfigMap")
            .and_then(|map| map["data"]["counters.csv"].as_str())
            .map(|counters| rig.file("counters.csv", counters));
        let args = list(&container["args"]).map(|arg| {
            let arg = text(arg);
            match (arg.strip_prefix("--collectors=/etc/heatsink/"), &counters) {
                (Some("counters.csv"), Some(path)) => format!("--collectors={path}"),
                _ => arg.to_owned(),
            }
        });
        let args: Vec<String> = args.collect();
        let reads_engine = args.iter().any(|arg| arg == "-r");
        Some(Self { rig, args, reads_engine })
    }

    fn start(&self) -> Exporter {
        let library = self.rig.library().display().to_string();
        let mut args = vec!["--nvml-library", &library];
        args.extend(self.args.iter().map(String::as_str));
        Exporter::start(BINARY, &args, &self.rig.environment())
    }
}

#[test]
fn every_daemon_set_of_the_chart_starts_and_serves() {
    let mut started = 0;
    for (name, objects) in rendered() {
        let Some(pod) = Pod::of(&objects) else { continue };
        let exporter = pod.start();
        let daemon_set = of_kind(&objects, "DaemonSet").expect("seen above");
        let container = &daemon_set["spec"]["template"]["spec"]["containers"][0];
        for probe in ["livenessProbe", "readinessProbe"] {
            let path = text(&container[probe]["httpGet"]["path"]);
            assert_eq!(exporter.get(path).status, 200, "{name}: {probe}");
        }
        if !pod.reads_engine {
            let page = exporter.wait_for(&name, PATIENCE, |page| up(page) == 8).0;
            let row = page.samples("DCGM_FI_DEV_GPU_TEMP")[0].clone();
            let host = ["hostname", "Hostname"].iter().find_map(|label| row.label(label));
            assert_eq!(host, Some("node-of-the-cluster"), "{name}");
        }
        // heatsink listens on the port of the probes and monitors.
        let port = container["ports"][0]["containerPort"].as_u64().expect("a port");
        let address = pod.args.iter().find_map(|arg| arg.strip_prefix("--address="));
        assert!(address.is_some_and(|at| at.ends_with(&format!(":{port}"))), "{name}: {address:?}");
        started += 1;
    }
    assert!(started >= 11, "only {started} DaemonSets");
}

#[test]
fn a_values_file_of_dcgm_exporter_gives_the_same_metrics() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "dcgm-exporter").expect("it is there");
    let exporter = Pod::of(objects).expect("a DaemonSet").start();
    // Its two metrics and the extra rows, but no others of the default set.
    let has = |page: &Page, name: &str| !page.samples(name).is_empty();
    let (page, _) = exporter.wait_for("all GPUs answer, with both metrics", PATIENCE, |page| {
        let has_both = has(page, "DCGM_FI_DEV_GPU_TEMP") && has(page, "DCGM_FI_DEV_XID_ERRORS");
        up(page) == 8 && has_both
    });
    assert!(!has(&page, "DCGM_FI_DEV_MEM_CLOCK"));
    assert_eq!(page.samples("heatsink_config_rows_skipped")[0].value, 0.0);
}

/// The default needs no privileges, host namespaces or API access.
#[test]
fn the_default_needs_no_privilege() {
    let all = rendered();
    for object in ["default", "heatsink"] {
        let (_, objects) = all.iter().find(|(name, _)| name == object).expect("it is there");
        let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        for host in ["hostPID", "hostNetwork", "volumes"] {
            assert!(pod[host].is_null(), "{object}: {host}");
        }
        let context = &pod["containers"][0]["securityContext"];
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        assert!(context["capabilities"]["add"].is_null() && context["privileged"].is_null());
        assert_eq!(context["readOnlyRootFilesystem"], true);
        let resources = &pod["containers"][0]["resources"];
        assert_eq!(resources["requests"]["memory"], "32Mi");
        assert_eq!(resources["limits"]["memory"], "64Mi");
        assert!(of_kind(objects, "ClusterRole").is_none(), "{object}");
    }
}

/// The kubelet's socket needs root and one host path, but no capability.
#[test]
fn the_kubelet_needs_root_but_no_capability() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "kubelet").expect("it is there");
    let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"], 0);
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert!(context["capabilities"]["add"].is_null() && context["privileged"].is_null());
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(host_paths(pod), ["/data/kubelet/pod-resources"]);
    assert_eq!(rules(objects), ["pods: get, list, watch"]);
}

/// All that finds holders needs no capability either, and only reads.
#[test]
fn holders_are_found_without_a_capability_or_a_right_to_write() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "holders").expect("it is there");
    let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert!(context["capabilities"]["add"].is_null() && context["privileged"].is_null());
    assert_eq!(host_paths(pod).len(), 5);
    for mount in list(&pod["containers"][0]["volumeMounts"]) {
        assert_eq!(mount["readOnly"], true, "{mount:?}");
    }
    assert_eq!(rules(objects), ["pods: get, list, watch", "resourceslices: list, watch"]);
}

/// The node's files take the place of the API server.
#[test]
fn pod_uids_from_the_nodes_files_need_no_rights_in_the_api() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "node-files").expect("it is there");
    assert!(of_kind(objects, "ClusterRole").is_none());
    let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
}

fn host_paths(pod: &Value) -> Vec<&str> {
    list(&pod["volumes"]).filter_map(|volume| volume["hostPath"]["path"].as_str()).collect()
}

/// What the ClusterRole allows: `pods: get, list`.
fn rules(objects: &[Value]) -> Vec<String> {
    let all = |value: &Value| list(value).map(text).collect::<Vec<_>>().join(", ");
    let role = of_kind(objects, "ClusterRole").expect("a ClusterRole");
    let rule = |rule: &Value| format!("{}: {}", all(&rule["resources"]), all(&rule["verbs"]));
    list(&role["rules"]).map(rule).collect()
}

/// The table of the chart's README says what happens to each key of dcgm-exporter's chart.
#[test]
fn the_table_of_values_has_every_key_of_dcgm_exporters_chart() {
    let read = |path| fs::read_to_string(repository_file(path)).expect("it is there");
    let readme = read("deploy/helm/heatsink/README.md");
    let (_, table) = readme.split_once("## In place of dcgm-exporter").expect("the section");
    let (table, _) = table.split_once("## Keys of its own").expect("the next section");
    let rows: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix('|')?.split(" | ").next()).collect();
    let values = read("deploy/helm/heatsink/ci/dcgm-exporter-all-values.yaml");
    let values: Value = yaml_serde::from_str(&values).expect("YAML");
    let says = |row: &str, first: &str, second: Option<&str>| match second {
        None => row.contains(&format!("`{first}`")) || row.contains(&format!("`{first}.")),
        Some(second) => {
            let begins = row.contains(&format!("`{first}.")) || row.contains(&format!("`{first}`"));
            let short = format!("`.{second}");
            let whole = format!("`{first}.{second}");
            let all = [format!("`{first}.*`"), format!("`{first}`")];
            row.contains(&whole)
                || begins && (row.contains(&short) || all.iter().any(|all| row.contains(all)))
        }
    };
    let mut missing = Vec::new();
    for (key, value) in values.as_mapping().expect("values") {
        let first = text(key);
        let inner = value.as_mapping().map(|map| map.keys().map(text).collect::<Vec<_>>());
        let inner = inner.filter(|_| !["resources", "affinity", "nodeSelector"].contains(&first));
        for second in inner
            .filter(|keys| !keys.is_empty())
            .map_or_else(|| vec![None], |keys| keys.into_iter().map(Some).collect())
        {
            if !rows.iter().any(|row| says(row, first, second)) {
                missing.push(format!("{first}.{}", second.unwrap_or("")));
            }
        }
    }
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

/// node-problem-detector takes 1 as a problem and 2 as unknown, where heatsink has degraded and broken.
#[test]
fn the_plugin_of_node_problem_detector_translates_the_exit_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "echo \"2 of 8 GPUs do not answer\";";
    for (program, level, status) in [
        (format!("{line} exit 0"), "degraded", 0),
        (format!("{line} exit 1"), "degraded", 1),
        (format!("{line} exit 1"), "", 1),
        (format!("{line} exit 1"), "broken", 0),
        (format!("{line} exit 2"), "degraded", 1),
        (format!("{line} exit 2"), "broken", 1),
        // A heatsink that does not know the flag, and one that was killed.
        ("echo \"no such flag\" >&2; exit 2".to_owned(), "degraded", 2),
        (format!("{line} kill -9 $$"), "degraded", 2),
    ] {
        // In place of `heatsink check --health`, `sh check --health` runs this file.
        let script = format!("[ \"$*\" = --health ] || exit 9\n{program}\n");
        fs::write(folder.path().join("check"), script).expect("written");
        let plugin = repository_file("deploy/node-problem-detector/gpu-health.sh");
        let mut command = Command::new(plugin.canonicalize().expect("it is there"));
        let output = command.arg(level).env("HEATSINK", "/bin/sh").current_dir(&folder).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{program}, {level}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout.lines().count(), 1, "{stdout}");
        if status != 2 {
            assert_eq!(stdout, "2 of 8 GPUs do not answer\n");
        }
    }
}

/// What node-problem-detector checks when it starts.
#[test]
fn the_configuration_of_node_problem_detector_is_consistent() {
    let folder = repository_file("deploy/node-problem-detector");
    let config = fs::read_to_string(folder.join("gpu-health.json")).expect("it is there");
    let config: Value = yaml_serde::from_str(&config).expect("JSON");
    assert_eq!(config["plugin"], "custom");
    let seconds = |value: &Value| {
        let text = text(value).strip_suffix('s').expect("seconds");
        text.parse::<u64>().expect("a number")
    };
    let timeout = seconds(&config["pluginConfig"]["timeout"]);
    assert!(timeout < seconds(&config["pluginConfig"]["invoke_interval"]));
    let conditions: Vec<&str> =
        list(&config["conditions"]).map(|condition| text(&condition["type"])).collect();
    let rules: Vec<&Value> = list(&config["rules"]).collect();
    assert_eq!((conditions.len(), rules.len()), (1, 1));
    for rule in rules {
        assert_eq!(rule["type"], "permanent");
        assert!(conditions.contains(&text(&rule["condition"])));
        assert!(seconds(&rule["timeout"]) <= timeout);
        let plugin = text(&rule["path"]).rsplit('/').next().expect("a name");
        assert!(folder.join(plugin).is_file(), "{plugin}");
    }
}
