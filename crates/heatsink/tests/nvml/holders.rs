//! Who uses the GPUs, from a kubelet and from job files: golden pages, and faults.
//!
//! The pages are goldens: `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml holders` rewrites them.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use crate::rig::{PATIENCE, Rig, up, watch};
use fake_kubernetes::api_server::{ApiServer, Fault, Request, Verb};
use fake_kubernetes::kubelet::{self, Call, Claim, Container, FakeKubelet, Pod, Reply};
use serde_json::{Value, json};
use testkit::exporter::Exporter;
use testkit::golden::check_golden;
use testkit::page::{Page, metric};

pub(crate) const GPU: &str = "nvidia.com/gpu";

/// A pod with one container.
pub(crate) fn pod(name: &str, devices: &[(&str, &str)]) -> Pod {
    let container = Container::new("main");
    let add = |container: Container, (resource, id): &(&str, &str)| container.device(resource, id);
    Pod::new("ml", name).container(devices.iter().fold(container, add))
}

/// A machine with a kubelet.
pub(crate) struct Node {
    pub(crate) rig: Rig,
    pub(crate) kubelet: FakeKubelet,
    gpus: usize,
}

impl Node {
    fn new(machine: &str, gpus: usize) -> Self {
        let rig = Rig::machine(machine);
        let kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
        Self { rig, kubelet, gpus }
    }

    /// Starts the binary, and waits for the first answer of the kubelet.
    pub(crate) fn started(&self, args: &[&str]) -> Exporter {
        let socket = self.kubelet.socket().display().to_string();
        let kubelet = ["-k", "--pod-resources-kubelet-socket", &socket];
        let quick = ["--attribution-interval", "200ms", "-c", "200"];
        let exporter = self.rig.started(&[&kubelet[..], &quick, args].concat(), self.gpus);
        exporter.wait_for("the kubelet answers", PATIENCE, |page| kubelet_up(page) == Some(1.0));
        exporter
    }
}

fn kubelet_up(page: &Page) -> Option<f64> {
    page.value_of(&metric("heatsink_attribution_up").label("refresher", "kubelet"))
}

