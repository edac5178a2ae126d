//! Tests of what follows the API server, against a fake one with faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fake_kubernetes::api_server::{ApiServer as Server, Fault, Request, Verb};
use model::{DeviceKey, GpuKey, Moment, RefresherView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parts::{Part, PartKind, PodFacts, PodsPart, SliceDevice, SliceFacts, SlicesPart};
use crate::pod_labels::AllowList;
use crate::settings::{ApiServer, DraSettings, PodLabelSettings, PodSettings};
use crate::shared::Shared;
use crate::{pods, resource_slices};

const NODE: &str = "node-a";

const INTERVAL: Duration = Duration::from_millis(20);

/// A refresher, and the API server that it follows.
struct Follow {
    kind: PartKind,
    shared: Arc<Shared>,
    server: Server,
    _folder: TempDir,
}

impl Follow {
    /// Starts the refresher `pods`.
    fn pods(server: Server, folder: TempDir) -> Self {
        let patterns = ["^app", "^label-"].map(str::to_owned);
        let allow = Arc::new(AllowList::new(&patterns).unwrap().0);
        let labels = Some(PodLabelSettings { allow, most: 20 });
        let settings = PodSettings { api: api(&server), labels };
        let shared = Shared::of(PartKind::Pods, INTERVAL);
        pods::start(&shared, &settings).unwrap();
        Self { kind: PartKind::Pods, shared, server, _folder: folder }
    }

    /// Starts the refresher `resourceslices`.
    fn slices(server: Server, folder: TempDir) -> Self {
        let settings = DraSettings { api: api(&server), checkpoint: "/nowhere".into() };
        let shared = Shared::of(PartKind::ResourceSlices, INTERVAL);
        resource_slices::start(&shared, &settings).unwrap();
        Self { kind: PartKind::ResourceSlices, shared, server, _folder: folder }
    }

    fn health(&self) -> RefresherView {
        self.shared.current(Moment::now()).refreshers[0].clone()
    }

    fn errors(&self, reason: &str) -> u64 {
        self.health().errors.get(reason).copied().unwrap_or(0)
    }

    fn current_pods(&self) -> Option<Arc<PodsPart>> {
        match self.shared.part(PartKind::Pods)? {
            Part::Pods(part) => Some(part),
            other => panic!("{other:?}"),
        }
    }

    fn current_slices(&self) -> Option<Arc<SlicesPart>> {
        match self.shared.part(PartKind::ResourceSlices)? {
            Part::ResourceSlices(part) => Some(part),
            other => panic!("{other:?}"),
        }
    }

    /// The names of the pods.
    fn names(&self) -> Option<Vec<String>> {
        let part = self.current_pods()?;
        let mut names: Vec<String> =
            part.pods.keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        names.sort();
        Some(names)
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        self.server.wait_until(what, |_| is_so(self));
    }

    /// Waits until the pods have these names, and the refresher is up.
    fn wait_for(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let what = format!("up with {names:?}");
        self.wait_until(&what, |follow| {
            follow.names().as_ref() == Some(&names) && follow.health().up
        });
    }

    fn wait_for_error(&self, reason: &str) {
        self.wait_until(&format!("an error `{reason}`"), |follow| {
            follow.errors(reason) > 0 && !follow.health().up
        });
    }

    fn wait_for_watch(&self) {
        self.server.wait_until("an open watch", |server| server.open_watches() == 1);
    }

    fn count(&self, verb: Verb) -> usize {
        self.server.requests().iter().filter(|request| request.verb == verb).count()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.shared.stop();
        // Whatever a test does, no request is for all nodes.
        if !std::thread::panicking() {
            let is_for_node = |request: &Request| request.selector() == "spec.nodeName=node-a";
            let requests = self.server.requests();
            assert!(requests.iter().all(is_for_node), "{:?}: {requests:#?}", self.kind);
        }
    }
}

fn new_server() -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Server::start(folder.path()), folder)
}

/// A server with one pod, and what follows it.
fn follow_one_pod() -> Follow {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/one"]);
    follow.wait_for_watch();
    follow
}

fn api(server: &Server) -> ApiServer {
    ApiServer {
        url: server.url(),
        service_account: server.service_account().to_owned(),
        node_name: NODE.into(),
    }
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "team", "uid": format!("uid-of-{name}"),
            "labels": {"app": name, "other": "no"},
            "annotations": {"note": "is not kept"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    })
}

