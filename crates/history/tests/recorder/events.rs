//! Events, and that each is recorded once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use history::event::{Event, HolderInfo, What};
use history::time::Time;
use model::catalog::xid;
use model::{
    Attribution, DeviceKey, DeviceUse, Down, Holder, LogMessage, LogMessageKind, Moment, When,
    XidEvent, XidLog, XidSource,
};

use crate::machine::{BEGIN, EPOCH, Machine, SECOND, millis};

/// The event in a line: when in ms after the begin, of which GPU, what.
fn line(event: &Event) -> String {
    let gpu = event.gpu.as_ref().map(history::layout::GpuInfo::name);
    let gpu = gpu.map(|gpu| format!("{gpu} ")).unwrap_or_default();
    let what = match &event.what {
        What::SourceUp { driver_version } => format!("source up {driver_version:?}"),
        What::SourceDown { why } => format!("source down: {why}"),
        What::GpuDown { reason } => format!("down {reason}"),
        What::GpuUp => "up".to_owned(),
        What::ClockSet { by_ms } => format!("clock set by {by_ms}"),
        What::Xid { code, count, process, link, line, .. } => {
            let pid = process.as_ref().and_then(|process| process.pid);
            format!("xid {code} count {count} pid {pid:?} link {link:?} line {}", line.is_some())
        }
        What::DriverLine { line } => line.clone(),
        What::OomKill { process, limited_cgroup, .. } => {
            format!("oom {:?} limit {limited_cgroup:?}", process.name)
        }
        What::HolderBegan { holder } => format!("+{}", holder.name()),
        What::HolderGoesOn { holder } => format!("={}", holder.name()),
        What::HolderEnded { holder } => format!("-{}", holder.name()),
        other => format!("{other:?}"),
    };
    format!("{} {gpu}{what}", event.time.0 - BEGIN.0)
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

/// A machine whose first events are over.
fn started(gpus: u32, xid_source: XidSource) -> Machine {
    let mut machine = Machine::new(gpus, SECOND);
    machine.snapshot.xid_source = Some(xid_source);
    assert_eq!(lines(&machine.observe(millis(0)).events), [r#"0 source up Some("580.82.07")"#]);
    assert_eq!(machine.observe(millis(1)).events, []);
    machine
}

fn message(at: Time, is_old: bool, kind: LogMessageKind) -> LogMessage {
    LogMessage { time: at.to_system(), is_old, text: "NVRM: text".into(), kind }
}

fn xid_line(gpu: u32, code: u32) -> LogMessageKind {
    LogMessageKind::Xid {
        pci_bus_id: format!("00000000:{:02X}:00.0", 0x1a + gpu),
        code,
        process: Some((Some(4211), Some("trainer".to_owned()))),
        link: (code == 145).then_some(4),
        severity: None,
    }
}

fn count(log: &mut Arc<XidLog>, code: u32, at: Duration) {
    let at = When { time: BEGIN.after(at).to_system(), moment: EPOCH + at };
    let event = XidEvent { xid: xid::lookup(code), instance: None, before: None };
    Arc::make_mut(log).record(event, Some(at), None);
}

#[test]
fn xids_come_from_the_kernel_log_or_from_counts_and_never_from_both() {
    let mut machine = started(2, XidSource::KernelLog);
    machine.messages.push(message(BEGIN.after(millis(900)), false, xid_line(1, 145)));
    machine.messages.push(message(BEGIN.after(millis(950)), false, xid_line(9, 79)));
    count(&mut machine.snapshot.gpus[1].xids, 145, millis(900));
    assert_eq!(
        lines(&machine.observe(millis(1000)).events),
        [
            "900 GPU 1 xid 145 count 1 pid Some(4211) link Some(4) line true",
            "950 the GPU at 00000000:23:00.0 xid 79 count 1 pid Some(4211) link None line true",
        ]
    );
    // The log cannot be read any more.
    machine.snapshot.xid_source = Some(XidSource::NvmlEvents);
    assert_eq!(machine.observe(millis(1500)).events, []);
    count(&mut machine.snapshot.gpus[0].xids, 48, millis(1600));
    count(&mut machine.snapshot.gpus[0].xids, 48, millis(1700));
    machine.messages.push(message(BEGIN, false, xid_line(0, 48)));
    assert_eq!(
        lines(&machine.observe(millis(2000)).events),
        ["2000 GPU 0 xid 48 count 2 pid None link None line false"]
    );
    assert_eq!(machine.observe(millis(2100)).events, []);
}

#[test]
fn messages_from_before_the_start_are_recorded_if_the_previous_run_ended_before_them() {
    for (since, expected) in [
        (None, vec![]),
        (Some(BEGIN.before(millis(500))), vec!["-400 GPU 0 xid 79"]),
        (Some(BEGIN.before(millis(5000))), vec!["-600 GPU 0 xid 48", "-400 GPU 0 xid 79"]),
    ] {
        let mut machine = Machine::with_old_messages(1, SECOND, since);
        machine.snapshot.xid_source = Some(XidSource::KernelLog);
        for (age, code) in [(600, 48), (400, 79)] {
            machine.messages.push(message(BEGIN.before(millis(age)), true, xid_line(0, code)));
        }
        let events = machine.observe(millis(10)).events;
        let is_xid = |event: &&Event| matches!(event.what, What::Xid { .. });
        let xids: Vec<String> = events.iter().filter(is_xid).map(line).collect();
        let xids: Vec<&str> = xids.iter().filter_map(|line| line.split(" count").next()).collect();
        assert_eq!(xids, expected);
    }
}

#[test]
fn a_recorder_that_begins_again_tells_all_that_is_so() {
    let mut machine = started(2, XidSource::KernelLog);
    machine.attribution = uses(&[("GPU-0", "7")], true);
    machine.down(1, Down::Lost);
    count(&mut machine.snapshot.gpus[0].xids, 48, millis(1));
    let first = machine.observe(millis(600));
    assert!(first.row.is_some());
    assert_eq!(lines(&first.events), ["600 GPU 0 +job 7", "600 GPU 1 down lost"]);
    machine.recorder.begin_again(Some(BEGIN.before(millis(500))));
    machine.messages.push(message(BEGIN.before(millis(400)), true, xid_line(0, 79)));
    let again = machine.observe(millis(610));
    assert_eq!(again.row, None, "there is one in this second");
    let all = [
        "-400 GPU 0 xid 79 count 1 pid Some(4211) link None line true",
        r#"610 source up Some("580.82.07")"#,
        "610 GPU 0 +job 7",
        "610 GPU 1 down lost",
    ];
    assert_eq!(lines(&again.events), all);
    assert_eq!(machine.observe(millis(620)).events, []);
}

#[test]
fn other_messages() {
    let mut machine = started(1, XidSource::KernelLog);
    let at = BEGIN.after(millis(400));
    let kill = LogMessageKind::OomKill {
        pid: 7,
        name: "python3".to_owned(),
        limited_cgroup: Some("/a".to_owned()),
        cgroup: None,
        anonymous_kb: Some(1),
    };
    let pci_bus_id = "00000000:1A:00.0".to_owned();
    let error = LogMessageKind::DriverError { pci_bus_id, error: model::DriverError::InitFailed };
    for kind in [kill, LogMessageKind::Driver, error] {
        machine.messages.push(message(at, false, kind));
    }
    assert_eq!(
        lines(&machine.observe(millis(500)).events),
        [r#"400 oom Some("python3") limit Some("/a")"#, "400 NVRM: text", "400 GPU 0 NVRM: text"]
    );
}

#[test]
fn a_burst_of_one_xid_is_counted() {
    let mut machine = started(1, XidSource::KernelLog);
    machine.messages = (0..200).map(|_| message(BEGIN, false, xid_line(0, 45))).collect();
    machine.messages.push(message(BEGIN, false, xid_line(0, 79)));
    let events = machine.observe(millis(1000)).events;
    assert_eq!(events.len(), 21);
    let later = machine.observe(millis(62_000)).events;
    assert!(matches!(later[..], [Event { what: What::Xid { code: 45, count: 180, .. }, .. }]));
}

#[test]
fn gpus_and_the_source_go_down_and_come_back() {
    let mut machine = Machine::new(2, SECOND);
    machine.snapshot.source.up = Err(model::SourceView::BEING_OPENED.to_owned());
    machine.down(0, Down::Starting);
    machine.down(1, Down::Starting);
    assert_eq!(machine.observe(millis(0)).events, []);
    machine.snapshot.source.up = Ok(());
    machine.snapshot.gpus[0].up = Ok(());
    machine.down(1, Down::Missing);
    assert_eq!(
        lines(&machine.observe(millis(100)).events),
        [r#"100 source up Some("580.82.07")"#, "100 GPU 1 down missing"]
    );
    machine.down(0, Down::Late);
    assert_eq!(lines(&machine.observe(millis(200)).events), ["200 GPU 0 down late"]);
    machine.down(0, Down::Lost);
    assert_eq!(lines(&machine.observe(millis(300)).events), ["300 GPU 0 down lost"]);
    machine.snapshot.source.up = Err("no driver".to_owned());
    machine.down(0, Down::SourceDown);
    assert_eq!(lines(&machine.observe(millis(400)).events), ["400 source down: no driver"]);
    machine.snapshot.source.up = Ok(());
    machine.snapshot.gpus[0].up = Ok(());
    machine.snapshot.gpus[1].up = Ok(());
    assert_eq!(
        lines(&machine.observe(millis(500)).events),
        [r#"500 source up Some("580.82.07")"#, "500 GPU 0 up", "500 GPU 1 up"]
    );
}

#[test]
fn a_step_of_the_wall_clock_is_recorded() {
    let mut machine = started(1, XidSource::NvmlEvents);
    machine.clock_set = Duration::from_secs(3600);
    let events = machine.observe(millis(1000)).events;
    assert_eq!(lines(&events), ["3601000 clock set by 3600000"]);
    assert_eq!(machine.observe(millis(2000)).events, []);
}

/// Jobs on GPUs.
fn uses(jobs: &[(&str, &str)], is_complete: bool) -> Option<Attribution> {
    let mut uses: HashMap<DeviceKey, Vec<DeviceUse>> = HashMap::new();
    for (gpu, id) in jobs {
        let holder = Arc::new(Holder::Job { id: (*id).into() });
        let one = DeviceUse { holder, compute_instance: None, share: None };
        uses.entry(DeviceKey::uuid(gpu)).or_default().push(one);
    }
    Some(Attribution {
        uses,
        allocatable: None,
        is_complete,
        refreshers: Vec::new(),
        pod_labels_cut: None,
        good_until: Moment::BOOT,
    })
}

#[test]
fn simulated_time_has_no_steps_of_the_wall_clock() {
    let mut machine = Machine::simulated(60);
    machine.observe(millis(0));
    machine.clock_set = Duration::from_secs(3600);
    assert_eq!(lines(&machine.observe(millis(1000)).events), [""; 0]);
}

#[test]
fn holders_of_gpus_begin_and_end() {
    let mut machine = started(2, XidSource::NvmlEvents);
    machine.attribution = uses(&[("GPU-0", "4711"), ("GPU-1", "4711")], true);
    let began = ["100 GPU 0 +job 4711", "100 GPU 1 +job 4711"];
    assert_eq!(lines(&machine.observe(millis(100)).events), began);
    machine.attribution = uses(&[], false);
    assert_eq!(machine.observe(millis(200)).events, [], "a refresher has failed");
    machine.attribution = uses(&[("GPU-0", "4711"), ("GPU-1", "4712")], true);
    let changed = ["300 GPU 1 -job 4711", "300 GPU 1 +job 4712"];
    let events = machine.observe(millis(300)).events;
    assert_eq!(lines(&events), changed);
    let ended = HolderInfo::Job { id: "4711".to_owned() };
    assert_eq!(events[0].what, What::HolderEnded { holder: ended });
}

#[test]
fn holders_are_repeated_each_hour_and_with_a_new_layout() {
    let mut machine = started(2, XidSource::NvmlEvents);
    machine.attribution = uses(&[("GPU-0", "4711"), ("GPU-1", "4712")], true);
    let seconds = |seconds: u64| millis(1000 * seconds);
    assert_eq!(
        lines(&machine.observe(seconds(1)).events),
        ["1000 GPU 0 +job 4711", "1000 GPU 1 +job 4712"]
    );
    assert_eq!(machine.observe(seconds(3599)).events, []);
    let events = machine.observe(seconds(3600)).events;
    assert_eq!(lines(&events), ["3600000 GPU 0 =job 4711", "3600000 GPU 1 =job 4712"]);
    machine.attribution = uses(&[("GPU-1", "4712")], true);
    assert_eq!(lines(&machine.observe(seconds(3601)).events), ["3601000 GPU 0 -job 4711"]);
    machine.snapshot.source.driver_version = Some("999.1".into());
    assert_eq!(lines(&machine.observe(seconds(3602)).events), ["3602000 GPU 1 =job 4712"]);
    assert_eq!(machine.observe(seconds(7201)).events, []);
    assert_eq!(machine.observe(seconds(7202)).events.len(), 1);
}
