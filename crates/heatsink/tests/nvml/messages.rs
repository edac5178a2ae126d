//! The whole message and the exit status for each kind of invalid input, in `test/fixtures/messages.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml messages` writes that file. Review the difference in
//! git.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::rig::{BINARY, PATIENCE};
use tempfile::TempDir;
use testkit::exporter::{Exporter, command};
use testkit::golden::check_golden;
use testkit::pauses::in_time;

/// Rejected command lines: variables, then arguments. `TAKEN` is a port in use.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "What to serve",
        &[
            "-f /nowhere/counters.csv",
            "DCGM_EXPORTER_COLLECTORS=/nowhere/counters.csv",
            "-f defualt",
            "-f folder",
            "-f large.csv",
            "-f empty.csv",
            "-f comments.csv",
            "-f no-good-row.csv",
            "-f labels.csv",
            "--extra-collectors monitorin",
            "--extra-collectors empty.csv",
            "HEATSINK_EXTRA_COLLECTORS=no-good-row.csv",
            "--metric-names 4.7",
            "HEATSINK_METRIC_NAMES=new",
            "demo --metric-names 4.7",
            "-d x",
            "-d g:1-",
            "-d g:5-2",
            "-d f:0",
            "-d g:99999",
            "DCGM_EXPORTER_DEVICES_STR=f+g",
            "check -d GPU-0",
            "-s g:a",
            "-p x",
            "--compute-instances=maybe",
        ],
    ),
    (
        "The configuration",
        &[
            "--config-file missing.yaml",
            "DCGM_EXPORTER_CONFIG_FILE=folder",
            "--config-file large.csv",
            "--config-file unknown-key.yaml",
            "--config-file wrong-value.yaml",
            "--config-file no-yaml.yaml",
            "--config-file two-groups.yaml",
            "--config-file no-counters.yaml",
            "--config-file twice.yaml",
            "config --config-file no-simulation.yaml",
            "config --config-file wrong-value.yaml",
            "config --window 2",
            "-m counters",
            "DCGM_EXPORTER_CONFIGMAP_DATA=gpu:A",
            "--watch-files=maybe",
            "HEATSINK_WATCH_FILES=maybe",
        ],
    ),
    (
        "Where to listen",
        &[
            "-a 9401",
            "DCGM_EXPORTER_LISTEN=9401",
            "-a :",
            "-a :99999",
            "-a 127.0.0.1",
            "-a ::1:9400",
            "-a http://localhost:9400/metrics",
            "-a 192.0.2.1:9400",
            "-a 127.0.0.1:TAKEN",
            "-a 127.0.0.1:0,127.0.0.1:TAKEN",
            "-a ,",
            "-a unix://heatsink.sock",
            "-a unix:///nowhere/heatsink.sock",
            "-a unix:///etc/hostname",
            "demo -a 127.0.0.1:TAKEN",
            "demo -a 9401",
            "demo -a unix:///nowhere/heatsink.sock",
            "--web-systemd-socket",
            "DCGM_EXPORTER_SYSTEMD_SOCKET=maybe",
            "--max-connections 0",
            "HEATSINK_MAX_CONNECTIONS=many",
            "--web-enable-reload=maybe",
            "HEATSINK_WEB_ENABLE_RELOAD=maybe",
        ],
    ),
    (
        "How it is served",
        &[
            "-c 0",
            "-c 1s",
            "DCGM_EXPORTER_INTERVAL=soon",
            "--window 5",
            "--window 2h",
            "-x 0",
            "--clock-events-count-window-size 5m",
            "--forget-missing soon",
            "--expected-gpus eight",
            "--fail-health-after-driver-upgrade=maybe",
            "--health-require-gpus=maybe",
            "DCGM_EXPORTER_HEALTH_REQUIRE_GPUS=maybe",
            "DCGM_EXPORTER_NO_HOSTNAME=maybe",
            "-n true",
            "-o=maybe",
            "--rbmn=maybe",
            "--log-format logfmt",
            "DCGM_EXPORTER_DEBUG=maybe",
            "--web-config-file web.yml",
            "DCGM_EXPORTER_WEB_CONFIG_FILE=web.yml",
            "--web-config-file web-keys.yml",
            "--web-config-file web-tls.yml",
            "check --web-config web.yml",
            "check --web-config web-users.yml",
            "--kernel-log kmesg",
        ],
    ),
    (
        "Where readings come from",
        &[
            "--source magic",
            "HEATSINK_SOURCE=dgcm",
            "check --source magic",
            "--nvml-library text.txt",
            "--nvml-library folder",
            "HEATSINK_NVML_LIBRARY=text.txt",
            "--source dcgm --dcgm-library text.txt",
            "--path.rootfs /nowhere",
            "-r http://foo",
            "-r 5555",
            "-r localhost:port",
            "-r unix://relative",
            "DCGM_REMOTE_HOSTENGINE_INFO=::1:5555",
            "--source dcgm --fake-gpus=maybe",
            "--source dcgm --enable-dcgm-log=maybe",
            "--source dcgm --dcgm-log-level loud",
        ],
    ),
    (
        "Who uses the GPUs",
        &[
            "-k=maybe",
            "DCGM_EXPORTER_KUBERNETES=maybe",
            "--kubernetes-gpu-id-type name",
            "DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE=name",
            "-k --kubernetes-virtual-gpus=maybe",
            "KUBERNETES_VIRTUAL_GPUS=maybe",
            "-k --kubernetes-enable-pod-labels=maybe",
            "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS=maybe",
            "-k --kubernetes-enable-pod-labels --kubernetes-pod-label-allowlist-regex (,[",
            "DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX=[ -k --kubernetes-enable-pod-labels",
            "--kubernetes-pod-label-limit 0",
            "HEATSINK_KUBERNETES_POD_LABEL_LIMIT=all",
            "-k --kubernetes-enable-pod-uid=maybe",
            "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID=maybe",
            "-k --kubernetes-node-files=maybe",
            "HEATSINK_KUBERNETES_NODE_FILES=maybe",
            "-k --kubernetes-enable-dra=maybe",
            "KUBERNETES_ENABLE_DRA=maybe",
            "--attribution none",
            "HEATSINK_ATTRIBUTION=none",
            "--attribution-interval 5",
            "HEATSINK_ATTRIBUTION_INTERVAL=2m",
            "--attribution-max-age 0",
            "HEATSINK_ATTRIBUTION_MAX_AGE=soon",
        ],
    ),
    (
        "Simulation",
        &[
            "--sim-gpus 4",
            "--sim-scenario steady",
            "--sim-seed 7",
            "--sim-at 60",
            "--speed 10",
            "check --sim-gpus 4",
            "--source sim --sim-gpus 4",
            "--source sim --sim-scenario steady --sim-gpus 0",
            "--source sim --sim-scenario busy",
            "--source sim --sim-seed x",
            "--source sim --sim-at 60 --speed 10",
            "--source sim --speed 0",
            "demo --speed 1001",
            "demo --nodes 0",
        ],
    ),
    (
        "The history",
        &[
            "--history=maybe",
            "HEATSINK_HISTORY=maybe",
            "--history-size 7MiB",
            "HEATSINK_HISTORY_SIZE=320Mi",
            "--history-keep 59m",
            "HEATSINK_HISTORY_KEEP=soon",
            "--incident-webhook not-shown",
            "HEATSINK_INCIDENT_WEBHOOK=ftp://host/not-shown",
            "config --incident-webhook http://user:not-shown@:80/",
            "--history-speed 0",
            "--kubernetes-pod-events=maybe",
            "report x",
            "report 17 --last",
            "report 17 --at 03:12",
            "report 17 --gpu 3",
            "report --last --job 4711",
            "report --at noon",
            "report --at 03:12 --from 03:00",
            "report --at -2y",
            "report --gpu all",
            "report --from noon",
            "report --from 03:00 --to 25:00",
            "report --from -1h --to -2h",
            "report --to 03:00",
            "report --json=maybe",
            "report --history-dir none",
            "incidents --history-dir none",
            "incidents --json=maybe",
            "history",
            "history import",
            "history export --format json",
            "history export --metric-names 4.7",
        ],
    ),
    ("Command line", &["--no-hostnme", "srve", "-f all serve", "-a", "fields --markdown --json"]),
];

