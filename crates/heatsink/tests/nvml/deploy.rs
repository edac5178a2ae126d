//! Each DaemonSet that the chart renders starts heatsink, with the real binary and the fake driver
//! library, and so does that of NVIDIA's GPU operator. Also what OpenShift admits, and the plugin for
//! node-problem-detector.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use crate::rig::{BINARY, PATIENCE, Rig, up};
use fake_kubernetes::kubelet::{Container, FakeKubelet, Reply};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
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

/// The hash of the password `secret`.
const HASH: &str = "$2y$10$heatsinkheatsinkheatsu4SJhaRpRQP4zyhbctDDoekTO8kxh6wS";

/// Certificates of a server and a client, and their authority.
fn certificates() -> Vec<(String, String)> {
    let key = || KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    // By default all have the same name, and curl would take them for self-signed.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = key();
    let root = authority.self_signed(&authority_key).expect("an authority");
    let issuer = Issuer::new(authority, authority_key);
    let mut files = vec![("ca.crt".to_owned(), root.pem())];
    let server = ["heatsink.monitoring.svc", "heatsink.gpu-monitoring.svc"];
    for (file, names) in [("tls", &server[..]), ("client", &["prometheus"])] {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (params, key) = (CertificateParams::new(names).expect("names"), key());
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        files.push((format!("{file}.crt"), certificate.pem()));
        files.push((format!("{file}.key"), key.serialize_pem()));
    }
    files
}

/// The files of a ConfigMap or Secret: the rendered one, or else that of a user.
fn files(objects: &[Value], name: &str) -> Vec<(String, String)> {
    let rendered = objects.iter().find(|object| {
        ["ConfigMap", "Secret"].iter().any(|kind| object["kind"] == *kind)
            && object["metadata"]["name"] == name
    });
    match (rendered, name) {
        // Also in place of one that the chart makes of texts in the values.
        (_, "heatsink-tls") => certificates(),
        (Some(object), _) => {
            let data = [&object["data"], &object["stringData"]].into_iter();
            let data = data.filter_map(Value::as_mapping).flatten();
            data.map(|(key, content)| (text(key).to_owned(), text(content).to_owned())).collect()
        }
        (None, "heatsink-passwords") => {
            vec![("web.yml".to_owned(), format!("basic_auth_users: {{prometheus: {HASH}}}\n"))]
        }
        (None, _) => Vec::new(),
    }
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
        let spec = &daemon_set["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let mut rig = Rig::new();
        for variable in list(&container["env"]) {
            let value = match &variable["value"] {
                Value::Null => "node-of-the-cluster",
                value => text(value),
            };
            rig = rig.with(text(&variable["name"]), value);
        }
        let args: Vec<String> = list(&container["args"]).map(|arg| text(arg).to_owned()).collect();
        let reads_engine = args.iter().any(|arg| arg == "-r");
        let mut pod = Self { rig, args, reads_engine };
        let mounts = pod.mount(objects, spec);
        pod.args = pod.args.iter().map(|arg| moved(arg, &mounts)).collect();
        Some(pod)
    }

    /// Writes the mounted ConfigMaps and Secrets into the rig. Returns the paths in the pod, and here.
    fn mount(&self, objects: &[Value], spec: &Value) -> Vec<(String, String)> {
        let mut mounts = Vec::new();
        let mut contents = Vec::new();
        for mount in list(&spec["containers"][0]["volumeMounts"]) {
            let volume = list(&spec["volumes"]).find(|volume| volume["name"] == mount["name"]);
            let volume = volume.expect("there is a volume for each mount");
            let name = volume["configMap"]["name"].as_str();
            let Some(name) = name.or(volume["secret"]["secretName"].as_str()) else { continue };
            assert!(mount["subPath"].is_null(), "Kubernetes never updates {mount:?}");
            let path = text(&mount["mountPath"]);
            let folder = self.rig.path(&path.replace('/', "_"));
            fs::create_dir_all(&folder).expect("the rig can be written");
            contents.extend(
                files(objects, name)
                    .into_iter()
                    .map(|(file, content)| (folder.join(file), content)),
            );
            mounts.push((format!("{path}/"), format!("{}/", folder.display())));
        }
        for (file, content) in contents {
            fs::write(file, moved(&content, &mounts)).expect("the rig can be written");
        }
        mounts
    }

    fn start(&self) -> Exporter {
        let library = self.rig.library().display().to_string();
        let mut args = vec!["--nvml-library", &library];
        // The rig has a free port in place of the address, and addresses add up.
        let others = self.args.iter().filter(|arg| !arg.starts_with("--address="));
        args.extend(others.map(String::as_str));
        Exporter::start(BINARY, &args, &self.rig.environment())
    }

    fn has_web_configuration(&self) -> bool {
        self.args.iter().any(|arg| arg.starts_with("--web-config-file="))
    }

    /// The arguments with which curl asks as Prometheus does, by the endpoint of a monitor.
    fn like_prometheus(&self, endpoint: &Value, port: &str) -> Vec<String> {
        let file = |name| self.rig.path("_etc_heatsink-tls").join(name).display().to_string();
        let server = endpoint["tlsConfig"]["serverName"].as_str().unwrap_or("127.0.0.1");
        let scheme = endpoint["scheme"].as_str().unwrap_or("http");
        let mut args = vec![format!("{scheme}://{server}:{port}/metrics")];
        let mut add = |more: [&str; 2]| args.extend(more.map(str::to_owned));
        add(["--connect-to", &format!("{server}:{port}:127.0.0.1:{port}")]);
        if !endpoint["tlsConfig"]["ca"].is_null() {
            add(["--cacert", &file("ca.crt")]);
        }
        if !endpoint["tlsConfig"]["cert"].is_null() {
            add(["--cert", &file("client.crt")]);
            add(["--key", &file("client.key")]);
        }
        if !endpoint["basicAuth"].is_null() {
            add(["--user", "prometheus:secret"]);
        }
        args
    }
}

