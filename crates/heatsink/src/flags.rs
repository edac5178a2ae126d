//! The flags of all commands, one row each: type of the setting, names, environment variable, how the
//! text is read, default, and help. `--help`, the manual, completions and messages follow from the rows.
//!
//! A row and the place where its setting is used are all that a flag needs. One that dcgm-exporter has
//! too is described in `docs/compatibility.md`, which a test writes from the rows.

mod accepted;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use dcgm::Address;
use exposition::Devices;
use model::catalog::Generation;
use sampler::LogLocation;

pub(crate) use self::accepted::ACCEPTED;
use crate::flag::Command::{
    Acceptance, Check, Config, Demo, Fields, History, Incidents, ProbeGpu, Report, Serve,
};
use crate::flag::{Flag, Form, Row, boolean, list, path, positional, repeated, switch, text};
use crate::fleet::MAX_NODES;
use crate::message::one_line;
use crate::parse::{
    self, ConfigMapName, ExportFormat, HistoryPlace, LogFormat, ScenarioName, SourceKind, number,
    optional,
};
use crate::webhook_url::WebhookUrl;
use crate::{address, devices};

const SIMULATION: &str = "Simulation (with --source sim)";

const HOLDERS: &str = "Who uses the GPUs";

const HISTORY_HEADING: &str = "History";

const WEB: &str = "Who may read";

const READINGS: &str = "Where readings come from";

const DAY_IN_MS: u64 = 24 * 60 * 60 * 1000;

/// A row, and how it reads a text.
#[derive(Clone, Copy)]
pub(crate) struct CheckedRow {
    pub(crate) row: &'static Row,
    /// The setting as a text, which is the same for all texts with one meaning.
    ///
    /// # Errors
    ///
    /// The mistake in the text.
    pub(crate) meaning: fn(Option<&OsStr>) -> Result<String>,
}

