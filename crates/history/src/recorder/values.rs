//! The numbers of a row.

use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, GpuView, SlowdownWatches, Value, Watch, WatchIndex, field};

use crate::host::HostReading;
use crate::signal::{DOWN_REASONS, From, Of, SIGNALS, Signal};

/// How the columns of a GPU and of the machine are read from a snapshot with these watches.
#[derive(Default, Debug)]
pub(super) struct Values {
    watches: Option<Arc<[Watch]>>,
    columns: Vec<(&'static Signal, Input)>,
}

/// Where the value of a signal is in a snapshot.
#[derive(PartialEq, Debug)]
enum Input {
    Reading(WatchIndex),
    Sum(Vec<WatchIndex>),
    Slowdown(SlowdownWatches),
    ActiveLinks(WatchIndex),
    /// Not in readings.
    Other,
}

impl Values {
    /// Follows a change of the watches. Returns whether the signals are others.
    pub(super) fn follow(&mut self, watches: &Arc<[Watch]>, interval: Duration) -> bool {
        if self.watches.as_ref().is_some_and(|known| Arc::ptr_eq(known, watches)) {
            return false;
        }
        self.watches = Some(Arc::clone(watches));
        let column = |signal| Some((signal, Input::of(signal, watches, interval)?));
        let columns: Vec<_> = SIGNALS.iter().filter_map(column).collect();
        let is_same = columns.iter().map(|(signal, _)| signal.number).eq(self.numbers());
        self.columns = columns;
        !is_same
    }

    fn numbers(&self) -> impl Iterator<Item = u16> {
        self.signals().map(|signal| signal.number)
    }

    /// The signals that can be recorded with these watches.
    pub(super) fn signals(&self) -> impl Iterator<Item = &'static Signal> {
        self.columns.iter().map(|(signal, _)| *signal)
    }

    /// Adds the numbers of the machine.
    pub(super) fn add_host(&self, host: HostReading, row: &mut Vec<Option<i64>>) {
        for signal in self.signals().filter(|signal| signal.of == Of::Host) {
            let value = match signal.from {
                From::MemoryAvailable => host.memory_available_mib.map(Value::Int),
                From::MemoryPressureSome => host.memory_pressure_some.map(Value::Float),
                From::MemoryPressureFull => host.memory_pressure_full.map(Value::Float),
                _ => None,
            };
            row.push(value.and_then(|value| signal.resolution.encode(&value)));
        }
    }

    /// Adds the numbers of a GPU; gaps if it is not there. Without a new pass, its readings are in the row
    /// before, and now there are none.
    pub(super) fn add_gpu(
        &self,
        gpu: Option<&GpuView>,
        has_new_pass: bool,
        row: &mut Vec<Option<i64>>,
    ) {
        for (signal, input) in self.columns.iter().filter(|(signal, _)| signal.of == Of::Gpu) {
            let value = gpu.and_then(|gpu| match signal.from {
                From::Up => Some(Value::Int(gpu.up.is_ok().into())),
                From::DownReason => {
                    let down = gpu.up.err()?;
                    let position = DOWN_REASONS.iter().position(|reason| *reason == down)?;
                    Some(Value::Int(i64::try_from(position).ok()?))
                }
                From::LastXid => Some(Value::Int(gpu.last_xid()?.code.into())),
                _ => input.value(gpu).filter(|_| has_new_pass && gpu.up.is_ok()),
            });
            row.push(value.and_then(|value| signal.resolution.encode(&value)));
        }
    }
}

impl Input {
    /// `None` if a watch is missing.
    fn of(signal: &Signal, watches: &[Watch], interval: Duration) -> Option<Self> {
        let finest = |field: FieldId| {
            let of_field = WatchIndex::enumerate(watches).filter(|(_, watch)| watch.field == field);
            let finest = of_field.min_by_key(|(_, watch)| watch.pace.period(interval));
            finest.map(|(index, _)| index)
        };
        Some(match signal.from {
            From::Field(field) | From::FieldIfWatched(field) => Self::Reading(finest(field)?),
            From::Sum(fields) => {
                Self::Sum(fields.iter().map(|field| finest(*field)).collect::<Option<_>>()?)
            }
            From::Slowdown => Self::Slowdown(SlowdownWatches::among(watches)?),
            From::ActiveLinks => Self::ActiveLinks(finest(field::NVLINK_GET_STATE)?),
            From::Up
            | From::DownReason
            | From::LastXid
            | From::MemoryAvailable
            | From::MemoryPressureSome
            | From::MemoryPressureFull => Self::Other,
        })
    }

    fn value(&self, gpu: &GpuView) -> Option<Value> {
        match self {
            Self::Reading(watch) => gpu.reading(*watch)?.as_ref().ok().cloned(),
            Self::Sum(watches) => sum(gpu, watches),
            Self::Slowdown(watches) => watches.ratio(gpu).map(Value::Float),
            Self::ActiveLinks(state) => {
                let links = model::active_links(gpu, *state)?;
                i64::try_from(links).ok().map(Value::Int)
            }
            Self::Other => None,
        }
    }
}

/// The sum of what the GPU has; `None` if one of them has no value now.
fn sum(gpu: &GpuView, watches: &[WatchIndex]) -> Option<Value> {
    let mut sum = None;
    for watch in watches {
        match gpu.reading(*watch)? {
            Ok(Value::Int(value)) => sum = Some(sum.unwrap_or(0_i64).checked_add(*value)?),
            Err(reason) if reason.is_lasting() => {}
            Ok(_) | Err(_) => return None,
        }
    }
    sum.map(Value::Int)
}
