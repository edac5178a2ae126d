//! Each verdict has a story that ends in it, and one near it that does not: one row here per row of the table.
//!
//! To add a verdict: add its row to the table, and here a story and its near miss. See [`Story`] for the words.

use std::collections::HashSet;

use super::{Verdict, table};
use crate::incident::{Confidence, Incident};
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

#[rustfmt::skip]
const STORIES: &[Pair] = &[
    ("driver_changed",
        || busy().source_up("570.1").run(5).source_down().run(20).source_up("580.2").exit(&ALL).run(90),
        || busy().source_up("570.1").run(5).source_down().run(20).source_up("570.1").exit(&ALL).run(90)),
    ("power_brake_machine",
        || busy().set(&ALL, "clock_reasons", 128.0).run(20),
        || busy().set(&[3], "clock_reasons", 128.0).run(20)),
    ("power_brake",
        || busy().set(&[3], "clock_reasons", 128.0).run(20),
        || busy().set(&[3], "clock_reasons", 128.0).run(1).set(&[3], "clock_reasons", 0.0).run(20)),
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
        || busy().set(&[0], "links_active", None).run(20).set(&[0], "links_active", 18.0).run(20)),
    ("xid_reset_gpu",
        || busy().xid(2, 62).xid(2, 45).run(20),
        || busy().xid(2, 61).xid(2, 45).run(20)),
    ("xid_restart",
        || busy().xid(2, 167).run(20),
        || busy().xid(2, 166).run(20)),
    ("missing",
        || busy().down(6, "missing").run(20),
        || Story::of(8).down(6, "missing").run(20)),
    ("hung",
        || busy().down(6, "late").run(20),
        || busy().down(6, "late").run(3).up(6).run(20)),
    ("xid_update_software",
        || busy().xid(2, 78).run(20),
        || busy().xid(2, 79).run(20)),
    ("xid_contact_support",
        || busy().xid(2, 61).run(20),
        || busy().xid(2, 63).run(20)),
    ("oom_kill_limit",
        || busy().oom_kill(Some("/slurm/job_4711/step_0"), Some("/slurm/job_4711")).exit(&ALL).xid(0, 45).run(20),
        || busy().oom_kill(Some("/system.slice/cron.service"), Some("/system.slice/cron.service")).run(20)),
    ("oom_kill_machine",
        || without_holders().machine("memory_available", 200.0).run(20).oom_kill(None, None).exit(&ALL).run(20),
        || without_holders().machine("memory_available", 200.0).run(20).oom_kill(None, None).run(20)),
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
        || busy().set(&[4], "memory_used", 81_000.0).run(20).exit(&[4]).run(20),
        || busy().set(&[4], "memory_used", 75_000.0).run(20).exit(&[4]).run(20)),
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
        "Heat: GPU 2 was slowed by heat for 1 h, at up to 89 °C (memory 70 °C), down to 1200 MHz."
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
    let killed = heat().exit(&ALL).run(20).ends();
    assert_eq!(name(killed.as_ref()), Some("heat"));
    assert_eq!(killed.unwrap().kind, SignKind::JobSilent);
    // And where the job is over before it could be seen to be silent.
    let ended = busy().hot(2, 89).run(3600).exit(&ALL).job_ends("4711", &ALL).run(20).ends();
    assert_eq!(ended.unwrap().kind, SignKind::JobSilent);
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
