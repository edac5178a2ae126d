//! The structures, constants and functions of DCGM that are used here. Sizes and offsets are
//! checked at compile time.

use std::alloc::{self, Layout};
use std::ffi::{c_char, c_int, c_void};

/// The first word of a structure: its size, with its version in the highest byte.
pub(crate) const fn version_word<T>(version: u32) -> u32 {
    size_of::<T>() as u32 | version << 24
}

/// A structure that DCGM fills in and that is allocated on the heap, because it is large.
///
/// # Safety
///
/// All-zero bytes are a valid value of it, and its first word is its version.
pub(crate) unsafe trait Answer: Sized {
    /// Its version.
    const VERSION: u32;
}

/// An empty structure, on the heap.
pub(crate) fn empty<T: Answer>() -> Box<T> {
    let layout = Layout::new::<T>();
    // SAFETY: no answer is of size 0.
    let raw = unsafe { alloc::alloc_zeroed(layout) };
    if raw.is_null() {
        alloc::handle_alloc_error(layout);
    }
    // SAFETY: as `Answer` promises, these bytes are a value, and the first word is its version; they
    // were allocated with its layout.
    unsafe {
        raw.cast::<u32>().write(version_word::<T>(T::VERSION));
        Box::from_raw(raw.cast())
    }
}

macro_rules! answers {
    ($($type:ty, $version:literal;)+) => {
        $(
            // SAFETY: plain integers and bytes, the first of which is `version`.
            unsafe impl Answer for $type {
                const VERSION: u32 = $version;
            }
        )+
    };
}

answers! {
    DeviceAttributes, 3;
    MigHierarchy, 2;
    CpuHierarchy, 2;
    PeerStates, 1;
    HealthResponse, 5;
    VersionInfo, 2;
}

/// Kinds of entities.
pub(crate) mod entity {
    pub(crate) const NONE: u32 = 0;
    pub(crate) const GPU: u32 = 1;
    pub(crate) const SWITCH: u32 = 3;
    pub(crate) const GPU_INSTANCE: u32 = 4;
    pub(crate) const COMPUTE_INSTANCE: u32 = 5;
    pub(crate) const LINK: u32 = 6;
    pub(crate) const CPU: u32 = 7;
    pub(crate) const CPU_CORE: u32 = 8;
}

/// States of a GPU.
pub(crate) mod status {
    pub(crate) const OK: u32 = 1;
    pub(crate) const INACCESSIBLE: u32 = 3;
    pub(crate) const LOST: u32 = 4;
    pub(crate) const FAKE: u32 = 5;
    pub(crate) const DETACHED: u32 = 7;
}

/// The engine samples by itself.
pub(crate) const OPERATION_MODE_AUTO: c_int = 1;

/// An empty group.
pub(crate) const GROUP_EMPTY: c_int = 1;

/// The most GPUs of DCGM.
pub(crate) const MOST_GPUS: usize = 32;

/// The most fields in a group of fields; one more is a bad parameter.
pub(crate) const MOST_FIELDS: usize = 127;

/// The most entities in a group.
pub(crate) const MOST_ENTITIES: usize = 1024;

/// The version word of the second version of [`FieldValue`], which is not used here.
pub(crate) const OTHER_FIELD_VALUE: u32 = 0x0200_1020;

/// The first blank integer.
pub(crate) const BLANK_INT: i64 = 0x7fff_ffff_ffff_fff0;
/// The first blank 32-bit integer.
pub(crate) const BLANK_INT_32: i64 = 0x7fff_fff0;
/// The first blank double.
pub(crate) const BLANK_FLOAT: f64 = 140_737_488_355_328.0;
/// The number of blank values of each type: unknown, not found, not supported, not permitted.
pub(crate) const BLANKS: u32 = 4;

/// Blank texts, in the same order.
pub(crate) const BLANK_TEXTS: [&[u8]; 4] =
    [b"<<<NULL>>>", b"<<<NOT_FOUND>>>", b"<<<NOT_SUPPORTED>>>", b"<<<NOT_PERM>>>"];

/// Types of values.
pub(crate) const TYPE_INT: u16 = b'i' as u16;
pub(crate) const TYPE_FLOAT: u16 = b'd' as u16;
pub(crate) const TYPE_TEXT: u16 = b's' as u16;
pub(crate) const TYPE_TIME: u16 = b't' as u16;

/// The mask of all subsystems.
pub(crate) const HEALTH_ALL: u32 = 0xffff_ffff;

/// A field's value.
#[repr(C)]
pub(crate) struct FieldValue {
    pub(crate) version: u32,
    pub(crate) field: u16,
    pub(crate) kind: u16,
    pub(crate) status: c_int,
    /// Microseconds since 1970, by the engine's clock.
    pub(crate) ts: i64,
    /// A number in the first word, or a text.
    pub(crate) value: [u64; 512],
}

