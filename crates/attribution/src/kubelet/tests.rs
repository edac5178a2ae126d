//! The refresher with a kubelet that has faults.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use fake_kubernetes::kubelet::{
    Call, Claim, Container, FakeKubelet, Fault, Pod, REQUESTS_PER_SECOND, Reply, gpu_uuid,
};
use model::{DeviceKey, Moment, RefresherView};
use tempfile::TempDir;

use super::*;
use crate::error::ErrorReason;
use crate::parts::{ClaimedDevice, PodUse, SliceDevice, UsedDevice};
use crate::{Attributor, Settings};

/// Long enough for a reply of 16 MiB on a busy machine.
const PATIENT: Duration = Duration::from_secs(30);

/// For tests that wait for it.
const IMPATIENT: Duration = Duration::from_millis(300);

struct Setup {
    kubelet: FakeKubelet,
    refresher: Kubelet,
    // Dropped last.
    _folder: TempDir,
}

fn settings(socket: &Path) -> KubeletSettings {
    KubeletSettings {
        socket: socket.to_owned(),
        reads_claims: true,
        resource_names: vec!["example.com/gpu".to_owned()],
    }
}

/// A kubelet with one pod that has GPU 0.
fn setup(deadline: Duration) -> Setup {
    let folder = TempDir::new().expect("there is a folder");
    let mut kubelet = FakeKubelet::start(folder.path().join("kubelet.sock"));
    kubelet.set(one_pod("train"));
    let mut refresher = Kubelet::new(settings(kubelet.socket()), deadline);
    refresher.allocatable_deadline = deadline;
    Setup { kubelet, refresher, _folder: folder }
}

fn one_pod(name: &str) -> Reply {
    let container = Container::new("main").device("nvidia.com/gpu", gpu_uuid(0));
    Reply::new()
        .pod(Pod::new("ml", name).container(container))
        .allocatable("nvidia.com/gpu", gpu_uuid(0))
        .allocatable("nvidia.com/gpu", gpu_uuid(1))
        .allocatable("example.com/nic", "nic-0")
}

impl Setup {
    fn look(&mut self) -> Result<KubeletPart, RefreshError> {
        self.refresher.look()
    }

