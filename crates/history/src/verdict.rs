//! Which signs together mean which cause: the first row of the table that fits.

mod table;

use std::time::Duration;

use model::catalog::xid;

use crate::incident::{Confidence, Verdict};
use crate::layout::GpuInfo;
use crate::pattern::Pattern;
use crate::sign::{KINDS, Sign, SignKind};
use crate::time::Time;
use crate::wording;

/// Sentences of evidence.
const MOST_EVIDENCE: usize = 8;
/// A sign that was over for longer explains nothing.
const RECENT: Duration = Duration::from_secs(300);

/// A sign, with all GPUs that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The sign.
    pub(crate) sign: Sign,
    /// The GPUs; none if it is about the machine.
    pub(crate) gpus: Vec<GpuInfo>,
}

impl Seen {
    /// By what signs are ordered, so that the order in which they came does not matter.
    pub(crate) fn order(&self) -> (Time, SignKind, Option<u32>, &str) {
        (self.sign.from, self.sign.kind, self.sign.xid, &self.sign.text)
    }

    fn shares_gpu(&self, other: &Self) -> bool {
        self.gpus.iter().any(|gpu| other.gpus.iter().any(|other| other.is_same(gpu)))
    }
}

/// A row of the table of verdicts. It fits if a trigger matches `decides`, each of `needs` is met by a sign, and none
/// of `lacks` is.
#[derive(Debug)]
struct Row {
    /// [`Verdict::name`].
    name: &'static str,
    /// The trigger that decides.
    decides: Pattern,
    /// Signs that there must be.
    needs: &'static [Need],
    /// Signs that there must not be.
    lacks: &'static [Need],
    /// Signs that are told as evidence if they are there, beside those above.
    supports: Pattern,
    /// The cause, with places to fill in: see [`Filling`].
    cause: &'static str,
    /// What to do, with the same places.
    actions: &'static [&'static str],
    /// How sure it is.
    confidence: Confidence,
    /// [`Verdict::runbook`].
    runbook: Option<&'static str>,
}

/// A sign that a row needs or lacks. It may be the trigger that decides.
#[derive(Clone, Copy, Debug)]
struct Need {
    what: Pattern,
    place: Place,
    /// Whether it has to begin no later than the trigger that decides.
    is_before: bool,
    /// On how many GPUs there have to be some.
    gpus: usize,
}

/// Where a sign has to be, as seen from the trigger that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// On one of its GPUs.
    SameGpu,
    /// On one of its GPUs, or of the machine; anywhere if the trigger is of the machine.
    Shared,
    /// Anywhere.
    Anywhere,
}

impl Need {
    fn is_met_by(&self, sign: &Seen, trigger: &Seen) -> bool {
        let is_place = match self.place {
            Place::SameGpu => sign.shares_gpu(trigger),
            Place::Shared => {
                sign.gpus.is_empty() || trigger.gpus.is_empty() || sign.shares_gpu(trigger)
            }
            Place::Anywhere => true,
        };
        let begin = trigger.sign.from;
        let is_recent = sign.sign.to.is_none_or(|to| to >= begin.before(RECENT));
        let is_time = is_recent && (!self.is_before || sign.sign.from <= begin);
        is_place && is_time && self.what.matches(&sign.sign)
    }

    fn is_met(&self, seen: &[Seen], trigger: &Seen) -> bool {
        let mut signs = seen.iter().filter(|sign| self.is_met_by(sign, trigger)).peekable();
        if self.gpus <= 1 {
            return signs.peek().is_some();
        }
        let mut gpus: Vec<&GpuInfo> = Vec::new();
        for gpu in signs.flat_map(|sign| &sign.gpus) {
            if !gpus.iter().any(|known| known.is_same(gpu)) {
                gpus.push(gpu);
            }
        }
        gpus.len() >= self.gpus
    }
}

/// The verdict on these signs.
pub fn of(signs: &[Sign]) -> Verdict {
    let seen = |sign: &Sign| Seen { sign: sign.clone(), gpus: sign.gpu.iter().cloned().collect() };
    let mut seen: Vec<_> = signs.iter().map(seen).collect();
    seen.sort_by(|one, other| one.order().cmp(&other.order()));
    judge(&seen)
}

/// The verdict on these signs, which are in order.
pub(crate) fn judge(seen: &[Seen]) -> Verdict {
    let triggers = || seen.iter().filter(|seen| seen.sign.is_trigger);
    let fits = |row: &Row, trigger: &Seen| {
        let is_met = |need: &Need| need.is_met(seen, trigger);
        row.decides.matches(&trigger.sign)
            && row.needs.iter().all(is_met)
            && !row.lacks.iter().any(is_met)
    };
    let fitting = table::ROWS.iter().find_map(|row| {
        let trigger = triggers().find(|trigger| fits(row, trigger))?;
        Some((row, trigger))
    });
    match fitting {
        Some((row, trigger)) => of_row(row, trigger, seen),
        None => not_known(seen),
    }
}