/// The lines about holders, and two families of devices: one with a value that all holders share, one with
/// a sum.
fn about_holders(body: &str) -> String {
    const FAMILIES: [&str; 4] = [
        "DCGM_FI_DEV_GPU_TEMP{",
        "DCGM_FI_DEV_FB_USED{",
        "heatsink_gpu_holder_info{",
        "heatsink_gpu_allocated{",
    ];
    let lines = body.lines().filter(|line| FAMILIES.iter().any(|name| line.starts_with(name)));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Compares a page on which both GPUs answer with the golden file of this name.
fn check(name: &str, exporter: &Exporter) {
    let text = RefCell::new(String::new());
    exporter.wait_for("both GPUs answer", PATIENCE, |_| {
        let body = exporter.get("/metrics").body;
        let page = Page::parse(&body).expect("a well-formed page");
        *text.borrow_mut() = body;
        up(&page) == 2
    });
    check_golden(format!("holders/{name}.prom"), &about_holders(&text.borrow()));
}

#[test]
fn each_way_to_share_gpus_has_its_page() {
    let mut node = Node::new("h100x2", 2);
    let uuids = [0, 1].map(|gpu| node.rig.uuid(gpu).to_owned());
    let replicas: Vec<String> = (0..10).map(|n| format!("{}::{n}", uuids[0])).collect();
    let hami: Vec<String> = (0..2).map(|n| format!("{}-{n}", uuids[1])).collect();
    let each = |ids: &[String]| {
        let pods = ids.iter().enumerate();
        pods.fold(Reply::new(), |reply, (at, id)| reply.pod(pod(&format!("p-{at}"), &[(GPU, id)])))
    };
    let both: Vec<(&str, &str)> = uuids.iter().map(|uuid| (GPU, uuid.as_str())).collect();
    let exclusive = || Reply::new().pod(pod("train-0", &both)).allocatable(GPU, &uuids[0]);
    let shared = "nvidia.com/gpu.shared";
    // The numbers of the device nodes are not the indexes on this machine: GPU 0 is /dev/nvidia2.
    let gke = Reply::new()
        .pod(pod("a", &[(GPU, "nvidia0/vgpu0")]))
        .pod(pod("b", &[(GPU, "nvidia0/vgpu1")]))
        .pod(pod("c", &[(GPU, "nvidia2")]));
    let index = Reply::new().pod(pod("a", &[(shared, "0::3")])).pod(pod("b", &[(GPU, "1")]));
    let virtual_gpus = &["--kubernetes-virtual-gpus"][..];
    for (name, args, reply) in [
        ("exclusive", &[][..], exclusive()),
        ("exclusive-info", &["--attribution", "info"], exclusive()),
        ("exclusive-old-names", &["-o"], exclusive()),
        ("none", &[], Reply::new().allocatable(GPU, &uuids[0])),
        // MPS has the same ids.
        ("time-sliced", &[], each(&replicas)),
        ("time-sliced-virtual", virtual_gpus, each(&replicas)),
        ("time-sliced-info", &["--attribution", "info"], each(&replicas[..2])),
        ("gke", &[], gke),
        ("hami", virtual_gpus, each(&hami)),
        ("index", &["--kubernetes-gpu-id-type", "device-name"], index),
    ] {
        node.kubelet.set(reply);
        let exporter = node.started(args);
        if name == "none" {
            // If the kubelet is slow to say which GPUs it has, it is asked again after a minute.
            exporter.wait_for("the GPUs of the kubelet", 2 * PATIENCE, |page| {
                page.samples("heatsink_gpu_allocated").len() == 1
            });
        }
        check(name, &exporter);
    }
}

/// A machine in a cluster.
pub(crate) struct Cluster {
    pub(crate) node: Node,
    pub(crate) api: ApiServer,
}

impl Cluster {
    pub(crate) fn new(machine: &str, gpus: usize) -> Self {
        let mut node = Node::new(machine, gpus);
        let folder = node.rig.path("service-account");
        std::fs::create_dir(&folder).expect("the temporary folder can be written");
        let api = ApiServer::start(&folder);
        let port = api.address().port().to_string();
        node.rig = node
            .rig
            .with("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .with("KUBERNETES_SERVICE_PORT", &port)
            .with("HEATSINK_KUBERNETES_SERVICE_ACCOUNT", &folder.display().to_string());
        Self { node, api }
    }
}

/// A pod of the API server, on this node.
pub(crate) fn api_pod(name: &str, labels: &Value, phase: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "ml", "uid": format!("uid-of-{name}"), "labels": labels
        },
        "spec": { "nodeName": "node-1" },
        "status": { "phase": phase },
    })
}

#[test]
fn pods_have_their_labels_and_uids() {
    let mut cluster = Cluster::new("h100x2", 2);
    let uuids = [0, 1].map(|gpu| cluster.node.rig.uuid(gpu).to_owned());
    let labels = json!({
        "app.kubernetes.io/name": "llama", "team": "research", "gpu": "many", "secret": "x"
    });
    cluster.api.set("pods", api_pod("train-0", &labels, "Running"));
    cluster.api.set("pods", api_pod("ended", &json!({}), "Succeeded"));
    cluster.api.set("pods", api_pod("new", &json!({ "team": "b" }), "Running"));
    // As before Kubernetes 1.34, the kubelet lists a pod that has ended.
    let reply = Reply::new()
        .pod(pod("train-0", &[(GPU, &uuids[0])]))
        .pod(pod("new", &[(GPU, &uuids[1])]))
        .pod(pod("ended", &[(GPU, &uuids[1])]));
    cluster.node.kubelet.set(reply);
    let args = [
        "--kubernetes-enable-pod-labels",
        "--kubernetes-enable-pod-uid",
        "--kubernetes-pod-label-allowlist-regex",
        "^app,^team$,^gpu$",
    ];
    let exporter = cluster.node.started(&args);
    let has_uid = |page: &Page, uid| {
        let temperatures = page.samples("DCGM_FI_DEV_GPU_TEMP");
        temperatures.iter().any(|sample| sample.label("pod_uid") == Some(uid))
    };
    exporter.wait_for("the pods of the API server", PATIENCE, |page| has_uid(page, "uid-of-new"));
    check("pod-labels", &exporter);

    // Nothing is asked for beyond this node.
    let is_of_node = |request: &Request| request.selector() == "spec.nodeName=node-1";
    assert!(cluster.api.requests().iter().all(is_of_node));

    // Labels of a pod that change, change on the page.
    cluster.api.set("pods", api_pod("new", &json!({ "team": "c" }), "Running"));
    exporter.wait_for("the new label", PATIENCE, |page| {
        let temperatures = page.samples("DCGM_FI_DEV_GPU_TEMP");
        temperatures.iter().any(|sample| sample.label("team") == Some("c"))
    });
}

