//! One opened copy of the library, with its environment and its control file.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs,
    mem::MaybeUninit,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use fake_nvml::Control;
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlFieldValue_t, nvmlReturn_t,
    nvmlValue_t,
};

/// What a call returns in Rust: its answer, or the code of its error.
pub(crate) type Answer<T> = Result<T, nvmlReturn_t>;

pub(crate) const UNINITIALIZED: nvmlReturn_t = 1;
pub(crate) const INVALID_ARGUMENT: nvmlReturn_t = 2;
pub(crate) const NOT_SUPPORTED: nvmlReturn_t = 3;
pub(crate) const NO_PERMISSION: nvmlReturn_t = 4;
pub(crate) const NOT_FOUND: nvmlReturn_t = 6;
pub(crate) const INSUFFICIENT_SIZE: nvmlReturn_t = 7;
pub(crate) const DRIVER_NOT_LOADED: nvmlReturn_t = 9;
pub(crate) const TIMEOUT: nvmlReturn_t = 10;
pub(crate) const GPU_IS_LOST: nvmlReturn_t = 15;
pub(crate) const LIB_RM_VERSION_MISMATCH: nvmlReturn_t = 18;
pub(crate) const NO_DATA: nvmlReturn_t = 21;
pub(crate) const ARGUMENT_VERSION_MISMATCH: nvmlReturn_t = 25;
pub(crate) const UNKNOWN: nvmlReturn_t = 999;

/// The environment belongs to the process, and the library reads it when it is initialised.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

const VARIABLES: [&str; 8] = [
    "FAKE_NVML_FIXTURE",
    "FAKE_NVML_SCENARIO",
    "FAKE_NVML_GPUS",
    "FAKE_NVML_SEED",
    "FAKE_NVML_AT",
    "FAKE_NVML_SPEED",
    "FAKE_NVML_DRIVER",
    "FAKE_NVML_CONTROL",
];

/// A copy of the library.
pub(crate) struct Driver {
    pub(crate) nvml: NvmlLib,
    pub(crate) control: Control,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    library: PathBuf,
}

/// A device handle that threads can share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Device(pub(crate) usize);

impl Device {
    pub(crate) fn raw(self) -> nvmlDevice_t {
        std::ptr::without_provenance_mut(self.0)
    }
}

