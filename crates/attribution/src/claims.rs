//! Which device a resource claim has allocated.

use std::sync::Arc;

use model::{DeviceKey, GpuKey};

use crate::parts::{CheckpointPart, ClaimedDevice, SlicesPart};

/// The driver whose devices are known here.
pub(crate) const DRIVER: &str = "gpu.nvidia.com";

/// The device of a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolved {
    pub(crate) key: DeviceKey,
    pub(crate) compute_instance: Option<u32>,
    pub(crate) mig_profile: Option<Arc<str>>,
    pub(crate) mig_uuid: Option<Arc<str>>,
}

/// Finds the device of a claim: in the checkpoint, which alone knows dynamic MIG devices, else in
/// the resource slices, else by its name. `None` if it is unknown or given to a virtual machine
/// (vfio).
pub(crate) fn resolve(
    device: &ClaimedDevice,
    slices: Option<&SlicesPart>,
    checkpoint: Option<&CheckpointPart>,
) -> Option<Resolved> {
    let name = &device.device.device;
    if &*device.device.driver != DRIVER || name.starts_with("gpu-vfio-") {
        return None;
    }
    let by_claim = (device.claim_namespace.clone(), device.claim.clone(), name.clone());
    let by_name = (Arc::default(), Arc::default(), name.clone());
    let prepared = checkpoint
        .and_then(|part| part.devices.get(&by_claim).or_else(|| part.devices.get(&by_name)));
    let described = slices.and_then(|part| part.devices.get(&device.device));
    let key = prepared
        .map(|found| found.key.clone())
        .or_else(|| described?.key.clone())
        .or_else(|| whole_gpu(name).map(DeviceKey::whole))?;
    Some(Resolved {
        key,
        compute_instance: prepared.and_then(|found| found.compute_instance),
        mig_profile: described.and_then(|found| found.mig_profile.clone()),
        mig_uuid: prepared
            .and_then(|found| found.mig_uuid.clone())
            .or_else(|| described?.mig_uuid.clone()),
    })
}

/// The GPU that a device is, or is a part of, by its name: `gpu-<minor>`, `gpu-<minor>-mig-...`.
pub(crate) fn gpu_of(name: &str) -> Option<DeviceKey> {
    let (gpu, _) = name.split_once("-mig-").unwrap_or((name, ""));
    whole_gpu(gpu).map(DeviceKey::whole)
}

