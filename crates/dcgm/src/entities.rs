//! The entities of the engine: GPUs, their instances and links, NVSwitches and CPUs.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::field;
use model::{Entity, Instance};

use crate::abi::{self, EntityPair, FieldValue, entity, status};
use crate::fetch::latest_values;
use crate::group::{FieldGroup, Group, Keep, Watch};
use crate::value::{self, Raw};
use crate::{Code, Handle};

/// Kinds of entities. Each kind has its own fields.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Gpu,
    GpuInstance,
    ComputeInstance,
    Link,
    Switch,
    SwitchLink,
    Cpu,
    CpuCore,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Gpu,
        Self::GpuInstance,
        Self::ComputeInstance,
        Self::Link,
        Self::Switch,
        Self::SwitchLink,
        Self::Cpu,
        Self::CpuCore,
    ];
}

/// One entity, with the engine's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) key: EntityPair,
    pub(crate) kind: Kind,
    /// The GPU it is or belongs to; `None` for switches and CPUs.
    pub(crate) gpu: Option<u32>,
    pub(crate) entity: Entity,
}

/// The kinds of entities that are watched. The others are not listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Needs {
    pub(crate) compute_instances: bool,
    pub(crate) links: bool,
    pub(crate) switches: bool,
    pub(crate) cpus: bool,
    /// Whether fake GPUs of the engine are read.
    pub(crate) fake_gpus: bool,
}

/// The size of a list of GPUs. DCGM does not take the size: current releases write up to 32, and a
/// later one may write more.
const GPU_PLACES: usize = 4 * abi::MOST_GPUS;

/// The size of any other list, which DCGM is given: more than twice the possible number of links,
/// 32 x 18 of GPUs and 12 x 256 of switches.
const PLACES: usize = 8192;

/// The ids of the GPUs.
///
/// # Errors
///
/// When the engine does not list them.
pub(crate) fn gpus(handle: &Handle, needs: Needs) -> Result<Vec<u32>, Code> {
    let mut ids = vec![0; GPU_PLACES];
    let mut count = 0;
    // SAFETY: there is room for four times as many as DCGM lists; both outlive the call.
    let answer = unsafe { (handle.api.devices)(handle.raw, ids.as_mut_ptr(), &mut count) };
    handle.check(answer)?;
    let mut gpus = Vec::new();
    for id in written(ids, count)? {
        match gpu_status(handle, id)? {
            Some(status::FAKE) if !needs.fake_gpus => {}
            Some(status::DETACHED) => {}
            _ => gpus.push(id),
        }
    }
    Ok(gpus)
}

