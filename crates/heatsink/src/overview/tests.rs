//! The page, from snapshots made by hand.

use std::time::{Duration, UNIX_EPOCH};

use model::{
    CLOCK_REASONS, Down, FieldId, Gpu as ModelGpu, GpuView, Identity, Kind, LinkFault, Moment,
    Pace, Process, Reading, Reason, Value, Watch, Windows, XidEvent, XidLog, field,
};

use super::conditions::CONDITIONS;
use super::*;

const WATCHED: [FieldId; 12] = [
    field::GPU_TEMP,
    field::SLOWDOWN_TEMP,
    field::POWER_USAGE,
    field::ENFORCED_POWER_LIMIT,
    field::FB_USED,
    field::FB_TOTAL,
    field::GPU_UTIL,
    field::SM_CLOCK,
    field::ECC_DBE_VOL_TOTAL,
    field::ROW_REMAP_FAILURE,
    field::ROW_REMAP_PENDING,
    field::GET_GPU_RECOVERY_ACTION,
];

fn now() -> When {
    let since = Duration::from_secs(1_700_000_000);
    When { time: UNIX_EPOCH + since, moment: Moment::BOOT + since }
}

fn before_now(age: Duration) -> When {
    let When { time, moment } = now();
    When { time: time - age, moment: moment - age }
}

/// A healthy GPU.
fn healthy(index: u32) -> GpuView {
    let numbers = [61, 87, 512, 700, 40_960, 81_920, 98, 1980, 0, 0, 0, 0];
    let identity = Identity {
        index: Some(index),
        uuid: Some(format!("GPU-5cd1{index:04}-7602-48e9-b643-5c26972e31c3")),
        pci_bus_id: Some(format!("00000000:{index:02X}:00.0")),
        model_name: Some("NVIDIA H100 80GB HBM3".into()),
        minor: None,
    };
    GpuView {
        gpu: ModelGpu { index: Some(index), identity: Some(Arc::new(identity)) },
        up: Ok(()),
        readings: numbers.map(|number| Ok(Value::Int(number))).into(),
        parts: Vec::new(),
        xids: Arc::new(XidLog { listening: true, ..XidLog::default() }),
        xids_in_window: Vec::new(),
        clock_events: Default::default(),
        extents: Vec::new(),
        health: Vec::new(),
        calls: Arc::default(),
        last_success: Some(before_now(Duration::from_secs(150)).time),
        pass_duration: None,
        errors: Arc::default(),
        counting_since: None,
    }
}

fn down(index: u32, why: Down) -> GpuView {
    GpuView { up: Err(why), ..healthy(index) }
}

/// With another reading of a field.
fn with(mut view: GpuView, field: FieldId, reading: Reading) -> GpuView {
    let at = WATCHED.iter().position(|watched| *watched == field).expect("it is watched");
    view.readings[at] = reading;
    view
}

fn with_int(view: GpuView, field: FieldId, number: i64) -> GpuView {
    with(view, field, Ok(Value::Int(number)))
}

/// With an XID that came so long ago.
fn with_xid(mut view: GpuView, code: u32, age: Duration) -> GpuView {
    let event = XidEvent { xid: model::catalog::xid::lookup(code), instance: None, before: None };
    Arc::make_mut(&mut view.xids).record(event, Some(before_now(age)), None);
    view
}

/// With a clock reason in force.
fn slowed(mut view: GpuView, name: &str) -> GpuView {
    let at = CLOCK_REASONS.iter().position(|reason| reason.name == name).expect("a reason");
    view.clock_events[at].active = Some(true);
    view
}

fn watch(field: FieldId) -> Watch {
    let name = field.to_string().as_str().into();
    Watch { field, name, kind: Kind::Gauge, help: "".into(), pace: Pace::Every, cumulative: false }
}

fn snapshot(gpus: Vec<GpuView>) -> Snapshot {
    let window = Duration::from_secs(300);
    Snapshot {
        watches: WATCHED.map(watch).into(),
        gpus,
        machine: Vec::new(),
        source: SourceView {
            name: "nvml",
            up: Ok(()),
            driver_version: Some("570.124.06".into()),
            needs_restart: None,
        },
        xid_source: Some(XidSource::KernelLog),
        driver_log: None,
        reader_restarts: 0,
        process: Process { cpu: None, resident_bytes: None, started: UNIX_EPOCH },
        counting_since: None,
        windows: Windows { extents: window, xids: window, clock_events: window },
        good_until: Moment::BOOT,
    }
}

