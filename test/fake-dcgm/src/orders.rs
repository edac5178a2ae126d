//! What the control file asks for, line by line. The commands are documented in `control`.

use std::{collections::BTreeMap, time::Duration};

/// All that goes wrong at present.
#[derive(Default, Debug)]
pub(crate) struct Orders {
    pub down: bool,
    pub stopped: bool,
    pub dead_handle: bool,
    pub restart: Option<u64>,
    pub version: Option<String>,
    pub slow: Duration,
    /// How many GPUs are listed, there or not.
    pub listed_gpus: usize,
    /// How many GPUs, and how many of anything else, lists are said to have.
    pub counted_gpus: Option<i32>,
    pub counted_entities: Option<i32>,
    /// How many groups and field groups others have.
    pub groups_of_others: usize,
    pub field_groups_of_others: usize,
    pub no_profiling: bool,
    pub stale: bool,
    /// How far the engine's clock is ahead.
    pub clock_us: i64,
    fields: BTreeMap<u16, FieldOrder>,
    gpus: BTreeMap<u32, GpuOrders>,
    /// Lines that are not commands.
    pub not_understood: Vec<String>,
}

/// What happens to one field.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FieldOrder {
    Unsupported,
    Refused,
    Blank,
    /// In the field's own type.
    Value(String),
}

/// What happens to one GPU.
#[derive(Default, Debug)]
pub(crate) struct GpuOrders {
    pub stale: bool,
    pub fake: bool,
    pub detached: bool,
    pub incidents: Vec<Incident>,
}

/// One thing that the engine finds wrong with the health of a GPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Incident {
    /// One bit of [`SYSTEMS`].
    pub system: u32,
    /// 0 pass, 10 warn, 20 fail.
    pub health: u32,
    pub code: u32,
    pub message: String,
}

/// The subsystems whose health is watched.
const SYSTEMS: &[(&str, u32)] = &[
    ("PCIE", 0x1),
    ("NVLINK", 0x2),
    ("PMU", 0x4),
    ("MCU", 0x8),
    ("MEM", 0x10),
    ("SM", 0x20),
    ("INFOROM", 0x40),
    ("THERMAL", 0x80),
    ("POWER", 0x100),
    ("DRIVER", 0x200),
    ("NVSWITCH_NONFATAL", 0x400),
    ("NVSWITCH_FATAL", 0x800),
    ("CONNECTX", 0x1000),
    ("IMEX", 0x2000),
];

impl Orders {
    pub(crate) fn parse(text: &str) -> Self {
        let mut orders = Self::default();
        for line in text.lines() {
            let command = line.split('#').next().unwrap_or_default().trim();
            if !command.is_empty() && orders.obey(command).is_none() {
                orders.not_understood.push(command.to_owned());
            }
        }
        orders
    }

    /// What happens to this field.
    pub(crate) fn field(&self, field: u16) -> Option<&FieldOrder> {
        self.fields.get(&field)
    }

    /// Whether the engine cannot watch this field.
    pub(crate) fn is_unsupported(&self, field: u16) -> bool {
        self.field(field) == Some(&FieldOrder::Unsupported)
            || (self.no_profiling && is_profiling(field))
    }

    /// What happens to this GPU.
    pub(crate) fn gpu(&self, gpu: u32) -> Option<&GpuOrders> {
        self.gpus.get(&gpu)
    }

