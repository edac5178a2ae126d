//! Makes the engine watch the planned fields: groups of entities, groups of fields, watches.

use std::sync::Arc;
use std::time::Duration;

use model::Reason;

use crate::abi::{self, EntityPair};
use crate::entities::{Kind, Member};
use crate::group::{FieldGroup, Group, Keep, Watch};
use crate::plan::{self, Plan};
use crate::{Code, Handle};

/// The sampling period of the engine as a share of the polling period. With equal periods a value
/// could be a full interval old when it is polled. With this ratio it never is, and the next value
/// comes well before it is late.
const SAMPLING_RATIO: f64 = 0.75;

/// The shortest sampling period of the profiling module.
const MIN_PROFILING_PERIOD: Duration = Duration::from_millis(100);

/// How long the engine keeps events.
const EVENT_AGE: Duration = Duration::from_secs(600);

/// The field of the newest XID.
pub(crate) const XID: u16 = model::field::XID_ERRORS.0;

/// The most groups for single entities.
const MOST_SINGLE_GROUPS: usize = 16;

/// A watch on some fields of all entities of a kind.
pub(crate) struct Watched {
    pub(crate) watch: Watch,
    kind: Kind,
    /// The period of the plan.
    pub(crate) period: Duration,
}

/// A field that the engine refused.
pub(crate) struct Refused {
    pub(crate) kind: Kind,
    pub(crate) field: u16,
    pub(crate) reason: Reason,
    pub(crate) code: Code,
}

/// The newest XIDs of all entities of a kind.
pub(crate) struct XidWatch {
    kind: Kind,
    keys: Vec<EntityPair>,
    pub(crate) watch: Watch,
}

/// Everything that a session watches in the engine.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) watched: Vec<Watched>,
    pub(crate) refused: Vec<Refused>,
    /// Entities that the engine does not accept in a group now.
    pub(crate) left_out: Vec<(EntityPair, Code)>,
    /// The newest XIDs, of GPUs and of their instances.
    pub(crate) xids: Vec<Arc<XidWatch>>,
    /// All GPUs.
    pub(crate) gpus: Option<Arc<Group>>,
}

/// Entities of a kind, and how often their fields are sampled.
struct Batch<'a> {
    handle: &'a Arc<Handle>,
    kind: Kind,
    keys: Vec<EntityPair>,
    group: Arc<Group>,
    period: Duration,
}

impl Batch<'_> {
    /// Watches these fields together, or none of them. Releases of DCGM differ in what stays
    /// watched after a partial failure.
    fn watch(&self, fields: &[u16]) -> Result<Watch, Code> {
        let made = FieldGroup::new(self.handle, fields)?;
        let is_profiling = fields.iter().any(|field| plan::is_profiling(*field));
        let least = if is_profiling { MIN_PROFILING_PERIOD } else { Duration::ZERO };
        let sampled = self.period.mul_f64(SAMPLING_RATIO).max(least);
        let (watch, answer) = Watch::new(&self.group, made, sampled, Keep::Latest);
        answer.map(|()| watch)
    }

    /// Of fields that are refused together, those that are refused alone too.
    fn refused_of(&self, fields: &[u16], code: Code) -> Result<Vec<(u16, Code)>, Code> {
        if let [field] = fields {
            return Ok(vec![(*field, code)]);
        }
        let mut bad = Vec::new();
        let (some, others) = fields.split_at(fields.len() / 2);
        for half in [some, others] {
            match self.watch(half) {
                Ok(_) => {}
                Err(code) if code.is_about_the_engine() || code == Code::MAX_LIMIT => {
                    return Err(code);
                }
                Err(code) => bad.extend(self.refused_of(half, code)?),
            }
        }
        Ok(bad)
    }
}

impl Watching {
    /// Watches the fields of the plans. XIDs of the same entities stay watched by the watches of an
    /// earlier session, so that none is missed.
    ///
    /// # Errors
    ///
    /// When the engine is gone, or has no group left for the GPUs.
    pub(crate) fn begin(
        handle: &Arc<Handle>,
        members: &[Member],
        plans: &[(Kind, Plan)],
        interval: Duration,
        xids: Vec<Arc<XidWatch>>,
    ) -> Result<Self, Code> {
        let mut watching = Self { xids, ..Self::default() };
        for (kind, plan) in plans {
            match watching.begin_kind(handle, *kind, members, plan, interval) {
                Ok(()) => {}
                // GPUs come first. Without a free group, only this kind of entity is missing.
                Err(Code::MAX_LIMIT) if *kind != Kind::Gpu => {
                    let fields: Vec<u16> = plan.fields.iter().map(|it| it.field.id.0).collect();
                    watching.watched.retain(|watched| watched.kind != *kind);
                    watching.refuse(*kind, &fields, Code::MAX_LIMIT);
                }
                Err(code) => return Err(code),
            }
        }
        Ok(watching)
    }

