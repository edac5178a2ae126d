//! The columns of rows: which machine, which GPUs, which signals.

use serde::{Deserialize, Serialize};

use crate::signal::{Of, Resolution, SIGNALS, Shape, Signal};

/// What rows are about. A new layout is made when a GPU, an identity or a version changes; its rows follow
/// it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Layout {
    /// The machine and the programs.
    pub host: HostInfo,
    /// The GPUs, in the order of their columns.
    pub gpus: Vec<GpuInfo>,
    /// The signals, in the order of their columns.
    pub signals: Vec<SignalInfo>,
}

/// The machine, and the programs that read it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct HostInfo {
    /// The host name, as on the page.
    pub hostname: Option<String>,
    /// `nvml`, `dcgm` or `sim`.
    pub source: String,
    /// The version of heatsink.
    pub heatsink_version: String,
    /// The version of the driver, once it is known.
    pub driver_version: Option<String>,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
    /// The time from one row to the next, in milliseconds.
    pub interval_ms: u64,
    /// Where XIDs are read: `kernel_log`, `nvml_events`, `dcgm` or `sim`; `None` if nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xid_source: Option<String>,
    /// Whether the kernel log is read, which tells OOM kills.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reads_kernel_log: bool,
}

impl HostInfo {
    /// Whether nothing here was measured.
    pub fn is_simulated(&self) -> bool {
        self.source == "sim"
    }
}

/// A GPU.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuInfo {
    /// The driver's index; `None` if the driver does not list it.
    pub index: Option<u32>,
    /// `GPU-` and a UUID.
    pub uuid: Option<String>,
    /// `00000000:1A:00.0`.
    pub pci_bus_id: Option<String>,
    /// `NVIDIA H100 80GB HBM3`.
    pub model_name: Option<String>,
    /// The serial number of the board.
    pub serial: Option<String>,
    /// The number of the device node, as in `/dev/nvidia0`.
    pub minor: Option<u32>,
}

impl GpuInfo {
    /// Whether both are the same GPU: by the first of UUID, PCI address and index that both have.
    pub fn is_same(&self, other: &Self) -> bool {
        if let (Some(one), Some(other)) = (&self.uuid, &other.uuid) {
            return one == other;
        }
        if let (Some(one), Some(other)) = (&self.pci_bus_id, &other.pci_bus_id) {
            return one == other;
        }
        self.index.is_some() && self.index == other.index
    }

    /// How sentences name it: `GPU 3`, or by its PCI address if the driver does not list it.
    pub fn name(&self) -> String {
        match (self.index, &self.pci_bus_id) {
            (Some(index), _) => format!("GPU {index}"),
            (None, Some(address)) => format!("the GPU at {address}"),
            (None, None) => "a GPU".to_owned(),
        }
    }
}

/// A signal, as it was recorded: a later version may record others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignalInfo {
    /// [`Signal::number`].
    pub number: u16,
    /// [`Signal::name`].
    pub name: String,
    /// [`Signal::unit`].
    pub unit: String,
    /// Whether it is of the machine, and not of each GPU.
    pub is_of_host: bool,
    /// Decimal digits that are kept, if it has no step.
    pub digits: u8,
    /// Values are multiples of this, unless it is 0.
    pub step: u32,
}

impl SignalInfo {
    /// How its numbers become values.
    pub fn resolution(&self) -> Resolution {
        match self.step {
            0 => Resolution::Digits(self.digits),
            step => Resolution::Step(step),
        }
    }

    /// The signal with its number, if this version knows it.
    pub fn signal(&self) -> Option<&'static Signal> {
        SIGNALS.iter().find(|signal| signal.number == self.number)
    }

    /// How its values behave; those of an unknown signal are taken as a gauge.
    pub fn shape(&self) -> Shape {
        self.signal().map_or(Shape::Gauge, |signal| signal.shape)
    }
}

impl From<&Signal> for SignalInfo {
    fn from(signal: &Signal) -> Self {
        let (digits, step) = match signal.resolution {
            Resolution::Digits(digits) => (digits, 0),
            Resolution::Step(step) => (0, step),
        };
        Self {
            number: signal.number,
            name: signal.name.to_owned(),
            unit: signal.unit.to_owned(),
            is_of_host: signal.of == Of::Host,
            digits,
            step,
        }
    }
}

/// A column of rows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Column<'a> {
    /// What it shows.
    pub signal: &'a SignalInfo,
    /// The position of its GPU in [`Layout::gpus`]; `None` for the machine.
    pub gpu: Option<usize>,
}

impl Layout {
    /// The number of columns.
    pub fn width(&self) -> usize {
        let of_host = self.signals.iter().filter(|signal| signal.is_of_host).count();
        of_host + self.gpus.len() * (self.signals.len() - of_host)
    }

    /// All columns in order: those of the machine, then those of each GPU.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        let of = |is_of_host: bool| {
            self.signals.iter().filter(move |signal| signal.is_of_host == is_of_host)
        };
        let of_host = of(true).map(|signal| Column { signal, gpu: None });
        let of_gpus = (0..self.gpus.len())
            .flat_map(move |gpu| of(false).map(move |signal| Column { signal, gpu: Some(gpu) }));
        of_host.chain(of_gpus)
    }

    /// The position of a column in rows. Of each GPU, or of the machine if `gpu` is `None`.
    pub fn column(&self, signal: &str, gpu: Option<usize>) -> Option<usize> {
        self.columns().position(|column| column.gpu == gpu && column.signal.name == signal)
    }

    /// The position of a GPU.
    pub fn position(&self, gpu: &GpuInfo) -> Option<usize> {
        self.gpus.iter().position(|other| other.is_same(gpu))
    }
}
