//! Which signs together mean which cause: the first row of the table that fits.

mod evidence;
pub(crate) mod recovery;
mod row;
mod table;
mod watched;

use std::time::Duration;

use model::catalog::xid;

use crate::incident::{Confidence, Verdict};
use crate::layout::GpuInfo;
use crate::pattern::Pattern;
use crate::sign::{KINDS, Sign, SignKind};
use crate::wording;
use evidence::{Evidence, Weight};
pub(crate) use row::Seen;
use row::{Facts, Need, Place, Row};
use table::RESTART;
pub(crate) use watched::{Watched, Watching};

/// What follows from a fault of a GPU, and what the driver says of it: evidence of every row.
const CONSEQUENCES: Pattern = Pattern::Either(
    &[SignKind::GpuLost, SignKind::GpuMissing, SignKind::JobSilent, SignKind::HolderEnded],
    &[43, 45, 79, recovery::RECOVERY],
);

/// A GPU that only a restart of the machine brings back.
const LOST: Pattern = Pattern::Either(&[SignKind::GpuLost, SignKind::GpuMissing], &[79]);

/// GPU memory that was freed, and how far apart from a trigger: rows may be a minute apart.
const FREED: Pattern = Pattern::Kinds(&[SignKind::GpuMemoryFreed, SignKind::MemoryFull]);
const AT_THAT_TIME: Duration = Duration::from_secs(60);

/// What an action begins with that is told where no XID decides.
const NO_XID: &str = "{no xid}";

/// The verdict on these signs, of which it is not known what else was watched.
pub fn of(signs: &[Sign]) -> Verdict {
    let seen = |sign: &Sign| Seen { sign: sign.clone(), gpus: sign.gpu.iter().cloned().collect() };
    let mut seen: Vec<_> = signs.iter().map(seen).collect();
    seen.sort_by(|one, other| one.order().cmp(&other.order()));
    judge(&seen, &Watched::default())
}

/// The verdict on these signs, which are in order.
pub(crate) fn judge(seen: &[Seen], watched: &Watched) -> Verdict {
    let facts = Facts { seen, gpus: watched.gpus };
    let fitting = table::ROWS.iter().find_map(|row| {
        let trigger = seen.iter().find(|trigger| row.fits(trigger, facts))?;
        Some((row, trigger))
    });
    match fitting {
        Some((row, trigger)) => of_row(row, trigger, facts),
        None => not_known(seen, watched),
    }
}

impl Row {
    fn fits(&self, trigger: &Seen, facts: Facts<'_>) -> bool {
        let is_met = |need: &Need| need.is_met(trigger, facts);
        trigger.sign.is_trigger
            && self.decides.matches(&trigger.sign)
            && self.needs.iter().all(is_met)
            && !self.lacks.iter().any(is_met)
    }
}

fn of_row(row: &Row, trigger: &Seen, facts: Facts<'_>) -> Verdict {
    let is_needed = |sign: &Seen| row.needs.iter().any(|need| need.is_met_by(sign, trigger, facts));
    let needed: Vec<_> = facts.seen.iter().filter(|sign| is_needed(sign)).collect();
    let filling = Filling::of(row, trigger, &needed, facts);
    let doubt =
        row.doubt.as_ref().filter(|doubt| doubt.any.iter().any(|need| need.is_met(trigger, facts)));
    let weight = |sign: &Seen| {
        let is_told = |what: Pattern| {
            let is_related = Need { what, place: Place::Shared, ..table::ANYWHERE };
            // Triggers of one incident have to do with each other.
            sign.sign.is_trigger && what.matches(&sign.sign)
                || is_related.is_met_by(sign, trigger, facts)
        };
        if std::ptr::eq(sign, trigger) {
            Some(Weight::Decides)
        } else if is_needed(sign) || sign.sign.is_trigger && row.decides.matches(&sign.sign) {
            Some(Weight::Needed)
        } else {
            (is_told(row.supports) || is_told(CONSEQUENCES)).then_some(Weight::Supports)
        }
    };
    let mut evidence = Evidence::default();
    for sign in facts.seen {
        if let Some(weight) = weight(sign) {
            evidence.add(sign, weight);
        }
    }
    let told = told(row, trigger, facts);
    Verdict {
        name: row.name.to_owned(),
        cause: filling.fill(doubt.map_or(row.cause, |doubt| doubt.cause)),
        evidence: evidence.sentences(),
        actions: actions(row, trigger, &filling, facts.seen),
        confidence: if doubt.is_some() { Confidence::Possible } else { row.confidence },
        runbook: row.runbook.map(str::to_owned),
        xid: told.sign.xid,
        time: Some(told.sign.from),
    }
}

