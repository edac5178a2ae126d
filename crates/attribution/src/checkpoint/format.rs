//! The format of the checkpoint of NVIDIA's DRA driver.
//!
//! Newer drivers write each claim twice: in version 2, and for older drivers in version 1, which
//! has neither the names of claims nor whether they are prepared. Fields that are not used here may
//! have any type. The checksum is not verified, because the driver replaces the file as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use model::{DeviceKey, PartKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::parts::{PreparedDevice, PreparedName};

/// The state of a claim whose devices are ready.
const PREPARED: &str = "PrepareCompleted";

/// What a checkpoint says.
#[derive(Default, Debug)]
pub(super) struct Claims {
    pub(super) devices: HashMap<PreparedName, PreparedDevice>,
    /// The UIDs of claims that are not understood.
    pub(super) malformed: Vec<String>,
}

#[derive(Deserialize)]
struct Version2 {
    v2: Option<Checkpoint>,
}

#[derive(Deserialize)]
struct Version1 {
    v1: Option<Checkpoint>,
}

#[derive(Deserialize)]
struct Checkpoint {
    #[serde(rename = "preparedClaims")]
    claims: Option<HashMap<String, Entry>>,
    #[serde(rename = "nodeBootID")]
    boot_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Claim(Claim),
    NotUnderstood(IgnoredAny),
}

#[derive(Deserialize)]
struct Claim {
    #[serde(rename = "checkpointState")]
    state: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(rename = "preparedDevices")]
    groups: Option<Vec<Option<Group>>>,
}

#[derive(Deserialize)]
struct Group {
    devices: Option<Vec<Device>>,
}

/// A device of one kind. Other kinds, such as vfio, are not read.
#[derive(Deserialize)]
struct Device {
    gpu: Option<Gpu>,
    mig: Option<Mig>,
}

#[derive(Deserialize)]
struct Gpu {
    info: Info,
    device: Named,
}

#[derive(Deserialize)]
struct Mig {
    concrete: Option<Concrete>,
    /// In place of `concrete`, by older drivers.
    info: Option<Info>,
    device: Named,
}

#[derive(Deserialize)]
struct Info {
    uuid: String,
}

#[derive(Default, Deserialize)]
struct Concrete {
    #[serde(rename = "migUUID")]
    uuid: String,
    #[serde(rename = "parentUUID")]
    gpu: Option<String>,
    #[serde(rename = "giId")]
    gpu_instance: Option<u32>,
    #[serde(rename = "ciId")]
    compute_instance: Option<u32>,
}

#[derive(Deserialize)]
struct Named {
    /// The alias is the spelling of older drivers.
    #[serde(rename = "DeviceName", alias = "device_name")]
    name: String,
}

/// Reads a checkpoint. Claims of another boot than `boot_id` are void: their devices are not
/// prepared.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(content: &[u8], boot_id: &str) -> Result<Claims, String> {
    let failed = |error: serde_json::Error| error.to_string();
    if let Some(v2) = serde_json::from_slice::<Version2>(content).map_err(failed)?.v2 {
        return Ok(claims(v2, boot_id, |claim| claim.state.as_deref() == Some(PREPARED)));
    }
    match serde_json::from_slice::<Version1>(content).map_err(failed)?.v1 {
        Some(v1) => Ok(claims(v1, boot_id, |_| true)),
        None => Err("it has neither version 1 nor version 2".to_owned()),
    }
}

fn claims(checkpoint: Checkpoint, boot_id: &str, is_prepared: fn(&Claim) -> bool) -> Claims {
    let mut malformed = Vec::new();
    let mut devices: HashMap<_, Option<PreparedDevice>> = HashMap::new();
    if checkpoint.boot_id.is_some_and(|id| !id.is_empty() && id != boot_id) {
        tracing::debug!("checkpoint: written before this boot: nothing is prepared");
        return Claims::default();
    }
    for (uid, claim) in checkpoint.claims.into_iter().flatten() {
        let prepared = match claim {
            Entry::Claim(claim) if !is_prepared(&claim) => continue,
            Entry::Claim(claim) => prepared(claim),
            Entry::NotUnderstood(_) => None,
        };
        let Some(prepared) = prepared else {
            malformed.push(uid);
            continue;
        };
        for (key, device) in prepared {
            let device = Some(device);
            // Two claims of one name: it is unknown which of them is meant.
            let is_other = devices.get(&key).is_some_and(|known| *known != device);
            devices.insert(key, if is_other { None } else { device });
        }
    }
    let devices = devices.into_iter().filter_map(|(key, device)| Some((key, device?))).collect();
    Claims { devices, malformed }
}

