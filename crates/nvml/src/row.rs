//! Rows of the tables below `fields`: a driver call, and the fields that it serves.

use model::{FieldId, Quantity, Reading};
use nvml_wrapper_sys::bindings as sys;

use crate::code::Code;
use crate::device::Device;
use crate::entries::{Decode, Entries, FieldOffset, Id, Scope};
use crate::entry::Entry;
use crate::library::Library;

/// NVML's function for field values.
pub(crate) const FIELD_VALUES_CALL: &str = "nvmlDeviceGetFieldValues";
/// NVML's function for the averages of profiling metrics.
pub(crate) const METRICS_CALL: &str = "nvmlGpmMetricsGet";
/// NVML's function for counters of NVLink ports, which came with driver 595.
pub(crate) const PRM_CALL: &str = "nvmlDeviceReadPRMCounters_v1";
/// NVML's function for the NVLink connection of two GPUs.
pub(crate) const PEERS_CALL: &str = "nvmlDeviceGetP2PStatus";
/// NVML's function for what the driver samples by itself.
pub(crate) const SAMPLES_CALL: &str = "nvmlDeviceGetSamples";

/// A driver call, or a part of one, and the fields that it serves.
pub(crate) struct Row {
    pub(crate) fields: Fields,
    pub(crate) call: Call,
}

/// The fields of a row.
pub(crate) enum Fields {
    /// These.
    List(&'static [FieldId]),
    /// Every `step`th field from `first` on. What the call asks for counts up with the fields.
    Run { first: u16, count: u16, step: u16 },
}

impl Fields {
    /// Each field, with its position.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FieldOffset, FieldId)> {
        let count = match *self {
            Self::List(fields) => fields.len(),
            Self::Run { count, .. } => count.into(),
        };
        (0..count).map(|place| match *self {
            Self::List(fields) => (FieldOffset(place as u16), fields[place]),
            Self::Run { first, step, .. } => {
                let offset = place as u16 * step;
                (FieldOffset(offset), FieldId(first + offset))
            }
        })
    }

    pub(crate) fn contains(&self, field: FieldId) -> bool {
        self.iter().any(|(_, of)| of == field)
    }
}

/// How the fields of a row are read: by a call group of the main reader, or by another reader.
pub(crate) enum Call {
    /// A call of its own.
    Ordinary(OrdinaryCall),
    /// Entries of [`FIELD_VALUES_CALL`].
    FieldValue(Entries, Decode),
    /// A profiling metric, by NVML's number.
    Metric(u32, GpmUnit),
    /// A profiling metric of an NVLink: NVML's number by link.
    LinkMetric(fn(link: u32) -> u32, GpmUnit),
    /// A counter of an NVLink's port, by NVML's number.
    PortCounter(u32),
    /// A call that is made once per session.
    Session(&'static str, fn(&Library) -> Result<Reading, Code>),
    /// What the driver samples by itself, many times a second, in the unit of the quantity. It is of
    /// a window and not of a field.
    Samples(SampledQuantity),
    /// An ordinary call that takes long. Made by the reader `pcie`.
    Pcie(OrdinaryCall),
    /// Read by the reader `peers`.
    Peers,
    /// Read by the reader `events`.
    Events,
}

/// The readings of one call, in the order of its fields.
pub(crate) type Answers = Vec<Reading>;

/// An ordinary call, by the name of NVML's function.
pub(crate) struct OrdinaryCall {
    pub(crate) name: &'static str,
    pub(crate) read: Read,
}

/// How an ordinary call is made.
pub(crate) enum Read {
    /// It answers one field.
    One(fn(&Device) -> Result<Reading, Code>),
    /// It answers all fields of the row, in their order.
    Many(fn(&Device, &mut Answers) -> Result<(), Code>),
    /// It answers one field of an NVLink.
    Link(Scope, fn(&Device, u32) -> Result<Reading, Code>),
}

impl OrdinaryCall {
    /// Makes the call; `link` matters to calls about an NVLink.
    pub(crate) fn make(
        &self,
        device: &Device,
        link: u32,
        answers: &mut Answers,
    ) -> Result<(), Code> {
        answers.clear();
        answers.push(match self.read {
            Read::Many(read) => return read(device, answers),
            Read::One(read) => read(device)?,
            Read::Link(_, read) => read(device, link)?,
        });
        Ok(())
    }
}

/// A quantity that the driver samples.
#[derive(Clone, Copy)]
pub(crate) struct SampledQuantity {
    pub(crate) quantity: Quantity,
    pub(crate) number: sys::nvmlSamplingType_t,
    pub(crate) convert: fn(u32) -> Reading,
}

impl Call {
    /// The name of NVML's function.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ordinary(OrdinaryCall { name, .. })
            | Self::Pcie(OrdinaryCall { name, .. })
            | Self::Session(name, _) => name,
            Self::FieldValue(..) => FIELD_VALUES_CALL,
            Self::Metric(..) | Self::LinkMetric(..) => METRICS_CALL,
            Self::PortCounter(_) => PRM_CALL,
            Self::Samples(_) => SAMPLES_CALL,
            Self::Peers => PEERS_CALL,
            Self::Events => "nvmlEventSetWait",
        }
    }

    /// Whether the main reader makes it.
    pub(crate) fn is_of_main_reader(&self) -> bool {
        !matches!(self, Self::Pcie(_) | Self::Peers | Self::Events)
    }

    /// Whether it is made for each NVLink, and not once for the GPU.
    pub(crate) fn is_of_link(&self) -> bool {
        match self {
            Self::LinkMetric(..) | Self::PortCounter(_) => true,
            Self::Ordinary(OrdinaryCall { read: Read::Link(scope, _), .. })
            | Self::FieldValue(Entries { scope, .. }, _) => *scope == Scope::ThisLink,
            _ => false,
        }
    }
}