#[test]
fn missing_rights_cost_labels_and_are_named() {
    let mut cluster = Cluster::new("h100x2", 2);
    let uuid = cluster.node.rig.uuid(0).to_owned();
    cluster.node.kubelet.set(Reply::new().pod(pod("train-0", &[(GPU, &uuid)])));
    let forbidden = Fault::Status { code: 403, retry_after: None };
    cluster.api.inject("*", Verb::List, forbidden);
    let args = ["--kubernetes-enable-pod-labels", "--kubernetes-enable-dra"];
    let exporter = cluster.node.started(&args);
    let warnings = |log: &str, rule: &str| {
        log.lines().filter(|line| line.contains("WARN") && line.contains(rule)).count()
    };
    let rules = ["list, watch on pods", "list, watch on resourceslices"];
    let (page, _) = exporter.wait_for("both are refused, and that is logged", PATIENCE, |page| {
        let log = exporter.log();
        let are_counted = ["pods", "resourceslices"].iter().all(|refresher| {
            let errors = metric("heatsink_attribution_errors_total").label("refresher", *refresher);
            page.value_of(&errors.label("reason", "forbidden")).is_some()
        });
        up(page) == 2 && are_counted && rules.iter().all(|rule| warnings(&log, rule) > 0)
    });
    assert!(has_pod(&page), "the kubelet needs no right");
    let (_, _, log) = exporter.terminate();
    for rule in rules {
        assert_eq!(warnings(&log, rule), 1, "{rule}: {log}");
    }
}

/// Devices of resource claims: a GPU that one pod has, one that two share, and a MIG device that the
/// driver has made for its claim.
#[test]
fn claims_have_their_pages() {
    let mut cluster = Cluster::new("a100x2-mig", 2);
    let rig = &cluster.node.rig;
    let uuids = [0, 1].map(|gpu| rig.uuid(gpu).to_owned());
    let mig = "MIG-9760ef21-55bc-45bb-9fd2-896dec3d0f30";
    let gpu = json!({ "name": "gpu-0", "attributes": {
        "type": { "string": "gpu" }, "uuid": { "string": uuids[0] }
    } });
    let made = json!({ "name": "gpu-1-mig-3g.20gb-9-0", "attributes": {
        "type": { "string": "mig" }, "profile": { "string": "3g.20gb" }
    } });
    let slice = json!({
        "metadata": { "name": "slice-1" },
        "spec": {
            "driver": "gpu.nvidia.com", "nodeName": "node-1",
            "pool": { "name": "node-1", "generation": 1, "resourceSliceCount": 1 },
            "devices": [gpu, made],
        },
    });
    cluster.api.set("resourceslices", slice);
    let checkpoint = json!({ "checksum": 1, "v2": { "preparedClaims": { "uid-1": {
        "checkpointState": "PrepareCompleted", "name": "slice-of-gpu", "namespace": "ml",
        "preparedDevices": [{ "devices": [{ "mig": {
            "concrete": { "parentUUID": uuids[1], "giId": 2, "ciId": 0, "migUUID": mig },
            "device": { "DeviceName": "gpu-1-mig-3g.20gb-9-0", "PoolName": "node-1" },
        } }] }],
    } } } });
    let file = rig.file("checkpoint.json", checkpoint.to_string());
    let claimed = |pod: &str, claim: &str, device: &str, share: Option<&str>| {
        let claim = Claim {
            name: claim,
            namespace: "ml",
            driver: "gpu.nvidia.com",
            pool: "node-1",
            device,
            share,
        };
        Pod::new("ml", pod).container(Container::new("main").claim(claim))
    };
    let mig_pod = || claimed("infer", "slice-of-gpu", "gpu-1-mig-3g.20gb-9-0", None);
    let exclusive = Reply::new().pod(claimed("train", "gpus", "gpu-0", None)).pod(mig_pod());
    let shared = Reply::new().pod(claimed("a", "gpus", "gpu-0", Some("s1"))).pod(claimed(
        "b",
        "gpus",
        "gpu-0",
        Some("s2"),
    ));
    let args = ["--kubernetes-enable-dra", "--dra-checkpoint", &file];
    for (name, reply) in [("dra", exclusive), ("dra-shared", shared)] {
        cluster.node.kubelet.set(reply);
        let exporter = cluster.node.started(&args);
        exporter.wait_for("the claims", PATIENCE, |page| {
            page.samples("heatsink_gpu_holder_info").len() == 2
        });
        check(name, &exporter);
    }
}