/// The devices of a claim; `None` if one of them is not understood.
fn prepared(claim: Claim) -> Option<Vec<(PreparedName, PreparedDevice)>> {
    let namespace: Arc<str> = claim.namespace.unwrap_or_default().into();
    let claim_name: Arc<str> = claim.name.unwrap_or_default().into();
    let mut found = Vec::new();
    let groups = claim.groups.into_iter().flatten().flatten();
    for device in groups.filter_map(|group| group.devices).flatten() {
        let (name, device) = match (device.gpu, device.mig) {
            (None, None) => continue,
            (Some(gpu), None) => of_gpu(gpu)?,
            (None, Some(mig)) => of_mig(mig)?,
            (Some(_), Some(_)) => return None,
        };
        found.push(((namespace.clone(), claim_name.clone(), name), device));
    }
    Some(found)
}

fn of_gpu(gpu: Gpu) -> Option<(Arc<str>, PreparedDevice)> {
    let key = DeviceKey::uuid(&not_empty(gpu.info.uuid)?);
    let device = PreparedDevice { key, compute_instance: None, mig_uuid: None };
    Some((not_empty(gpu.device.name)?, device))
}

fn of_mig(mig: Mig) -> Option<(Arc<str>, PreparedDevice)> {
    let concrete = match (mig.concrete, mig.info) {
        (Some(concrete), _) => concrete,
        (None, info) => Concrete { uuid: info?.uuid, ..Concrete::default() },
    };
    let compute_instance = concrete.compute_instance;
    let uuid = not_empty(concrete.uuid)?;
    // DCGM does not tell the UUIDs of MIG devices, but their GPU instances.
    let key = match (concrete.gpu.and_then(not_empty), concrete.gpu_instance) {
        (Some(gpu), Some(instance)) => {
            DeviceKey::part(DeviceKey::uuid(&gpu).gpu, PartKey::GpuInstance(instance))
        }
        _ => DeviceKey::uuid(&uuid),
    };
    let device = PreparedDevice { key, compute_instance, mig_uuid: Some(uuid) };
    Some((not_empty(mig.device.name)?, device))
}