fn facts(uid: &str, labels: &[(&str, &str)]) -> PodFacts {
    let labels = labels.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    PodFacts { uid: uid.into(), labels, has_ended: false }
}

#[test]
fn the_pods_of_this_node_are_listed_and_followed() {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    server.set("pods", pod("far", "node-b"));
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/one"]);
    let pods = &follow.current_pods().unwrap().pods;
    let name = ("team".into(), "one".into());
    assert_eq!(pods[&name], facts("uid-of-one", &[("app", "one")]));

    follow.server.set("pods", pod("two", NODE));
    follow.server.set("pods", pod("far-too", "node-b"));
    follow.wait_for(&["team/one", "team/two"]);
    follow.server.remove("pods", "team", "one");
    follow.wait_for(&["team/two"]);
    assert_eq!((follow.count(Verb::List), follow.count(Verb::Watch)), (1, 1));
}

#[test]
fn requests_come_from_the_memory_of_the_api_server_and_ask_for_bookmarks() {
    let follow = follow_one_pod();
    let requests = follow.server.requests();
    let query = |index: usize, name: &str| requests[index].query.get(name).map(String::as_str);
    assert_eq!(requests[0].path, "/api/v1/pods");
    assert_eq!(query(0, "resourceVersion"), Some("0"));
    assert_eq!(query(0, "resourceVersionMatch"), Some("NotOlderThan"));
    assert_eq!(query(1, "allowWatchBookmarks"), Some("true"));
    assert_eq!(query(1, "timeoutSeconds"), Some("290"));
    assert_eq!(query(1, "resourceVersion"), Some("2"));
    assert!(requests.iter().all(|request| request.token.as_deref() == Some("token-1")));
}

#[test]
fn a_pod_that_ends_is_marked_and_one_with_the_same_name_is_new() {
    let follow = follow_one_pod();
    let is = |follow: &Follow, uid: &str, has_ended: bool| {
        let pods = &follow.current_pods().unwrap().pods;
        let pod = &pods[&("team".into(), "one".into())];
        *pod.uid == *uid && pod.has_ended == has_ended
    };
    for phase in ["Succeeded", "Failed"] {
        let mut ended = pod("one", NODE);
        ended["status"]["phase"] = phase.into();
        follow.server.set("pods", ended);
        follow.wait_until("ended", |follow| is(follow, "uid-of-one", true));
        follow.server.set("pods", pod("one", NODE));
        follow.wait_until("running", |follow| is(follow, "uid-of-one", false));
    }
    let mut next = pod("one", NODE);
    next["metadata"]["uid"] = "another".into();
    follow.server.set("pods", next);
    follow.wait_until("another pod", |follow| is(follow, "another", false));
}

#[test]
fn changed_labels_are_seen() {
    let follow = follow_one_pod();
    let mut changed = pod("one", NODE);
    changed["metadata"]["labels"] = json!({"app": "new", "app.kubernetes.io/name": "a"});
    follow.server.set("pods", changed);
    let expected = facts("uid-of-one", &[("app", "new"), ("app_kubernetes_io_name", "a")]);
    follow.wait_until("new labels", |follow| {
        follow.current_pods().unwrap().pods.values().eq([&expected])
    });
}

#[test]
fn labels_above_the_limit_are_counted_once() {
    let (server, folder) = new_server();
    let labels: BTreeMap<String, String> =
        (0..200).map(|number| (format!("label-{number}"), "x".repeat(63))).collect();
    let mut many = pod("many", NODE);
    many["metadata"]["labels"] = json!(labels);
    server.set("pods", many.clone());
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/many"]);
    let cut = |follow: &Follow| {
        let part = follow.current_pods().unwrap();
        let kept = part.pods[&("team".into(), "many".into())].labels.len();
        (kept, part.labels_cut)
    };
    assert_eq!(cut(&follow), (20, Some(180)));

    // Another change, and another list, are not another cut.
    many["status"]["phase"] = "Pending".into();
    follow.server.set("pods", many.clone());
    follow.server.set("pods", pod("two", NODE));
    follow.wait_for(&["team/many", "team/two"]);
    follow.server.inject_once("pods", Verb::Watch, Fault::Gone);
    follow.server.end_watches();
    follow.wait_until("another list", |follow| follow.count(Verb::List) == 2);
    follow.wait_for_watch();
    assert_eq!(cut(&follow), (20, Some(180)));

    // Another pod of this name is.
    many["metadata"]["uid"] = "another".into();
    follow.server.set("pods", many);
    follow.wait_until("another pod", |follow| cut(follow) == (20, Some(360)));
}