#[test]
fn instances_have_the_labels_of_their_pods() {
    let mut node = Node::new("a100x2-mig", 2);
    let (page, _) = node.started(&[]).wait_for("instances", PATIENCE, |page| {
        let memory = page.samples("DCGM_FI_DEV_FB_USED");
        memory.iter().any(|sample| sample.label("GPU_I_ID").is_some())
    });
    let instances = page.samples("DCGM_FI_DEV_FB_USED");
    let instance = instances.iter().find(|sample| sample.label("GPU_I_ID").is_some());
    let instance = instance.expect("the machine has instances");
    let [gpu, id] = ["gpu", "GPU_I_ID"].map(|name| instance.label(name).expect("it has one"));
    let number: usize = gpu.parse().expect("a number");
    let old = format!("MIG-{}/{id}/0", node.rig.uuid(number));
    let mig = "nvidia.com/mig-3g.20gb";
    let gke = format!("nvidia{gpu}/gi{id}");
    let new = "MIG-9760ef21-55bc-45bb-9fd2-896dec3d0f30";
    for (name, args, resource, id) in [
        // As in the fixture. The strategy `single` of the device plugin calls it a GPU.
        ("mig", &[][..], mig, new),
        ("mig-single", &["-o"], GPU, new),
        ("mig-old-id", &[], mig, &old),
        ("mig-and-gpus", &["-d", "g+i"], mig, &old),
        ("mig-gke", &[], mig, &gke),
    ] {
        node.kubelet.set(Reply::new().pod(pod("infer", &[(resource, id)])));
        check(name, &node.started(args));
    }
}

/// Whether GPU 0 has a pod.
fn has_pod(page: &Page) -> bool {
    let temperatures = page.samples("DCGM_FI_DEV_GPU_TEMP");
    assert_eq!(temperatures.len(), 2, "no GPU loses its series");
    temperatures.iter().any(|sample| sample.label("pod").is_some())
}

#[test]
fn labels_outlive_a_kubelet_for_a_time_and_gpus_for_ever() {
    let mut node = Node::new("h100x2", 2);
    let uuid = node.rig.uuid(0).to_owned();
    let reply = || Reply::new().pod(pod("train-0", &[(GPU, &uuid)]));
    node.kubelet.set(reply());
    let exporter = node.started(&["--attribution-max-age", "3s"]);
    exporter.wait_for("the labels", PATIENCE, |page| up(page) == 2 && has_pod(page));
    let answered = metric("heatsink_attribution_last_success_timestamp_seconds");
    let answered = answered.label("refresher", "kubelet");
    for (fault, reason) in [
        (None, "absent"),
        (Some(kubelet::Fault::Hang), "timeout"),
        (Some(kubelet::Fault::Unimplemented), "unimplemented"),
        (Some(kubelet::Fault::ResourceExhausted), "rate_limited"),
    ] {
        match fault {
            None => node.kubelet.vanish(),
            Some(fault) => node.kubelet.set_fault(Call::List, fault),
        }
        // A look that hangs takes five seconds.
        watch(&exporter, Duration::from_millis(1500), |page| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
            let answered = page.value_of(&answered).expect("the kubelet has answered");
            let age = now.as_secs_f64() - answered;
            // On a busy machine the last answer may be older than the fault.
            assert!(has_pod(page) || age > 2.9, "{reason}: gone after {age} s");
        });
        let (page, _) = exporter.wait_for("the labels are gone", PATIENCE, |page| !has_pod(page));
        assert_eq!(up(&page), 2);
        exporter.wait_for("the error is counted", PATIENCE, |page| {
            let errors = metric("heatsink_attribution_errors_total").label("reason", reason);
            kubelet_up(page) == Some(0.0) && page.value_of(&errors).is_some_and(|count| count > 0.0)
        });
        // Unknown is not free.
        assert!(exporter.page().samples("heatsink_gpu_allocated").is_empty());
        node.kubelet.come_back();
        node.kubelet.set(reply());
        exporter.wait_for("the labels are back", 2 * PATIENCE, has_pod);
    }
}