fn not_empty(text: String) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: &str = "b8c1f3a2-0000-4000-8000-000000000001";

    /// Two GPUs of one claim, a dynamic MIG device of another, a claim that is being prepared, and
    /// a GPU that a virtual machine has.
    const V2: &str = r#"{
        "version": "v2",
        "checksum": 1234567890,
        "v1": "not read",
        "v2": {
            "checksum": 42,
            "nodeBootID": "b8c1f3a2-0000-4000-8000-000000000001",
            "preparedClaims": {
                "0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11": {
                    "checkpointState": "PrepareCompleted",
                    "status": {"allocation": {"devices": {"results": [{"device": "gpu-0"}]}}},
                    "name": "gpus",
                    "namespace": "default",
                    "preparedDevices": [null, {"configState": {}, "devices": [
                        {"gpu": {"info": {"uuid": "GPU-A", "Health": ""}, "device": {
                            "Requests": ["gpu"], "PoolName": "node", "DeviceName": "gpu-0",
                            "CDIDeviceIDs": ["k8s.gpu.nvidia.com/device=gpu-0"], "ShareID": null
                        }}, "mig": null}
                    ]}, {"devices": [
                        {"gpu": {"info": {"uuid": "GPU-B"}, "device": {"DeviceName": "gpu-1"}},
                         "mig": null, "vfio": null}
                    ]}]
                },
                "1e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11": {
                    "checkpointState": "PrepareCompleted",
                    "name": "slice",
                    "namespace": "team",
                    "preparedDevices": [{"devices": [{"gpu": null, "mig": {
                        "concrete": {
                            "parentMinor": 2, "giId": 7, "ciId": 0, "migUUID": "MIG-C",
                            "parentUUID": "GPU-C", "parentPCIBusID": "0000:17:00.0"
                        },
                        "device": {"DeviceName": "gpu-2-mig-1g5gb-19-0"}
                    }}]}]
                },
                "2e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11": {
                    "checkpointState": "PrepareStarted",
                    "name": "soon",
                    "namespace": "team"
                },
                "3e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11": {
                    "checkpointState": "PrepareCompleted",
                    "name": "machine",
                    "namespace": "team",
                    "preparedDevices": [{"devices": [{"gpu": null, "mig": null, "vfio": {
                        "info": {"uuid": "GPU-D"}, "device": {"DeviceName": "gpu-vfio-3"}
                    }}]}]
                }
            }
        }
    }"#;

    const V1: &str = r#"{
        "checksum": 1234567890,
        "v1": {"preparedClaims": {
            "0e7b1a8c-5d1f-4a6e-9b60-6f2f5a7c1d11": {
                "status": {},
                "preparedDevices": [{"devices": [
                    {"gpu": {"info": {"uuid": "GPU-A"}, "device": {"device_name": "gpu-0"}},
                     "mig": null},
                    {"gpu": null, "mig": {"info": {"uuid": "MIG-B"}, "device": {
                        "DeviceName": "gpu-1-mig-19-0-1"
                    }}}
                ], "configState": {}}]
            }
        }}
    }"#;

    fn device(uuid: &str, compute_instance: Option<u32>) -> PreparedDevice {
        let mig_uuid = uuid.starts_with("MIG-").then(|| uuid.into());
        PreparedDevice { key: DeviceKey::uuid(uuid), compute_instance, mig_uuid }
    }

    fn key(namespace: &str, claim: &str, device: &str) -> PreparedName {
        (namespace.into(), claim.into(), device.into())
    }

    fn one(state: &str, namespace: &str, device: &str) -> String {
        format!(
            r#"{{"checkpointState": "{state}", "name": "claim", "namespace": "{namespace}",
                "preparedDevices": [{{"devices": [{device}]}}]}}"#
        )
    }

    fn gpu(uuid: &str) -> String {
        format!(
            r#"{{"gpu": {{"info": {{"uuid": "{uuid}"}}, "device": {{"DeviceName": "gpu-0"}}}}}}"#
        )
    }

    fn v2(claims: &[String]) -> Claims {
        let claims: Vec<String> = claims
            .iter()
            .enumerate()
            .map(|(number, claim)| format!(r#""uid {number}": {claim}"#))
            .collect();
        let text = format!(r#"{{"v2": {{"preparedClaims": {{{}}}}}}}"#, claims.join(","));
        parse(text.as_bytes(), BOOT).unwrap()
    }

    #[test]
    fn version_2_has_devices_by_the_name_of_their_claim() {
        let claims = parse(V2.as_bytes(), BOOT).unwrap();
        // By its place, which every source of readings knows.
        let of_gpu_c = DeviceKey::uuid("GPU-C").gpu;
        let mig = PreparedDevice {
            key: DeviceKey::part(of_gpu_c, PartKey::GpuInstance(7)),
            ..device("MIG-C", Some(0))
        };
        let expected = [
            (key("default", "gpus", "gpu-0"), device("GPU-A", None)),
            (key("default", "gpus", "gpu-1"), device("GPU-B", None)),
            (key("team", "slice", "gpu-2-mig-1g5gb-19-0"), mig),
        ];
        assert_eq!(claims.devices, expected.into());
        assert!(claims.malformed.is_empty());
    }

    #[test]
    fn version_1_has_devices_without_names_of_claims() {
        let claims = parse(V1.as_bytes(), BOOT).unwrap();
        let expected = [
            (key("", "", "gpu-0"), device("GPU-A", None)),
            (key("", "", "gpu-1-mig-19-0-1"), device("MIG-B", None)),
        ];
        assert_eq!(claims.devices, expected.into());
        assert!(claims.malformed.is_empty());
    }

    #[test]
    fn claims_of_another_boot_are_void() {
        assert!(parse(V2.as_bytes(), "another boot").unwrap().devices.is_empty());
        assert!(parse(V2.as_bytes(), "").unwrap().devices.is_empty());
        // Older drivers do not write the boot.
        let without = V2.replace(BOOT, "");
        assert_eq!(parse(without.as_bytes(), BOOT).unwrap().devices.len(), 3);
        let without = V2.replace("nodeBootID", "other");
        assert_eq!(parse(without.as_bytes(), BOOT).unwrap().devices.len(), 3);
    }

    #[test]
    fn a_claim_that_is_malformed_costs_itself_only() {
        let good = one(PREPARED, "default", &gpu("GPU-A"));
        let both = r#"{"gpu": {"info": {"uuid": "GPU-A"}, "device": {"DeviceName": "gpu-0"}},
            "mig": {"info": {"uuid": "MIG-A"}, "device": {"DeviceName": "gpu-0"}}}"#;
        let no_uuid = r#"{"mig": {"device": {"DeviceName": "gpu-0-mig-1g5gb-19-0"}}}"#;
        let no_name = r#"{"gpu": {"info": {"uuid": "GPU-A"}, "device": {"DeviceName": ""}}}"#;
        let negative = r#"{"mig": {"concrete": {"migUUID": "MIG-A", "ciId": -1},
            "device": {"DeviceName": "gpu-0-mig-1g5gb-19-0"}}}"#;
        let cases = [
            "[]".to_owned(),
            "null".to_owned(),
            r#""text""#.to_owned(),
            format!(r#"{{"checkpointState": "{PREPARED}", "preparedDevices": 5}}"#),
            format!(r#"{{"checkpointState": "{PREPARED}", "name": 5}}"#),
            one(PREPARED, "default", "5"),
            one(PREPARED, "default", &gpu("")),
            one(PREPARED, "default", both),
            one(PREPARED, "default", no_uuid),
            one(PREPARED, "default", no_name),
            one(PREPARED, "default", negative),
        ];
        for bad in cases {
            let claims = v2(&[bad.clone(), good.clone()]);
            assert_eq!(claims.devices.len(), 1, "{bad}");
            assert_eq!(claims.malformed, ["uid 0"], "{bad}");
        }
    }

    #[test]
    fn claims_that_are_not_prepared_are_not_used() {
        for state in ["", "PrepareStarted", "PrepareAborted", "new"] {
            let claims = v2(&[one(state, "default", &gpu("GPU-A"))]);
            assert!(claims.devices.is_empty() && claims.malformed.is_empty(), "{state}");
        }
    }

    #[test]
    fn a_device_that_two_claims_of_one_name_describe_differently_is_unknown() {
        let claims = |uuids: &[&str]| {
            let claims: Vec<String> =
                uuids.iter().map(|uuid| one(PREPARED, "default", &gpu(uuid))).collect();
            v2(&claims).devices.len()
        };
        assert_eq!(claims(&["GPU-A", "GPU-A"]), 1);
        assert_eq!(claims(&["GPU-A", "GPU-B"]), 0);
        assert_eq!(claims(&["GPU-A", "GPU-B", "GPU-A"]), 0);
    }

    #[test]
    fn a_checkpoint_that_is_not_understood_is_an_error() {
        let cases = [
            ("", "EOF while parsing a value"),
            ("{", "EOF while parsing an object"),
            (&V2[..V2.len() / 2], "EOF while parsing"),
            ("[]", "invalid length 0"),
            ("5", "invalid type: integer `5`"),
            ("{}", "neither version 1 nor version 2"),
            (r#"{"checksum": 1, "v9": {}}"#, "neither version 1 nor version 2"),
            (r#"{"v1": null, "v2": null}"#, "neither version 1 nor version 2"),
            (r#"{"v2": 5}"#, "invalid type: integer `5`"),
            (r#"{"v2": {"preparedClaims": 5}}"#, "invalid type: integer `5`"),
            (r#"{"v2": {"nodeBootID": 5}}"#, "invalid type: integer `5`"),
        ];
        for (text, expected) in cases {
            let error = parse(text.as_bytes(), BOOT).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
        let deep = format!(r#"{{"v2": {{"preparedClaims": {{"a": {}"#, "[".repeat(100_000));
        assert!(parse(deep.as_bytes(), BOOT).is_err());
        assert!(parse(b"\xff\xfe", BOOT).is_err());
    }

    #[test]
    fn a_driver_without_claims_has_prepared_nothing() {
        for text in [r#"{"v1": {}}"#, r#"{"v2": {}}"#, r#"{"v2": {"preparedClaims": null}}"#] {
            let claims = parse(text.as_bytes(), BOOT).unwrap();
            assert!(claims.devices.is_empty() && claims.malformed.is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(content in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&content, BOOT);
        }

        #[test]
        fn a_checkpoint_with_other_bytes_in_it_can_be_read(
            position in 0..V2.len(),
            bytes in proptest::collection::vec(any::<u8>(), 0..8),
            is_cut in any::<bool>(),
        ) {
            let mut content = V2.as_bytes().to_vec();
            let end = (position + bytes.len()).min(content.len());
            content.splice(position..end, bytes);
            if is_cut {
                content.truncate(position);
                prop_assert!(parse(&content, BOOT).is_err());
            } else if let Ok(claims) = parse(&content, BOOT) {
                prop_assert!(claims.devices.len() <= 3);
            }
        }
    }
}
