//! What holds of every page, whatever is in the snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use exposition::{Choice, Devices, Settings, Show, render};
use model::{
    ClockEvent, Down, Entity, Extent, FieldId, Gpu, GpuView, Health, HealthStatus, Identity,
    Instance, Kind, LinkFault, PartView, Quantity, Reading, Reason, Snapshot, Value, Watch, Xid,
    XidCount, XidLog,
};
use proptest::array::uniform9;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use testkit::page::{Page, Sample};

use crate::machine::{float, identity, int, part, settings, snapshot, up, watch};

/// Fields whose samples are not one reading each.
const DERIVED: [u16; 7] = [230, 9001, 9002, 9003, 9004, 9005, 9006];

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
        settings in any_settings(),
    ) {
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
            let shown_by =
                |gpu: &GpuView| same_gpu(gpu, sample) && was_read(&snapshot.watches, gpu, sample);
            prop_assert!(snapshot.gpus.iter().any(shown_by), "{}", sample);
        }
        // And what was read is shown.
        let is_ordinary = |position: usize, watch: &Watch| {
            let not_hidden = |watch: &&Watch| watch.kind != Kind::Hidden;
            let before = snapshot.watches[..position].iter().filter(not_hidden);
            watch.name.starts_with("F_")
                && !matches!(watch.kind, Kind::Label | Kind::Hidden)
                && !DERIVED.contains(&watch.field.0)
                && before.into_iter().all(|other| other.name != watch.name)
        };
        let watches = || snapshot.watches.iter().enumerate();
        let ordinary: Vec<(usize, &Watch)> =
            watches().filter(|(position, watch)| is_ordinary(*position, watch)).collect();
        let shown = |gpu: &&GpuView| counts(gpu, &snapshot) && is_shown(gpu, &settings.show);
        for gpu in snapshot.gpus.iter().filter(shown) {
            for (position, watch) in &ordinary {
                let of_gpu = page.samples(&watch.name);
                let of_gpu = of_gpu.into_iter().filter(|sample| same_gpu(gpu, sample));
                let shown: BTreeMap<_, _> =
                    of_gpu.map(|sample| (device(sample), sample.value)).collect();
                let mut read = BTreeMap::new();
                if let Some(Ok(Value::Int(value))) = gpu.readings.get(*position) {
                    read.insert(None, *value as f64);
                }
                for number in 0..3 {
                    let link = gpu.parts.iter().find(|part| part.entity == Entity::Link(number));
                    let reading = link.and_then(|link| link.reading(*position));
                    if let Some(Ok(Value::Int(value))) = reading {
                        read.insert(Some(format!("link {number}")), *value as f64);
                    }
                }
                for (device, value) in read {
                    prop_assert_eq!(shown.get(&device), Some(&value));
                }
            }
        }
    }
}

/// The device of a GPU that a sample is of, if it is not the GPU itself.
fn device(sample: &Sample) -> Option<String> {
    let link = sample.label("nvlink").map(|link| format!("link {link}"));
    link.or(sample.label("GPU_I_ID").map(|instance| format!("instance {instance}")))
}

/// Whether a sample is of this GPU; an empty UUID is none.
fn same_gpu(gpu: &GpuView, sample: &Sample) -> bool {
    let names = ["UUID", "uuid", "gpu_uuid"];
    let shown = names.iter().find_map(|name| sample.label(name)).unwrap_or_default();
    sample.label("gpu") == Some(&gpu.gpu.index.to_string()) && shown == uuid(gpu)
}

fn uuid(gpu: &GpuView) -> &str {
    gpu.gpu.identity.as_deref().map_or("", |identity| &identity.uuid)
}

/// Whether a GPU is up, identified, and the only one of its index and UUID.
fn counts(gpu: &GpuView, snapshot: &Snapshot) -> bool {
    let same = |other: &&GpuView| other.gpu.index == gpu.gpu.index && uuid(other) == uuid(gpu);
    gpu.up.is_ok() && gpu.gpu.identity.is_some() && snapshot.gpus.iter().filter(same).count() == 1
}

/// Whether a GPU that is up appears as a whole.
fn is_shown(gpu: &GpuView, show: &Show) -> bool {
    let any_instance = gpu
        .instances()
        .any(|(instance, _)| instance.compute_instance.is_none() || show.compute_instances);
    match &show.devices {
        Devices::Flexible => !any_instance,
        Devices::Listed { gpus: Choice::None, .. } => false,
        Devices::Listed { gpus: Choice::All, .. } => true,
        Devices::Listed { gpus: Choice::Only(list), .. } => list.contains(&gpu.gpu.index),
    }
}

