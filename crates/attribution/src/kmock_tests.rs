//! Tests of what follows the API server, against one that this project did not write.
//!
//! They need Python and a package registry, so they are run on request:
//! `cargo test -p attribution kmock -- --ignored`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fake_kubernetes::api_server::ApiServer as Server;
use model::{DeviceKey, Moment};
use serde_json::{Value, json};

use crate::parts::{Part, PartKind, PodFacts, SliceDevice};
use crate::pod_labels::AllowList;
use crate::settings::{ApiServer, DraSettings, PodLabelSettings, PodSettings};
use crate::shared::Shared;
use crate::{pods, resource_slices};

const INTERVAL: Duration = Duration::from_millis(100);

/// A running `server.py`.
struct Kmock {
    process: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Kmock {
    fn start() -> Self {
        let folder = root().join("test/fake-kubernetes/kmock");
        let mut process = Command::new(python(&folder.join("requirements.txt")))
            .arg(folder.join("server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        Self { input: process.stdin.take(), process, lines, url }
    }

    fn request(&mut self, method: &str, path: &str, body: Value) {
        let line = json!([method, path, body]);
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        assert_eq!(self.lines.next().unwrap().unwrap(), "200", "{line}");
    }

    /// Ends it. Returns the requests of others.
    fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        self.lines.by_ref().map(Result::unwrap).collect()
    }
}

impl Drop for Kmock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A Python environment with these packages.
fn python(requirements: &Path) -> PathBuf {
    let folder = root().join("target/python/kmock");
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let python = folder.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
    run(Command::new(&python).args(pip).arg("--requirement").arg(requirements));
    python
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(30), "not {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "uid": name, "labels": {"app": name}},
        "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"},
    })
}

#[test]
#[ignore = "needs Python and a package registry"]
fn kmock_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    // For the files of a service account only.
    drop(Server::start(folder.path()));
    let mut kmock = Kmock::start();
    let api = ApiServer {
        url: kmock.url.clone(),
        service_account: folder.path().to_owned(),
        node_name: "node-a".into(),
    };
    let slice = json!({"metadata": {"name": "s"}, "spec": {
        "driver": "gpu.nvidia.com", "nodeName": "node-a", "pool": {"name": "node-a", "generation": 1},
        "devices": [{"name": "gpu-0", "attributes": {"uuid": {"string": "GPU-7"}}}],
    }});
    kmock.request("POST", "/api/v1/namespaces/team/pods", pod("one"));
    kmock.request("POST", "/apis/resource.k8s.io/v1/resourceslices", slice);

    let labels = PodLabelSettings { allow: Arc::new(AllowList::default()), most: 20 };
    let pods_shared = Shared::of(PartKind::Pods, INTERVAL);
    pods::start(&pods_shared, &PodSettings { api: api.clone(), labels: Some(labels) }).unwrap();
    let slices_shared = Shared::of(PartKind::ResourceSlices, INTERVAL);
    let dra = DraSettings { api, checkpoint: "/nowhere".into() };
    resource_slices::start(&slices_shared, &dra).unwrap();

    let facts = |name: &str, has_ended: bool| PodFacts {
        uid: name.into(),
        labels: [("app".into(), name.into())].into(),
        has_ended,
    };
    let are = |expected: &[PodFacts]| {
        let Some(Part::Pods(part)) = pods_shared.part(PartKind::Pods) else { return false };
        let mut pods: Vec<PodFacts> = part.pods.values().cloned().collect();
        pods.sort_by(|one, other| one.uid.cmp(&other.uid));
        pods == expected
    };
    wait_until("one pod", || are(&[facts("one", false)]));
    kmock.request("POST", "/api/v1/namespaces/team/pods", pod("two"));
    wait_until("two pods", || are(&[facts("one", false), facts("two", false)]));
    let failed = json!({"status": {"phase": "Failed"}});
    kmock.request("PATCH", "/api/v1/namespaces/team/pods/one", failed);
    wait_until("a pod that has ended", || are(&[facts("one", true), facts("two", false)]));
    kmock.request("DELETE", "/api/v1/namespaces/team/pods/one", Value::Null);
    wait_until("a pod that is deleted", || are(&[facts("two", false)]));

    let device = SliceDevice {
        driver: "gpu.nvidia.com".into(),
        pool: "node-a".into(),
        device: "gpu-0".into(),
    };
    wait_until("a slice", || match slices_shared.part(PartKind::ResourceSlices) {
        Some(Part::ResourceSlices(part)) => part
            .devices
            .get(&device)
            .is_some_and(|facts| facts.key == Some(DeviceKey::uuid("gpu-7"))),
        _ => false,
    });
    for shared in [&pods_shared, &slices_shared] {
        let health = shared.current(Moment::now()).refreshers[0].clone();
        assert!(health.up && health.errors.is_empty(), "{health:?}");
        shared.stop();
    }
    let requests = kmock.end();
    assert_eq!(requests.len(), 4, "a list and a watch each: {requests:#?}");
    let is_for_node = |request: &String| request.contains("fieldSelector=spec.nodeName%3Dnode-a");
    assert!(requests.iter().all(is_for_node), "{requests:#?}");
}