    fn obey(&mut self, command: &str) -> Option<()> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["engine", "down"] => self.down = true,
            ["engine", "stopped"] => self.stopped = true,
            ["engine", "dead-handle"] => self.dead_handle = true,
            ["engine", "restart", number] => self.restart = Some(number.parse().ok()?),
            ["engine", "version", version] => self.version = Some((*version).to_owned()),
            ["engine", "slow", millis] => self.slow = Duration::from_millis(millis.parse().ok()?),
            ["engine", "lists", count] => self.listed_gpus = count.parse().ok()?,
            ["engine", "counts", "gpus", count] => self.counted_gpus = Some(count.parse().ok()?),
            ["engine", "counts", "entities", count] => {
                self.counted_entities = Some(count.parse().ok()?);
            }
            ["limit", "groups", count] => self.groups_of_others = count.parse().ok()?,
            ["limit", "field-groups", count] => self.field_groups_of_others = count.parse().ok()?,
            ["field", field, order @ ..] => {
                let order = match order {
                    ["unsupported"] => FieldOrder::Unsupported,
                    ["refused"] => FieldOrder::Refused,
                    ["blank"] => FieldOrder::Blank,
                    ["value", value] => FieldOrder::Value((*value).to_owned()),
                    _ => return None,
                };
                self.fields.insert(field.parse().ok()?, order);
            }
            ["no-profiling"] => self.no_profiling = true,
            ["stale"] => self.stale = true,
            ["clock", seconds] => {
                self.clock_us = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?;
            }
            ["gpu", gpu, order @ ..] => {
                let gpu = gpu.parse().ok()?;
                // Parsed first, so that a line that is not understood leaves no trace.
                let order = GpuOrder::parse(order)?;
                self.gpus.entry(gpu).or_default().apply(order);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Whether a field needs the profiling module.
pub(crate) fn is_profiling(field: u16) -> bool {
    matches!(field, 1001..=1096 | 1532 | 1533)
}

/// What a line says of one GPU.
enum GpuOrder {
    Stale,
    Fake,
    Detached,
    Health(Incident),
}

impl GpuOrder {
    fn parse(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["stale"] => Self::Stale,
            ["fake"] => Self::Fake,
            ["detached"] => Self::Detached,
            ["health", system, health, code, message @ ..] => Self::Health(Incident {
                system: self::system(system)?,
                health: health.parse().ok()?,
                code: code.parse().ok()?,
                message: message.join(" "),
            }),
            _ => return None,
        })
    }
}

impl GpuOrders {
    fn apply(&mut self, order: GpuOrder) {
        match order {
            GpuOrder::Stale => self.stale = true,
            GpuOrder::Fake => self.fake = true,
            GpuOrder::Detached => self.detached = true,
            GpuOrder::Health(incident) => self.incidents.push(incident),
        }
    }
}

fn system(word: &str) -> Option<u32> {
    let named = SYSTEMS.iter().find(|(name, _)| *name == word).map(|(_, bit)| *bit);
    named.or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_understood() {
        let orders = Orders::parse(
            "# a comment alone\n\
             engine down   # and one behind a command\n\
             engine stopped\n\
             engine dead-handle\n\
             engine restart 3\n\
             engine version 3.3.9\n\
             engine slow 200\n\
             engine lists 48\n\
             engine counts gpus 5000\n\
             engine counts entities 9000\n\
             limit groups 50\n\
             limit field-groups 40\n\
             field 155 unsupported\n\
             field 156 refused\n\
             field 157 blank\n\
             field 158 value 12.5\n\
             no-profiling\n\
             stale\n\
             gpu 3 stale\n\
             gpu 0 fake\n\
             gpu 1 detached\n\
             gpu 3 health MEM 20 46 row remap failed\n\
             clock -3600\n",
        );
        assert_eq!(orders.not_understood, Vec::<String>::new());
        assert!(orders.down && orders.stopped && orders.dead_handle && orders.stale);
        assert_eq!((orders.restart, orders.version.as_deref()), (Some(3), Some("3.3.9")));
        assert_eq!((orders.groups_of_others, orders.field_groups_of_others), (50, 40));
        assert_eq!((orders.slow.as_millis(), orders.clock_us), (200, -3_600_000_000));
        let counted = (orders.counted_gpus, orders.counted_entities);
        assert_eq!((orders.listed_gpus, counted), (48, (Some(5000), Some(9000))));
        assert!(orders.is_unsupported(155) && orders.is_unsupported(1002));
        assert!(!orders.is_unsupported(156) && !orders.is_unsupported(1097));
        assert_eq!(orders.field(158), Some(&FieldOrder::Value("12.5".to_owned())));
        let message = "row remap failed".to_owned();
        let incident = Incident { system: 0x10, health: 20, code: 46, message };
        let gpu = orders.gpu(3).unwrap();
        assert!(gpu.stale && !gpu.fake);
        assert_eq!(gpu.incidents, [incident]);
    }

    #[test]
    fn what_is_not_understood_is_kept_and_does_nothing() {
        let orders = Orders::parse("gpu x stale\ngpu 1 explode\nfield 1 burn\nengine\nclock now\n");
        assert_eq!(orders.not_understood.len(), 5);
        assert!(orders.gpu(1).is_none() && orders.field(1).is_none());
    }
}
