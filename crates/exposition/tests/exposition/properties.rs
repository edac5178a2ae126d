//! What holds of every page, whatever is in the snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exposition::{Settings, render};
use model::{
    Down, FieldId, Gpu, GpuView, Identity, Kind, Reading, Reason, Snapshot, Value, Watch, Xid,
    XidLog,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use testkit::page::Page;

use crate::machine::{float, identity, int, settings, snapshot, up, watch};

/// Any text, and more often one with what the syntax is made of.
fn any_text() -> impl Strategy<Value = String> {
    let anything = vec(any::<char>(), 0..12).prop_map(String::from_iter);
    prop_oneof![anything, "[a\"\\\\\n\r\t,={}# \u{0}é🔥]{0,12}"]
}

proptest! {
    #[test]
    fn any_text_reads_back_as_it_was(
        help in any_text(),
        label in any_text(),
        model_name in any_text(),
        hostname in any_text(),
        driver in any_text(),
    ) {
        let watches = vec![
            watch(1, "L", Kind::Label, ""),
            watch(150, "T", Kind::Gauge, &help),
        ];
        let identity = Identity { model_name: model_name.clone(), ..identity(0, "GPU-aaaa") };
        let gpu = up(identity, vec![Ok(Value::Text(label.as_str().into())), int(61)]);
        let mut snapshot = snapshot(watches, vec![gpu]);
        snapshot.source.driver_version = Some(driver.as_str().into());
        let settings = Settings { hostname: Some(hostname.as_str().into()), ..settings() };

        let page = Page::parse(&render(&snapshot, &settings)).unwrap();

        prop_assert_eq!(&page.family("T").unwrap().help, &help);
        let sample = page.samples("T")[0];
        prop_assert_eq!(sample.label("L"), Some(&*label));
        prop_assert_eq!(sample.label("modelName"), Some(&*model_name));
        prop_assert_eq!(sample.label("hostname"), Some(&*hostname));
        prop_assert_eq!(sample.value, 61.0);
        let source = page.samples("heatsink_source_info")[0];
        prop_assert_eq!(source.label("driver_version"), Some(&*driver));
    }

    #[test]
    fn floats_read_back_as_they_were(value in proptest::num::f64::ANY) {
        let watches = vec![
            watch(150, "T", Kind::Gauge, "T."),
            watch(151, "L", Kind::Label, ""),
            watch(152, "One", Kind::Gauge, "One."),
        ];
        let gpu = up(identity(0, "GPU-aaaa"), vec![float(value), float(value), int(1)]);
        let page = Page::parse(&render(&snapshot(watches, vec![gpu]), &settings())).unwrap();
        let shown = page.samples("T").first().map(|sample| sample.value.to_bits());
        prop_assert_eq!(shown, value.is_finite().then(|| value.to_bits()));
        let label = page.samples("One")[0].label("L").map(|label| label.parse::<f64>().unwrap());
        prop_assert_eq!(label.map(f64::to_bits), shown);
    }

    #[test]
    fn integers_are_shown_digit_by_digit(value: i64) {
        let watches = vec![watch(150, "T", Kind::Gauge, "T.")];
        let gpu = up(identity(0, "GPU-aaaa"), vec![int(value)]);
        let text = render(&snapshot(watches, vec![gpu]), &settings());
        let line = text.lines().find(|line| line.starts_with("T{")).unwrap();
        prop_assert_eq!(line.rsplit_once(' ').unwrap().1, value.to_string());
    }

    #[test]
    fn every_snapshot_has_a_page_that_parses(
        snapshot in any_snapshot(),
        named: bool,
        dashes: bool,
    ) {
        let settings = Settings {
            hostname: named.then(|| "n1".into()),
            replace_blanks_in_model_name: dashes,
            ..settings()
        };
        // The reader refuses families in pieces, families without samples and series shown twice.
        let page = Page::parse(&render(&snapshot, &settings)).unwrap();
        for gpu in &snapshot.gpus {
            let health = page.samples("heatsink_gpu_up");
            prop_assert!(health.iter().any(|sample| same_gpu(gpu, sample)));
        }
        // What is shown was read: each sample of a family asked for has a GPU that is up behind
        // it, or an XID that was delivered.
        let asked = page.all_samples().filter(|sample| sample.name.starts_with("F_"));
        for sample in asked {
            let shown_by = |gpu: &GpuView| {
                same_gpu(gpu, sample) && was_read(&snapshot.watches, gpu, &sample.name, sample.value)
            };
            prop_assert!(snapshot.gpus.iter().any(shown_by), "{}", sample);
        }
        // And what was read is shown.
        let first_of_name = |position: usize| {
            let name = &snapshot.watches[position].name;
            snapshot.watches.iter().position(|watch| watch.name == *name) == Some(position)
        };
        for gpu in snapshot.gpus.iter().filter(|gpu| counts(gpu, &snapshot)) {
            for (position, watch) in snapshot.watches.iter().enumerate() {
                let asked = watch.name.starts_with("F_") && watch.kind != Kind::Label;
                let Some(Ok(Value::Int(value))) = gpu.readings.get(position) else { continue };
                if asked && watch.field != FieldId(230) && first_of_name(position) {
                    let samples = page.samples(&watch.name);
                    let shown = samples.iter().find(|sample| same_gpu(gpu, sample));
                    prop_assert_eq!(shown.map(|sample| sample.value), Some(*value as f64));
                }
            }
        }
    }
}

/// Whether a sample is of this GPU; an empty UUID is none.
fn same_gpu(gpu: &GpuView, sample: &testkit::page::Sample) -> bool {
    let uuid = gpu.gpu.identity.as_deref().map_or("", |identity| &identity.uuid);
    sample.label("gpu") == Some(&gpu.gpu.index.to_string())
        && sample.label("UUID").unwrap_or_default() == uuid
}

/// Whether a GPU is up, identified, and the only one of its index and UUID.
fn counts(gpu: &GpuView, snapshot: &Snapshot) -> bool {
    let uuid = |gpu: &GpuView| match &gpu.gpu.identity {
        Some(identity) => identity.uuid.clone(),
        None => String::new(),
    };
    let same = |other: &&GpuView| other.gpu.index == gpu.gpu.index && uuid(other) == uuid(gpu);
    gpu.up.is_ok() && gpu.gpu.identity.is_some() && snapshot.gpus.iter().filter(same).count() == 1
}

fn was_read(watches: &[Watch], gpu: &GpuView, name: &str, value: f64) -> bool {
    let of_name = watches.iter().enumerate().filter(|(_, watch)| &*watch.name == name);
    of_name.into_iter().any(|(position, watch)| {
        if watch.field == FieldId(230) {
            let last = gpu.xids.last;
            return last.map_or(gpu.up.is_ok() && value == 0.0, |x| f64::from(x.code) == value);
        }
        match gpu.readings.get(position) {
            Some(Ok(Value::Int(int))) => gpu.up.is_ok() && *int as f64 == value,
            Some(Ok(Value::Float(float))) => gpu.up.is_ok() && *float == value,
            _ => false,
        }
    })
}

/// Any snapshot whose texts are tame; names come from so small a pool that they collide.
pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    (vec(any_watch(), 0..8), vec(any_gpu(), 0..6), any::<bool>()).prop_map(
        |(watches, gpus, source_up)| {
            let mut snapshot = snapshot(watches, gpus);
            if !source_up {
                snapshot.source.up = Err("gone".into());
                snapshot.source.driver_version = None;
            }
            snapshot
        },
    )
}