/// The trigger whose XID and time the first line tells. Of a job that stopped, that it did; of a GPU without an XID,
/// the XID that says the same of it.
fn told<'a>(row: &Row, trigger: &'a Seen, facts: Facts<'a>) -> &'a Seen {
    let deciding = || facts.seen.iter().filter(|seen| row.fits(seen, facts));
    let mut silent = deciding().filter(|seen| seen.sign.kind == SignKind::JobSilent);
    let at = trigger.sign.from;
    let (first, last) = (at.before(AT_THAT_TIME), at.after(AT_THAT_TIME));
    let says_the_same = |seen: &&Seen| {
        seen.sign.xid.is_some() && seen.shares_gpu(trigger) && seen.sign.overlaps(first, last)
    };
    let with_xid = || deciding().find(says_the_same).filter(|_| trigger.sign.xid.is_none());
    silent.next_back().or_else(with_xid).unwrap_or(trigger)
}

/// What to do: first what brings a GPU back that is lost, or what the driver asks for.
fn actions(row: &Row, trigger: &Seen, filling: &Filling, seen: &[Seen]) -> Vec<String> {
    let triggers = || seen.iter().filter(|seen| seen.sign.is_trigger);
    let is_back = |lost: &Seen| {
        let up = Pattern::Over(&[SignKind::GpuLost, SignKind::GpuMissing]);
        seen.iter().any(|seen| up.matches(&seen.sign) && seen.shares_gpu(lost))
    };
    let is_lost = triggers().any(|seen| LOST.matches(&seen.sign) && !is_back(seen));
    let of_fault = |seen: &&Seen| seen.sign.is_trigger || seen.shares_gpu(trigger);
    let asked = recovery::action(seen.iter().filter(of_fault));
    let first = match asked {
        Some(action) if !is_lost || action.starts_with(RESTART) => Some(action),
        _ => is_lost.then(|| xid::lookup(79).action),
    };
    let is_told = |action: &&&str| {
        let is_of_xid = action.contains("{action}");
        match (first, filling.xid) {
            // It would ask for less, or for the same.
            (Some(_), _) if is_of_xid || action.starts_with(NO_XID) => false,
            (Some(first), _) => !(first.starts_with(RESTART) && action.starts_with(RESTART)),
            (None, Some(_)) => !action.starts_with(NO_XID),
            (None, None) => !is_of_xid,
        }
    };
    // A row that asks for a restart says more of it than the XID.
    let own = row.actions.iter().find(|action| action.starts_with(RESTART));
    let first = match (first, own) {
        (Some(first), Some(own)) if asked.is_none() && first.starts_with(RESTART) => Some(*own),
        (first, _) => first,
    };
    let others = row.actions.iter().filter(is_told).copied();
    let all = first.into_iter().chain(others);
    all.map(|action| filling.fill(action.strip_prefix(NO_XID).unwrap_or(action))).collect()
}

/// Nothing explains it: says what was looked at and was fine.
fn not_known(seen: &[Seen], watched: &Watched) -> Verdict {
    let trigger = seen.iter().find(|seen| seen.sign.is_trigger);
    let cause = match trigger {
        Some(trigger) => format!("The cause is not known. {}.", trigger.sign.text),
        None => "The cause is not known.".to_owned(),
    };
    let mut evidence = Evidence::default();
    seen.iter().filter(|seen| seen.sign.is_trigger).for_each(|seen| {
        evidence.add(seen, Weight::Supports);
    });
    let mut evidence = evidence.sentences();
    let is_absent =
        |kind| watched.kinds.contains(&kind) && !seen.iter().any(|seen| seen.sign.kind == kind);
    let absent = KINDS.iter().filter(|row| !row.absent.is_empty() && is_absent(row.kind));
    let absent: Vec<_> = absent.map(|row| format!("no {}", row.absent)).collect();
    if !absent.is_empty() {
        evidence.push(wording::sentence(&format!("{} was recorded.", absent.join(", "))));
    }
    if !watched.unread.is_empty() {
        let unread = format!("{} were not read here.", watched.unread.join(", "));
        evidence.push(wording::sentence(&unread));
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
        xid: trigger.and_then(|trigger| trigger.sign.xid),
        time: trigger.map(|trigger| trigger.sign.from),
    }
}

