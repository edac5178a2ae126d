//! The sentences that speak for a verdict: one for each kind of sign, the most telling ones if there are many.

use super::Seen;
use crate::layout::GpuInfo;
use crate::wording;

/// Sentences of evidence.
const MOST: usize = 8;

/// How much a sign matters, the most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Weight {
    /// It is the trigger that decides.
    Decides,
    /// The row needs it, or it decides as well.
    Needed,
    /// It fits.
    Supports,
}

/// The evidence for a verdict.
#[derive(Default)]
pub(super) struct Evidence<'a> {
    lines: Vec<Line<'a>>,
}

/// A sign, and the GPUs of which the same is so.
struct Line<'a> {
    told: &'a Seen,
    weight: Weight,
    others: Vec<&'a GpuInfo>,
}

impl<'a> Evidence<'a> {
    /// Takes the next sign in order of time.
    pub(super) fn add(&mut self, seen: &'a Seen, weight: Weight) {
        if self.lines.iter().any(|line| line.told.sign.text == seen.sign.text) {
            return;
        }
        let mut lines = self.lines.iter_mut();
        let Some(line) = lines.find(|line| is_alike(line.told, seen)) else {
            self.lines.push(Line { told: seen, weight, others: Vec::new() });
            return;
        };
        let (mut told, mut other) = (line.told, seen);
        if weight < line.weight || weight == line.weight && seen.lasted() > line.told.lasted() {
            (told, other) = (seen, line.told);
        }
        line.weight = line.weight.min(weight);
        line.told = told;
        line.others.extend(&other.sign.gpu);
        line.others.retain(|gpu| !told.gpus.iter().any(|own| own.is_same(gpu)));
    }

    /// The sentences, in order of time.
    pub(super) fn sentences(mut self) -> Vec<String> {
        let mut weights: Vec<Weight> = self.lines.iter().map(|line| line.weight).collect();
        weights.sort_unstable();
        let least = weights.get(MOST - 1).copied().unwrap_or(Weight::Supports);
        let mut left = MOST - weights.iter().filter(|weight| **weight < least).count().min(MOST);
        self.lines.retain(|line| {
            let is_told = line.weight < least || line.weight == least && left > 0;
            left -= usize::from(is_told && line.weight == least);
            is_told
        });
        self.lines.iter().map(Line::sentence).collect()
    }
}

impl Line<'_> {
    fn sentence(&self) -> String {
        let text = &self.told.sign.text;
        if self.others.is_empty() {
            return format!("{text}.");
        }
        let others: Vec<GpuInfo> = self.others.iter().copied().cloned().collect();
        format!("{text}; likewise {}.", wording::gpus(&others))
    }
}

/// Whether both say the same of different GPUs.
fn is_alike(one: &Seen, other: &Seen) -> bool {
    (one.sign.kind, one.sign.xid) == (other.sign.kind, other.sign.xid)
        && one.sign.gpu.is_some()
        && other.sign.gpu.is_some()
        && !one.sign.is_on_same_gpu(&other.sign)
}
