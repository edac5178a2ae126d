//! Readers, threads and sources that misbehave in ways that no driver should.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use model::{
    Down, FieldId, Identity, Kind, Outdated, Pace, Pass, Reader, ReaderKind, Readings, Reason,
    Renew, Session, SlotIndex, Snapshot, Source, SourceError, Value, Watch, WatchIndex,
};
use sampler::{GpuProbe, ProbeError, Sampler, Settings};

/// A source of two GPUs, of which the first misbehaves on command.
#[derive(Clone, Default)]
struct Rogue {
    faults: Arc<Faults>,
    /// The number of its session; 0 for the source itself.
    session: usize,
}

#[derive(Default)]
struct Faults {
    /// Reading panics.
    panics: AtomicBool,
    /// Its thread ends by a panic outside of the reading.
    dies: AtomicBool,
    /// It is lost in this session and in those before.
    lost_until: AtomicUsize,
    /// Opening this session does not come back.
    hangs_at: AtomicUsize,
    /// How often the source was opened, and its events.
    opened: AtomicUsize,
    events_opened: AtomicUsize,
}

impl Source for Rogue {
    fn name(&self) -> &'static str {
        "rogue"
    }

    fn serves(&self, _: FieldId) -> bool {
        true
    }

    fn connect(&mut self, _: &Arc<[Watch]>, _: Renew) -> Result<Box<dyn Session>, SourceError> {
        let session = self.faults.opened.fetch_add(1, Ordering::SeqCst) + 1;
        while self.faults.hangs_at.load(Ordering::SeqCst) == session {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Box::new(Self { session, ..self.clone() }))
    }
}

impl Session for Rogue {
    fn driver_version(&self) -> Option<Arc<str>> {
        None
    }

    fn gpus(&self) -> Vec<u32> {
        vec![0, 1]
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let reader = |is_main| Box::new(RogueReader { gpu, is_main, rogue: self.clone() });
        vec![reader(true), reader(false)]
    }

    fn outdated(&mut self) -> Option<Outdated> {
        None
    }
}

struct RogueReader {
    gpu: u32,
    is_main: bool,
    rogue: Rogue,
}

impl RogueReader {
    fn is_set(&self, fault: &AtomicBool) -> bool {
        self.gpu == 0 && self.is_main && fault.load(Ordering::SeqCst)
    }
}

impl Reader for RogueReader {
    fn name(&self) -> &'static str {
        if self.is_main { "main" } else { "events" }
    }

    fn kind(&self) -> ReaderKind {
        assert!(!self.is_set(&self.rogue.faults.dies), "a rogue thread ends");
        if self.is_main { ReaderKind::Main } else { ReaderKind::Events }
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        if self.is_main { Arc::new([WatchIndex(0)]) } else { Arc::new([]) }
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        if !self.is_main {
            self.rogue.faults.events_opened.fetch_add(1, Ordering::SeqCst);
            return Err(Reason::NotSupported);
        }
        let uuid = Some(format!("GPU-{}", self.gpu));
        Ok(Some(Arc::new(Identity { index: Some(self.gpu), uuid, ..Identity::default() })))
    }

    fn read(&mut self, _: Pass, out: &mut Readings) -> Result<(), Reason> {
        let faults = &self.rogue.faults;
        assert!(!self.is_set(&faults.panics), "a rogue reader panics");
        if self.gpu == 0 && self.rogue.session <= faults.lost_until.load(Ordering::SeqCst) {
            return Err(Reason::Lost);
        }
        out.set(SlotIndex(0), Ok(Value::Int(i64::from(self.gpu))));
        Ok(())
    }
}

fn watch(field: u16) -> Watch {
    Watch {
        field: FieldId(field),
        name: format!("watch {field}").into(),
        kind: Kind::Gauge,
        help: "".into(),
        pace: Pace::Every,
        cumulative: false,
    }
}

fn start(rogue: &Rogue, settings: Settings) -> Sampler {
    Sampler::start(Box::new(rogue.clone()), Arc::new([watch(150)]), settings).expect("threads")
}

