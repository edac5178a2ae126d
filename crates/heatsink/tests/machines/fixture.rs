//! Finds the raw numbers in a fixture, read as plain TOML.
//!
//! This uses no code of the program or of the test library: the meaning of the keys is that which the
//! head of `test/fake-nvml/fixtures/example.toml` documents.

use std::fs;

use testkit::exporter::repository_file;
use toml::{Table, Value};

/// In MIG mode, the driver does not measure these.
const NOT_IN_MIG_MODE: [&str; 3] = ["utilization", "encoder", "decoder"];

/// With GPU instances, remapped rows are not supported, as functions and as field values.
const NOT_WITH_INSTANCES: [&str; 2] = ["remapped_rows", "row_histogram"];
const NOT_WITH_INSTANCES_FIELDS: std::ops::RangeInclusive<u32> = 142..=145;

/// GPM numbers the first links apart from later ones.
const FIRST_GPM_LINKS: u32 = 18;

/// All GPUs of a fixture.
pub(crate) struct Machine {
    pub(crate) driver: String,
    pub(crate) gpus: Vec<Table>,
}

/// Where a number is looked up: a GPU, an instance of it, or a link.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The GPU, whose mode makes some keys unsupported.
    pub(crate) gpu: &'a Table,
    /// The table that has the keys: that of the GPU or of an instance.
    pub(crate) table: &'a Table,
    pub(crate) link: Option<u32>,
}

/// A raw number.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Value(Value),
    /// A counter: its first value, and its growth from one reading to the next.
    Counter {
        first: i64,
        step: i64,
        every_us: i64,
    },
}