/// A text with the paths of mounts replaced by those here.
fn moved(text: &str, mounts: &[(String, String)]) -> String {
    mounts.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
}

/// The status of curl's request, 000 if the connection is refused, and the body.
fn curl(args: &[String]) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--write-out", "%{stderr}%{http_code}"]).args(args);
    let output = curl.output().expect("curl is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stderr), text(&output.stdout))
}

/// Asks as the kubelet does, which verifies no certificate.
fn probed(exporter: &Exporter, probe: &Value) -> bool {
    let (_, port) = exporter.url().rsplit_once(':').expect("a port");
    if probe["tcpSocket"]["port"] == "metrics" {
        return TcpStream::connect(format!("127.0.0.1:{port}")).is_ok();
    }
    let get = &probe["httpGet"];
    let scheme = get["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
    let url = format!("{scheme}://127.0.0.1:{port}{}", text(&get["path"]));
    curl(&["--insecure".to_owned(), url]).0 == "200"
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
            assert!(probed(&exporter, &container[probe]), "{name}: {probe}");
        }
        // The next test is about pods with a web configuration.
        if !pod.reads_engine && !pod.has_web_configuration() {
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

/// With TLS and passwords the monitor has what it takes to scrape, and what others get is known.
#[test]
fn a_pod_is_scraped_with_what_its_monitor_has() {
    let all = rendered();
    for (name, others_get) in
        [("tls", "200"), ("openshift", "200"), ("passwords", "401"), ("mtls", "000")]
    {
        let (_, objects) = all.iter().find(|(known, _)| known == name).expect("it is there");
        let pod = Pod::of(objects).expect("a DaemonSet");
        assert!(pod.has_web_configuration(), "{name}");
        let exporter = pod.start();
        let (_, port) = exporter.url().rsplit_once(':').expect("a port");
        let endpoint = match of_kind(objects, "ServiceMonitor") {
            Some(monitor) => &monitor["spec"]["endpoints"][0],
            None => {
                let monitor = of_kind(objects, "PodMonitor").expect("one of the two");
                &monitor["spec"]["podMetricsEndpoints"][0]
            }
        };
        let (status, page) = curl(&pod.like_prometheus(endpoint, port));
        assert_eq!(status, "200", "{name}: {}", exporter.log());
        assert!(page.contains("heatsink_build_info"), "{name}: {page}");
        let scheme = endpoint["scheme"].as_str().unwrap_or("http");
        let url = format!("{scheme}://127.0.0.1:{port}/metrics");
        assert_eq!(curl(&["--insecure".to_owned(), url]).0, others_get, "{name}");
    }
}

#[test]
fn a_values_file_of_dcgm_exporter_gives_the_same_metrics() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "dcgm-exporter").expect("it is there");
    let pod = Pod::of(objects).expect("a DaemonSet");
    let exporter = pod.start();
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
        for host in ["hostPID", "hostNetwork"] {
            assert!(pod[host].is_null(), "{object}: {host}");
        }
        assert_eq!(host_paths(pod), [""; 0], "{object}");
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
        // The folder of the history is the pod's own.
        let is_of_pod = mount["name"] == "history";
        assert_eq!(mount["readOnly"] == true, !is_of_pod, "{mount:?}");
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

/// A counters file in another namespace needs one right: to read it.
#[test]
fn a_counters_file_in_a_config_map_needs_one_right() {
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "settings").expect("it is there");
    assert!(of_kind(objects, "ClusterRole").is_none());
    let role = of_kind(objects, "Role").expect("a Role");
    assert_eq!(rules_of(role), ["configmaps: get"]);
    assert_eq!(
        list(&role["rules"][0]["resourceNames"]).map(text).collect::<Vec<_>>(),
        ["gpu-counters"]
    );
    assert_eq!(role["metadata"]["namespace"], "gpu-settings");
    // No other rendering has a Role, and the pod of this one has a token to ask with.
    assert!(
        all.iter().all(|(name, objects)| name == "settings" || of_kind(objects, "Role").is_none())
    );
    let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], true);
}

