//! The formats of a page: the same series in each, and births only in protobuf.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exposition::{Format, HolderSettings, Settings, render, render_as};
use model::catalog::builtin::Set;
use model::{
    Attribution, ClockEvent, DriverError, DriverLog, FieldId, GpuView, Identity, Kind, LinkFault,
    Reason, Snapshot, Tally, Value, XidLog,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::page::{FamilyKind, Page};

use crate::arbitrary::any_snapshot;
use crate::machine::{
    identity, instance, int, own_families, part, settings, snapshot, started, up, watch, xids,
};
use crate::page::{ECC, FALLEN};
use crate::promtool::{holders, worst};
use crate::properties::any_text;
use crate::wire;

fn page(format: Format, snapshot: &Snapshot, attribution: Option<&Attribution>) -> Vec<u8> {
    render_as(format, snapshot, attribution, &settings())
}

/// Checks that all formats have the series of the text format, in the same order.
fn assert_same(snapshot: &Snapshot, attribution: Option<&Attribution>) {
    let text = render(snapshot, attribution, &settings());
    assert_eq!(page(Format::Text, snapshot, attribution), text.as_bytes());

    let openmetrics = page(Format::OpenMetrics, snapshot, attribution);
    let openmetrics = String::from_utf8(openmetrics).expect("a text");
    let lines = openmetrics.strip_suffix("# EOF\n").expect("an end");
    let samples = |page: &str| -> Vec<String> {
        page.split('\n').filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(lines), samples(&text));

    let families = wire::families(&page(Format::Protobuf, snapshot, attribution));
    let expected = Page::parse(&text).expect("a page that parses").families;
    assert_eq!(families.len(), expected.len());
    for (family, expected) in families.iter().zip(&expected) {
        assert_eq!(family.name.as_ref(), Some(&expected.name));
        assert_eq!(family.help.as_ref(), Some(&expected.help));
        let kind = match expected.kind {
            FamilyKind::Counter => 0,
            FamilyKind::Gauge => 1,
            _ => 3,
        };
        assert_eq!(family.kind, Some(kind), "{}", expected.name);
        assert_eq!(family.metrics.len(), expected.samples.len(), "{}", expected.name);
        for (metric, expected) in family.metrics.iter().zip(&expected.samples) {
            assert_eq!(metric.labels(), expected.labels);
            assert_eq!(metric.value(kind).to_bits(), expected.value.to_bits(), "{expected}");
        }
    }
}

#[test]
fn extreme_texts_and_numbers_are_the_same_in_all_formats() {
    assert_same(&worst(), Some(&holders()));
}

proptest! {
    #[test]
    fn every_snapshot_has_the_same_series_in_all_formats(snapshot in any_snapshot()) {
        assert_same(&snapshot, None);
    }

    #[test]
    fn any_text_is_the_same_in_all_formats(
        label in any_text(),
        model_name in any_text(),
        help in any_text(),
    ) {
        let watches =
            vec![watch(1, "L", Kind::Label, ""), watch(150, "T", Kind::Gauge, &help)];
        let identity = Identity { model_name: Some(model_name.clone()), ..identity(0, "GPU-a") };
        let gpu = up(identity, vec![Ok(Value::Text(label.as_str().into())), int(61)]);
        let snapshot = snapshot(watches, vec![gpu]);
        assert_same(&snapshot, None);
        let families = wire::families(&page(Format::Protobuf, &snapshot, None));
        let family = families.iter().find(|family| family.name.as_deref() == Some("T")).unwrap();
        prop_assert_eq!(family.help.as_ref(), Some(&help));
        let labels = family.metrics[0].labels();
        let value_of = |name| labels.iter().find(|(of, _)| of == name).map(|(_, value)| value);
        prop_assert_eq!(value_of("L"), Some(&label));
        prop_assert_eq!(value_of("modelName"), Some(&model_name));
    }
}

/// The births on a page, each with the name of its series.
fn births(snapshot: &Snapshot, attribution: Option<&Attribution>) -> Vec<(String, SystemTime)> {
    births_with(&settings(), snapshot, attribution)
}

fn births_with(
    settings: &Settings,
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
) -> Vec<(String, SystemTime)> {
    let page = render_as(Format::Protobuf, snapshot, attribution, settings);
    let families = wire::families(&page);
    let born = families.iter().flat_map(|family| {
        let births = family.metrics.iter().filter_map(wire::Metric::created);
        births.map(|birth| (family.name.clone().unwrap_or_default(), birth))
    });
    born.collect()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn counted() -> GpuView {
    let mut log = XidLog::clone(&xids(true, &[ECC, FALLEN]));
    log.counts.get_mut(&48).expect("counted").tally.born = Some(at(48));
    log.counts.get_mut(&79).expect("counted").tally.born = None;
    log.critical = Tally { count: 2, born: Some(at(47)) };
    let fault = LinkFault { code: 145, unit: "U".into(), severity: "fatal", link: None };
    log.record_link_fault(fault, Some(at(145)));
    let mut gpu = up(identity(0, "GPU-aaaa"), vec![]);
    gpu.xids = Arc::new(log);
    gpu.errors = Arc::new([((FieldId(150), Reason::Failed), 3)].into());
    gpu.clock_events[0] =
        ClockEvent { active: Some(true), seconds: Some(1.0), ..ClockEvent::default() };
    gpu.clock_events[1] = ClockEvent { driver_counted: true, ..gpu.clock_events[0] };
    gpu
}

#[test]
fn counters_have_the_birth_of_their_series_where_it_is_known() {
    let rows = vec![
        watch(9006, "DCGM_EXP_XID_ERRORS_TOTAL", Kind::Counter, ""),
        watch(9005, "DCGM_EXP_CLOCK_EVENTS_TOTAL", Kind::Counter, ""),
        watch(156, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", Kind::Counter, ""),
    ];
    let mut gpu = counted();
    gpu.readings = vec![Err(Reason::NoData), Err(Reason::NoData), int(5)];
    let mut snapshot = snapshot(rows, vec![gpu]);
    let mut log = DriverLog::default();
    log.count_sxid("0", 20034, Some(at(20)));
    log.count_error("0", DriverError::FallenOffBus, Some(at(21)));
    snapshot.driver_log = Some(Arc::new(log));
    let started = snapshot.process.started;

    let holders_only_in_info = HolderSettings { only_info: true, ..HolderSettings::default() };
    let settings = Settings { holders: holders_only_in_info, ..settings() };
    let mut found = births_with(&settings, &snapshot, Some(&holders()));
    found.sort();
    let expected = [
        ("DCGM_EXP_CLOCK_EVENTS_TOTAL", started),
        ("DCGM_EXP_CLOCK_EVENTS_TOTAL", started),
        ("DCGM_EXP_XID_ERRORS_TOTAL", at(48)),
        ("heatsink_attribution_errors_total", started),
        ("heatsink_attribution_pod_labels_cut_total", started),
        ("heatsink_clock_event_seconds_total", started),
        ("heatsink_driver_errors_total", at(21)),
        ("heatsink_http_connections_closed_total", started),
        ("heatsink_kernel_log_lost_records_total", started),
        ("heatsink_nvlink_xid_errors_total", at(145)),
        ("heatsink_nvswitch_sxid_errors_total", at(20)),
        ("heatsink_read_errors_total", started),
        ("heatsink_reader_restarts_total", started),
        ("heatsink_xid_critical_errors_total", at(47)),
        ("heatsink_xid_errors_total", at(48)),
        ("process_cpu_seconds_total", started),
    ];
    assert_eq!(found, expected.map(|(name, birth)| (name.to_owned(), birth)));
}

#[test]
fn a_birth_never_changes_from_page_to_page() {
    let mut snapshot = snapshot(vec![], vec![counted()]);
    let before = births(&snapshot, None);
    let log = Arc::make_mut(&mut snapshot.gpus[0].xids);
    log.counts.get_mut(&48).expect("counted").tally.add(Some(at(99)));
    snapshot.process.cpu = Some(Duration::from_secs(9));
    assert_eq!(births(&snapshot, None), before);
}

/// A series that has the labels of a holder or an instance may be younger than the count.
#[test]
fn series_that_may_have_begun_later_have_no_birth() {
    let rows = || vec![watch(9006, "DCGM_EXP_XID_ERRORS_TOTAL", Kind::Counter, "")];
    let of_dcgm_with = |settings, snapshot: &Snapshot, attribution: Option<&Attribution>| {
        let births = births_with(settings, snapshot, attribution);
        births.iter().filter(|(name, _)| name.starts_with("DCGM_")).count()
    };
    let settings = settings();
    let of_dcgm = |snapshot: &Snapshot, attribution: Option<&Attribution>| {
        of_dcgm_with(&settings, snapshot, attribution)
    };
    let whole = snapshot(rows(), vec![counted()]);
    assert_eq!(of_dcgm(&whole, None), 1);
    assert_eq!(of_dcgm(&whole, Some(&holders())), 0);
    // What happened while a pod held the GPU was counted with the labels of the pod.
    let no_holders = Attribution { uses: Default::default(), ..holders() };
    assert_eq!(of_dcgm(&whole, Some(&no_holders)), 0);
    let only_info = HolderSettings { only_info: true, ..settings.holders };
    let only_info = Settings { holders: only_info, ..settings.clone() };
    assert_eq!(of_dcgm_with(&only_info, &whole, Some(&holders())), 1);
    let mut parted = counted();
    parted.parts = vec![part(instance(0, 0, None), vec![])];
    assert_eq!(of_dcgm(&snapshot(rows(), vec![parted]), None), 0);
}

/// The families whose series have births, without those that have no labels.
fn families_of_gpus(births: Vec<(String, SystemTime)>) -> Vec<String> {
    let names = births.into_iter().map(|(name, _)| name);
    names
        .filter(|name| {
            !["process_", "heatsink_http_", "heatsink_reader_"]
                .iter()
                .any(|start| name.starts_with(start))
        })
        .collect()
}

#[test]
fn forgotten_births_are_on_no_page() {
    let rows = || {
        vec![
            watch(9006, "DCGM_EXP_XID_ERRORS_TOTAL", Kind::Counter, ""),
            watch(9005, "DCGM_EXP_CLOCK_EVENTS_TOTAL", Kind::Counter, ""),
        ]
    };
    let known = snapshot(rows(), vec![counted()]);
    assert_eq!(families_of_gpus(births(&known, None)).len(), 8);
    let mut gpu = counted();
    gpu.counting_since = None;
    for tally in Arc::make_mut(&mut gpu.xids).tallies_mut() {
        tally.born = None;
    }
    let mut snapshot = snapshot(rows(), vec![gpu]);
    assert_eq!(families_of_gpus(births(&snapshot, None)), [""; 0]);
    assert!(!births(&snapshot, None).is_empty(), "of the program");
    snapshot.counting_since = None;
    assert_eq!(births(&snapshot, None), []);
    // The series themselves stay.
    assert_same(&snapshot, None);
    assert_eq!(render(&snapshot, None, &settings()), render(&known, None, &settings()));
}

#[test]
fn births_from_before_the_labels_changed_are_not_shown() {
    let snapshot = snapshot(vec![], vec![counted()]);
    let settings = |seconds| Settings { labels_since: Some(at(seconds)), ..settings() };
    let all = births(&snapshot, None);
    assert_eq!(births_with(&settings(0), &snapshot, None), all);
    let since = |seconds| -> Vec<SystemTime> {
        let births = births_with(&settings(seconds), &snapshot, None).into_iter();
        let mut births: Vec<_> = births.map(|(_, birth)| birth).collect();
        births.retain(|birth| *birth < started());
        births.sort();
        births
    };
    assert_eq!(since(47), [at(47), at(48), at(145)]);
    assert_eq!(since(48), [at(48), at(145)]);
    assert_eq!(since(145), [at(145)]);
    assert_eq!(since(146), []);
    assert_eq!(births_with(&settings(2_000_000_000), &snapshot, None), []);
}

#[test]
fn settings_note_when_the_labels_of_series_change() {
    type Change = fn(&mut Settings);
    let labels: [Change; 5] = [
        |it| it.hostname = None,
        |it| it.host_label = "Hostname",
        |it| it.old_namespace = true,
        |it| it.replace_blanks_in_model_name = true,
        |it| it.holders.only_info = true,
    ];
    let others: [Change; 4] = [
        |it| it.expected_gpus = Some(8),
        |it| it.rows_skipped = 1,
        |it| it.is_reloaded = false,
        |it| it.reloaded_at = None,
    ];
    for (changes, expected) in [(&labels[..], Some(at(5))), (&others[..], None)] {
        for change in changes {
            let mut changed = settings();
            change(&mut changed);
            changed.note_labels_before(&settings(), at(5));
            assert_eq!(changed.labels_since, expected);
            let before = changed.clone();
            changed.note_labels_before(&before, at(9));
            assert_eq!(changed.labels_since, expected, "no further change");
        }
    }
}

/// Machines whose pages are given to parsers that are not ours.
fn machines() -> Vec<(Snapshot, Option<Attribution>)> {
    let mut machines = vec![(worst(), Some(holders()))];
    let names = [
        ("foo_total", Kind::Counter),
        ("foo", Kind::Gauge),
        ("bar_total", Kind::Counter),
        ("bar_created", Kind::Gauge),
        ("baz_created_total", Kind::Counter),
        ("baz_total", Kind::Counter),
        ("_total", Kind::Counter),
        ("a_total", Kind::Gauge),
        ("b_bucket", Kind::Gauge),
        ("c_count", Kind::Counter),
        ("d_sum", Kind::Untyped),
        ("e_info", Kind::Gauge),
        ("f_info", Kind::Untyped),
        ("g_info_total", Kind::Counter),
        ("h_created", Kind::Counter),
        ("i_gcount", Kind::Gauge),
        ("j_gsum", Kind::Counter),
        ("k_total_total", Kind::Counter),
        ("l:m_total", Kind::Counter),
    ];
    let rows = names.map(|(name, kind)| watch(150, name, kind, "A \"help\"\\\n."));
    let readings = vec![int(61); names.len()];
    machines.push((snapshot(rows.into(), vec![up(identity(0, "GPU-a"), readings)]), None));
    for set in [Set::Minimal, Set::Default, Set::Monitoring, Set::All, Set::FirstGeneration] {
        let rows = set.watches();
        let gpu = GpuView { readings: vec![int(7); rows.len()], ..counted() };
        let mut machine = snapshot(vec![], vec![gpu]);
        machine.watches = rows.into_iter().chain(own_families()).collect();
        machines.push((machine, None));
    }
    let mut runner = TestRunner::deterministic();
    for _ in 0..64 {
        let any = any_snapshot().new_tree(&mut runner).expect("a snapshot");
        machines.push((any.current(), None));
    }
    machines
}

/// Strict parsers in Python read the pages: of OpenMetrics the reference parser, of protobuf the library
/// of its makers. They need a package registry, so the test is run on request:
/// `cargo test -p exposition --test exposition parsers -- --ignored`.
#[test]
#[ignore = "needs Python and a package registry"]
fn parsers_in_python_read_the_same_in_all_formats() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let pages = root.join("../../target/formats");
    let _ = std::fs::remove_dir_all(&pages);
    std::fs::create_dir_all(&pages).expect("a folder");
    let machines = machines();
    for (number, (snapshot, attribution)) in machines.iter().enumerate() {
        for (format, end) in Format::ALL.into_iter().zip(["prom", "om", "pb"]) {
            let bytes = page(format, snapshot, attribution.as_ref());
            std::fs::write(pages.join(format!("{number:02}.{end}")), bytes).expect("a file");
        }
    }
    let environment = root.join("../../target/python/formats");
    let run = |command: &mut Command| {
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let python = environment.join("bin/python");
    let scripts = root.join("tests/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    run(Command::new(&python).args(pip).arg(scripts.join("requirements.txt")));
    let said = run(Command::new(&python).arg(scripts.join("formats.py")).arg(&pages));
    assert!(said.starts_with(&format!("{} machines", machines.len())), "{said}");
}