fn page(snapshot: &Snapshot) -> String {
    Overview::new(Some("gpu-node-1".into()), None).page(snapshot, now())
}

fn page_of(gpus: Vec<GpuView>) -> String {
    page(&snapshot(gpus))
}

/// The sentence of a page.
fn sentence_of(page: &str) -> &str {
    let (_, rest) = page.split_once("<h1").expect("a heading");
    let (_, rest) = rest.split_once('>').expect("its end");
    rest.split_once("</h1>").expect("its end").0
}

fn sentence(gpus: Vec<GpuView>) -> String {
    sentence_of(&page_of(gpus)).to_owned()
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn one_sentence_describes_the_machine() {
    let hot = |index| slowed(healthy(index), "sw_thermal");
    assert_eq!(sentence(vec![healthy(0)]), "The GPU is healthy.");
    assert_eq!(sentence(vec![hot(0)]), "GPU 0 is slowed down by heat.");
    assert_eq!(sentence((0..8).map(healthy).collect()), "All 8 GPUs are healthy.");
    assert_eq!(
        sentence(vec![healthy(0), healthy(1), hot(2)]),
        "2 of 3 GPUs are healthy; GPU 2 is slowed down by heat."
    );
    assert_eq!(
        sentence(vec![hot(0), down(1, Down::Lost), hot(2), healthy(3), hot(4)]),
        "1 of 5 GPUs is healthy; GPU 1 is down; GPUs 0, 2 and 4 are slowed down by heat."
    );
    assert_eq!(
        sentence((0..9).map(|index| down(index, Down::Late)).collect()),
        "None of the 9 GPUs is healthy; 9 GPUs are down."
    );
    assert_eq!(sentence(vec![down(0, Down::Starting)]), "GPU 0 is starting.");
    assert_eq!(sentence(vec![]), "The driver lists no GPU.");
}

#[test]
fn expected_gpus_are_counted_as_missing() {
    let sentence = |expected| {
        let overview = Overview::new(None, Some(expected));
        sentence_of(&overview.page(&snapshot(vec![healthy(0), healthy(1)]), now())).to_owned()
    };
    assert_eq!(sentence(2), "All 2 GPUs are healthy.");
    assert_eq!(sentence(3), "All 2 GPUs are healthy; 1 more GPU is expected.");
    assert_eq!(sentence(8), "All 2 GPUs are healthy; 6 more GPUs are expected.");
}

/// A GPU in the state of each condition, the worst first.
fn one_per_condition() -> Vec<(GpuView, &'static str)> {
    let set = |field| with_int(healthy(0), field, 1);
    vec![
        (down(0, Down::Late), "is down"),
        (set(field::GET_GPU_RECOVERY_ACTION), "needs a recovery action"),
        (with_xid(healthy(0), 48, MINUTE), "reported a critical XID"),
        (set(field::ECC_DBE_VOL_TOTAL), "has uncorrectable memory errors"),
        (set(field::ROW_REMAP_FAILURE), "cannot remap a faulty memory row"),
        (slowed(healthy(0), "hw_thermal"), "is slowed down by its hardware because of heat"),
        (slowed(healthy(0), "hw_power_brake"), "is slowed down by the power brake"),
        (slowed(healthy(0), "sw_thermal"), "is slowed down by heat"),
        (with_int(healthy(0), field::GPU_TEMP, 83), "is near its temperature limit"),
        (with_xid(healthy(0), 54, MINUTE), "reported an XID"),
        (set(field::ROW_REMAP_PENDING), "needs a reset to remap memory rows"),
        (down(0, Down::Starting), "is starting"),
    ]
}

#[test]
fn each_condition_holds_alone() {
    let views = one_per_condition();
    assert_eq!(views.len(), CONDITIONS.len());
    for (at, (view, text)) in views.into_iter().enumerate() {
        let snapshot = snapshot(vec![view]);
        let gpu = Gpu::of(&snapshot.gpus[0], &snapshot, now());
        let holds: Vec<usize> = gpu.conditions.iter().map(|(at, _)| *at).collect();
        assert_eq!((holds, gpu.state_text()), (vec![at], text));
    }
}

#[test]
fn conditions_are_in_order_and_their_runbooks_are_there() {
    assert!(CONDITIONS.is_sorted_by_key(|condition| condition.severity));
    for runbook in CONDITIONS.iter().filter_map(|condition| condition.runbook) {
        let path = testkit::exporter::repository_file(&format!("docs/runbooks/{runbook}.md"));
        assert!(path.is_file(), "{runbook}");
    }
}

#[test]
fn unhealthy_gpus_come_first() {
    let views: Vec<GpuView> = one_per_condition().into_iter().map(|(view, _)| view).collect();
    let mut gpus = vec![
        healthy(0),
        views[7].clone(),
        views[2].clone(),
        healthy(3),
        views[0].clone(),
        views[8].clone(),
    ];
    for (index, view) in (0..).zip(&mut gpus) {
        view.gpu.index = Some(index);
    }
    let page = page_of(gpus);
    let headings = page.split("<h2>GPU ").skip(1);
    let order: Vec<&str> = headings.filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(order, ["4", "2", "1", "5", "0", "3"]);
}

#[test]
fn a_limit_without_a_reading_is_left_out() {
    let full = page_of(vec![healthy(0)]);
    for text in [
        "<b>61</b> of 87 °C",
        "<b>512</b> of 700 W",
        "<b>40.0</b> of 80.0 GiB",
        "<b>98</b> %",
        "<b>1980</b> MHz",
    ] {
        assert!(full.contains(text), "{text}: {full}");
    }
    let absent = [field::SLOWDOWN_TEMP, field::ENFORCED_POWER_LIMIT, field::FB_TOTAL];
    let view =
        absent.iter().fold(healthy(0), |view, field| with(view, *field, Err(Reason::NotSupported)));
    let page = page_of(vec![with(view, field::GPU_UTIL, Err(Reason::NotSupported))]);
    for text in ["<b>61</b> °C", "<b>512</b> W", "<b>40.0</b> GiB"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("<dt>Utilisation</dt><dd>no reading</dd>"), "{page}");
}

#[test]
fn a_quantity_is_found_under_the_names_of_both_generations() {
    let mut snapshot = snapshot(vec![healthy(0)]);
    let renamed = [
        (field::FB_USED, field::FB_USED_BYTES, Value::Int(40_960 << 20)),
        (field::FB_TOTAL, field::FB_CAPACITY_BYTES, Value::Int(81_920 << 20)),
        (field::GPU_UTIL, field::GPU_UTIL_RATIO, Value::Float(0.98)),
        (field::SM_CLOCK, field::SM_CLOCK_HERTZ, Value::Int(1_980_000_000)),
    ];
    let before = page(&snapshot);
    for (old, new, value) in renamed {
        let at = WATCHED.iter().position(|watched| *watched == old).unwrap();
        Arc::get_mut(&mut snapshot.watches).unwrap()[at] = watch(new);
        snapshot.gpus[0].readings[at] = Ok(value);
    }
    assert_eq!(page(&snapshot), before);
}

#[test]
fn a_gpu_that_is_down_shows_no_reading_and_when_it_last_answered() {
    let page = page_of(vec![with_xid(down(0, Down::Lost), 79, 5 * MINUTE)]);
    assert!(!page.contains("°C") && !page.contains("Temperature<"), "{page}");
    assert!(page.contains("It last answered 2 min ago."), "{page}");
    assert!(
        page.contains("XID 79, GPU has fallen off the bus, 5 min ago. Drain the machine"),
        "{page}"
    );
}

#[test]
fn xids_have_an_action_and_count_for_a_day() {
    let state = |view| {
        let snapshot = snapshot(vec![view]);
        let gpu = Gpu::of(&snapshot.gpus[0], &snapshot, now());
        let page = page(&snapshot);
        assert!(page.contains("XID ") && page.contains(" ago"), "{page}");
        gpu.state_text()
    };
    assert_eq!(state(with_xid(healthy(0), 119, DAY - MINUTE)), "reported a critical XID");
    assert_eq!(state(with_xid(healthy(0), 119, DAY)), "healthy");
    assert_eq!(state(with_xid(healthy(0), 31, MINUTE)), "healthy", "the application's own fault");
    assert_eq!(state(with_xid(healthy(0), 9999, MINUTE)), "reported an XID", "an unknown one");
    let later = with_xid(with_xid(healthy(0), 48, 5 * MINUTE), 45, MINUTE);
    assert_eq!(state(later), "reported a critical XID", "a harmless one came after it");
    let mut link = with_xid(healthy(0), 149, MINUTE);
    let fault = |severity| LinkFault { code: 149, unit: "NETIR".into(), severity, link: Some(3) };
    Arc::make_mut(&mut link.xids).record_link_fault(fault("nonfatal"), None);
    assert_eq!(state(link.clone()), "reported an XID");
    Arc::make_mut(&mut link.xids).record_link_fault(fault("fatal"), None);
    assert_eq!(state(link), "reported a critical XID");
    assert!(page_of(vec![healthy(0)]).contains("<dt>Last XID</dt><dd>none</dd>"));
    let unheard = GpuView { xids: Arc::default(), ..healthy(0) };
    assert!(page_of(vec![unheard]).contains("<dt>Last XID</dt><dd>not known</dd>"));
}

#[test]
fn without_a_driver_the_page_says_what_to_do() {
    let mut snapshot = snapshot(vec![]);
    snapshot.source.up = Err("cannot open libnvidia-ml.so.1".into());
    let text = page(&snapshot);
    assert_eq!(sentence_of(&text), "The driver cannot be used, so no GPU is read.");
    assert_eq!(text.matches("cannot open libnvidia-ml.so.1").count(), 1);
    for word in ["nvidia-smi", "heatsink check", "heatsink demo", "tries again"] {
        assert!(text.contains(word), "{word}");
    }
    snapshot.source.needs_restart = Some(Moment::BOOT);
    assert!(page(&snapshot).contains("Start heatsink, or its container, again."));
    snapshot.source.name = "dcgm";
    assert!(page(&snapshot).contains("systemctl status nvidia-dcgm"));
}

#[test]
fn simulated_numbers_are_never_shown_without_a_banner() {
    let banner = "These GPUs are simulated: no number here is measured.";
    let mut snapshot = snapshot(vec![healthy(0)]);
    assert!(!page(&snapshot).contains(banner));
    snapshot.source.name = "sim";
    assert!(page(&snapshot).contains(banner));
}

#[test]
fn every_text_is_escaped() {
    const MARKUP: &str = "\"'><script>alert(1)</script>&";
    let mut snapshot = snapshot(vec![healthy(0), down(1, Down::Lost)]);
    for view in &mut snapshot.gpus {
        let text = || Some(MARKUP.to_owned());
        let identity = Identity {
            index: None,
            uuid: text(),
            pci_bus_id: text(),
            model_name: text(),
            minor: None,
        };
        view.gpu = ModelGpu { index: None, identity: Some(Arc::new(identity)) };
    }
    snapshot.source.driver_version = Some(MARKUP.into());
    snapshot.source.up = Err(MARKUP.into());
    let overview = Overview::new(Some(MARKUP.into()), None);
    let failing = overview.page(&snapshot, now());
    snapshot.source.up = Ok(());
    let working = overview.page(&snapshot, now());
    for page in [failing, working] {
        assert!(!page.contains("<script") && !page.contains("\"'>"), "{page}");
        assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&amp;").count() >= 8, "{page}");
    }
}

/// In every state at once, with the longest texts.
fn worst(index: u32) -> GpuView {
    let longest = model::catalog::xid::critical().max_by_key(|xid| xid.action.len()).unwrap();
    let view = with_xid(with_xid(healthy(index), 94, MINUTE / 3), longest.code, MINUTE / 3);
    let view = with_int(view, field::GET_GPU_RECOVERY_ACTION, 3);
    let names = CLOCK_REASONS.iter().map(|reason| reason.name);
    let mut view = names.fold(with_xid(view, 31, MINUTE / 3), slowed);
    let identity = view.gpu.identity.take().unwrap();
    // NVML's names have 96 bytes at most.
    let model_name = Some("x".repeat(95));
    view.gpu.identity = Some(Arc::new(Identity { model_name, ..(*identity).clone() }));
    view
}

#[test]
fn the_page_stays_small() {
    let size = |gpus: Vec<GpuView>| page_of(gpus).len();
    let eight = size((0..8).map(healthy).collect());
    let worst_eight = size((0..8).map(worst).collect());
    let many = size((0..255).map(worst).collect());
    println!("{eight} bytes for eight, {worst_eight} at worst, {many} for 255 at worst");
    assert!(eight <= 15_000 && worst_eight <= 15_000 && many <= 30_000);
}