impl Machine {
    /// Reads a file of `test/fixtures/machines/`.
    pub(crate) fn read(name: &str) -> Self {
        let path = repository_file(&format!("test/fixtures/machines/{name}.toml"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut whole: Table = text.parse().expect("TOML");
        let driver = whole["driver"]["version"].as_str().expect("a text").to_owned();
        let Some(Value::Array(gpus)) = whole.remove("gpu") else { panic!("no GPUs") };
        let gpus = gpus.into_iter().map(|gpu| match gpu {
            Value::Table(gpu) => gpu,
            other => panic!("not a GPU: {other}"),
        });
        Self { driver, gpus: gpus.collect() }
    }

    /// The numbers that `raw` names, a cell of `test/fixtures/conversions.csv`:
    ///
    /// - `clocks_mhz.sm`, `nvlink.replay[12]`: keys, and a place in a list
    /// - `field:165@link`, `gpm:10`: by id; `@` is the scope of a field value
    /// - `a+b`: both
    /// - `a from 580.82 else b`: `a` from that driver on, before it `b`
    /// - `a else b`: `b` where there is no `a`
    ///
    /// In a scope or as a place, `link` is the link's number. A GPM metric `@link` has the id of
    /// link 0, and 2 more for each further link.
    pub(crate) fn find(&self, raw: &str, place: Place<'_>) -> Option<Vec<Answer>> {
        raw.split(" else ").find_map(|choice| {
            let (sum, since) = choice.split_once(" from ").unwrap_or((choice, "0.0"));
            if version(&self.driver) < version(since) {
                return None;
            }
            sum.split('+').map(|one| self.find_one(one, place)).collect()
        })
    }

    fn find_one(&self, raw: &str, place: Place<'_>) -> Option<Answer> {
        if raw == "driver.version" {
            return Some(Answer::Value(self.driver.clone().into()));
        }
        if let Some(field) = raw.strip_prefix("field:") {
            return find_field(field, place);
        }
        if let Some(metric) = raw.strip_prefix("gpm:") {
            return find_metric(metric, place);
        }
        let (path, index) = match raw.strip_suffix(']').and_then(|raw| raw.split_once('[')) {
            Some((path, index)) => (path, Some(number(index, place)?)),
            None => (raw, None),
        };
        if place.is_unsupported(path.split('.').next().unwrap_or_default()) {
            return None;
        }
        let found = path.split('.').try_fold(None, |at: Option<&Value>, key| {
            let table = at.map_or(Some(place.table), Value::as_table)?;
            Some(Some(table.get(key)?))
        })??;
        let found = match index {
            Some(index) => found.as_array()?.get(index as usize)?,
            None => found,
        };
        Some(Answer::Value(found.clone()))
    }
}

impl Place<'_> {
    /// Whether the mode of the GPU makes a key unsupported.
    fn is_unsupported(&self, key: &str) -> bool {
        (in_mig_mode(self.gpu) && NOT_IN_MIG_MODE.contains(&key))
            || (!instances(self.gpu).is_empty() && NOT_WITH_INSTANCES.contains(&key))
    }
}

/// The GPU instances, none with MIG off.
pub(crate) fn instances(gpu: &Table) -> Vec<&Table> {
    let listed = gpu.get("instance").and_then(Value::as_array).filter(|_| in_mig_mode(gpu));
    listed.into_iter().flatten().filter_map(Value::as_table).collect()
}

/// Whether there is a compute instance in it: without one, it has no handle and runs nothing.
pub(crate) fn is_in_use(instance: &Table) -> bool {
    let inside = instance.get("compute_instances").and_then(Value::as_array);
    inside.is_some_and(|inside| !inside.is_empty())
}

fn in_mig_mode(gpu: &Table) -> bool {
    gpu.get("mig").is_some_and(|mig| mig["current"].as_integer() == Some(1))
}

fn find_field(field: &str, place: Place<'_>) -> Option<Answer> {
    let (id, scope) = match field.split_once('@') {
        Some((id, scope)) => (number(id, place)?, number(scope, place)?),
        None => (number(field, place)?, 0),
    };
    if NOT_WITH_INSTANCES_FIELDS.contains(&id) && !instances(place.gpu).is_empty() {
        return None;
    }
    let is = |entry: &&Value, key: &str, expected: u32| {
        entry.get(key).is_none_or(|known| known.as_integer() == Some(expected.into()))
    };
    let in_scope = |entry: &Value| -> Option<Value> {
        entry.get("by_scope")?.as_array()?.get(scope as usize).cloned()
    };
    let listed = place.table.get("field").and_then(Value::as_array)?;
    let answers = |entry: &&Value| {
        let is_listed = entry.get("by_scope").is_none() || in_scope(entry).is_some();
        is(entry, "id", id) && is(entry, "scope", scope) && is_listed
    };
    let entry = listed.iter().find(answers)?;
    match in_scope(entry) {
        Some(Value::Array(seconds)) => {
            let at = |second: usize| seconds[second].as_integer().expect("whole");
            assert_eq!(seconds.len(), 2, "only an even pace is understood here: field {id}");
            let (first, step) = (at(0), at(1) - at(0));
            return Some(Answer::Counter { first, step, every_us: 1_000_000 });
        }
        Some(value) => return Some(Answer::Value(value)),
        None => {}
    }
    if let Some(value) = entry.get("value") {
        return Some(Answer::Value(value.clone()));
    }
    let readings = entry.get("readings").and_then(Value::as_array)?;
    let at = |reading: usize, cell: usize| readings[reading][cell].as_integer().expect("whole");
    assert_eq!(readings.len(), 2, "only an even pace is understood here: field {id}");
    let (step, every_us) = (at(1, 1) - at(0, 1), at(1, 0) - at(0, 0));
    Some(Answer::Counter { first: at(0, 1), step, every_us })
}

fn find_metric(metric: &str, place: Place<'_>) -> Option<Answer> {
    let id = match metric.split_once('@') {
        Some((id, link)) => {
            let link = number(link, place).filter(|link| *link < FIRST_GPM_LINKS)?;
            number(id, place)? + 2 * link
        }
        None => number(metric, place)?,
    };
    let value = place.table.get("gpm")?.get(id.to_string())?;
    // A metric may have no number this time.
    let is_nan = value.as_float().is_some_and(f64::is_nan);
    (!is_nan).then(|| Answer::Value(value.clone()))
}

/// A number in a cell, in decimal or hex, or that of the link.
fn number(text: &str, place: Place<'_>) -> Option<u32> {
    if text == "link" {
        return place.link;
    }
    let number = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("not a number: {text}")))
}

