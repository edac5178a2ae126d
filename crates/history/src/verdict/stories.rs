//! Each verdict has a story that ends in it, and one near it that does not: one row here per row of the table.
//!
//! To add a verdict: add its row to the table, and here a story and its near miss. See [`Story`] for the words.

use std::collections::HashSet;

use super::{Facts, Filling, Seen, Verdict, table};
use crate::event::What;
use crate::incident::{Confidence, Incident};
use crate::report::Mention;
use crate::sign::SignKind;
use crate::story::Story;

/// A verdict, a story that ends in it, and one near it that does not.
type Pair = (&'static str, fn() -> Story, fn() -> Story);

const ALL: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn busy() -> Story {
    Story::of(8).job("4711", &ALL).run(120)
}

/// Busy GPUs, and nothing that knows who uses them.
fn without_holders() -> Story {
    Story::of(8).run(120)
}

/// An hour of heat on GPU 2; then a watchdog kills the job.
fn seed() -> Story {
    busy().hot(2, 89).run(3600).exit(&ALL).run(1).cool(2).run(90)
}

/// A GPU of the job is lost; eleven minutes later the others stop to wait for it.
fn lost_long_before() -> Story {
    // The clock is set meanwhile, which ends the incident of the lost GPU.
    let lost =
        busy().down(5, "lost").xid(5, 79).run(650).event(None, What::ClockSet { by_ms: 5000 });
    lost.run(10).idle(&[0, 1, 2, 3, 4, 6, 7])
}

#[rustfmt::skip]
const STORIES: &[Pair] = &[
    ("driver_changed",
        || busy().source_up("570.1").run(5).source_down().run(20).source_up("580.2").exit(&ALL).run(90),
        || busy().source_up("570.1").run(5).source_down().run(20).source_up("570.1").exit(&ALL).run(90)),
    ("remap_failed",
        || busy().set(&[5], "remap_failed", 1.0).count(5, "ecc_uncorrected", 1.0).xid(5, 48).run(20),
        || busy().set(&[4], "remap_failed", 1.0).count(5, "ecc_uncorrected", 1.0).xid(5, 48).run(20)),
    ("memory_then_lost",
        || busy().xid(5, 48).run(60).xid(5, 79).down(5, "lost").run(20),
        || busy().xid(4, 48).run(60).xid(5, 79).down(5, "lost").run(20)),
    ("ecc_uncontained",
        || busy().xid(5, 48).xid(5, 95).xid(5, 45).run(20),
        || busy().xid(5, 48).xid(5, 94).xid(5, 45).run(20)),
    ("ecc_contained",
        || busy().count(5, "ecc_uncorrected", 1.0).xid(5, 94).xid(5, 45).run(20),
        || busy().count(5, "ecc_uncorrected", 1.0).run(20)),
    ("ecc_uncorrected",
        || busy().count(5, "ecc_uncorrected", 1.0).set(&[5], "remap_pending", 1.0).run(20),
        || busy().count(5, "ecc_corrected", 50.0).set(&[5], "remap_pending", 1.0).run(20)),
    ("power_then_lost",
        || busy().set(&ALL, "clock_reasons", 128.0).run(5).xid(3, 79).down(3, "lost").run(20),
        || busy().set(&ALL, "clock_reasons", 128.0).run(4).set(&ALL, "clock_reasons", 0.0).run(90).xid(3, 48).run(1).xid(3, 79).run(20)),
    ("bus_link",
        || busy().set(&[7], "pcie_link_width", 8.0).run(30).xid(7, 79).down(7, "lost").run(20),
        || busy().set(&[6], "pcie_link_width", 8.0).run(30).xid(7, 79).down(7, "lost").run(20)),
    ("heat_then_lost",
        || busy().hot(3, 90).run(60).xid(3, 79).down(3, "lost").run(20),
        || busy().hot(3, 90).run(60).cool(3).run(400).xid(3, 79).down(3, "lost").run(20)),
    ("gsp",
        || busy().xid(1, 119).run(2).down(1, "late").run(20),
        || busy().xid(1, 79).run(2).xid(1, 119).run(20)),
    ("off_bus",
        || busy().down(7, "lost").run(2).xid(7, 79).run(20),
        || busy().down(7, "failed").run(20)),
    ("nvlink",
        || busy().xid(0, 74).set(&[0, 1], "links_active", 17.0).run(20),
        || busy().down(1, "late").run(1).set(&[0, 2], "links_active", 17.0).run(20)),
    ("xid_reset_gpu",
        || busy().xid(2, 62).run(1).set(&[2, 3], "links_active", 16.0).xid(2, 45).run(20),
        || busy().xid(2, 61).xid(2, 45).run(20)),
    ("xid_restart",
        || busy().xid(2, 167).run(20),
        || busy().xid(2, 166).run(20)),
    ("missing",
        || busy().down(6, "missing").run(20),
        || Story::of(8).down(6, "missing").run(20)),
    ("driver_hung",
        || ALL.iter().fold(busy(), |story, gpu| story.down(*gpu, "late")).run(20),
        || busy().down(6, "late").down(7, "late").run(20)),
    ("hung",
        || busy().down(1, "late").run(1).set(&[0, 2], "links_active", 17.0).run(20),
        || busy().down(6, "late").run(3).up(6).run(20)),
    ("xid_update_software",
        || busy().xid(2, 78).run(20),
        || busy().xid(2, 79).run(20)),
    ("xid_contact_support",
        || busy().xid(2, 61).run(20),
        || busy().xid(2, 63).run(20)),
    ("power_brake_machine",
        || busy().set(&ALL, "clock_reasons", 128.0).run(20),
        || busy().set(&[3], "clock_reasons", 128.0).run(20)),
    ("power_brake",
        || busy().set(&[3], "clock_reasons", 128.0).run(20),
        || busy().set(&[3], "clock_reasons", 128.0).run(1).set(&[3], "clock_reasons", 0.0).run(20)),
    ("oom_kill_limit",
        || busy().oom_kill(Some("/slurm/job_4711/step_0"), Some("/slurm/job_4711")).exit(&ALL).xid(0, 45).run(20),
        || busy().oom_kill(Some("/system.slice/cron.service"), Some("/system.slice/cron.service")).run(20)),
    ("oom_kill_machine",
        || without_holders().machine("memory_available", 200.0).run(20).oom_kill(None, None).exit(&ALL).run(20),
        || without_holders().machine("memory_available", 200.0).run(20).oom_kill(None, None).run(20)),
    ("gpu_failed_before",
        || lost_long_before().run(90),
        || Story::of(8).job("4711", &[0, 1, 2, 3]).job("4712", &[7]).run(120).down(7, "lost").xid(7, 79)
            .run(700).idle(&[0, 1, 2, 3]).run(90)),
    ("application_fault",
        || busy().xid(3, 31).run(1).xid(3, 45).exit(&ALL).run(20),
        || busy().xid(3, 95).run(1).xid(3, 31).xid(3, 45).exit(&ALL).run(20)),
    ("application_channel",
        || busy().idle(&ALL).xid(3, 43).run(700),
        || busy().xid(3, 44).exit(&[3]).run(20)),
    ("heat",
        seed,
        || busy().hot(2, 89).run(3600).cool(2).run(600).idle(&ALL).run(700)),
    ("host_memory",
        || busy().machine("memory_pressure_full", 60.0).run(60).idle(&ALL).run(90),
        || busy().machine("memory_pressure_full", 3.0).run(60).idle(&ALL).run(700)),
    ("gpu_memory_full_for_long",
        || busy().set(&[4], "memory_used", 81_000.0).run(700).set(&[4], "memory_used", 81_200.0).run(5).exit(&[4]).run(20),
        || busy().set(&[4], "memory_used", 81_000.0).run(700).exit(&[4]).run(20)),
    ("gpu_memory_full",
        || busy().set(&[4], "memory_used", 81_000.0).run(5).exit(&[4]).run(20),
        // As a memory test does.
        || busy().set(&[4], "memory_used", 81_000.0).run(20).exit(&[4]).run(20)),
    ("application_ended",
        || busy().idle(&ALL).xid(0, 45).run(700),
        || busy().hot(2, 89).run(600).xid(0, 45).exit(&ALL).run(90)),
    ("machine_restart",
        || Story::of(8).started(false, true, 240).run(20),
        || Story::of(8).started(true, true, 240).run(20)),
    ("xid_other",
        || busy().xid(2, 164).run(20),
        || busy().xid(2, 63).run(20)),
    ("not_known",
        || busy().idle(&ALL).run(700),
        || busy().idle(&ALL).run(500).work(&ALL).run(90)),
];

fn name(incident: Option<&Incident>) -> Option<&str> {
    incident.map(|incident| incident.verdict.name.as_str())
}

#[test]
fn each_verdict_has_a_story_that_ends_in_it_and_one_near_it_that_does_not() {
    for (verdict, story, near) in STORIES {
        let ended = story().ends();
        assert_eq!(name(ended.as_ref()), Some(*verdict), "the story of {verdict}: {ended:#?}");
        ended.iter().for_each(|incident| assert_is_told_in_whole_sentences(&incident.verdict));
        let ended = near().ends();
        assert_ne!(name(ended.as_ref()), Some(*verdict), "the near miss of {verdict}: {ended:#?}");
    }
}

#[test]
fn the_table_and_the_stories_have_the_same_verdicts() {
    let rows: Vec<_> = table::ROWS.iter().map(|row| row.name).chain(["not_known"]).collect();
    let stories: Vec<_> = STORIES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(rows, stories);
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len(), "a name is there twice");
}

