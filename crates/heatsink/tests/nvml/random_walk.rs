//! A random walk of faults over eight GPUs. At each scrape, every healthy GPU is on the page with correct
//! values; each XID in the kernel log is counted exactly once.
//!
//! `HEATSINK_WALK_SECONDS` is the duration (60), `HEATSINK_WALK_SEED` the seed, which is printed.
//! `cargo xtask nightly` runs it for ten minutes.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::counted::{counted, total};
use crate::random::Random;
use crate::rig::{PATIENCE, Rig, SCRAPE, down, up};
use fake_clock::Clocks;
use testkit::page::{Page, metric};
use testkit::pauses::{Stopwatch, may_be_late};

const GPUS: usize = 8;

/// Time after its last fault during which a GPU counts as faulty: it is opened again after a second, and a
/// thread that could not start is started within half a minute.
const GRACE: Duration = Duration::from_secs(4);
const GRACE_OF_THREADS: Duration = Duration::from_secs(35);

/// Most faulty GPUs at a time.
const MAX_FAULTY: usize = 5;

/// The user of the program, so that the limit on threads applies to it alone.
fn user() -> String {
    (50_000 + std::process::id() % 10_000).to_string()
}

/// The fault of one GPU.
#[derive(Default)]
struct GpuFault {
    line: Option<String>,
    until: Option<Instant>,
    /// When its last fault ended.
    well_since: Option<Stopwatch>,
    /// Whether it needs a new session.
    awaits_session: bool,
}

impl GpuFault {
    fn is_healthy(&self, grace: Duration) -> bool {
        let rested = self.well_since.is_none_or(|since| since.elapsed() > grace);
        self.line.is_none() && !self.awaits_session && rested
    }
}