/// The first `count` of a list, ascending, each once.
///
/// # Errors
///
/// If `count` exceeds the list.
fn written(mut ids: Vec<u32>, count: i32) -> Result<Vec<u32>, Code> {
    let count = usize::try_from(count).unwrap_or(0);
    if count > ids.len() {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    ids.truncate(count);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The state of a GPU; `None` if the engine does not report it.
///
/// # Errors
///
/// When the engine is gone.
pub(crate) fn gpu_status(handle: &Handle, gpu: u32) -> Result<Option<u32>, Code> {
    let Some(ask) = handle.api.status else { return Ok(None) };
    let mut status = 0;
    // SAFETY: a plain number, and one that outlives the call.
    match handle.check(unsafe { ask(handle.raw, gpu, &mut status) }) {
        Err(code) if code.is_about_the_engine() => Err(code),
        Err(_) => Ok(None),
        Ok(()) => Ok(Some(status)),
    }
}

/// The entities that the engine lists, in order.
#[derive(Clone, Default, Debug)]
pub(crate) struct Listing {
    pub(crate) members: Vec<Member>,
    /// Kinds that it failed to list.
    unknown: Vec<Kind>,
}

impl Listing {
    /// Whether two listings differ in these kinds. Kinds that one of them failed to list do not
    /// count.
    pub(crate) fn differs(&self, other: &Self, kinds: impl Fn(Kind) -> bool) -> bool {
        let is_known = |member: &&Member| {
            let kind = member.kind;
            kinds(kind) && !self.unknown.contains(&kind) && !other.unknown.contains(&kind)
        };
        !self.members.iter().filter(is_known).eq(other.members.iter().filter(is_known))
    }

    /// Adds entities, or notes that these kinds could not be listed.
    fn add(&mut self, listed: Result<Vec<Member>, Code>, kinds: &[Kind]) -> Result<(), Code> {
        match listed {
            Err(code) if code.is_about_the_engine() => return Err(code),
            Err(code) => {
                tracing::debug!("the engine does not list some of what it has: {code}");
                self.unknown.extend(kinds);
            }
            Ok(members) => self.members.extend(members),
        }
        Ok(())
    }
}

/// All entities of these GPUs and of the machine.
///
/// # Errors
///
/// When the engine is gone. Kinds that it cannot list are missing.
pub(crate) fn members(handle: &Handle, gpus: &[u32], needs: Needs) -> Result<Listing, Code> {
    let whole = |gpu: &u32| Member {
        key: EntityPair { group: entity::GPU, id: *gpu },
        kind: Kind::Gpu,
        gpu: Some(*gpu),
        entity: Entity::Gpu,
    };
    let members = gpus.iter().map(whole).collect();
    let mut listing = Listing { members, unknown: Vec::new() };
    listing.add(instances(handle, needs), &[Kind::GpuInstance, Kind::ComputeInstance])?;
    let mut switches = Ok(Vec::new());
    if needs.switches {
        switches = listed(handle, entity::SWITCH);
        let of = |ids: &Vec<u32>| ids.iter().map(|id| switch(*id)).collect();
        let members = switches.as_ref().map(of).map_err(|code| *code);
        listing.add(members, &[Kind::Switch])?;
    }
    if needs.links || needs.switches {
        let switches = switches.unwrap_or_default();
        let links = listed(handle, entity::LINK);
        let of = |ids: Vec<u32>| {
            ids.into_iter().filter_map(|id| link(id, gpus, &switches, needs)).collect()
        };
        listing.add(links.map(of), &[Kind::Link, Kind::SwitchLink])?;
    }
    if needs.cpus {
        listing.add(cpus(handle), &[Kind::Cpu, Kind::CpuCore])?;
    }
    listing.members.sort_by_key(|member| (member.kind, member.key.group, member.key.id));
    listing.members.dedup_by_key(|member| member.key);
    Ok(listing)
}

fn switch(id: u32) -> Member {
    let key = EntityPair { group: entity::SWITCH, id };
    Member { key, kind: Kind::Switch, gpu: None, entity: Entity::Switch(id) }
}

/// The entities of one kind, by number.
fn listed(handle: &Handle, kind: u32) -> Result<Vec<u32>, Code> {
    let mut ids = vec![0; PLACES];
    let mut count = PLACES as i32;
    // SAFETY: `count` says how much room there is; both outlive the call.
    let answer =
        unsafe { (handle.api.entities)(handle.raw, kind, ids.as_mut_ptr(), &mut count, 0) };
    handle.check(answer)?;
    written(ids, count)
}

/// The entity of a link id, which encodes the owner and the index.
fn link(id: u32, gpus: &[u32], switches: &[u32], needs: Needs) -> Option<Member> {
    let (owner, index, of) = (id & 0xff, id >> 8 & 0xffff, id >> 24);
    let key = EntityPair { group: entity::LINK, id };
    match owner {
        entity::GPU if needs.links && gpus.contains(&of) => {
            Some(Member { key, kind: Kind::Link, gpu: Some(of), entity: Entity::Link(index) })
        }
        entity::SWITCH if switches.contains(&of) => {
            let entity = Entity::SwitchLink { switch: of, link: index };
            Some(Member { key, kind: Kind::SwitchLink, gpu: None, entity })
        }
        _ => None,
    }
}

/// The instances, without profile names.
fn instances(handle: &Handle, needs: Needs) -> Result<Vec<Member>, Code> {
    let ask = handle.api.instances.ok_or(Code::NOT_SUPPORTED)?;
    let mut found: Box<abi::MigHierarchy> = abi::empty();
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { ask(handle.raw, &mut *found) })?;
    let count = usize::try_from(found.count).unwrap_or(0).min(found.entries.len());
    let found = &found.entries[..count];
    let instance = |entry: &abi::MigEntry, gpu: u32, number: u32, compute: Option<u32>| Member {
        key: entry.entity,
        kind: if compute.is_some() { Kind::ComputeInstance } else { Kind::GpuInstance },
        gpu: Some(gpu),
        entity: Entity::Instance(Arc::new(Instance {
            gpu_instance: entry.info.nvml_instance,
            compute_instance: compute,
            number,
            profile: String::new(),
            mig_devices: Vec::new(),
        })),
    };
    let mut members = Vec::new();
    for entry in found {
        match (entry.entity.group, entry.parent.group) {
            (entity::GPU_INSTANCE, entity::GPU) => {
                members.push(instance(entry, entry.parent.id, entry.entity.id, None));
            }
            (entity::COMPUTE_INSTANCE, entity::GPU_INSTANCE) if needs.compute_instances => {
                let parent = found.iter().find(|other| other.entity == entry.parent);
                if let Some(parent) = parent.filter(|parent| parent.parent.group == entity::GPU) {
                    let compute = Some(entry.info.nvml_compute_instance);
                    let number = parent.entity.id;
                    members.push(instance(entry, parent.parent.id, number, compute));
                }
            }
            _ => {}
        }
    }
    Ok(members)
}

fn cpus(handle: &Handle) -> Result<Vec<Member>, Code> {
    let ask = handle.api.cpus.ok_or(Code::NOT_SUPPORTED)?;
    let mut found: Box<abi::CpuHierarchy> = abi::empty();
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { ask(handle.raw, &mut *found) })?;
    let count = usize::try_from(found.count).unwrap_or(0).min(found.cpus.len());
    let mut members = Vec::new();
    for cpu in &found.cpus[..count] {
        members.push(Member {
            key: EntityPair { group: entity::CPU, id: cpu.id },
            kind: Kind::Cpu,
            gpu: None,
            entity: Entity::Cpu(cpu.id),
        });
        members.extend(cores(&cpu.cores.bitmask).map(|core| Member {
            key: EntityPair { group: entity::CPU_CORE, id: core },
            kind: Kind::CpuCore,
            gpu: None,
            entity: Entity::CpuCore { cpu: cpu.id, core },
        }));
    }
    Ok(members)
}

