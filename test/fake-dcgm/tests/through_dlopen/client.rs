//! A client of the library, which calls it through C.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use fake_dcgm::Control;
use fake_nvml::control::{Host, HostGpu};
use fake_nvml::control_file::POLL;
use libloading::{Library, Symbol};
use tempfile::TempDir;

/// The tests share the environment, and so the control files: one runs at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The engine has not done what it was asked for.
pub(crate) const TIMEOUT: i32 = -11;

/// The files that the environment names, set before any library is opened.
struct Place {
    folder: TempDir,
    engine: Control,
    driver: Control,
}

const EQUIPMENT: &str = r#"
[[switch]]
id = 0
links = 2
[[cpu]]
id = 0
cores = [0, 65]
[[value]]
entity = "switch 0"
field = 858
int = 42
[[value]]
entity = "core 65"
field = 1110
float = 0.5
"#;

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (engine, driver) = (path("engine"), path("driver"));
        std::fs::write(path("equipment"), EQUIPMENT).unwrap();
        let nvml = fake_nvml::install_in(folder.path());
        for (name, value) in [
            ("FAKE_DCGM_NVML", nvml.to_str().unwrap()),
            ("FAKE_DCGM_CONTROL", &engine),
            ("FAKE_DCGM_EQUIPMENT", &path("equipment")),
            ("FAKE_DCGM_HANG_SECONDS", "0.5"),
            ("FAKE_NVML_GPUS", "2"),
            ("FAKE_NVML_ROOT", &path("root")),
            ("FAKE_NVML_CONTROL", &driver),
        ] {
            // SAFETY: no library that reads the environment is open yet, and the other tests wait.
            unsafe { std::env::set_var(name, value) };
        }
        // What an engine looks at to see whether a GPU came or went.
        let gpus = [0x1a, 0x2a].map(|bus| HostGpu {
            pci_address: format!("0000:{bus:02x}:00.0"),
            uuid: format!("GPU-{bus}"),
        });
        let host = Host { root: path("root").into(), gpus: gpus.into() };
        let driver = Control::new(driver).with_host(host);
        Place { engine: Control::new(engine), driver, folder }
    })
}

/// One client, with its own copy of the library.
pub(crate) struct Client {
    library: Library,
    pub(crate) handle: usize,
    pub(crate) engine: &'static Control,
    pub(crate) driver: &'static Control,
    _copy: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// One value that came back.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FieldValue {
    pub(crate) entity: (u32, u32),
    pub(crate) field: u16,
    pub(crate) letter: char,
    pub(crate) status: i32,
    pub(crate) at: i64,
    pub(crate) value: Vec<u8>,
}

impl FieldValue {
    pub(crate) fn int(&self) -> i64 {
        assert_eq!(self.letter, 'i');
        i64::from_ne_bytes(self.value[..8].try_into().unwrap())
    }

    pub(crate) fn float(&self) -> f64 {
        assert_eq!(self.letter, 'd');
        f64::from_ne_bytes(self.value[..8].try_into().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.letter, 's');
        CStr::from_bytes_until_nul(&self.value).unwrap().to_str().unwrap()
    }
}

/// A struct of the interface: zeros, with a version in front.
pub(crate) fn versioned(version: u32) -> Vec<u64> {
    let size = (version & 0xFF_FFFF) as usize;
    let mut words = vec![0_u64; size.div_ceil(8)];
    words[0] = version.into();
    words
}

pub(crate) fn u32_at(words: &[u64], offset: usize) -> u32 {
    (words[offset / 8] >> (offset % 8 * 8)) as u32
}

pub(crate) fn text_at(words: &[u64], offset: usize) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).skip(offset).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap().to_owned()
}

/// Called with each value.
///
/// # Safety
///
/// `user` is a list of values that is not used meanwhile, and `value` points to one value.
unsafe extern "C" fn collect(
    kind: u32,
    id: u32,
    value: *mut u8,
    count: c_int,
    user: *mut c_void,
) -> c_int {
    assert_eq!(count, 1);
    // SAFETY: a value has 4120 bytes, and `user` is the list that was passed.
    let (bytes, values) =
        unsafe { (std::slice::from_raw_parts(value, 4120), &mut *user.cast::<Vec<FieldValue>>()) };
    assert_eq!(bytes[..4], 0x0100_1018_u32.to_ne_bytes());
    values.push(FieldValue {
        entity: (kind, id),
        field: u16::from_ne_bytes([bytes[4], bytes[5]]),
        letter: bytes[6] as char,
        status: i32::from_ne_bytes(bytes[8..12].try_into().unwrap()),
        at: i64::from_ne_bytes(bytes[16..24].try_into().unwrap()),
        value: bytes[24..].to_vec(),
    });
    0
}