/// "it" and "its" that are about no GPU.
const OTHERS: [&str; 8] = [
    "while it used",
    ": calls to it",
    "every application on it",
    "slowed by it",
    "short of it",
    "it ran out of it",
    "it had filled it",
    "than its limit",
];

#[test]
fn causes_are_in_the_singular_of_one_gpu_and_in_the_plural_of_two() {
    let gpus = [crate::story::gpu_info(0), crate::story::gpu_info(1)];
    for row in table::ROWS {
        for gpus in [&gpus[..1], &gpus[..]] {
            let sign = crate::sign::Sign {
                kind: SignKind::GpuLost,
                gpu: None,
                xid: Some(79),
                from: crate::time::Time(0),
                to: None,
                is_trigger: true,
                text: "Something was seen".to_owned(),
            };
            let seen = [Seen { sign, gpus: gpus.to_vec() }];
            let facts = Facts { seen: &seen, gpus: 8 };
            let filling = Filling::of(row, &seen[0], &[&seen[0]], facts);
            for cause in [row.cause].into_iter().chain(row.doubt.as_ref().map(|doubt| doubt.cause))
            {
                let cause = filling.fill(cause);
                let name = crate::wording::gpus(gpus);
                // The subject is another one.
                let other = |begin| format!("{begin} {name} ");
                let cause_of = |cause: &str| {
                    cause.replace(&other("The memory of"), "").replace(&other("its work on"), "")
                };
                let told = OTHERS.iter().fold(cause_of(&cause), |told, it| told.replace(it, ""));
                let words: Vec<_> = told.split(|c: char| !c.is_alphanumeric()).collect();
                let (wrong, after) = match gpus.len() {
                    1 => (["they", "their", "them"], ["are", "were", "have"]),
                    _ => (["it", "its", "itself"], ["is", "was", "has"]),
                };
                let is_wrong = |word: &&str| told.contains(&format!("{name} {word} "));
                assert!(!words.iter().any(|word| wrong.contains(word)), "{}: {cause}", row.name);
                assert!(!after.iter().any(is_wrong), "{}: {cause}", row.name);
                assert!(!told.contains("PCIe link of GPU 0, 1"), "{cause}");
            }
        }
    }
}

