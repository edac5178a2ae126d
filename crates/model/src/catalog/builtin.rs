//! The built-in sets of fields, and their counters files in `deploy/counters`. Both are generated from
//! the marks in the field table.
//!
//! The sets read the same fields as the files that dcgm-exporter ships, and more; their help texts are
//! our own.

use std::fmt::Write as _;

use crate::watch::{Kind, Watch};

use super::fields::table::{BLOCKS, Subject};
use super::fields::{FIELDS, Field, mark};

/// A built-in set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Set {
    /// On every page: whether heatsink and each GPU answer, and their errors.
    Health,
    /// Whether a GPU works, how busy it is, and whether it is healthy: about 15 rows.
    Minimal,
    /// The default without a counters file.
    Default,
    /// Rows that the shipped alert rules and dashboards need in addition to the default set.
    Monitoring,
    /// Every field of GPUs that dcgm-exporter 4.8 has a name for. Texts, which lengthen every series,
    /// are comments.
    All,
    /// Every field of NVSwitches, their NVLinks, CPUs and their cores. For use with another set: it
    /// has no fields of GPUs.
    Machine,
    /// The default set of dcgm-exporter 1.x, under its names.
    FirstGeneration,
}

/// A heading of a counters file, with the rows under it.
struct Section {
    heading: &'static str,
    rows: Vec<&'static Field>,
    /// Whether its rows are comments.
    is_offered: bool,
}

/// Headings, with the blocks of the field table below them.
type Sections = &'static [(&'static str, &'static [Subject])];

impl Set {
    /// All sets.
    pub const LIST: [Self; 7] = [
        Self::Health,
        Self::Minimal,
        Self::Default,
        Self::Monitoring,
        Self::All,
        Self::Machine,
        Self::FirstGeneration,
    ];