#[test]
fn an_old_kubelet_that_goes_on_answering_is_not_asked() {
    let mut node = Node::new("h100x2", 2);
    let uuid = node.rig.uuid(0).to_owned();
    node.kubelet.set(Reply::new().pod(pod("old", &[(GPU, &uuid)])));
    let exporter = node.started(&[]);
    node.kubelet.restart_beside_old();
    node.kubelet.set(Reply::new().pod(pod("new", &[(GPU, &uuid)])));
    let has_new = |page: &Page| {
        page.samples("DCGM_FI_DEV_GPU_TEMP").iter().any(|sample| sample.label("pod") == Some("new"))
    };
    exporter.wait_for("the new pod", PATIENCE, has_new);
    watch(&exporter, Duration::from_secs(1), |page| assert!(has_new(page)));
}

#[test]
fn a_large_or_strange_reply_costs_nothing_but_labels() {
    let mut node = Node::new("h100x2", 2);
    let exporter = node.started(&[]);
    let strange =
        pod("a\n\"\\", &[(GPU, "GPU-\n"), (GPU, ""), (GPU, "nvidia99999999999"), (GPU, "0::1")]);
    let entries = metric("heatsink_attribution_entries").label("refresher", "kubelet");
    let errors = |page: &Page, reason| {
        let errors = metric("heatsink_attribution_errors_total").label("refresher", "kubelet");
        page.value_of(&errors.label("reason", reason)).unwrap_or_default()
    };
    for (reply, reason, count) in [
        (Reply::of_pods(10_000), None, Some(10_000.0)),
        (Reply::of_bytes(16 * 1024 * 1024 - 4096), None, Some(4_300.0)),
        (Reply::of_bytes(17 * 1024 * 1024), Some("too_large"), None),
        (Reply::new().raw_pod(vec![0xff; 100]), Some("malformed"), None),
        (Reply::new().pod(strange), Some("malformed"), Some(1.0)),
    ] {
        let before = errors(&exporter.page(), reason.unwrap_or_default());
        node.kubelet.set(reply);
        exporter.wait_for("the reply is read", 2 * PATIENCE, |page| {
            assert_eq!(up(page), 2);
            let is_counted = reason.is_none_or(|reason| errors(page, reason) > before);
            let has = |count: f64| {
                let entries = page.value_of(&entries).unwrap_or_default();
                (count..2.0 * count).contains(&entries)
            };
            is_counted && count.is_none_or(has)
        });
    }
}

#[test]
fn job_files_label_their_gpus() {
    let rig = Rig::machine("a100x2-mig");
    let folder = rig.path("jobs");
    let args = ["--hpc-job-mapping-dir", &folder.display().to_string(), "-d", "g+i"];
    let exporter = rig.started(&[&args[..], &["--attribution-interval", "200ms"]].concat(), 2);
    exporter.wait_for("the folder is missed", PATIENCE, |page| {
        let errors = metric("heatsink_attribution_errors_total").label("refresher", "jobs");
        page.value_of(&errors.label("reason", "absent")).is_some()
    });
    std::fs::create_dir(&folder).expect("the temporary folder can be written");
    std::fs::write(folder.join("0"), "4711\n4712\n").expect("it can be written");
    // A quote, a backslash, and bytes that are not UTF-8.
    std::fs::write(folder.join("1.2"), b"a\"b\\c\xff\xfe\n").expect("it can be written");
    let (page, _) = exporter
        .wait_for("the jobs", PATIENCE, |page| page.samples("heatsink_gpu_holder_info").len() == 3);
    check("jobs", &exporter);
    let ids = page.samples("heatsink_gpu_holder_info");
    let ids: Vec<_> = ids.iter().filter_map(|sample| sample.label("job_id")).collect();
    assert_eq!(ids, ["4711", "4712", "a\"b\\c\u{fffd}\u{fffd}"], "values round-trip");
    std::fs::remove_file(folder.join("0")).expect("it can be removed");
    exporter.wait_for("the end of the jobs", PATIENCE, |page| {
        page.samples("heatsink_gpu_holder_info").len() == 1
    });
}
