//! What a detector hands on: a sign, and what its sentence does not tell a program.

use std::time::Duration;

use crate::layout::GpuInfo;
use crate::sign::{Sign, SignKind};
use crate::time::Time;

/// A sign that is new or has changed.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Found {
    /// The sign.
    pub(crate) sign: Sign,
    /// All GPUs that it is about; more than one only where the sign itself names none.
    pub(crate) gpus: Vec<GpuInfo>,
    /// How often it happened.
    pub(crate) count: u64,
    /// When it was found out, which may be later than it began.
    pub(crate) at: Time,
    /// Whether it is told again because it is over.
    pub(crate) is_end: bool,
    /// Whether it may open an incident, and not only join one.
    pub(crate) may_open: bool,
    /// For how long it was seen, of something that goes on.
    pub(crate) seen: Duration,
    /// Whether it lowered clocks by more than a tenth.
    pub(crate) lowers_clocks: bool,
}

impl Found {
    /// Something that happened at once.
    pub(crate) fn once(kind: SignKind, gpu: Option<&GpuInfo>, at: Time, text: String) -> Self {
        Self::lasting(kind, gpu, (at, Some(at)), at, text)
    }

    /// Something that goes on, or has gone on.
    pub(crate) fn lasting(
        kind: SignKind,
        gpu: Option<&GpuInfo>,
        (from, to): (Time, Option<Time>),
        at: Time,
        text: String,
    ) -> Self {
        let is_trigger = kind.opens();
        let sign = Sign { kind, gpu: gpu.cloned(), xid: None, from, to, is_trigger, text };
        Self {
            sign,
            gpus: gpu.cloned().into_iter().collect(),
            count: 1,
            at,
            is_end: false,
            may_open: true,
            seen: Duration::ZERO,
            lowers_clocks: false,
        }
    }

    /// The same, told again because it is over.
    pub(crate) fn ended(self) -> Self {
        Self { is_end: true, ..self }
    }

    /// The same, about several GPUs at once.
    pub(crate) fn on_gpus(mut self, gpus: &[GpuInfo]) -> Self {
        self.gpus = gpus.to_vec();
        self.sign.gpu = match gpus {
            [gpu] => Some(gpu.clone()),
            _ => None,
        };
        self
    }
}
