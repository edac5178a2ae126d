//! The library itself: opened, initialised, and closed when the last user of it is gone.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nvml_wrapper_sys::bindings::NvmlLib;
use rustix::fs::{MemfdFlags, memfd_create};

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
    /// The memory that it was loaded from, if it is a copy. The linker tells libraries apart by
    /// their paths, and this one's holds the number of the file: it stays taken.
    _copy: Option<File>,
}

/// Why it cannot be used.
#[derive(Clone, Debug)]
pub(crate) struct OpenError {
    /// One line that says what was tried and what to do.
    pub(crate) message: String,
    /// Whether it is of another version than the kernel's module.
    pub(crate) is_mismatch: bool,
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
    /// What was tried and what to do.
    pub(crate) fn open(name: &Path) -> Result<Self, OpenError> {
        let symbols = Self::load(name)?;
        let path = match name.is_absolute() {
            true => Some(name.to_owned()),
            false => loaded_from(name),
        };
        let file = path.as_deref().and_then(FileId::of);
        Self { symbols, initialised: false, file, path, _copy: None }.initialised()
    }

    /// Opens and initialises one more copy of the library at this path, beside those that are open.
    ///
    /// NVML learns which GPUs there are when its first user initialises it, and forgets that when the
    /// last one is gone. As long as one reader is stuck in a call, that never happens; and the linker
    /// does not load the same file twice. So the copy is loaded from memory.
    ///
    /// # Errors
    ///
    /// What was tried and what to do.
    pub(crate) fn open_copy(path: &Path) -> Result<Self, OpenError> {
        let file = FileId::of(path);
        let copy = in_memory(path).map_err(|error| OpenError {
            message: format!("cannot copy {} to memory: {error}", path.display()),
            is_mismatch: false,
        })?;
        let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let symbols = Self::load(Path::new(&name))?;
        let path = Some(path.to_owned());
        Self { symbols, initialised: false, file, path, _copy: Some(copy) }.initialised()
    }

    fn load(name: &Path) -> Result<Box<NvmlLib>, OpenError> {
        // SAFETY: loading a library runs its initialisers. NVML's are made for being loaded at any
        // time and from any thread; a path given by the user is the user's word that it is NVML.
        let symbols = unsafe { NvmlLib::new(name) }.map_err(|error| {
            let (name, error) = (name.display().to_string(), error.to_string());
            // The linker most often begins with the name itself.
            let why =
                error.strip_prefix(&name).map_or(&*error, |rest| rest.trim_start_matches(": "));
            let message = format!(
                "cannot open {name}: {why}; install the NVIDIA driver, or name the library with \
                 --nvml-library"
            );
            OpenError { message, is_mismatch: false }
        })?;
        Ok(Box::new(symbols))
    }

    fn initialised(mut self) -> Result<Self, OpenError> {
        let Ok(init) = self.symbols.nvmlInit_v2.as_ref() else {
            return Err(OpenError {
                message: "the library has no nvmlInit_v2: it is not NVML, or older than driver 319"
                    .to_owned(),
                is_mismatch: false,
            });
        };
        // SAFETY: no arguments; NVML allows it from any thread.
        Code::check(unsafe { init() }).map_err(|code| {
            let hint = match code.is_about_the_driver() {
                true => "; load the NVIDIA kernel module that fits the library (a reboot does)",
                false => "",
            };
            OpenError {
                message: format!("NVML does not start: {code}{hint}"),
                is_mismatch: code == Code::LIB_RM_VERSION_MISMATCH,
            }
        })?;
        self.initialised = true;
        Ok(self)
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

/// A file that has no name, with what is in the one at `path`.
fn in_memory(path: &Path) -> io::Result<File> {
    let mut memory = File::from(memfd_create("libnvidia-ml.so.1", MemfdFlags::CLOEXEC)?);
    io::copy(&mut File::open(path)?, &mut memory)?;
    Ok(memory)
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
