//! Structs of the interface, laid out as its callers have them.

use std::{
    ffi::{c_char, c_void},
    mem::offset_of,
    ptr,
};

use crate::{
    entity::EntityId,
    status::Status,
    value::{BLANK_INT32, ROOM},
    warn,
};

/// A struct that begins with its version.
///
/// # Safety
///
/// The first field is the version, a `u32`, and all-zero bytes are a valid value.
pub(crate) unsafe trait Versioned: Sized {
    const NAME: &'static str;
    const VERSION: u32;
}

/// A struct that is all zero but for its version.
pub(crate) fn fresh<T: Versioned>() -> Box<T> {
    let mut fresh = Box::<T>::new_uninit();
    // SAFETY: the box has room for a T; zeros are a valid T, and its first field is a u32.
    unsafe {
        fresh.as_mut_ptr().write_bytes(0, 1);
        fresh.as_mut_ptr().cast::<u32>().write(T::VERSION);
        fresh.assume_init()
    }
}

/// Whether the caller's struct is the one that is meant here.
///
/// # Safety
///
/// `place` is null or points to a struct that begins with its version.
pub(crate) unsafe fn check<T: Versioned>(place: *const T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::BAD_PARAM);
    }
    // SAFETY: the caller says that a version is there.
    let version = unsafe { place.cast::<u32>().read() };
    if version != T::VERSION {
        let (name, known) = (T::NAME, T::VERSION);
        warn(&format!("{name}: version {version:#010x} instead of {known:#010x}"));
        return Err(Status::VER_MISMATCH);
    }
    Ok(())
}

/// Copies a finished struct to where its caller wants it.
///
/// # Safety
///
/// [`check`] has found `place` to be such a struct.
pub(crate) unsafe fn put<T: Versioned>(place: *mut T, filled: &T) {
    // SAFETY: the caller's struct has the size of a T, as its version says, and is no part of ours.
    unsafe { ptr::copy_nonoverlapping(filled, place, 1) };
}

/// Writes a text into room of a fixed size, cut to what fits.
pub(crate) fn put_text(room: &mut [c_char], text: &str) {
    room.fill(0);
    let most = room.len() - 1;
    let bytes = text.bytes().take(most);
    room.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte as c_char);
}

