//! Which signs become one incident, which open none, and what holds for any recording.

use proptest::prelude::*;

use super::*;
use crate::event::{HolderInfo, PreviousRun, Process};
use crate::layout::{GpuInfo, HostInfo, SignalInfo};
use crate::story::{Step, Story, gpu_info, xid};

const ALL: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn busy() -> Story {
    Story::of(8).job("4711", &ALL).run(120)
}

/// The kinds of all incidents, in order.
fn kinds(story: Story) -> Vec<SignKind> {
    story.run(180).incidents().iter().map(|incident| incident.kind).collect()
}

#[test]
fn what_happens_on_healthy_machines_opens_no_incident() {
    let healthy: [(&str, Story); 12] = [
        ("a steady job", busy().run(600)),
        (
            "a job that ends, and gives its GPUs back",
            busy().exit(&ALL).run(2).job_ends("4711", &ALL).run(600),
        ),
        ("a job that ends, where holders are not known", Story::of(8).run(120).exit(&ALL).run(600)),
        ("a checkpoint", busy().idle(&ALL).run(8).work(&ALL).run(60)),
        ("one GPU of a job that idles", busy().idle(&[0]).run(300)),
        ("GPUs without a job", Story::of(8).exit(&ALL).run(600)),
        ("a short heat slowdown", busy().hot(0, 89).run(25).cool(0).run(60)),
        ("the slowdown bit of a cool GPU", busy().set(&[0], "clock_reasons", 8.0).run(120)),
        ("the power limit", busy().set(&ALL, "clock_reasons", 4.0).run(1200)),
        ("a driver call that is slow", busy().down(0, "late").run(3).up(0).run(60)),
        ("an XID that is information", busy().xid(0, 63).run(60)),
        ("GPUs that are slow to start", Story::of(2).down(0, "starting").run(20).up(0).run(60)),
    ];
    for (name, story) in healthy {
        assert_eq!(kinds(story), [], "{name}");
    }
}

#[test]
fn an_upgrade_of_the_driver_is_no_fault_of_a_gpu() {
    let gone = |story: Story| ALL.iter().fold(story, |story, gpu| story.down(*gpu, "lost"));
    let back = |story: Story| ALL.iter().fold(story, |story, gpu| story.up(*gpu));
    // The GPUs go before the source does, and come back with it.
    let idle = || Story::of(8).exit(&ALL).run(120);
    let down = gone(idle()).run(3).source_down().run(60).source_up("580.2");
    assert_eq!(kinds(back(down).run(60)), []);
    let all_lost = gone(idle()).run(60);
    assert_eq!(kinds(all_lost), [SignKind::GpuLost]);
}

#[test]
fn signs_that_explain_are_told_with_the_incident_that_follows() {
    let replays =
        |story: Story| (0..20).fold(story, |story, _| story.count(1, "pcie_replays", 3.0).run(1));
    let stories: [(SignKind, Story, &str); 14] = [
        (
            SignKind::PcieDegraded,
            replays(busy()),
            "GPU 1 counted 60 packets sent again on PCIe in 20 s",
        ),
        (
            SignKind::PcieDegraded,
            busy().set(&[1], "pcie_link_generation", 1.0).run(20),
            "GPU 1 had a slower PCIe link than before for 20 s so far: generation 1",
        ),
        (
            SignKind::NvlinkErrors,
            busy().count(1, "nvlink_errors", 40.0).run(20),
            "GPU 1 counted 40 errors on NVLinks in 20 s",
        ),
        (
            SignKind::EccCorrected,
            busy().count(1, "ecc_corrected", 40.0).run(20),
            "GPU 1 counted 40 corrected memory errors in 20 s",
        ),
        (
            SignKind::RemapPending,
            busy().set(&[1], "remap_pending", 1.0).run(20),
            "GPU 1 had a faulty memory row that is replaced at the next reset",
        ),
        (
            SignKind::RemapFailed,
            busy().set(&[1], "remap_failed", 1.0).run(20),
            "GPU 1 had a faulty memory row that could not be replaced",
        ),
        (
            SignKind::FanFailing,
            busy().set(&[1], "fan", 0.0).set(&[1], "gpu_temperature", 85.0).run(60),
            "GPU 1 was hot while its fan stood still or ran at full speed for 1 min so far: 0 %, 85 °C",
        ),
        (
            SignKind::PowerCapped,
            busy().set(&[1], "clock_reasons", 4.0).run(1800),
            "GPU 1 was held back by its power limit for 30 min so far: 700 W",
        ),
        (
            SignKind::HostMemoryPressure,
            busy().machine("memory_pressure_some", 55.0).machine("memory_available", 400.0).run(30),
            "Programs waited for memory of the machine for 30 s, up to 55 % of the time, with as little as \
             400 MiB available",
        ),
        (
            SignKind::GpuMemoryAlmostFull,
            busy().set(&[1], "memory_used", 81_000.0).run(30),
            "GPU 1 had its memory almost full for 30 s so far: 79 GiB of 80 GiB",
        ),
        (
            SignKind::GpuMemoryFreed,
            busy().exit(&[1]).run(20),
            "59 GiB of memory of GPU 1 were freed at once",
        ),
        (SignKind::GpuIdle, busy().idle(&[1]).run(20), "GPU 1 became idle"),
        (
            SignKind::HolderEnded,
            busy().job_ends("4711", &ALL).run(20),
            "Job 4711 gave its GPUs back",
        ),
        (
            SignKind::HeatsinkKilled,
            busy().started(false, false, 30).run(20),
            "heatsink was killed, and recorded nothing for 30 s",
        ),
    ];
    for (kind, story, text) in stories {
        assert_eq!(story.incidents(), [], "{text}");
        let incident = story.xid(1, 61).run(1).incidents().pop().unwrap();
        let signs: Vec<_> = incident.signs.iter().filter(|sign| sign.kind == kind).collect();
        let [sign] = signs.as_slice() else { panic!("{kind:?}: {incident:#?}") };
        assert!(!sign.is_trigger);
        assert_eq!(sign.text, text);
    }
}

