//! The instances of a partitioned GPU (MIG): which there are, and what is read of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::catalog::Level;
use model::{
    Entity, FieldId, Instance, Reading, Readings, Reason, Value, Watch, WatchIndex, field,
};

use crate::call_group::CallGroup;
use crate::code::Code;
use crate::device::Device;
use crate::fields::{is_of_instances, row_of, rows};
use crate::gpm::Gpm;
use crate::gpm_calls::SampledEntity;
use crate::library::Library;
use crate::mig::{self, MigDevice, gpu_profile};
use crate::ordinary_calls::OrdinaryCalls;
use crate::pass::{PassContext, PassOutcome, Shared, TargetFinder};
use crate::plan::{Paces, Plan, Target, TargetPart};
use crate::row::{Call, Row};

/// The instances of one GPU, as they were when last looked at.
pub(crate) struct Instances {
    /// Whether compute instances are read, too.
    reads_compute: bool,
    /// The index of their GPU.
    gpu: u32,
    gpu_plan: Plan,
    compute_plan: Plan,
    /// The MIG devices that the last look found, to notice changes.
    found: Option<Vec<MigDevice>>,
    /// GPU instances without compute instances: number and profile. Listing them takes privileges.
    empty: Vec<(u32, String)>,
    /// Whether this process may list them, as far as is known.
    may_list_empty: bool,
    members: Vec<Member>,
}

/// A GPU instance or a compute instance.
struct Member {
    entity: Entity,
    watches: Arc<[WatchIndex]>,
    /// The MIG device with its memory and names; an empty instance has none.
    device: Option<Device>,
    /// Whether profiling takes samples of the GPU, or of the device above.
    is_sampled_by_gpu: bool,
    calls: OrdinaryCalls,
    gpm: Gpm,
    /// Readings that do not change.
    constants: Vec<(Target, Reading)>,
}

impl Instances {
    pub(crate) fn new(reads_compute: bool, gpu: u32, watches: &[Watch], paces: &mut Paces) -> Self {
        // Paces of instances are paces of the reader, whether there are instances now or not.
        watches.iter().filter(|watch| is_read(watch.field)).for_each(|watch| {
            paces.mask(watch.pace);
        });
        Self {
            reads_compute,
            gpu,
            gpu_plan: Plan::of(watches, is_read),
            compute_plan: Plan::of(watches, |field| is_read(field) && is_of_compute(field)),
            found: None,
            empty: Vec::new(),
            may_list_empty: true,
            members: Vec::new(),
        }
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.found = None;
        self.empty.clear();
        self.members.clear();
        self.may_list_empty = true;
    }

    /// Takes back every "not supported" and "not permitted".
    pub(crate) fn retry_unsupported(&mut self) {
        self.may_list_empty = true;
        for member in &mut self.members {
            member.calls.retry_unsupported();
            member.gpm.retry_unsupported();
        }
    }

    /// Looks which instances there are; `thoroughly` also for those without compute instances.
    /// Returns whether they are others than before.
    ///
    /// # Errors
    ///
    /// NVML's code, if it is about the GPU as a whole.
    pub(crate) fn look(
        &mut self,
        gpu: &Device,
        thoroughly: bool,
        shared: &mut Shared,
    ) -> Result<bool, Code> {
        if self.gpu_plan.watches.is_empty() {
            return Ok(false);
        }
        let (most, found) = mig::scan(gpu)?;
        let mut changed = self.found.as_ref() != Some(&found);
        if (thoroughly || changed) && self.may_list_empty {
            let empty = mig::scan_empty(gpu, &found)?;
            self.may_list_empty = empty.is_some();
            let empty = empty.unwrap_or_default();
            changed |= empty != self.empty;
            self.empty = empty;
        }
        if changed {
            self.rebuild(most, &found, &gpu.library, shared);
            self.found = Some(found);
        }
        Ok(changed)
    }

    /// Drops the readings of instances that are gone.
    pub(crate) fn retain(&self, out: &mut Readings) {
        out.retain(|entity| match entity {
            Entity::Instance(_) => self.members.iter().any(|member| member.entity == *entity),
            _ => true,
        });
    }

    fn rebuild(
        &mut self,
        most: u32,
        found: &[MigDevice],
        library: &Arc<Library>,
        shared: &mut Shared,
    ) {
        let mut instances: BTreeMap<u32, (String, Vec<&MigDevice>)> = BTreeMap::new();
        for found in found {
            let profile = gpu_profile(&found.profile).to_owned();
            let entry = instances.entry(found.gpu_instance).or_insert((profile, Vec::new()));
            entry.1.push(found);
        }
        for (id, profile) in &self.empty {
            instances.entry(*id).or_insert_with(|| (profile.clone(), Vec::new()));
        }
        // DCGM counts them profile by profile.
        let mut instances: Vec<_> = instances.into_iter().collect();
        instances.sort_by_key(|(_, (profile, _))| mig::rank(profile));
        let part = TargetPart::ITSELF;
        let mut members = Vec::new();
        for (number, (id, (profile, inside))) in (self.gpu * most..).zip(instances) {
            let mig_devices: Vec<_> =
                inside.iter().filter_map(|found| found.for_holders()).collect();
            let instance = |compute: Option<&MigDevice>| Instance {
                gpu_instance: id,
                compute_instance: compute.map(|found| found.compute_instance),
                number,
                profile: compute.map_or(&profile, |found| &found.profile).clone(),
                mig_devices: mig_devices
                    .iter()
                    .filter(|device| compute.is_none_or(|found| found.number == device.number))
                    .cloned()
                    .collect(),
            };
            let first = inside.first().copied();
            let sampled =
                first.map_or(SampledEntity::EmptyInstance, |_| SampledEntity::GpuInstance(id));
            let targets = TargetFinder { plan: &self.gpu_plan, part, shared };
            members.push(Member::new(instance(None), first, sampled, library, targets));
            for found in inside.iter().filter(|_| self.reads_compute) {
                let (instance, sampled) = (instance(Some(found)), SampledEntity::Device);
                let targets = TargetFinder { plan: &self.compute_plan, part, shared };
                members.push(Member::new(instance, Some(found), sampled, library, targets));
            }
        }
        self.members = members;
    }

