//! The fault commands of the control file, documented in `control`.

use std::collections::BTreeMap;

use fake_nvml::control_file::Commands;

/// The faults in force.
#[derive(Default, Debug)]
pub(crate) struct Faults {
    pub down: bool,
    pub stopped: bool,
    pub dead_handle: bool,
    pub restart: Option<u64>,
    pub version: Option<String>,
    /// How many GPUs are listed at least; those that are not there are detached.
    pub listed_gpus: usize,
    /// The false lengths of the list of GPUs, and of all other lists.
    pub counted_gpus: Option<i32>,
    pub counted_entities: Option<i32>,
    /// How many groups and field groups other clients have.
    pub groups_of_others: usize,
    pub field_groups_of_others: usize,
    pub no_profiling: bool,
    pub stale: bool,
    /// How far the engine's clock is ahead.
    pub clock_us: i64,
    fields: BTreeMap<u16, FieldFault>,
    gpus: BTreeMap<u32, GpuFaults>,
}

/// A fault of one field.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum FieldFault {
    Unsupported,
    Refused,
    Blank,
    /// A value, in the type of the field.
    Value(String),
}

/// The faults of one GPU.
#[derive(Default, Debug)]
pub(crate) struct GpuFaults {
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

impl Faults {
    /// The fault of this field.
    pub(crate) fn field(&self, field: u16) -> Option<&FieldFault> {
        self.fields.get(&field)
    }

    /// Whether the engine cannot watch this field.
    pub(crate) fn is_unsupported(&self, field: u16) -> bool {
        self.field(field) == Some(&FieldFault::Unsupported)
            || (self.no_profiling && is_profiling(field))
    }

    /// The faults of this GPU.
    pub(crate) fn gpu(&self, gpu: u32) -> Option<&GpuFaults> {
        self.gpus.get(&gpu)
    }
}

impl Commands for Faults {
    fn apply_command(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["engine", "down"] => self.down = true,
            ["engine", "stopped"] => self.stopped = true,
            ["engine", "dead-handle"] => self.dead_handle = true,
            ["engine", "restart", number] => self.restart = Some(number.parse().ok()?),
            ["engine", "version", version] => self.version = Some((*version).to_owned()),
            ["engine", "lists", count] => self.listed_gpus = count.parse().ok()?,
            ["engine", "counts", "gpus", count] => self.counted_gpus = Some(count.parse().ok()?),
            ["engine", "counts", "entities", count] => {
                self.counted_entities = Some(count.parse().ok()?);
            }
            ["limit", "groups", count] => self.groups_of_others = count.parse().ok()?,
            ["limit", "field-groups", count] => self.field_groups_of_others = count.parse().ok()?,
            ["field", field, fault @ ..] => {
                let fault = match fault {
                    ["unsupported"] => FieldFault::Unsupported,
                    ["refused"] => FieldFault::Refused,
                    ["blank"] => FieldFault::Blank,
                    ["value", value] => FieldFault::Value((*value).to_owned()),
                    _ => return None,
                };
                self.fields.insert(field.parse().ok()?, fault);
            }
            ["no-profiling"] => self.no_profiling = true,
            ["stale"] => self.stale = true,
            ["clock", seconds] => {
                self.clock_us = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?;
            }
            ["gpu", gpu, fault @ ..] => {
                let gpu = gpu.parse().ok()?;
                // Parsed first, so that a line that is not understood has no effect.
                let fault = GpuFault::parse(fault)?;
                self.gpus.entry(gpu).or_default().apply(fault);
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

/// A command about one GPU.
enum GpuFault {
    Stale,
    Fake,
    Detached,
    Health(Incident),
}

impl GpuFault {
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

impl GpuFaults {
    fn apply(&mut self, fault: GpuFault) {
        match fault {
            GpuFault::Stale => self.stale = true,
            GpuFault::Fake => self.fake = true,
            GpuFault::Detached => self.detached = true,
            GpuFault::Health(incident) => self.incidents.push(incident),
        }
    }
}

fn system(word: &str) -> Option<u32> {
    let named = SYSTEMS.iter().find(|(name, _)| *name == word).map(|(_, bit)| *bit);
    named.or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use fake_nvml::control_file::parse;

    use super::*;

    #[test]
    fn every_command_is_parsed() {
        let (faults, unknown) = parse::<Faults>(
            "# a comment alone\n\
             engine down   # and one behind a command\n\
             engine stopped\n\
             engine dead-handle\n\
             engine restart 3\n\
             engine version 3.3.9\n\
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
        assert_eq!(unknown, [""; 0]);
        assert!(faults.down && faults.stopped && faults.dead_handle && faults.stale);
        assert_eq!((faults.restart, faults.version.as_deref()), (Some(3), Some("3.3.9")));
        assert_eq!((faults.groups_of_others, faults.field_groups_of_others), (50, 40));
        assert_eq!(faults.clock_us, -3_600_000_000);
        let counted = (faults.counted_gpus, faults.counted_entities);
        assert_eq!((faults.listed_gpus, counted), (48, (Some(5000), Some(9000))));
        assert!(faults.is_unsupported(155) && faults.is_unsupported(1002));
        assert!(!faults.is_unsupported(156) && !faults.is_unsupported(1097));
        assert_eq!(faults.field(158), Some(&FieldFault::Value("12.5".to_owned())));
        let message = "row remap failed".to_owned();
        let incident = Incident { system: 0x10, health: 20, code: 46, message };
        let gpu = faults.gpu(3).unwrap();
        assert!(gpu.stale && !gpu.fake);
        assert_eq!(gpu.incidents, [incident]);
    }

    #[test]
    fn unknown_commands_are_returned_and_have_no_effect() {
        let text = "gpu x stale\ngpu 1 explode\nfield 1 burn\nengine\nclock now\n";
        let (faults, unknown) = parse::<Faults>(text);
        assert_eq!(unknown.len(), 5);
        assert!(faults.gpu(1).is_none() && faults.field(1).is_none());
    }
}