macro_rules! structs {
    ($($(#[$doc:meta])* $name:ident, $size:literal $(, version $version:literal)? {
        $($field:ident @ $offset:literal: $of:ty,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub(crate) struct $name {
            $(pub $field: $of,)+
        }
        const _: () = assert!(size_of::<$name>() == $size);
        $(const _: () = assert!(offset_of!($name, $field) == $offset);)+
        $(
            // SAFETY: the first field is the version, and all fields are plain numbers.
            unsafe impl Versioned for $name {
                const NAME: &'static str = stringify!($name);
                const VERSION: u32 = $version;
            }
            const _: () = assert!($version & 0xFF_FFFF == $size);
        )?
    )+};
}

type Text<const N: usize> = [c_char; N];

structs! {
    ConnectV2Params, 16, version 0x0200_0010 {
        version @ 0: u32,
        persist @ 4: u32,
        timeout_ms @ 8: u32,
        is_unix_socket @ 12: u32,
    }
    ConnectV3Params, 12, version 0x0100_000C {
        version @ 0: u32,
        persist @ 4: u32,
        timeout_ms @ 8: u32,
    }
    StartEmbeddedParams, 72, version 0x0100_0048 {
        version @ 0: u32,
        mode @ 4: i32,
        handle @ 8: usize,
        log_file @ 16: *const c_char,
        severity @ 24: i32,
        deny_count @ 28: u32,
        denied @ 32: [u32; 10],
    }
    VersionInfo, 516, version 0x0200_0204 {
        version @ 0: u32,
        build @ 4: Text<512>,
    }
    FieldValueV1, 4120, version 0x0100_1018 {
        version @ 0: u32,
        field @ 4: u16,
        letter @ 6: u16,
        status @ 8: i32,
        at @ 16: i64,
        value @ 24: [u8; ROOM],
    }
    ClockSets, 3080 {
        version @ 0: u32,
        count @ 4: i32,
        sets @ 8: [u32; 768],
    }
    Identifiers, 2064 {
        version @ 0: u32,
        brand @ 4: Text<256>,
        name @ 260: Text<256>,
        pci_bus_id @ 516: Text<256>,
        serial @ 772: Text<256>,
        uuid @ 1028: Text<256>,
        vbios @ 1284: Text<256>,
        inforom @ 1540: Text<256>,
        pci_device @ 1796: i32,
        pci_subsystem @ 1800: i32,
        driver @ 1804: Text<256>,
        virtualization @ 2060: i32,
    }
    DeviceAttributes, 5220, version 0x0300_1464 {
        version @ 0: u32,
        clock_sets @ 4: ClockSets,
        thermal @ 3084: [i32; 3],
        power @ 3096: [i32; 6],
        identifiers @ 3120: Identifiers,
        memory @ 5184: [i32; 5],
        settings @ 5204: [i32; 4],
    }
    MigInfo, 148 {
        gpu_uuid @ 0: Text<128>,
        gpu_index @ 128: u32,
        instance @ 132: u32,
        compute_instance @ 136: u32,
        profile @ 140: u32,
        slices @ 144: u32,
    }
    MigRow, 164 {
        entity @ 0: EntityId,
        parent @ 8: EntityId,
        info @ 16: MigInfo,
    }
    MigHierarchy, 73480, version 0x0201_1F08 {
        version @ 0: u32,
        count @ 4: u32,
        rows @ 8: [MigRow; 448],
    }
    HealthSetParams, 40, version 0x0200_0028 {
        version @ 0: u32,
        group @ 8: usize,
        systems @ 16: u32,
        interval_us @ 24: i64,
        keep_s @ 32: f64,
    }
    HealthIncident, 1044 {
        system @ 0: u32,
        health @ 4: u32,
        message @ 8: Text<1024>,
        code @ 1032: u32,
        entity @ 1036: EntityId,
    }
    HealthResponse, 1069068, version 0x0510_500C {
        version @ 0: u32,
        health @ 4: u32,
        count @ 8: u32,
        incidents @ 12: [HealthIncident; 1024],
    }
    PeerStates, 132 {
        gpu @ 0: u32,
        states @ 4: [u32; 32],
    }
    P2pStatus, 4232, version 0x0100_1088 {
        version @ 0: u32,
        count @ 4: u32,
        gpus @ 8: [PeerStates; 32],
    }
    OwnedCores, 136 {
        version @ 0: u32,
        bits @ 8: [u64; 16],
    }
    CpuRow, 400 {
        cpu @ 0: u32,
        cores @ 8: OwnedCores,
        serial @ 144: Text<256>,
    }
    CpuHierarchy, 3208, version 0x0200_0C88 {
        version @ 0: u32,
        count @ 4: u32,
        cpus @ 8: [CpuRow; 8],
    }
}

/// The versions of structs inside others.
pub(crate) const IDENTIFIERS_VERSION: u32 = 0x0100_0810;
pub(crate) const CLOCK_SETS_VERSION: u32 = 0x0100_0C08;
pub(crate) const THERMALS_VERSION: i32 = 0x0100_000C;
pub(crate) const POWER_LIMITS_VERSION: i32 = 0x0100_0018;
pub(crate) const MEMORY_USAGE_VERSION: i32 = 0x0100_0014;
pub(crate) const DEVICE_SETTINGS_VERSION: i32 = 0x0200_0010;
pub(crate) const OWNED_CORES_VERSION: u32 = 0x0100_0088;

/// A version, then blanks.
pub(crate) fn blanks<const N: usize>(version: i32) -> [i32; N] {
    let mut blanks = [BLANK_INT32; N];
    blanks[0] = version;
    blanks
}

/// What is called with each value: kind and number of the entity, values, how many, and what the
/// caller gave along.
pub(crate) type ValueCallback =
    Option<unsafe extern "C" fn(u32, u32, *mut FieldValueV1, i32, *mut c_void) -> i32>;

const _: () = assert!(size_of::<ValueCallback>() == size_of::<usize>());