fn was_read(watches: &[Watch], gpu: &GpuView, sample: &Sample) -> bool {
    let is_read = |reading: Option<&Reading>| match reading {
        Some(Ok(Value::Int(int))) => gpu.up.is_ok() && *int as f64 == sample.value,
        Some(Ok(Value::Float(float))) => gpu.up.is_ok() && *float == sample.value,
        _ => false,
    };
    let of_name = watches.iter().enumerate().filter(|(_, watch)| *watch.name == *sample.name);
    of_name.into_iter().any(|(position, watch)| match watch.field.0 {
        230 => {
            let mut all = gpu.xids.last_of_instances.values().chain(&gpu.xids.last_of_gpu);
            let last = gpu.xids.last;
            all.any(|xid| f64::from(xid.code) == sample.value)
                || last.is_some_and(|xid| f64::from(xid.code) == sample.value)
                || gpu.up.is_ok() && sample.value == 0.0
        }
        9001 | 9006 => true,
        9002..=9005 => gpu.up.is_ok(),
        _ => {
            let own = |part: &PartView| is_read(part.reading(position));
            match device(sample) {
                None => is_read(gpu.readings.get(position)),
                Some(_) if sample.label("nvlink").is_some() => gpu.parts.iter().any(own),
                Some(_) => is_read(gpu.readings.get(position)) || gpu.parts.iter().any(own),
            }
        }
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let choice = prop_oneof![
        Just(Choice::None),
        Just(Choice::All),
        vec(0..20_u32, 0..4).prop_map(Choice::Only),
    ];
    let listed =
        (choice.clone(), choice).prop_map(|(gpus, instances)| Devices::Listed { gpus, instances });
    let show = (prop_oneof![Just(Devices::Flexible), listed], any::<bool>())
        .prop_map(|(devices, compute_instances)| Show { devices, compute_instances });
    let label = select(vec!["hostname", "Hostname"]);
    (show, label, any::<(bool, bool, bool)>()).prop_map(|(show, host_label, flags)| {
        let (named, old_namespace, replace_blanks_in_model_name) = flags;
        Settings {
            hostname: named.then(|| "n1".into()),
            host_label,
            old_namespace,
            show,
            replace_blanks_in_model_name,
            ..settings()
        }
    })
}

/// Any snapshot whose texts are tame; names come from so small a pool that they collide.
pub(crate) fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let window = select(vec![Duration::ZERO, Duration::from_millis(1_500)]);
    (vec(any_watch(), 0..10), vec(any_gpu(), 0..6), any::<bool>(), window).prop_map(
        |(watches, gpus, source_up, window)| {
            let mut snapshot = snapshot(watches, gpus);
            if !source_up {
                snapshot.source.up = Err("gone".into());
                snapshot.source.driver_version = None;
            }
            snapshot.windows.extents = window;
            snapshot
        },
    )
}

fn any_watch() -> impl Strategy<Value = Watch> {
    let names = ["F_a", "F_b", "F_c", "F_d", "F_e", "gpu", "nvlink", "err_msg", "heatsink_gpu_up"];
    let fields = [1, 100, 150, 155, 1603, 9101].into_iter().chain(DERIVED).collect::<Vec<_>>();
    let kind = select(vec![
        Kind::Gauge,
        Kind::Gauge,
        Kind::Counter,
        Kind::Untyped,
        Kind::Label,
        Kind::Hidden,
    ]);
    (select(fields), select(names.to_vec()), kind)
        .prop_map(|(field, name, kind)| watch(field, name, kind, "Help."))
}

fn any_gpu() -> impl Strategy<Value = GpuView> {
    let uuid = option::of(select(vec!["", "GPU-a", "GPU-b", "GPU-c"]));
    let up =
        prop_oneof![3 => Just(Ok(())), 1 => select(vec![Down::Lost, Down::Late]).prop_map(Err)];
    let errors = btree_map((select(vec![1, 150, 230, 1013]), any_reason()), 0..9_u64, 0..4);
    let whole = (0..3_u32, uuid, up, vec(any_reading(), 0..11), vec(any_part(), 0..6));
    let events = (any_xids(), vec((select(vec![13, 79, u32::MAX]), 0..4_u64), 0..4));
    let clocks = uniform9(any_clock_event());
    let derived = (clocks, vec(any_extent(), 0..5), vec(any_health(), 0..4));
    let calls = btree_map(select(vec!["temperature", "samples"]), any_duration(), 0..3);
    (whole, events, derived, errors, option::of(any_duration()), calls).prop_map(
        |(whole, events, derived, errors, pass_duration, calls)| {
            let (index, uuid, up, readings, parts) = whole;
            let (xids, xids_in_window) = events;
            let (clock_events, extents, health) = derived;
            GpuView {
                gpu: Gpu { index, identity: uuid.map(|uuid| Arc::new(identity(index, uuid))) },
                up,
                readings,
                parts,
                xids: Arc::new(xids),
                xids_in_window,
                clock_events,
                extents,
                health,
                calls: Arc::new(calls),
                last_success: None,
                pass_duration,
                errors: Arc::new(
                    errors
                        .into_iter()
                        .map(|((field, reason), count)| ((FieldId(field), reason), count))
                        .collect(),
                ),
            }
        },
    )
}

/// Any part, the same one twice included.
fn any_part() -> impl Strategy<Value = PartView> {
    let instance = (0..3_u32, option::of(0..2_u32), select(vec!["", "1g.10gb", "2g.20gb"]));
    let instance = instance.prop_map(|(gpu_instance, compute_instance, profile)| {
        let (place, profile) = (gpu_instance, profile.into());
        let instance = Instance { gpu_instance, compute_instance, number: place, profile };
        Entity::Instance(Arc::new(instance))
    });
    let entity = prop_oneof![
        1 => Just(Entity::Gpu),
        2 => (0..3_u32).prop_map(Entity::Link),
        2 => (0..3_u32).prop_map(Entity::Peer),
        4 => instance,
    ];
    let readings = btree_map(0..11_usize, any_reading(), 0..6);
    (entity, readings).prop_map(|(entity, readings)| part(entity, readings.into_iter().collect()))
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        any::<i64>().prop_map(int),
        (0..9_i64).prop_map(int),
        proptest::num::f64::ANY.prop_map(float),
        "[a-z0-9.]{0,6}".prop_map(|text| Ok(Value::Text(text.into()))),
        any_reason().prop_map(Err),
    ]
}