/// The unit of a GPM metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GpmUnit {
    /// Percent, 0 to 100, served as a ratio.
    Percent,
    /// MiB per second, served as bytes per second, rounded down.
    MebibytesPerSecond,
    /// A count, rounded down.
    Count,
}

/// Fields in a list.
pub(crate) const fn row(fields: &'static [FieldId], call: Call) -> Row {
    Row { fields: Fields::List(fields), call }
}

/// `count` fields that count up from `first`, with what the call asks for.
pub(crate) const fn run(first: u16, count: u16, call: Call) -> Row {
    Row { fields: Fields::Run { first, count, step: 1 }, call }
}

/// An ordinary call.
pub(crate) const fn ordinary(name: &'static str, fields: &'static [FieldId], read: Read) -> Row {
    row(fields, Call::Ordinary(OrdinaryCall { name, read }))
}

/// Field values, decoded one by one.
pub(crate) const fn decoded(
    ids: &'static [Id],
    scope: Scope,
    decode: fn(&Entry) -> Reading,
) -> Call {
    Call::FieldValue(Entries { ids, scope }, Decode::One(decode))
}

/// What the driver samples of a quantity.
pub(crate) const fn samples(
    quantity: Quantity,
    number: sys::nvmlSamplingType_t,
    convert: fn(u32) -> Reading,
) -> Row {
    row(&[], Call::Samples(SampledQuantity { quantity, number, convert }))
}

/// A call that answers one field.
macro_rules! one {
    ($name:ident, $field:ident, $read:expr) => {
        crate::row::ordinary(
            stringify!($name),
            &[::model::field::$field],
            crate::row::Read::One($read),
        )
    };
}
pub(crate) use one;

/// A call that answers several fields.
macro_rules! many {
    ($name:ident, [$($field:ident),+ $(,)?], |$gpu:ident| $readings:expr) => {
        crate::row::ordinary(
            stringify!($name),
            &[$(::model::field::$field),+],
            crate::row::Read::Many(|$gpu, answers| {
                answers.extend($readings);
                Ok(())
            }),
        )
    };
}
pub(crate) use many;

/// A call that answers one field with a number, perhaps of one of several things.
macro_rules! number {
    ($name:ident, $field:ident, $convert:expr) => {
        crate::row::one!($name, $field, |gpu| gpu.number(|nvml| &nvml.$name).map($convert))
    };
    ($name:ident($which:ident), $field:ident, $convert:expr) => {
        crate::row::one!($name, $field, |gpu| {
            gpu.number_of(::nvml_wrapper_sys::bindings::$which, |nvml| &nvml.$name).map($convert)
        })
    };
}
pub(crate) use number;

/// A call that answers one field with a text.
macro_rules! text {
    ($name:ident, $field:ident) => {
        crate::row::one!($name, $field, |gpu| gpu
            .text(|nvml| &nvml.$name)
            .map(crate::convert::text))
    };
}
pub(crate) use text;

/// A field value of the GPU.
macro_rules! field_value {
    ($id:ident, $field:ident, $decode:expr) => {
        crate::row::row(
            &[::model::field::$field],
            crate::row::decoded(
                &[crate::entries::Id::Fixed(::nvml_wrapper_sys::bindings::field_id::$id)],
                crate::entries::Scope::Gpu,
                $decode,
            ),
        )
    };
}
pub(crate) use field_value;
