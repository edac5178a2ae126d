//! Jobs whose GPUs stop working together.

use std::time::Duration;

use super::activity::Silence;
use super::found::Found;
use super::gpu_state::GpuState;
use super::holders::Holders;
use crate::event::HolderInfo;
use crate::layout::GpuInfo;
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::{gpus, sentence, whole};

/// Silence of a job that still has its GPUs and their memory, without anything that explains it: hardly a pause of a
/// healthy job on several GPUs is as long.
const UNEXPLAINED: Duration = Duration::from_secs(600);
/// Silence of a job that still has its GPUs, where something harmful goes on.
const LONG: Duration = Duration::from_secs(60);
/// Silence after which a job is looked at that may have ended because of something harmful.
const SHORT: Duration = Duration::from_secs(5);
/// The GPUs of a job become silent within this time.
const TOGETHER: Duration = Duration::from_secs(30);
/// Something harmful is suspected this long after it ended.
const SUSPECTED: Duration = Duration::from_secs(120);

/// Silence that is no longer looked at: no job was harmed; and that of a job that has ended.
const LOOKED_AT: Duration = Duration::from_secs(900);
const LOOKED_AT_ENDED: Duration = Duration::from_secs(300);

/// Heat for so long is harmful, whatever it did to clocks.
const LONG_HEAT: Duration = Duration::from_secs(300);
/// What some machines always have, so that each job there ends in it.
const USUAL: [SignKind; 2] = [SignKind::HeatSlowdown, SignKind::HostMemoryPressure];
/// It is told again of the same GPUs after this time.
const AGAIN: Duration = Duration::from_secs(6 * 3600);

/// Jobs that were told, and groups of GPUs.
const MOST: usize = 256;

/// GPUs that one job uses, as far as that is known.
struct Group<'a> {
    /// `None` for the GPUs without a known holder.
    holder: Option<&'a HolderInfo>,
    /// Whether the holder gave one of them back a moment ago.
    has_ended: bool,
    /// Positions of states.
    members: Vec<usize>,
}

/// Jobs that were told to be silent without anything that harmed them.
#[derive(Clone, Default, Debug)]
pub(crate) struct SilentJobs {
    told: Vec<HolderInfo>,
    /// GPUs whose jobs ended in something usual.
    usual: Vec<(SignKind, Vec<GpuInfo>, Time)>,
}

impl SilentJobs {
    /// Whether the job is to be told: once. One that works again waits for work at times, as a notebook or a server
    /// of inference does.
    fn is_news(&mut self, holder: &HolderInfo, holders: &Holders) -> bool {
        self.told.retain(|told| holders.all().iter().any(|hold| hold.holder.is_same(told)));
        let is_news = !self.told.iter().any(|told| told.is_same(holder)) && self.told.len() < MOST;
        if is_news {
            self.told.push(holder.clone());
        }
        is_news
    }

    /// The same for a job that ended in what is usual: whether one of these was not told of its GPUs lately.
    fn is_news_of_usual(&mut self, now: Time, kinds: &[SignKind], gpus: &[GpuInfo]) -> bool {
        self.usual.retain(|(.., told)| now.since(*told) <= AGAIN);
        let are_same = |other: &[GpuInfo]| {
            other.len() == gpus.len()
                && gpus.iter().all(|gpu| other.iter().any(|other| other.is_same(gpu)))
        };
        let before = self.usual.len();
        for kind in kinds {
            let is_told = self.usual.iter().any(|(told, gpus, _)| told == kind && are_same(gpus));
            if !is_told && self.usual.len() < MOST {
                self.usual.push((*kind, gpus.to_vec(), now));
            }
        }
        self.usual.len() > before
    }
}

/// Jobs that stopped working. `harms` are signs that harm jobs, at least those of the last minutes.
pub(crate) fn find(
    silent_jobs: &mut SilentJobs,
    now: Time,
    interval: Duration,
    states: &mut [GpuState],
    holders: &Holders,
    harms: &[Found],
) -> Vec<Found> {
    let mut found = Vec::new();
    for group in groups(now, states, holders) {
        let Some(stop) = Stop::of(now, interval, states, &group) else { continue };
        let gave_up = stop.is_freed || group.has_ended;
        let has_all = group.holder.is_some() && !group.has_ended;
        let is_unexplained =
            has_all && stop.seen >= UNEXPLAINED && stop.members.len() > 1 && !stop.is_freed_in_part;
        let is_time = match gave_up {
            true => (SHORT..=LOOKED_AT_ENDED.max(interval)).contains(&stop.seen),
            false => has_all && stop.seen >= LONG,
        };
        let harmful = if is_time { stop.harmed_by(harms) } else { Vec::new() };
        if !is_unexplained && harmful.is_empty() {
            continue;
        }
        for position in &stop.members {
            let silence =
                states.get_mut(*position).and_then(|state| state.activity.silence.as_mut());
            if let Some(silence) = silence {
                silence.is_told = true;
            }
        }
        let is_news = match group.holder {
            _ if harmful.iter().any(|kind| !USUAL.contains(kind)) => true,
            _ if !harmful.is_empty() => {
                silent_jobs.is_news_of_usual(now, &harmful, &stop.gpus_of_job)
            }
            Some(holder) => silent_jobs.is_news(holder, holders),
            None => false,
        };
        if is_news {
            found.push(stop.found(now, group.holder));
        }
    }
    found
}

/// Whether a GPU stopped working a moment ago, so that there is something to look for. In almost all rows there
/// is none.
pub(crate) fn is_any(states: &[GpuState]) -> bool {
    states.iter().any(|state| state.activity.silence.is_some_and(is_open))
}

