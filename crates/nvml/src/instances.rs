//! The instances of a partitioned GPU (MIG): which there are, and what is read of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::catalog::Level;
use model::{
    Entity, FieldId, Instance, Reading, Readings, Reason, Value, Watch, WatchIndex, field,
};

use crate::call_times::CallTimes;
use crate::calls::Calls;
use crate::getters::{GETTERS, is_of_instances};
use crate::gpm::{Gpm, Request, Whole};
use crate::mig_devices::{self, Found, gpu_profile};
use crate::plan::{Paces, Plan, Sink, Target, TargetPart};
use crate::round::{Round, Tally};
use crate::{Code, Device, Library, Options, gpm_table};

/// The instances of one GPU, as they were when last looked at.
pub(crate) struct Instances {
    /// Whether compute instances are read, too.
    reads_compute: bool,
    /// The index of their GPU.
    gpu: u32,
    gpu_plan: Plan,
    compute_plan: Plan,
    /// What the last look found, to notice changes; none if it is to be told anew.
    found: Option<Vec<Found>>,
    /// GPU instances without compute instances: number and profile. Only some may ask for them.
    empty: Vec<(u32, String)>,
    /// Whether this process may.
    may_ask: bool,
    members: Vec<Member>,
}

/// One entity of which something is read.
struct Member {
    entity: Entity,
    watches: Arc<[WatchIndex]>,
    /// What its memory and names are asked of; none of an empty instance.
    device: Option<Device>,
    /// Whose samples profiling takes: those of the GPU, or of the device above.
    samples_of_gpu: bool,
    calls: Calls,
    gpm: Gpm,
    name: Reading,
    name_targets: Vec<Target>,
    name_turns: u64,
    /// What an empty instance has no value for, and when that is said.
    absent: Vec<(Vec<Target>, u64)>,
}