    /// Reads what is due of each.
    ///
    /// # Errors
    ///
    /// NVML's code, if it is about the driver.
    pub(crate) fn read(&mut self, gpu: &Device, pass: &mut PassContext) -> Result<(), Code> {
        for member in &mut self.members {
            let part = [pass.out.part(&member.entity, &member.watches)];
            let mut pass = PassContext {
                gpu: pass.gpu,
                pass: pass.pass,
                due: pass.due,
                shared: &mut *pass.shared,
                out: &mut *pass.out,
                parts: &part,
                // What an instance answers or lacks is no sign of the GPU's state.
                outcome: &mut PassOutcome::default(),
            };
            match member.read(gpu, &mut pass) {
                Ok(()) => {}
                Err(code) if code.is_about_the_driver() => return Err(code),
                // Destroyed since the last look, which the next one will show, or broken. If it is the
                // GPU that is lost, its own calls say so.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Member {
    fn new(
        instance: Instance,
        found: Option<&MigDevice>,
        sampled: SampledEntity,
        library: &Arc<Library>,
        mut targets: TargetFinder,
    ) -> Self {
        let mut calls = OrdinaryCalls::default();
        let mut gpm = Gpm::new(Arc::clone(library), sampled, &mut targets.shared.times);
        let name = Value::Text(instance.profile.as_str().into());
        let name = targets.target(field::NAME).map(|target| (target, Ok(name)));
        let mut constants: Vec<(Target, Reading)> = name.into_iter().collect();
        for row in rows().filter(|row| is_read_of_instances(row)) {
            if found.is_some() {
                calls.add(row, 0, &mut targets);
            } else if matches!(row.call, Call::Ordinary(_)) {
                let targets = row.fields.iter().filter_map(|(_, field)| targets.target(field));
                constants.extend(targets.map(|target| (target, Err(Reason::NoData))));
            }
            gpm.add(row, 0, &mut targets);
        }
        Self {
            watches: Arc::clone(&targets.plan.watches),
            device: found
                .map(|found| Device { library: Arc::clone(library), handle: found.device.handle }),
            is_sampled_by_gpu: sampled != SampledEntity::Device,
            calls,
            gpm,
            constants,
            entity: Entity::Instance(Arc::new(instance)),
        }
    }

    fn read(&mut self, gpu: &Device, pass: &mut PassContext) -> Result<(), Code> {
        pass.write_constants(&self.constants);
        if let Some(device) = &self.device {
            self.calls.read(device, pass)?;
        }
        let sampled = if self.is_sampled_by_gpu { Some(gpu) } else { self.device.as_ref() };
        sampled.map_or(Ok(()), |device| self.gpm.read(device, pass))
    }
}

/// Whether a row is read of instances. Their names are not: they are the names of their profiles.
fn is_read_of_instances(row: &Row) -> bool {
    match row.call {
        Call::Ordinary(_) => {
            row.fields.iter().all(|(_, field)| is_of_instances(field) && field != field::NAME)
        }
        Call::Metric(..) => true,
        _ => false,
    }
}

/// Whether a field is read of instances.
fn is_read(field: FieldId) -> bool {
    let call = row_of(field).map(|row| &row.call);
    is_of_instances(field) && matches!(call, Some(Call::Ordinary(_) | Call::Metric(..)))
}

/// Whether a field exists for compute instances too.
fn is_of_compute(field: FieldId) -> bool {
    model::catalog::by_id(field).is_some_and(|row| row.level == Level::ComputeInstance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::METRICS_CALL;

    #[test]
    fn instances_have_memory_names_and_profiling_of_their_own() {
        let all = model::catalog::FIELDS.iter().map(|row| row.id);
        let read: Vec<u16> = all.clone().filter(|field| is_read(*field)).map(|f| f.0).collect();
        let expected = [
            50, 54, 90, 92, 93, 250, 251, 252, 253, 254, 1001, 1002, 1003, 1004, 1005, 1006, 1007,
            1008, 1013, 1014, 1015, 1016, 1625, 1626, 1627, 1628,
        ];
        assert_eq!(read, expected);
        let of_gpu_instances: Vec<u16> =
            all.filter(|field| is_read(*field) && !is_of_compute(*field)).map(|f| f.0).collect();
        assert_eq!(of_gpu_instances, [1005]);
        let calls = rows().filter(|row| is_read_of_instances(row)).map(|row| row.call.name());
        let calls: Vec<&str> = calls.filter(|name| *name != METRICS_CALL).collect();
        let memory_and_names =
            ["nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetBAR1MemoryInfo"];
        assert_eq!(calls, memory_and_names);
    }
}