#[test]
fn runbooks_exist_and_sentences_are_whole() {
    let runbooks = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbooks");
    for row in table::ROWS {
        if let Some(runbook) = row.runbook {
            let path = format!("{runbooks}/{runbook}.md");
            assert!(std::fs::exists(&path).unwrap(), "{}: {path}", row.name);
        }
        assert!(!row.actions.is_empty(), "{}", row.name);
        for sentence in row.actions.iter().chain([&row.cause]) {
            assert!(sentence.ends_with(['.', '}']) && !sentence.contains(".."), "{sentence}");
        }
    }
}

fn assert_is_told_in_whole_sentences(verdict: &Verdict) {
    let Verdict { cause, evidence, actions, .. } = verdict;
    assert!(!evidence.is_empty() && !actions.is_empty(), "{verdict:#?}");
    for sentence in [cause].into_iter().chain(evidence).chain(actions) {
        let first = sentence.chars().next().unwrap();
        let is_begin = first.is_uppercase() || first.is_ascii_digit();
        assert!(is_begin || sentence.starts_with("heatsink "), "{sentence}");
        assert!(sentence.ends_with('.'), "{sentence}");
        for fault in ["{", "}", "..", "  ", ": .", "No Error", "no GPU"] {
            assert!(!sentence.contains(fault), "{sentence}");
        }
    }
}

