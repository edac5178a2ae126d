//! Opens, initialises and closes the driver library.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nvml_wrapper_sys::bindings::NvmlLib;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::call::{function, text};
use crate::code::Code;

/// The name that the dynamic linker searches for when no path is given.
pub(crate) const DEFAULT_NAME: &str = "libnvidia-ml.so.1";

/// The linker's message about a file that is not there.
const NOT_FOUND: &str = "cannot open shared object file: No such file or directory";

/// An opened and initialised NVML.
///
/// Every reader holds an `Arc` of it, so `Drop`, which shuts NVML down and unloads it, runs when no
/// call can be in flight any more. A reader that is stuck in a call keeps the library for ever:
/// that leak is better than code that is unloaded while it runs.
pub(crate) struct Library {
    pub(crate) symbols: Box<NvmlLib>,
    initialised: bool,
    file: Option<FileId>,
    path: Option<PathBuf>,
    /// The memory that it was loaded from, if it is a copy. It stays open, because its path has the
    /// file's number, and the linker loads one library for each path.
    _copy: Option<File>,
}

/// Why the library cannot be used. Each text is one line with a remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "no NVIDIA driver is found: there is no {}; install the driver, or name its library with \
         --nvml-library (HEATSINK_NVML_LIBRARY); `heatsink demo` needs no GPU",
        .0.display()
    )]
    NotFound(PathBuf),
    #[error(
        "cannot open the driver library {}: {why}; install the NVIDIA driver again, or name another \
         library with --nvml-library (HEATSINK_NVML_LIBRARY)",
        name.display()
    )]
    Unusable { name: PathBuf, why: String },
    #[error("cannot copy the driver library {} to memory: {why}", path.display())]
    NoCopy { path: PathBuf, why: io::Error },
    #[error(
        "{} is not NVML, or is older than driver 319: it has no nvmlInit_v2; name NVIDIA's \
         libnvidia-ml.so.1 with --nvml-library (HEATSINK_NVML_LIBRARY), or leave the flag out",
        .0.display()
    )]
    NotNvml(PathBuf),
    #[error("NVML does not start: {}{}", .0, hint(*.0))]
    NotStarted(Code),
}

impl OpenError {
    /// Whether the library is of another version than the kernel's module.
    pub(crate) fn is_mismatch(&self) -> bool {
        matches!(self, Self::NotStarted(Code::LIB_RM_VERSION_MISMATCH))
    }
}

/// Why a GPU cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReadError(#[from] ReadFailure);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    #[error(transparent)]
    Library(#[from] OpenError),
    #[error("{0}")]
    Driver(Code),
    #[error("it is not listed")]
    NotListed,
}

fn hint(code: Code) -> &'static str {
    match code.is_about_the_driver() {
        true => "; load the NVIDIA kernel module that fits the library (a reboot does)",
        false => "",
    }
}

/// The file that a library was loaded from, by which a replacement is noticed.
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
        Self { symbols, initialised: false, file, path, _copy: None }.initialised(name)
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
        let copy =
            in_memory(path).map_err(|why| OpenError::NoCopy { path: path.to_owned(), why })?;
        let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let symbols = Self::load(Path::new(&name))?;
        let path = path.to_owned();
        Self { symbols, initialised: false, file, path: Some(path.clone()), _copy: Some(copy) }
            .initialised(&path)
    }

    fn load(name: &Path) -> Result<Box<NvmlLib>, OpenError> {
        // SAFETY: loading a library runs its initialisers. Those of NVML may run at any time and on any
        // thread; the user vouches that the library at a configured path is NVML.
        let symbols = unsafe { NvmlLib::new(name) }.map_err(|error| {
            let why = error.to_string();
            // The message begins with a name. Another name is that of a library that this one needs.
            match why.strip_prefix(&format!("{}: ", name.display())) {
                Some(why) if why.starts_with(NOT_FOUND) => OpenError::NotFound(name.to_owned()),
                about => {
                    let why = about.unwrap_or(&why).to_owned();
                    OpenError::Unusable { name: name.to_owned(), why }
                }
            }
        })?;
        Ok(Box::new(symbols))
    }

    fn initialised(mut self, name: &Path) -> Result<Self, OpenError> {
        let Ok(init) = function(&self.symbols.nvmlInit_v2) else {
            return Err(OpenError::NotNvml(name.to_owned()));
        };
        // SAFETY: no arguments; NVML allows it from any thread.
        Code::check(unsafe { init() }).map_err(OpenError::NotStarted)?;
        self.initialised = true;
        Ok(self)
    }

    /// How many GPUs the driver lists.
    pub(crate) fn device_count(&self) -> Result<u32, Code> {
        let get = function(&self.symbols.nvmlDeviceGetCount_v2)?;
        let mut count = 0;
        // SAFETY: the call writes one number, to a live local.
        Code::check(unsafe { get(&mut count) })?;
        Ok(count)
    }

    /// The driver's version, as `550.163.01`.
    pub(crate) fn driver_version(&self) -> Result<String, Code> {
        let get = function(&self.symbols.nvmlSystemGetDriverVersion)?;
        text(|buffer, len| {
            // SAFETY: the call writes at most `len` bytes.
            Code::check(unsafe { get(buffer, len) })
        })
    }

    /// The file it was loaded from.
    pub(crate) fn file(&self) -> Option<FileId> {
        self.file
    }

    /// The path that had that file when it was opened.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The other file that its path has now. A path that is gone is no replacement yet.
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
        if let Ok(shutdown) = function(&self.symbols.nvmlShutdown) {
            // SAFETY: `self` is the last user, so no call is in flight. NVML counts its
            // initialisations: another copy of this type on the same library stays valid.
            unsafe { shutdown() };
        }
    }
}

/// A copy, in memory, of the file at `path`.
fn in_memory(path: &Path) -> io::Result<File> {
    let mut memory = File::from(memfd_create("libnvidia-ml.so.1", MemfdFlags::CLOEXEC)?);
    io::copy(&mut File::open(path)?, &mut memory)?;
    Ok(memory)
}

/// The path at which the linker found the library: the folder of the mapped file, with the name that
/// was given, so that a changed symbolic link is noticed too.
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
