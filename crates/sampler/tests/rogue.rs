//! Readers that misbehave in ways that no driver should.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use model::{
    FieldId, Identity, Kind, Pace, Pass, Reader, Readings, Reason, Rhythm, Session, Snapshot,
    Source, SourceError, Value, Watch, Windows,
};
use sampler::{Sampler, Selection, Settings};

/// A source of two GPUs, of which the first panics while `panics` is set.
#[derive(Clone)]
struct Rogue {
    panics: Arc<AtomicBool>,
}

impl Source for Rogue {
    fn name(&self) -> &'static str {
        "rogue"
    }

    fn serves(&self, _: FieldId) -> bool {
        true
    }

    fn connect(&mut self, _: &Arc<[Watch]>) -> Result<Box<dyn Session>, SourceError> {
        Ok(Box::new(self.clone()))
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
        vec![Box::new(RogueReader { gpu, panics: Arc::clone(&self.panics) })]
    }

    fn outdated(&mut self) -> Option<String> {
        None
    }
}

struct RogueReader {
    gpu: u32,
    panics: Arc<AtomicBool>,
}

impl Reader for RogueReader {
    fn name(&self) -> &'static str {
        "main"
    }

    fn rhythm(&self) -> Rhythm {
        Rhythm::Main
    }

    fn watches(&self) -> Arc<[usize]> {
        Arc::new([0])
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        Ok(Some(Arc::new(Identity {
            index: Some(self.gpu),
            uuid: Some(format!("GPU-{}", self.gpu)),
            ..Identity::default()
        })))
    }

    fn read(&mut self, _: Pass, out: &mut Readings) -> Result<(), Reason> {
        assert!(self.gpu == 1 || !self.panics.load(Ordering::Relaxed), "a rogue reader panics");
        out.set(0, Ok(Value::Int(i64::from(self.gpu))));
        Ok(())
    }
}

fn wait_for(sampler: &Sampler, wanted: impl Fn(&Snapshot) -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !wanted(&sampler.snapshot()) {
        assert!(Instant::now() < until, "{:?}", sampler.snapshot());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_panic_costs_its_own_gpu_until_it_stops() {
    let watch = Watch {
        field: FieldId(150),
        name: "temperature".into(),
        kind: Kind::Gauge,
        help: "".into(),
        pace: Pace::Every,
        cumulative: false,
    };
    let settings = Settings {
        interval: Duration::from_millis(50),
        gpus: Selection::All,
        started: SystemTime::now(),
        windows: Windows {
            extents: Duration::from_secs(60),
            xids: Duration::from_secs(300),
            clock_events: Duration::from_secs(300),
        },
        expected_xids: Vec::new(),
        kernel_log: None,
    };
    let rogue = Rogue { panics: Arc::new(AtomicBool::new(false)) };
    let panics = Arc::clone(&rogue.panics);
    let sampler = Sampler::start(Box::new(rogue), Arc::new([watch]), settings).expect("threads");
    let up = |snapshot: &Snapshot| -> Vec<bool> {
        snapshot.gpus.iter().map(|view| view.up.is_ok()).collect()
    };
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    panics.store(true, Ordering::Relaxed);
    wait_for(&sampler, |snapshot| up(snapshot) == [false, true]);
    panics.store(false, Ordering::Relaxed);
    wait_for(&sampler, |snapshot| up(snapshot) == [true, true]);
    assert!(sampler.stop(Duration::from_secs(2)));
}