#[test]
fn the_job_that_throttled_for_an_hour_and_was_killed_died_of_heat() {
    let incidents = seed().run(180).incidents();
    let kinds: Vec<_> = incidents.iter().map(|incident| incident.kind).collect();
    assert_eq!(kinds, [SignKind::HeatSlowdown, SignKind::JobSilent]);
    let last = incidents.last().unwrap();
    assert!(last.is_closed);
    assert_eq!(
        last.verdict.cause,
        "Heat slowed GPU 2 for 1 h, and the job stopped working. GPU 2 was slowed by heat for 1 h, at up to 89 °C \
         (memory 70 °C), down to 1200 MHz."
    );
    assert_eq!(last.verdict.confidence, Confidence::Likely);
    assert_eq!(last.verdict.runbook.as_deref(), Some("GpuThermalSlowdown"));
    assert_eq!(last.gpus.len(), 8);
    assert_eq!(last.holders.len(), 8);
    let heat = last.signs.iter().find(|sign| sign.kind == SignKind::HeatSlowdown).unwrap();
    assert!(!heat.is_trigger);
    assert!(heat.from < last.window.from, "the heat began before the window");
}

#[test]
fn a_job_that_is_killed_for_heat_is_found_without_holders_too() {
    let heat = || without_holders().hot(2, 89).run(3600);
    let killed = heat().exit(&ALL).run(20).ends().unwrap();
    assert_eq!((killed.kind, name(Some(&killed))), (SignKind::JobSilent, Some("heat")));
    // But a job that is done ends in the same way.
    assert_eq!(killed.verdict.confidence, Confidence::Possible);
    assert!(
        killed
            .verdict
            .cause
            .starts_with("Heat, maybe: the job ended while GPU 2 was slowed by it. GPU 2 was"),
        "{}",
        killed.verdict.cause
    );
    // And where the job is over before it could be seen to be silent.
    let ended = busy().hot(2, 89).run(3600).exit(&ALL).job_ends("4711", &ALL).run(20).ends();
    let ended = ended.unwrap();
    assert_eq!((ended.kind, ended.verdict.confidence), (SignKind::JobSilent, Confidence::Possible));
}

