//! Computes the expected samples from the fixture and `test/fixtures/conversions.csv` alone, and compares
//! them with a page: none may be missing, and none may be there besides.

use std::collections::BTreeMap;
use std::fmt;

use testkit::exporter::repository_file;
use testkit::page::{Page, Sample};
use toml::{Table, Value};

use crate::conversion::{self, Expected};
use crate::fixture::{self, Machine, Place};

/// More than any GPU has.
const MAX_LINKS: u32 = 36;

/// Fields that have no numbers in a fixture, with the reason.
pub(crate) const NOT_CHECKED: [(&str, &str); 13] = [
    ("DCGM_FI_DEV_XID_ERRORS", "events, and none happens here"),
    ("DCGM_FI_DEV_XID_ERROR", "the same by the name of 4.9"),
    ("DCGM_FI_DEV_GPU_NVLINK_ERRORS", "events, and none happens here"),
    ("DCGM_EXP_XID_ERRORS_", "counted by the exporter"),
    ("DCGM_EXP_CLOCK_EVENTS_", "counted by the exporter"),
    ("DCGM_EXP_GPU_HEALTH_STATUS", "judged by the exporter"),
    ("DCGM_EXP_P2P_STATUS", "named by the exporter"),
    ("heatsink_", "of the exporter"),
    ("process_", "of the exporter"),
    ("DCGM_FI_DEV_NVSWITCH_", "only DCGM has them"),
    ("DCGM_FI_DEV_CPU_", "only DCGM has them"),
    ("DCGM_FI_DEV_SYSIO_POWER_UTIL_CURRENT", "only DCGM has it"),
    ("DCGM_FI_DEV_MODULE_POWER_UTIL_CURRENT", "only DCGM has it"),
];

/// Whether a family is one of those, by name or by the beginning of its name.
pub(crate) fn is_not_checked(family: &str) -> bool {
    NOT_CHECKED
        .iter()
        .any(|(name, _)| family == *name || (name.ends_with('_') && family.starts_with(name)))
}

/// A row of `test/fixtures/conversions.csv`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) field: String,
    pub(crate) id: u16,
    entity: Entity,
    raw: String,
    conversion: String,
}

/// The entity of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entity {
    /// The driver; every GPU has the number.
    Driver,
    /// The GPU; its instances have the number, too.
    Gpu,
    /// The GPU instance, where there are instances, else the GPU.
    Instance,
    /// A link.
    Link,
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let path = repository_file("test/fixtures/conversions.csv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    // As some editors write it: with a byte order mark, carriage returns, tabs around cells.
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    assert_eq!(lines.next(), Some("field,id,entity,raw,conversion"));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let [field, id, entity, raw, conversion] = cells[..] else { panic!("five cells: {line}") };
    let entity = match entity {
        "driver" => Entity::Driver,
        "gpu" => Entity::Gpu,
        "instance" => Entity::Instance,
        "link" => Entity::Link,
        _ => panic!("an entity: {line}"),
    };
    let id = id.parse().unwrap_or_else(|_| panic!("a number: {line}"));
    Row { field: field.into(), id, entity, raw: raw.into(), conversion: conversion.into() }
}

impl Row {
    /// The same number under another name.
    #[allow(dead_code, reason = "only some tests read other generations of names")]
    pub(crate) fn called(&self, field: &str) -> Self {
        Self { field: field.into(), ..self.clone() }
    }

    /// Whether it is of a text, which can only be a label.
    pub(crate) fn is_label(&self) -> bool {
        ["text", "nvml_version", "brand", "bus_id"].contains(&&*self.conversion)
    }
}

/// The part of a GPU that a sample is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Whole,
    Instance(u32),
    Link(u32),
}

/// Identifies a sample.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    family: String,
    gpu: usize,
    part: Part,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gpu {}", self.family, self.gpu)?;
        match self.part {
            Part::Whole => Ok(()),
            Part::Instance(id) => write!(f, " instance {id}"),
            Part::Link(link) => write!(f, " link {link}"),
        }
    }
}

/// The expected samples and labels of a machine.
pub(crate) struct Oracle {
    samples: BTreeMap<Key, Expected>,
    /// By GPU: the labels of its series.
    labels: Vec<Labels>,
}