/// The current faults, and the expected page.
struct Walk {
    rig: Rig,
    random: Random,
    gpus: Vec<GpuFault>,
    /// The fault of the driver's initialization.
    init: Option<(&'static str, Instant)>,
    /// The process that uses up the limit on threads.
    others: Option<(Child, Instant)>,
    threads_free_since: Option<Stopwatch>,
    logged: BTreeMap<(u32, u32), u64>,
    /// The values of each GPU. They are constant, because simulated time stands still.
    right: Vec<Vec<(&'static str, f64)>>,
    faults: usize,
    scrapes: usize,
    longest: Duration,
}

const ROWS: [&str; 4] = [
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_SM_CLOCK",
];

fn values(page: &Page, gpu: usize) -> Vec<(&'static str, f64)> {
    let value = |name| page.value_of(&metric(name).label("gpu", gpu.to_string()));
    ROWS.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

impl Walk {
    /// Starts or ends a fault.
    fn step(&mut self, clocks: &Clocks) {
        let now = Instant::now();
        for state in &mut self.gpus {
            if state.until.is_some_and(|until| until <= now) {
                (state.line, state.until, state.well_since) =
                    (None, None, Some(Stopwatch::start()));
            }
        }
        self.init = self.init.filter(|(_, until)| *until > now);
        if self.others.as_ref().is_some_and(|(_, until)| *until <= now) {
            self.free_threads();
        }
        match self.random.below(10) {
            0..=3 => self.begin_fault(now),
            4..=6 => self.log_xids(),
            7 => {
                let seconds = self.random.of(&[0.0, 9.0, -9.0, 3600.0, -86_400.0]);
                clocks.set(seconds, 0.0);
                self.faults += 1;
            }
            8 if self.init.is_none() => {
                let what = self.random.of(&["init hang", "init not-loaded"]);
                self.init = Some((what, now + self.seconds(2, 20)));
                self.faults += 1;
            }
            9 if self.others.is_none() && self.random.below(3) == 0 => self.take_threads(now),
            _ => {}
        }
        self.command();
    }

    fn seconds(&mut self, least: usize, more: usize) -> Duration {
        Duration::from_millis((least * 1000 + self.random.below(more * 1000)) as u64)
    }

    fn begin_fault(&mut self, now: Instant) {
        let faulty = self.gpus.iter().filter(|state| !state.is_healthy(GRACE)).count();
        let gpu = self.random.below(GPUS);
        if faulty >= MAX_FAULTY || !self.gpus[gpu].is_healthy(GRACE) {
            return;
        }
        let what = self.random.of(&[
            "lost",
            "lost until-init",
            "hang",
            "hang-calls nvmlDeviceGetTemperature",
            "hang-calls nvmlEventSetWait_v2",
            "slow 30",
            "slow 400 nvmlDeviceGetPowerUsage",
            "fail nvmlDeviceGetMemoryInfo_v2",
            "unsupported nvmlDeviceGetUUID",
            "unsupported nvmlDeviceGetName",
            "unsupported nvmlDeviceGetPciInfo_v3",
        ]);
        let until = now + self.seconds(1, 15);
        let state = &mut self.gpus[gpu];
        state.awaits_session = what == "lost until-init";
        (state.line, state.until) = (Some(format!("gpu {gpu} {what}")), Some(until));
        self.faults += 1;
    }

    /// Adds XIDs to the kernel log, and raises events for some of them.
    fn log_xids(&mut self) {
        for _ in 0..1 + self.random.below(20) {
            let gpu = self.random.below(GPUS);
            let code = self.random.of(&[13, 31, 43, 45, 48, 62, 63, 74, 79, 94, 95, 119, 120, 149]);
            self.rig.xid(gpu, code);
            *self.logged.entry((gpu as u32, code)).or_insert(0) += 1;
        }
    }

    /// Another process uses up the limit on threads.
    fn take_threads(&mut self, now: Instant) {
        let script = "for i in $(seq 60); do sleep 120 & done; wait";
        let others = Command::new("setpriv")
            .args(["--reuid", &user(), "--clear-groups", "sh", "-c", script])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv is there");
        self.others = Some((others, now + self.seconds(2, 8)));
        self.faults += 1;
    }

    fn free_threads(&mut self) {
        if let Some((mut others, _)) = self.others.take() {
            let group = format!("-{}", others.id());
            let killed = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
            assert!(killed.expect("kill is there").success());
            others.wait().expect("they have ended");
            self.threads_free_since = Some(Stopwatch::start());
        }
    }

    /// Writes the current faults to the control file. The raised XIDs stay in it.
    fn command(&mut self) {
        let commands = std::fs::read_to_string(self.rig.control.path()).expect("it is there");
        let xids = commands.lines().filter(|line| line.contains(" xid "));
        let faults = self.gpus.iter().filter_map(|state| state.line.as_deref());
        let init = self.init.iter().map(|(line, _)| *line);
        let lines: Vec<&str> = xids.chain(faults).chain(init).collect();
        self.rig.control.set(&lines);
    }

    /// Checks that healthy GPUs are on the page, unless the machine stood still, and that all values are
    /// correct, also those of faulty GPUs.
    fn judge(&mut self, page: &Page, took: Duration, may_be_late: bool) {
        self.scrapes += 1;
        self.longest = self.longest.max(took);
        assert!(took < SCRAPE, "a scrape took {took:?}");
        let grace = self.grace();
        for gpu in 0..GPUS {
            let values = values(page, gpu);
            let state = &mut self.gpus[gpu];
            // A GPU that needs a new session is healthy once it is back.
            let is_back = state.line.is_none() && values.len() == ROWS.len();
            if state.awaits_session && is_back {
                (state.awaits_session, state.well_since) = (false, Some(Stopwatch::start()));
            }
            let right = &self.right[gpu];
            if state.is_healthy(grace) && !may_be_late {
                assert_eq!(
                    values,
                    *right,
                    "GPU {gpu} ({:?})\n{}",
                    down(page, gpu as u32),
                    self.state()
                );
            } else {
                assert!(values.iter().all(|row| right.contains(row)), "GPU {gpu}: {values:?}");
            }
        }
        for (key, count) in counted(page) {
            let logged = self.logged.get(&key).copied().unwrap_or(0);
            assert!(count <= logged, "XID {} of GPU {}: {count} of {logged}", key.1, key.0);
        }
    }

    /// A reader thread that ends while no thread can start is restarted later.
    fn grace(&self) -> Duration {
        let busy = self.others.is_some();
        let rested = self.threads_free_since.is_none_or(|at| at.elapsed() > GRACE_OF_THREADS);
        if busy || !rested { GRACE_OF_THREADS } else { GRACE }
    }

    /// The fault commands, without the XIDs.
    fn state(&self) -> String {
        let commands = std::fs::read_to_string(self.rig.control.path()).unwrap_or_default();
        commands.lines().filter(|line| !line.contains(" xid ")).collect::<Vec<_>>().join("\n")
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty());
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Without root, the test skips the limit on threads, and prints that.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    id.stdout.trim_ascii() == b"0"
}

#[test]
fn a_random_walk_of_faults_affects_no_healthy_gpu_and_no_xid_count() {
    let length = Duration::from_secs(number("HEATSINK_WALK_SECONDS", 60));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = number("HEATSINK_WALK_SEED", since.as_secs());
    println!("HEATSINK_WALK_SEED={seed} HEATSINK_WALK_SECONDS={}", length.as_secs());
    let rig = Rig::new().with("FAKE_NVML_AT", "300").with_kernel_log();
    let clocks = Clocks::in_folder(&rig.root());
    let environment = clocks.environment();
    let rig = environment.iter().fold(rig, |rig, (name, value)| rig.with(name, value));
    rig.open_to_all();
    let exporter = if is_root() {
        let limits = ["--reuid", &user(), "--clear-groups", "prlimit", "--nproc=60"];
        rig.start_through("setpriv", &limits, &["-c", "500"])
    } else {
        println!("not root: threads can always be started in this walk");
        rig.start(&["-c", "500"])
    };
    let (page, _) = exporter.wait_for("all answer", PATIENCE, |page| {
        up(page) == GPUS && (0..GPUS).all(|gpu| values(page, gpu).len() == ROWS.len())
    });
    let mut walk = Walk {
        right: (0..GPUS).map(|gpu| values(&page, gpu)).collect(),
        gpus: (0..GPUS).map(|_| GpuFault::default()).collect(),
        random: Random::new(seed),
        init: None,
        others: None,
        threads_free_since: None,
        logged: BTreeMap::new(),
        faults: 0,
        scrapes: 0,
        longest: Duration::ZERO,
        rig,
    };
    let began = Instant::now();
    let mut due = began;
    while began.elapsed() < length {
        if Instant::now() >= due {
            let at_root = is_root();
            walk.step(&clocks);
            if !at_root {
                walk.free_threads();
            }
            due = Instant::now() + walk.seconds(0, 1) / 2;
        }
        let answer = exporter.get("/metrics");
        assert_eq!(answer.status, 200);
        let page = Page::parse(&answer.body).expect("a well-formed page");
        let may_be_late = may_be_late();
        // The log shows the reason.
        let judged = catch_unwind(AssertUnwindSafe(|| {
            walk.judge(&page, answer.took, may_be_late);
        }));
        if let Err(why) = judged {
            eprintln!("after {:?}, seed {seed}:\n{}", began.elapsed(), exporter.log());
            resume_unwind(why);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    // All GPUs are healthy again, and all XIDs are counted.
    walk.free_threads();
    walk.init = None;
    walk.gpus.iter_mut().for_each(|state| *state = GpuFault::default());
    walk.command();
    clocks.set(0.0, 0.0);
    let logged: u64 = walk.logged.values().sum();
    exporter.wait_for("all XIDs", PATIENCE, |page| total(&counted(page)) >= logged);
    std::thread::sleep(Duration::from_secs(1));
    let page = exporter.page();
    assert_eq!(counted(&page), walk.logged);
    metric("heatsink_kernel_log_lost_records_total").value(0.0).assert_in(&page);
    let log = exporter.log();
    println!(
        "seed {seed}: {} s, {} faults, {} scrapes (longest {:?}), {logged} XIDs logged and counted, \
         {} sessions opened, {} GPUs up at the end, {} reader restarts",
        began.elapsed().as_secs(),
        walk.faults,
        walk.scrapes,
        walk.longest,
        log.matches(" reading ").count() + log.matches("reading source").count(),
        up(&page),
        page.value_of(&metric("heatsink_reader_restarts_total")).unwrap_or_default()
    );
}