#[test]
fn a_job_that_ends_while_memory_is_short_may_have_ended_of_it() {
    let short = || busy().machine("memory_pressure_full", 60.0).run(60);
    let hangs = verdict(short().idle(&ALL).run(90));
    assert!(hangs.cause.starts_with("The machine was short of memory, and the job"), "{hangs:#?}");
    let done = || short().exit(&ALL).run(2).job_ends("4711", &ALL).run(90);
    let ends = verdict(done());
    assert!(
        ends.cause.starts_with(
            "Memory, maybe: the job ended while the machine was short of it. Programs waited"
        ),
        "{ends:#?}"
    );
    // The next one that ends like that is none.
    let next = done().run(300).job("4712", &ALL).work(&ALL).set(&ALL, "memory_used", 60_000.0);
    let next = next.run(300).exit(&ALL).run(2).job_ends("4712", &ALL).run(300);
    assert_eq!(next.incidents().len(), 1);
}

#[test]
fn nothing_is_known_is_told_with_what_was_fine() {
    let incident = busy().idle(&ALL).run(700).ends().unwrap();
    assert_eq!(
        incident.verdict.evidence,
        [
            "All 8 busy GPUs of job 4711 stopped working together: utilization fell from 97 % to 0.",
            "No XID, no lost GPU, no hung GPU, no uncorrected memory error, no slowdown \
             by heat, no power brake, no OOM kill, no full GPU memory, no NVLink that went down, no degraded \
             PCIe link, no memory pressure on the machine was recorded.",
        ]
    );
    assert_eq!(incident.verdict.confidence, Confidence::None);
}

#[test]
fn the_process_of_a_gsp_timeout_is_never_named_as_the_culprit() {
    let Incident { verdict, .. } = busy().xid(1, 119).run(20).ends().unwrap();
    let names = verdict.evidence.iter().chain(&verdict.actions).chain([&verdict.cause]);
    for sentence in names.filter(|sentence| sentence.contains("4211")) {
        assert!(sentence.contains("bystander"), "{sentence}");
    }
    let Incident { verdict, .. } = busy().xid(1, 31).run(20).ends().unwrap();
    assert!(verdict.evidence[0].contains("process python (pid 4211)"), "{verdict:#?}");
}

fn verdict(story: Story) -> Verdict {
    story.ends().expect("an incident").verdict
}

#[test]
fn a_gpu_that_is_lost_is_brought_back_first_whatever_the_cause() {
    let first = |story| verdict(story).actions.remove(0);
    let lost = |story: Story| story.run(2).xid(5, 79).down(5, "lost").run(20);
    let restart = "Drain the machine and start it again";
    for story in [
        busy().set(&[5], "remap_failed", 1.0).count(5, "ecc_uncorrected", 1.0).xid(5, 48),
        busy().xid(5, 95),
        busy().xid(5, 62),
        busy().xid(5, 119),
        busy().set(&[5], "pcie_link_width", 8.0),
    ] {
        let verdict = verdict(lost(story));
        assert!(verdict.actions[0].starts_with(restart), "{verdict:#?}");
        assert!(!verdict.actions.iter().any(|action| action.contains("reset it")), "{verdict:#?}");
        let has = |words: &str| verdict.evidence.iter().any(|sentence| sentence.contains(words));
        assert!(has("XID 79") && has("GPU 5 fell off the bus"), "{verdict:#?}");
    }
    // One that is back needs nothing.
    let back = busy().xid(5, 62).down(5, "lost").run(20).up(5).run(20);
    assert!(first(back).starts_with("Drain the GPU and reset it"));
}