fn yaml_of(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(repository_file(path)).expect("it is there");
    let documents = text.split("---\n").filter(|document| document.contains(':'));
    documents.map(|document| yaml_serde::from_str(document).expect("YAML")).collect()
}

/// The container of the operator's exporter, from its public sources as of version 26.7
/// (`assets/state-dcgm-exporter`, `manifests/state-dcgm-exporter`): the image's entry point, no arguments
/// and these variables. With dynamic resource allocation there is one more.
const OF_OPERATOR: [(&str, &str); 4] = [
    ("DCGM_EXPORTER_LISTEN", ":9400"),
    ("DCGM_EXPORTER_KUBERNETES", "true"),
    ("DCGM_EXPORTER_COLLECTORS", "/etc/dcgm-exporter/dcp-metrics-included.csv"),
    ("NODE_NAME", "node-of-the-cluster"),
];

/// The variables, after the operator has applied values of its chart to them.
fn operator_environment(values: &Value, has_claims: bool) -> Vec<(String, String)> {
    let of_claims = has_claims.then_some(("KUBERNETES_ENABLE_DRA", "true"));
    let mut all: Vec<(String, String)> = OF_OPERATOR
        .into_iter()
        .chain(of_claims)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut set = |name: &str, value: &str| {
        all.retain(|(known, _)| known != name);
        all.push((name.to_owned(), value.to_owned()));
    };
    for variable in list(&values["dcgmExporter"]["env"]) {
        set(text(&variable["name"]), text(&variable["value"]));
    }
    if values["dcgm"]["enabled"] == true {
        set("DCGM_REMOTE_HOSTENGINE_INFO", "nvidia-dcgm:5555");
    }
    all
}