    /// A look at a kubelet that answers.
    fn part(&mut self) -> KubeletPart {
        self.look().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The pods of a look at a kubelet that answers.
    fn pods(&mut self) -> Vec<String> {
        self.part().uses.iter().map(|one| one.pod.to_string()).collect()
    }

    /// The error of a look at a kubelet that does not answer.
    fn error(&mut self) -> RefreshError {
        self.look().expect_err("it does not answer")
    }
}

fn plugin(id: &str) -> UsedDevice {
    UsedDevice::Plugin(DeviceId::parse(id).expect("the form is known"))
}

fn claimed(share: Option<&str>) -> UsedDevice {
    UsedDevice::Claim(ClaimedDevice {
        claim: "claim".into(),
        claim_namespace: "default".into(),
        device: SliceDevice {
            driver: "gpu.nvidia.com".into(),
            pool: "node".into(),
            device: "gpu-0".into(),
        },
        share: share.map(Arc::from),
    })
}

#[test]
fn a_use_has_the_names_of_its_pod_and_its_container() {
    let mut setup = setup(PATIENT);
    let wanted = PodUse {
        namespace: "ml".into(),
        pod: "train".into(),
        container: "main".into(),
        device: plugin(&gpu_uuid(0)),
        since: (1, 0),
    };
    let part = setup.part();
    assert_eq!(part.uses, [wanted]);
    let allocatable = part.allocatable.expect("the kubelet says");
    let keys: Vec<DeviceKey> = allocatable.into_iter().map(|id| id.key).collect();
    assert_eq!(keys, [DeviceKey::uuid(&gpu_uuid(0)), DeviceKey::uuid(&gpu_uuid(1))]);
}

#[test]
fn only_gpus_are_kept() {
    let mut setup = setup(PATIENT);
    let kept = [
        ("nvidia.com/gpu", "GPU-aa"),
        ("nvidia.com/gpu.shared", "GPU-bb::1"),
        ("nvidia.com/mig-1g.5gb", "MIG-cc"),
        ("nvidia.com/mig-1g.5gb.shared", "MIG-dd::0"),
        ("example.com/gpu", "nvidia0"),
    ];
    let dropped = [
        ("nvidia.com/gpumem", "GPU-aa"),
        ("nvidia.com/hostdev", "0"),
        ("nvidia.com/", "0"),
        ("example.com/gpu2", "0"),
        ("example.com/nic", "0"),
        ("cpu", "0"),
        ("", "0"),
    ];
    let other_claim = Claim { driver: "dra.net", device: "net1", ..Claim::default() };
    let container = kept
        .iter()
        .chain(&dropped)
        .fold(Container::new("main"), |container, device| container.device(device.0, device.1));
    let pods = Reply::new()
        .pod(Pod::new("ml", "without-containers"))
        .pod(Pod::new("ml", "without-gpu").container(Container::new("main")))
        .pod(Pod::new("ml", "with-claim").container(Container::new("main").claim(other_claim)))
        .pod(Pod::new("ml", "with-gpus").container(container));
    let all = kept.iter().chain(&dropped);
    setup.kubelet.set(all.fold(pods, |reply, device| reply.allocatable(device.0, device.1)));
    let part = setup.part();
    let devices: Vec<UsedDevice> = part.uses.into_iter().map(|one| one.device).collect();
    let wanted: Vec<UsedDevice> = kept.iter().map(|device| plugin(device.1)).collect();
    assert_eq!(devices, wanted);
    let allocatable = part.allocatable.into_iter().flatten().map(UsedDevice::Plugin);
    assert_eq!(allocatable.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_claimed_gpu_has_the_names_of_its_claim_and_its_share() {
    let mut setup = setup(PATIENT);
    let container = Container::new("main")
        .claim(Claim::default())
        .claim(Claim { share: Some(""), ..Claim::default() })
        .claim(Claim { share: Some("a5b2"), ..Claim::default() });
    setup.kubelet.set(Reply::new().pod(Pod::new("ml", "train").container(container)));
    let devices: Vec<UsedDevice> = setup.part().uses.into_iter().map(|one| one.device).collect();
    assert_eq!(devices, [claimed(None), claimed(None), claimed(Some("a5b2"))]);
}

/// `published_reply.hex` is encoded by Python's `protobuf` from the whole published interface, with all
/// fields that heatsink does not read: CPUs, memory, NUMA nodes and CDI devices.
#[test]
fn a_reply_of_the_published_interface_is_read() {
    let hex: Vec<u8> = include_bytes!("published_reply.hex").trim_ascii().to_vec();
    let digits = hex.iter().filter_map(|digit| char::from(*digit).to_digit(16));
    let digits: Vec<u32> = digits.collect();
    let bytes = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8);
    let reply = prost::Message::decode(bytes.collect::<bytes::Bytes>()).expect("it is a reply");
    let mut refresher = Kubelet::new(settings(Path::new("")), PATIENT);
    let uses = refresher.reader().uses(&reply).expect("it is understood");
    let devices: Vec<UsedDevice> = uses.iter().map(|one| one.device.clone()).collect();
    let UsedDevice::Claim(claim) = claimed(Some("a5b2")) else { panic!("it is claimed") };
    let wanted = [
        plugin("GPU-b8ea3855-276c-c9cb-b366-c6fa655957c5"),
        plugin("MIG-6b0f1c9c-4a10-5b0b-9d0a-d5b8ffb6c1a4"),
        UsedDevice::Claim(ClaimedDevice { claim_namespace: "ml".into(), ..claim }),
    ];
    assert_eq!(devices, wanted);
    for one in uses {
        assert_eq!((&*one.namespace, &*one.pod, &*one.container), ("ml", "train-0", "main"));
    }
}

#[test]
fn an_id_of_unknown_form_costs_only_itself() {
    let mut setup = setup(PATIENT);
    let container = Container::new("main")
        .device("nvidia.com/gpu", "gpu-zero")
        .device("nvidia.com/gpu", [0xff, 0x00])
        .device("nvidia.com/gpu", "x".repeat(1 << 20))
        .device("nvidia.com/gpu", "GPU-aa");
    setup.kubelet.set(Reply::new().pod(Pod::new("ml", "train").container(container)));
    let part = setup.part();
    assert_eq!(part.uses.len(), 1);
    assert_eq!(part.allocatable, Some(Vec::new()));
}

#[test]
fn a_name_that_is_not_utf8_is_shown_as_far_as_it_can_be() {
    let mut setup = setup(PATIENT);
    let container = Container::new(b"main\xff").device("nvidia.com/gpu", "GPU-aa");
    setup.kubelet.set(Reply::new().pod(Pod::new(b"m\xffl", b"\xff").container(container)));
    let one = &setup.part().uses[0];
    assert_eq!(
        (&*one.namespace, &*one.pod, &*one.container),
        ("m\u{fffd}l", "\u{fffd}", "main\u{fffd}")
    );
}

#[test]
fn one_connection_serves_all_looks() {
    let mut setup = setup(PATIENT);
    for _ in 0..5 {
        setup.part();
    }
    assert_eq!(setup.kubelet.connections(), 1);
    assert_eq!(setup.kubelet.requests(Call::List), 5);
    assert_eq!(setup.kubelet.most_in_flight(), 1);
}

#[test]
fn each_fault_has_its_reason_and_is_recovered_from() {
    let cases = [
        (Fault::Hang, ErrorReason::Timeout, "in time"),
        (Fault::Delay(PATIENT), ErrorReason::Timeout, "in time"),
        (Fault::Unimplemented, ErrorReason::Unimplemented, "Kubernetes 1.23"),
        (Fault::ResourceExhausted, ErrorReason::RateLimited, "too often"),
        (Fault::PermissionDenied, ErrorReason::NotPermitted, "not for you"),
        (Fault::Internal, ErrorReason::Malformed, "something broke"),
    ];
    for (fault, reason, text) in cases {
        let mut setup = setup(PATIENT);
        if reason == ErrorReason::Timeout {
            setup.refresher.deadline = IMPATIENT;
        }
        // One with a connection that was kept, one with a new one.
        for _ in 0..2 {
            setup.kubelet.set_fault(Call::List, fault);
            let error = setup.error();
            assert_eq!(error.reason, reason, "{fault:?}: {error}");
            assert!(error.message.contains(text), "{fault:?}: {error}");
            assert!(!error.message.contains('\n'), "{fault:?}: {error}");
        }
        setup.kubelet.set_fault(Call::List, Fault::None);
        setup.refresher.deadline = PATIENT;
        assert_eq!(setup.pods(), ["train"], "after {fault:?}");
        assert_eq!(setup.kubelet.most_in_flight(), 1, "{fault:?}");
    }
}

#[test]
fn an_answer_that_is_late_but_in_time_is_used() {
    let mut setup = setup(PATIENT);
    setup.kubelet.set_fault(Call::List, Fault::Delay(Duration::from_millis(20)));
    assert_eq!(setup.pods(), ["train"]);
}

#[test]
fn a_kubelet_that_asks_for_fewer_requests_is_answered_again_later() {
    let mut setup = setup(PATIENT);
    // A busy machine may make fewer requests than are admitted.
    setup.kubelet.admit_each_second(0.0);
    let looks: Vec<_> = (0..50).map(|_| setup.look()).collect();
    let reasons: Vec<_> = looks.into_iter().filter_map(|look| Some(look.err()?.reason)).collect();
    assert!(!reasons.is_empty(), "more than ten requests at once are too many");
    assert!(reasons.iter().all(|reason| *reason == ErrorReason::RateLimited), "{reasons:?}");
    setup.kubelet.admit_each_second(REQUESTS_PER_SECOND);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(setup.pods(), ["train"]);
}

#[test]
fn a_kubelet_that_vanishes_is_found_when_it_is_back() {
    let mut setup = setup(PATIENT);
    assert_eq!(setup.pods(), ["train"]);
    setup.kubelet.vanish();
    for _ in 0..2 {
        let error = setup.error();
        assert_eq!(error.reason, ErrorReason::Absent);
        assert!(error.message.contains("set --pod-resources-kubelet-socket"), "{error}");
    }
    setup.kubelet.come_back();
    assert_eq!(setup.pods(), ["train"]);
}

#[test]
fn a_kubelet_that_crashes_is_found_when_it_is_back() {
    let mut setup = setup(PATIENT);
    assert_eq!(setup.pods(), ["train"]);
    setup.kubelet.die();
    let error = setup.error();
    assert_eq!(error.reason, ErrorReason::Absent);
    assert!(error.message.contains("the kubelet does not run"), "{error}");
    setup.kubelet.come_back();
    assert_eq!(setup.pods(), ["train"]);
}

#[test]
fn a_kubelet_that_restarts_between_two_looks_costs_none() {
    let mut setup = setup(PATIENT);
    assert_eq!(setup.pods(), ["train"]);
    setup.kubelet.die();
    setup.kubelet.set(one_pod("infer"));
    setup.kubelet.come_back();
    assert_eq!(setup.pods(), ["infer"]);
    assert_eq!(setup.kubelet.connections(), 2);
    assert_eq!(setup.kubelet.requests(Call::Allocatable), 2, "it may be another kubelet");
}

#[test]
fn a_kubelet_that_ends_during_a_request_is_found_when_it_is_back() {
    let Setup { mut kubelet, mut refresher, _folder } = setup(PATIENT);
    kubelet.set_fault(Call::List, Fault::Hang);
    let look = thread::Builder::new().spawn(move || (refresher.look(), refresher));
    kubelet.wait_for_requests(Call::List, 1);
    kubelet.die();
    let (result, mut refresher) = look.expect("there is a thread").join().expect("no panic");
    let error = result.expect_err("the connection broke");
    assert_eq!(error.reason, ErrorReason::Failed, "{error}");
    kubelet.come_back();
    assert!(refresher.look().is_ok());
}

#[test]
fn the_server_of_an_old_socket_does_not_go_on_answering() {
    let mut setup = setup(PATIENT);
    assert_eq!(setup.pods(), ["train"]);
    setup.kubelet.restart_beside_old();
    setup.kubelet.set(one_pod("infer"));
    assert_eq!(setup.pods(), ["infer"]);
    assert_eq!(setup.kubelet.connections(), 2);
}

#[test]
fn ten_thousand_pods_are_read() {
    let mut setup = setup(PATIENT);
    setup.kubelet.set(Reply::of_pods(10_000));
    let part = setup.part();
    assert_eq!(part.uses.len(), 10_000);
    assert_eq!(&*part.uses[9_999].pod, "pod-9999");
}

#[test]
fn a_reply_may_have_16_mib_and_not_more() {
    let mut setup = setup(PATIENT);
    setup.kubelet.set(Reply::of_bytes((16 << 20) - 10_000));
    let pods = setup.part().uses.len();
    assert!(pods > 1_000, "{pods}");
    setup.kubelet.set(Reply::of_bytes((16 << 20) + 1));
    let error = setup.error();
    assert_eq!(error.reason, ErrorReason::TooLarge);
    assert!(error.message.contains("16777216"), "{error}");
    setup.kubelet.set(one_pod("train"));
    assert_eq!(setup.pods(), ["train"]);
}

#[test]
fn the_number_of_gpus_has_a_limit() {
    let mut setup = setup(PATIENT);
    setup.kubelet.set(Reply::of_pods(reply::MOST_DEVICES + 1));
    assert_eq!(setup.error().reason, ErrorReason::TooLarge);
    setup.kubelet.set(Reply::of_pods(reply::MOST_DEVICES));
    assert_eq!(setup.pods().len(), reply::MOST_DEVICES);
}

#[test]
fn a_pod_that_is_not_understood_costs_only_itself() {
    let mut setup = setup(PATIENT);
    assert!(!setup.part().is_incomplete);
    let gpu = Container::new("x".repeat(254)).device("nvidia.com/gpu", gpu_uuid(1));
    let long = || Pod::new("ml", "long").container(gpu.clone());
    // Containers (field 3) of 200 bytes that are not there.
    setup.kubelet.set(one_pod("train").raw_pod(vec![3 << 3 | 2, 200]).pod(long()));
    let part = setup.part();
    assert_eq!(part.uses.len(), 1);
    assert!(part.is_incomplete);
    assert_eq!(part.skipped, [(ErrorReason::Malformed, 2)].into());
    setup.kubelet.set(one_pod("train"));
    assert!(!setup.part().is_incomplete);
}

/// The most that a reply of 16 MiB can list: ids of one container, and entries of two bytes.
#[test]
fn what_would_take_much_memory_is_not_read_to_its_end() {
    let mut setup = setup(PATIENT);
    let ids = (0..MOST_IDS).fold(Container::new("main"), |container, number| {
        container.device("nvidia.com/gpu", format!("0::{number}"))
    });
    setup.kubelet.set(Reply::new().pod(Pod::new("ml", "all").container(ids)));
    assert_eq!(setup.error().reason, ErrorReason::TooLarge);
    let entries = Reply::new().raw_pod([3 << 3 | 2, 0].repeat(4 << 20));
    setup.kubelet.set(entries);
    assert_eq!(setup.pods(), [""; 0]);
}

const MOST_IDS: usize = reply::MOST_DEVICES + 1;

/// A kubelet before Kubernetes 1.34 lists the pods that have ended, in any order.
#[test]
fn a_use_keeps_the_place_at_which_it_was_first_seen() {
    let mut setup = setup(PATIENT);
    let pod = |name: &str| {
        Pod::new("ml", name).container(Container::new("main").device("nvidia.com/gpu", gpu_uuid(0)))
    };
    let mut since = |reply: Reply| -> Vec<(String, Since)> {
        setup.kubelet.set(reply);
        let uses = setup.part().uses;
        let mut uses: Vec<_> = uses.iter().map(|one| (one.pod.to_string(), one.since)).collect();
        uses.sort();
        uses
    };
    let first = since(Reply::new().pod(pod("a")).pod(pod("b")));
    assert_eq!(first, [("a".into(), (1, 0)), ("b".into(), (1, 1))]);
    assert_eq!(since(Reply::new().pod(pod("b")).pod(pod("a"))), first);
    let third = since(Reply::new().pod(pod("c")).pod(pod("b")).pod(pod("a")));
    assert_eq!(third[2], ("c".into(), (3, 0)));
    assert_eq!(third[..2], first);
}

#[test]
fn claims_are_read_only_where_that_is_asked_for() {
    let mut setup = setup(PATIENT);
    setup.refresher.settings.reads_claims = false;
    let container = Container::new("main").claim(Claim::default());
    setup.kubelet.set(one_pod("train").pod(Pod::new("ml", "claims").container(container)));
    let part = setup.part();
    assert_eq!(part.uses.len(), 1);
    assert!(part.is_incomplete, "a GPU may have a holder that is not known");
}

#[test]
fn allocatable_gpus_that_are_not_told_cost_only_themselves() {
    let mut setup = setup(PATIENT);
    let faults = [Fault::Unimplemented, Fault::ResourceExhausted, Fault::Internal, Fault::Hang];
    for fault in faults {
        setup.kubelet.set_fault(Call::Allocatable, fault);
        setup.refresher.next_allocatable = None;
        if fault == Fault::Hang {
            setup.refresher.allocatable_deadline = IMPATIENT;
        }
        let part = setup.part();
        assert_eq!((part.uses.len(), part.allocatable), (1, None), "{fault:?}");
    }
    setup.kubelet.set_fault(Call::Allocatable, Fault::None);
    assert_eq!(setup.part().allocatable, None, "it is asked again after a minute");
    setup.refresher.allocatable_deadline = PATIENT;
    setup.refresher.next_allocatable = Some(Instant::now());
    assert_eq!(setup.part().allocatable.map(|devices| devices.len()), Some(2));
    assert_eq!(setup.kubelet.requests(Call::Allocatable), faults.len() + 1);
    assert_eq!(setup.kubelet.most_in_flight(), 1);
}

#[test]
fn allocatable_gpus_are_asked_for_more_rarely() {
    let mut setup = setup(PATIENT);
    for _ in 0..4 {
        assert!(setup.part().allocatable.is_some());
    }
    assert_eq!(setup.kubelet.requests(Call::Allocatable), 1);
    setup.kubelet.set_fault(Call::List, Fault::Internal);
    setup.error();
    setup.kubelet.set_fault(Call::List, Fault::None);
    assert!(setup.part().allocatable.is_some());
    assert_eq!(setup.kubelet.requests(Call::Allocatable), 2, "it may be another kubelet");
}

#[test]
fn a_socket_that_does_not_speak_grpc_is_named() {
    let answers: [(&[u8], &str); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP/1 server"),
        (b"", "a server that closes"),
        (b"\x00\x00\x00", "a piece of a frame"),
        (&[0xff; 64], "no frame"),
    ];
    for (answer, what) in answers {
        let folder = TempDir::new().expect("there is a folder");
        let socket = folder.path().join("other.sock");
        let listener = UnixListener::bind(&socket).expect("it can listen");
        let serve = move || {
            let (mut stream, _) = listener.accept().expect("the refresher connects");
            // Something of the request has come.
            let _ = stream.read(&mut [0]);
            let _ = stream.write_all(answer);
        };
        let server = thread::Builder::new().spawn(serve).expect("there is a thread");
        let error = Kubelet::new(settings(&socket), PATIENT).look().expect_err("it is no kubelet");
        server.join().expect("no panic");
        assert_eq!(error.reason, ErrorReason::Failed, "{what}: {error}");
        assert!(error.message.contains("without a gRPC reply"), "{what}: {error}");
    }
}

#[test]
fn a_socket_that_says_nothing_times_out() {
    let folder = TempDir::new().expect("there is a folder");
    let socket = folder.path().join("silent.sock");
    let _listener = UnixListener::bind(&socket).expect("it can listen");
    let error = Kubelet::new(settings(&socket), IMPATIENT).look().expect_err("it is no kubelet");
    assert_eq!(error.reason, ErrorReason::Timeout);
}

#[test]
fn a_path_without_a_socket_is_named() {
    let folder = TempDir::new().expect("there is a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    for path in [folder.path(), &file, &file.join("below"), &folder.path().join("none")] {
        let error = Kubelet::new(settings(path), PATIENT).look().expect_err("it is no socket");
        assert_eq!(error.reason, ErrorReason::Absent, "{error}");
        assert!(error.message.contains(&path.display().to_string()), "{error}");
        assert!(error.message.contains("--pod-resources-kubelet-socket"), "{error}");
    }
}

/// Waits until the health of the refresher is so.
fn wait_for(attributor: &Attributor, what: &str, is_so: impl Fn(&RefresherView) -> bool) {
    let until = Instant::now() + PATIENT;
    loop {
        let view = attributor.current(Moment::now());
        let [kubelet] = &*view.refreshers else { panic!("{:?}", view.refreshers) };
        if is_so(kubelet) {
            return;
        }
        assert!(Instant::now() < until, "not {what}: {kubelet:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_health_of_the_refresher_follows_the_kubelet() {
    let folder = TempDir::new().expect("there is a folder");
    let socket = folder.path().join("kubelet.sock");
    let settings = Settings {
        interval: Duration::from_millis(50),
        max_age: PATIENT,
        kubelet: Some(settings(&socket)),
        pods: None,
        dra: None,
        node: None,
        jobs: None,
    };
    let attributor = Attributor::start(settings).expect("there is a thread").expect("it is on");
    wait_for(&attributor, "absent", |kubelet| {
        !kubelet.up && kubelet.errors.get("absent").is_some_and(|count| *count > 1)
    });
    let mut kubelet = FakeKubelet::start(&socket);
    kubelet.set(one_pod("train"));
    wait_for(&attributor, "up", |kubelet| kubelet.up && kubelet.entries == Some(1));
    kubelet.set_fault(Call::List, Fault::ResourceExhausted);
    wait_for(&attributor, "limited", |kubelet| {
        !kubelet.up && kubelet.entries == Some(1) && kubelet.errors.contains_key("rate_limited")
    });
    kubelet.set_fault(Call::List, Fault::None);
    wait_for(&attributor, "up again", |kubelet| kubelet.up && kubelet.entries == Some(1));
    assert_eq!(kubelet.most_in_flight(), 1);
}

/// The variable with the socket for [`a_kubelet_by_hand`].
const SOCKET: &str = "POD_RESOURCES_SOCKET";

/// Prints what a kubelet says, and the most memory that this process has had.
#[test]
#[ignore = "asks the kubelet whose socket the variable POD_RESOURCES_SOCKET has"]
fn a_kubelet_by_hand() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak.expect("the kernel says").trim().to_owned()
    };
    let mut kubelet = Kubelet::new(settings(Path::new(&socket)), PATIENT);
    let before = peak();
    for _ in 0..3 {
        let began = Instant::now();
        let part = kubelet.look().unwrap_or_else(|error| panic!("{error}"));
        let allocatable = part.allocatable.map(|devices| devices.len());
        println!("{} uses, {allocatable:?} allocatable, {:?}", part.uses.len(), began.elapsed());
        println!("{:?}", part.uses.first());
    }
    println!("peak memory: {before} before, {} after", peak());
}

/// Prints how much memory the largest replies take.
#[test]
#[ignore = "measures"]
fn memory_of_the_largest_replies() {
    let Setup { mut kubelet, _folder, .. } = setup(PATIENT);
    let replies = [
        ("one pod", one_pod("train")),
        ("10,000 pods", Reply::of_pods(10_000)),
        ("most GPUs", Reply::of_pods(reply::MOST_DEVICES)),
        ("16 MiB", Reply::of_bytes((16 << 20) - 10_000)),
    ];
    for (what, reply) in replies {
        kubelet.set(reply);
        // A process of its own, so that only the refresher's memory is measured.
        let output = std::process::Command::new(std::env::current_exe().expect("it has a path"))
            .args(["--ignored", "--exact", "kubelet::tests::a_kubelet_by_hand", "--nocapture"])
            .env(SOCKET, kubelet.socket())
            .output()
            .expect("it runs");
        println!("{what}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
