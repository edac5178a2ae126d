//! The selection of devices for the families of the counters file.

use model::{Entity, Instance};

/// The devices that appear in the families of the counters file. heatsink's own families are always per
/// GPU.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Show {
    /// GPUs and GPU instances.
    pub devices: Devices,
    /// Whether the compute instances of each selected GPU instance appear too.
    pub compute_instances: bool,
    /// NVSwitches and their NVLinks.
    pub switches: Devices,
    /// CPUs and their cores.
    pub cpus: Devices,
}

/// The selected devices of one kind (GPUs, NVSwitches or CPUs) and their parts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Devices {
    /// All, with everything that belongs to them. The instances of a GPU replace the GPU.
    #[default]
    Flexible,
    /// The listed ones.
    Listed {
        /// Whole devices, by number: GPUs by index, whether or not they have instances; NVSwitches;
        /// CPUs.
        gpus: Choice,
        /// Their parts, whether or not the whole device appears: GPU instances by
        /// [`Instance::number`], NVLinks of NVSwitches and cores of CPUs by their number there.
        instances: Choice,
    },
}

impl Devices {
    /// Whether all devices of the kind appear, also those without a number.
    fn has_all(&self) -> bool {
        matches!(self, Self::Flexible | Self::Listed { gpus: Choice::All, .. })
    }

    fn has_whole(&self, number: u32) -> bool {
        match self {
            Self::Flexible => true,
            Self::Listed { gpus, .. } => gpus.has(number),
        }
    }

    fn has_below(&self, number: u32) -> bool {
        match self {
            Self::Flexible => true,
            Self::Listed { instances, .. } => instances.has(number),
        }
    }
}

/// A selection by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// No device.
    None,
    /// All devices.
    All,
    /// Devices with these numbers.
    Only(Vec<u32>),
}

impl Choice {
    fn has(&self, number: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(numbers) => numbers.contains(&number),
        }
    }
}

impl Show {
    /// Whether a GPU as a whole appears.
    pub(crate) fn has_gpu(&self, index: Option<u32>, has_instances: bool) -> bool {
        let replaced = has_instances && self.devices == Devices::Flexible;
        let is_selected =
            index.map_or(self.devices.has_all(), |index| self.devices.has_whole(index));
        !replaced && is_selected
    }

    /// Whether an instance appears.
    pub(crate) fn has_instance(&self, instance: &Instance) -> bool {
        let kind_appears = instance.compute_instance.is_none() || self.compute_instances;
        kind_appears && self.devices.has_below(instance.number)
    }

    /// Whether a part of the machine appears that belongs to no GPU.
    pub(crate) fn has_part(&self, entity: &Entity) -> bool {
        match entity {
            Entity::Switch(number) => self.switches.has_whole(*number),
            Entity::SwitchLink { link, .. } => self.switches.has_below(*link),
            Entity::Cpu(number) => self.cpus.has_whole(*number),
            Entity::CpuCore { core, .. } => self.cpus.has_below(*core),
            Entity::Gpu | Entity::Link(_) | Entity::Peer(_) | Entity::Instance(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(number: u32, compute_instance: Option<u32>) -> Instance {
        Instance {
            gpu_instance: 3,
            compute_instance,
            number,
            profile: "1g.10gb".into(),
            mig_devices: Vec::new(),
        }
    }

    #[test]
    fn devices_are_chosen_by_their_numbers() {
        let show = |gpus, instances| Show {
            devices: Devices::Listed { gpus, instances },
            ..Show::default()
        };
        let some = show(Choice::Only(vec![1]), Choice::Only(vec![9, 16]));
        assert_eq!([0, 1, 2].map(|gpu| some.has_gpu(Some(gpu), true)), [false, true, false]);
        let chosen = |number| some.has_instance(&instance(number, None));
        assert_eq!([chosen(8), chosen(9), chosen(16)], [false, true, true]);
        assert!(!some.has_instance(&instance(9, Some(0))));
        assert!(!show(Choice::None, Choice::All).has_gpu(Some(0), false));
        assert!(show(Choice::None, Choice::All).has_instance(&instance(0, None)));

        let flexible = Show { compute_instances: true, ..Show::default() };
        assert_eq!([true, false].map(|has| flexible.has_gpu(Some(3), has)), [false, true]);
        assert!(flexible.has_instance(&instance(0, Some(0))));
    }

    #[test]
    fn parts_of_the_machine_are_chosen_by_their_numbers() {
        let parts = [
            Entity::Switch(0),
            Entity::SwitchLink { switch: 0, link: 1 },
            Entity::SwitchLink { switch: 1, link: 2 },
            Entity::Cpu(1),
            Entity::CpuCore { cpu: 0, core: 1 },
            Entity::CpuCore { cpu: 1, core: 64 },
        ];
        let check = |switches: Devices, cpus: Devices, expected: [u8; 6]| {
            let show = Show { switches, cpus, ..Show::default() };
            assert_eq!(parts.each_ref().map(|part| u8::from(show.has_part(part))), expected);
        };
        let listed = |gpus, instances| Devices::Listed { gpus, instances };
        use Choice::{All, None, Only};
        check(Devices::Flexible, Devices::Flexible, [1; 6]);
        check(listed(All, None), listed(None, All), [1, 0, 0, 0, 1, 1]);
        check(listed(None, Only(vec![2])), listed(Only(vec![1]), None), [0, 0, 1, 1, 0, 0]);
        check(listed(Only(vec![1]), All), listed(All, Only(vec![64])), [0, 1, 1, 1, 0, 1]);
        check(listed(None, None), listed(None, None), [0; 6]);
        // Parts of a GPU appear with their GPU.
        assert!(!Show::default().has_part(&Entity::Link(0)));
    }
}
