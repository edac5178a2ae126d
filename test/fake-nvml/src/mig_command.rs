//! Commands that create and destroy MIG instances.

use crate::board::{Bar1, Board, ComputeInstance, Instance, Memory, size_of_profile};

const AMPERE: u32 = 7;

/// A change of the instances while the program runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MigCommand {
    /// A GPU instance, with one compute instance over the whole of it unless it is bare.
    Create {
        id: u32,
        profile: String,
        bare: bool,
    },
    Destroy(u32),
}

/// The instances after these changes, each compute instance with its index.
pub(crate) fn instances_after(board: &Board, commands: &[MigCommand]) -> Vec<Instance> {
    let mut instances = board.instances.clone();
    give_indexes(&mut instances);
    for command in commands {
        match command {
            MigCommand::Create { id, profile, bare } => {
                if instances.iter().all(|known| known.id != *id) {
                    instances.push(created(board, *id, profile, *bare));
                    give_indexes(&mut instances);
                }
            }
            MigCommand::Destroy(id) => instances.retain(|known| known.id != *id),
        }
    }
    instances
}

/// An instance that no fixture describes: its sizes follow from its profile, and it is as busy as the
/// whole GPU.
fn created(board: &Board, id: u32, profile: &str, bare: bool) -> Instance {
    let (slices, gigabytes) = size_of_profile(profile).unwrap_or_default();
    let each = if board.architecture == Some(AMPERE) { 14 } else { 16 };
    let total = u64::from(gigabytes) * 1_033_379_841;
    let (reserved, used) = (total / 997, 13_631_489 + u64::from(id));
    let compute = ComputeInstance {
        id: 0,
        uuid: mig_uuid(board, id),
        index: None,
        profile: None,
        multiprocessors: None,
        gpm: None,
    };
    Instance {
        id,
        profile: profile.to_owned(),
        profile_id: None,
        placement: None,
        multiprocessors: Some(slices * each),
        copy_engines: slices,
        decoders: slices / 2,
        encoders: 0,
        jpeg_engines: 0,
        ofa_engines: 0,
        memory: Some(Memory { total, reserved, used, free: total.saturating_sub(reserved + used) }),
        bar1: board.bar1.map(|whole| Bar1 {
            total: whole.total / 8,
            free: whole.total / 8 - 1_048_577,
            used: 1_048_577,
        }),
        gpm: board.gpm.clone(),
        compute_instances: if bare { Vec::new() } else { vec![compute] },
    }
}

/// A UUID that follows from the GPU's, so that the same instance has it again.
fn mig_uuid(board: &Board, instance: u32) -> String {
    let digits: String = board.uuid.chars().filter(char::is_ascii_hexdigit).take(31).collect();
    let whole = u128::from_str_radix(&digits, 16).unwrap_or(1);
    let number =
        (whole + u128::from(instance)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let text = format!("{number:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    format!("MIG-{}", parts.join("-"))
}

fn give_indexes(instances: &mut [Instance]) {
    let compute = |instances: &[Instance]| -> Vec<u32> {
        let all = instances.iter().flat_map(|instance| &instance.compute_instances);
        all.filter_map(|compute| compute.index).collect()
    };
    let mut taken = compute(instances);
    for compute in instances.iter_mut().flat_map(|instance| &mut instance.compute_instances) {
        if compute.index.is_none() {
            let free = (0..).find(|index| !taken.contains(index));
            taken.extend(free);
            compute.index = free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(commands: &[MigCommand]) -> Vec<(u32, Option<u32>)> {
        let instances = instances_after(&Board::default(), commands);
        let index = |instance: &Instance| instance.compute_instances.first()?.index;
        instances.iter().map(|instance| (instance.id, index(instance))).collect()
    }

    #[test]
    fn an_index_is_kept_and_a_freed_one_is_taken_again() {
        let create = |id| MigCommand::Create { id, profile: "1g.10gb".into(), bare: false };
        let mut commands = vec![create(7), create(3), create(9), MigCommand::Destroy(3)];
        assert_eq!(indexes(&commands), [(7, Some(0)), (9, Some(2))]);
        commands.push(create(4));
        assert_eq!(indexes(&commands), [(7, Some(0)), (9, Some(2)), (4, Some(1))]);
        commands.push(create(4));
        assert_eq!(indexes(&commands).len(), 3, "it is there already");
    }
}
