//! The ids by which device plugins name GPUs.
//!
//! | id | what it names | written by |
//! |---|---|---|
//! | `GPU-<uuid>` | a GPU | NVIDIA's device plugin |
//! | `MIG-<uuid>` | a MIG device | NVIDIA's device plugin |
//! | `MIG-GPU-<uuid>/<gi>/<ci>` | a MIG device, with drivers before R470 | NVIDIA's device plugin |
//! | `0` | a GPU by its index | the same, with the index strategy |
//! | `0:1` | a MIG device by the GPU's index and its own number | the same, with the index strategy |
//! | `nvidia0` | a GPU by its minor number | GKE's device plugin |
//! | `nvidia0/gi1` | a GPU instance | GKE's device plugin |
//! | `GPU-<uuid>-3` | a share of a GPU | HAMi |
//!
//! Each can be a share: `<id>::3` is a replica (time-slicing, MPS), `nvidia0/vgpu3` is a share of GKE.

use std::sync::Arc;

use model::{DeviceKey, GpuKey, PartKey};

/// The longest id that is looked at. The longest known form has about 70 bytes.
const MAX_LENGTH: usize = 128;

/// An id, understood.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct DeviceId {
    /// As the device plugin writes it.
    pub(crate) text: Arc<str>,
    pub(crate) key: DeviceKey,
    pub(crate) compute_instance: Option<u32>,
    /// The share, if the id is of a share of the device.
    pub(crate) share: Option<Arc<str>>,
}

/// A device, and which share of it.
struct Device<'a> {
    key: DeviceKey,
    compute_instance: Option<u32>,
    share: Option<&'a str>,
}

impl DeviceId {
    /// Reads an id; `None` if it has no known form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (name, replica) = match text.split_once("::") {
            Some((name, replica)) => (name, Some(digits(replica)?)),
            None => (text, None),
        };
        let device = uuid_form(name).or_else(|| gke_form(name)).or_else(|| index_form(name))?;
        let share = match (device.share, replica) {
            (Some(_), Some(_)) => return None,
            (share, replica) => share.or(replica),
        };
        Some(Self {
            text: text.into(),
            key: device.key,
            compute_instance: device.compute_instance,
            share: share.map(Arc::from),
        })
    }
}

impl Device<'_> {
    fn whole(key: DeviceKey) -> Self {
        Self { key, compute_instance: None, share: None }
    }
}

/// `GPU-<uuid>`, `GPU-<uuid>-<n>`, `MIG-<uuid>` and `MIG-GPU-<uuid>/<gi>/<ci>`.
fn uuid_form(name: &str) -> Option<Device<'_>> {
    if let Some(old) = name.strip_prefix("MIG-").filter(|old| old.starts_with("GPU-")) {
        let mut pieces = old.split('/');
        let (gpu, instance, compute) = (pieces.next()?, pieces.next()?, pieces.next()?);
        if pieces.next().is_some() || !is_uuid(gpu.strip_prefix("GPU-")?) {
            return None;
        }
        let part = PartKey::GpuInstance(number(instance)?);
        let key = DeviceKey { part: Some(part), ..DeviceKey::uuid(gpu) };
        return Some(Device { key, compute_instance: Some(number(compute)?), share: None });
    }
    if let Some(uuid) = name.strip_prefix("MIG-") {
        return is_uuid(uuid).then(|| Device::whole(DeviceKey::uuid(name)));
    }
    let uuid = name.strip_prefix("GPU-")?;
    if let Some((gpu, share)) = share_of_hami(name) {
        return Some(Device { share: Some(digits(share)?), ..Device::whole(DeviceKey::uuid(gpu)) });
    }
    is_uuid(uuid).then(|| Device::whole(DeviceKey::uuid(name)))
}

/// Splits `GPU-<uuid>-<n>`, if the UUID is a full one.
fn share_of_hami(name: &str) -> Option<(&str, &str)> {
    const FULL: usize = "GPU-00000000-0000-0000-0000-000000000000".len();
    let (gpu, rest) = name.split_at_checked(FULL)?;
    let uuid = gpu.strip_prefix("GPU-")?;
    let is_full = is_uuid(uuid) && uuid.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    is_full.then_some((gpu, rest.strip_prefix('-')?))
}

/// Whether it has the characters of a UUID. Its length is not checked.
fn is_uuid(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_hexdigit())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `nvidia0` and `nvidia0/gi1`, both also with `/vgpu2`.
fn gke_form(name: &str) -> Option<Device<'_>> {
    let (name, share) = match name.split_once("/vgpu") {
        Some((name, share)) => (name, Some(digits(share)?)),
        None => (name, None),
    };
    let (node, instance) = match name.split_once("/gi") {
        Some((node, instance)) => (node, Some(number(instance)?)),
        None => (name, None),
    };
    let gpu = GpuKey::Minor(number(node.strip_prefix("nvidia")?)?);
    let key = DeviceKey { gpu, part: instance.map(PartKey::GpuInstance) };
    Some(Device { share, ..Device::whole(key) })
}

/// `0` and `0:1`.
fn index_form(name: &str) -> Option<Device<'_>> {
    let (gpu, device) = match name.split_once(':') {
        Some((gpu, device)) => (gpu, Some(number(device)?)),
        None => (name, None),
    };
    let gpu = GpuKey::Index(number(gpu)?);
    Some(Device::whole(DeviceKey { gpu, part: device.map(PartKey::MigDevice) }))
}

/// A number in decimal digits, without a sign.
fn number(text: &str) -> Option<u32> {
    digits(text)?.parse().ok()
}