#[repr(C)]
pub(crate) struct ConnectV3 {
    pub(crate) version: u32,
    pub(crate) persist_after_disconnect: u32,
    pub(crate) timeout_ms: u32,
}

#[repr(C)]
pub(crate) struct ConnectV2 {
    pub(crate) version: u32,
    pub(crate) persist_after_disconnect: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) address_is_unix_socket: u32,
}

#[repr(C)]
pub(crate) struct StartEmbedded {
    pub(crate) version: u32,
    pub(crate) mode: c_int,
    pub(crate) handle: usize,
    pub(crate) log_file: *const c_char,
    pub(crate) severity: c_int,
    pub(crate) deny_count: u32,
    pub(crate) deny: [u32; 10],
}

/// 256 bytes of text.
pub(crate) type Text = [u8; 256];

#[repr(C)]
pub(crate) struct DeviceIdentifiers {
    pub(crate) version: u32,
    pub(crate) brand: Text,
    pub(crate) name: Text,
    pub(crate) pci_bus_id: Text,
    pub(crate) serial: Text,
    pub(crate) uuid: Text,
    pub(crate) vbios: Text,
    pub(crate) inforom_image: Text,
    pub(crate) pci_device: u32,
    pub(crate) pci_subsystem: u32,
    pub(crate) driver_version: Text,
    pub(crate) virtualization_mode: u32,
}

