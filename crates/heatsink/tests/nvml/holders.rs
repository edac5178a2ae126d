//! Who uses the GPUs, from a kubelet and from job files: golden pages, and faults.
//!
//! The pages are goldens: `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml holders` rewrites them.

use std::time::Duration;

use crate::rig::{PATIENCE, Rig, up, watch};
use fake_kubernetes::kubelet::{Call, Claim, Container, FakeKubelet, Fault, Pod, Reply};
use testkit::exporter::Exporter;
use testkit::golden::check_golden;
use testkit::page::{Page, metric};

const GPU: &str = "nvidia.com/gpu";

/// A pod with one container.
fn pod(name: &str, devices: &[(&str, &str)]) -> Pod {
    let container = Container::new("main");
    let add = |container: Container, (resource, id): &(&str, &str)| container.device(resource, id);
    Pod::new("ml", name).container(devices.iter().fold(container, add))
}

/// A machine with a kubelet.
struct Node {
    rig: Rig,
    kubelet: FakeKubelet,
    gpus: usize,
}

impl Node {
    fn new(machine: &str, gpus: usize) -> Self {
        let rig = Rig::machine(machine);
        let kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
        Self { rig, kubelet, gpus }
    }

    /// Starts the binary, and waits for the first answer of the kubelet.
    fn started(&self, args: &[&str]) -> Exporter {
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

/// Compares the page with the golden file of this name.
fn check(name: &str, exporter: &Exporter) {
    check_golden(format!("holders/{name}.prom"), &about_holders(&exporter.get("/metrics").body));
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
    let gke = Reply::new()
        .pod(pod("a", &[(GPU, "nvidia0/vgpu0")]))
        .pod(pod("b", &[(GPU, "nvidia0/vgpu1")]))
        .pod(pod("c", &[(GPU, "nvidia1")]));
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
        ("gke", &[], gke),
        ("hami", virtual_gpus, each(&hami)),
        ("index", &["--kubernetes-gpu-id-type", "device-name"], index),
    ] {
        node.kubelet.set(reply);
        check(name, &node.started(args));
    }
}

#[test]
fn instances_have_the_labels_of_their_pods() {
    let mut node = Node::new("a100x2-mig", 2);
    let page = node.started(&[]).get("/metrics").body;
    let page = Page::parse(&page).expect("a well-formed page");
    let instances = page.samples("DCGM_FI_DEV_FB_USED");
    let instance = instances.iter().find(|sample| sample.label("GPU_I_ID").is_some());
    let instance = instance.expect("the machine has instances");
    let [gpu, id] = ["gpu", "GPU_I_ID"].map(|name| instance.label(name).expect("it has one"));
    let number: usize = gpu.parse().expect("a number");
    let old = format!("MIG-{}/{id}/0", node.rig.uuid(number));
    let mig = "nvidia.com/mig-3g.20gb";
    let gke = format!("nvidia{gpu}/gi{id}");
    for (name, args, id) in [
        // As in the fixture.
        ("mig", &[][..], "MIG-9760ef21-55bc-45bb-9fd2-896dec3d0f30"),
        ("mig-old-id", &[], &old),
        ("mig-and-gpus", &["-d", "g+i"], &old),
        ("mig-gke", &[], &gke),
    ] {
        node.kubelet.set(Reply::new().pod(pod("infer", &[(mig, id)])));
        check(name, &node.started(args));
    }
}
