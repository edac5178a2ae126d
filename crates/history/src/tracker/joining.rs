//! Which triggers belong to an incident that is open: one row per common cause.

use std::time::Duration;

use model::catalog::xid::{self, Severity};

use super::open::{AFTER, OpenIncident};
use crate::detector::found::Found;
use crate::detector::holders::Hold;
use crate::detector::xids;
use crate::layout::GpuInfo;
use crate::pattern::Pattern;
use crate::sign::{Sign, SignKind};

/// Triggers this close together are of one incident.
pub(crate) const TOGETHER: Duration = Duration::from_secs(5);

/// A trigger that follows another one of the same cause.
struct Follows {
    /// The trigger that joins.
    later: Pattern,
    /// A trigger that the incident has.
    earlier: Pattern,
    /// Whether both have to be about the same GPU.
    on_same_gpu: bool,
}

const fn follows(later: Pattern, earlier: Pattern, on_same_gpu: bool) -> Follows {
    Follows { later, earlier, on_same_gpu }
}

/// XIDs of memory errors.
const MEMORY: Pattern = Pattern::Either(
    &[SignKind::EccUncorrected],
    &[48, 63, 64, 92, 94, 95, 140, 156, 157, 171, 172],
);
const GONE_KINDS: [SignKind; 3] = [SignKind::GpuLost, SignKind::GpuHung, SignKind::GpuMissing];
/// A GPU that does not answer.
const GONE: Pattern = Pattern::Either(&GONE_KINDS, &[79, 110, 119, 120, 154, 158, 167]);
/// Errors of NVLinks, which both ends report.
const LINKS: Pattern =
    Pattern::Either(&[SignKind::LinkDown], &[74, 144, 145, 146, 147, 148, 149, 150, 155]);

const ON_SAME_GPU: bool = true;
const ANYWHERE: bool = false;

/// All of them.
static FOLLOWS: &[Follows] = &[
    follows(GONE, Pattern::Any, ON_SAME_GPU),
    // Applications are ended after every fault.
    follows(Pattern::Xids(&[43, 45]), Pattern::Any, ON_SAME_GPU),
    follows(Pattern::Kinds(&[SignKind::JobSilent]), Pattern::Any, ON_SAME_GPU),
    follows(MEMORY, MEMORY, ON_SAME_GPU),
    follows(LINKS, LINKS, ANYWHERE),
    follows(LINKS, GONE, ANYWHERE),
    // One power supply or one cooling for all.
    follows(
        Pattern::Kinds(&[SignKind::PowerBrake]),
        Pattern::Kinds(&[SignKind::PowerBrake]),
        ANYWHERE,
    ),
    follows(GONE, Pattern::Kinds(&[SignKind::PowerBrake]), ANYWHERE),
    follows(
        Pattern::Kinds(&[SignKind::HeatSlowdown]),
        Pattern::Kinds(&[SignKind::HeatSlowdown]),
        ANYWHERE,
    ),
];

/// What an application did: says nothing of what another one does on the same GPU.
fn is_of_application(sign: &Sign) -> bool {
    let kinds = [SignKind::OomKill, SignKind::MemoryFull];
    kinds.contains(&sign.kind)
        || !MEMORY.matches(sign) && sign.xid.is_some_and(xids::is_of_application)
}

/// Whether a trigger belongs to the incident. `holds` are those who had GPUs then.
pub(crate) fn joins(found: &Found, open: &OpenIncident, holds: &[&Hold]) -> bool {
    let is_other = is_of_application(&found.sign) && !open.has_holders_of(found, holds);
    open.is_near(found, TOGETHER)
        || open.triggers().any(|(earlier, gpus)| {
            let on_same_gpu = shares_gpu(found, gpus) || (found.gpus.is_empty() && gpus.is_empty());
            let follows = |row: &Follows| {
                row.later.matches(&found.sign)
                    && row.earlier.matches(earlier)
                    && (on_same_gpu || !row.on_same_gpu)
            };
            !(is_other && is_of_application(earlier))
                && (repeats(&found.sign, earlier, on_same_gpu) || FOLLOWS.iter().any(follows))
        })
}

/// What follows from a fault this long after it: work that waits for a lost GPU ends with a timeout.
const LATE: Duration = Duration::from_secs(15 * 60);

/// Whether a trigger belongs to the incident although that is closed. `ongoing` are the signs that go on.
pub(crate) fn joins_closed(found: &Found, closed: &OpenIncident, ongoing: &[Found]) -> bool {
    let is_recent = closed.is_recent(found.sign.from, LATE);
    let mut triggers = closed.triggers().filter(|(_, gpus)| shares_gpu(found, gpus));
    match found.sign.kind {
        SignKind::JobSilent => triggers.any(|(earlier, gpus)| {
            let is_down = |found: &Found| {
                GONE_KINDS.contains(&found.sign.kind)
                    && found.sign.from == earlier.from
                    && shares_gpu(found, gpus)
            };
            let is_severe = GONE.matches(earlier) || is_critical(earlier);
            is_severe && (is_recent || ongoing.iter().any(is_down))
        }),
        // The error is counted later than the driver tells of it.
        SignKind::EccUncorrected => {
            is_recent
                && triggers.any(|(earlier, _)| MEMORY.matches(earlier) && earlier.xid.is_some())
                && !closed.triggers().any(|(earlier, gpus)| {
                    earlier.kind == SignKind::EccUncorrected && shares_gpu(found, gpus)
                })
        }
        _ => false,
    }
}

/// What an application repeats that is started and crashes again and again, together with what follows from it. Another
/// link that goes down is news.
const REPEATED: [SignKind; 2] = [SignKind::Xid, SignKind::OomKill];

/// Whether a trigger only is the same again, of the same holder, soon after the incident was closed: a container that
/// is started and crashes again and again is told once a day.
pub(crate) fn repeats_closed(found: &Found, closed: &OpenIncident, holds: &[&Hold]) -> bool {
    let is_same = |(earlier, gpus): (&Sign, &[GpuInfo])| {
        repeats(&found.sign, earlier, shares_gpu(found, gpus))
    };
    let follows = |(earlier, gpus): (&Sign, &[GpuInfo])| {
        let last = earlier.to.unwrap_or(earlier.from);
        let is_after =
            last <= found.sign.from.after(TOGETHER) && found.sign.from <= last.after(AFTER);
        REPEATED.contains(&earlier.kind) && is_after && shares_gpu(found, gpus)
    };
    (REPEATED.contains(&found.sign.kind) || closed.triggers().any(follows))
        && !is_severe(found)
        && closed.is_recent(found.at, LATE)
        && closed.may_repeat(found, holds)
        && closed.triggers().any(is_same)
}

/// Whether an incident is kept however many others there are.
pub(crate) fn is_severe(found: &Found) -> bool {
    let always = [SignKind::EccUncorrected, SignKind::PowerBrake, SignKind::MachineRestart];
    let kind = found.sign.kind;
    is_critical(&found.sign) || GONE_KINDS.contains(&kind) || always.contains(&kind)
}

fn is_critical(sign: &Sign) -> bool {
    sign.xid.is_some_and(|code| xid::severity(code) == Severity::Critical)
}

fn shares_gpu(found: &Found, gpus: &[GpuInfo]) -> bool {
    found.gpus.iter().any(|gpu| gpus.iter().any(|other| other.is_same(gpu)))
}

fn repeats(sign: &Sign, earlier: &Sign, on_same_gpu: bool) -> bool {
    on_same_gpu && sign.kind == earlier.kind && sign.xid == earlier.xid
}