impl Driver {
    /// Opens a fresh copy of the library, which is not initialised yet.
    pub(crate) fn open(environment: &[(&'static str, &str)]) -> Self {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let copy = COPIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("fake-nvml-{}-{copy}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let library = fake_nvml::install_in(&folder);
        let control = Control::new(folder.join("control"));
        // SAFETY: the library has no initialisers, and its symbols have the types of the header.
        let nvml = unsafe { NvmlLib::new(&library) }.unwrap();
        let environment =
            environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { nvml, control, environment, folder, library }
    }

    /// Opens and initialises.
    pub(crate) fn start(environment: &[(&'static str, &str)]) -> Self {
        let driver = Self::open(environment);
        assert_eq!(driver.init(), Ok(()));
        driver
    }

    /// The fixture that the crate documents its format with.
    pub(crate) fn with_example() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/example.toml");
        Self::start(&[("FAKE_NVML_FIXTURE", path)])
    }

    /// Simulated GPUs whose state stands still.
    pub(crate) fn with_gpus(count: &str) -> Self {
        Self::start(&[("FAKE_NVML_GPUS", count), ("FAKE_NVML_AT", "30")])
    }

    pub(crate) fn init(&self) -> Answer<()> {
        let _guard = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        for name in VARIABLES {
            // SAFETY: whatever reads or writes the environment in these tests holds the lock, but
            // for the search for a folder of temporary files, which has std's own lock.
            unsafe { std::env::remove_var(name) };
        }
        let control = ("FAKE_NVML_CONTROL", self.control.path().to_str().unwrap().to_owned());
        for (name, value) in self.environment.iter().chain([&control]) {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
        // SAFETY: it takes nothing.
        done(unsafe { self.nvml.nvmlInit_v2() })
    }

    /// A function that the bindings do not have.
    ///
    /// # Safety
    ///
    /// `F` must be the function's type.
    pub(crate) unsafe fn symbol<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: these are the C library's, with the types that it gives them.
        unsafe extern "C" {
            fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
            fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        }
        const NOW: c_int = 2;
        let path = CString::new(self.library.to_str().unwrap()).unwrap();
        // SAFETY: the library is open already, so this finds the same one; it stays open.
        let symbol = unsafe { dlsym(dlopen(path.as_ptr(), NOW), name.as_ptr()) };
        assert!(!symbol.is_null() && size_of::<F>() == size_of_val(&symbol), "{name:?}");
        // SAFETY: the caller promises that it is a function of this type.
        unsafe { std::mem::transmute_copy(&symbol) }
    }

    pub(crate) fn shutdown(&self) -> Answer<()> {
        // SAFETY: it takes nothing.
        done(unsafe { self.nvml.nvmlShutdown() })
    }

    pub(crate) fn count(&self) -> Answer<u32> {
        // SAFETY: get() passes a place for the number.
        get(|out| unsafe { self.nvml.nvmlDeviceGetCount_v2(out) })
    }

    pub(crate) fn device(&self, index: u32) -> Answer<Device> {
        // SAFETY: get() passes a place for the handle.
        get(|out| unsafe { self.nvml.nvmlDeviceGetHandleByIndex_v2(index, out) })
            .map(|device: nvmlDevice_t| Device(device.addr()))
    }

    pub(crate) fn power(&self, device: Device) -> Answer<u32> {
        // SAFETY: get() passes a place for the number.
        get(|out| unsafe { self.nvml.nvmlDeviceGetPowerUsage(device.raw(), out) })
    }

    pub(crate) fn name(&self, device: Device) -> Answer<String> {
        // SAFETY: text() passes a buffer of the length that it says.
        text(96, |out, length| unsafe { self.nvml.nvmlDeviceGetName(device.raw(), out, length) })
    }

    pub(crate) fn driver_version(&self) -> Answer<String> {
        // SAFETY: text() passes a buffer of the length that it says.
        text(80, |out, length| unsafe { self.nvml.nvmlSystemGetDriverVersion(out, length) })
    }

    /// Reads one field value; an error of the whole call comes before one of the field.
    pub(crate) fn field(&self, device: Device, id: u32, scope: u32) -> Answer<nvmlFieldValue_t> {
        let mut entry = request(id, scope);
        // SAFETY: one entry is passed, and one is announced.
        done(unsafe { self.nvml.nvmlDeviceGetFieldValues(device.raw(), 1, &mut entry) })?;
        done(entry.nvmlReturn)?;
        Ok(entry)
    }

    /// Reads one field value of type unsigned long long, with its timestamp.
    pub(crate) fn counter(&self, device: Device, id: u32, scope: u32) -> Answer<(i64, u64)> {
        let field = self.field(device, id, scope)?;
        assert_eq!((field.valueType, field.fieldId, field.scopeId), (3, id, scope));
        assert!(field.latencyUsec > 0);
        // SAFETY: the value type says that this member was written.
        Ok((field.timestamp, unsafe { field.value.ullVal }))
    }

    pub(crate) fn event_set(&self, devices: &[Device]) -> EventSet<'_> {
        // SAFETY: get() passes a place for the handle.
        let set: nvmlEventSet_t = get(|out| unsafe { self.nvml.nvmlEventSetCreate(out) }).unwrap();
        for device in devices {
            // SAFETY: the set was created above.
            let registered = unsafe { self.nvml.nvmlDeviceRegisterEvents(device.raw(), 8, set) };
            assert_eq!(registered, 0);
        }
        EventSet { driver: self, set: set.addr() }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        while self.shutdown().is_ok() {}
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An event set of one driver.
pub(crate) struct EventSet<'a> {
    driver: &'a Driver,
    set: usize,
}

impl EventSet<'_> {
    pub(crate) fn raw(&self) -> nvmlEventSet_t {
        std::ptr::without_provenance_mut(self.set)
    }

    /// The next XID, with its GPU; it is one of the whole GPU.
    pub(crate) fn wait(&self, timeout: Duration) -> Answer<(Device, u64)> {
        let data = self.wait_for_any(timeout)?;
        assert_eq!((data.gpuInstanceId, data.computeInstanceId), (u32::MAX, u32::MAX));
        Ok((Device(data.device.addr()), data.eventData))
    }

    /// The next XID.
    pub(crate) fn wait_for_any(&self, timeout: Duration) -> Answer<nvmlEventData_t> {
        let millis = timeout.as_millis() as u32;
        let mut data = MaybeUninit::<nvmlEventData_t>::zeroed();
        // SAFETY: a place for the struct is passed.
        let code =
            unsafe { self.driver.nvml.nvmlEventSetWait_v2(self.raw(), data.as_mut_ptr(), millis) };
        done(code)?;
        // SAFETY: the call succeeded and filled it; and zeros are a valid value anyway.
        let data = unsafe { data.assume_init() };
        assert_eq!(data.eventType, 8);
        Ok(data)
    }
}

impl Drop for EventSet<'_> {
    fn drop(&mut self) {
        // SAFETY: the set is freed once, here; freeing one of a session that is over is an error
        // and nothing else.
        unsafe { self.driver.nvml.nvmlEventSetFree(self.raw()) };
    }
}

/// An entry for nvmlDeviceGetFieldValues, with values that a driver must replace.
pub(crate) fn request(id: u32, scope: u32) -> nvmlFieldValue_t {
    nvmlFieldValue_t {
        fieldId: id,
        scopeId: scope,
        timestamp: -7,
        latencyUsec: -7,
        valueType: 99,
        nvmlReturn: 99,
        value: nvmlValue_t { ullVal: 0xDEAD_BEEF },
    }
}

pub(crate) fn done(code: nvmlReturn_t) -> Answer<()> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// Calls a function that fills one place; `T` is plain data, of which zeros are a valid value.
pub(crate) fn get<T>(call: impl FnOnce(*mut T) -> nvmlReturn_t) -> Answer<T> {
    let mut place = MaybeUninit::zeroed();
    done(call(place.as_mut_ptr()))?;
    // SAFETY: the callers use it for numbers, handles and structs of these only.
    Ok(unsafe { place.assume_init() })
}

/// Calls a function that fills a list: first for the length, then with a buffer of that length.
pub(crate) fn list<T: Copy + Default>(
    call: impl Fn(*mut u32, *mut T) -> nvmlReturn_t,
) -> Answer<Vec<T>> {
    let mut count = 0;
    match done(call(&mut count, std::ptr::null_mut())) {
        Ok(()) => assert_eq!(count, 0, "without room, none"),
        Err(INSUFFICIENT_SIZE) => assert!(count > 0),
        Err(code) => return Err(code),
    }
    let mut list = vec![T::default(); count as usize];
    done(call(&mut count, list.as_mut_ptr()))?;
    assert_eq!(count as usize, list.len());
    Ok(list)
}

/// Calls a function that fills a buffer with text.
pub(crate) fn text(
    length: usize,
    call: impl FnOnce(*mut c_char, u32) -> nvmlReturn_t,
) -> Answer<String> {
    let mut buffer = vec![0x7F_u8; length];
    done(call(buffer.as_mut_ptr().cast(), length as u32))?;
    Ok(CStr::from_bytes_until_nul(&buffer).unwrap().to_str().unwrap().to_owned())
}
