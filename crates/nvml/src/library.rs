//! The library itself: opened, initialised, and closed when the last user of it is gone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nvml_wrapper_sys::bindings::NvmlLib;

use crate::Code;

/// The name that the dynamic linker searches for when no path is given.
pub(crate) const DEFAULT_NAME: &str = "libnvidia-ml.so.1";

/// An opened and initialised NVML.
///
/// Every reader holds an `Arc` of it, so `Drop`, which shuts NVML down and unloads it, runs when no
/// call can be in flight any more. A reader that is stuck in a call keeps the library for ever:
/// that leak is the price of never pulling code from under a running call.
pub(crate) struct Library {
    pub(crate) symbols: Box<NvmlLib>,
    initialised: bool,
    file: Option<FileId>,
    path: Option<PathBuf>,
}

/// Which file a library was loaded from, so that a replaced one is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { device: meta.dev(), inode: meta.ino() })
    }
}

impl Library {
    /// Opens and initialises the library of this name: a path, or a name that the linker searches
    /// for.
    ///
    /// # Errors
    ///
    /// One line that says what was tried and what to do.
    pub(crate) fn open(name: &Path) -> Result<Self, String> {
        // SAFETY: loading a library runs its initialisers. NVML's are made for being loaded at any
        // time and from any thread; a path given by the user is the user's word that it is NVML.
        let symbols = unsafe { NvmlLib::new(name) }.map_err(|error| {
            format!(
                "cannot open {}: {error}; install the NVIDIA driver, or name the library with \
                 --nvml-library",
                name.display()
            )
        })?;
        let path = match name.is_absolute() {
            true => Some(name.to_owned()),
            false => loaded_from(name),
        };
        let file = path.as_deref().and_then(FileId::of);
        let mut library = Self { symbols: Box::new(symbols), initialised: false, file, path };
        library.initialise()?;
        Ok(library)
    }

    fn initialise(&mut self) -> Result<(), String> {
        let Ok(init) = self.symbols.nvmlInit_v2.as_ref() else {
            return Err("the library has no nvmlInit_v2: it is not NVML, or older than driver 319"
                .to_owned());
        };
        // SAFETY: no arguments; NVML allows it from any thread.
        Code::check(unsafe { init() }).map_err(|code| {
            let hint = match code.is_about_the_driver() {
                true => "; load the NVIDIA kernel module that fits the library (a reboot does)",
                false => "",
            };
            format!("NVML does not start: {code}{hint}")
        })?;
        self.initialised = true;
        Ok(())
    }

    /// The file it was loaded from.
    pub(crate) fn file(&self) -> Option<FileId> {
        self.file
    }

    /// The path behind which that file is, or was.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The file that has taken its place, if one has. A path that is gone is no replacement yet.
    pub(crate) fn replacement(&self) -> Option<FileId> {
        let now = FileId::of(self.path.as_deref()?)?;
        self.file.is_some_and(|file| file != now).then_some(now)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if !self.initialised {
            return;
        }
        if let Ok(shutdown) = self.symbols.nvmlShutdown.as_ref() {
            // SAFETY: `self` is the last user, so no call is in flight. NVML counts its
            // initialisations: another copy of this type on the same library stays valid.
            unsafe { shutdown() };
        }
    }
}

/// Where the linker found the library: the folder of the mapped file, with the name that was asked
/// for, so that a changed symbolic link is noticed too.
fn loaded_from(name: &Path) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let stem = name.file_name()?.to_str()?.split(".so").next()?;
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    let file = mapped.map(Path::new).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.strip_prefix(stem)).is_some_and(|rest| rest.starts_with(".so"))
    })?;
    Some(file.parent()?.join(name.file_name()?))
}