/// The GPU with the name `gpu-<minor>`.
pub(crate) fn whole_gpu(name: &str) -> Option<GpuKey> {
    let minor = name.strip_prefix("gpu-")?;
    let is_number = minor.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| minor.parse().ok())?.map(GpuKey::Minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{PreparedDevice, SliceDevice, SliceFacts};

    const MIG: &str = "gpu-0-mig-1g5gb-19-0";

    fn slice_device(driver: &str, device: &str) -> SliceDevice {
        SliceDevice { driver: driver.into(), pool: "node".into(), device: device.into() }
    }

    fn claimed(driver: &str, device: &str) -> ClaimedDevice {
        ClaimedDevice {
            claim: "claim".into(),
            claim_namespace: "default".into(),
            device: slice_device(driver, device),
            share: None,
        }
    }

    fn slices(device: &str, facts: SliceFacts) -> SlicesPart {
        SlicesPart { devices: [(slice_device(DRIVER, device), facts)].into() }
    }

    fn checkpoint(namespace: &str, claim: &str, device: &str) -> CheckpointPart {
        let prepared = PreparedDevice {
            key: DeviceKey::uuid("MIG-1"),
            compute_instance: Some(0),
            mig_uuid: Some("MIG-1".into()),
        };
        let name = (namespace.into(), claim.into(), device.into());
        CheckpointPart { devices: [(name, prepared)].into(), ..CheckpointPart::default() }
    }

    fn whole(key: DeviceKey) -> Resolved {
        Resolved { key, compute_instance: None, mig_profile: None, mig_uuid: None }
    }

    #[test]
    fn a_device_is_found_in_the_checkpoint_then_in_the_slices_then_by_its_name() {
        let gpu =
            SliceFacts { key: Some(DeviceKey::uuid("GPU-1")), mig_profile: None, mig_uuid: None };
        let dynamic = SliceFacts { key: None, mig_profile: Some("1g.5gb".into()), mig_uuid: None };
        let fixed = SliceFacts {
            key: Some(DeviceKey::uuid("MIG-2")),
            mig_profile: Some("1g.5gb".into()),
            mig_uuid: Some("MIG-2".into()),
        };
        let gpus = slices("gpu-0", gpu);
        let dynamic = slices(MIG, dynamic);
        let fixed = slices(MIG, fixed);
        let prepared = checkpoint("default", "claim", MIG);
        let prepared_unnamed = checkpoint("", "", MIG);
        let prepared_other = checkpoint("default", "other", MIG);

        let by_minor = Some(whole(DeviceKey::whole(GpuKey::Minor(3))));
        let by_slice = Some(whole(DeviceKey::uuid("gpu-1")));
        let from_slice = Some(Resolved {
            key: DeviceKey::uuid("mig-2"),
            compute_instance: None,
            mig_profile: Some("1g.5gb".into()),
            mig_uuid: Some("MIG-2".into()),
        });
        let bare = Resolved {
            key: DeviceKey::uuid("mig-1"),
            compute_instance: Some(0),
            mig_profile: None,
            mig_uuid: Some("MIG-1".into()),
        };
        let with_profile = Some(Resolved { mig_profile: Some("1g.5gb".into()), ..bare.clone() });
        let bare = Some(bare);

        type Case<'a> =
            (&'a str, Option<&'a SlicesPart>, Option<&'a CheckpointPart>, &'a Option<Resolved>);
        let cases: &[Case<'_>] = &[
            ("gpu-3", None, None, &by_minor),
            ("gpu-3", Some(&gpus), Some(&prepared), &by_minor),
            ("gpu-0", Some(&gpus), None, &by_slice),
            ("gpu-0", Some(&gpus), Some(&prepared), &by_slice),
            (MIG, None, None, &None),
            (MIG, Some(&dynamic), None, &None),
            (MIG, Some(&dynamic), Some(&prepared_other), &None),
            (MIG, Some(&dynamic), Some(&prepared), &with_profile),
            (MIG, Some(&dynamic), Some(&prepared_unnamed), &with_profile),
            (MIG, None, Some(&prepared), &bare),
            (MIG, Some(&fixed), None, &from_slice),
            (MIG, Some(&fixed), Some(&prepared), &with_profile),
            ("gpu-", None, None, &None),
            ("gpu-+1", None, None, &None),
            ("gpu-4294967296", None, None, &None),
            ("mig-0", None, None, &None),
        ];
        for (device, slices, checkpoint, expected) in cases {
            let found = resolve(&claimed(DRIVER, device), *slices, *checkpoint);
            assert_eq!(&found, *expected, "{device} {slices:?} {checkpoint:?}");
        }
    }

    #[test]
    fn the_gpu_of_a_device_is_in_its_name() {
        let gpu = Some(DeviceKey::whole(GpuKey::Minor(3)));
        assert_eq!(gpu_of("gpu-3"), gpu);
        assert_eq!(gpu_of("gpu-3-mig-1g5gb-19-0"), gpu);
        assert_eq!((gpu_of("gpu-vfio-3"), gpu_of("gpu-"), gpu_of("x")), (None, None, None));
    }

    #[test]
    fn devices_of_virtual_machines_and_of_other_drivers_are_not_resolved() {
        let key = Some(DeviceKey::uuid("GPU-1"));
        let facts = SliceFacts { key, mig_profile: None, mig_uuid: None };
        let vfio = slices("gpu-vfio-0", facts);
        assert_eq!(resolve(&claimed(DRIVER, "gpu-vfio-0"), Some(&vfio), None), None);
        let other = claimed("compute-domain.nvidia.com", "gpu-0");
        assert_eq!(resolve(&other, None, None), None);
    }
}