fn of_row(row: &Row, trigger: &Seen, seen: &[Seen]) -> Verdict {
    let needed: Vec<_> = seen
        .iter()
        .filter(|sign| row.needs.iter().any(|need| need.is_met_by(sign, trigger)))
        .collect();
    let filling = Filling::of(row, trigger, &needed, seen);
    let is_evidence = |sign: &&Seen| {
        let is_related =
            Need { what: row.supports, place: Place::Shared, is_before: false, gpus: 1 };
        let also_decides = sign.sign.is_trigger && row.decides.matches(&sign.sign);
        std::ptr::eq(*sign, trigger)
            || also_decides
            || needed.iter().any(|needed| std::ptr::eq(*needed, *sign))
            || is_related.is_met_by(sign, trigger)
    };
    Verdict {
        name: row.name.to_owned(),
        cause: filling.fill(row.cause),
        evidence: sentences(seen.iter().filter(is_evidence)),
        actions: row.actions.iter().map(|action| filling.fill(action)).collect(),
        confidence: row.confidence,
        runbook: row.runbook.map(str::to_owned),
    }
}

/// Nothing explains it: says what was looked at and was fine.
fn not_known(seen: &[Seen]) -> Verdict {
    let trigger = seen.iter().find(|seen| seen.sign.is_trigger);
    let cause = match trigger {
        Some(trigger) => format!("The cause is not known. {}.", trigger.sign.text),
        None => "The cause is not known.".to_owned(),
    };
    let mut evidence = sentences(seen.iter().filter(|seen| seen.sign.is_trigger));
    let is_absent = |kind| !seen.iter().any(|seen| seen.sign.kind == kind);
    let absent = KINDS.iter().filter(|row| !row.absent.is_empty() && is_absent(row.kind));
    let absent: Vec<_> = absent.map(|row| format!("no {}", row.absent)).collect();
    if !absent.is_empty() {
        evidence.push(wording::sentence(&format!("{} was recorded.", absent.join(", "))));
    }
    Verdict {
        name: "not_known".to_owned(),
        cause,
        evidence,
        actions: vec![
            "Read what the application wrote last: most often it says why it stopped.".to_owned(),
            "Look at the charts of the time before for what was unusual.".to_owned(),
        ],
        confidence: Confidence::None,
        runbook: None,
    }
}

/// The sentences of these signs, each once.
fn sentences<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    for seen in seen {
        let sentence = format!("{}.", seen.sign.text);
        if !sentences.contains(&sentence) && sentences.len() < MOST_EVIDENCE {
            sentences.push(sentence);
        }
    }
    sentences
}

/// What is filled into sentences of the table.
struct Filling {
    /// `{gpus}`: the GPUs of all triggers that decide.
    gpus: String,
    /// `{sign}`: the sentence of the trigger that decides.
    sign: String,
    /// `{need}`: the sentence of the longest sign that the row needs.
    need: String,
    /// `{code}`, `{meaning}` and `{action}` of the XID that decides.
    xid: Option<model::Xid>,
}

impl Filling {
    fn of(row: &Row, trigger: &Seen, needed: &[&Seen], seen: &[Seen]) -> Self {
        let mut gpus = trigger.gpus.clone();
        let deciding =
            seen.iter().filter(|seen| seen.sign.is_trigger && row.decides.matches(&seen.sign));
        for gpu in deciding.chain(needed.iter().copied()).flat_map(|seen| &seen.gpus) {
            let is_new = !gpus.iter().any(|known| known.is_same(gpu));
            // A job has many GPUs; the fault that stopped it is on some of them.
            if is_new && trigger.gpus.len() <= 1 {
                gpus.push(gpu.clone());
            }
        }
        let length = |seen: &&&Seen| {
            seen.sign.to.map_or(i64::MAX, |to| to.0.saturating_sub(seen.sign.from.0))
        };
        // Of equally long ones the earliest.
        let need = needed.iter().rev().max_by_key(length);
        Self {
            gpus: wording::gpus(&gpus),
            sign: trigger.sign.text.clone(),
            need: need.map_or_else(String::new, |need| need.sign.text.clone()),
            xid: trigger.sign.xid.map(xid::lookup),
        }
    }

    fn fill(&self, text: &str) -> String {
        let xid = self.xid.unwrap_or(model::Xid::NONE);
        let filled = text
            .replace("{gpus}", &self.gpus)
            .replace("{sign}", &self.sign)
            .replace("{need}", &self.need)
            .replace("{code}", &xid.code.to_string())
            .replace("{meaning}", xid.message)
            .replace("{action}", xid.action);
        wording::sentence(&filled)
    }
}

#[cfg(test)]
#[path = "verdict/stories.rs"]
mod stories;
