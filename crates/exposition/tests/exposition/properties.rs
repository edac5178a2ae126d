//! Properties of all pages, for any snapshot.

use std::collections::BTreeMap;

use exposition::{Choice, Devices, Settings, Show, render};
use model::{
    Entity, GpuView, Identity, Kind, PartView, Reading, Snapshot, Value, Watch, WatchIndex,
};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::page::{Page, Sample};

use crate::arbitrary::{DERIVED, any_settings, any_snapshot};
use crate::machine::{float, identity, int, settings, snapshot, up, watch};

/// Any text, with characters of the syntax more often than others.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let anything = vec(any::<char>(), 0..12).prop_map(String::from_iter);
    prop_oneof![anything, "[a\"\\\\\n\r\t,={}# \u{0}é🔥]{0,12}"]
}

proptest! {
    #[test]
    fn any_text_reads_back_unchanged(
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
        let identity = Identity { model_name: Some(model_name.clone()), ..identity(0, "GPU-aaaa") };
        let gpu = up(identity, vec![Ok(Value::Text(label.as_str().into())), int(61)]);
        let mut snapshot = snapshot(watches, vec![gpu]);
        snapshot.source.driver_version = Some(driver.as_str().into());
        let settings = Settings { hostname: Some(hostname.as_str().into()), ..settings() };

        let page = Page::parse(&render(&snapshot, None, &settings)).unwrap();

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
    fn floats_read_back_unchanged(value in proptest::num::f64::ANY) {
        let watches = vec![
            watch(150, "T", Kind::Gauge, "T."),
            watch(151, "L", Kind::Label, ""),
            watch(152, "One", Kind::Gauge, "One."),
        ];
        let gpu = up(identity(0, "GPU-aaaa"), vec![float(value), float(value), int(1)]);
        let page = Page::parse(&render(&snapshot(watches, vec![gpu]), None, &settings())).unwrap();
        let written = page.samples("T").first().map(|sample| sample.value.to_bits());
        prop_assert_eq!(written, value.is_finite().then(|| value.to_bits()));
        let label = page.samples("One")[0].label("L").map(|label| label.parse::<f64>().unwrap());
        prop_assert_eq!(label.map(f64::to_bits), written);
    }

    #[test]
    fn integers_keep_all_digits(value: i64) {
        let watches = vec![watch(150, "T", Kind::Gauge, "T.")];
        let gpu = up(identity(0, "GPU-aaaa"), vec![int(value)]);
        let text = render(&snapshot(watches, vec![gpu]), None, &settings());
        let line = text.lines().find(|line| line.starts_with("T{")).unwrap();
        prop_assert_eq!(line.rsplit_once(' ').unwrap().1, value.to_string());
    }

    #[test]
    fn every_snapshot_has_a_page_that_parses(
        snapshot in any_snapshot(),
        settings in any_settings(),
    ) {
        // The reader rejects split families, families without samples, and duplicate series.
        let page = Page::parse(&render(&snapshot, None, &settings)).unwrap();
        for gpu in &snapshot.gpus {
            let health = page.samples("heatsink_gpu_up");
            prop_assert!(health.iter().any(|sample| same_gpu(gpu, sample)));
        }
        // Each sample of a requested family comes from a GPU that is up, an XID that was
        // delivered, or a part of the machine.
        let requested = page.all_samples().filter(|sample| sample.name.starts_with("F_"));
        for sample in requested {
            let shown_by =
                |gpu: &GpuView| same_gpu(gpu, sample) && was_read(&snapshot.watches, gpu, sample);
            let is_read = match part_of_machine(sample) {
                None => snapshot.gpus.iter().any(shown_by),
                Some(entity) => was_read_beside_gpus(&snapshot, &entity, sample),
            };
            prop_assert!(is_read, "{}", sample);
        }
        // Each reading is on the page.
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
        let is_on_page = |gpu: &&GpuView| counts(gpu, &snapshot) && is_shown(gpu, &settings.show);
        for gpu in snapshot.gpus.iter().filter(is_on_page) {
            for (position, watch) in &ordinary {
                let of_gpu = page.samples(&watch.name);
                let of_gpu = of_gpu.into_iter().filter(|sample| same_gpu(gpu, sample));
                let values: BTreeMap<_, _> =
                    of_gpu.map(|sample| (device(sample), sample.value)).collect();
                let mut read = BTreeMap::new();
                if let Some(Ok(Value::Int(value))) = gpu.readings.get(*position) {
                    read.insert(None, *value as f64);
                }
                for number in 0..3 {
                    let link = gpu.parts.iter().find(|part| part.entity == Entity::Link(number));
                    let reading = link.and_then(|link| link.reading(WatchIndex(*position)));
                    if let Some(Ok(Value::Int(value))) = reading {
                        read.insert(Some(format!("link {number}")), *value as f64);
                    }
                }
                for (device, value) in read {
                    prop_assert_eq!(values.get(&device), Some(&value));
                }
            }
        }
        for (entity, part) in first_of_each(&snapshot.machine) {
            for (position, watch) in &ordinary {
                let of_part = page.samples(&watch.name).into_iter();
                let mut of_part =
                    of_part.filter(|sample| part_of_machine(sample).as_ref() == Some(entity));
                let value = of_part.next().map(|sample| sample.value);
                let read = match part.reading(WatchIndex(*position)) {
                    Some(Ok(Value::Int(value))) => Some(*value as f64),
                    Some(Ok(Value::Float(value))) if value.is_finite() => Some(*value),
                    _ => None,
                };
                prop_assert_eq!(value, read.filter(|_| is_part_shown(entity, &settings.show)));
            }
        }
    }
}

/// The part of the machine of a sample; `None` for a sample of a GPU.
fn part_of_machine(sample: &Sample) -> Option<Entity> {
    let number = |name| sample.label(name).map(|text| text.parse().expect("a number"));
    let switch = sample.label("nvswitch").and_then(|text| text.strip_prefix("nvswitch"));
    let switch = switch.map(|text| text.parse().expect("a number"));
    match (number("nvlink"), switch, number("cpucore"), number("cpu")) {
        (None, Some(switch), None, None) => Some(Entity::Switch(switch)),
        (Some(link), Some(switch), None, None) => Some(Entity::SwitchLink { switch, link }),
        (None, None, None, Some(cpu)) => Some(Entity::Cpu(cpu)),
        (None, None, Some(core), Some(cpu)) => Some(Entity::CpuCore { cpu, core }),
        _ => None,
    }
}

/// The first part of each entity.
fn first_of_each(parts: &[PartView]) -> BTreeMap<&Entity, &PartView> {
    parts.iter().rev().map(|part| (&part.entity, part)).collect()
}

fn was_read_beside_gpus(snapshot: &Snapshot, entity: &Entity, sample: &Sample) -> bool {
    let parts = first_of_each(&snapshot.machine);
    let Some(part) = parts.get(entity) else { return false };
    let of_name = snapshot.watches.iter().enumerate().filter(|(_, w)| *w.name == *sample.name);
    of_name.into_iter().any(|(position, _)| match part.reading(WatchIndex(position)) {
        Some(Ok(Value::Int(int))) => *int as f64 == sample.value,
        Some(Ok(Value::Float(float))) => *float == sample.value,
        _ => false,
    })
}

fn is_part_shown(entity: &Entity, show: &Show) -> bool {
    let (devices, number, is_whole) = match *entity {
        Entity::Switch(switch) => (&show.switches, switch, true),
        Entity::SwitchLink { link, .. } => (&show.switches, link, false),
        Entity::Cpu(cpu) => (&show.cpus, cpu, true),
        Entity::CpuCore { core, .. } => (&show.cpus, core, false),
        _ => return false,
    };
    match devices {
        Devices::Flexible => true,
        Devices::Listed { gpus, instances } => match if is_whole { gpus } else { instances } {
            Choice::None => false,
            Choice::All => true,
            Choice::Only(list) => list.contains(&number),
        },
    }
}

/// The link or instance of a sample; `None` for a sample of the GPU itself.
fn device(sample: &Sample) -> Option<String> {
    let link = sample.label("nvlink").map(|link| format!("link {link}"));
    link.or(sample.label("GPU_I_ID").map(|instance| format!("instance {instance}")))
}

/// Whether a sample is of this GPU. An empty UUID counts as absent.
fn same_gpu(gpu: &GpuView, sample: &Sample) -> bool {
    let names = ["UUID", "uuid", "gpu_uuid"];
    let uuid_label = names.iter().find_map(|name| sample.label(name)).unwrap_or_default();
    sample.label("gpu").map(str::to_owned) == gpu.gpu.index.map(|index| index.to_string())
        && uuid_label == uuid(gpu)
}

fn uuid(gpu: &GpuView) -> &str {
    gpu.gpu.identity.as_deref().and_then(|identity| identity.uuid.as_deref()).unwrap_or_default()
}

/// Whether a GPU is up, identified, and the only one of its index and UUID.
fn counts(gpu: &GpuView, snapshot: &Snapshot) -> bool {
    let same = |other: &&GpuView| other.gpu.index == gpu.gpu.index && uuid(other) == uuid(gpu);
    gpu.up.is_ok() && gpu.gpu.identity.is_some() && snapshot.gpus.iter().filter(same).count() == 1
}

/// Whether the settings show a GPU as a whole.
fn is_shown(gpu: &GpuView, show: &Show) -> bool {
    let any_instance = gpu
        .instances()
        .any(|(instance, _)| instance.compute_instance.is_none() || show.compute_instances);
    match &show.devices {
        Devices::Flexible => !any_instance,
        Devices::Listed { gpus: Choice::None, .. } => false,
        Devices::Listed { gpus: Choice::All, .. } => true,
        Devices::Listed { gpus: Choice::Only(list), .. } => {
            gpu.gpu.index.is_some_and(|index| list.contains(&index))
        }
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
            let own = |part: &PartView| is_read(part.reading(WatchIndex(position)));
            match device(sample) {
                None => is_read(gpu.readings.get(position)),
                Some(_) if sample.label("nvlink").is_some() => gpu.parts.iter().any(own),
                Some(_) => is_read(gpu.readings.get(position)) || gpu.parts.iter().any(own),
            }
        }
    })
}