fn any_watch() -> impl Strategy<Value = Watch> {
    let name = select(vec!["F_a", "F_b", "F_c", "F_d", "F_e", "gpu", "err_msg", "heatsink_gpu_up"]);
    let field = select(vec![1, 150, 155, 230]);
    let kind = select(vec![Kind::Gauge, Kind::Gauge, Kind::Counter, Kind::Untyped, Kind::Label]);
    (field, name, kind).prop_map(|(field, name, kind)| watch(field, name, kind, "Help."))
}

fn any_gpu() -> impl Strategy<Value = GpuView> {
    let uuid = option::of(select(vec!["", "GPU-a", "GPU-b", "GPU-c"]));
    let up =
        prop_oneof![3 => Just(Ok(())), 1 => select(vec![Down::Lost, Down::Late]).prop_map(Err)];
    let errors = btree_map((select(vec![1, 150, 230, 1013]), any_reason()), 0..9_u64, 0..4);
    let whole = (0..3_u32, uuid, up, vec(any_reading(), 0..9));
    (whole, option::of(any_xids()), errors, option::of(0..1000_u64)).prop_map(
        |((index, uuid, up, readings), xids, errors, pass)| GpuView {
            gpu: Gpu { index, identity: uuid.map(|uuid| Arc::new(identity(index, uuid))) },
            up,
            readings,
            xids: Arc::new(xids.unwrap_or_default()),
            last_success: None,
            pass_duration: pass.map(Duration::from_micros),
            errors: Arc::new(
                errors
                    .into_iter()
                    .map(|((field, reason), count)| ((FieldId(field), reason), count))
                    .collect(),
            ),
        },
    )
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        any::<i64>().prop_map(int),
        proptest::num::f64::ANY.prop_map(float),
        "[a-z0-9.]{0,6}".prop_map(|text| Ok(Value::Text(text.into()))),
        any_reason().prop_map(Err),
    ]
}

fn any_reason() -> impl Strategy<Value = Reason> {
    select(vec![Reason::NotSupported, Reason::NoData, Reason::Failed])
}

fn any_xids() -> impl Strategy<Value = XidLog> {
    let counts = btree_map(select(vec![13, 48, 79, 0xFFFF]), 0..4_u64, 0..3);
    (option::of(0..200_u32), counts, any::<bool>()).prop_map(
        |(last, counts, listening): (_, BTreeMap<_, _>, _)| XidLog {
            last: last.map(|code| Xid { code, message: "Something went wrong" }),
            counts,
            listening,
        },
    )
}
