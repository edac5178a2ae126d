//! The health of GPUs, as the engine judges it.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use model::{Health, HealthStatus, Pace};

use crate::abi::{self, EntityPair, version_word};
use crate::group::Group;
use crate::{Code, Handle};

/// The subsystems that the engine watches, with their bits.
#[rustfmt::skip]
const SYSTEMS: [(u32, &str); 10] = [
    (0x001, "PCIE"),
    (0x002, "NVLINK"),
    (0x004, "PMU"),
    (0x008, "MCU"),
    (0x010, "MEM"),
    (0x020, "SM"),
    (0x040, "INFOROM"),
    (0x080, "THERMAL"),
    (0x100, "POWER"),
    (0x200, "DRIVER"),
];

/// The stack size of the thread that fetches health: that of a main thread.
const STACK: usize = 8 * 1024 * 1024;

/// A problem that the engine found on one entity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Incident {
    pub(crate) key: EntityPair,
    system: u32,
    status: HealthStatus,
    error: &'static str,
}

/// Makes the engine watch the health of these GPUs.
///
/// # Errors
///
/// If it does not, usually because its health module is not loaded.
pub(crate) fn begin(handle: &Handle, group: &Group, interval: Duration) -> Result<(), Code> {
    let set = handle.api.set_health.ok_or(Code::NOT_SUPPORTED)?;
    let period = Pace::Slow.period(interval);
    let mut params = abi::HealthSet {
        version: version_word::<abi::HealthSet>(2),
        group: group.raw(),
        systems: abi::HEALTH_ALL,
        update_interval_us: i64::try_from(period.as_micros()).unwrap_or(i64::MAX),
        // The engine judges rates over minutes.
        max_keep_age_s: period.as_secs_f64().mul_add(2.0, 300.0),
    };
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { set(handle.raw, &mut params) })
}

/// The current problems.
///
/// # Errors
///
/// When the engine does not say.
pub(crate) fn incidents(handle: &Handle, group: &Group) -> Result<Vec<Incident>, Code> {
    // An answer is a megabyte. A library that puts it on the stack needs a larger stack than other
    // threads have.
    thread::scope(|scope| {
        let asked = thread::Builder::new()
            .name("dcgm health".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || ask(handle, group));
        let answer = asked.map_err(|_| Code::NO_MEMORY)?.join();
        answer.unwrap_or(Err(Code::NO_MEMORY))
    })
}

fn ask(handle: &Handle, group: &Group) -> Result<Vec<Incident>, Code> {
    let check = handle.api.check_health.ok_or(Code::NOT_SUPPORTED)?;
    let mut found: Box<abi::HealthResponse> = abi::empty();
    // SAFETY: the structure bears its version, and outlives the call.
    handle.check(unsafe { check(handle.raw, group.raw(), &mut *found) })?;
    let count = usize::try_from(found.count).unwrap_or(0).min(found.incidents.len());
    Ok(found.incidents[..count].iter().filter_map(incident).collect())
}

fn incident(found: &abi::Incident) -> Option<Incident> {
    let status = match found.health {
        10 => HealthStatus::Warn,
        20 => HealthStatus::Fail,
        _ => return None,
    };
    Some(Incident { key: found.entity, system: found.system, status, error: error(found.code) })
}

/// The health of each GPU. `owner` gives the GPU of an entity.
pub(crate) fn by_gpu(
    gpus: &[u32],
    incidents: &[Incident],
    owner: impl Fn(EntityPair) -> Option<u32>,
) -> BTreeMap<u32, Vec<Health>> {
    let of = |gpu: u32| {
        let mine: Vec<&Incident> =
            incidents.iter().filter(|incident| owner(incident.key) == Some(gpu)).collect();
        let worst = |bits: u32| {
            let found = mine.iter().filter(|incident| incident.system & bits != 0);
            // The first of equal ones.
            let worst = found.rev().max_by_key(|incident| incident.status);
            worst.map_or((HealthStatus::Pass, ""), |incident| (incident.status, incident.error))
        };
        let systems = SYSTEMS.iter().map(|(bit, subsystem)| (*bit, *subsystem));
        systems
            .chain([(abi::HEALTH_ALL, "ALL")])
            .map(|(bits, subsystem)| {
                let (status, error) = worst(bits);
                Health { subsystem, status, error }
            })
            .collect()
    };
    gpus.iter().map(|gpu| (*gpu, of(*gpu))).collect()
}

/// DCGM's name for one of its errors.
fn error(code: u32) -> &'static str {
    let place = usize::try_from(code).unwrap_or(usize::MAX);
    ERRORS.get(place).copied().unwrap_or("DCGM_FR_UNKNOWN")
}