/// Accepted command lines, with their number of warnings.
const WARNED: &[(usize, &str)] = &[
    (1, ""),
    (1, "--nvml-library missing.so"),
    (1, "--nvml-library empty.csv"),
    (1, "--nvml-library libother.so"),
    (1, "--source dcgm --dcgm-library missing.so -f minimal"),
    (1, "--source dcgm --dcgm-library libother.so -f minimal"),
    (1, "--source sim --nvml-library libother.so"),
    (1, "--source sim --dcgm-library libother.so"),
    (1, "--source sim -r localhost:5555"),
    (1, "--source sim -d g:0,99"),
    (1, "--source sim -k --pod-resources-kubelet-socket missing.sock"),
    (1, "--source sim -k --pod-resources-kubelet-socket text.txt"),
    (
        2,
        "DCGM_EXPORTER_KUBERNETES=true HEATSINK_SOURCE=sim DCGM_POD_RESOURCES_KUBELET_SOCKET=none.sock --kubernetes-enable-pod-labels",
    ),
    (
        2,
        "NODE_NAME=n1 --source sim -k --pod-resources-kubelet-socket missing.sock --kubernetes-enable-dra",
    ),
    (1, "--source sim --kubernetes-enable-pod-labels"),
    (1, "--source sim --hpc-job-mapping-dir missing"),
    (2, "--source sim --history=false --history-dir missing --on-incident true"),
    (1, "--source sim --dump-enabled"),
    (3, "--source sim --dump-directory dumps --dump-retention 48 --dump-compression=false"),
    (0, "--source sim --dump-directory /tmp/dcgm-exporter-debug --dump-enabled=false"),
    (0, "--source sim --disable-startup-validate --enable-gpu-bind-unbind-watch"),
    (1, "--source sim --gpu-bind-unbind-poll-interval 5s"),
    (2, "--source sim --enable-pprof --enable-exporter-metrics"),
    (3, "--source sim --web-read-timeout 5s --web-write-timeout 1m --max-concurrent-scrapes 4"),
    (2, "--source sim --watch-max-keep-age 1h --watch-max-keep-samples 100"),
    (
        2,
        "DCGM_EXPORTER_CONTAINER_LABELS=true DCGM_CONTAINER_RUNTIME_SOCKET=/run/podman.sock --source sim",
    ),
    (1, "--source sim -f one-bad-row.csv"),
];