#[repr(C)]
pub(crate) struct DeviceAttributes {
    pub(crate) version: u32,
    /// Clocks, temperatures and power limits, which are read as fields.
    pub(crate) before: [u32; 779],
    pub(crate) identifiers: DeviceIdentifiers,
    /// Memory and settings.
    pub(crate) after: [u32; 9],
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct EntityPair {
    pub(crate) group: u32,
    pub(crate) id: u32,
}

#[repr(C)]
pub(crate) struct MigInfo {
    pub(crate) gpu_uuid: [u8; 128],
    pub(crate) nvml_gpu_index: u32,
    pub(crate) nvml_instance: u32,
    pub(crate) nvml_compute_instance: u32,
    pub(crate) nvml_profile: u32,
    pub(crate) slices: u32,
}

#[repr(C)]
pub(crate) struct MigEntry {
    pub(crate) entity: EntityPair,
    pub(crate) parent: EntityPair,
    pub(crate) info: MigInfo,
}

#[repr(C)]
pub(crate) struct MigHierarchy {
    pub(crate) version: u32,
    pub(crate) count: u32,
    pub(crate) entries: [MigEntry; 448],
}

#[repr(C)]
pub(crate) struct OwnedCores {
    pub(crate) version: u32,
    pub(crate) bitmask: [u64; 16],
}

#[repr(C)]
pub(crate) struct CpuEntry {
    pub(crate) id: u32,
    pub(crate) cores: OwnedCores,
    pub(crate) serial: Text,
}

#[repr(C)]
pub(crate) struct CpuHierarchy {
    pub(crate) version: u32,
    pub(crate) count: u32,
    pub(crate) cpus: [CpuEntry; 8],
}

#[repr(C)]
pub(crate) struct GpuPeers {
    pub(crate) gpu: u32,
    pub(crate) states: [u32; MOST_GPUS],
}

#[repr(C)]
pub(crate) struct PeerStates {
    pub(crate) version: u32,
    pub(crate) count: u32,
    pub(crate) gpus: [GpuPeers; MOST_GPUS],
}

#[repr(C)]
pub(crate) struct HealthSet {
    pub(crate) version: u32,
    pub(crate) group: usize,
    pub(crate) systems: u32,
    pub(crate) update_interval_us: i64,
    pub(crate) max_keep_age_s: f64,
}

#[repr(C)]
pub(crate) struct Incident {
    pub(crate) system: u32,
    pub(crate) health: u32,
    pub(crate) message: [u8; 1024],
    pub(crate) code: u32,
    pub(crate) entity: EntityPair,
}

/// A megabyte, therefore always on the heap.
#[repr(C)]
pub(crate) struct HealthResponse {
    pub(crate) version: u32,
    pub(crate) overall: u32,
    pub(crate) count: u32,
    pub(crate) incidents: [Incident; 1024],
}

#[repr(C)]
pub(crate) struct VersionInfo {
    pub(crate) version: u32,
    pub(crate) text: [u8; 512],
}

macro_rules! check {
    ($($type:ty, $version:literal => $word:literal { $($field:ident at $offset:literal),* };)+) => {
        $(
            const _: () = {
                assert!(version_word::<$type>($version) == $word);
                $(assert!(std::mem::offset_of!($type, $field) == $offset);)*
            };
        )+
    };
}

check! {
    FieldValue, 1 => 0x0100_1018 { version at 0, field at 4, kind at 6, status at 8, ts at 16, value at 24 };
    ConnectV2, 2 => 0x0200_0010 { persist_after_disconnect at 4, timeout_ms at 8, address_is_unix_socket at 12 };
    ConnectV3, 1 => 0x0100_000c { persist_after_disconnect at 4, timeout_ms at 8 };
    StartEmbedded, 1 => 0x0100_0048 { mode at 4, handle at 8, log_file at 16, severity at 24, deny_count at 28, deny at 32 };
    DeviceIdentifiers, 1 => 0x0100_0810 { brand at 4, name at 260, pci_bus_id at 516, serial at 772, uuid at 1028, vbios at 1284, inforom_image at 1540, pci_device at 1796, pci_subsystem at 1800, driver_version at 1804, virtualization_mode at 2060 };
    DeviceAttributes, 3 => 0x0300_1464 { before at 4, identifiers at 3120, after at 5184 };
    EntityPair, 0 => 0x0000_0008 { group at 0, id at 4 };
    MigHierarchy, 2 => 0x0201_1f08 { count at 4, entries at 8 };
    MigEntry, 0 => 0x0000_00a4 { entity at 0, parent at 8, info at 16 };
    MigInfo, 0 => 0x0000_0094 { nvml_gpu_index at 128, nvml_instance at 132, nvml_compute_instance at 136, nvml_profile at 140, slices at 144 };
    CpuHierarchy, 2 => 0x0200_0c88 { count at 4, cpus at 8 };
    CpuEntry, 0 => 0x0000_0190 { id at 0, cores at 8, serial at 144 };
    OwnedCores, 1 => 0x0100_0088 { bitmask at 8 };
    PeerStates, 1 => 0x0100_1088 { count at 4, gpus at 8 };
    HealthSet, 2 => 0x0200_0028 { group at 8, systems at 16, update_interval_us at 24, max_keep_age_s at 32 };
    HealthResponse, 5 => 0x0510_500c { overall at 4, count at 8, incidents at 12 };
    Incident, 0 => 0x0000_0414 { system at 0, health at 4, message at 8, code at 1032, entity at 1036 };
    VersionInfo, 2 => 0x0200_0204 { text at 4 };
}

/// Called for each value on the calling thread. A negative answer ends the enumeration.
pub(crate) type TakeValues = unsafe extern "C" fn(
    group: u32,
    entity: u32,
    values: *mut FieldValue,
    count: c_int,
    user: *mut c_void,
) -> c_int;

macro_rules! functions {
    ($($name:ident($($arg:ty),*) $(-> $answer:ty)?;)+) => {
        $(pub(crate) type $name = unsafe extern "C" fn($($arg),*) $(-> $answer)?;)+
    };
}

functions! {
    Plain() -> c_int;
    OfHandle(usize) -> c_int;
    Connect3(*const c_char, *mut ConnectV3, *mut usize) -> c_int;
    Connect2(*const c_char, *mut ConnectV2, *mut usize) -> c_int;
    Start(*mut StartEmbedded) -> c_int;
    Version(*mut VersionInfo) -> c_int;
    EngineVersion(usize, *mut VersionInfo) -> c_int;
    Devices(usize, *mut u32, *mut c_int) -> c_int;
    Entities(usize, u32, *mut u32, *mut c_int, u32) -> c_int;
    Instances(usize, *mut MigHierarchy) -> c_int;
    Attributes(usize, u32, *mut DeviceAttributes) -> c_int;
    Status(usize, u32, *mut u32) -> c_int;
    CreateGroup(usize, c_int, *const c_char, *mut usize) -> c_int;
    AddEntity(usize, usize, u32, u32) -> c_int;
    Destroy(usize, usize) -> c_int;
    CreateFields(usize, c_int, *const u16, *const c_char, *mut usize) -> c_int;
    WatchFields(usize, usize, usize, i64, f64, c_int) -> c_int;
    UnwatchFields(usize, usize, usize) -> c_int;
    UpdateAll(usize, c_int) -> c_int;
    LatestValues(usize, usize, usize, TakeValues, *mut c_void) -> c_int;
    ValuesSince(usize, usize, usize, i64, *mut i64, TakeValues, *mut c_void) -> c_int;
    SetHealth(usize, *mut HealthSet) -> c_int;
    CheckHealth(usize, usize, *mut HealthResponse) -> c_int;
    Peers(usize, *mut PeerStates) -> c_int;
    Cpus(usize, *mut CpuHierarchy) -> c_int;
    FieldById(u16) -> *const c_void;
}