/// The numbers of the bits that are set.
fn cores(mask: &[u64; 16]) -> impl Iterator<Item = u32> + '_ {
    (0..1024).filter(|core| mask[*core as usize / 64] >> (core % 64) & 1 == 1)
}

/// How often profile names are polled until the engine has read them.
const NAME_ATTEMPTS: u32 = 20;
const NAME_INTERVAL: Duration = Duration::from_millis(50);

/// Sets the profile names of instances, which are a field of the engine. An instance without one
/// keeps an empty name.
///
/// # Errors
///
/// When the engine is gone.
pub(crate) fn name_instances(handle: &Arc<Handle>, members: &mut [Member]) -> Result<(), Code> {
    let of = |member: &&mut Member| matches!(member.entity, Entity::Instance(_));
    let keys: Vec<EntityPair> = members.iter_mut().filter(of).map(|member| member.key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let names = match profiles(handle, &keys) {
        Ok(names) => names,
        Err(code) if code.is_about_the_engine() => return Err(code),
        Err(code) => {
            tracing::warn!("MIG instances have no profile on the page: {code}");
            return Ok(());
        }
    };
    for member in members.iter_mut().filter(of) {
        if let (Entity::Instance(instance), Some(name)) =
            (&mut member.entity, names.get(&member.key))
        {
            Arc::make_mut(instance).profile.clone_from(name);
        }
    }
    Ok(())
}

fn profiles(
    handle: &Arc<Handle>,
    keys: &[EntityPair],
) -> Result<HashMap<EntityPair, String>, Code> {
    let group = Arc::new(Group::new(handle, keys)?.0);
    let fields = FieldGroup::new(handle, &[field::NAME.0])?;
    let (watch, answer) = Watch::new(&group, fields, Duration::from_secs(10), Keep::Latest);
    answer?;
    let mut names = HashMap::new();
    for _ in 0..NAME_ATTEMPTS {
        if let Some(update) = handle.api.update_all {
            // SAFETY: plain numbers. It does not wait: a GPU that hangs must not hold this up.
            handle.check(unsafe { update(handle.raw, 0) })?;
        }
        thread::sleep(NAME_INTERVAL);
        latest_values(&watch, &mut |key: EntityPair, value: &FieldValue| {
            if let Raw::Text(name) = Raw::of(value) {
                names.insert(key, name.to_owned());
            }
        })?;
        if keys.iter().all(|key| names.contains_key(key)) {
            break;
        }
    }
    Ok(names)
}

/// The identity of a GPU, as the engine reports it.
pub(crate) struct Attributes {
    pub(crate) uuid: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) pci_bus_id: Option<String>,
    pub(crate) driver_version: Option<String>,
}

/// What a GPU is.
///
/// # Errors
///
/// When the engine does not say.
pub(crate) fn attributes(handle: &Handle, gpu: u32) -> Result<Attributes, Code> {
    let mut found: Box<abi::DeviceAttributes> = abi::empty();
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { (handle.api.attributes)(handle.raw, gpu, &mut *found) })?;
    let text = |bytes: &abi::Text| value::text_of(bytes).ok().map(str::to_owned);
    let found = &found.identifiers;
    Ok(Attributes {
        uuid: text(&found.uuid),
        name: text(&found.name),
        pci_bus_id: text(&found.pci_bus_id),
        driver_version: text(&found.driver_version),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Needs = Needs {
        compute_instances: true,
        links: true,
        switches: true,
        cpus: true,
        fake_gpus: false,
    };

    #[test]
    fn a_links_number_says_whose_it_is() {
        let entity = |id| link(id, &[0, 3], &[1], ALL).map(|member| (member.gpu, member.entity));
        assert_eq!(entity(0x0300_1101), Some((Some(3), Entity::Link(17))));
        assert_eq!(entity(0x0100_3f03), Some((None, Entity::SwitchLink { switch: 1, link: 63 })));
        assert_eq!(entity(0x0700_0001), None, "of a GPU that is not listed");
        assert_eq!(entity(0x0000_0003), None, "of a switch that is not listed");
        assert_eq!(entity(0x0000_0009), None, "of neither");
        assert_eq!(link(1, &[0], &[], Needs { links: false, ..ALL }), None);
    }

    #[test]
    fn cores_are_bits() {
        let mut mask = [0; 16];
        (mask[0], mask[1], mask[15]) = (0b101, 1, 1 << 63);
        assert_eq!(cores(&mask).collect::<Vec<_>>(), [0, 2, 64, 1023]);
    }
}
