//! Pods that start and end at random: at each scrape, every GPU has the labels of the pod that has it.
//!
//! A label is late by one refresh and one interval at most, is never early, and never stands for a pod that
//! did not have the GPU. `HEATSINK_CHURN_SECONDS` is the duration (60), `HEATSINK_CHURN_SEED` the seed, which
//! is printed. `cargo xtask nightly` runs it for ten minutes.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::random::Random;
use crate::rig::Rig;
use fake_kubernetes::kubelet::{Container, FakeKubelet, Pod, Reply};
use testkit::page::Page;

const GPUS: usize = 8;

/// From one look at the kubelet to the next, and from one reading to the next.
const REFRESH: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(500);

/// What a busy machine adds: threads that wait for a processor.
const BUSY: Duration = Duration::from_millis(1500);

/// From one change, and one scrape, to the next.
const STEP: Duration = Duration::from_millis(100);

/// A pod on a GPU.
struct Stay {
    pod: String,
    from: Instant,
    /// `None` while it has the GPU.
    until: Option<Instant>,
}

/// The pods of each GPU, past and present.
#[derive(Default)]
struct History(BTreeMap<usize, Vec<Stay>>);

impl History {
    fn current(&self, gpu: usize) -> Option<&Stay> {
        self.0.get(&gpu)?.last().filter(|stay| stay.until.is_none())
    }

    /// Whether this label, on a page that was scraped between two moments, is right.
    fn allows(&self, gpu: usize, pod: Option<&str>, began: Instant, ended: Instant) -> bool {
        let stays = || self.0.get(&gpu).into_iter().flatten();
        let old = began.checked_sub(REFRESH + INTERVAL + BUSY).unwrap_or(began);
        let has_touched =
            |stay: &Stay| stay.from <= ended && stay.until.is_none_or(|until| until >= old);
        match pod {
            Some(pod) => stays().any(|stay| stay.pod == pod && has_touched(stay)),
            // Free at some moment of that time.
            None => !stays()
                .any(|stay| stay.from <= old && stay.until.is_none_or(|until| until >= ended)),
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn labels_follow_the_pods() {
    let length = Duration::from_secs(setting("HEATSINK_CHURN_SECONDS").unwrap_or(60));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let seed = setting("HEATSINK_CHURN_SEED").unwrap_or(now);
    println!("HEATSINK_CHURN_SEED={seed}");
    let rig = Rig::new();
    let mut kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
    let socket = kubelet.socket().display().to_string();
    let args = ["-k", "--pod-resources-kubelet-socket", &socket, "--attribution-interval", "1s"];
    let exporter = rig.started(&[&args[..], &["-c", "500"]].concat(), GPUS);

    let (mut random, mut history) = (Random::new(seed), History::default());
    let (mut pods, mut labels, mut scrapes) = (0, 0, 0);
    let until = Instant::now() + length;
    while Instant::now() < until {
        let gpu = random.below(GPUS);
        // Half of the steps change nothing, so that some pods stay for seconds.
        match (random.below(2), history.current(gpu).is_some()) {
            (0, true) => {
                // Before the kubelet knows of the end, so that the time is not too early.
                let reply = reply(&rig, &history, Some(gpu));
                kubelet.set(reply);
                let stay = history.0.get_mut(&gpu).and_then(|stays| stays.last_mut());
                stay.expect("it has one").until = Some(Instant::now());
            }
            (0, false) => {
                pods += 1;
                let stay = Stay { pod: format!("pod-{pods}"), from: Instant::now(), until: None };
                history.0.entry(gpu).or_default().push(stay);
                kubelet.set(reply(&rig, &history, None));
            }
            _ => {}
        }
        let began = Instant::now();
        let page = Page::parse(&exporter.get("/metrics").body).expect("a well-formed page");
        let ended = Instant::now();
        scrapes += 1;
        for gpu in 0..GPUS {
            let samples = page.samples("DCGM_FI_DEV_GPU_TEMP");
            let index = gpu.to_string();
            let of_gpu: Vec<_> =
                samples.iter().filter(|sample| sample.label("gpu") == Some(&index)).collect();
            assert_eq!(of_gpu.len(), 1, "GPU {gpu} has one series");
            let pod = of_gpu[0].label("pod");
            labels += usize::from(pod.is_some());
            assert!(
                history.allows(gpu, pod, began, ended),
                "GPU {gpu} has {pod:?}, {:?} after the start; seed {seed}",
                until - began
            );
        }
        thread::sleep(STEP.saturating_sub(began.elapsed()));
    }
    println!("{pods} pods, {scrapes} scrapes, {labels} labels");
    assert!(pods > 0 && labels > 0, "no pod was ever seen");
}

/// What the kubelet lists: the pods that have a GPU now, but for that of one GPU.
fn reply(rig: &Rig, history: &History, without: Option<usize>) -> Reply {
    let gpus = (0..GPUS).filter(|gpu| Some(*gpu) != without);
    let held = gpus.filter_map(|gpu| Some((gpu, history.current(gpu)?)));
    held.fold(Reply::new(), |reply, (gpu, stay)| {
        let container = Container::new("main").device("nvidia.com/gpu", rig.uuid(gpu));
        reply.pod(Pod::new("ml", &stay.pod).container(container))
    })
}