/// `NAME: Type = flag;` under the commands that have it, with its help as documentation: a static for
/// each row, and a list of all of them in the order of `--help`.
macro_rules! flags {
    ($list:ident; $($commands:tt {
        $($(#[doc = $help:literal])+ $name:ident: $type:ty = $flag:expr;)+
    })+) => {
        $($($(#[doc = $help])+
        pub(crate) static $name: Flag<$type> = $flag.of(&$commands, concat!($($help),+));)+)+

        static $list: &[CheckedRow] = &[$($(CheckedRow {
            row: &$name.row,
            meaning: |text| $name.setting(text).map(|setting| format!("{setting:?}")),
        }),+),+];
    };
}

flags! { GENERAL;
[Serve] {
    /// Fields to serve: a counters file with one `NAME, type, help[, interval]` per line, or one of
    /// the built-in sets `default`, `all`, `minimal`, `1.x` [default: default]
    COLLECTORS: Option<PathBuf> = path("collectors", parse::any_path)
        .short('f').variable("DCGM_EXPORTER_COLLECTORS").value("FILE").reloads();

    /// A second counters file: adds its rows, and replaces rows of the same name; the built-in
    /// `machine` adds NVSwitches and CPUs, which DCGM reads; `monitoring` adds what the shipped
    /// alert rules and dashboards use beyond `default`
    EXTRA_COLLECTORS: Option<PathBuf> = path("extra-collectors", parse::any_path)
        .variable("HEATSINK_EXTRA_COLLECTORS").value("FILE").reloads();

    /// Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8's
    /// and 4.9's side by side [default: 4.8; a counters file keeps the names in it]
    METRIC_NAMES: Option<Generation> = text("metric-names", |text| optional(text, parse::generation))
        .variable("HEATSINK_METRIC_NAMES").value("GENERATION").reloads();

    /// A YAML file with settings: the names of flags and their values. A flag or a variable
    /// overrides the file
    CONFIG_FILE: Option<PathBuf> = path("config-file", parse::any_path)
        .variable("DCGM_EXPORTER_CONFIG_FILE").value("FILE");

    /// A ConfigMap with the counters file in its key `metrics`, as `NAMESPACE:NAME`; `none`, no
    /// ConfigMap. It replaces --collectors, which is used while the ConfigMap cannot be read; needs
    /// the right to get it
    CONFIGMAP_DATA: Option<ConfigMapName> = text("configmap-data", parse::config_map)
        .short('m').variable("DCGM_EXPORTER_CONFIGMAP_DATA").value("CONFIGMAP").default("none").reloads();

    /// Read the counters files, --config-file and --web-config-file again when they change; SIGHUP
    /// does so at any time
    WATCH_FILES: bool = boolean("watch-files").variable("HEATSINK_WATCH_FILES").default("true");

    /// Milliseconds from one reading to the next
    COLLECT_INTERVAL: Duration =
        text("collect-interval", |text| parse::milliseconds(text, 10..=3_600_000))
        .short('c').variable("DCGM_EXPORTER_INTERVAL").value("MS").default("1000");

    /// Leave out the label `hostname`
    NO_HOSTNAME: bool = boolean("no-hostname").short('n').variable("DCGM_EXPORTER_NO_HOSTNAME").reloads();

    /// Devices to serve: `f`, the MIG instances of a GPU that has some, else the GPU; `g`, whole
    /// GPUs; `i`, instances; `g+i`, both; a selection as in `g:0,2-4` or `i:8`, where 8 is instance
    /// 1 of GPU 1 if each GPU can have seven
    DEVICES: Devices = text("devices", devices::parse)
        .short('d').variable("DCGM_EXPORTER_DEVICES_STR").value("DEVICES").default("f");

    /// NVSwitches to serve, and their NVLinks, with DCGM: `f`, all; `g`, switches; `i`, links;
    /// `g+i`, both; a selection as in `g:0,2-4`
    SWITCH_DEVICES: Devices = text("switch-devices", devices::parse)
        .short('s').variable("DCGM_EXPORTER_OTHER_DEVICES_STR").value("DEVICES").default("f");

    /// CPUs to serve, and their cores, with DCGM: `f`, all; `g`, CPUs; `i`, cores; `g+i`, both; a
    /// selection as in `i:0-15`
    CPU_DEVICES: Devices = text("cpu-devices", devices::parse)
        .short('p').variable("DCGM_EXPORTER_CPU_DEVICES_STR").value("DEVICES").default("f");

    /// Also serve MIG compute instances, with the label `GPU_CI_ID`
    COMPUTE_INSTANCES: bool = boolean("compute-instances").variable("HEATSINK_COMPUTE_INSTANCES");

    /// Write the label `UUID` as `uuid`, as before dcgm-exporter 2
    USE_OLD_NAMESPACE: bool = boolean("use-old-namespace")
        .short('o').variable("DCGM_EXPORTER_USE_OLD_NAMESPACE").reloads();

    /// Length of the window whose minimum, mean and maximum are served, so that no peak between two
    /// scrapes is lost: longer than the scrape interval, up to 1h; `0` for none
    WINDOW: Duration = text("window", parse::window)
        .variable("HEATSINK_WINDOW").value("DURATION").default("60s");

    /// Milliseconds over which DCGM_EXP_XID_ERRORS_COUNT counts
    XID_COUNT_WINDOW_SIZE: Duration =
        text("xid-count-window-size", |text| parse::milliseconds(text, 1..=DAY_IN_MS))
        .short('x').variable("DCGM_EXPORTER_XID_COUNT_WINDOW_SIZE").value("MS").default("300000");

    /// Milliseconds over which DCGM_EXP_CLOCK_EVENTS_COUNT counts
    CLOCK_EVENTS_COUNT_WINDOW_SIZE: Duration =
        text("clock-events-count-window-size", |text| parse::milliseconds(text, 1..=DAY_IN_MS))
        .variable("DCGM_EXPORTER_CLOCK_EVENTS_COUNT_WINDOW_SIZE").value("MS").default("300000");
}
[Check] {
    /// GPUs to check, with their instances and links: `f` for all, `g:0,2-4` for some
    CHECK_DEVICES: Devices = text("devices", devices::parse)
        .short('d').value("DEVICES").default("f");

    /// Also print every reading
    CHECK_ALL: bool = switch("all");

    /// Print the report as JSON, with every reading
    CHECK_JSON: bool = switch("json").conflicts(&["all", "timings"]);

    /// Also time every driver call
    CHECK_TIMINGS: bool = switch("timings");

    /// Print one line for a monitor of nodes, and exit with 0 if all GPUs are healthy, 1 if one needs
    /// attention, 2 if one needs an operator now or no GPU can be read
    CHECK_HEALTH: bool = switch("health").conflicts(&["all", "json", "timings"]);

    /// With --health: the number of GPUs that this machine should have
    CHECK_EXPECTED_GPUS: Option<u32> =
        text("expected-gpus", |text| optional(text, |text| number(text, 0..=1024)))
        .variable("HEATSINK_EXPECTED_GPUS").value("N");
}
[Serve] {
    /// Number of GPUs that this machine should have, served as `heatsink_gpus_expected`, so that an
    /// alert can tell when one is missing even from the PCI bus
    EXPECTED_GPUS: Option<u32> =
        text("expected-gpus", |text| optional(text, |text| number(text, 0..=1024)))
        .variable("HEATSINK_EXPECTED_GPUS").value("N").reloads();

    /// How long a missing GPU is served as missing; `0` for ever. SIGHUP forgets it at once
    FORGET_MISSING: Option<Duration> = text("forget-missing", parse::forget_missing)
        .variable("HEATSINK_FORGET_MISSING").value("DURATION").default("24h");

    /// Let /health fail when the driver was upgraded and the driver library, as in a container, has
    /// not fitted the kernel module for a minute: a liveness probe then restarts the container
    FAIL_HEALTH_AFTER_DRIVER_UPGRADE: bool = boolean("fail-health-after-driver-upgrade")
        .variable("HEATSINK_FAIL_HEALTH_AFTER_DRIVER_UPGRADE").default("true");

    /// Let /health also fail until a GPU answers: a liveness probe then restarts the container
    HEALTH_REQUIRE_GPUS: bool = boolean("health-require-gpus")
        .variable("DCGM_EXPORTER_HEALTH_REQUIRE_GPUS");

    /// Write model names with dashes instead of blanks
    REPLACE_BLANKS_IN_MODEL_NAME: bool = boolean("replace-blanks-in-model-name")
        .alias("rbmn").variable("DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME").reloads();
}
[Demo] {
    /// Address to listen on; `:9400` can be reached from other machines
    DEMO_ADDRESS: String = text("address", parse::text)
        .short('a').value("ADDRESS").default("127.0.0.1:9400");

    /// Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8's
    /// and 4.9's side by side
    DEMO_METRIC_NAMES: Generation = text("metric-names", parse::generation)
        .value("GENERATION").default("4.8");

    /// Simulated seconds per second, up to 1000; the story takes 20 minutes at 1
    DEMO_SPEED: f64 = text("speed", parse::speed).value("FACTOR").default("1");

    /// The same seed gives the same numbers
    DEMO_SEED: u64 = text("seed", parse::whole_number).value("N").default("1");

    /// Number of nodes to simulate, up to 10000, each with its own page: the first tells the story,
    /// the others are copies of one healthy node; /targets lists them for Prometheus'
    /// http_sd_configs
    DEMO_NODES: u16 = text("nodes", |text| number(text, 1..=MAX_NODES)).value("N").default("1");
}
[Serve, Demo] {
    /// Format of log lines: `text`, or `json` with one object per line
    LOG_FORMAT: LogFormat = text("log-format", |text| {
        parse::one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
    })
    .variable("DCGM_EXPORTER_LOG_FORMAT").value("FORMAT").default("text");

    /// Log more
    DEBUG: bool = boolean("debug").variable("DCGM_EXPORTER_DEBUG");
}
}

flags! { WEB_FLAGS;
[Serve] {
    /// Address to listen on: `:9400`, `127.0.0.1:9400`, `[::1]:9400`, `unix:///run/heatsink.sock`
    /// (for its owner and group); several, separated by commas
    ADDRESS: Vec<String> = list("address", address::list)
        .short('a').variable("DCGM_EXPORTER_LISTEN").value("ADDRESS").default(":9400").heading(WEB);

    /// Listen only on the sockets that systemd passes; without this flag, --address is used if
    /// systemd passes none
    WEB_SYSTEMD_SOCKET: bool =
        boolean("web-systemd-socket").variable("DCGM_EXPORTER_SYSTEMD_SOCKET").heading(WEB);

    /// A web configuration file in the format of Prometheus' exporter-toolkit: TLS, client
    /// certificates, passwords, headers, a rate limit
    WEB_CONFIG_FILE: Option<PathBuf> = path("web-config-file", parse::any_path)
        .variable("DCGM_EXPORTER_WEB_CONFIG_FILE").value("FILE").heading(WEB).reloads();

    /// The most open connections. At the limit, the one that has been idle longest is closed for a new
    /// one; if none is idle, the new one gets status 503
    MAX_CONNECTIONS: usize = text("max-connections", |text| number(text, 1..=65_536))
        .variable("HEATSINK_MAX_CONNECTIONS").value("N").default("256").heading(WEB);

    /// Reload at POST /-/reload from this machine, or from a client with a password or a certificate;
    /// browsers are refused
    WEB_RELOAD: bool = boolean("web-enable-reload")
        .variable("HEATSINK_WEB_ENABLE_RELOAD").heading(WEB);
}
[Check] {
    /// Only check this web configuration file, and exit with 2 if it is refused
    CHECK_WEB_CONFIG: Option<PathBuf> = path("web-config", parse::any_path)
        .value("FILE").conflicts(&["all", "json", "timings", "health"]).heading(WEB);
}
}

flags! { HOLDER_FLAGS;
[Serve] {
    /// Label the series of each GPU with the pod, namespace and container that has it, as the
    /// kubelet says
    KUBERNETES: bool = boolean("kubernetes")
        .short('k').variable("DCGM_EXPORTER_KUBERNETES").heading(HOLDERS);

    /// The kubelet's socket for pod resources
    KUBELET_SOCKET: Option<PathBuf> = path("pod-resources-kubelet-socket", parse::any_path)
        .variable("DCGM_POD_RESOURCES_KUBELET_SOCKET").value("SOCKET")
        .default("/var/lib/kubelet/pod-resources/kubelet.sock").heading(HOLDERS);

    /// How the device plugin names GPUs; every form of id is understood with either
    GPU_ID_TYPE: () = text("kubernetes-gpu-id-type", parse::gpu_id_type)
        .variable("DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE").value("TYPE").default("uid")
        .heading(HOLDERS);

    /// Resource names of GPUs besides nvidia.com/gpu, nvidia.com/gpu.shared and nvidia.com/mig-*,
    /// separated by commas
    RESOURCE_NAMES: Vec<String> = list("nvidia-resource-names", parse::list)
        .variable("NVIDIA_RESOURCE_NAMES").value("NAMES").heading(HOLDERS);

    /// Give each holder of a shared GPU series of its own, with the label `vgpu`, beside those of the
    /// GPU; without values that are sums over all holders, such as power
    VIRTUAL_GPUS: bool = boolean("kubernetes-virtual-gpus")
        .variable("KUBERNETES_VIRTUAL_GPUS").heading(HOLDERS).reloads();

    /// Add the labels of pods, from the API server; needs NODE_NAME, and the right to get, list and
    /// watch pods
    POD_LABELS: bool = boolean("kubernetes-enable-pod-labels")
        .variable("DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS").heading(HOLDERS);

    /// Regular expressions of the pod labels to add, separated by commas [default: all labels]
    POD_LABEL_ALLOW_LIST: Vec<String> = list("kubernetes-pod-label-allowlist-regex", parse::list)
        .variable("DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX").value("PATTERNS")
        .heading(HOLDERS);

    /// The most labels of a pod that are added; others are counted in
    /// heatsink_attribution_pod_labels_cut_total
    POD_LABEL_LIMIT: usize = text("kubernetes-pod-label-limit", |text| number(text, 1..=1000))
        .variable("HEATSINK_KUBERNETES_POD_LABEL_LIMIT").value("N").default("20").heading(HOLDERS);

    /// Add the label `pod_uid`
    POD_UID: bool = boolean("kubernetes-enable-pod-uid")
        .variable("DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID").heading(HOLDERS);

    /// Find the UIDs of pods, and which of them run, in /var/log/pods and /sys/fs/cgroup, without the
    /// API server
    NODE_FILES: bool = boolean("kubernetes-node-files")
        .variable("HEATSINK_KUBERNETES_NODE_FILES").heading(HOLDERS);

    /// Find the holders of GPUs that are allocated by dynamic resource allocation; needs NODE_NAME,
    /// and the right to list and watch resourceslices
    DRA: bool = boolean("kubernetes-enable-dra")
        .variable("KUBERNETES_ENABLE_DRA").heading(HOLDERS);

    /// The checkpoint of NVIDIA's DRA driver, which knows the MIG devices that it makes
    DRA_CHECKPOINT: Option<PathBuf> = path("dra-checkpoint", parse::any_path)
        .variable("HEATSINK_DRA_CHECKPOINT").value("FILE")
        .default("/var/lib/kubelet/plugins/gpu.nvidia.com/checkpoint.json").heading(HOLDERS);

    /// The folder with the `token` and `ca.crt` of the service account
    SERVICE_ACCOUNT: Option<PathBuf> = path("kubernetes-service-account", parse::any_path)
        .variable("HEATSINK_KUBERNETES_SERVICE_ACCOUNT").value("FOLDER")
        .default("/var/run/secrets/kubernetes.io/serviceaccount").heading(HOLDERS);

    /// Label the series of each GPU with the jobs that a batch system's prolog writes into this
    /// folder: a file per GPU, named by its index or UUID, with a job a line
    JOB_FOLDER: Option<PathBuf> = path("hpc-job-mapping-dir", parse::any_path)
        .variable("DCGM_HPC_JOB_MAPPING_DIR").value("FOLDER").heading(HOLDERS);

    /// Where holders appear: `labels`, on the series of their devices and in
    /// heatsink_gpu_holder_info; `info`, only in the latter, so that a new pod makes no new series of
    /// its GPU
    ATTRIBUTION: bool = text("attribution", |text| {
        parse::one_of(text, &[("labels", false), ("info", true)])
    })
    .variable("HEATSINK_ATTRIBUTION").value("PLACE").default("labels").heading(HOLDERS).reloads();

    /// Time from one look at the kubelet, the node's files and the job files to the next
    ATTRIBUTION_INTERVAL: Duration = text("attribution-interval", parse::attribution_interval)
        .variable("HEATSINK_ATTRIBUTION_INTERVAL").value("DURATION").default("5s").heading(HOLDERS);

    /// How long the last answer is used when the kubelet, the API server or the files do not answer
    ATTRIBUTION_MAX_AGE: Duration = text("attribution-max-age", parse::attribution_max_age)
        .variable("HEATSINK_ATTRIBUTION_MAX_AGE").value("DURATION").default("60s").heading(HOLDERS);
}
}

flags! { HISTORY_FLAGS;
[Serve] {
    /// Record about 40 signals of each GPU and what happens, in memory for an hour and in
    /// --history-dir
    HISTORY: bool = boolean("history")
        .variable("HEATSINK_HISTORY").default("true").heading(HISTORY_HEADING);

    /// Folder for the history: `auto`, the state folder of the systemd unit or of the user, and in a
    /// container /var/lib/heatsink if something is mounted there; `none`, only memory
    HISTORY_DIR: HistoryPlace = path("history-dir", parse::history_dir)
        .variable("HEATSINK_HISTORY_DIR").value("FOLDER").default("auto").heading(HISTORY_HEADING);

    /// The most bytes in the folder; the oldest go first, those of incidents last
    HISTORY_SIZE: u64 = text("history-size", parse::history_size)
        .variable("HEATSINK_HISTORY_SIZE").value("SIZE").default("320MiB").heading(HISTORY_HEADING);

    /// How long the history is kept
    HISTORY_KEEP: Duration = text("history-keep", parse::history_keep)
        .variable("HEATSINK_HISTORY_KEEP").value("DURATION").default("7d").heading(HISTORY_HEADING);

    /// A command to run at an incident, with the report on its standard input; run by `sh -c`,
    /// killed after 60 s, at most once a minute and 20 times an hour
    ON_INCIDENT: Option<String> = text("on-incident", |text| optional(text, parse::text))
        .variable("HEATSINK_ON_INCIDENT").value("COMMAND").shown_as(parse::first_word)
        .heading(HISTORY_HEADING);

    /// A URL that gets each incident in the JSON of Alertmanager's webhooks
    INCIDENT_WEBHOOK: Option<WebhookUrl> = text("incident-webhook", |text| optional(text, WebhookUrl::parse))
        .variable("HEATSINK_INCIDENT_WEBHOOK").value("URL").shown_as(WebhookUrl::shown).heading(HISTORY_HEADING);

    /// Write an Event on the pods that hold a GPU of an incident; needs NODE_NAME, and the right to
    /// create events, and to get pods where nothing else tells their UIDs
    POD_EVENTS: bool = boolean("kubernetes-pod-events")
        .variable("HEATSINK_KUBERNETES_POD_EVENTS").heading(HISTORY_HEADING);
}
[Demo] {
    /// Folder for the history; `none`, only memory
    DEMO_HISTORY_DIR: HistoryPlace = path("history-dir", parse::history_dir)
        .value("FOLDER").default("none").heading(HISTORY_HEADING);
}
[Incidents, Report, History] {
    /// The folder of the history, also one that was copied from another machine; `auto`,
    /// /var/lib/heatsink, else the user's state folder
    READ_HISTORY_DIR: HistoryPlace = path("history-dir", parse::history_dir)
        .variable("HEATSINK_HISTORY_DIR").value("FOLDER").default("auto");
}
[Report] {
    /// The number of an incident [default: the newest one]
    REPORT_ID: Option<u64> = positional("id", |text| optional(text, parse::whole_number))
        .value("ID").conflicts(&["last", "at", "job", "gpu", "from", "to"]);

    /// The newest incident
    REPORT_LAST: bool = switch("last").conflicts(&["at", "job", "from", "to"]);

    /// The incident at this time, or the minutes around it: `03:12`, `2026-11-30 03:12:44`, `-2h`
    REPORT_AT: Option<String> = text("at", |text| optional(text, parse::text))
        .value("TIME").begins_with_dash().conflicts(&["job", "from", "to"]);

    /// What happened to the GPUs of this job or pod while it had them: a job's id, or
    /// `NAMESPACE/POD`
    REPORT_JOB: Option<String> = text("job", |text| optional(text, parse::text))
        .value("ID").conflicts(&["from", "to"]);

    /// Only this GPU
    REPORT_GPU: Option<u32> = text("gpu", |text| optional(text, parse::whole_number)).value("N");
}
[History] {
    /// What to do: `export`
    HISTORY_ACTION: String = positional("action", parse::text).value("ACTION")
        .choices(&[("export", "Write what was recorded to standard output")]);

    /// `openmetrics`, for promtool tsdb create-blocks-from openmetrics; `csv` or `jsonl`
    EXPORT_FORMAT: ExportFormat = text("format", |text| {
        parse::one_of(text, &[
            ("openmetrics", ExportFormat::OpenMetrics),
            ("csv", ExportFormat::Csv),
            ("jsonl", ExportFormat::JsonLines),
        ])
    })
    .value("FORMAT").default("openmetrics");

    /// Labels to add to each series, as `job=gpu`; several in several flags
    EXPORT_LABELS: Vec<String> = repeated("label", parse::items).value("NAME=VALUE");

    /// Generation of metric names: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8's
    /// and 4.9's
    EXPORT_METRIC_NAMES: Generation = text("metric-names", parse::generation)
        .value("GENERATION").default("4.8");
}
[Report, History] {
    /// The first moment: `03:00`, `2026-11-30 03:00`, `-2h`
    FROM: Option<String> = text("from", |text| optional(text, parse::text))
        .value("TIME").begins_with_dash();

    /// The last moment [default: that of the recording]
    TO: Option<String> = text("to", |text| optional(text, parse::text))
        .value("TIME").begins_with_dash();
}
[Incidents, Report] {
    /// Print JSON
    INCIDENT_JSON: bool = switch("json");
}
}

flags! { SOURCES;
[Serve, Check] {
    /// Source of readings: `nvml`, the driver library; `dcgm`, NVIDIA's DCGM; `sim`, simulated
    /// GPUs; `auto`, DCGM if a host engine is named, else the driver library
    SOURCE: Option<SourceKind> = text("source", parse::source)
        .variable("HEATSINK_SOURCE").value("SOURCE").default("auto").heading(READINGS);
}
[Serve, Check, ProbeGpu] {
    /// The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]
    NVML_LIBRARY: Option<PathBuf> = path("nvml-library", parse::library)
        .variable("HEATSINK_NVML_LIBRARY").value("FILE").heading(READINGS);
}
[Serve, Check] {
    /// Root folder for `/proc`, `/sys`, `/dev` and the journal: the host's root, where a container
    /// has it elsewhere
    ROOTFS: PathBuf = path("path.rootfs", parse::root)
        .variable("HEATSINK_ROOTFS").value("FOLDER").heading(READINGS);

    /// Log to read XIDs from: `kmsg`, /dev/kmsg; `journal`, the files of systemd's journal; `auto`,
    /// the first of the two that can be read; a file in the format of kmsg or syslog, or a folder
    /// of a journal; `none`, only the driver's events, which lack XIDs 79, 119, 120 and a few more
    KERNEL_LOG: Option<LogLocation> = text("kernel-log", parse::log_place)
        .variable("HEATSINK_KERNEL_LOG").value("LOG").default("auto").heading(READINGS);

    /// DCGM's library [default: libdcgm.so.4, where the dynamic linker finds it]
    DCGM_LIBRARY: Option<PathBuf> = path("dcgm-library", parse::library)
        .variable("HEATSINK_DCGM_LIBRARY").value("FILE").heading(READINGS);

    /// The DCGM host engine to read through: `host:port`, `[v6]:port`, `tcp://host:port`,
    /// `unix:///path`, `vsock://cid:port` [default: none; --source dcgm starts one in this process]
    REMOTE_HOSTENGINE_INFO: Option<Address> =
        text("remote-hostengine-info", |text| optional(text, |text| Ok(Address::parse(text)?)))
        .short('r').variable("DCGM_REMOTE_HOSTENGINE_INFO").value("ADDRESS").heading(READINGS);

    /// Also serve GPUs that DCGM only simulates
    FAKE_GPUS: bool = boolean("fake-gpus")
        .variable("DCGM_EXPORTER_USE_FAKE_GPUS").heading(READINGS);

    /// Let a DCGM engine in this process log to standard output
    ENABLE_DCGM_LOG: bool = boolean("enable-dcgm-log")
        .variable("DCGM_EXPORTER_ENABLE_DCGM_LOG").heading(READINGS);

    /// Level of that log: `NONE`, `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `VERB`
    DCGM_LOG_LEVEL: i32 = text("dcgm-log-level", parse::dcgm_log_level)
        .variable("DCGM_EXPORTER_DCGM_LOG_LEVEL").value("LEVEL").default("NONE").heading(READINGS);

    // None of these has a default in its row: one that is given without `--source sim` is refused.

    /// What happens to the simulated GPUs [default: story]
    SIM_SCENARIO: ScenarioName = text("sim-scenario", parse::scenario)
        .value("SCENARIO").heading(SIMULATION).choices(&[
            ("story", "Eight H100s, a training job, and four of them in trouble"),
            ("steady", "The same job on healthy GPUs"),
            ("idle", "No work"),
            ("overheat", "Eight H100s, a training job; GPU 2 overheats for an hour, then the job is killed"),
            ("power-brake", "A power supply fails: all eight are slowed down for three minutes"),
            ("memory-leak", "The process on GPU 4 leaks memory until none is left"),
            ("memory-error", "GPU 5 has an uncorrectable memory error"),
            ("memory-error-off-bus", "The same, and it falls off the bus"),
            ("off-bus", "GPU 7 falls off the bus"),
            ("link-off-bus", "The same, after its PCIe link has lost lanes"),
            ("nvlink-down", "Two NVLinks of GPU 3 go down, and the job dies"),
        ]);

    /// Number of GPUs of `steady` and `idle` [default: 8]
    SIM_GPUS: Option<u8> = text("sim-gpus", |text| optional(text, |text| number(text, 1..=64)))
        .value("N").heading(SIMULATION);

    /// The same seed gives the same numbers [default: 1]
    SIM_SEED: Option<u64> =
        text("sim-seed", |text| optional(text, parse::whole_number))
        .value("N").heading(SIMULATION);

    /// Stop simulated time at this second
    SIM_AT: Option<u64> = text("sim-at", |text| optional(text, parse::whole_number))
        .value("SECONDS").heading(SIMULATION);

    /// Simulated seconds per second, up to 1000 [default: 1]
    SIM_SPEED: Option<f64> = text("speed", |text| optional(text, parse::speed))
        .value("FACTOR").heading(SIMULATION);
}
[Fields] {
    /// Only rows with this text in a name, unit, group or help text, in any letter case; with
    /// --xids, as the code or in a text
    PATTERN: Option<String> = positional("pattern", |text| optional(text, parse::text))
        .value("PATTERN");

    /// Only the fields that heatsink serves
    SERVED: bool = switch("served");

    /// List XIDs instead: the meaning of each, and what to do
    XIDS: bool = switch("xids");

    /// Print JSON, one object per field
    FIELDS_JSON: bool = switch("json");

    /// Print a page in Markdown, with heatsink's own families
    MARKDOWN: bool = switch("markdown").conflicts(&["json", "xids", "pattern"]);
}
[Config] {
    /// Print JSON, one object per setting
    CONFIG_JSON: bool = switch("json");
}
[ProbeGpu] {
    /// The UUID of the GPU
    UUID: Option<String> = text("uuid", |text| optional(text, parse::text));

    /// Its PCI address
    PCI_BUS_ID: Option<String> = text("pci-bus-id", |text| optional(text, parse::text));

    /// Its index in the session that lost it
    INDEX: Option<u32> = text("index", |text| optional(text, parse::whole_number));
}
[Acceptance] {
    /// Folder to write into [default: named after the GPU and its driver, in this folder]
    OUTPUT: Option<PathBuf> = path("output", parse::any_path).value("FOLDER");

    /// Number of rounds in each phase
    ROUNDS: u32 = text("rounds", |text| number(text, 1..=1000)).value("N").default("10");

    /// Seconds from the start of a phase to its first round; heatsink reads some fields only every
    /// 10 seconds
    WARM_UP: Duration = text("warm-up", |text| Ok(Duration::from_secs(number(text, 0..=3600)?)))
        .value("SECONDS").default("15");

    /// Leave out the phase with the lowest power limit
    NO_POWER_CAP: bool = switch("no-power-cap");
}
}

/// Seconds that pass on the clock of the history per second: for tests, which cannot wait for an hour.
/// Simulated GPUs have a clock of their own.
pub(crate) static HISTORY_SPEED: Flag<f64> =
    text("history-speed", parse::speed).default("1").of(&[Serve], "");

/// Every row, in the order of `--help`.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    checked().map(|checked| checked.row)
}

/// Every row with the check of its texts, in the order of `--help`.
pub(crate) fn checked() -> impl Iterator<Item = CheckedRow> {
    let settings =
        [GENERAL, WEB_FLAGS, HOLDER_FLAGS, HISTORY_FLAGS, SOURCES].into_iter().flatten().copied();
    let hidden = CheckedRow {
        row: &HISTORY_SPEED.row,
        meaning: |text| HISTORY_SPEED.setting(text).map(|speed| speed.to_string()),
    };
    let settings = settings.chain([hidden]);
    settings.chain(ACCEPTED.iter().map(|row| CheckedRow { row, meaning: meaning_of_accepted(row) }))
}

fn meaning_of_accepted(row: &Row) -> fn(Option<&OsStr>) -> Result<String> {
    match row.form {
        Form::Boolean => |text| {
            let truth = parse::boolean(&text.unwrap_or_default().to_string_lossy());
            truth
                .map(|truth| truth.to_string())
                .map_err(|error| anyhow!(one_line(&error.to_string())))
        },
        _ => |text| Ok(text.unwrap_or_default().to_string_lossy().into_owned()),
    }
}

#[cfg(test)]
mod compatibility;
#[cfg(test)]
mod tests;