/// What is filled into sentences of the table: a place and its text.
struct Filling {
    places: Vec<(&'static str, String)>,
    /// The XID that decides, or one that the row needs.
    xid: Option<model::Xid>,
}

impl Filling {
    fn of(row: &Row, trigger: &Seen, needed: &[&Seen], facts: Facts<'_>) -> Self {
        let deciding: Vec<&Seen> = facts.seen.iter().filter(|seen| row.fits(seen, facts)).collect();
        let mut gpus = trigger.gpus.clone();
        // A job has many GPUs; the fault that stopped it is on some of them.
        if trigger.gpus.len() <= 1 {
            add_gpus(&mut gpus, &deciding);
        }
        let mut need_gpus = Vec::new();
        add_gpus(&mut need_gpus, needed);
        // Of equally long ones the earliest.
        let need = needed.iter().rev().max_by_key(|seen| seen.lasted());
        let lasted = need.map_or(Duration::ZERO, |need| {
            need.sign.to.unwrap_or(trigger.sign.from).since(need.sign.from)
        });
        let of_kind = |kind| facts.seen.iter().filter(move |seen| seen.sign.kind == kind);
        let of_holder = Pattern::OfHolder(&[SignKind::JobSilent]);
        let has_job = facts.seen.iter().any(|seen| of_holder.matches(&seen.sign))
            || of_kind(SignKind::HolderEnded).next().is_some();
        let stopped = of_kind(SignKind::JobSilent).any(|seen| seen.sign.is_trigger);
        let driver = of_kind(SignKind::DriverChanged).next();
        let at = trigger.sign.from;
        let (first, last) = (at.before(AT_THAT_TIME), at.after(AT_THAT_TIME));
        let freed = |gpu: &&GpuInfo| {
            facts.seen.iter().any(|seen| {
                FREED.matches(&seen.sign)
                    && seen.sign.overlaps(first, last)
                    && seen.gpus.iter().any(|other| other.is_same(gpu))
            })
        };
        let freed = match trigger.gpus.iter().filter(freed).count() {
            0 => "stopped working",
            some if some < trigger.gpus.len() => "freed memory or stopped working",
            _ => "freed memory",
        };
        let xid = [trigger].into_iter().chain(deciding).chain(needed.iter().copied());
        let xid = xid.filter_map(|seen| seen.sign.xid).next().map(xid::lookup);
        let words = xid.unwrap_or(model::Xid::NONE);
        let text =
            |seen: Option<&Seen>| seen.map_or_else(String::new, |seen| seen.sign.text.clone());
        let if_so = |is_so: bool, text: &str| if is_so { text.to_owned() } else { String::new() };
        let places = vec![
            // The GPUs of all triggers that decide.
            ("{gpus}", named(&gpus)),
            // The GPUs of the signs that the row needs.
            ("{need gpus}", named(&need_gpus)),
            // How one speaks of the GPUs of the triggers that decide, and of what each of them has.
            ("{it}", if gpus.len() > 1 { "they" } else { "it" }.to_owned()),
            ("{link}", if gpus.len() > 1 { "links" } else { "link" }.to_owned()),
            ("{was}", if need_gpus.len() > 1 { "were" } else { "was" }.to_owned()),
            // How long the longest of them went on.
            (
                "{for long}",
                if_so(lasted > Duration::ZERO, &format!(" for {}", wording::duration(lasted))),
            ),
            ("{and the job stopped}", if_so(stopped, ", and the job stopped working")),
            // What the GPUs of the trigger did.
            ("{freed memory}", freed.to_owned()),
            ("{while a job ran}", if_so(has_job, " while a job ran")),
            ("{code}", words.code.to_string()),
            ("{meaning}", words.message.to_owned()),
            ("{action}", words.action.to_owned()),
            // Sentences: of the new driver, of the trigger that decides, of the longest sign that the row needs.
            ("{driver}", text(driver)),
            ("{sign}", trigger.sign.text.clone()),
            ("{need}", text(need.copied())),
        ];
        Self { places, xid }
    }

    /// Fills a sentence from left to right: what was filled in is not looked at again.
    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, after) = rest.split_at(at);
            filled += before;
            let place = self.places.iter().find(|(place, _)| after.starts_with(place));
            let (name, text) = place.map_or(("{", "{"), |(name, text)| (*name, text.as_str()));
            filled += text;
            rest = after.strip_prefix(name).unwrap_or_default();
        }
        wording::sentence(&(filled + rest))
    }
}

fn named(gpus: &[GpuInfo]) -> String {
    match gpus {
        [] => "a GPU".to_owned(),
        gpus => wording::gpus(gpus),
    }
}

fn add_gpus(gpus: &mut Vec<GpuInfo>, of: &[&Seen]) {
    for gpu in of.iter().flat_map(|seen| &seen.gpus) {
        if !gpus.iter().any(|known| known.is_same(gpu)) {
            gpus.push(gpu.clone());
        }
    }
}

#[cfg(test)]
#[path = "verdict/stories.rs"]
mod stories;
