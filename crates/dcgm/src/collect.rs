//! One pass over everything that a session watches: fetches the newest values and assigns them to
//! entities.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use model::catalog::ValueType;
use model::{Entity, Health, Moment, Pace, Pass, Reason, TimedReading, Value, XidEvent};

use crate::abi::{EntityPair, FieldValue, entity, status};
use crate::entities::{self, Kind, Member};
use crate::fetch::latest_values;
use crate::moments::{self, Moments, Poll};
use crate::peers::{self, PeerState};
use crate::plan::Plan;
use crate::value::Raw;
use crate::watching::{Watching, XidWatch};
use crate::xids::{XidPoll, XidQueue};
use crate::{Code, Handle, health};

/// How long after the start all values are fetched in each pass, whatever their period.
const SETTLING: Duration = Duration::from_secs(15);

/// The longest time between samples that counts as a slow engine, beyond the period of the watch.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// The shortest time between two renewals of the watches.
const RENEW_INTERVAL: Duration = Duration::from_millis(500);

/// The time between two polls for first values.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How long a GPU without any value counts as starting.
const STARTING: Duration = Duration::from_secs(5);

/// What a session reads, and its latest values.
pub(crate) struct Collection {
    pub(crate) handle: Arc<Handle>,
    pub(crate) plans: Vec<(Kind, Plan)>,
    pub(crate) kept: Vec<EntityValues>,
    index: HashMap<EntityPair, usize>,
    watching: Watching,
    moments: Moments,
    xids: XidQueue,
    gpus: BTreeMap<u32, GpuState>,
    wants_health: bool,
    wants_peers: bool,
    pub(crate) peer_states: Vec<PeerState>,
    began: Moment,
    /// When the last pass began, by the sampler's clock.
    last: Option<Duration>,
    /// When the engine was last asked for values.
    polled: Option<Moment>,
    /// Whether the engine has dropped a watch, and when the watches were last renewed.
    unwatched: bool,
    renewed_at: Option<Moment>,
    outcome: Result<(), Reason>,
    new_values: Vec<NewValue>,
}

/// One entity with its latest values.
pub(crate) struct EntityValues {
    pub(crate) member: Member,
    /// The index of its plan.
    pub(crate) plan: usize,
    /// By field of the plan: the timestamp of its value; 0 for none.
    stamps: Vec<i64>,
    /// By field of the plan: the time between the last two samples, if the engine was polled in
    /// between and had nothing new. Otherwise zero.
    gaps: Vec<Duration>,
    /// By field of the plan: whether the last poll had nothing new.
    idle: Vec<bool>,
    /// The reading of each slot of the plan.
    pub(crate) readings: Vec<TimedReading>,
    /// Whether it ever had a number.
    has_had_number: bool,
}

impl EntityValues {
    /// The time between two samples of a field, if it is longer than `asked`.
    pub(crate) fn slower(&self, number: usize, asked: Duration) -> Option<Duration> {
        Some(self.gaps[number]).filter(|gap| *gap > asked)
    }
}

/// A value that is new in this pass.
struct NewValue {
    kept: usize,
    field: usize,
    /// `None` for a missing value, or a text, which does not age.
    stamp: Option<i64>,
}

/// One GPU as a whole.
#[derive(Default)]
struct GpuState {
    down: Option<Reason>,
    health: Option<Vec<Health>>,
}

/// The inputs of [`Collection::new`].
pub(crate) struct Parts {
    pub(crate) handle: Arc<Handle>,
    pub(crate) plans: Vec<(Kind, Plan)>,
    pub(crate) members: Vec<Member>,
    pub(crate) watching: Watching,
    pub(crate) is_local: bool,
    pub(crate) xids: XidQueue,
    pub(crate) wants_health: bool,
    pub(crate) wants_peers: bool,
}