#[test]
fn without_labels_only_uids_are_kept() {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    let shared = Shared::of(PartKind::Pods, INTERVAL);
    pods::start(&shared, &PodSettings { api: api(&server), labels: None }).unwrap();
    let follow = Follow { kind: PartKind::Pods, shared, server, _folder: folder };
    follow.wait_for(&["team/one"]);
    let part = follow.current_pods().unwrap();
    assert!(part.pods.values().eq([&facts("uid-of-one", &[])]));
    assert_eq!(part.labels_cut, None, "no label is asked for");
}

#[test]
fn a_watch_that_ends_goes_on_where_it_was() {
    let follow = follow_one_pod();
    follow.server.end_watches();
    follow.server.set("pods", pod("two", NODE));
    follow.wait_for(&["team/one", "team/two"]);
    follow.wait_until("a second watch", |follow| follow.count(Verb::Watch) >= 2);
    assert_eq!(follow.count(Verb::List), 1, "no second list");
    assert_eq!(follow.health().errors, BTreeMap::new());
}

#[test]
fn a_bookmark_moves_the_place_and_shows_that_the_watch_is_alive() {
    let follow = follow_one_pod();
    // The start of the watch is a success too: it is over once the watch has told of a pod.
    follow.server.set("pods", pod("near", NODE));
    follow.wait_for(&["team/near", "team/one"]);
    follow.server.set("pods", pod("far", "node-b"));
    let before = follow.health().last_success;
    follow.server.send_bookmarks();
    follow.wait_until("alive", |follow| follow.health().last_success > before);
    // With the place of the bookmark, the loss of the older history does no harm.
    follow.server.compact();
    follow.server.end_watches();
    follow.wait_until("a second watch", |follow| follow.count(Verb::Watch) == 2);
    follow.server.set("pods", pod("two", NODE));
    follow.wait_for(&["team/near", "team/one", "team/two"]);
    assert_eq!(follow.count(Verb::List), 1);
}

#[test]
fn a_forgotten_history_leads_to_a_new_list_and_is_no_error() {
    for fault in [Fault::Gone, Fault::Status { code: 410, retry_after: None }] {
        let follow = follow_one_pod();
        follow.server.inject_once("pods", Verb::Watch, fault);
        follow.server.inject("pods", Verb::List, Fault::Hang);
        follow.server.end_watches();
        follow.wait_until("a second list", |follow| follow.count(Verb::List) == 2);
        // Added and removed while there is no watch.
        follow.server.set("pods", pod("two", NODE));
        follow.server.remove("pods", "team", "one");
        assert_eq!(follow.names().unwrap(), ["team/one"], "the old list stays");
        follow.server.heal();
        follow.wait_for(&["team/two"]);
        follow.wait_for_watch();
        assert_eq!(follow.health().errors, BTreeMap::new());
    }
}

#[test]
fn an_object_that_breaks_off_is_read_again() {
    let follow = follow_one_pod();
    follow.server.inject_once("pods", Verb::Watch, Fault::Disconnect);
    follow.server.set("pods", pod("two", NODE));
    follow.wait_for(&["team/one", "team/two"]);
    assert_eq!(follow.count(Verb::List), 1, "no second list");
}

#[test]
fn a_list_that_breaks_off_is_read_again() {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    server.inject_once("pods", Verb::List, Fault::Disconnect);
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/one"]);
    assert_eq!(follow.errors("failed"), 1);
}