/// The operator's DaemonSet with heatsink's image: pods and the default set, as with dcgm-exporter.
#[test]
fn the_operators_daemon_set_starts_heatsink() {
    let values = &yaml_of("deploy/gpu-operator/values.yaml")[0];
    let dockerfile = fs::read_to_string(repository_file("deploy/docker/Dockerfile"));
    assert!(dockerfile.expect("it is there").contains("\nENTRYPOINT [\"/usr/bin/heatsink\"]\n"));
    for has_claims in [false, true] {
        let mut rig = Rig::machine("h100x2");
        let mut kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
        let container = Container::new("main").device("nvidia.com/gpu", rig.uuid(0));
        let pod = fake_kubernetes::kubelet::Pod::new("ml", "train-0").container(container);
        kubelet.set(Reply::new().pod(pod));
        for (name, value) in operator_environment(values, has_claims) {
            rig = rig.with(&name, &value);
        }
        // The operator mounts the folder of the socket at its usual path.
        rig =
            rig.with("DCGM_POD_RESOURCES_KUBELET_SOCKET", &kubelet.socket().display().to_string());
        let library = rig.library().display().to_string();
        let args: Vec<&str> = list(&values["dcgmExporter"]["args"]).map(text).collect();
        let args = [&["--nvml-library", &library], &args[..]].concat();
        let exporter = Exporter::start(BINARY, &args, &rig.environment());
        let (page, _) = exporter.wait_for("the pod of the GPU", PATIENCE, |page| {
            let rows = page.samples("DCGM_FI_DEV_GPU_TEMP");
            rows.iter().any(|row| row.label("pod") == Some("train-0"))
        });
        let row = &page.samples("DCGM_FI_DEV_GPU_TEMP")[0];
        assert_eq!(row.label("hostname").or(row.label("Hostname")), Some("node-of-the-cluster"));
        assert!(!page.samples("heatsink_gpu_holder_info").is_empty());
        assert_eq!(page.samples("heatsink_config_rows_skipped")[0].value, 0.0);
        // Both probes.
        assert_eq!(exporter.get("/health").status, 200);
    }
}

/// What the operator cannot know, and what its ServiceMonitor has to say.
#[test]
fn the_values_for_the_operator_fit_it() {
    let values = &yaml_of("deploy/gpu-operator/values.yaml")[0];
    assert_eq!(values["dcgm"]["enabled"], false);
    let exporter = &values["dcgmExporter"];
    // Its probes, Service and container port are fixed.
    for (name, value) in operator_environment(values, false) {
        assert!(name != "DCGM_EXPORTER_LISTEN" || value == ":9400");
        assert!(!name.contains("WEB_CONFIG"), "its probes have neither TLS nor a password");
    }
    for key in ["repository", "image", "version"] {
        assert!(exporter[key].is_string(), "the operator needs all three, or takes its own: {key}");
    }
    // The series have the same labels as by heatsink's own chart.
    let all = rendered();
    let (_, objects) = all.iter().find(|(name, _)| name == "default").expect("it is there");
    let endpoint = &of_kind(objects, "ServiceMonitor").expect("there")["spec"]["endpoints"][0];
    for key in ["interval", "honorLabels", "relabelings"] {
        assert_eq!(exporter["serviceMonitor"][key], endpoint[key], "{key}");
    }
}