impl Collection {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { handle, plans, members, watching, .. } = parts;
        let now = Moment::now();
        let has_links =
            |gpu| members.iter().any(|member| member.kind == Kind::Link && member.gpu == Some(gpu));
        let fixed = |reason| TimedReading { reading: Err(reason), at: Some(now) };
        let keep = |member: &Member| {
            let plan = plans.iter().position(|(kind, _)| *kind == member.kind)?;
            let (kind, of_kind) = &plans[plan];
            let mut readings = vec![TimedReading::EMPTY; of_kind.watches.len()];
            if member.kind == Kind::Gpu && !member.gpu.is_some_and(has_links) {
                of_kind
                    .link_slots
                    .iter()
                    .for_each(|slot| readings[slot.0] = fixed(Reason::NotSupported));
            }
            for refused in watching.refused.iter().filter(|refused| refused.kind == *kind) {
                if let Some(field) = of_kind.number(refused.field) {
                    for (slot, _) in &of_kind.fields[field].targets {
                        readings[slot.0] = fixed(refused.reason);
                    }
                }
            }
            let stamps = vec![0; of_kind.fields.len()];
            let gaps = vec![Duration::ZERO; of_kind.fields.len()];
            let idle = vec![false; of_kind.fields.len()];
            Some(EntityValues {
                member: member.clone(),
                plan,
                stamps,
                gaps,
                idle,
                readings,
                has_had_number: false,
            })
        };
        let kept: Vec<EntityValues> = members.iter().filter_map(keep).collect();
        let index = kept.iter().enumerate().map(|(at, kept)| (kept.member.key, at)).collect();
        let gpus = members.iter().filter(|member| member.kind == Kind::Gpu);
        Self {
            gpus: gpus.map(|member| (member.key.id, GpuState::default())).collect(),
            handle,
            kept,
            index,
            plans,
            watching,
            moments: Moments::new(parts.is_local),
            xids: parts.xids,
            wants_health: parts.wants_health,
            wants_peers: parts.wants_peers,
            peer_states: Vec::new(),
            began: now,
            last: None,
            polled: None,
            unwatched: false,
            renewed_at: None,
            outcome: Err(Reason::NoData),
            new_values: Vec::new(),
        }
    }

    /// Fetches what is new, unless another reader already did at this tick.
    ///
    /// # Errors
    ///
    /// When the engine as a whole does not answer.
    pub(crate) fn refresh(&mut self, pass: &Pass, tick: Duration) -> Result<(), Reason> {
        let pass = Pass { previous: self.last, ..*pass };
        if self.last.is_some() && !pass.is_due(Pace::At(tick)) {
            return self.outcome;
        }
        self.outcome = self.ask(&pass).map_err(|code| {
            tracing::debug!("the engine stopped answering: {code}");
            code.reason()
        });
        let delivers_xids = self.outcome.is_ok() && !self.watching.xids.is_empty();
        let again = 2 * tick.max(Duration::from_secs(1));
        self.xids.listen_until(delivers_xids.then(|| Moment::now() + again));
        self.last = Some(pass.elapsed);
        self.outcome
    }

    fn ask(&mut self, pass: &Pass) -> Result<(), Code> {
        if self.handle.is_dead() {
            return Err(Code(-21));
        }
        let is_settling = self.began.elapsed() < SETTLING;
        self.poll(|period| is_settling || pass.is_due(Pace::At(period / 2)))?;
        self.hear()?;
        if pass.is_due(Pace::Slow) {
            self.judge()?;
        }
        self.update_gpu_states(pass)
    }

    /// Waits for the first values of all GPUs, so that a new session makes no gap; at most for
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// When the engine is gone.
    pub(crate) fn prime(&mut self, timeout: Duration) -> Result<(), Code> {
        while self.began.elapsed() < timeout {
            self.poll(|_| true)?;
            let now = Moment::now();
            let is_alive = |kept: &EntityValues| {
                liveness(kept, &self.plans[kept.plan].1, Duration::ZERO, now).is_ok()
            };
            let mut gpus = self.kept.iter().filter(|kept| kept.member.kind == Kind::Gpu);
            if gpus.all(is_alive) {
                break;
            }
            thread::sleep(FIRST_POLL_INTERVAL);
        }
        Ok(())
    }

    /// Fetches the newest values of the watches that are due.
    fn poll(&mut self, due: impl Fn(Duration) -> bool) -> Result<(), Code> {
        self.new_values.clear();
        // Taken before the call: if the call hangs, its values are not newer than this.
        let (now, wall) = (Moment::now(), SystemTime::now());
        let watches = std::mem::take(&mut self.watching.watched);
        let asked = watches.iter().filter(|watched| due(watched.period)).try_for_each(|watched| {
            match latest_values(&watched.watch, &mut |key, value| self.take(key, value)) {
                Err(code) if code.is_about_the_engine() => Err(code),
                // The readings become late.
                Err(code) => {
                    tracing::debug!("the engine does not return some values: {code}");
                    Ok(())
                }
                Ok(()) => Ok(()),
            }
        });
        self.watching.watched = watches;
        asked?;
        self.stamp(now, wall);
        self.watch_again();
        self.polled = Some(now);
        Ok(())
    }

    /// Stores one value.
    fn take(&mut self, key: EntityPair, value: &FieldValue) {
        // A value of the whole machine counts for each GPU.
        if key.group == entity::NONE {
            for at in 0..self.kept.len() {
                if self.kept[at].member.kind == Kind::Gpu {
                    self.take_of(at, value);
                }
            }
        } else if let Some(at) = self.index.get(&key) {
            self.take_of(*at, value);
        }
    }

    fn take_of(&mut self, at: usize, value: &FieldValue) {
        let kept = &mut self.kept[at];
        let plan = &self.plans[kept.plan].1;
        let Some(number) = plan.number(value.field) else { return };
        let field = &plan.fields[number];
        if value.status == Code::NOT_WATCHED.0 && kept.stamps[number] > 0 {
            self.unwatched = true;
            return;
        }
        let raw = Raw::of(value);
        let stamp = match raw {
            Raw::Absent(_) => None,
            // A name does not age, and some engines never sample it again.
            Raw::Text(_) => None,
            Raw::Int(_) | Raw::Float(_) if value.ts == kept.stamps[number] => {
                kept.idle[number] = true;
                return;
            }
            Raw::Int(_) | Raw::Float(_) => Some(value.ts),
        };
        let reading = raw.reading(field.field);
        if stamp.is_none() {
            let (slot, _) = field.targets[0];
            let known = &kept.readings[slot.0];
            // The same reason again is new only if the engine tried again.
            let is_known = known.reading == reading && kept.stamps[number] == value.ts;
            if is_known && field.field.value != ValueType::Text {
                return;
            }
        }
        let before = std::mem::replace(&mut kept.stamps[number], value.ts);
        if stamp.is_some() {
            let was_idle = std::mem::take(&mut kept.idle[number]) && before > 0;
            let gap = if was_idle { value.ts.saturating_sub(before) } else { 0 };
            // A value that did not change is not slow.
            kept.gaps[number] = moments::micros(gap).min(LONGEST_GAP);
            kept.has_had_number |= reading.is_ok();
        }
        for (slot, conversion) in &field.targets {
            kept.readings[slot.0].reading = conversion.apply(reading.clone());
        }
        self.new_values.push(NewValue { kept: at, field: number, stamp });
    }

    /// Renews watches that the engine has dropped. An engine that identifies a watch by its
    /// connection drops it when an earlier session ends its own watch.
    fn watch_again(&mut self) {
        let is_time = self.renewed_at.is_none_or(|at| at.elapsed() > RENEW_INTERVAL);
        if !std::mem::take(&mut self.unwatched) || !is_time {
            return;
        }
        self.renewed_at = Some(Moment::now());
        let watches = self.watching.watched.iter().map(|watched| &watched.watch);
        let xids = self.watching.xids.iter().map(|xids| &xids.watch);
        for watch in watches.chain(xids) {
            if let Err(code) = watch.renew() {
                tracing::debug!("the engine does not watch something again: {code}");
            }
        }
    }

    /// Sets the age of all new values.
    fn stamp(&mut self, now: Moment, wall: SystemTime) {
        let newest = self.new_values.iter().filter_map(|new_values| new_values.stamp).max();
        let before = self.polled;
        let poll = newest.map(|newest| Poll { now, wall, before, newest });
        // A field with a longer period was not polled last time, and its value may be older.
        let since = before.map(|before| now.saturating_duration_since(before));
        let is_often = |new_values: &&NewValue| {
            let plan = &self.plans[self.kept[new_values.kept].plan].1;
            since.is_some_and(|since| plan.fields[new_values.field].period <= 2 * since)
        };
        let often =
            self.new_values.iter().filter(is_often).filter_map(|new_values| new_values.stamp).max();
        if let (Some(poll), Some(newest)) = (poll, often) {
            self.moments.check(&Poll { newest, ..poll });
        }
        for NewValue { kept, field, stamp } in &self.new_values {
            let kept = &mut self.kept[*kept];
            let at = match (stamp, &poll) {
                (Some(stamp), Some(poll)) => self.moments.of(*stamp, poll),
                _ => now,
            };
            for (slot, _) in &self.plans[kept.plan].1.fields[*field].targets {
                kept.readings[slot.0].at = Some(at);
            }
        }
    }

    /// Fetches new XIDs.
    fn hear(&mut self) -> Result<(), Code> {
        let mut look = XidPoll::default();
        let xids = self.xids.clone();
        for xid_watch in &self.watching.xids {
            let newest = |key, value: &FieldValue| xids.newest(key, value, &mut look);
            match latest_values(&xid_watch.watch, &mut { newest }) {
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => tracing::debug!("the engine does not return XIDs: {code}"),
                Ok(()) => {}
            }
        }
        let kept = |key| self.index.get(&key).map(|at| &self.kept[*at]);
        let owner = |key| kept(key).and_then(|kept| kept.member.gpu);
        let watches = self.watching.xids.iter().map(|xids| &xids.watch);
        for (gpu, new) in self.xids.take_new(watches, look, owner) {
            let instance = match kept(new.key).map(|kept| &kept.member.entity) {
                Some(Entity::Instance(instance)) => Some(instance.gpu_instance),
                _ => None,
            };
            self.xids.keep(gpu, XidEvent { instance, ..new.event });
        }
        Ok(())
    }

    /// Fetches the health of the GPUs and the states of their peers.
    fn judge(&mut self) -> Result<(), Code> {
        let gpus: Vec<u32> = self.gpus.keys().copied().collect();
        if let Some(group) = self.watching.gpus.as_ref().filter(|_| self.wants_health) {
            match health::incidents(&self.handle, group) {
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => tracing::debug!("the engine does not judge health: {code}"),
                Ok(incidents) => {
                    let owner = |key: EntityPair| match key.group {
                        entity::GPU => Some(key.id),
                        _ => self.index.get(&key).and_then(|at| self.kept[*at].member.gpu),
                    };
                    let health = health::by_gpu(&gpus, &incidents, owner);
                    for (gpu, health) in health {
                        self.gpus.entry(gpu).or_default().health = Some(health);
                    }
                }
            }
        }
        if self.wants_peers {
            match peers::peer_states(&self.handle, &gpus) {
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => {
                    tracing::debug!("the engine does not return the states of peers: {code}");
                    self.peer_states.clear();
                }
                Ok(peer_states) => self.peer_states = peer_states,
            }
        }
        Ok(())
    }

    /// Updates which GPUs answer, and why others do not.
    fn update_gpu_states(&mut self, pass: &Pass) -> Result<(), Code> {
        let now = Moment::now();
        let look_at_all = pass.is_due(Pace::Slow);
        for (gpu, state) in &mut self.gpus {
            let key = EntityPair { group: entity::GPU, id: *gpu };
            let Some(kept) = self.index.get(&key).map(|at| &self.kept[*at]) else { continue };
            let plan = &self.plans[kept.plan].1;
            let pulse = liveness(kept, plan, pass.cadence, now);
            if pulse.is_ok() && !look_at_all && state.down.is_none() {
                continue;
            }
            let status = entities::gpu_status(&self.handle, *gpu)?;
            state.down = match (status, pulse) {
                (Some(status::LOST | status::DETACHED | status::INACCESSIBLE), _) => {
                    Some(Reason::Lost)
                }
                (_, Ok(())) => None,
                // No watched field has a number on this GPU.
                (Some(status::OK | status::FAKE), Err(Reason::NoData)) if !kept.has_had_number => {
                    (self.began.elapsed() < STARTING).then_some(Reason::NoData)
                }
                (_, Err(Reason::NoData)) if self.began.elapsed() > STARTING => Some(Reason::Failed),
                (_, Err(reason)) => Some(reason),
            };
        }
        Ok(())
    }

    /// Ends the watches of this session, except those of XIDs that the next session on the same
    /// connection has taken.
    pub(crate) fn retire(&mut self) {
        if let Err(code) = self.hear() {
            tracing::debug!("the last XIDs of a session are not known: {code}");
        }
        self.watching.watched.clear();
        self.watching.xids.clear();
    }

    /// Its watches of XIDs, for the next session.
    pub(crate) fn xid_watches(&self) -> Vec<Arc<XidWatch>> {
        self.watching.xids.clone()
    }

    /// Whether a GPU answers, or why not.
    pub(crate) fn state_of(&self, gpu: u32) -> Result<(), Reason> {
        self.gpus.get(&gpu).and_then(|state| state.down).map_or(Ok(()), Err)
    }

    /// The health of a GPU, if it is new since the last call.
    pub(crate) fn take_health(&mut self, gpu: u32) -> Option<Vec<Health>> {
        self.gpus.get_mut(&gpu)?.health.take()
    }

    /// Whether any GPU has a recent value, or no pass has been made yet.
    pub(crate) fn is_alive(&self) -> bool {
        let has_value = || self.gpus.values().any(|state| state.down.is_none());
        self.last.is_none() || self.outcome.is_ok() && has_value()
    }
}

/// Whether a GPU has a recent value, or why not. Fields that are sampled most often decide.
fn liveness(
    kept: &EntityValues,
    plan: &Plan,
    cadence: Duration,
    now: Moment,
) -> Result<(), Reason> {
    let recent = plan.fields.iter().enumerate().filter_map(|(number, field)| {
        let (slot, _) = field.targets[0];
        let TimedReading { reading: Ok(Value::Int(_) | Value::Float(_)), at: Some(at) } =
            kept.readings[slot.0]
        else {
            return None;
        };
        Some((field.period.max(cadence), (at, kept.gaps[number])))
    });
    let often = recent.clone().map(|(period, _)| period).min().ok_or(Reason::NoData)?;
    let late_after = |every: Duration| (2 * often.max(every)).max(Duration::from_secs(1));
    let mut newest = recent.filter(|(period, _)| *period == often);
    match newest.any(|(_, (at, gap))| now.saturating_duration_since(at) <= late_after(gap)) {
        true => Ok(()),
        false => Err(Reason::Late),
    }
}