    /// The set with this name: `default`, `all`, `minimal`, `machine`, `monitoring` or `1.x`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::Default),
            "all" => Some(Self::All),
            "minimal" => Some(Self::Minimal),
            "machine" => Some(Self::Machine),
            "monitoring" => Some(Self::Monitoring),
            "1.x" => Some(Self::FirstGeneration),
            _ => None,
        }
    }

    /// The set that replaces a missing counters file: for the well-known paths of dcgm-exporter, and for
    /// the name of a set.
    pub fn for_path(path: &str) -> Option<Self> {
        match path {
            "/etc/dcgm-exporter/default-counters.csv"
            | "/etc/dcgm-exporter/dcp-metrics-included.csv" => Some(Self::Default),
            "/etc/dcgm-exporter/1.x-compatibility-metrics.csv" => Some(Self::FirstGeneration),
            name => Self::by_name(name),
        }
    }

    /// The name of its file in `deploy/counters`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Health => "health.csv",
            Self::Minimal => "minimal.csv",
            Self::Default => "default.csv",
            Self::Monitoring => "monitoring.csv",
            Self::All => "all.csv",
            Self::Machine => "machine.csv",
            Self::FirstGeneration => "1.x-compatibility.csv",
        }
    }

    /// Whether it reads the field.
    pub fn reads(self, field: &Field) -> bool {
        self.lists(field) && !self.has_as_comment(field)
    }

    /// Its watches, in the order of its file.
    pub fn watches(self) -> Vec<Watch> {
        let sections = self.sections().into_iter().filter(|section| !section.is_offered);
        let rows = sections.flat_map(|section| section.rows);
        rows.filter(|row| self.reads(row))
            .map(|row| Watch { name: self.name_of(row).into(), ..row.watch() })
            .collect()
    }

    /// Its counters file.
    pub fn text(self) -> String {
        let mut text = format!("# {}\n", self.introduction());
        for Section { heading, rows, is_offered } in self.sections() {
            let _ = writeln!(text, "\n# {heading}");
            for row in rows {
                let comment = if is_offered || self.has_as_comment(row) { "# " } else { "" };
                let (name, kind, help) = (self.name_of(row), row.kind.as_str(), row.help);
                let _ = writeln!(text, "{comment}{name}, {kind}, {help}");
            }
        }
        text
    }

    fn lists(self, field: &Field) -> bool {
        let mark = match self {
            Self::Health => mark::HEALTH,
            Self::Minimal => mark::MINIMAL,
            Self::Default => mark::DEFAULT,
            Self::Monitoring => mark::MONITORING,
            Self::All => mark::ALL,
            Self::Machine => mark::MACHINE,
            Self::FirstGeneration => return field.v1.is_some(),
        };
        field.sets & mark != 0
    }

    fn has_as_comment(self, field: &Field) -> bool {
        field.kind == Kind::Label && field.sets & mark::DEFAULT == 0
    }

    fn name_of(self, field: &Field) -> &'static str {
        if self == Self::FirstGeneration { field.v1.unwrap_or(field.name) } else { field.name }
    }

    fn sections(self) -> Vec<Section> {
        let sections = match self {
            Self::Minimal => MINIMAL,
            Self::Default => DEFAULT,
            Self::Monitoring => MONITORING,
            Self::FirstGeneration => FIRST_GENERATION,
            Self::All | Self::Machine | Self::Health => return self.blocks(),
        };
        let rows = |has: &dyn Fn(&Field) -> bool, subjects: &[Subject]| {
            subjects.iter().flat_map(|subject| rows(*subject, has)).collect()
        };
        let mut found: Vec<Section> = sections
            .iter()
            .map(|(heading, subjects)| Section {
                heading,
                rows: rows(&|field| self.lists(field), subjects),
                is_offered: false,
            })
            .collect();
        if self == Self::Default {
            found.extend(OFFERED.iter().map(|(heading, subjects)| Section {
                heading,
                rows: rows(&|field| field.sets & mark::OFFERED != 0, subjects),
                is_offered: true,
            }));
        }
        found
    }

    /// The blocks of the table as they are.
    fn blocks(self) -> Vec<Section> {
        let mut found: Vec<Section> = Vec::new();
        for (subject, heading) in BLOCKS {
            let more = rows(*subject, &|field| self.lists(field));
            match found.last_mut() {
                Some(last) if heading.is_empty() => last.rows.extend(more),
                _ => found.push(Section { heading, rows: more, is_offered: false }),
            }
        }
        found.retain(|section| !section.rows.is_empty());
        found
    }

    fn introduction(self) -> &'static str {
        match self {
            Self::Health => {
                "Served on every page, after the rows of the counters file: whether heatsink and each GPU answer, and what\n\
                 # went wrong. A counters file that names one of these changes its help text and its place.\n\
                 # One family a row: NAME, type, help."
            }
            Self::Minimal => {
                "Whether a GPU works, how busy it is, and whether it is healthy. One field a row: NAME, type, help."
            }
            Self::Default => {
                "What is read unless a counters file says otherwise. One field a row: NAME, type, help.\n\
                 # Types: gauge, counter, untyped; label makes the value a label of every series of its GPU."
            }
            Self::Monitoring => {
                "What the alert rules and dashboards look at beyond the default set, for --extra-collectors monitoring.\n\
                 # One field a row: NAME, type, help. Fields that a GPU does not have are absent from the page."
            }
            Self::All => {
                "Every field of GPUs. Fields that a GPU or driver does not have are absent from the page.\n\
                 # One field a row: NAME, type, help. Types: gauge, counter, untyped; label. A fourth cell such as 10s\n\
                 # is an interval of the row's own. This set is large: some 390 families, many of them one for each NVLink.\n\
                 # NVSwitches and CPUs: machine.csv."
            }
            Self::Machine => {
                "NVSwitches with their NVLinks, and CPUs with their cores, for --extra-collectors machine. One field a row:\n\
                 # NAME, type, help. Only DCGM reads these. Fields that a machine does not have are absent from the page."
            }
            Self::FirstGeneration => {
                "The names of dcgm-exporter 1.x, for dashboards of that time. One field a row: NAME, type, help."
            }
        }
    }
}

/// The rows of a block, in the order of the table.
fn rows(subject: Subject, has: &dyn Fn(&Field) -> bool) -> Vec<&'static Field> {
    let is_one = |field: &&Field| field.block == subject as u8 && has(field);
    let mut rows: Vec<&Field> = FIELDS.iter().filter(is_one).collect();
    rows.sort_by_key(|field| field.place);
    rows
}