#[test]
fn what_the_driver_asks_for_comes_first() {
    let asked = |code: &str| What::Xid {
        code: 154,
        message: String::new(),
        process: None,
        link: None,
        line: Some(format!("154, GPU recovery action changed from 0x0 (None) to {code}")),
        count: 1,
    };
    let told = |codes: &[&str]| {
        let story = codes
            .iter()
            .fold(busy().xid(2, 62), |story, code| story.run(1).event(Some(2), asked(code)));
        verdict(story.run(20))
    };
    let verdict = told(&["0x1 (GPU Reset Required)", "0x2 (Node Reboot Required)"]);
    assert_eq!(verdict.name, "xid_reset_gpu");
    assert_eq!(
        verdict.actions,
        ["Drain the machine and start it again: the driver asks for that (XID 154)."]
    );
    let sentence = "XID 154 (GPU recovery action changed) on GPU 2: to 0x2 (Node Reboot Required).";
    assert!(verdict.evidence.contains(&sentence.to_owned()), "{verdict:#?}");
    let reset = "Drain the GPU and reset it: the driver asks for that (XID 154).";
    assert_eq!(told(&["0x4 (Drain and Reset)"]).actions, [reset]);
    // It needs nothing any more.
    let done = told(&["0x2 (Node Reboot Required)", "0x0 (None)"]);
    assert!(done.actions[0].starts_with("Drain the GPU and reset it; if its power"), "{done:#?}");
}

#[test]
fn a_power_brake_is_certain_for_itself_alone() {
    let braked = || busy().set(&ALL, "clock_reasons", 128.0).run(4);
    let over = || braked().set(&ALL, "clock_reasons", 0.0);
    let certain = verdict(over().run(200));
    assert_eq!(
        (certain.name.as_str(), certain.confidence),
        ("power_brake_machine", Confidence::Certain)
    );
    assert_eq!(certain.cause, "Power: GPU 0-7 were slowed by the power brake of the machine.");
    let [evidence] = certain.evidence.as_slice() else { panic!("{certain:#?}") };
    assert!(evidence.ends_with("; likewise GPU 1-7."), "{evidence}");
    let lost = verdict(over().run(200).xid(3, 48).run(1).xid(3, 79).down(3, "lost").run(20));
    assert_eq!(lost.name, "memory_then_lost");
    let lost = verdict(braked().xid(3, 79).down(3, "lost").run(20));
    assert_eq!((lost.name.as_str(), lost.confidence), ("power_then_lost", Confidence::Possible));
    assert!(lost.cause.contains("GPU 3 did not answer"), "{}", lost.cause);
    assert!(lost.evidence.iter().any(|sentence| sentence.contains("XID 79")), "{lost:#?}");
    // A job that dies a while after it may have died of it.
    for story in [braked(), over(), over().run(60)] {
        let silent = verdict(story.exit(&ALL).run(20));
        assert_eq!(silent.name, "power_brake_machine", "{silent:#?}");
        assert_eq!(silent.confidence, Confidence::Possible, "{silent:#?}");
        assert!(
            silent.cause.ends_with("brake of the machine, and the job stopped."),
            "{silent:#?}"
        );
    }
    let one = busy().set(&[3], "clock_reasons", 128.0).run(20).set(&[3], "clock_reasons", 0.0);
    let silent = verdict(one.run(30).exit(&ALL).run(20));
    assert_eq!((silent.name.as_str(), silent.confidence), ("power_brake", Confidence::Possible));
    assert_ne!(verdict(over().run(100).idle(&ALL).run(90)).confidence, Confidence::Certain);
}

#[test]
fn a_driver_that_is_replaced_for_a_repair_is_no_cause() {
    let replaced = |story: Story| story.source_down().run(20).source_up("580.2").exit(&ALL).run(90);
    let start = || busy().source_up("570.1").run(5);
    let broken = start().xid(3, 119).run(2).down(3, "lost").run(60);
    let told = verdict(replaced(broken));
    assert_eq!(told.name, "gsp", "{told:#?}");
    let told = verdict(replaced(start()));
    assert!(told.cause.starts_with("The driver was replaced while a job ran. The driver was"));
}