#[test]
fn the_slowdown_bit_is_heat_only_near_the_limit() {
    let slowed = |temperature: f64| {
        busy().set(&[0], "clock_reasons", 8.0).set(&[0], "gpu_temperature", temperature).run(60)
    };
    assert_eq!(kinds(slowed(88.0)), [SignKind::HeatSlowdown]);
    assert_eq!(kinds(slowed(70.0)), []);
}

#[test]
fn a_power_brake_on_all_gpus_is_one_incident() {
    let incident = busy().set(&ALL, "clock_reasons", 128.0).run(30).ends().unwrap();
    assert_eq!(incident.gpus.len(), 8);
    assert_eq!(incident.signs.iter().filter(|sign| sign.is_trigger).count(), 8);
}

#[test]
fn what_follows_from_a_fault_joins_it() {
    for (name, story) in [
        ("79 a minute after 48", busy().xid(5, 48).run(60).xid(5, 79).down(5, "lost").run(9)),
        ("45 after 31", busy().xid(5, 31).run(30).xid(5, 45).run(9)),
        ("the job stops after a hang", busy().down(5, "late").run(10).idle(&ALL).run(90)),
        ("the same again", busy().xid(5, 31).run(90).xid(5, 31).run(90).xid(5, 31).run(9)),
        ("a second GPU within five seconds", busy().xid(5, 31).run(4).xid(6, 13).run(9)),
    ] {
        assert_eq!(story.run(180).incidents().len(), 1, "{name}");
    }
    let apart = busy().xid(5, 31).run(30).xid(6, 13).run(9);
    assert_eq!(kinds(apart), [SignKind::Xid, SignKind::Xid]);
    let later = busy().xid(5, 62).run(130).xid(5, 62).run(9);
    assert_eq!(kinds(later), [SignKind::Xid, SignKind::Xid]);
}

/// Job 4711 gives GPU 0 to job 4712.
fn handed_over(story: Story) -> Story {
    story.job_ends("4711", &[0]).run(2).job("4712", &[0])
}

fn job(id: &str) -> HolderInfo {
    HolderInfo::Job { id: id.to_owned() }
}

#[test]
fn a_fault_of_the_next_job_is_an_incident_of_its_own() {
    let first = |code| Story::of(1).job("4711", &[0]).run(120).xid(0, code).run(2);
    for (earlier, later) in [(31, 31), (13, 31), (31, 13)] {
        let incidents = handed_over(first(earlier)).run(20).xid(0, later).run(180).incidents();
        let [one, other] = incidents.as_slice() else { panic!("{incidents:#?}") };
        assert_eq!(one.holders, [(0, job("4711"))]);
        assert_eq!(other.holders, [(0, job("4712"))]);
        assert_eq!(other.began.since(one.began), Duration::from_secs(24));
        for incident in [one, other] {
            let sentences = [&incident.verdict.cause].into_iter().chain(&incident.verdict.evidence);
            assert!(sentences.clone().all(|text| !text.contains("times)")), "{incident:#?}");
            assert_eq!(incident.verdict.time, Some(incident.began));
        }
    }
    let again = handed_over(first(31)).run(20).xid(0, 31).run(20).xid(0, 31).run(180);
    assert_eq!(again.incidents().len(), 2);
    // Of both if it may be of both: the second one is an incident of its own, and both are named.
    let soon = handed_over(first(31)).run(6).xid(0, 31).run(180).incidents();
    assert_eq!(soon.len(), 2);
    assert!(soon[1].holders.contains(&(0, job("4712"))), "{soon:#?}");
}

#[test]
fn what_a_gpu_does_again_is_told_to_its_next_holder_too() {
    let broken = Story::of(1).job("4711", &[0]).run(120).xid(0, 62).run(2);
    let incidents = handed_over(broken).run(20).xid(0, 62).run(180).incidents();
    let [incident] = incidents.as_slice() else { panic!("{incidents:#?}") };
    assert_eq!(incident.holders, [(0, job("4711")), (0, job("4712"))]);
    // An application that dies of it is not the cause.
    let dies = Story::of(1).job("4711", &[0]).run(120).xid(0, 62).run(2);
    let incidents = handed_over(dies).run(20).xid(0, 45).run(180).incidents();
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
}

#[test]
fn an_incident_has_ten_minutes_before_and_two_after() {
    let story = busy().xid(5, 31).run(60).xid(5, 45);
    let open = story.clone().run(10).incidents().pop().unwrap();
    assert!(!open.is_closed);
    let closed = story.ends().unwrap();
    assert!(closed.is_closed);
    let Incident { began, last, window, .. } = &closed;
    assert_eq!(last.since(*began), Duration::from_secs(60));
    assert_eq!(began.since(window.from), Duration::from_secs(600));
    assert_eq!(window.to.since(*last), Duration::from_secs(120));
    // The job began before, and that is an event of the window.
    assert!(closed.events.iter().any(|event| matches!(event.what, What::HolderBegan { .. })));
    assert_eq!(closed.holders, [(0, HolderInfo::Job { id: "4711".to_owned() })]);
}

#[test]
fn a_job_that_waits_for_work_is_told_once() {
    let waits = |story: Story, ids: std::ops::Range<usize>| {
        ids.fold(story, |story, _| story.idle(&ALL).run(700).work(&ALL).run(300))
    };
    let night = waits(busy(), 0..20);
    assert_eq!(kinds(night.clone()), [SignKind::JobSilent]);
    // But the next job, too.
    let next = night.job_ends("4711", &ALL).job("4712", &ALL).run(120);
    assert_eq!(kinds(waits(next, 0..2)), [SignKind::JobSilent; 2]);
}

#[test]
fn the_same_xid_many_times_is_one_sign() {
    let many = |more| {
        let What::Xid { code, message, .. } = xid(31) else { unreachable!() };
        let (process, link, line) = (None, None, None);
        What::Xid { code, message, process, link, line, count: more }
    };
    let story = (0..50).fold(busy(), |story, _| story.xid(5, 31)).run(1);
    let incident = story.event(Some(5), many(30)).ends().unwrap();
    assert_eq!(incident.signs.len(), 1);
    assert!(incident.signs[0].text.ends_with("(80 times)"), "{:?}", incident.signs[0].text);
}