/// The text itself, if it is a number.
fn digits(text: &str) -> Option<&str> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok();
    is_number.then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "GPU-B8ea3855-276c-c9cb-b366-c6fa655957c5";

    fn uuid(text: &str) -> DeviceKey {
        DeviceKey::uuid(text)
    }

    fn instance(gpu: GpuKey, number: u32) -> DeviceKey {
        DeviceKey::part(gpu, PartKey::GpuInstance(number))
    }

    #[test]
    fn every_known_form_is_read() {
        let hami = format!("{FULL}-12");
        let old = format!("MIG-{FULL}/7/0");
        let old_gpu = || GpuKey::Uuid(FULL.to_ascii_lowercase().into());
        let minor = |number| DeviceKey::whole(GpuKey::Minor(number));
        let index = |number| DeviceKey::whole(GpuKey::Index(number));
        let mig_device =
            |gpu, number| DeviceKey::part(GpuKey::Index(gpu), PartKey::MigDevice(number));
        let mig = "MIG-6B0F1C9c-4a10-5b0b-9d0a-d5b8ffb6c1a4";
        let cases = [
            (FULL, uuid(FULL), None, None),
            ("GPU-aaaa", uuid("gpu-aaaa"), None, None),
            ("GPU-aaaa-3", uuid("gpu-aaaa-3"), None, None),
            (mig, uuid(mig), None, None),
            (&hami, uuid(FULL), None, Some("12")),
            (&old, instance(old_gpu(), 7), Some(0), None),
            ("0", index(0), None, None),
            ("15", index(15), None, None),
            ("0:1", mig_device(0, 1), None, None),
            ("nvidia0", minor(0), None, None),
            ("nvidia11", minor(11), None, None),
            ("nvidia0/gi3", instance(GpuKey::Minor(0), 3), None, None),
            ("nvidia0/vgpu2", minor(0), None, Some("2")),
            ("nvidia1/gi3/vgpu0", instance(GpuKey::Minor(1), 3), None, Some("0")),
            ("GPU-aaaa::0", uuid("gpu-aaaa"), None, Some("0")),
            ("MIG-aaaa::7", uuid("mig-aaaa"), None, Some("7")),
            ("MIG-GPU-aa/1/2::3", instance(GpuKey::Uuid("gpu-aa".into()), 1), Some(2), Some("3")),
            ("2::3", index(2), None, Some("3")),
            ("2:1::3", mig_device(2, 1), None, Some("3")),
            ("nvidia2::3", minor(2), None, Some("3")),
        ];
        for (text, key, compute_instance, share) in cases {
            let share = share.map(Arc::from);
            let wanted = DeviceId { text: text.into(), key, compute_instance, share };
            assert_eq!(DeviceId::parse(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn an_id_of_unknown_form_is_none() {
        let huge = format!("GPU-{}", "a".repeat(1 << 20));
        let digits = "0".repeat(MAX_LENGTH + 1);
        let share_too_large = format!("{FULL}-4294967296");
        let share_of_letters = format!("{FULL}-abc");
        let two_shares = format!("{FULL}-1::2");
        let cases = [
            ("", "empty"),
            (" ", "a space"),
            ("GPU-", "no UUID"),
            ("MIG-", "no UUID"),
            ("MIG-GPU-", "no UUID"),
            ("GPU--", "only dashes"),
            ("gpu-0", "the name of a DRA device"),
            ("GPU-xyz", "letters that are not hexadecimal"),
            ("GPU-aaaa ", "a space at the end"),
            ("GPU-aaaa/1", "a part of a GPU without MIG"),
            ("MIG-GPU-aaaa", "no instances"),
            ("MIG-GPU-aaaa/1", "no compute instance"),
            ("MIG-GPU-aaaa/1/2/3", "a piece too many"),
            ("MIG-GPU-aaaa/x/2", "an instance that is no number"),
            ("nvidia", "no number"),
            ("nvidiaX", "no number"),
            ("nvidia-1", "a sign"),
            ("nvidia0/", "an empty part"),
            ("nvidia0/gi", "no number of the instance"),
            ("nvidia0/vgpu", "no number of the share"),
            ("nvidia0/vgpu1/gi2", "parts in the wrong order"),
            ("nvidia0/vgpu1::2", "two shares"),
            ("nvidia4294967296", "a number that overflows"),
            ("nvidiactl", "another device node"),
            ("0:", "no number of the MIG device"),
            (":1", "no index"),
            ("0:1:2", "a piece too many"),
            ("::3", "a replica of nothing"),
            ("0::", "no number of the replica"),
            ("0::x", "a replica that is no number"),
            ("0::1::2", "two replicas"),
            ("0::4294967296", "a replica that overflows"),
            ("+1", "a sign"),
            ("-1", "a sign"),
            ("4294967296", "an index that overflows"),
            ("٣", "a digit that is not ASCII"),
            ("GPU-ä", "not ASCII"),
            (&huge, "too long"),
            (&digits, "too long"),
            (&share_too_large, "a share that overflows"),
            (&share_of_letters, "a share that is no number"),
            (&two_shares, "two shares"),
        ];
        for (text, why) in cases {
            assert_eq!(DeviceId::parse(text), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = DeviceId::parse(&text);
        }

        #[test]
        fn what_resembles_an_id_makes_it_not_panic(
            text in "(GPU-|MIG-|MIG-GPU-|nvidia)?[0-9a-fä-]{0,44}(/gi|/vgpu|/|:|::|-)?[0-9ä]{0,12}(::)?[0-9]{0,2}"
        ) {
            let id = DeviceId::parse(&text);
            prop_assert!(id.is_none_or(|id| *id.text == *text));
        }
    }
}