type Callback = unsafe extern "C" fn(u32, u32, *mut u8, c_int, *mut c_void) -> c_int;

impl Client {
    /// The library, opened and nothing more.
    pub(crate) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place();
        assert!(place.folder.path().exists());
        place.engine.clear();
        place.driver.clear();
        // The driver library is open already. It reads its file again within 5 ms, on a busy machine later.
        thread::sleep(10 * POLL);
        let copy = tempfile::tempdir().unwrap();
        let path: PathBuf = fake_dcgm::install_in(copy.path());
        // SAFETY: it has no initializers, and is never closed while its threads live.
        let library = unsafe { Library::new(path) }.unwrap();
        let (engine, driver) = (&place.engine, &place.driver);
        Self { library, handle: 0, engine, driver, _copy: copy, _turn: turn }
    }

    /// The same, connected.
    pub(crate) fn connected() -> Self {
        let mut client = Self::new();
        assert_eq!(client.init(), 0);
        client.handle = client.connect(1000).unwrap();
        client
    }

    /// # Safety
    ///
    /// `F` is the type of the function.
    pub(crate) unsafe fn function<F>(&self, name: &str) -> Symbol<'_, F> {
        // SAFETY: as the caller says.
        unsafe { self.library.get(name.as_bytes()) }.unwrap()
    }

    /// Calls a function that takes a handle and a struct.
    pub(crate) fn fill(&self, name: &str, place: &mut [u64]) -> i32 {
        type Fill = unsafe extern "C" fn(usize, *mut u64) -> i32;
        // SAFETY: tests use it for functions of this type, with structs of the size they say.
        unsafe { self.function::<Fill>(name)(self.handle, place.as_mut_ptr()) }
    }

    pub(crate) fn init(&self) -> i32 {
        // SAFETY: that is its type.
        unsafe { self.function::<unsafe extern "C" fn() -> i32>("dcgmInit")() }
    }

    pub(crate) fn connect(&self, timeout_ms: u64) -> Result<usize, i32> {
        self.connect_with(0x0100_000C, timeout_ms)
    }

    pub(crate) fn connect_with(&self, version: u32, timeout_ms: u64) -> Result<usize, i32> {
        type Connect = unsafe extern "C" fn(*const c_char, *mut u64, *mut usize) -> i32;
        let mut params = [u64::from(version), timeout_ms];
        let mut handle = 0;
        // SAFETY: that is its type, and the places are large enough.
        let code = unsafe {
            let connect = self.function::<Connect>("dcgmConnect_v3");
            connect(c"localhost".as_ptr(), params.as_mut_ptr(), &mut handle)
        };
        if code == 0 { Ok(handle) } else { Err(code) }
    }

    /// A new group of these entities.
    pub(crate) fn group(&self, entities: &[(u32, u32)]) -> Result<usize, i32> {
        type Create = unsafe extern "C" fn(usize, c_int, *const c_char, *mut usize) -> i32;
        type Add = unsafe extern "C" fn(usize, usize, u32, u32) -> i32;
        let mut group = 0;
        // SAFETY: these are their types.
        unsafe {
            let create = self.function::<Create>("dcgmGroupCreate");
            done(create(self.handle, 1, c"some".as_ptr(), &mut group))?;
            let add = self.function::<Add>("dcgmGroupAddEntity");
            for (kind, id) in entities {
                done(add(self.handle, group, *kind, *id))?;
            }
        }
        Ok(group)
    }

    pub(crate) fn field_group(&self, name: &str, fields: &[u16]) -> Result<usize, i32> {
        type Create =
            unsafe extern "C" fn(usize, c_int, *const u16, *const c_char, *mut usize) -> i32;
        let (name, mut group) = (CString::new(name).unwrap(), 0);
        let count = fields.len() as c_int;
        // SAFETY: that is its type.
        done(unsafe {
            let create = self.function::<Create>("dcgmFieldGroupCreate");
            create(self.handle, count, fields.as_ptr(), name.as_ptr(), &mut group)
        })?;
        Ok(group)
    }

    pub(crate) fn watch(&self, group: usize, fields: usize, every: Duration) -> Result<(), i32> {
        type Watch = unsafe extern "C" fn(usize, usize, usize, i64, f64, c_int) -> i32;
        let micros = every.as_micros() as i64;
        // SAFETY: that is its type.
        done(unsafe {
            let watch = self.function::<Watch>("dcgmWatchFields");
            watch(self.handle, group, fields, micros, 0.0, 1)
        })
    }

    /// Makes the engine sample now, and waits for it.
    pub(crate) fn update(&self) -> Result<(), i32> {
        type Update = unsafe extern "C" fn(usize, c_int) -> i32;
        // SAFETY: that is its type.
        done(unsafe { self.function::<Update>("dcgmUpdateAllFields")(self.handle, 1) })
    }

    pub(crate) fn latest(&self, group: usize, fields: usize) -> Result<Vec<FieldValue>, i32> {
        type Latest = unsafe extern "C" fn(usize, usize, usize, Callback, *mut c_void) -> i32;
        let mut values: Vec<FieldValue> = Vec::new();
        let user = (&raw mut values).cast();
        // SAFETY: that is its type, and the callback gets the list.
        done(unsafe {
            let latest = self.function::<Latest>("dcgmGetLatestValues_v2");
            latest(self.handle, group, fields, collect, user)
        })?;
        Ok(values)
    }

    /// Every value since a moment, and where to go on.
    pub(crate) fn since(&self, group: usize, fields: usize, since: i64) -> (Vec<FieldValue>, i64) {
        type Since =
            unsafe extern "C" fn(usize, usize, usize, i64, *mut i64, Callback, *mut c_void) -> i32;
        let (mut values, mut next): (Vec<FieldValue>, _) = (Vec::new(), 0);
        let user = (&raw mut values).cast();
        // SAFETY: that is its type, and the callback gets the list.
        let code = unsafe {
            let call = self.function::<Since>("dcgmGetValuesSince_v2");
            call(self.handle, group, fields, since, &mut next, collect, user)
        };
        assert_eq!(code, 0);
        (values, next)
    }

    /// The ids of all entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<u32> {
        type List = unsafe extern "C" fn(usize, u32, *mut u32, *mut c_int, u32) -> i32;
        let (mut ids, mut count) = (vec![0; 512], 512);
        // SAFETY: that is its type, and there is room for as many.
        let code = unsafe {
            let list = self.function::<List>("dcgmGetEntityGroupEntities");
            list(self.handle, of, ids.as_mut_ptr(), &mut count, 0)
        };
        assert_eq!(code, 0);
        ids.truncate(count as usize);
        ids
    }

    pub(crate) fn gpu_state(&self, gpu: u32) -> u32 {
        type State = unsafe extern "C" fn(usize, u32, *mut u32) -> i32;
        let mut state = 99;
        // SAFETY: that is its type.
        let code =
            unsafe { self.function::<State>("dcgmGetGpuStatus")(self.handle, gpu, &mut state) };
        assert_eq!(code, 0);
        state
    }

    /// Lets the engine sample everything, and waits for that, also on a machine that stands still meanwhile.
    pub(crate) fn updated(&self) {
        until("everything is sampled", || match self.update() {
            Ok(()) => true,
            Err(TIMEOUT) => false,
            Err(other) => panic!("{other}"),
        });
    }

    /// The version of the host engine.
    pub(crate) fn version(&self) -> Result<String, i32> {
        let mut info = versioned(0x0200_0204);
        done(self.fill("dcgmHostengineVersionInfo", &mut info))?;
        Ok(text_at(&info, 4))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The host engine goes, so that it does not keep the next test's processor busy.
        self.engine.set(&["engine down"]);
        while self.version().is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(60));
        self.engine.clear();
        self.driver.clear();
        // Its threads may live on, so the library must stay.
        // SAFETY: nothing is unsafe about opening it once more and forgetting that.
        unsafe { libloading::Library::new(self._copy.path().join("libdcgm.so.4")) }
            .map(std::mem::forget)
            .unwrap();
    }
}

pub(crate) fn done(code: i32) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// Waits until something is true.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "still not: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