/// Of one GPU: name and value, `None` for a label that must not be there.
type Labels = Vec<(String, Option<String>)>;

impl Oracle {
    /// For a page that shows these rows, those of a text as labels.
    pub(crate) fn new(machine: &Machine, rows: &[Row]) -> Self {
        let mut samples = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.is_label()) {
            for (index, gpu) in machine.gpus.iter().enumerate() {
                for (part, place) in places(row.entity, gpu) {
                    let found = place.and_then(|place| machine.find(&row.raw, place));
                    // Without a table there is no sample, not even one that reports a lack.
                    let expected = place.and_then(|_| row.expected(found.as_deref()));
                    if let Some(expected) = expected {
                        let key = Key { family: row.field.clone(), gpu: index, part };
                        assert_eq!(samples.insert(key, expected), None, "{} twice", row.field);
                    }
                }
            }
        }
        let labels = machine.gpus.iter().map(|gpu| labels(machine, gpu, rows)).collect();
        Self { samples, labels }
    }

    /// How many samples it expects.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Every difference from the page, each in a line.
    pub(crate) fn differences(&self, machine: &Machine, page: &Page) -> Vec<String> {
        let mut differences = Vec::new();
        let mut found: BTreeMap<Key, &Sample> = BTreeMap::new();
        for sample in checked(page) {
            let Some(key) = key(sample) else {
                differences.push(format!("of no known entity: {sample}"));
                continue;
            };
            differences.extend(self.labels_that_differ(machine, &key, sample));
            if !self.samples.contains_key(&key) {
                differences.push(format!("{key}: nothing expected, got {}", sample.value));
            }
            if found.insert(key.clone(), sample).is_some() {
                differences.push(format!("{key}: there twice"));
            }
        }
        for (key, expected) in &self.samples {
            match found.get(key) {
                None => differences.push(format!("{key}: expected {expected}, got nothing")),
                Some(sample) if !expected.is(sample.value) => {
                    differences.push(format!("{key}: expected {expected}, got {}", sample.value));
                }
                Some(_) => {}
            }
        }
        differences
    }

    /// The page with counters, which depend on the number of readings, set to their first values.
    pub(crate) fn with_first_values(&self, text: &str, page: &Page) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for sample in checked(page) {
            let expected = key(sample).and_then(|key| self.samples.get(&key));
            if let Some(Expected::Counter { first, scale, .. }) = expected {
                let line = &mut lines[sample.line - 1];
                let (series, _) = line.rsplit_once(' ').expect("a value");
                *line = format!("{series} {}", scale.of(*first));
            }
        }
        lines.join("\n") + "\n"
    }

    fn labels_that_differ(&self, machine: &Machine, key: &Key, sample: &Sample) -> Vec<String> {
        let Some(labels) = self.labels.get(key.gpu) else { return Vec::new() };
        let is_link = matches!(key.part, Part::Link(_));
        let mut expected = labels.clone();
        // On series of links, some labels have other names.
        for (name, _) in expected.iter_mut().filter(|_| is_link) {
            match &**name {
                "UUID" => *name = "gpu_uuid".to_owned(),
                "modelName" => *name = "model_name".to_owned(),
                _ => {}
            }
        }
        if let Part::Instance(id) = key.part {
            let instances = fixture::instances(&machine.gpus[key.gpu]);
            let instance = instances.iter().find(|instance| instance_id(instance) == id);
            let profile = instance.and_then(|instance| instance["profile"].as_str());
            expected.push(("GPU_I_PROFILE".to_owned(), profile.map(str::to_owned)));
        }
        let differs = |(name, value): (String, Option<String>)| {
            let got = sample.label(&name);
            (got != value.as_deref())
                .then(|| format!("{key}: label {name}: expected {value:?}, got {got:?}"))
        };
        expected.into_iter().filter_map(differs).collect()
    }
}