#[test]
fn a_machine_that_was_started_again_may_have_been_stopped_after_heatsink() {
    let told = verdict(Story::of(8).started(false, true, 240).run(20));
    assert_eq!(told.confidence, Confidence::Possible);
    assert!(
        told.cause.contains(", unless heatsink was killed: the recording stopped. "),
        "{told:#?}"
    );
    // The time is that of the last row.
    let (headline, at) = first_line(&Story::of(8).run(300).started(false, true, 240).run(20));
    assert!(headline.ends_with(": the recording stopped") && at == 60, "{headline} {at}");
}

#[test]
fn an_oom_kill_is_certain_only_of_the_job() {
    let of = |cgroup| verdict(busy().oom_kill(cgroup, None).exit(&[2]).run(20));
    let certain = of(Some("/slurm/job_4711/step_0"));
    assert_eq!(certain.confidence, Confidence::Certain);
    assert!(certain.evidence[0].contains("python (pid 4211) of job 4711"), "{certain:#?}");
    let possible = of(None);
    assert_eq!(possible.confidence, Confidence::Possible);
    assert!(possible.cause.contains("and GPU 2 freed memory at that time"), "{possible:#?}");
    let stopped = busy().oom_kill(None, None).idle(&[2]);
    let silent = verdict(stopped.clone().run(20));
    assert!(silent.cause.contains("and GPU 2 stopped working at that time"), "{silent:#?}");
    let both = verdict(stopped.run(5).exit(&[3]).run(20));
    let words = "and GPU 2, 3 freed memory or stopped working at that time";
    assert!(both.cause.contains(words), "{both:#?}");
}

#[test]
fn memory_is_reset_at_once_if_an_xid_asks_for_it() {
    let with = verdict(busy().count(5, "ecc_uncorrected", 1.0).xid(5, 48).run(20));
    assert_eq!(with.name, "ecc_uncorrected");
    assert!(with.actions[0].starts_with("Drain the GPU and reset it; XID 94"), "{with:#?}");
    let without = verdict(busy().count(5, "ecc_uncorrected", 1.0).run(20));
    assert!(without.actions[0].starts_with("Reset the GPU at the next chance"), "{without:#?}");
}

#[test]
fn a_gpu_that_answers_again_may_not_have_hung() {
    let hung = |story: Story| {
        let Verdict { name, confidence, .. } = verdict(story);
        (name, confidence)
    };
    let late = || busy().down(6, "late").run(20);
    assert_eq!(hung(late()), ("hung".to_owned(), Confidence::Likely));
    assert_eq!(hung(late().up(6).run(60)), ("hung".to_owned(), Confidence::Possible));
}

#[test]
fn what_was_not_watched_is_not_said_to_be_absent() {
    let story = busy().set(&ALL, "links_active", None).set(&ALL, "ecc_uncorrected", None).run(700);
    let mut layout = crate::layout::Layout::clone(&story.layout());
    layout.host.xid_source = None;
    layout.host.reads_kernel_log = false;
    let told = verdict(story.with_layout(layout).idle(&ALL).run(700));
    assert_eq!(
        told.evidence[1..],
        [
            "No lost GPU, no hung GPU, no slowdown by heat, no power brake, no full GPU memory, no degraded PCIe \
             link, no memory pressure on the machine was recorded.",
            "XIDs, OOM kills, memory errors, NVLinks were not read here.",
        ]
    );
}

#[test]
fn what_goes_on_when_an_incident_is_closed_is_told_as_that() {
    let incident = busy().hot(2, 89).run(300).incidents().pop().unwrap();
    assert!(incident.is_closed);
    let heat = incident.signs.iter().find(|sign| sign.kind == SignKind::HeatSlowdown).unwrap();
    for text in [&heat.text, &incident.verdict.cause] {
        assert!(
            !text.contains("so far") && text.contains(", and it went on when this was"),
            "{text}"
        );
    }
}