/// Why a security context constraint does not admit a pod: the part of OpenShift's rules that
/// `deploy/openshift/scc.yaml` uses.
fn refusals(scc: &Value, pod: &Value) -> Vec<String> {
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    let has = |key: &str, wanted: &str| list(&scc[key]).any(|value| value == wanted);
    let mut refused = Vec::new();
    let mut refuse = |why: &str, holds: bool| {
        if holds {
            refused.push(why.to_owned());
        }
    };
    for (field, allowed) in [
        ("hostNetwork", "allowHostNetwork"),
        ("hostPID", "allowHostPID"),
        ("hostIPC", "allowHostIPC"),
    ] {
        refuse(field, pod[field] == true && scc[allowed] != true);
    }
    refuse("privileged", context["privileged"] == true && scc["allowPrivilegedContainer"] != true);
    refuse(
        "allowPrivilegeEscalation",
        context["allowPrivilegeEscalation"] != false && scc["allowPrivilegeEscalation"] != true,
    );
    let added = list(&context["capabilities"]["add"]).map(text);
    for capability in added {
        refuse(capability, !has("allowedCapabilities", capability));
    }
    refuse(
        "readOnlyRootFilesystem",
        scc["readOnlyRootFilesystem"] == true && context["readOnlyRootFilesystem"] == false,
    );
    let profile = text(&pod["securityContext"]["seccompProfile"]["type"]);
    let profile = profile.replace("RuntimeDefault", "runtime/default");
    refuse("seccompProfile", !has("seccompProfiles", &profile));
    let kinds = list(&pod["volumes"]).filter_map(Value::as_mapping).flatten();
    for (kind, _) in kinds.filter(|(key, _)| *key != "name") {
        refuse(text(kind), !has("volumes", text(kind)));
    }
    refused
}

#[test]
fn openshifts_constraint_admits_pods_that_read_the_node_and_no_privileged_ones() {
    let objects = yaml_of("deploy/openshift/scc.yaml");
    let scc = of_kind(&objects, "SecurityContextConstraints").expect("it is there");
    // The fields that its API requires, by OpenShift's documentation.
    for field in [
        "allowHostDirVolumePlugin",
        "allowHostIPC",
        "allowHostNetwork",
        "allowHostPID",
        "allowHostPorts",
        "allowPrivilegedContainer",
        "readOnlyRootFilesystem",
    ] {
        assert!(scc[field].is_bool(), "{field}");
    }
    for field in ["runAsUser", "seLinuxContext", "fsGroup", "supplementalGroups"] {
        let kind = text(&scc[field]["type"]);
        assert!(["RunAsAny", "MustRunAs"].contains(&kind), "{field}: {kind}");
    }
    assert_eq!(scc["seLinuxContext"]["seLinuxOptions"]["type"], "spc_t");
    assert_eq!(list(&scc["users"]).count() + list(&scc["groups"]).count(), 0);
    // Its name is that of the role, which is bound to the ServiceAccount of the values file.
    let role = of_kind(&objects, "ClusterRole").expect("a role");
    assert_eq!(role["rules"][0]["resourceNames"][0], scc["metadata"]["name"]);
    let subject = &of_kind(&objects, "RoleBinding").expect("a binding")["subjects"][0];
    let all = rendered();
    let (_, chart) = all.iter().find(|(name, _)| name == "openshift").expect("it is there");
    let account = &of_kind(chart, "ServiceAccount").expect("there")["metadata"];
    assert_eq!(
        (&subject["name"], &subject["namespace"]),
        (&account["name"], &account["namespace"])
    );

    let refused = |name: &str| {
        let (_, objects) = all.iter().find(|(known, _)| known == name).expect("it is there");
        let pod = &of_kind(objects, "DaemonSet").expect("there")["spec"]["template"]["spec"];
        refusals(scc, pod)
    };
    for name in ["openshift", "kubelet", "holders", "journal", "node-files", "dra", "tls"] {
        assert_eq!(refused(name), Vec::<String>::new(), "{name}");
    }
    assert!(refused("kmsg").contains(&"privileged".to_owned()));
    assert!(refused("all-nodes").contains(&"hostNetwork".to_owned()));
    assert!(refused("dcgm-exporter").contains(&"SYS_ADMIN".to_owned()));
}

fn host_paths(pod: &Value) -> Vec<&str> {
    list(&pod["volumes"]).filter_map(|volume| volume["hostPath"]["path"].as_str()).collect()
}

/// What the ClusterRole allows: `pods: get, list`.
fn rules(objects: &[Value]) -> Vec<String> {
    rules_of(of_kind(objects, "ClusterRole").expect("a ClusterRole"))
}

fn rules_of(role: &Value) -> Vec<String> {
    let all = |value: &Value| list(value).map(text).collect::<Vec<_>>().join(", ");
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