impl Instances {
    pub(crate) fn new(options: &Options, gpu: u32, watches: &[Watch], paces: &mut Paces) -> Self {
        let gpu_plan = Plan::of(watches, is_read);
        let compute_plan = Plan::of(watches, |field| is_read(field) && is_of_compute(field));
        // Paces of instances are paces of the reader, whether there are instances now or not.
        watches.iter().filter(|watch| is_read(watch.field)).for_each(|watch| {
            paces.turn(watch.pace);
        });
        Self {
            reads_compute: options.compute_instances,
            gpu,
            gpu_plan,
            compute_plan,
            found: None,
            empty: Vec::new(),
            may_ask: true,
            members: Vec::new(),
        }
    }

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.found = None;
        self.empty.clear();
        self.members.clear();
        self.may_ask = true;
    }

    /// Takes back every "not supported", and every "may not".
    pub(crate) fn ask_again(&mut self) {
        self.may_ask = true;
        for member in &mut self.members {
            member.calls.ask_again();
            member.gpm.ask_again();
        }
    }

    /// Looks which instances there are; `thoroughly` also for those without compute instances. Says
    /// whether they are others than before.
    pub(crate) fn look(
        &mut self,
        gpu: &Device,
        thoroughly: bool,
        paces: &mut Paces,
        times: &mut CallTimes,
    ) -> Result<bool, Code> {
        if self.gpu_plan.watches.is_empty() {
            return Ok(false);
        }
        let (most, found) = mig_devices::scan(gpu)?;
        let mut changed = self.found.as_ref() != Some(&found);
        if (thoroughly || changed) && self.may_ask {
            let empty = mig_devices::scan_empty(gpu, &found)?;
            self.may_ask = empty.is_some();
            let empty = empty.unwrap_or_default();
            changed |= empty != self.empty;
            self.empty = empty;
        }
        if changed {
            self.rebuild(most, &found, &gpu.library, paces, times);
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
        found: &[Found],
        library: &Arc<Library>,
        paces: &mut Paces,
        times: &mut CallTimes,
    ) {
        let mut instances: BTreeMap<u32, (String, Vec<&Found>)> = BTreeMap::new();
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
        instances.sort_by_key(|(_, (profile, _))| mig_devices::rank(profile));
        let mut members = Vec::new();
        for (number, (id, (profile, inside))) in (self.gpu * most..).zip(instances) {
            let instance = |compute: Option<&Found>| Instance {
                gpu_instance: id,
                compute_instance: compute.map(|found| found.compute_instance),
                number,
                profile: compute.map_or(&profile, |found| &found.profile).clone(),
            };
            let first = inside.first().copied();
            let whole = first.map_or(Whole::Nothing, |_| Whole::GpuInstance(id));
            let plan = &self.gpu_plan;
            members.push(Member::new(instance(None), first, whole, plan, library, paces, times));
            for found in inside.iter().filter(|_| self.reads_compute) {
                let (plan, whole) = (&self.compute_plan, Whole::Device);
                let instance = instance(Some(found));
                let member = Member::new(instance, Some(found), whole, plan, library, paces, times);
                members.push(member);
            }
        }
        self.members = members;
    }

    /// Reads what is due of each.
    pub(crate) fn read(
        &mut self,
        gpu: &Device,
        request: &mut Request,
        round: &mut Round,
    ) -> Result<(), Code> {
        for member in &mut self.members {
            let part = [round.sink.out.part(&member.entity, &member.watches)];
            // What an instance does not have says nothing of its GPU, nor does its silence.
            let mut tally = Tally::default();
            let mut round = Round {
                gpu: round.gpu,
                pass: round.pass,
                due: round.due,
                paces: round.paces,
                times: &mut *round.times,
                sink: Sink { out: &mut *round.sink.out, parts: &part },
                tally: &mut tally,
            };
            match member.read(gpu, request, &mut round) {
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
        found: Option<&Found>,
        whole: Whole,
        plan: &Plan,
        library: &Arc<Library>,
        paces: &mut Paces,
        times: &mut CallTimes,
    ) -> Self {
        let mut calls = Calls::default();
        let mut absent = Vec::new();
        for getter in GETTERS.iter().filter(|getter| getter.is_for_instances()) {
            if getter.fields.contains(&field::NAME) {
                continue;
            }
            if found.is_some() {
                calls.add(getter, times, |field| plan.targets(field, TargetPart::ITSELF, paces));
            } else {
                absent.extend(
                    getter
                        .fields
                        .iter()
                        .map(|field| plan.targets(*field, TargetPart::ITSELF, paces)),
                );
            }
        }
        let mut gpm = Gpm::new(Arc::clone(library), whole);
        for row in gpm_table::rows() {
            gpm.add(
                row.field,
                row.metric,
                row.unit,
                plan.targets(row.field, TargetPart::ITSELF, paces),
            );
        }
        let (name_targets, name_turns) = plan.targets(field::NAME, TargetPart::ITSELF, paces);
        Self {
            watches: Arc::clone(&plan.watches),
            device: found
                .map(|found| Device { library: Arc::clone(library), handle: found.device.handle }),
            samples_of_gpu: whole != Whole::Device,
            calls,
            gpm,
            name: Ok(Value::Text(instance.profile.as_str().into())),
            name_targets,
            name_turns,
            absent,
            entity: Entity::Instance(Arc::new(instance)),
        }
    }

    fn read(&mut self, gpu: &Device, request: &mut Request, round: &mut Round) -> Result<(), Code> {
        if self.name_turns & round.due != 0 {
            round.sink.set(&self.name_targets, &self.name);
        }
        for (targets, _) in self.absent.iter().filter(|(_, turns)| turns & round.due != 0) {
            round.sink.set(targets, &Err(Reason::NoData));
        }
        if let Some(device) = &self.device {
            self.calls.read(device, round)?;
        }
        let samples_of = if self.samples_of_gpu { Some(gpu) } else { self.device.as_ref() };
        samples_of.map_or(Ok(()), |device| self.gpm.read(device, request, round))
    }
}

/// Whether a field is read of instances.
fn is_read(field: FieldId) -> bool {
    let has_call = GETTERS.iter().any(|getter| getter.fields.contains(&field));
    is_of_instances(field) && (has_call || gpm_table::rows().any(|row| row.field == field))
}

/// Whether a field exists for compute instances too.
fn is_of_compute(field: FieldId) -> bool {
    model::catalog::by_id(field).is_some_and(|row| row.level == Level::ComputeInstance)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