/// Branch and release of a driver.
fn version(driver: &str) -> (u32, u32) {
    let mut parts = driver.split('.').map(|part| part.parse().expect("a number"));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "
        [driver]
        version = '565.57.01'
        [[gpu]]
        mig = { current = 1 }
        clocks_mhz = { sm = 7 }
        utilization = { gpu = 1 }
        row_histogram = { max = 1 }
        nvlink = { replay = [5, 6] }
        gpm = { 20 = 1.5, 21 = nan, 63 = 8.0, 65 = 9.0 }
        field = [
            { id = 1, value = 3 },
            { id = 2, scope = 4, value = 5 },
            { id = 3, by_scope = [21, [22, 25]] },
            { id = 142, value = 1 },
            { id = 138, scope = 0xFFFF_FFFF, readings = [[10, 100], [20, 130]] },
        ]
        [[gpu.instance]]
        id = 3
        memory = { used = 11 }";

    fn find(raw: &str, link: Option<u32>) -> Option<Vec<Answer>> {
        let machine = Machine::parse(MACHINE);
        let gpu = &machine.gpus[0];
        machine.find(raw, Place { gpu, table: gpu, link })
    }

    #[track_caller]
    fn is(raw: &str, expected: impl Into<Value>) {
        assert_eq!(find(raw, Some(1)), Some(vec![Answer::Value(expected.into())]), "{raw}");
    }

    #[test]
    fn every_kind_of_cell_leads_to_its_number() {
        is("driver.version", "565.57.01");
        is("clocks_mhz.sm", 7);
        is("nvlink.replay[0]", 5);
        is("nvlink.replay[link]", 6);
        is("field:1", 3);
        is("field:1@0xFFFFFFFF", 3);
        is("field:2@4", 5);
        is("field:3@0", 21);
        is("gpm:20", 1.5);
        is("gpm:63@link", 9.0);
        is("field:9 else clocks_mhz.sm", 7);
        is("field:1 from 565.57 else field:2@4", 3);
        is("field:1 from 565.58 else field:2@4", 5);
        let sent = Answer::Counter { first: 100, step: 30, every_us: 10 };
        let by_scope = Answer::Counter { first: 22, step: 3, every_us: 1_000_000 };
        assert_eq!(find("field:3@link", Some(1)), Some(vec![by_scope]));
        let three = Answer::Value(3.into());
        assert_eq!(find("field:138@0xFFFFFFFF+field:1", None), Some(vec![sent, three]));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let absent = [
            "temperature",
            "clocks_mhz.mem",
            "temperature.x",
            "nvlink.replay[2]",
            "nvlink.crc_data[0]",
            "field:2",
            "field:9",
            "gpm:21",
            "gpm:1",
            "field:1+field:9",
            "field:2@link",
            "field:3@2",
            // In the fixture, but not supported in this mode.
            "utilization.gpu",
            "row_histogram.max",
            "field:142",
        ];
        for raw in absent {
            assert_eq!(find(raw, Some(1)), None, "{raw}");
        }
        assert_eq!(find("gpm:63@link", Some(18)), None);
    }

    #[test]
    fn an_instance_has_its_own_keys() {
        let machine = Machine::parse(MACHINE);
        let gpu = &machine.gpus[0];
        let table = instances(gpu)[0];
        let place = Place { gpu, table, link: None };
        let used = machine.find("memory.used", place);
        assert_eq!(used, Some(vec![Answer::Value(11.into())]));
        assert_eq!(machine.find("clocks_mhz.sm", place), None);
        assert!(!is_in_use(table));
    }
}