/// A working folder with invalid files.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("the folder can be written");
    };
    let row = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature.\n";
    write("empty.csv", "");
    write("comments.csv", "# NAME, type, help\n\n,,\n");
    write("no-good-row.csv", "# Mine.\nDCGM_FI_DEV_GPU_TMP, gauge, Temperature.\nx\n");
    write("labels.csv", "DCGM_FI_DRIVER_VERSION, label, Driver.\n");
    write("one-bad-row.csv", &format!("{row}DCGM_FI_DEV_POWER_USAGE, gauge\n"));
    write("web-keys.yml", "tls_config:\n  cert: cert.pem\n");
    write(
        "web-tls.yml",
        "tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n  min_version: TLS11\n",
    );
    write("web-users.yml", "basic_auth_users:\n  alice: secret\n");
    write("large.csv", &row.repeat(30_000));
    write("unknown-key.yaml", "collectors: all\nwidow: 60s\n");
    write("wrong-value.yaml", "# Mine.\n\nwindow: 2\n");
    write("no-yaml.yaml", "window: 60s: 2\n");
    let groups = "version: 1\ncollection:\n  watchGroups:\n  \
                  - {name: a, interval: 5s, fields: ['*_TEMP']}\n  \
                  - {name: b, interval: 9s, fields: [DCGM_FI_DEV_GPU_TEMP]}\n";
    write("two-groups.yaml", groups);
    write("no-counters.yaml", "collectors: /nowhere/counters.csv\n");
    write("twice.yaml", "version: 1\nmetrics: {file: all}\nmetrics: {file: default}\n");
    write("no-simulation.yaml", "source: nvml\nsim-gpus: 4\n");
    write("text.txt", "This is not a library.\n");
    std::fs::create_dir(folder.path().join("folder")).expect("the folder can be written");
    std::fs::copy(some_library(), folder.path().join("libother.so")).expect("a copy");
    folder
}

