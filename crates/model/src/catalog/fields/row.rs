//! A row of the field table.

use crate::watch::{FieldId, Kind, Pace, Watch};

use super::group::Group;

/// One field: something that can be read, with its names, its unit and its help text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// DCGM's number. 9005, 9006 and those of heatsink's own families, from 9201 on, are numbers of
    /// this program.
    pub id: FieldId,
    /// The name that dcgm-exporter up to 4.8 gives it: the family's name on the page. A field in
    /// one of the base units that 4.9 brought has the name of 4.9.
    pub name: &'static str,
    /// The name that DCGM 4.6 gives it, where that is another one; dcgm-exporter 4.9 uses some of
    /// these.
    pub canonical: Option<&'static str>,
    pub(super) group: Group,
    /// The finest entity that it exists for.
    pub level: Level,
    /// Whether its values are numbers or text.
    pub value: ValueType,
    /// The unit of its values, in short: `MHz`, `ratio`, `bitmask`. `raw` means that the hardware
    /// counts in a unit of its own; `1000 KiB/s` is what DCGM calls MB/s.
    pub unit: &'static str,
    /// How often it is worth reading.
    pub pace: Pace,
    /// Its type in the built-in sets: what dcgm-exporter 4.8.3 ships, else counter for totals, label
    /// for text and gauge for the rest.
    pub kind: Kind,
    /// Its help text in the built-in sets, with the unit. The states of an enum stand in it after a
    /// colon: `0 inactive, 1 active`.
    pub help: &'static str,
    /// The field for the same quantity in a base unit, which came with DCGM 4.7.
    pub base_unit: Option<FieldId>,
    /// The field that dcgm-exporter 4.9 serves in its place: itself under its canonical name, or one
    /// in another unit.
    pub(in crate::catalog) v4_9: Option<FieldId>,
    /// The name that dcgm-exporter 1.x gives it.
    pub(in crate::catalog) v1: Option<&'static str>,
    pub(super) series: Option<&'static str>,
    pub(super) cumulative: bool,
    /// The built-in sets that have it, as bits of [`mark`].
    pub(in crate::catalog) sets: u8,
    /// The number of its block in the table.
    pub(in crate::catalog) block: u8,
    /// Its position in the table.
    pub(in crate::catalog) place: u16,
}

/// The bits of [`Field::sets`].
pub(in crate::catalog) mod mark {
    pub(in crate::catalog) const HEALTH: u8 = 1;
    pub(in crate::catalog) const MINIMAL: u8 = 1 << 1;
    pub(in crate::catalog) const DEFAULT: u8 = 1 << 2;
    /// A comment in the default set, to be uncommented by those who want it.
    pub(in crate::catalog) const OFFERED: u8 = 1 << 3;
    pub(in crate::catalog) const MONITORING: u8 = 1 << 4;
    pub(in crate::catalog) const ALL: u8 = 1 << 5;
    pub(in crate::catalog) const MACHINE: u8 = 1 << 6;
}

impl Field {
    /// The number of series per GPU, in words: `1`, `1 per NVLink`, `1 per node`. Hardware that a GPU
    /// lacks has none.
    pub fn series(&self) -> &'static str {
        match (self.series, self.kind, self.level) {
            (Some(series), ..) => series,
            (None, Kind::Label, _) => "a label",
            (None, _, Level::Link) => "1 per NVLink",
            (None, _, Level::Switch) => "1 per NVSwitch",
            (None, _, Level::SwitchLink) => "1 per NVLink of an NVSwitch",
            (None, _, Level::Cpu) => "1 per CPU",
            (None, _, Level::CpuCore) => "1 per CPU core",
            (None, ..) => "1",
        }
    }

    /// Whether its values only grow by nature. The count of pages that wait to be retired can fall,
    /// although dcgm-exporter gives it the type counter.
    pub fn is_cumulative(&self) -> bool {
        self.cumulative
    }

    /// Its group in tables for people.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Whether its values are sums over all holders of a shared GPU, so that none of the holders has the
    /// value of the GPU: use, memory, power, traffic. A temperature is the same for all of them.
    pub fn divides_among_holders(&self) -> bool {
        match self.group {
            Group::Power
            | Group::Use
            | Group::Memory
            | Group::Pcie
            | Group::Nvlink
            | Group::Profiling => true,
            Group::Identity | Group::Clocks | Group::Heat | Group::Errors | Group::Heatsink => {
                false
            }
        }
    }

    /// The watch on it that the built-in sets have.
    pub fn watch(&self) -> Watch {
        Watch {
            field: self.id,
            name: self.name.into(),
            kind: self.kind,
            help: self.help.into(),
            pace: self.pace,
            cumulative: self.cumulative,
        }
    }
}

/// The kind of entity that a field belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// The machine: one value for all GPUs.
    Global,
    /// A whole GPU; its instances share the value.
    Gpu,
    /// A GPU instance of a partitioned GPU.
    GpuInstance,
    /// A compute instance, and so each GPU instance too.
    ComputeInstance,
    /// One NVLink of a GPU.
    Link,
    /// The vGPU side of a GPU.
    Vgpu,
    /// An NVSwitch of the machine.
    Switch,
    /// One NVLink of an NVSwitch.
    SwitchLink,
    /// A CPU of the machine.
    Cpu,
    /// One core of a CPU.
    CpuCore,
    /// None: this program makes it from other fields, or reads it of pairs of GPUs.
    Exporter,
}

impl Level {
    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Gpu => "gpu",
            Self::GpuInstance => "gpu_instance",
            Self::ComputeInstance => "compute_instance",
            Self::Link => "link",
            Self::Vgpu => "vgpu",
            Self::Switch => "switch",
            Self::SwitchLink => "switch_link",
            Self::Cpu => "cpu",
            Self::CpuCore => "cpu_core",
            Self::Exporter => "exporter",
        }
    }

    /// Whether it is a part of the machine that belongs to no GPU.
    pub fn is_beside_gpus(self) -> bool {
        matches!(self, Self::Switch | Self::SwitchLink | Self::Cpu | Self::CpuCore)
    }
}

/// The type of a field's values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    /// Whole numbers.
    Int,
    /// Real numbers.
    Float,
    /// Text, which can only be a label.
    Text,
}

impl ValueType {
    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
        }
    }
}