impl Row {
    fn expected(&self, found: Option<&[fixture::Answer]>) -> Option<Expected> {
        conversion::convert(&self.conversion, found)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Counter { first, step, scale } => {
                write!(f, "{}, {} or so on", scale.of(*first), scale.of(first + step))
            }
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The parts of a GPU that have a number, and where each number is looked up, if anywhere.
fn places(entity: Entity, gpu: &Table) -> Vec<(Part, Option<Place<'_>>)> {
    let whole = Place { gpu, table: gpu, link: None };
    if entity == Entity::Link {
        let links = 0..MAX_LINKS;
        return links.map(|n| (Part::Link(n), Some(Place { link: Some(n), ..whole }))).collect();
    }
    let instances = fixture::instances(gpu);
    if instances.is_empty() {
        return vec![(Part::Whole, Some(whole))];
    }
    // A GPU with instances has no series: each instance has its own numbers, and repeats those of the
    // GPU. Its own numbers are read through a compute instance.
    let parts = instances.into_iter().map(|instance| {
        let used = fixture::is_in_use(instance).then_some(Place { table: instance, ..whole });
        let place = if entity == Entity::Instance { used } else { Some(whole) };
        (Part::Instance(instance_id(instance)), place)
    });
    parts.collect()
}

fn instance_id(instance: &Table) -> u32 {
    let id = instance["id"].as_integer().expect("a whole number");
    u32::try_from(id).expect("an id")
}

/// The labels of the series of a GPU: those that identify it, and the rows of texts.
fn labels(machine: &Machine, gpu: &Table, rows: &[Row]) -> Labels {
    let text = |key: &str| gpu.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut labels = vec![
        ("UUID".to_owned(), text("uuid")),
        ("modelName".to_owned(), text("name")),
        ("pci_bus_id".to_owned(), Some(conversion::bus_id(&gpu["pci"]))),
    ];
    let place = Place { gpu, table: gpu, link: None };
    for row in rows.iter().filter(|row| row.is_label()) {
        let text = match row.expected(machine.find(&row.raw, place).as_deref()) {
            Some(Expected::Text(text)) => Some(text),
            None => None,
            Some(other) => panic!("{}: not a text: {other}", row.field),
        };
        labels.push((row.field.clone(), text));
    }
    labels
}

fn checked(page: &Page) -> impl Iterator<Item = &Sample> {
    page.all_samples()
        .filter(|sample| sample.name.starts_with("DCGM_FI_") && !is_not_checked(&sample.name))
}

fn key(sample: &Sample) -> Option<Key> {
    let label = |name| sample.label(name).map(str::parse::<u32>);
    let part = match (label("GPU_I_ID"), label("nvlink")) {
        (None, None) => Part::Whole,
        (Some(Ok(id)), None) => Part::Instance(id),
        (None, Some(Ok(link))) => Part::Link(link),
        _ => return None,
    };
    let gpu = sample.label("gpu")?.parse().ok()?;
    Some(Key { family: sample.name.clone(), gpu, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "
        [driver]
        version = '565.57.01'
        [[gpu]]
        uuid = 'GPU-1'
        name = 'T 1'
        pci = { bus = 1 }
        temperature = 57
        power_mw = 344_481
        field = [{ id = 83, readings = [[0, 1000], [1, 1300]] }]
        nvlink = { replay = [0, 9] }
        [[gpu]]
        uuid = 'GPU-2'
        name = 'T 2'
        pci = { bus = 2 }
        mig = { current = 1 }
        temperature = 201
        memory = { used = 9_999_999 }
        [[gpu.instance]]
        id = 3
        profile = '1g.5gb'
        memory = { used = 5_242_879 }
        compute_instances = [{ id = 0 }]
        [[gpu.instance]]
        id = 4
        profile = '2g.10gb'
        memory = { used = 7_340_031 }
        [[gpu]]
        uuid = 'GPU-3'
        name = 'T 3'
        pci = { bus = 3 }";

    const ROWS: [&str; 7] = [
        "DCGM_FI_DRIVER_VERSION,1,driver,driver.version,text",
        "DCGM_FI_DEV_GPU_TEMP,150,gpu,temperature,celsius",
        "DCGM_FI_DEV_POWER_USAGE,155,gpu,power_mw,milli_to_unit",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION,156,gpu,field:83,as_is",
        "DCGM_FI_DEV_FB_USED,252,instance,memory.used,mib",
        "DCGM_FI_DEV_GPM_SUPPORT,94,gpu,gpm,bool",
        "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_PER_LINK_TOTAL,1527,link,nvlink.replay[link],as_is",
    ];

    /// A page with everything as it should be.
    fn right() -> String {
        let gpu = |n: u32, part: &str| {
            format!(
                "gpu=\"{n}\",UUID=\"GPU-{0}\",pci_bus_id=\"00000000:0{0}:00.0\",modelName=\"T {0}\"\
                 {part},DCGM_FI_DRIVER_VERSION=\"565.57.01\"",
                n + 1
            )
        };
        let instance = |id, profile| format!(",GPU_I_PROFILE=\"{profile}\",GPU_I_ID=\"{id}\"");
        let (three, four) = (instance(3, "1g.5gb"), instance(4, "2g.10gb"));
        let link = gpu(0, ",nvlink=\"?\"").replace("UUID", "gpu_uuid").replace("modelN", "model_n");
        let samples = [
            ("DCGM_FI_DEV_GPU_TEMP", vec![(gpu(0, ""), "57")]),
            ("DCGM_FI_DEV_POWER_USAGE", vec![(gpu(0, ""), "344.481")]),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", vec![(gpu(0, ""), "1600")]),
            ("DCGM_FI_DEV_FB_USED", vec![(gpu(1, &three), "4")]),
            (
                "DCGM_FI_DEV_GPM_SUPPORT",
                vec![
                    (gpu(0, ""), "0"),
                    (gpu(1, &three), "0"),
                    (gpu(1, &four), "0"),
                    (gpu(2, ""), "0"),
                ],
            ),
            (
                "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_PER_LINK_TOTAL",
                vec![(link.replace('?', "0"), "0"), (link.replace('?', "1"), "9")],
            ),
        ];
        let mut page = String::new();
        for (family, samples) in samples {
            page += &format!("# HELP {family} x\n# TYPE {family} gauge\n");
            for (labels, value) in samples {
                page += &format!("{family}{{{labels}}} {value}\n");
            }
        }
        page + "# HELP heatsink_x x\n# TYPE heatsink_x gauge\nheatsink_x 1\n"
    }

    fn differences(page: &str) -> Vec<String> {
        let machine = Machine::parse(MACHINE);
        let oracle = Oracle::new(&machine, &ROWS.map(row));
        oracle.differences(&machine, &Page::parse(page).unwrap_or_else(|e| panic!("{e}\n{page}")))
    }

    #[test]
    fn a_right_page_has_no_differences() {
        assert_eq!(differences(&right()), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_reported() {
        let page = right()
            .replace("} 57\n", "} 58\n")
            .replace("} 344.481\n", "} 344\n")
            .replace("} 1600\n", "} 1500\n")
            .replace("GPU_I_ID=\"3\",DCGM_FI_DRIVER_VERSION=\"565.57.01\"} 4", "GPU_I_ID=\"4\"} 4")
            .replace("} 9\n", "} 8\n");
        let expected = [
            "DCGM_FI_DEV_FB_USED gpu 1 instance 4: label DCGM_FI_DRIVER_VERSION: \
             expected Some(\"565.57.01\"), got None",
            "DCGM_FI_DEV_FB_USED gpu 1 instance 4: label GPU_I_PROFILE: \
             expected Some(\"2g.10gb\"), got Some(\"1g.5gb\")",
            "DCGM_FI_DEV_FB_USED gpu 1 instance 4: nothing expected, got 4",
            "DCGM_FI_DEV_FB_USED gpu 1 instance 3: expected 4, got nothing",
            "DCGM_FI_DEV_GPU_TEMP gpu 0: expected 57, got 58",
            "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_PER_LINK_TOTAL gpu 0 link 1: expected 9, got 8",
            "DCGM_FI_DEV_POWER_USAGE gpu 0: expected 344.481, got 344",
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION gpu 0: expected 1000, 1300 or so on, got 1500",
        ];
        assert_eq!(differences(&page), expected);
    }

    #[test]
    fn a_counter_is_replaced_by_its_first_value() {
        let machine = Machine::parse(MACHINE);
        let oracle = Oracle::new(&machine, &ROWS.map(row));
        let text = right();
        let replaced = oracle.with_first_values(&text, &Page::parse(&text).unwrap());
        assert_eq!(replaced, text.replace("} 1600\n", "} 1000\n"));
    }
}
