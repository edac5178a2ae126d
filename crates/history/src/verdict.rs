//! Which signs together mean which cause: the first row of the table that fits.

mod row;
mod table;

use std::time::Duration;

use model::catalog::xid;

use crate::incident::{Confidence, Verdict};
use crate::sign::{KINDS, Sign};
use crate::wording;
pub(crate) use row::Seen;
use row::{Need, Place, Row};

/// Sentences of evidence.
const MOST_EVIDENCE: usize = 8;

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
        let is_related = Need {
            what: row.supports,
            place: Place::Shared,
            is_before: false,
            gpus: 1,
            lasts: Duration::ZERO,
        };
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
            gpus: if gpus.is_empty() { "a GPU".to_owned() } else { wording::gpus(&gpus) },
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