/// The first line of an incident without the time, and the seconds from the first row of its story to the time.
fn first_line(story: &Story) -> (String, i64) {
    let incident = story.incidents().pop().expect("an incident");
    let Mention { headline, moment, .. } = Mention::of(&incident);
    let begin = story.steps[0].row.time.0 - 1000;
    (headline, (moment.0 - begin) / 1000)
}

#[test]
fn the_first_line_has_the_xid_and_the_time_of_what_decides() {
    let own = || Story::of(8).run(120);
    let line = |story: Story| first_line(&story.run(20));
    let uncontained = own().xid(0, 94).xid(1, 31).run(24).xid(0, 95);
    let cause =
        "The memory of GPU 0 failed, and every application on it may have been hit (XID 95)";
    assert_eq!(line(uncontained), (cause.to_owned(), 144));
    let braked = own().set(&[0], "clock_reasons", 128.0).run(4).xid(0, 74);
    let (headline, at) = line(braked);
    assert_eq!((headline.as_str(), at), ("An NVLink of GPU 0 failed (XID 74)", 124));
    let contained = own().xid(5, 48).xid(5, 94).xid(5, 45);
    assert!(line(contained).0.ends_with("within one application (XID 94)"));
    let again = |story: Story, _| story.xid(0, 31).run(60);
    let lost = (0..50).fold(own(), again).xid(0, 79);
    let (headline, at) = line(lost);
    assert_eq!((headline.as_str(), at), ("GPU 0 fell off the bus (XID 79)", 120 + 3000));
    // The XID comes a moment after the GPU is lost.
    let (headline, at) = line(own().down(7, "lost").run(2).xid(7, 79));
    assert_eq!((headline.as_str(), at), ("GPU 7 fell off the bus (XID 79)", 122));
    // An OOM kill is no XID, and comes before the one that ends the application.
    let killed = busy().oom_kill(Some("/job_4711"), None).exit(&ALL).run(2).xid(0, 45);
    let (headline, at) = line(killed);
    assert!(!headline.contains("XID") && at == 120, "{headline} {at}");
    // Heat is told with the time at which the job stopped.
    let stopped = busy().hot(2, 89).run(60).idle(&ALL).run(90);
    let (headline, at) = line(stopped);
    assert!(headline.ends_with("GPU 2, and the job stopped working") && at >= 180, "{headline}");
}

#[test]
fn an_incident_of_an_earlier_version_is_told_with_its_first_xid_and_the_time_of_its_first_trigger()
{
    let mut incident = busy().xid(0, 45).run(1).xid(0, 62).run(20).incidents().pop().unwrap();
    let json = serde_json::to_value(&incident).unwrap();
    assert_eq!(serde_json::from_value::<Incident>(json).unwrap(), incident);
    incident.verdict = Verdict { xid: None, time: None, ..incident.verdict };
    incident.verdict.cause = "It failed.".to_owned();
    let json = serde_json::to_value(&incident).unwrap();
    assert!(json["verdict"].get("time").is_none() && json["verdict"].get("xid").is_none());
    let earlier = Mention::of(&serde_json::from_value(json).unwrap());
    assert_eq!(earlier.headline, "It failed (GPU 0; XID 62)");
    assert_eq!(earlier.moment, incident.began);
}

#[test]
fn a_gpu_that_was_lost_long_before_explains_why_its_job_stopped() {
    let told = verdict(lost_long_before().run(90));
    assert!(told.cause.starts_with("GPU 5 failed, and the job stopped working."), "{told:#?}");
    assert_eq!(told.confidence, Confidence::Likely);
}

#[test]
fn a_gpu_that_came_back_long_ago_does_not_explain_why_its_job_stopped() {
    let back = busy().down(5, "lost").xid(5, 79).run(60).up(5).work(&ALL).run(1000);
    let told = verdict(back.idle(&ALL).run(700));
    assert_eq!(told.name, "not_known", "{told:#?}");
}