fn any_reason() -> impl Strategy<Value = Reason> {
    select(vec![Reason::NotServed, Reason::NotSupported, Reason::NoData, Reason::Failed])
}

fn any_clock_event() -> impl Strategy<Value = ClockEvent> {
    let seconds = option::of(proptest::num::f64::ANY);
    (option::of(any::<bool>()), seconds, 0..9_u64, 0..9_u64).prop_map(
        |(active, seconds, samples_in_window, begun)| ClockEvent {
            active,
            seconds,
            samples_in_window,
            begun,
        },
    )
}

fn any_extent() -> impl Strategy<Value = Extent> {
    let value = || proptest::num::f64::ANY;
    (select(Quantity::ALL.to_vec()), value(), value(), value(), any::<bool>()).prop_map(
        |(quantity, min, mean, max, from_driver)| Extent { quantity, min, mean, max, from_driver },
    )
}

fn any_health() -> impl Strategy<Value = Health> {
    let status = select(vec![HealthStatus::Pass, HealthStatus::Warn, HealthStatus::Fail]);
    (select(vec!["MEM", "PCIE", "ALL"]), status, select(vec!["", "DCGM_FR_X"]))
        .prop_map(|(subsystem, status, error)| Health { subsystem, status, error })
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (0..1000_u64).prop_map(Duration::from_micros)
}

fn any_xids() -> impl Strategy<Value = XidLog> {
    let xid = |code| Xid { code, message: "It happened", class: "reset_gpu", action: "Reset." };
    let last = option::of(0..200_u32).prop_map(move |code| code.map(xid));
    let last_of_instances = btree_map(0..3_u32, (0..200_u32).prop_map(xid), 0..3);
    let time = option::of(any_duration().prop_map(|since| UNIX_EPOCH + since));
    let count = (0..200_u32, 0..4_u64, time).prop_map(move |(code, count, last)| XidCount {
        xid: xid(code),
        count,
        last,
    });
    let counts = btree_map(select(vec![13, 48, 79, u32::MAX]), count, 0..4);
    let fault = (144..151_u32, select(vec!["", "RLW_CTRL"]), option::of(0..2_u32));
    let fault = fault.prop_map(|(code, unit, link)| LinkFault {
        code,
        unit: unit.into(),
        severity: "fatal",
        link,
    });
    let faults = btree_map(fault, 0..4_u64, 0..4);
    (last.clone(), last, last_of_instances, counts, faults, any::<bool>()).prop_map(
        |(last, last_of_gpu, last_of_instances, counts, link_faults, listening)| XidLog {
            last,
            last_of_gpu,
            last_of_instances,
            counts: counts as BTreeMap<_, _>,
            link_faults,
            listening,
        },
    )
}
