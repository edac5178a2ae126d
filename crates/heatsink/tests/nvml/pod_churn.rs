//! Pods that start and end at random: at each scrape, every GPU has the labels of the pod that has it.
//!
//! A page says when the kubelet was last asked. Its labels are those of that moment, and that moment is not
//! older than one refresh and one interval. `HEATSINK_CHURN_SECONDS` is the duration (60),
//! `HEATSINK_CHURN_SEED` the seed, which is printed. `cargo xtask nightly` runs it for ten minutes.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::random::Random;
use crate::rig::{PATIENCE, Rig};
use fake_kubernetes::kubelet::{Container, FakeKubelet, Pod, Reply};
use testkit::page::{Page, metric};
use testkit::pauses::may_be_late;

const GPUS: usize = 8;

/// From one look at the kubelet to the next, and from one reading to the next.
const REFRESH: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(500);

/// What a busy machine adds: threads that wait for a processor.
const BUSY: Duration = Duration::from_secs(1);

/// How exactly the moment of a look is known: the time of a change is taken just before or after it.
const EXACT: Duration = Duration::from_millis(20);

/// From one change, and one scrape, to the next.
const STEP: Duration = Duration::from_millis(100);

/// A pod on a GPU, by the wall clock in seconds: both changes with a moment before and one after.
struct Stay {
    pod: String,
    from: (f64, f64),
    /// Infinite while it has the GPU.
    until: (f64, f64),
}

/// While a change is not known to have happened.
const NOT_YET: f64 = f64::INFINITY;

/// The pods of each GPU, past and present.
#[derive(Default)]
struct History(BTreeMap<usize, Vec<Stay>>);

impl History {
    fn current(&self, gpu: usize) -> Option<&Stay> {
        self.0.get(&gpu)?.last().filter(|stay| stay.until.0.is_infinite())
    }

    /// The last pod of a GPU.
    fn last(&mut self, gpu: usize) -> &mut Stay {
        let last = self.0.get_mut(&gpu).and_then(|stays| stays.last_mut());
        last.expect("it had one")
    }

    /// Whether this label is right, if the kubelet was asked between two moments.
    fn allows(&self, gpu: usize, pod: Option<&str>, began: f64, ended: f64) -> bool {
        let mut stays = self.0.get(&gpu).into_iter().flatten();
        match pod {
            Some(pod) => {
                stays.any(|stay| stay.pod == pod && stay.from.0 <= ended && stay.until.1 >= began)
            }
            // Free at some moment of that time.
            None => !stays.any(|stay| stay.from.1 <= began && stay.until.0 >= ended),
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64()
}

/// When the kubelet was last asked: the begin and the end.
fn last_look(page: &Page) -> Option<(f64, f64)> {
    let of_kubelet = |name| page.value_of(&metric(name).label("refresher", "kubelet"));
    let ended = of_kubelet("heatsink_attribution_last_success_timestamp_seconds")?;
    Some((ended - of_kubelet("heatsink_attribution_duration_seconds")?, ended))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn labels_follow_the_pods() {
    let length = Duration::from_secs(setting("HEATSINK_CHURN_SECONDS").unwrap_or(60));
    let seed = setting("HEATSINK_CHURN_SEED").unwrap_or(now() as u64);
    println!("HEATSINK_CHURN_SEED={seed}");
    let rig = Rig::new();
    let mut kubelet = FakeKubelet::start(rig.path("kubelet.sock"));
    let socket = kubelet.socket().display().to_string();
    let args = ["-k", "--pod-resources-kubelet-socket", &socket, "--attribution-interval", "1s"];
    let exporter = rig.started(&[&args[..], &["-c", "500"]].concat(), GPUS);

    exporter.wait_for("the kubelet answers", PATIENCE, |page| last_look(page).is_some());

    let (mut random, mut history) = (Random::new(seed), History::default());
    let (mut pods, mut labels, mut scrapes) = (0, 0, 0);
    let until = Instant::now() + length;
    while Instant::now() < until {
        let gpu = random.below(GPUS);
        // Half of the steps change nothing, so that some pods stay for seconds.
        match (random.below(2), history.current(gpu).is_some()) {
            (0, true) => {
                let reply = reply(&rig, &history, Some(gpu));
                let before = now();
                kubelet.set(reply);
                history.last(gpu).until = (before, now());
            }
            (0, false) => {
                pods += 1;
                let (pod, from) = (format!("pod-{pods}"), (now(), NOT_YET));
                let stay = Stay { pod, from, until: (NOT_YET, NOT_YET) };
                history.0.entry(gpu).or_default().push(stay);
                kubelet.set(reply(&rig, &history, None));
                history.last(gpu).from.1 = now();
            }
            _ => {}
        }
        let (began, scraped) = (Instant::now(), now());
        let page = Page::parse(&exporter.get("/metrics").body).expect("a well-formed page");
        // If the machine stood still, the kubelet was not asked in time, and readings are late.
        let is_in_time = !may_be_late();
        let (look_began, look_ended) = last_look(&page).expect("the kubelet answers");
        let oldest = scraped - (REFRESH + INTERVAL + BUSY).as_secs_f64();
        let age = scraped - look_ended;
        assert!(look_ended > oldest || !is_in_time, "the labels are {age} s old");
        scrapes += 1;
        for gpu in 0..GPUS {
            let samples = page.samples("DCGM_FI_DEV_GPU_TEMP");
            let index = gpu.to_string();
            let of_gpu: Vec<_> =
                samples.iter().filter(|sample| sample.label("gpu") == Some(&index)).collect();
            let is_absent = of_gpu.is_empty() && !is_in_time;
            assert!(of_gpu.len() == 1 || is_absent, "GPU {gpu} has one series: {of_gpu:?}");
            let Some(of_gpu) = of_gpu.first() else { continue };
            let pod = of_gpu.label("pod");
            labels += usize::from(pod.is_some());
            assert!(
                history.allows(
                    gpu,
                    pod,
                    look_began - EXACT.as_secs_f64(),
                    look_ended + EXACT.as_secs_f64()
                ),
                "GPU {gpu} has {pod:?} at {look_ended}; seed {seed}"
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