#[test]
fn a_gpu_of_which_the_log_has_the_address_is_named_by_its_index() {
    let mut story = busy().every_ms(1000);
    let mut layout = Layout::clone(&story.layout());
    layout.gpus[3].pci_bus_id = Some("00000000:3A:00.0".to_owned());
    story = story.with_layout(layout).xid(3, 31).run(1);
    let logged = story.steps.last_mut().unwrap().events.last_mut().unwrap();
    let pci_bus_id = Some("00000000:3A:00.0".to_owned());
    logged.gpu = Some(GpuInfo { pci_bus_id, ..GpuInfo::default() });
    let incident = story.ends().unwrap();
    assert!(incident.verdict.cause.ends_with("(XID 31) on GPU 3."), "{}", incident.verdict.cause);
    assert_eq!(incident.gpus[0].uuid.as_deref(), Some("GPU-3"));
}

#[test]
fn a_holder_is_the_same_when_its_uid_is_known_later() {
    let pod = |uid: Option<&str>| HolderInfo::Pod {
        namespace: "ml".to_owned(),
        pod: "train-0".to_owned(),
        container: "main".to_owned(),
        uid: uid.map(str::to_owned),
    };
    let story = Story::of(1).event(Some(0), What::HolderBegan { holder: pod(None) }).run(60);
    let ended = What::HolderEnded { holder: pod(Some("12345678-9abc")) };
    let story = story.exit(&[0]).event(Some(0), ended).run(100);
    assert_eq!(story.incidents(), []);
}

#[test]
fn memory_that_was_freed_is_told_with_one_number() {
    let freed = |left: f64| {
        let full = busy().set(&[4], "memory_used", 81_000.0).run(5).set(&[4], "memory_used", left);
        full.ends().expect("an incident").signs.remove(0).text
    };
    assert_eq!(
        freed(500.0),
        "The memory of GPU 4 was 99.3 % full, and all of it was freed at once"
    );
    let text = "The memory of GPU 4 was 99.3 % full, and 60 GiB of it were freed at once";
    assert_eq!(freed(20_000.0), text);
}

#[test]
fn an_oom_kill_is_a_trigger_only_if_it_has_to_do_with_a_gpu() {
    let kills = |story: Story| kinds(story.run(20));
    let other = Some("/system.slice/cron.service");
    assert_eq!(kills(busy().oom_kill(other, None)), []);
    assert_eq!(kills(busy().oom_kill(Some("/slurm/job_4711/step_0"), None)), [SignKind::OomKill]);
    // The line may come before or after memory is seen to be freed.
    let free = || Story::of(8).run(120);
    assert_eq!(kills(free().oom_kill(other, None).run(3).exit(&[2])), [SignKind::OomKill]);
    assert_eq!(kills(free().exit(&[2]).run(1).oom_kill(other, None)), [SignKind::OomKill]);
    assert_eq!(kills(free().oom_kill(other, None).run(3).idle(&[2])), [SignKind::OomKill]);
    // A pause is no end.
    let pause = free().every_ms(100).run(60).oom_kill(other, None).run(3).idle(&[2]).run(2);
    assert_eq!(kills(pause.work(&[2])), []);
    // Memory that was freed before was not that of the process.
    assert_eq!(kills(free().exit(&[2]).run(3).oom_kill(other, None)), []);
    // Where holders are known, it was the process of another one.
    assert_eq!(kills(busy().oom_kill(other, other).run(3).exit(&[2])), []);
    let unreadable = free().set(&ALL, "memory_used", None).run(5);
    assert_eq!(kills(unreadable.oom_kill(other, None)), []);
    // But it explains what comes after it.
    let silent = busy().oom_kill(other, None).run(30).idle(&ALL).run(700).ends().unwrap();
    assert!(silent.signs.iter().any(|sign| sign.kind == SignKind::OomKill && !sign.is_trigger));
}

#[test]
fn rows_may_be_close_together_or_far_apart() {
    for interval_ms in [100, 500, 1000, 10_000, 30_000, 60_000] {
        let machine = || Story::of(2).every_ms(interval_ms).job("1", &[0, 1]).run(300);
        let heat = machine().hot(1, 89).run(600).idle(&[0, 1]).run(300).ends().unwrap();
        assert_eq!((heat.kind, heat.verdict.name.as_str()), (SignKind::JobSilent, "heat"));
        assert_eq!(machine().run(600).incidents(), [], "{interval_ms} ms");
        let full = machine().set(&[1], "memory_used", 81_000.0);
        let full = full.run((interval_ms / 1000).max(5)).exit(&[1]).run(60);
        let full = full.incidents().pop().map(|incident| incident.kind);
        assert_eq!(full, Some(SignKind::MemoryFull), "{interval_ms} ms");
    }
}

#[test]
fn at_most_32_incidents_an_hour_are_kept_and_the_others_are_counted() {
    let mut story = busy();
    for number in 0..60 {
        // Each fails once.
        let (job, next) = (number.to_string(), (number + 1).to_string());
        story = story.job(&job, &ALL).xid(number % 8, 31).run(20).job_ends(&job, &ALL);
        story = story.job(&next, &ALL).xid((number + 4) % 8, 13).run(20).job_ends(&next, &ALL);
    }
    let incidents = story.run(300).incidents();
    assert_eq!(incidents.len(), 32);
    let counted = |incident: &Incident| {
        incident.signs.iter().any(|sign| sign.kind == SignKind::MoreIncidents)
    };
    assert!(incidents.iter().any(counted));
}

#[test]
fn counting_more_incidents_keeps_what_changed_since_the_last_one() {
    let fails = |story: Story, number: u32| {
        let job = number.to_string();
        story.job(&job, &ALL).xid(number % 8, 31).run(18).job_ends(&job, &ALL)
    };
    // Hot until ten minutes after the incident of that is closed.
    let story = (0..31).fold(Story::of(8).run(120), fails).hot(2, 89).run(720).cool(2).run(300);
    let heat = |story: &Story| {
        let incidents = story.incidents();
        assert_eq!(incidents.len(), 32);
        let mut signs = incidents.into_iter().flat_map(|incident| incident.signs);
        signs.find(|sign| sign.is_trigger && sign.kind == SignKind::HeatSlowdown).unwrap()
    };
    let before = heat(&story);
    assert!(before.to.is_some(), "{before:?}");
    let story = (31..34).fold(story, fails).run(20);
    assert_eq!(heat(&story), before);
    let last = story.incidents().pop().unwrap();
    assert!(last.signs.iter().any(|sign| sign.kind == SignKind::MoreIncidents), "{last:#?}");
}

