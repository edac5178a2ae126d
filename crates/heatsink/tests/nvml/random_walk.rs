//! A random walk of faults over eight GPUs: at every scrape each healthy GPU is there and right, and
//! every XID in the kernel's log is counted exactly once.
//!
//! `HEATSINK_WALK_SECONDS` says how long (60), `HEATSINK_WALK_SEED` which walk; the seed is printed.
//! `cargo xtask nightly` walks for ten minutes.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::counted::{counted, total};
use crate::rig::{PATIENCE, Rig, SCRAPE, down, up};
use fake_clock::Clocks;
use testkit::page::{Page, metric};

const GPUS: usize = 8;

/// How long after its last fault a GPU counts as sick: it is opened again after a second, a thread
/// that could not be started at most half a minute later.
const GRACE: Duration = Duration::from_secs(4);
const GRACE_OF_THREADS: Duration = Duration::from_secs(35);

/// How many GPUs are sick at most.
const MOST_SICK: usize = 5;

/// The user that the program runs as, so that a limit on threads is its own.
fn user() -> String {
    (50_000 + std::process::id() % 10_000).to_string()
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// What is wrong with one GPU.
#[derive(Default)]
struct Patient {
    line: Option<String>,
    until: Option<Instant>,
    /// Since when nothing is wrong with it.
    well_since: Option<Instant>,
    /// Whether only a new session brings it back.
    awaits_session: bool,
}

impl Patient {
    fn is_well(&self, grace: Duration) -> bool {
        let rested = self.well_since.is_none_or(|since| since.elapsed() > grace);
        self.line.is_none() && !self.awaits_session && rested
    }
}

/// What goes wrong, and what came of it.
struct Walk {
    rig: Rig,
    random: Random,
    patients: Vec<Patient>,
    /// What happens to the driver's initialisation.
    init: Option<(&'static str, Instant)>,
    /// What takes all threads that the user may have.
    others: Option<(Child, Instant)>,
    threads_free_since: Option<Instant>,
    logged: BTreeMap<(u32, u32), u64>,
    /// What each GPU shows all the time: simulated time stands still.
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

fn shown(page: &Page, gpu: usize) -> Vec<(&'static str, f64)> {
    let value = |name| page.value_of(&metric(name).label("gpu", gpu.to_string()));
    ROWS.into_iter().filter_map(|name| Some((name, value(name)?))).collect()
}

impl Walk {
    /// Begins or ends something.
    fn step(&mut self, clocks: &Clocks) {
        let now = Instant::now();
        for patient in &mut self.patients {
            if patient.until.is_some_and(|until| until <= now) {
                (patient.line, patient.until, patient.well_since) = (None, None, Some(now));
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
        let sick = self.patients.iter().filter(|patient| !patient.is_well(GRACE)).count();
        let gpu = self.random.below(GPUS);
        if sick >= MOST_SICK || !self.patients[gpu].is_well(GRACE) {
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
        let patient = &mut self.patients[gpu];
        patient.awaits_session = what == "lost until-init";
        (patient.line, patient.until) = (Some(format!("gpu {gpu} {what}")), Some(until));
        self.faults += 1;
    }

    /// The driver prints XIDs, and raises events for some of them.
    fn log_xids(&mut self) {
        for _ in 0..1 + self.random.below(20) {
            let gpu = self.random.below(GPUS);
            let code = self.random.of(&[13, 31, 43, 45, 48, 62, 63, 74, 79, 94, 95, 119, 120, 149]);
            self.rig.xid(gpu, code);
            *self.logged.entry((gpu as u32, code)).or_insert(0) += 1;
        }
    }

    /// Others take all threads that the user may have.
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
            self.threads_free_since = Some(Instant::now());
        }
    }

    /// Tells the driver what is in force. The XIDs that it has raised stay.
    fn command(&mut self) {
        let commands = std::fs::read_to_string(self.rig.control.path()).expect("it is there");
        let xids = commands.lines().filter(|line| line.contains(" xid "));
        let faults = self.patients.iter().filter_map(|patient| patient.line.as_deref());
        let init = self.init.iter().map(|(line, _)| *line);
        let lines: Vec<&str> = xids.chain(faults).chain(init).collect();
        self.rig.control.set(&lines);
    }

    /// Every healthy GPU is there and right; what a sick one shows is right, too.
    fn judge(&mut self, page: &Page, took: Duration) {
        self.scrapes += 1;
        self.longest = self.longest.max(took);
        assert!(took < SCRAPE, "a scrape took {took:?}");
        let grace = self.grace();
        for gpu in 0..GPUS {
            let shown = shown(page, gpu);
            let patient = &mut self.patients[gpu];
            // What only a new session brings back is healthy from when it is back.
            let is_back = patient.line.is_none() && shown.len() == ROWS.len();
            if patient.awaits_session && is_back {
                (patient.awaits_session, patient.well_since) = (false, Some(Instant::now()));
            }
            let right = &self.right[gpu];
            if patient.is_well(grace) {
                assert_eq!(
                    shown,
                    *right,
                    "GPU {gpu} ({:?})\n{}",
                    down(page, gpu as u32),
                    self.state()
                );
            } else {
                assert!(shown.iter().all(|row| right.contains(row)), "GPU {gpu}: {shown:?}");
            }
        }
        for (key, count) in counted(page) {
            let logged = self.logged.get(&key).copied().unwrap_or(0);
            assert!(count <= logged, "XID {} of GPU {}: {count} of {logged}", key.1, key.0);
        }
    }

    /// A lane that ends while no thread can be started is started again later.
    fn grace(&self) -> Duration {
        let busy = self.others.is_some();
        let rested = self.threads_free_since.is_none_or(|at| at.elapsed() > GRACE_OF_THREADS);
        if busy || !rested { GRACE_OF_THREADS } else { GRACE }
    }

    /// What is in force, without the XIDs.
    fn state(&self) -> String {
        let commands = std::fs::read_to_string(self.rig.control.path()).unwrap_or_default();
        commands.lines().filter(|line| !line.contains(" xid ")).collect::<Vec<_>>().join("\n")
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty());
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// Without root, the limit on threads is left out, which is said.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    id.stdout.trim_ascii() == b"0"
}

#[test]
fn a_random_walk_of_faults_harms_no_healthy_gpu_and_miscounts_no_xid() {
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
        up(page) == GPUS && (0..GPUS).all(|gpu| shown(page, gpu).len() == ROWS.len())
    });
    let mut walk = Walk {
        right: (0..GPUS).map(|gpu| shown(&page, gpu)).collect(),
        patients: (0..GPUS).map(|_| Patient::default()).collect(),
        random: Random(seed.max(1)),
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
        // What the program says tells why.
        let judged = catch_unwind(AssertUnwindSafe(|| walk.judge(&page, answer.took)));
        if let Err(why) = judged {
            eprintln!("after {:?}, seed {seed}:\n{}", began.elapsed(), exporter.log());
            resume_unwind(why);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    // All is well again, and everything is counted.
    walk.free_threads();
    walk.init = None;
    walk.patients.iter_mut().for_each(|patient| *patient = Patient::default());
    walk.command();
    clocks.set(0.0, 0.0);
    let logged: u64 = walk.logged.values().sum();
    let patience = Duration::from_secs(20);
    exporter.wait_for("all XIDs", patience, |page| total(&counted(page)) >= logged);
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
