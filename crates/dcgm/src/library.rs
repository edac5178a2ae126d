//! The library: opened once, initialised once, never closed.

use std::ffi::CStr;
use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};

use crate::code::Code;
use crate::error::DcgmError;
use crate::{abi, malloc};

/// The name that the dynamic linker searches for when no path is given.
pub(crate) const DEFAULT_NAME: &str = "libdcgm.so.4";

macro_rules! api {
    (needed { $($field:ident: $type:ident = $symbol:literal;)+ }
     extra { $($more:ident: $other:ident = $name:literal;)+ }) => {
        /// DCGM's functions. Functions that a release may lack are options.
        pub(crate) struct Api {
            $(pub(crate) $field: abi::$type,)+
            $(pub(crate) $more: Option<abi::$other>,)+
        }

        impl Api {
            fn resolve(library: &Library) -> Result<Self, &'static str> {
                // SAFETY: each type is that of DCGM's function of this name, whose structures are
                // checked in `abi`; the library is never unloaded, so the pointers stay good.
                unsafe {
                    Ok(Self {
                        $($field: *library
                            .get::<abi::$type>(concat!($symbol, "\0").as_bytes())
                            .map_err(|_| $symbol)?,)+
                        $($more: library
                            .get::<abi::$other>(concat!($name, "\0").as_bytes())
                            .ok()
                            .map(|symbol| *symbol),)+
                    })
                }
            }
        }
    };
}

api! {
    needed {
        init: Plain = "dcgmInit";
        disconnect: OfHandle = "dcgmDisconnect";
        start_embedded: Start = "dcgmStartEmbedded_v2";
        stop_embedded: OfHandle = "dcgmStopEmbedded";
        engine_version: EngineVersion = "dcgmHostengineVersionInfo";
        devices: Devices = "dcgmGetAllDevices";
        entities: Entities = "dcgmGetEntityGroupEntities";
        attributes: Attributes = "dcgmGetDeviceAttributes";
        create_group: CreateGroup = "dcgmGroupCreate";
        add_entity: AddEntity = "dcgmGroupAddEntity";
        destroy_group: Destroy = "dcgmGroupDestroy";
        create_fields: CreateFields = "dcgmFieldGroupCreate";
        destroy_fields: Destroy = "dcgmFieldGroupDestroy";
        watch: WatchFields = "dcgmWatchFields";
        unwatch: UnwatchFields = "dcgmUnwatchFields";
        latest_values: LatestValues = "dcgmGetLatestValues_v2";
        field_by_id: FieldById = "DcgmFieldGetById";
    }
    extra {
        connect_v3: Connect3 = "dcgmConnect_v3";
        connect_v2: Connect2 = "dcgmConnect_v2";
        version: Version = "dcgmVersionInfo";
        status: Status = "dcgmGetGpuStatus";
        instances: Instances = "dcgmGetGpuInstanceHierarchy";
        update_all: UpdateAll = "dcgmUpdateAllFields";
        values_since: ValuesSince = "dcgmGetValuesSince_v2";
        set_health: SetHealth = "dcgmHealthSet_v2";
        check_health: CheckHealth = "dcgmHealthCheck";
        peers: Peers = "dcgmGetNvLinkP2PStatus";
        cpus: Cpus = "dcgmGetCpuHierarchy_v2";
    }
}

impl Api {
    /// Opens and initialises a library, by path or by a name that the linker searches for, first in
    /// the folders of `LD_LIBRARY_PATH`.
    ///
    /// It is never closed: its own threads keep running after a shutdown and need its code.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is not the library of DCGM 4.
    pub(crate) fn open(name: &Path) -> Result<&'static Self, DcgmError> {
        malloc::limit_arenas();
        // Its symbols stay local: one of them is called `errorString`.
        let flags = RTLD_LAZY | RTLD_LOCAL;
        // SAFETY: loading a library runs its initialisers. DCGM's are made for being loaded at any
        // time; a path given by the user is the user's word that it is DCGM.
        let library = unsafe { Library::open(Some(name), flags) }.map_err(|error| {
            // The linker's message begins with the name.
            let why = error.to_string();
            let why = why.strip_prefix(&format!("{}: ", name.display())).unwrap_or(&why).to_owned();
            DcgmError::CannotOpen { path: name.into(), why }
        })?;
        let library = ManuallyDrop::new(library);
        let api = Self::resolve(&library)
            .map_err(|symbol| DcgmError::NotDcgm { path: name.into(), symbol })?;
        // SAFETY: no arguments; DCGM allows it from any thread, and more than once.
        Code::check(unsafe { (api.init)() }).map_err(DcgmError::DoesNotStart)?;
        if let Some(version) = api.own_version()
            && !version.starts_with("4.")
        {
            return Err(DcgmError::LibraryTooOld { path: name.into(), version });
        }
        Ok(Box::leak(Box::new(api)))
    }

    /// The library's own version, `4.6.0`.
    pub(crate) fn own_version(&self) -> Option<String> {
        let mut info: Box<abi::VersionInfo> = abi::empty();
        let ask = self.version?;
        // SAFETY: the structure bears its version, and outlives the call.
        Code::check(unsafe { ask(&mut *info) }).ok()?;
        version_in(&info.text)
    }

    /// The version of the engine of a connection; `None` if it does not report one.
    pub(crate) fn version_of_engine(&self, handle: usize) -> Result<Option<String>, Code> {
        let mut info: Box<abi::VersionInfo> = abi::empty();
        // SAFETY: as above.
        Code::check(unsafe { (self.engine_version)(handle, &mut *info) })?;
        Ok(version_in(&info.text))
    }

    /// Whether this release has a field.
    pub(crate) fn knows(&self, field: u16) -> bool {
        // SAFETY: any number is a legal argument once the library is initialised.
        !unsafe { (self.field_by_id)(field) }.is_null()
    }
}

/// The version in a line such as `version:4.6.0;arch:x86_64;...`.
fn version_in(text: &[u8]) -> Option<String> {
    let text = CStr::from_bytes_until_nul(text).ok()?.to_str().ok()?;
    let value = text.split(';').find_map(|part| part.trim().strip_prefix("version:"))?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_among_other_facts() {
        assert_eq!(version_in(b"arch:x86_64;version:4.6.0;b:c\0??").as_deref(), Some("4.6.0"));
        assert_eq!(version_in(b"arch:x86_64\0"), None);
        assert_eq!(version_in(b"no end"), None);
    }

    #[test]
    fn a_library_that_is_not_dcgm_is_an_error() {
        let open = |path: &Path| Api::open(path).err().unwrap().to_string();
        let missing = open(Path::new("/nowhere/libdcgm.so.4"));
        assert!(missing.contains("--dcgm-library") && missing.contains("--source nvml"));
        let folder = tempfile::tempdir().unwrap();
        let other = fake_nvml::install_in(folder.path());
        let other = open(&other);
        assert!(other.contains("not libdcgm.so.4"), "{other}");
    }
}