#[test]
fn what_comes_after_a_flood_is_told_with_its_incident() {
    let flood = |story: Story| {
        let all = |story: Story| ALL.iter().fold(story, |story, gpu| story.xid(*gpu, 74)).run(1);
        (0..20).fold(story, |story, _| all(story)).run(40)
    };
    let line = "NVRM: GPU 0000:3A:00.0: GPU has fallen off the bus.".to_owned();
    let story = (0..5).fold(busy(), |story, _| flood(story));
    let story = story.oom_kill(Some("/slurm/job_4711/step_0"), None).xid(5, 79).down(5, "lost");
    let story = story.event(Some(5), What::DriverLine { line }).run(5).job_ends("4711", &ALL);
    let recorded: usize = story.steps.iter().map(|step| step.events.len()).sum();
    let incident = story.run(1).ends().unwrap();
    let count = |is_it: fn(&What) -> bool| {
        incident.events.iter().filter(|event| is_it(&event.what)).count()
    };
    assert_eq!(count(|what| matches!(what, What::HolderBegan { .. })), 8);
    assert_eq!(count(|what| matches!(what, What::OomKill { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::Xid { code: 79, .. })), 1);
    assert_eq!(count(|what| matches!(what, What::GpuDown { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::DriverLine { .. })), 1);
    assert_eq!(count(|what| matches!(what, What::HolderEnded { .. })), 8);
    // The triggers, which came first.
    let first: Vec<_> = incident.events.iter().skip(8).take(8).map(|event| event.time).collect();
    assert_eq!(first, [incident.began; 8]);
    assert!(incident.events.len() <= MOST_EVENTS);
    // The ends of holders came with the last row.
    let left_out = recorded + 8 - incident.events.len();
    assert_eq!(incident.events_left_out, left_out as u64);
}

#[test]
fn an_incident_keeps_the_last_events_if_all_differ() {
    let line = |number: u32| What::DriverLine { line: format!("NVRM: {number}") };
    let story = (0..1000).fold(busy().xid(1, 31).run(1), |story, number| {
        let story = story.event(Some(1), line(number));
        if number % 20 == 0 { story.run(1) } else { story }
    });
    let incident = story.run(1).ends().unwrap();
    let has = |what: &What| incident.events.iter().any(|event| event.what == *what);
    assert!(has(&line(999)) && has(&line(600)) && !has(&line(0)));
    assert!(incident.events.iter().any(|event| matches!(event.what, What::Xid { .. })));
    assert_eq!(incident.events.len() as u64 + incident.events_left_out, 8 + 1 + 1000);
}

#[test]
fn a_clock_that_is_set_closes_incidents_and_changes_no_duration() {
    let shifted = |seconds: i64| {
        let mut story = busy().hot(2, 89).run(600);
        let by_ms = seconds * 1000;
        story = story.event(None, What::ClockSet { by_ms });
        let first = story.steps.len();
        story = story.run(600).idle(&ALL).run(90);
        for Step { row, events } in &mut story.steps[first..] {
            row.time.0 += by_ms;
            events.iter_mut().for_each(|event| event.time.0 += by_ms);
        }
        story.incidents().pop().unwrap()
    };
    for seconds in [0, 3600, -3600, 30, -30] {
        let incident = shifted(seconds);
        assert_eq!(incident.kind, SignKind::JobSilent);
        assert!(incident.verdict.cause.contains("for 21 min so far"), "{}", incident.verdict.cause);
    }
}

#[test]
fn a_machine_that_was_cut_off_has_the_time_before_in_its_window() {
    let incident = Story::of(8).started(false, true, 240).run(20).ends().unwrap();
    assert_eq!(incident.kind, SignKind::MachineRestart);
    assert_eq!(incident.began.since(incident.window.from), Duration::from_secs(600));
    assert_eq!(incident.window.to.since(incident.began), Duration::from_secs(360));
    let killed = Story::of(8).started(false, false, 240).run(20);
    assert_eq!(kinds(killed), []);
}

#[test]
fn what_was_recorded_before_a_restart_explains_it() {
    let before = busy().hot(2, 89).run(300);
    let after = before.clone().run(240).started(false, true, 240).run(20);
    let layout = before.layout();
    let mut tracker = Tracker::new(7);
    for Step { row, events } in &before.steps {
        tracker.recall(row.time, &layout, Some(row), events);
    }
    let Step { row, events } = after.steps.iter().rfind(|step| !step.events.is_empty()).unwrap();
    let incidents = tracker.observe(row.time, &layout, Some(row), events);
    let [incident] = incidents.as_slice() else { panic!("{incidents:#?}") };
    assert_eq!((incident.number, incident.kind), (7, SignKind::MachineRestart));
    let heat = incident.signs.iter().find(|sign| sign.kind == SignKind::HeatSlowdown).unwrap();
    assert!(!heat.is_trigger && heat.from < incident.began);
    assert!(incident.events.iter().any(|event| matches!(event.what, What::HolderBegan { .. })));
}

#[test]
fn an_xid_of_an_unknown_gpu_and_of_an_unknown_code_has_a_verdict() {
    let incident = busy().event(None, xid(9999)).ends().unwrap();
    assert_eq!(incident.verdict.cause, "A GPU reported a fault: Unknown XID (XID 9999).");
    assert!(incident.gpus.is_empty());
}

#[test]
fn what_has_ended_opens_nothing() {
    let one = busy().count(5, "ecc_uncorrected", 1.0).run(300).incidents();
    let [incident] = one.as_slice() else { panic!("{one:#?}") };
    assert_eq!(incident.last, incident.began);
    assert_eq!(incident.window.to.since(incident.began), Duration::from_secs(120));
}

#[test]
fn what_waits_for_a_lost_gpu_ends_later_and_belongs_to_it() {
    let lost = || busy().xid(7, 79).down(7, "lost");
    for story in [
        lost().run(600).exit(&ALL[..7]).run(20),
        lost().run(600).idle(&ALL[..7]).run(90),
        busy().xid(7, 119).run(500).idle(&ALL).run(640),
    ] {
        let incidents = story.run(20).incidents();
        let [incident] = incidents.as_slice() else { panic!("{incidents:#?}") };
        assert!(incident.signs.iter().any(|sign| sign.kind == SignKind::JobSilent));
        assert!(incident.is_closed);
    }
}

#[test]
fn a_gpu_that_is_reset_is_not_lost() {
    assert_eq!(kinds(busy().down(3, "lost").run(30).up(3).run(60)), []);
    assert_eq!(kinds(busy().down(3, "lost").run(70)), [SignKind::GpuLost]);
    let told = busy().down(3, "lost").run(5).xid(3, 79).run(1).incidents();
    assert!(told[0].signs.iter().any(|sign| sign.kind == SignKind::GpuLost));
}

#[test]
fn gpus_that_the_driver_lists_late_are_not_missing() {
    let late = |seconds| busy().down(3, "not_initialized").run(seconds).up(3).run(60);
    assert_eq!(kinds(late(10)), []);
    assert_eq!(kinds(late(20)), [SignKind::GpuMissing]);
    // One that is reset is lost first.
    let reset = |seconds| busy().down(3, "lost").run(20).down(3, "missing").run(seconds);
    assert_eq!(kinds(reset(30).up(3).run(60)), []);
    assert_eq!(kinds(reset(50)), [SignKind::GpuMissing]);
}

#[test]
fn a_gpu_that_does_not_come_back_with_the_source_is_told() {
    let away = |story: Story| story.run(2).source_down().run(8).source_up("580.1");
    let lost = |seconds| away(Story::of(1).run(60).down(0, "lost")).run(seconds);
    assert_eq!(kinds(lost(70)), [SignKind::GpuLost]);
    assert_eq!(kinds(lost(30).up(0).run(60)), []);
    // While it is loaded again.
    assert_eq!(kinds(away(busy().down(3, "late")).run(30).up(3).run(60)), []);
    assert_eq!(kinds(away(busy().down(3, "late")).run(70)), [SignKind::GpuHung]);
    // And one that was told to hang before.
    let hung = away(busy().down(3, "late").run(20).down(3, "lost")).run(70).incidents();
    let [incident] = hung.as_slice() else { panic!("{hung:#?}") };
    assert!(incident.signs.iter().any(|sign| sign.kind == SignKind::GpuLost), "{incident:#?}");
}

/// The kinds of the incidents of a run that begins with `after`, and has recalled `before`.
fn kinds_of_next_run(before: &Story, after: impl Fn(Story) -> Story) -> Vec<SignKind> {
    let all = after(before.clone()).run(180);
    let (recalled, own) = all.steps.split_at(before.steps.len());
    let layout = before.layout();
    let mut tracker = Tracker::new(1);
    for Step { row, events } in recalled {
        tracker.recall(row.time, &layout, Some(row), events);
    }
    let mut kinds = std::collections::BTreeMap::new();
    for Step { row, events } in own {
        let told = tracker.observe(row.time, &layout, Some(row), events);
        kinds.extend(told.into_iter().map(|incident| (incident.number, incident.kind)));
    }
    kinds.into_values().collect()
}

#[test]
fn a_gpu_that_does_not_come_back_after_a_restart_is_told_once() {
    let next = |before: &Story, gpu, reason| {
        kinds_of_next_run(before, |story| story.started(true, false, 2).down(gpu, reason).run(70))
    };
    let rebooted = |story: Story| story.started(true, true, 240).down(5, "not_initialized");
    let missing = kinds_of_next_run(&busy(), |story| rebooted(story).run(20));
    assert_eq!(missing, [SignKind::GpuMissing]);
    // It waits to be told.
    assert_eq!(next(&busy().down(3, "lost").run(30), 3, "lost"), [SignKind::GpuLost]);
    assert_eq!(next(&busy().down(3, "late").run(2), 3, "late"), [SignKind::GpuHung]);
    // It was told.
    let told = busy().down(3, "lost").run(90);
    assert_eq!(next(&told, 3, "lost"), []);
    assert_eq!(next(&told.started(true, false, 2).down(3, "lost").run(90), 3, "lost"), []);
    assert_eq!(next(&busy().down(3, "late").run(10), 3, "late"), []);
    assert_eq!(next(&busy().xid(3, 79).run(1), 3, "lost"), []);
    // It was back since.
    let back = busy().down(3, "lost").run(90).up(3).run(20);
    assert_eq!(next(&back, 3, "lost"), [SignKind::GpuLost]);
    // It was never there.
    assert_eq!(next(&Story::of(8).down(3, "lost").run(60), 3, "lost"), []);
}

#[test]
fn a_gpu_that_hangs_and_is_lost_then_is_told_as_lost() {
    let gone = |story: Story| {
        let incidents = story.incidents();
        let [incident] = incidents.as_slice() else { panic!("{incidents:#?}") };
        let signs = incident.signs.iter().filter(|sign| sign.xid.is_none());
        let mut signs: Vec<_> = signs.map(|sign| (sign.kind, sign.to.is_some())).collect();
        signs.dedup();
        (incident.verdict.name.clone(), signs)
    };
    let hung = || busy().down(6, "late").run(20);
    let (over, lost) = ((SignKind::GpuHung, true), (SignKind::GpuLost, false));
    let told = ("off_bus".to_owned(), vec![over, lost]);
    assert_eq!(gone(hung().down(6, "lost").xid(6, 79).run(10)), told);
    assert_eq!(gone(hung().down(6, "lost").run(70)), told);
    let missing = gone(hung().down(6, "missing").run(30));
    assert_eq!(missing, ("missing".to_owned(), vec![over, (SignKind::GpuMissing, false)]));
    // One that is reset is not lost.
    let reset = gone(hung().down(6, "lost").run(20).up(6).run(130));
    assert_eq!(reset, ("hung".to_owned(), vec![over]));
    // And where all hang together.
    let all = ALL.iter().fold(busy(), |story, gpu| story.down(*gpu, "late")).run(20);
    let all = ALL.iter().fold(all, |story, gpu| story.xid(*gpu, 79).down(*gpu, "lost"));
    assert_eq!(gone(all.run(30)), told);
}

#[test]
fn gpus_that_are_late_together_are_one_sign() {
    let all = ALL.iter().fold(busy(), |story, gpu| story.down(*gpu, "late")).run(20);
    let late = |story: &Story| {
        let signs = story.incidents().pop().unwrap().signs;
        signs.into_iter().filter(|sign| sign.kind == SignKind::GpuHung).collect::<Vec<_>>()
    };
    let [sign] = late(&all).try_into().unwrap();
    assert!(sign.gpu.is_none() && sign.to.is_none(), "{sign:?}");
    assert!(sign.text.starts_with("GPU 0-7 did not answer in time"), "{sign:?}");
    let back = ALL.iter().fold(all, |story, gpu| story.up(*gpu)).run(180);
    let [sign] = late(&back).try_into().unwrap();
    assert!(sign.to.is_some(), "{sign:?}");
}

#[test]
fn severe_incidents_are_kept_after_many_others() {
    let mut story = busy();
    for number in 0..60 {
        story = story.xid(number % 8, 31).run(25).xid((number + 4) % 8, 13).run(25);
    }
    let incidents = story.xid(7, 79).down(7, "lost").run(20).incidents();
    assert_eq!(incidents.last().unwrap().verdict.name, "off_bus");
}

#[test]
fn a_program_that_is_interrupted_opens_nothing() {
    for code in [43, 45] {
        assert_eq!(kinds(busy().xid(3, code).exit(&[3]).run(60)), [], "{code}");
        let joined = busy().xid(3, code).run(2).xid(3, 62).ends().unwrap();
        assert!(joined.signs.iter().all(|sign| sign.kind != SignKind::Xid || sign.is_trigger));
    }
}

#[test]
fn memory_that_was_full_all_the_time_has_not_run_out() {
    let full = || busy().set(&ALL, "memory_used", 81_000.0).run(300);
    assert_eq!(kinds(full().exit(&ALL).run(60)), []);
    let grew = full().set(&[2], "memory_used", 81_300.0).run(5);
    assert_eq!(kinds(grew.exit(&[2]).run(60)), [SignKind::MemoryFull]);
    let not_full = busy().set(&[2], "memory_used", 75_000.0).run(5);
    assert_eq!(kinds(not_full.exit(&[2]).run(60)), []);
}

#[test]
fn a_pause_or_a_notebook_is_no_failure_and_a_job_that_hangs_is() {
    assert_eq!(kinds(busy().idle(&ALL).run(500).work(&ALL).run(60)), []);
    assert_eq!(kinds(busy().exit(&ALL).run(900)), []);
    assert_eq!(kinds(Story::of(1).job("1", &[0]).run(120).idle(&[0]).run(900)), []);
    assert_eq!(kinds(busy().idle(&ALL).run(700)), [SignKind::JobSilent]);
}

#[test]
fn a_job_that_ends_on_a_warm_gpu_has_not_ended_because_of_it() {
    let silent = |story: Story| {
        let incidents = story.run(180).incidents();
        let mut signs = incidents.iter().flat_map(|incident| &incident.signs);
        signs.any(|sign| sign.kind == SignKind::JobSilent)
    };
    let warm = |clock: f64| busy().hot(2, 87).set(&[2], "sm_clock", clock);
    assert!(!silent(warm(1900.0).run(120).exit(&ALL).run(30)));
    assert!(silent(warm(1900.0).run(400).exit(&ALL).run(30)));
    assert!(silent(warm(1200.0).run(120).exit(&ALL).run(30)));
    assert!(!silent(warm(1200.0).run(120).cool(2).run(60).exit(&ALL).run(30)));
    // And it is told once in six hours.
    let again = (0..4).fold(busy(), |story, _| {
        let story = story.set(&ALL, "memory_used", 60_000.0).work(&ALL).hot(2, 89).run(600);
        story.exit(&ALL).run(30).cool(2).run(300)
    });
    let silent = kinds(again).iter().filter(|kind| **kind == SignKind::JobSilent).count();
    assert_eq!(silent, 1);
}

#[test]
fn a_closed_incident_is_told_again_when_its_trigger_is_over() {
    let hot = busy().hot(2, 89).run(900);
    let heat = |story: &Story| story.incidents().remove(0).signs.remove(0).text;
    let first = heat(&hot);
    assert!(first.contains("for 2 min") && first.contains("it went on"), "{first}");
    let later = hot.run(3600);
    assert!(heat(&later).contains("for 1 h 2 min, at"), "{}", heat(&later));
    let over = later.cool(2).run(30);
    let incident = over.incidents().remove(0);
    assert!(incident.is_closed);
    assert!(incident.signs[0].text.contains("slowed by heat for 1 h 14 min, at"), "{incident:#?}");
}

#[test]
fn heat_is_told_for_as_long_as_it_was_seen() {
    let mut story = busy();
    for _ in 0..60 {
        story = story.hot(2, 89).run(12).cool(2).set(&[2], "gpu_temperature", 85.0).run(8);
    }
    story = story.cool(2).exit(&[2]).set(&[2], "sm_clock", 345.0).run(60);
    let text = story.incidents()[0].signs[0].text.clone();
    assert!(text.contains("for 11 of 19 min, at up to 89 °C"), "{text}");
    assert!(text.contains("down to 1200 MHz"), "{text}");
}

#[test]
fn heat_that_is_there_in_every_other_row_is_told_for_half_of_the_time() {
    let mut story = busy();
    for _ in 0..600 {
        story = story.hot(2, 89).run(1).set(&[2], "clock_reasons", 0.0).run(1);
    }
    let incidents = story.cool(2).run(60).incidents();
    let [incident] = incidents.as_slice() else { panic!("{incidents:#?}") };
    let text = &incident.signs[0].text;
    assert!(text.contains("was slowed by heat for 9 min 59 s of 19 min"), "{text}");
}

#[test]
fn the_pcie_link_of_work_that_begins_is_not_slow() {
    let idle = || busy().exit(&[1]).set(&[1], "pcie_link_generation", 1.0).run(60);
    let signs = |story: Story| {
        let signs = story.xid(1, 61).run(1).incidents().pop().unwrap().signs;
        signs.iter().filter(|sign| sign.kind == SignKind::PcieDegraded).count()
    };
    assert_eq!(signs(idle().work(&[1]).run(9).set(&[1], "pcie_link_generation", 5.0).run(60)), 0);
    assert_eq!(signs(idle().work(&[1]).run(60)), 1);
}

#[test]
fn links_that_are_trained_after_the_driver_was_away_are_not_down() {
    let fewer = |story: Story, seconds| {
        story.set(&ALL, "links_active", 9.0).run(seconds).set(&ALL, "links_active", 18.0).run(60)
    };
    assert_eq!(kinds(fewer(busy(), 15)), []);
    let away = busy().source_down().set(&ALL, "links_active", None).run(30);
    let reload = away.source_up("580.1").run(1);
    assert_eq!(kinds(fewer(reload, 60)), []);
    assert_eq!(kinds(fewer(busy().started(true, true, 60), 60)), []);
    assert_eq!(kinds(fewer(busy(), 30)), [SignKind::LinkDown]);
}

#[test]
fn a_memory_error_that_is_counted_minutes_later_is_that_of_the_xid() {
    let late = busy().xid(5, 48).run(360).count(5, "ecc_uncorrected", 1.0).run(30);
    assert_eq!(kinds(late), [SignKind::Xid]);
    let soon = busy().xid(5, 48).run(10).count(5, "ecc_uncorrected", 1.0).run(300);
    assert_eq!(kinds(soon), [SignKind::Xid]);
    let other = busy().xid(5, 48).run(360).count(4, "ecc_uncorrected", 1.0).run(30);
    assert_eq!(kinds(other), [SignKind::Xid, SignKind::EccUncorrected]);
}

#[test]
fn a_silent_job_is_told_for_when_it_stopped() {
    let story = busy().idle(&ALL);
    let stopped = story.steps.last().unwrap().row.time.after(Duration::from_secs(1));
    let incident = story.run(700).incidents().pop().unwrap();
    assert_eq!((incident.began, incident.last), (stopped, stopped));
}

#[test]
fn rows_without_a_reading_are_no_gap() {
    // As when a slow machine reads a GPU in every other interval.
    let mut story = busy().every_ms(6000);
    for _ in 0..30 {
        story = story.hot(2, 89).run(6).set(&[2], "clock_reasons", None).run(6);
    }
    assert_eq!(kinds(story), [SignKind::HeatSlowdown]);
}

/// Any event of a GPU or of the machine.
fn any_what() -> impl Strategy<Value = What> {
    let holder = || (0..3_u32).prop_map(|id| HolderInfo::Job { id: id.to_string() });
    let process = Process { pid: Some(7), name: None };
    prop_oneof![
        any::<(bool, bool, i64)>().prop_map(|(was_stopped, machine_restarted, last)| {
            let before = Some(PreviousRun { was_stopped, machine_restarted, last: Time(last) });
            What::Started { before }
        }),
        Just(What::Stopped),
        any::<i64>().prop_map(|by_ms| What::ClockSet { by_ms }),
        Just(What::SourceDown { why: String::new() }),
        ".{0,4}".prop_map(|version| What::SourceUp { driver_version: Some(version) }),
        prop_oneof![Just("lost"), Just("late"), Just("missing"), Just("failed")]
            .prop_map(|reason| What::GpuDown { reason: reason.to_owned() }),
        Just(What::GpuUp),
        prop_oneof![0..200_u32, any::<u32>()].prop_map(xid),
        (".{0,9}", any::<Option<u64>>()).prop_map(move |(path, anonymous_kb)| What::OomKill {
            process: process.clone(),
            limited_cgroup: None,
            cgroup: Some(path),
            anonymous_kb,
            line: String::new(),
        }),
        holder().prop_map(|holder| What::HolderBegan { holder }),
        holder().prop_map(|holder| What::HolderEnded { holder }),
    ]
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![4 => (0..4_000_000_i64).prop_map(Time), 1 => any::<i64>().prop_map(Time)]
}

fn any_event() -> impl Strategy<Value = Event> {
    let gpu = prop_oneof![
        (0..9_u32).prop_map(|index| Some(gpu_info(index))),
        Just(None),
        Just(Some(GpuInfo::default()))
    ];
    (any_time(), gpu, any_what()).prop_map(|(time, gpu, what)| Event { time, gpu, what })
}

/// A layout that the rows may fit or not.
fn any_layout() -> impl Strategy<Value = Arc<Layout>> {
    let story = Story::of(4).layout();
    let of_story = story.signals.clone();
    let signal = (prop::sample::select(of_story), any::<(u8, u32, bool)>()).prop_map(
        |(signal, (digits, step, is_of_host))| SignalInfo { digits, step, is_of_host, ..signal },
    );
    let odd = (prop::collection::vec(signal, 0..30), 0..6_u32, any::<u64>()).prop_map(
        |(signals, gpus, interval_ms)| {
            let host = HostInfo { interval_ms, ..HostInfo::default() };
            Arc::new(Layout { host, gpus: (0..gpus).map(gpu_info).collect(), signals })
        },
    );
    prop_oneof![Just(story), odd]
}

fn any_row() -> impl Strategy<Value = Option<Row>> {
    let value =
        prop_oneof![Just(None), (0..200_000_i64).prop_map(Some), any::<i64>().prop_map(Some)];
    prop::option::of(
        (any_time(), prop::collection::vec(value, 0..100))
            .prop_map(|(time, values)| Row { time, values }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_recording_ends_in_a_panic(
        steps in prop::collection::vec(
            (any_time(), any_layout(), any_row(), prop::collection::vec(any_event(), 0..5)),
            0..40,
        )
    ) {
        let mut tracker = Tracker::new(u64::MAX - 2);
        for (now, layout, row, events) in &steps {
            for incident in tracker.observe(*now, layout, row.as_ref(), events) {
                prop_assert!(incident.window.from <= incident.window.to);
                prop_assert!(!incident.verdict.cause.is_empty());
                prop_assert!(incident.signs.iter().any(|sign| sign.is_trigger));
            }
        }
    }

    #[test]
    fn the_order_in_which_triggers_come_does_not_change_the_verdict(
        codes in prop::sample::subsequence(vec![13, 31, 45, 48, 61, 62, 74, 79, 94, 95, 119], 1..6),
        gpus in prop::collection::vec(0..2_u32, 6),
        times in prop::collection::vec(0..4000_i64, 6),
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        later in prop::collection::vec(0..3_usize, 6),
    ) {
        let quiet = || Story::of(2).job("4711", &[0, 1]).run(10);
        let begin = quiet().steps.last().map_or(0, |step| step.row.time.0);
        let mut events = Vec::new();
        for ((code, gpu), time) in codes.iter().zip(&gpus).zip(&times) {
            events.push(Event { time: Time(begin + time), gpu: Some(gpu_info(*gpu)), what: xid(*code) });
        }
        // All at once in order of time; and shuffled, in three portions.
        let mut sorted = events.clone();
        sorted.sort_by_key(|event| event.time);
        let mut straight = quiet().run(8);
        let mut shuffled = straight.clone();
        let first = straight.steps.len() - 4;
        straight.steps[first].events = sorted;
        for position in order.iter().filter(|position| **position < events.len()) {
            let step = first + later[*position];
            shuffled.steps[step].events.push(events[*position].clone());
        }
        let told = |story: Story| {
            let incidents = story.run(180).incidents();
            incidents.into_iter().map(|incident| incident.verdict).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(straight), told(shuffled));
    }
}

#[test]
fn memory_is_bounded_whatever_happens() {
    let mut story = busy();
    let holder = |number: u32| HolderInfo::Job { id: number.to_string() };
    for number in 0..400_u32 {
        for more in 0..8 {
            story =
                story.xid(more, number).oom_kill(Some("/a"), Some(&format!("/{number}/{more}")));
            story =
                story.event(Some(more), What::HolderBegan { holder: holder(number * 8 + more) });
        }
        story = story.run(1);
    }
    let mut tracker = Tracker::new(1);
    let layout = story.layout();
    for Step { row, events } in &story.steps {
        for incident in tracker.observe(row.time, &layout, Some(row), events) {
            assert!(incident.signs.len() <= 256 && incident.events.len() <= MOST_EVENTS);
        }
        assert!(tracker.events.len() <= MOST_EVENTS);
        assert!(tracker.signs.len() <= MOST_SIGNS);
        let most = MOST_AN_HOUR + MOST_SEVERE_AN_HOUR;
        assert!(tracker.open.len() <= most && tracker.begun.len() <= most);
        assert!(tracker.closed.len() <= MOST_CLOSED);
        assert!(tracker.detector.holders().all().len() <= 1024);
    }
}

#[test]
fn what_repeats_itself_joins_nothing_to_its_incident() {
    let looping =
        |story: Story, seconds| (0..20).fold(story, |story, _| story.xid(0, 13).run(seconds));
    for seconds in [2, 20] {
        let hot = looping(looping(busy(), seconds).hot(5, 89), seconds);
        let hot = looping(hot, 20);
        assert_eq!(kinds(hot), [SignKind::Xid, SignKind::HeatSlowdown], "each {seconds} s");
    }
    // The first one is near.
    assert_eq!(kinds(busy().xid(0, 13).run(4).xid(5, 31).run(9)), [SignKind::Xid]);
}

#[test]
fn a_container_that_crashes_again_and_again_is_told_once_a_day() {
    let crash = |story: Story| story.xid(3, 31).run(300);
    let slow = Story::of(4).every_ms(20_000).job("4711", &[3]).run(120);
    let day = (0..288).fold(slow, |story, _| crash(story));
    let incidents = day.incidents();
    let [incident] = incidents.as_slice() else { panic!("{}", incidents.len()) };
    assert!(incident.signs[0].text.contains(" times)"), "{incident:#?}");
    let length = incident.window.to.since(incident.window.from);
    assert_eq!(length, Duration::from_secs(720), "its window stays");
    assert_eq!(kinds(crash(crash(day))), [SignKind::Xid; 2]);

    let killed = |story: Story| {
        let story = story.work(&ALL).set(&ALL, "memory_used", 60_000.0).run(60);
        story.oom_kill(Some("/slurm/job_4711/step_0"), None).exit(&ALL).run(240)
    };
    assert_eq!(kinds((0..5).fold(busy(), |story, _| killed(story))), [SignKind::OomKill]);
    // Other jobs, other GPUs, other faults, and what costs a GPU are told.
    let again = |story: Story| kinds(story).len();
    let first = || crash(busy());
    let other = || first().job_ends("4711", &ALL).job("4712", &ALL).run(20);
    assert_eq!(again(first().xid(3, 31)), 1);
    assert_eq!(again(other().xid(3, 31)), 2);
    assert_eq!(again(first().xid(4, 31)), 2);
    assert_eq!(again(first().xid(3, 13)), 2);
    assert_eq!(again(busy().xid(3, 62).run(300).xid(3, 62)), 2);
    assert_eq!(again(first().run(700).xid(3, 31)), 2, "long after it");
}

#[test]
fn more_links_that_go_down_later_are_another_incident() {
    let down = |story: Story, links: f64| story.set(&[3], "links_active", links).run(300);
    assert_eq!(kinds(down(down(busy(), 17.0), 12.0)), [SignKind::LinkDown; 2]);
    let full = |story: Story| {
        let story = story.work(&[2]).set(&[2], "memory_used", 60_000.0).run(60);
        story.set(&[2], "memory_used", 81_300.0).run(5).exit(&[2]).run(240)
    };
    assert_eq!(kinds(full(full(busy()))), [SignKind::MemoryFull; 2]);
}

#[test]
fn faults_that_are_days_apart_and_told_at_once_are_two_incidents() {
    let mut story = busy().xid(5, 31).xid(5, 79).run(1);
    let step = story.steps.last_mut().unwrap();
    let day = 86_400_000;
    step.events[0].time.0 -= 3 * day;
    step.events[1].time.0 -= day;
    let incidents = story.incidents();
    let began: Vec<_> = incidents.iter().map(|incident| incident.began).collect();
    assert_eq!(began, [step_time(&story, 3 * day), step_time(&story, day)]);
    assert!(incidents.iter().all(|incident| incident.is_closed && incident.events.len() == 1));
}

/// The time of the last events, as many milliseconds before.
fn step_time(story: &Story, before: i64) -> Time {
    Time(story.steps[story.steps.len() - 2].row.time.0 - before)
}