    fn begin_kind(
        &mut self,
        handle: &Arc<Handle>,
        kind: Kind,
        members: &[Member],
        plan: &Plan,
        interval: Duration,
    ) -> Result<(), Code> {
        let of_kind = members.iter().filter(|member| member.kind == kind);
        let mut keys: Vec<EntityPair> = of_kind.map(|member| member.key).collect();
        let has_xids = matches!(kind, Kind::Gpu | Kind::GpuInstance);
        if keys.is_empty() || (plan.fields.is_empty() && !has_xids) {
            self.keep_xids_of(kind, &[]);
            return Ok(());
        }
        if keys.len() > abi::MOST_ENTITIES {
            let (left_out, most) = (keys.len() - abi::MOST_ENTITIES, abi::MOST_ENTITIES);
            tracing::warn!("{left_out} entities are left out: a group holds {most}");
            keys.truncate(abi::MOST_ENTITIES);
        }
        let (group, left_out) = Group::new(handle, &keys)?;
        keys.retain(|key| !left_out.iter().any(|(refused, _)| refused == key));
        self.left_out.extend(left_out);
        if keys.is_empty() {
            self.keep_xids_of(kind, &[]);
            return Ok(());
        }
        let mut batch = Batch { handle, kind, keys, group: Arc::new(group), period: interval };
        for (period, fields) in plan.batches(abi::MOST_FIELDS) {
            batch.period = period;
            self.add(&batch, &fields)?;
        }
        if has_xids && !self.keep_xids_of(kind, &batch.keys) {
            let fields = FieldGroup::new(handle, &[XID])?;
            let (watch, answer) =
                Watch::new(&batch.group, fields, interval, Keep::Events(EVENT_AGE));
            match answer {
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => tracing::warn!("the engine does not tell of XIDs: {code}"),
                Ok(()) => {
                    self.xids.push(Arc::new(XidWatch { kind, keys: batch.keys.clone(), watch }));
                }
            }
        }
        if kind == Kind::Gpu {
            self.gpus = Some(batch.group);
        }
        Ok(())
    }

    /// Ends watches of XIDs of a kind that are of other entities; says whether one of these is left. An
    /// engine that identifies a watch by its connection would end a new one with the old one, so the
    /// old one ends just before.
    fn keep_xids_of(&mut self, kind: Kind, keys: &[EntityPair]) -> bool {
        self.xids.retain(|xids| xids.kind != kind || xids.keys == keys);
        self.xids.iter().any(|xids| xids.kind == kind)
    }

    /// Watches fields; if the engine refuses some, the others.
    fn add(&mut self, batch: &Batch<'_>, fields: &[u16]) -> Result<(), Code> {
        let code = match batch.watch(fields) {
            Ok(watch) => {
                self.watched.push(Watched { watch, kind: batch.kind, period: batch.period });
                return Ok(());
            }
            Err(code) if code.is_about_the_engine() || code == Code::MAX_LIMIT => return Err(code),
            Err(code) => code,
        };
        // Without the profiling module all of its fields are missing.
        let is_profiling = fields.iter().all(|field| plan::is_profiling(*field));
        let bad = match is_profiling && code == Code::MODULE_NOT_LOADED {
            true => fields.iter().map(|field| (*field, code)).collect(),
            false => batch.refused_of(fields, code)?,
        };
        let good: Vec<u16> =
            fields.iter().copied().filter(|it| !bad.iter().any(|(field, _)| field == it)).collect();
        if bad.is_empty() {
            // The engine accepts each half alone.
            let (some, others) = fields.split_at(fields.len() / 2);
            self.add(batch, some)?;
            return self.add(batch, others);
        }
        if good.is_empty() && batch.keys.len() > 1 && code != Code::MODULE_NOT_LOADED {
            // Perhaps a single entity has none of them.
            return self.watch_each(batch, fields);
        }
        for (field, code) in bad {
            self.refuse(batch.kind, &[field], code);
        }
        if good.is_empty() { Ok(()) } else { self.add(batch, &good) }
    }

    /// Watches fields of each entity separately, each in its own group.
    fn watch_each(&mut self, batch: &Batch<'_>, fields: &[u16]) -> Result<(), Code> {
        let mut refused = Vec::new();
        let mut is_watched = false;
        for key in batch.keys.iter().take(MOST_SINGLE_GROUPS) {
            let watch = Group::new(batch.handle, &[*key]).and_then(|(group, left_out)| {
                if let Some((_, code)) = left_out.first() {
                    return Err(*code);
                }
                Batch { keys: vec![*key], group: Arc::new(group), ..*batch }.watch(fields)
            });
            match watch {
                Ok(watch) => {
                    is_watched = true;
                    self.watched.push(Watched { watch, kind: batch.kind, period: batch.period });
                }
                Err(code) if code.is_about_the_engine() => return Err(code),
                Err(code) => refused.push(code),
            }
        }
        if let Some(code) = refused.first().filter(|_| !is_watched) {
            self.refuse(batch.kind, fields, *code);
        }
        Ok(())
    }

    fn refuse(&mut self, kind: Kind, fields: &[u16], code: Code) {
        let reason = match code.reason() {
            // It stays so as long as the engine is the same.
            Reason::Failed => Reason::NotSupported,
            reason => reason,
        };
        let refused = |field: &u16| Refused { kind, field: *field, reason, code };
        self.refused.extend(fields.iter().map(refused));
    }
}
