//! The cost of knowing who uses the GPUs: 16 GPUs with ten shares each, and 110 pods on the node.
//!
//! `cargo bench -p heatsink --bench holders` prints each figure with its target. The kubelet and the API
//! server are fakes in this process.

mod measure;
#[path = "../tests/rig/mod.rs"]
mod rig;

use std::thread;
use std::time::Duration;

use fake_kubernetes::api_server::ApiServer;
use fake_kubernetes::kubelet::{Container, FakeKubelet, Pod, Reply};
use measure::{better, complete, cpu, latencies, machine, percentile, resident, row};
use rig::{PATIENCE, Rig};
use serde_json::json;
use testkit::exporter::Exporter;

const GPUS: usize = 16;
const SHARES: usize = 10;
const PODS: usize = 110;

/// Looks at the kubelet are counted over this time, ten a second.
const SPAN: Duration = Duration::from_secs(20);

fn main() {
    println!("machine: {}", machine());
    println!("{GPUS} GPUs x {SHARES} shares, {PODS} pods\n");
    println!("{:58} {:>12}  target", "figure", "measured");
    let rig = Rig::new().with("FAKE_NVML_GPUS", &GPUS.to_string());
    let mut kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
    kubelet.set(reply());
    let socket = kubelet.socket().display().to_string();
    let folder = rig.path("service-account");
    std::fs::create_dir(&folder).expect("the temporary folder can be written");
    let api = ApiServer::start(&folder);
    for number in 0..PODS {
        api.set("pods", pod(number));
    }
    let rig = rig
        .with("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .with("KUBERNETES_SERVICE_PORT", &api.address().port().to_string());

    let kubelet_args = ["-k", "--pod-resources-kubelet-socket", &socket];
    let account = api.service_account().display().to_string();
    let labels = ["--kubernetes-enable-pod-labels", "--kubernetes-service-account", &account];
    let with_labels = [&kubelet_args[..], &labels].concat();

    let plain = cost("without holders", &rig, &[], None);
    let of_kubelet = cost("-k", &rig, &kubelet_args, Some("<= 10"));
    let info = [&kubelet_args[..], &["--attribution", "info"]].concat();
    let of_info = cost("-k, info", &rig, &info, Some("<= 10"));
    let of_labels = cost("-k, pod labels", &rig, &with_labels, Some("<= 16"));
    let virtual_gpus = [&kubelet_args[..], &["--kubernetes-virtual-gpus"]].concat();
    let of_virtual = cost("-k, virtual GPUs", &rig, &virtual_gpus, None);
    println!();
    for (name, get) in [
        ("GET with -k, as a multiple of a plain one", of_kubelet),
        ("GET with -k, info", of_info),
        ("GET with -k, pod labels", of_labels),
    ] {
        row(name, get / plain, "<= 2");
    }
    row("GET with -k, virtual GPUs", of_virtual / plain, "");

    let idle = refresh(&rig, &[]);
    for (name, args) in [("-k", &kubelet_args[..]), ("-k, pod labels", &with_labels)] {
        let spent = refresh(&rig, args) - idle;
        row(&format!("CPU of a refresh, {name} (ms)"), spent, "<= 10");
    }
}

/// Prints what a page costs. Returns the median time of a GET.
fn cost(name: &str, rig: &Rig, args: &[&str], target: Option<&str>) -> f64 {
    let exporter = started(rig, args);
    let page = exporter.page();
    row(&format!("{name}: series"), page.all_samples().count() as f64, "");
    let gzip = latencies(&exporter, "gzip");
    let again = latencies(&exporter, "gzip");
    let median = better(&gzip, &again, 50);
    row(&format!("{name}: GET p50, gzip (ms)"), median, "");
    row(&format!("{name}: GET p99, gzip (ms)"), percentile(&again, 99), "");
    row(&format!("{name}: resident memory (MiB)"), resident(&exporter), target.unwrap_or(""));
    median
}

fn started(rig: &Rig, args: &[&str]) -> Exporter {
    let exporter = complete(rig, args, GPUS);
    if args.contains(&"-k") {
        exporter.wait_for("all holders", PATIENCE, |page| {
            page.samples("heatsink_gpu_holder_info").len() == GPUS * SHARES
        });
    }
    exporter
}

/// Processor time of a tenth of a second with one look at the kubelet, in ms.
fn refresh(rig: &Rig, args: &[&str]) -> f64 {
    let often = [args, &["--attribution-interval", "100ms"]].concat();
    let exporter = started(rig, &often);
    let before = cpu(&exporter);
    thread::sleep(SPAN);
    (cpu(&exporter) - before) * 1000.0 / (SPAN.as_secs_f64() * 10.0)
}

/// Each share belongs to a pod; some pods have two.
fn reply() -> Reply {
    let mut pods: Vec<Vec<String>> = vec![Vec::new(); PODS];
    for share in 0..GPUS * SHARES {
        let id = format!("{}::{}", share % GPUS, share / GPUS);
        pods[share % PODS].push(id);
    }
    let pods = pods.into_iter().enumerate();
    pods.fold(Reply::new(), |reply, (number, ids)| {
        let device = |container: Container, id: &String| container.device("nvidia.com/gpu", id);
        let container = ids.iter().fold(Container::new("main"), device);
        reply.pod(Pod::new("ml", format!("pod-{number}")).container(container))
    })
}

/// A pod with 20 labels.
fn pod(number: usize) -> serde_json::Value {
    let labels: serde_json::Map<String, serde_json::Value> = (0..20)
        .map(|label| {
            (format!("example.com/label-{label}"), json!(format!("value-{number}-{label}")))
        })
        .collect();
    json!({
        "metadata": {
            "name": format!("pod-{number}"),
            "namespace": "ml",
            "uid": format!("00000000-0000-0000-0000-{number:012}"),
            "labels": labels,
        },
        "spec": { "nodeName": "node-1" },
        "status": { "phase": "Running" },
    })
}
