//! Which triggers belong to an incident that is open: one row per common cause.

use std::time::Duration;

use super::open::OpenIncident;
use crate::detector::found::Found;
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
/// A GPU that does not answer.
const GONE: Pattern = Pattern::Either(
    &[SignKind::GpuLost, SignKind::GpuHung, SignKind::GpuMissing],
    &[79, 110, 119, 120, 154, 158, 167],
);
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

/// Whether a trigger belongs to the incident.
pub(crate) fn joins(found: &Found, open: &OpenIncident) -> bool {
    let (first, last) = (open.began().before(TOGETHER), open.last().after(TOGETHER));
    let is_near = |time| first <= time && time <= last;
    is_near(found.at)
        || is_near(found.sign.from)
        || open.triggers().any(|(earlier, gpus)| {
            let on_same_gpu =
                found.gpus.iter().any(|gpu| gpus.iter().any(|other| other.is_same(gpu)))
                    || (found.gpus.is_empty() && gpus.is_empty());
            repeats(&found.sign, earlier, on_same_gpu)
                || FOLLOWS.iter().any(|row| {
                    row.later.matches(&found.sign)
                        && row.earlier.matches(earlier)
                        && (on_same_gpu || !row.on_same_gpu)
                })
        })
}

fn repeats(sign: &Sign, earlier: &Sign, on_same_gpu: bool) -> bool {
    on_same_gpu && sign.kind == earlier.kind && sign.xid == earlier.xid
}