#[test]
fn errors_have_their_reason_and_go_away() {
    let status = |code| Fault::Status { code, retry_after: None };
    let cases = [
        (status(403), "forbidden"),
        (status(404), "unimplemented"),
        (Fault::Status { code: 429, retry_after: Some(1) }, "rate_limited"),
        (status(500), "failed"),
        (status(504), "timeout"),
        (Fault::Garbage, "malformed"),
    ];
    for (fault, reason) in cases {
        let (server, folder) = new_server();
        server.set("pods", pod("one", NODE));
        server.inject("pods", Verb::List, fault.clone());
        let follow = Follow::pods(server, folder);
        follow.wait_for_error(reason);
        assert_eq!(follow.names(), None, "{fault:?}");
        follow.server.heal();
        follow.wait_for(&["team/one"]);

        // The same for a watch. What was listed stays.
        follow.wait_for_watch();
        let before = follow.errors(reason);
        follow.server.inject("pods", Verb::Watch, fault.clone());
        follow.server.end_watches();
        follow.wait_until(reason, |follow| follow.errors(reason) > before);
        assert_eq!(follow.names().unwrap(), ["team/one"], "{fault:?}");
        follow.server.heal();
        follow.server.set("pods", pod("two", NODE));
        follow.wait_for(&["team/one", "team/two"]);
    }
}

#[test]
fn a_resource_that_is_forbidden_does_not_affect_another() {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    server.set("resourceslices", slice("s", 1, &[gpu(3)]));
    let fault = Fault::Status { code: 403, retry_after: None };
    server.inject("resourceslices", Verb::List, fault);
    let settings = DraSettings { api: api(&server), checkpoint: "/nowhere".into() };
    let other = Shared::of(PartKind::ResourceSlices, INTERVAL);
    resource_slices::start(&other, &settings).unwrap();
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/one"]);
    let health = |shared: &Shared| shared.current(Moment::now()).refreshers[0].clone();
    follow.wait_until("forbidden", |_| health(&other).errors.contains_key("forbidden"));
    assert_eq!(follow.health().errors, BTreeMap::new());
    follow.server.heal();
    follow.wait_until("healed", |_| health(&other).up);
    other.stop();
}

#[test]
fn a_token_that_expired_is_replaced_by_the_one_in_the_file() {
    let follow = follow_one_pod();
    follow.server.expire_token();
    follow.server.end_watches();
    follow.wait_for_error("unauthorized");
    assert_eq!(follow.names().unwrap(), ["team/one"]);
    follow.server.rotate_token();
    follow.server.set("pods", pod("two", NODE));
    follow.wait_for(&["team/one", "team/two"]);
    let last = follow.server.requests().pop().unwrap();
    assert_eq!(last.token.as_deref(), Some("token-3"));
}

#[test]
fn a_slow_list_is_waited_for() {
    let (server, folder) = new_server();
    server.set("pods", pod("one", NODE));
    server.inject("pods", Verb::List, Fault::Slow(Duration::from_millis(500)));
    let follow = Follow::pods(server, folder);
    follow.wait_for(&["team/one"]);
    assert_eq!(follow.count(Verb::List), 1);
    assert!(follow.health().duration.is_some());
}

#[test]
fn a_list_that_hangs_is_down_after_its_deadline() {
    let (server, folder) = new_server();
    server.inject("pods", Verb::List, Fault::Hang);
    let follow = Follow::pods(server, folder);
    follow.wait_until("a request", |follow| follow.count(Verb::List) == 1);
    let late = Moment::now() + Duration::from_secs(11);
    let health = follow.shared.current(late).refreshers[0].clone();
    assert_eq!((health.up, health.errors.get("timeout")), (false, Some(&1)));
    follow.server.set("pods", pod("one", NODE));
    follow.server.heal();
    follow.wait_for(&["team/one"]);
}

#[test]
fn missing_credentials_are_waited_for() {
    for file in ["token", "ca.crt"] {
        let (server, folder) = new_server();
        server.set("pods", pod("one", NODE));
        let path = folder.path().join(file);
        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let follow = Follow::pods(server, folder);
        follow.wait_for_error("absent");
        // Never half-written.
        let put = |text: &[u8]| {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, &path).unwrap();
        };
        put(b"no\ncredentials");
        follow.wait_for_error("malformed");
        assert_eq!(follow.count(Verb::List), 0, "{file}");
        put(&text);
        follow.wait_for(&["team/one"]);
    }
}

