//! Lets the engine sample what is wanted: groups of entities, groups of fields, watches.

use std::sync::Arc;
use std::time::Duration;

use model::Reason;

use crate::abi::{self, EntityPair};
use crate::entities::{Kind, Member};
use crate::group::{FieldGroup, Group, Keep, Watch};
use crate::wanted::{self, Plan};
use crate::{Code, Handle};

/// How much more often the engine samples than its values are asked for. Two rhythms of the same
/// length may meet at any phase; so no value is ever as old as an interval when it is asked for, and
/// the next one comes well before it is late.
const HEAD_START: f64 = 0.75;

/// How long the engine keeps events.
const EVENTS: Duration = Duration::from_secs(600);

/// The newest XID.
pub(crate) const XID: u16 = catalog::field::XID_ERRORS.0;

/// Some fields of all entities of a kind.
pub(crate) struct Watched {
    pub(crate) watch: Watch,
    /// From one sample to the next, as wanted.
    pub(crate) period: Duration,
}

/// A field that the engine does not take.
pub(crate) struct Refused {
    pub(crate) kind: Kind,
    pub(crate) field: u16,
    pub(crate) reason: Reason,
    pub(crate) code: Code,
}

/// All that a session has in the engine.
#[derive(Default)]
pub(crate) struct Watching {
    pub(crate) watched: Vec<Watched>,
    pub(crate) refused: Vec<Refused>,
    /// The newest XIDs, of GPUs and of their instances.
    pub(crate) xids: Vec<Watch>,
    /// All GPUs.
    pub(crate) gpus: Option<Arc<Group>>,
}

impl Watching {
    /// Watches these plans' fields of these members.
    ///
    /// # Errors
    ///
    /// When the engine is gone, or has no more groups.
    pub(crate) fn begin(
        handle: &Arc<Handle>,
        members: &[Member],
        plans: &[(Kind, Plan)],
        interval: Duration,
    ) -> Result<Self, Code> {
        let mut watching = Self::default();
        for (kind, plan) in plans {
            let mut keys: Vec<EntityPair> =
                members.iter().filter(|member| member.kind == *kind).map(|it| it.key).collect();
            let has_xids = matches!(kind, Kind::Gpu | Kind::GpuInstance);
            if keys.is_empty() || (plan.fields.is_empty() && !has_xids) {
                continue;
            }
            if keys.len() > abi::MOST_ENTITIES {
                let (left_out, most) = (keys.len() - abi::MOST_ENTITIES, abi::MOST_ENTITIES);
                tracing::warn!("{left_out} entities are left out: a group holds {most}");
                keys.truncate(abi::MOST_ENTITIES);
            }
            let group = Arc::new(Group::new(handle, &keys)?);
            for (period, fields) in plan.batches(abi::MOST_FIELDS) {
                watching.add(handle, *kind, &group, period, &fields)?;
            }
            if has_xids {
                let fields = FieldGroup::new(handle, &[XID])?;
                let (watch, answer) = Watch::new(&group, fields, interval, Keep::Events(EVENTS));
                match answer {
                    Err(code) if code.is_about_the_engine() => return Err(code),
                    Err(code) => tracing::warn!("the engine does not tell of XIDs: {code}"),
                    Ok(()) => watching.xids.push(watch),
                }
            }
            if *kind == Kind::Gpu {
                watching.gpus = Some(group);
            }
        }
        Ok(watching)
    }

    /// Watches fields, or, where the engine does not take them together, those that it takes.
    fn add(
        &mut self,
        handle: &Arc<Handle>,
        kind: Kind,
        group: &Arc<Group>,
        period: Duration,
        fields: &[u16],
    ) -> Result<(), Code> {
        let watched = FieldGroup::new(handle, fields).and_then(|made| {
            let sampled = period.mul_f64(HEAD_START);
            let (watch, answer) = Watch::new(group, made, sampled, Keep::Latest);
            match answer {
                // The others of the group are watched; which are not, their values will say.
                Ok(()) | Err(Code::MODULE_NOT_LOADED) => Ok((watch, answer)),
                Err(code) => Err(code),
            }
        });
        match (watched, fields) {
            (Ok((watch, answer)), _) => {
                if answer.is_err() && fields.iter().all(|field| wanted::is_profiling(*field)) {
                    self.refuse(kind, fields, Code::MODULE_NOT_LOADED);
                } else {
                    self.watched.push(Watched { watch, period });
                }
                Ok(())
            }
            (Err(code), _) if code.is_about_the_engine() || code == Code::MAX_LIMIT => Err(code),
            (Err(code), [_]) => {
                self.refuse(kind, fields, code);
                Ok(())
            }
            (Err(_), _) => {
                let (some, others) = fields.split_at(fields.len() / 2);
                self.add(handle, kind, group, period, some)?;
                self.add(handle, kind, group, period, others)
            }
        }
    }

    fn refuse(&mut self, kind: Kind, fields: &[u16], code: Code) {
        let reason = match code.reason() {
            // It will not be otherwise as long as the engine is the same.
            Reason::Failed => Reason::NotSupported,
            reason => reason,
        };
        let refused = |field: &u16| Refused { kind, field: *field, reason, code };
        self.refused.extend(fields.iter().map(refused));
    }
}