/// A library that is neither NVML nor DCGM: one that this process has loaded.
fn some_library() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    paths.find(|path| path.contains("/libgcc_s.so")).expect("Rust's programs use it").to_owned()
}

/// The variables and the arguments of a line.
fn split(line: &str) -> (Vec<(&str, &str)>, Vec<&str>) {
    let words = line.split_whitespace();
    let is_variable = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
    let variables = words.clone().take_while(is_variable).filter_map(|word| word.split_once('='));
    // Do not read the kernel log of this machine.
    let variables = [("HEATSINK_KERNEL_LOG", "none")].into_iter().chain(variables).collect();
    (variables, words.skip_while(is_variable).collect())
}

/// A line as it would be typed.
fn typed(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let arguments = words.iter().position(|word| !word.starts_with(|c: char| c.is_uppercase()));
    let (variables, arguments) = words.split_at(arguments.unwrap_or(words.len()));
    [variables, &["heatsink"], arguments].concat().join(" ")
}

#[test]
fn each_invalid_input_prints_its_message() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let mut text = String::new();
    for (heading, lines) in REFUSED {
        let _ = writeln!(text, "# {heading}\n");
        for line in *lines {
            let here = line.replace("TAKEN", &port.to_string());
            let Output { status, stdout, stderr } = refused(folder.path(), &here);
            assert!(stdout.is_empty(), "{line}");
            let printed = String::from_utf8(stderr).expect("UTF-8");
            let printed = printed
                .replace(&folder.path().display().to_string(), "$PWD")
                .replace(&(port + 1).to_string(), "TAKEN+1")
                .replace(&port.to_string(), "TAKEN");
            let status = status.code().expect("it ends by itself");
            let _ = writeln!(text, "$ {}\n{printed}exit status {status}\n", typed(line));
            assert_eq!(status, 2, "{text}");
        }
    }
    let _ = writeln!(text, "# Warnings; it serves all the same\n");
    for (count, line) in WARNED {
        let _ = writeln!(text, "$ {}\n{}", typed(line), warned(folder.path(), line, *count));
    }
    check_golden("messages.txt", &text);
    every_flag_is_in(&text);
}

fn refused(folder: &Path, line: &str) -> Output {
    let (variables, arguments) = split(line);
    let mut command = command(BINARY, &arguments, &variables);
    command.current_dir(folder).output().expect("the binary runs")
}

/// The warnings, and the address.
fn warned(folder: &Path, line: &str, count: usize) -> String {
    let (variables, arguments) = split(line);
    let is_warning = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
    // If the machine stands still, GPUs are late, which is another warning.
    let (log, _) = in_time(|| {
        let exporter = Exporter::start_in(folder, BINARY, &arguments, &variables);
        let all = |_: &_| exporter.log().lines().filter(is_warning).count() >= count;
        exporter.wait_for("the warnings", PATIENCE, all);
        exporter.terminate().2
    });
    let lines = log.lines().filter(is_warning);
    // Without the timestamp.
    let lines = lines.map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest.trim_start()));
    // Refreshers of holders log from their own threads, in any order.
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
    text.replace(&folder.display().to_string(), "$PWD")
}

/// Flags whose value cannot be invalid, or that only print information.
const RIGHT: &[&str] = &[
    "--help",
    "--version",
    "--nvidia-resource-names",
    "NVIDIA_RESOURCE_NAMES",
    "--dra-checkpoint",
    "HEATSINK_DRA_CHECKPOINT",
    "--kubernetes-service-account",
    "HEATSINK_KUBERNETES_SERVICE_ACCOUNT",
    "DCGM_HPC_JOB_MAPPING_DIR",
    "--history-dir",
    "HEATSINK_HISTORY_DIR",
];

/// Checks that every flag and variable of the help is in the text.
fn every_flag_is_in(text: &str) {
    let help = command(BINARY, &["--help"], &[]).output().expect("the binary runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let flags = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let flag = line.split(", ").find(|part| line.starts_with('-') && part.starts_with("--"))?;
        flag.split([' ', '[', '=']).next()
    });
    let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split('=').next());
    let named: Vec<&str> = flags.chain(variables).collect();
    assert!(named.len() > 50, "{named:?}");
    for name in named.iter().filter(|name| !RIGHT.contains(name)) {
        assert!(text.contains(name), "no message names {name}");
    }
}