#[test]
fn an_api_server_that_is_not_there_is_waited_for() {
    let (server, folder) = new_server();
    let address = server.address();
    let settings = PodSettings { api: api(&server), labels: None };
    drop(server);
    let shared = Shared::of(PartKind::Pods, INTERVAL);
    pods::start(&shared, &settings).unwrap();
    let health = || shared.current(Moment::now()).refreshers[0].clone();
    let begin = SystemTime::now();
    while !health().errors.contains_key("absent") {
        assert!(begin.elapsed().unwrap() < Duration::from_secs(30), "{:?}", health());
        std::thread::sleep(Duration::from_millis(5));
    }
    // Its certificate is another one, too.
    let server = Server::start_at(folder.path(), address);
    server.set("pods", pod("one", NODE));
    let follow = Follow { kind: PartKind::Pods, shared, server, _folder: folder };
    follow.wait_for(&["team/one"]);
}

#[test]
fn an_api_server_with_a_certificate_of_another_authority_gets_no_token() {
    let (server, folder) = new_server();
    let (_other, other_folder) = new_server();
    std::fs::copy(other_folder.path().join("ca.crt"), folder.path().join("ca.crt")).unwrap();
    let follow = Follow::pods(server, folder);
    follow.wait_for_error("failed");
    assert_eq!(follow.server.requests(), []);
}

#[test]
fn a_burst_of_changes_is_read_completely() {
    let follow = follow_one_pod();
    for number in 0..300 {
        follow.server.set("pods", pod(&format!("burst-{number:03}"), NODE));
    }
    for number in 0..300 {
        if number != 7 {
            follow.server.remove("pods", "team", &format!("burst-{number:03}"));
        }
    }
    follow.wait_for(&["team/burst-007", "team/one"]);
    assert_eq!(follow.count(Verb::List), 1);
}

fn slice(name: &str, generation: i64, devices: &[Value]) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "driver": "gpu.nvidia.com", "nodeName": NODE, "devices": devices,
            "pool": {"name": NODE, "generation": generation, "resourceSliceCount": 1},
        },
    })
}

/// A GPU with a UUID, as the driver describes it.
fn gpu(minor: u32) -> Value {
    json!({"name": format!("gpu-{minor}"), "attributes": {
        "type": {"string": "gpu"},
        "uuid": {"string": format!("GPU-{minor}")},
        "productName": {"string": "NVIDIA H100"},
        "driverVersion": {"version": "580.0.0"},
        "numa": {"int": 1},
        "healthy": {"bool": true},
        "resource.kubernetes.io/pcieRoot": {"string": "pci0000:50"},
        "resource.kubernetes.io/pciBusID": {"string": "0000:65:00.0"},
    }})
}

fn device(name: &str) -> SliceDevice {
    SliceDevice { driver: "gpu.nvidia.com".into(), pool: NODE.into(), device: name.into() }
}

fn whole(key: DeviceKey) -> SliceFacts {
    SliceFacts { key: Some(key), mig_profile: None, mig_uuid: None }
}

#[test]
fn devices_are_known_by_uuid_minor_number_or_address() {
    let mig = "gpu-0-mig-1g.5gb-19-0";
    let common = json!({"type": {"string": "mig"}, "profile": {"string": "1g.5gb"},
        "parentUUID": {"string": "GPU-0"},
        "resource.kubernetes.io/pciBusID": {"string": "0000:65:00.0"}});
    let mut dynamic = json!({"name": mig, "attributes": common});
    let mut fixed = dynamic.clone();
    fixed["name"] = "gpu-1-mig-19-0-1".into();
    fixed["attributes"]["uuid"] = json!({"string": "MIG-7"});
    let bare = json!({"name": "gpu-5"});
    let address = json!({"name": "gpu-vfio-0", "attributes": {
        "pcieBusID": {"string": "0000:ca:00.0"}}});
    let qualified = json!({"name": "gpu-6", "attributes": {
        "gpu.nvidia.com/uuid": {"string": "GPU-6"}, "example.com/uuid": {"string": "no"}}});
    let unknown = json!({"name": "something", "attributes": {"uuid": {"string": ""}}});
    dynamic["attributes"]["type"] = Value::Null;
    let devices = [gpu(3), fixed, dynamic, bare, address, qualified, unknown];
    let (server, folder) = new_server();
    server.set("resourceslices", slice("s", 1, &devices));
    let follow = Follow::slices(server, folder);
    follow.wait_until("there", |follow| follow.current_slices().is_some());
    let expected = [
        (device("gpu-3"), whole(DeviceKey::uuid("gpu-3"))),
        (
            device("gpu-1-mig-19-0-1"),
            SliceFacts {
                key: Some(DeviceKey::uuid("mig-7")),
                mig_profile: Some("1g.5gb".into()),
                mig_uuid: Some("MIG-7".into()),
            },
        ),
        (device(mig), SliceFacts { key: None, mig_profile: Some("1g.5gb".into()), mig_uuid: None }),
        (device("gpu-5"), whole(DeviceKey::whole(GpuKey::Minor(5)))),
        (
            device("gpu-vfio-0"),
            whole(DeviceKey::whole(GpuKey::PciBusId("00000000:CA:00.0".into()))),
        ),
        (device("gpu-6"), whole(DeviceKey::uuid("gpu-6"))),
        (device("something"), SliceFacts { key: None, mig_profile: None, mig_uuid: None }),
    ];
    assert_eq!(follow.current_slices().unwrap().devices, expected.into());
}