const DEFAULT: Sections = &[
    ("Clocks", &[Subject::Clocks]),
    ("Temperatures", &[Subject::Temperatures]),
    ("Power", &[Subject::Power]),
    ("PCIe", &[Subject::Pcie]),
    ("Utilisation", &[Subject::Utilisation]),
    ("Errors reported by the driver", &[Subject::DriverErrors]),
    ("Framebuffer", &[Subject::Framebuffer, Subject::FramebufferSize]),
    ("Fan", &[Subject::PerformanceAndFan]),
    ("ECC", &[Subject::Ecc]),
    ("NVLink", &[Subject::Nvlink]),
    ("vGPU", &[Subject::Vgpu]),
    ("Repair of memory", &[Subject::MemoryRepair]),
    ("Labels", &[Subject::Labels]),
    (
        "Profiling. PCIe rows are rates, whatever their names say.",
        &[Subject::Profiling, Subject::ProfilingTraffic],
    ),
    (
        "XIDs by code, and other errors from the kernel's log: absent until the first one",
        &[Subject::CriticalXids, Subject::Xids, Subject::XidDetails],
    ),
    ("Why a GPU is slow", &[Subject::ClockEvents]),
    ("Which of these rows cannot be read here", &[Subject::Unavailable]),
    (
        "Not read by default: remove the # of a row to read it. Every field is in all.csv and machine.csv",
        &[],
    ),
];

const OFFERED: Sections = &[
    (
        "XIDs by code, in a sliding window and since the start",
        &[Subject::XidsInWindow, Subject::XidsCounted],
    ),
    (
        "Clock events by reason, in a sliding window and since the start",
        &[Subject::ClockEventsInWindow, Subject::ClockEventsCounted],
    ),
    ("Health by subsystem, and connections between GPUs", &[Subject::HealthAndPeers]),
    ("Power limits", &[Subject::PowerLimits]),
    ("NVLink fabric", &[Subject::Fabric]),
    ("Time held back, by cause", &[Subject::TimeHeldBack]),
    ("What the driver asks for", &[Subject::DriverErrors]),
];

const MINIMAL: Sections = &[
    ("Label", &[Subject::Labels]),
    ("Heat, power, clocks", &[Subject::Temperatures, Subject::Power, Subject::Clocks]),
    ("Work", &[Subject::Utilisation, Subject::Framebuffer]),
    (
        "Faults",
        &[
            Subject::DriverErrors,
            Subject::Ecc,
            Subject::MemoryRepair,
            Subject::CriticalXids,
            Subject::Xids,
        ],
    ),
];

const MONITORING: Sections = &[
    ("Heat and power", &[Subject::Temperatures, Subject::PowerLimits]),
    ("PCIe link", &[Subject::Pcie]),
    ("Repair of memory", &[Subject::Ecc, Subject::MemoryRepair]),
    (
        "NVLink: errors on all links, and how many links are active",
        &[Subject::Nvlink, Subject::ActiveNvlinks],
    ),
    ("NVLink fabric", &[Subject::Fabric]),
    ("What the driver asks for", &[Subject::DriverErrors]),
    ("How old the readings are, and what they cost", &[Subject::Collection]),
    (
        "Peaks between two scrapes",
        &[Subject::PowerWindows, Subject::TemperatureWindows, Subject::WindowLength],
    ),
    ("Incidents, and whether the history is written", &[Subject::History]),
];

const FIRST_GENERATION: Sections = &[
    ("Clocks", &[Subject::Clocks]),
    ("Temperatures", &[Subject::Temperatures]),
    ("Power", &[Subject::Power]),
    ("PCIe", &[Subject::Pcie]),
    ("Utilisation", &[Subject::Utilisation]),
    ("Errors reported by the driver", &[Subject::DriverErrors]),
    ("Time held back", &[Subject::TimeHeldBack]),
    ("Framebuffer", &[Subject::Framebuffer]),
    ("ECC", &[Subject::Ecc]),
    ("Retired pages", &[Subject::MemoryRepair]),
    ("NVLink", &[Subject::Nvlink]),
    (
        "Profiling. PCIe rows are rates, whatever their names say.",
        &[Subject::Profiling, Subject::ProfilingTraffic],
    ),
];

#[cfg(test)]
mod tests;