/// DCGM's names of its errors, by number.
const ERRORS: &[&str] = &[
    "DCGM_FR_OK",
    "DCGM_FR_UNKNOWN",
    "DCGM_FR_UNRECOGNIZED",
    "DCGM_FR_PCI_REPLAY_RATE",
    "DCGM_FR_VOLATILE_DBE_DETECTED",
    "DCGM_FR_VOLATILE_SBE_DETECTED",
    "DCGM_FR_PENDING_PAGE_RETIREMENTS",
    "DCGM_FR_RETIRED_PAGES_LIMIT",
    "DCGM_FR_RETIRED_PAGES_DBE_LIMIT",
    "DCGM_FR_CORRUPT_INFOROM",
    "DCGM_FR_CLOCKS_EVENT_THERMAL",
    "DCGM_FR_POWER_UNREADABLE",
    "DCGM_FR_CLOCKS_EVENT_POWER",
    "DCGM_FR_NVLINK_ERROR_THRESHOLD",
    "DCGM_FR_NVLINK_DOWN",
    "DCGM_FR_NVSWITCH_FATAL_ERROR",
    "DCGM_FR_NVSWITCH_NON_FATAL_ERROR",
    "DCGM_FR_NVSWITCH_DOWN",
    "DCGM_FR_NO_ACCESS_TO_FILE",
    "DCGM_FR_NVML_API",
    "DCGM_FR_DEVICE_COUNT_MISMATCH",
    "DCGM_FR_BAD_PARAMETER",
    "DCGM_FR_CANNOT_OPEN_LIB",
    "DCGM_FR_DENYLISTED_DRIVER",
    "DCGM_FR_NVML_LIB_BAD",
    "DCGM_FR_GRAPHICS_PROCESSES",
    "DCGM_FR_HOSTENGINE_CONN",
    "DCGM_FR_FIELD_QUERY",
    "DCGM_FR_BAD_CUDA_ENV",
    "DCGM_FR_PERSISTENCE_MODE",
    "DCGM_FR_LOW_BANDWIDTH",
    "DCGM_FR_HIGH_LATENCY",
    "DCGM_FR_CANNOT_GET_FIELD_TAG",
    "DCGM_FR_FIELD_VIOLATION",
    "DCGM_FR_FIELD_THRESHOLD",
    "DCGM_FR_FIELD_VIOLATION_DBL",
    "DCGM_FR_FIELD_THRESHOLD_DBL",
    "DCGM_FR_UNSUPPORTED_FIELD_TYPE",
    "DCGM_FR_FIELD_THRESHOLD_TS",
    "DCGM_FR_FIELD_THRESHOLD_TS_DBL",
    "DCGM_FR_THERMAL_VIOLATIONS",
    "DCGM_FR_THERMAL_VIOLATIONS_TS",
    "DCGM_FR_TEMP_VIOLATION",
    "DCGM_FR_CLOCKS_EVENT_VIOLATION",
    "DCGM_FR_INTERNAL",
    "DCGM_FR_PCIE_GENERATION",
    "DCGM_FR_PCIE_WIDTH",
    "DCGM_FR_ABORTED",
    "DCGM_FR_TEST_DISABLED",
    "DCGM_FR_CANNOT_GET_STAT",
    "DCGM_FR_STRESS_LEVEL",
    "DCGM_FR_CUDA_API",
    "DCGM_FR_FAULTY_MEMORY",
    "DCGM_FR_CANNOT_SET_WATCHES",
    "DCGM_FR_CUDA_UNBOUND",
    "DCGM_FR_ECC_DISABLED",
    "DCGM_FR_MEMORY_ALLOC",
    "DCGM_FR_CUDA_DBE",
    "DCGM_FR_MEMORY_MISMATCH",
    "DCGM_FR_CUDA_DEVICE",
    "DCGM_FR_ECC_UNSUPPORTED",
    "DCGM_FR_ECC_PENDING",
    "DCGM_FR_MEMORY_BANDWIDTH",
    "DCGM_FR_TARGET_POWER",
    "DCGM_FR_API_FAIL",
    "DCGM_FR_API_FAIL_GPU",
    "DCGM_FR_CUDA_CONTEXT",
    "DCGM_FR_DCGM_API",
    "DCGM_FR_CONCURRENT_GPUS",
    "DCGM_FR_TOO_MANY_ERRORS",
    "DCGM_FR_NVLINK_CRC_ERROR_THRESHOLD",
    "DCGM_FR_NVLINK_ERROR_CRITICAL",
    "DCGM_FR_ENFORCED_POWER_LIMIT",
    "DCGM_FR_MEMORY_ALLOC_HOST",
    "DCGM_FR_GPU_OP_MODE",
    "DCGM_FR_NO_MEMORY_CLOCKS",
    "DCGM_FR_NO_GRAPHICS_CLOCKS",
    "DCGM_FR_HAD_TO_RESTORE_STATE",
    "DCGM_FR_L1TAG_UNSUPPORTED",
    "DCGM_FR_L1TAG_MISCOMPARE",
    "DCGM_FR_ROW_REMAP_FAILURE",
    "DCGM_FR_UNCONTAINED_ERROR",
    "DCGM_FR_EMPTY_GPU_LIST",
    "DCGM_FR_DBE_PENDING_PAGE_RETIREMENTS",
    "DCGM_FR_UNCORRECTABLE_ROW_REMAP",
    "DCGM_FR_PENDING_ROW_REMAP",
    "DCGM_FR_BROKEN_P2P_MEMORY_DEVICE",
    "DCGM_FR_BROKEN_P2P_WRITER_DEVICE",
    "DCGM_FR_NVSWITCH_NVLINK_DOWN",
    "DCGM_FR_EUD_BINARY_PERMISSIONS",
    "DCGM_FR_EUD_NON_ROOT_USER",
    "DCGM_FR_EUD_SPAWN_FAILURE",
    "DCGM_FR_EUD_TIMEOUT",
    "DCGM_FR_EUD_ZOMBIE",
    "DCGM_FR_EUD_NON_ZERO_EXIT_CODE",
    "DCGM_FR_EUD_TEST_FAILED",
    "DCGM_FR_FILE_CREATE_PERMISSIONS",
    "DCGM_FR_PAUSE_RESUME_FAILED",
    "DCGM_FR_PCIE_H_REPLAY_VIOLATION",
    "DCGM_FR_GPU_EXPECTED_NVLINKS_UP",
    "DCGM_FR_NVSWITCH_EXPECTED_NVLINKS_UP",
    "DCGM_FR_XID_ERROR",
    "DCGM_FR_SBE_VIOLATION",
    "DCGM_FR_DBE_VIOLATION",
    "DCGM_FR_PCIE_REPLAY_VIOLATION",
    "DCGM_FR_SBE_THRESHOLD_VIOLATION",
    "DCGM_FR_DBE_THRESHOLD_VIOLATION",
    "DCGM_FR_PCIE_REPLAY_THRESHOLD_VIOLATION",
    "DCGM_FR_CUDA_FM_NOT_INITIALIZED",
    "DCGM_FR_SXID_ERROR",
    "DCGM_FR_GFLOPS_THRESHOLD_VIOLATION",
    "DCGM_FR_NAN_VALUE",
    "DCGM_FR_FABRIC_MANAGER_TRAINING_ERROR",
    "DCGM_FR_BROKEN_P2P_PCIE_MEMORY_DEVICE",
    "DCGM_FR_BROKEN_P2P_PCIE_WRITER_DEVICE",
    "DCGM_FR_BROKEN_P2P_NVLINK_MEMORY_DEVICE",
    "DCGM_FR_BROKEN_P2P_NVLINK_WRITER_DEVICE",
    "DCGM_FR_TEST_SKIPPED",
    "DCGM_FR_SRAM_THRESHOLD",
    "DCGM_FR_NVLINK_EFFECTIVE_BER_THRESHOLD",
    "DCGM_FR_FALLEN_OFF_BUS",
    "DCGM_FR_NVLINK_SYMBOL_BER_THRESHOLD",
    "DCGM_FR_IMEX_UNHEALTHY",
    "DCGM_FR_FABRIC_PROBE_STATE",
    "DCGM_FR_BINARY_PERMISSIONS",
    "DCGM_FR_GPU_RECOVERY_RESET",
    "DCGM_FR_GPU_RECOVERY_REBOOT",
    "DCGM_FR_GPU_RECOVERY_DRAIN_P2P",
    "DCGM_FR_GPU_RECOVERY_DRAIN_RESET",
    "DCGM_FR_NCCL_ERROR",
    "DCGM_FR_RETEST_REQUESTED",
];