#[test]
fn each_version_of_the_api_is_understood() {
    for versions in [&["v1"][..], &["v1beta2"], &["v1beta1"], &["v1beta1", "v1beta2"]] {
        let (server, folder) = new_server();
        server.set_dra_versions(versions);
        let mut old = gpu(3);
        if versions == ["v1beta1"] {
            old = json!({"name": "gpu-3", "basic": {"attributes": old["attributes"]}});
        }
        server.set("resourceslices", slice("s", 1, &[old]));
        let follow = Follow::slices(server, folder);
        follow.wait_until("there", |follow| follow.current_slices().is_some());
        let part = follow.current_slices().unwrap();
        assert_eq!(part.devices, [(device("gpu-3"), whole(DeviceKey::uuid("gpu-3")))].into());
        follow.wait_for_watch();
        let best = versions.last().unwrap();
        let path = follow.server.requests().pop().unwrap().path;
        assert_eq!(path, format!("/apis/resource.k8s.io/{best}/resourceslices"));
        assert_eq!(follow.health().errors, BTreeMap::new(), "{versions:?}");
    }
}

#[test]
fn a_cluster_without_the_api_is_asked_again_later() {
    let (server, folder) = new_server();
    server.set_dra_versions(&[]);
    server.set("resourceslices", slice("s", 1, &[gpu(3)]));
    let follow = Follow::slices(server, folder);
    follow.wait_for_error("unimplemented");
    follow.server.set_dra_versions(&["v1beta2"]);
    follow.wait_until("there", |follow| follow.health().up);
    // An upgrade takes the version away.
    follow.wait_for_watch();
    follow.server.set_dra_versions(&["v1"]);
    follow.server.end_watches();
    follow.wait_until("the next version", |follow| {
        let last = follow.server.requests().pop().unwrap();
        last.verb == Verb::Watch && last.path.contains("/v1/") && follow.health().up
    });
    assert_eq!(follow.current_slices().unwrap().devices.len(), 1);
}

#[test]
fn only_slices_of_this_node_and_driver_count_and_the_latest_generation_wins() {
    let (server, folder) = new_server();
    let mut far = slice("far", 9, &[gpu(9)]);
    far["spec"]["nodeName"] = "node-b".into();
    let mut other = slice("other", 9, &[gpu(8)]);
    other["spec"]["driver"] = "nic.example.com".into();
    let mut moved = gpu(3);
    moved["attributes"]["uuid"] = json!({"string": "GPU-new"});
    for (name, generation, device) in [("a", 2, &gpu(3)), ("b", 3, &moved), ("c", 1, &gpu(3))] {
        server.set("resourceslices", slice(name, generation, std::slice::from_ref(device)));
    }
    server.set("resourceslices", far);
    server.set("resourceslices", other);
    let follow = Follow::slices(server, folder);
    let is = |uuid: &'static str| {
        let expected = [(device("gpu-3"), whole(DeviceKey::uuid(uuid)))].into();
        move |follow: &Follow| {
            follow.current_slices().is_some_and(|slices| slices.devices == expected)
        }
    };
    follow.wait_until("new", is("gpu-new"));
    follow.server.remove("resourceslices", "", "b");
    follow.wait_until("old", is("gpu-3"));
    follow.server.remove("resourceslices", "", "a");
    follow.server.remove("resourceslices", "", "c");
    follow.wait_until("none", |follow| follow.current_slices().unwrap().devices.is_empty());
}