fn is_open(silence: Silence) -> bool {
    silence.was_busy() && !silence.is_told && silence.seen <= LOOKED_AT
}

fn groups<'a>(now: Time, states: &[GpuState], holders: &'a Holders) -> Vec<Group<'a>> {
    let recent = now.before(LONG);
    let mut is_held = vec![false; states.len()];
    let mut groups = Vec::new();
    for holder in holders.since(recent) {
        let holds: Vec<_> = holders
            .all()
            .iter()
            .filter(|hold| hold.holder.is_same(holder) && hold.to.is_none_or(|to| to >= recent))
            .collect();
        let is_member = |state: &GpuState| holds.iter().any(|hold| hold.gpu.is_same(&state.gpu));
        let mut members = Vec::new();
        for (position, state) in states.iter().enumerate() {
            if is_member(state) {
                members.push(position);
                if let Some(is_held) = is_held.get_mut(position) {
                    *is_held = true;
                }
            }
        }
        let has_ended = holds.iter().any(|hold| hold.to.is_some());
        groups.push(Group { holder: Some(holder), has_ended, members });
    }
    let free = is_held.iter().enumerate().filter(|(_, is_held)| !**is_held);
    let members = free.map(|(position, _)| position).collect();
    groups.push(Group { holder: None, has_ended: false, members });
    groups
}

/// GPUs of a group that stopped together.
struct Stop {
    members: Vec<usize>,
    gpus: Vec<GpuInfo>,
    /// All GPUs of the job, also those that did nothing before, or are down.
    gpus_of_job: Vec<GpuInfo>,
    since: Time,
    /// What is this far apart is at once.
    slack: Duration,
    seen: Duration,
    /// The mean utilization before, in percent.
    before: f64,
    is_freed: bool,
    is_freed_in_part: bool,
}

impl Stop {
    fn of(now: Time, interval: Duration, states: &[GpuState], group: &Group<'_>) -> Option<Self> {
        let members = || {
            group.members.iter().filter_map(|position| Some((*position, states.get(*position)?)))
        };
        let silent: Vec<_> = members()
            .filter_map(|(position, state)| Some((position, state, state.activity.silence?)))
            .filter(|(_, _, silence)| is_open(*silence))
            .collect();
        let is_working = members().any(|(_, state)| state.activity.works_at(now));
        if group.holder.is_some() && is_working {
            return None;
        }
        let last = silent.iter().map(|(_, _, silence)| silence.since).max()?;
        let slack = TOGETHER.saturating_add(interval);
        let together: Vec<_> = silent
            .into_iter()
            .filter(|(_, _, silence)| last.since(silence.since) <= slack)
            .collect();
        let since = together.iter().map(|(_, _, silence)| silence.since).min()?;
        let seen = together.iter().map(|(_, _, silence)| silence.seen).min()?;
        let sum: f64 = together.iter().map(|(_, _, silence)| silence.before).sum();
        let freed_since = since.before(slack);
        let is_freed = |state: &GpuState| state.freed.is_some_and(|at| at >= freed_since);
        let gpus: Vec<_> = together.iter().map(|(_, state, _)| state.gpu.clone()).collect();
        let gpus_of_job = match group.holder {
            Some(_) => members().map(|(_, state)| state.gpu.clone()).collect(),
            None => gpus.clone(),
        };
        Some(Self {
            members: together.iter().map(|(position, ..)| *position).collect(),
            gpus,
            gpus_of_job,
            since,
            slack: SHORT.saturating_add(interval),
            seen,
            before: sum / together.len() as f64,
            is_freed: together.iter().all(|(_, state, _)| is_freed(state)),
            is_freed_in_part: together.iter().any(|(_, state, _)| is_freed(state)),
        })
    }

    /// What was harmful and going on when it stopped, on one of its GPUs or on the whole machine.
    fn harmed_by(&self, harms: &[Found]) -> Vec<SignKind> {
        let (first, last) = (self.since.before(SUSPECTED), self.since.after(SHORT));
        let is_harm = |harm: &&Found| {
            let is_mine = |gpu: &GpuInfo| self.gpus_of_job.iter().any(|mine| mine.is_same(gpu));
            let is_here = harm.gpus.is_empty() || harm.gpus.iter().any(is_mine);
            // A job that ends on a warm GPU has not ended because of that.
            let is_at_end = harm.sign.overlaps(self.since.before(self.slack), last);
            let after = harm.sign.to.unwrap_or(harm.at).since(self.since);
            let is_bad = harm.sign.kind != SignKind::HeatSlowdown
                || harm.seen.saturating_sub(after) >= LONG_HEAT
                || (harm.lowers_clocks && is_at_end);
            is_here && is_bad && harm.sign.overlaps(first, last)
        };
        harms.iter().filter(is_harm).map(|harm| harm.sign.kind).collect()
    }

    fn found(&self, now: Time, holder: Option<&HolderInfo>) -> Found {
        let who = match (self.gpus.as_slice(), holder) {
            ([gpu], Some(holder)) => format!("{} of {}", gpu.name(), holder.name()),
            (gpus, Some(holder)) => format!("all {} busy GPUs of {}", gpus.len(), holder.name()),
            (several, None) => gpus(several),
        };
        let together = if self.gpus.len() > 1 { " together" } else { "" };
        let memory = match (self.is_freed, self.gpus.len()) {
            (false, _) => "",
            (true, 1) => ", and its memory was freed",
            (true, _) => ", and their memory was freed",
        };
        let before = whole(self.before);
        let text = format!(
            "{who} stopped working{together}: utilization fell from {before} % to 0{memory}"
        );
        let found = Found::once(SignKind::JobSilent, None, self.since, sentence(&text));
        Found { at: now, ..found.on_gpus(&self.gpus_of_job) }
    }
}