#[cfg(test)]
mod tests {
    use crate::abi::entity;

    use super::*;

    #[test]
    fn an_incident_is_of_its_gpu_and_its_system() {
        let key = |id| EntityPair { group: entity::GPU, id };
        let incident = |id, system, status, error| Incident { key: key(id), system, status, error };
        let found = [
            incident(1, 0x10, HealthStatus::Warn, "DCGM_FR_PENDING_PAGE_RETIREMENTS"),
            incident(1, 0x10, HealthStatus::Fail, "DCGM_FR_VOLATILE_DBE_DETECTED"),
            incident(1, 0x80, HealthStatus::Warn, "DCGM_FR_CLOCKS_EVENT_THERMAL"),
            incident(9, 0x80, HealthStatus::Fail, "DCGM_FR_UNKNOWN"),
        ];
        let health = by_gpu(&[0, 1], &found, |key| Some(key.id));
        let of = |gpu: u32, subsystem| {
            let found = health[&gpu].iter().find(|health| health.subsystem == subsystem).unwrap();
            (found.status, found.error)
        };
        assert_eq!(of(0, "ALL"), (HealthStatus::Pass, ""));
        assert_eq!(of(1, "MEM"), (HealthStatus::Fail, "DCGM_FR_VOLATILE_DBE_DETECTED"));
        assert_eq!(of(1, "THERMAL"), (HealthStatus::Warn, "DCGM_FR_CLOCKS_EVENT_THERMAL"));
        assert_eq!(of(1, "ALL"), of(1, "MEM"));
        assert_eq!(of(1, "PCIE"), (HealthStatus::Pass, ""));
        assert_eq!(health[&0].len(), 11);
    }

    #[test]
    fn errors_have_names() {
        assert_eq!(error(4), "DCGM_FR_VOLATILE_DBE_DETECTED");
        assert_eq!(error(9999), "DCGM_FR_UNKNOWN");
        assert!(ERRORS.iter().all(|name| name.starts_with("DCGM_FR_")));
    }
}