fn settings() -> Settings {
    Settings::new(Duration::from_millis(50))
}

fn up(snapshot: &Snapshot) -> Vec<bool> {
    snapshot.gpus.iter().map(|view| view.up.is_ok()).collect()
}

/// Longer than anything takes, also on a machine that stands still for seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pause of the thread that waits from which others may have paused so long that readings are late.
const PAUSE: Duration = Duration::from_millis(300);

/// Waits until the snapshot is as expected. GPU 1 shows its reading all the time, once it has, except for
/// two seconds after the machine stood still.
fn wait_for(sampler: &Sampler, expected: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let until = Instant::now() + PATIENCE;
    let (mut was_up, mut last, mut paused) = (false, Instant::now(), None);
    loop {
        if last.elapsed() > PAUSE {
            paused = Some(Instant::now());
        }
        last = Instant::now();
        let snapshot = sampler.snapshot();
        let is_up = snapshot.gpus.get(1).is_some_and(|view| view.readings[0].is_ok());
        let may_be_late = paused.is_some_and(|at| at.elapsed() < Duration::from_secs(2));
        assert!(is_up || !was_up || may_be_late, "GPU 1 suffers with GPU 0");
        was_up = is_up;
        if expected(&snapshot) {
            return snapshot;
        }
        assert!(Instant::now() < until, "{snapshot:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_panic_costs_its_own_gpu_until_it_stops() {
    let rogue = Rogue::default();
    let sampler = start(&rogue, settings());
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    rogue.faults.panics.store(true, Ordering::SeqCst);
    wait_for(&sampler, |snapshot| up(snapshot) == [false, true]);
    rogue.faults.panics.store(false, Ordering::SeqCst);
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    assert!(sampler.stop(PATIENCE));
}

#[test]
fn a_thread_that_ends_is_named_and_started_again() {
    let time_until_named = || {
        let rogue = Rogue::default();
        let sampler = start(&rogue, settings());
        let before = wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
        assert_eq!(before.reader_restarts, 0);
        rogue.faults.dies.store(true, Ordering::SeqCst);
        let ended = Instant::now();
        wait_for(&sampler, |snapshot| snapshot.gpus[0].up == Err(Down::NoThread));
        let took = ended.elapsed();
        rogue.faults.dies.store(false, Ordering::SeqCst);
        let after = wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
        assert!(after.reader_restarts > 0);
        assert_eq!(rogue.faults.opened.load(Ordering::SeqCst), 1, "the session stays");
        assert!(sampler.stop(PATIENCE));
        took
    };
    // Long before its reading is late, unless the machine stands still.
    let is_soon = |_| time_until_named() < Duration::from_millis(500);
    assert!((0..10).any(is_soon), "it is named late each time");
}

#[test]
fn an_unsupported_reader_is_not_opened_every_second() {
    let rogue = Rogue::default();
    let sampler = start(&rogue, settings());
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(rogue.faults.events_opened.load(Ordering::SeqCst), 2, "once for each GPU");
    assert!(sampler.stop(PATIENCE));
}

#[test]
fn a_session_is_replaced_only_if_a_probe_succeeds() {
    let rogue = Rogue::default();
    rogue.faults.lost_until.store(1, Ordering::SeqCst);
    let (helps, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (its_helps, its_tries) = (Arc::clone(&helps), Arc::clone(&tries));
    let probe = GpuProbe(Arc::new(move |gpu| {
        assert_eq!(gpu.index, 0);
        its_tries.fetch_add(1, Ordering::SeqCst);
        its_helps.load(Ordering::SeqCst).then_some(()).ok_or(ProbeError::Unreadable)
    }));
    let probe_after = Duration::from_millis(200);
    let sampler = start(&rogue, Settings { probe: Some(probe), probe_after, ..settings() });
    // A source that cannot be opened any more takes nothing away from the session that there is.
    wait_for(&sampler, |snapshot| up(snapshot) == [false, true]);
    rogue.faults.hangs_at.store(2, Ordering::SeqCst);
    wait_for(&sampler, |_| tries.load(Ordering::SeqCst) >= 2);
    assert_eq!(rogue.faults.opened.load(Ordering::SeqCst), 1);
    helps.store(true, Ordering::SeqCst);
    wait_for(&sampler, |_| rogue.faults.opened.load(Ordering::SeqCst) == 2);
    wait_for(&sampler, |snapshot| snapshot.gpus[0].up == Err(Down::Lost));
    rogue.faults.hangs_at.store(0, Ordering::SeqCst);
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    assert!(sampler.stop(PATIENCE));
}

#[test]
fn without_a_probe_the_session_stays() {
    let rogue = Rogue::default();
    rogue.faults.lost_until.store(1, Ordering::SeqCst);
    let probe_after = Duration::from_millis(100);
    let sampler = start(&rogue, Settings { probe_after, ..settings() });
    wait_for(&sampler, |snapshot| up(snapshot) == [false, true]);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(rogue.faults.opened.load(Ordering::SeqCst), 1);
    assert!(sampler.stop(PATIENCE));
}

#[test]
fn other_watches_are_in_force_only_once_they_can_be_read() {
    let rogue = Rogue::default();
    rogue.faults.hangs_at.store(1, Ordering::SeqCst);
    let sampler = start(&rogue, settings());
    let called = Arc::new(Mutex::new(Vec::new()));
    let replan = |number: u16| {
        let called = Arc::clone(&called);
        let watches: Arc<[Watch]> = Arc::new([watch(150), watch(number)]);
        sampler.replan(watches, move || called.lock().expect("whole").push(number));
    };
    replan(155);
    replan(203);
    thread::sleep(Duration::from_secs(1));
    assert!(called.lock().expect("whole").is_empty(), "nothing is read yet");
    rogue.faults.hangs_at.store(0, Ordering::SeqCst);
    let is_in_force = |snapshot: &Snapshot| snapshot.watches.iter().any(|it| it.field.0 == 203);
    wait_for(&sampler, is_in_force);
    wait_for(&sampler, |_| called.lock().expect("whole").last() == Some(&203));
    assert!(sampler.stop(PATIENCE));
}

#[test]
fn other_watches_are_not_shown_before_they_are_in_force() {
    let sampler = Arc::new(start(&Rogue::default(), settings()));
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    let (found, its_snapshot) = mpsc::channel();
    let (weak, watches) = (Arc::downgrade(&sampler), Arc::new([watch(203)]));
    sampler.replan(watches, move || {
        thread::sleep(Duration::from_millis(500));
        let _ = found.send(weak.upgrade().expect("it runs").snapshot());
    });
    let snapshot = its_snapshot.recv_timeout(PATIENCE).expect("it is called");
    assert_eq!(snapshot.watches[0].field.0, 150, "{snapshot:?}");
}

#[test]
fn each_of_several_changes_is_in_force_before_it_is_read() {
    let rogue = Rogue::default();
    let sampler = start(&rogue, settings());
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    let called = Arc::new(Mutex::new(Vec::new()));
    let replan = |number: usize| {
        let called = Arc::clone(&called);
        sampler.replan(Arc::new([watch(203)]), move || called.lock().expect("whole").push(number));
    };
    rogue.faults.hangs_at.store(2, Ordering::SeqCst);
    replan(1);
    wait_for(&sampler, |_| rogue.faults.opened.load(Ordering::SeqCst) == 2);
    // While the first one is opened.
    replan(2);
    rogue.faults.hangs_at.store(3, Ordering::SeqCst);
    wait_for(&sampler, |snapshot| {
        snapshot.watches[0].field.0 == 203 && snapshot.gpus[1].readings[0].is_ok()
    });
    assert_eq!(*called.lock().expect("whole"), [1]);
    rogue.faults.hangs_at.store(0, Ordering::SeqCst);
    wait_for(&sampler, |_| *called.lock().expect("whole") == [1, 2]);
    assert!(sampler.stop(PATIENCE));
}
