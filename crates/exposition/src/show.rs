//! Which devices appear in the families asked for.

use model::Instance;

/// Which devices appear in the families asked for. Those that heatsink adds are always per GPU.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Show {
    /// Which GPUs and instances.
    pub devices: Devices,
    /// Whether the compute instances of each GPU instance that is shown follow it.
    pub compute_instances: bool,
}

/// Which GPUs and instances appear.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Devices {
    /// Every GPU; one that has instances is replaced by them.
    #[default]
    Flexible,
    /// Those that are listed.
    Listed {
        /// GPUs as a whole, by index, whether or not they have instances.
        gpus: Choice,
        /// GPU instances, by [`Instance::number`].
        instances: Choice,
    },
}

/// Some of what there is, by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// What has one of these numbers.
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
    pub(crate) fn has_gpu(&self, index: u32, has_instances: bool) -> bool {
        match &self.devices {
            Devices::Flexible => !has_instances,
            Devices::Listed { gpus, .. } => gpus.has(index),
        }
    }

    /// Whether an instance appears.
    pub(crate) fn has_instance(&self, instance: &Instance) -> bool {
        if instance.compute_instance.is_some() && !self.compute_instances {
            return false;
        }
        match &self.devices {
            Devices::Flexible => true,
            Devices::Listed { instances, .. } => instances.has(instance.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(number: u32, compute_instance: Option<u32>) -> Instance {
        Instance { gpu_instance: 3, compute_instance, number, profile: "1g.10gb".into() }
    }

    #[test]
    fn devices_are_chosen_by_their_numbers() {
        let show = |gpus, instances| Show {
            devices: Devices::Listed { gpus, instances },
            compute_instances: false,
        };
        let some = show(Choice::Only(vec![1]), Choice::Only(vec![9, 16]));
        assert_eq!([0, 1, 2].map(|gpu| some.has_gpu(gpu, true)), [false, true, false]);
        let chosen = |number| some.has_instance(&instance(number, None));
        assert_eq!([chosen(8), chosen(9), chosen(16)], [false, true, true]);
        assert!(!some.has_instance(&instance(9, Some(0))));
        assert!(!show(Choice::None, Choice::All).has_gpu(0, false));
        assert!(show(Choice::None, Choice::All).has_instance(&instance(0, None)));

        let flexible = Show { compute_instances: true, ..Show::default() };
        assert_eq!([true, false].map(|has| flexible.has_gpu(3, has)), [false, true]);
        assert!(flexible.has_instance(&instance(0, Some(0))));
    }
}
