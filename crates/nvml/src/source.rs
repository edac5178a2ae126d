//! The source: opens sessions with the driver, and makes the readers of each GPU.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use model::{Bus, FieldId, Outdated, Reader, Renew, Session, Source, SourceError, Watch};

use crate::events::EventReader;
use crate::fields::served;
use crate::host::{Host, PciBus};
use crate::library::{DEFAULT_NAME, FileId, Library, OpenError};
use crate::main_reader::MainReader;
use crate::pcie_reader::PcieReader;
use crate::peers::PeerReader;
use crate::session_facts::SessionFacts;

/// How GPUs are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whether compute instances of partitioned GPUs are read, and not only GPU instances.
    pub compute_instances: bool,
    /// The folder with `proc`, `sys` and `dev`: `/`, or the host's root in a container.
    pub root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { compute_instances: false, root: "/".into() }
    }
}

/// Reads GPUs through NVML.
pub struct NvmlSource {
    files: Arc<LibraryFiles>,
    options: Options,
    host: Host,
    /// The version of the kernel's module when this program began.
    first_module: Option<String>,
}

/// The files that the library was opened from so far.
struct LibraryFiles {
    /// The path that was configured.
    path: Option<PathBuf>,
    state: Mutex<FilesState>,
}

#[derive(Default)]
struct FilesState {
    /// Each file, and the spelling of the path that opened it.
    opened: Vec<(FileId, PathBuf)>,
    /// A new library on disk that does not start.
    rejected: Option<RejectedLibrary>,
    /// The libraries in use: a reader that is stuck in a call keeps its own.
    in_use: Vec<LibraryInUse>,
}

struct LibraryInUse {
    library: Weak<Library>,
    /// The GPUs that the driver was bound to when it was opened.
    bound: Option<Vec<String>>,
}

/// A library that was put in the place of the one in use, and does not start yet: as a rule because
/// a driver package was upgraded and the kernel's module was not.
struct RejectedLibrary {
    file: FileId,
    tried: Instant,
    /// The one in use. It goes on working, and once closed could never be opened again.
    kept: Arc<Library>,
}

impl NvmlSource {
    /// A source that opens the library at `path`, or else the one that the dynamic linker finds.
    pub fn new(path: Option<PathBuf>, options: Options) -> Self {
        let files = LibraryFiles { path, state: Mutex::default() };
        let host = Host::new(&options.root);
        let first_module = host.module_version();
        Self { files: Arc::new(files), options, host, first_module }
    }

    /// Whether the module was replaced since this program began, so that a library that does not fit
    /// it may be an old one that only a restart of the container would replace.
    fn module_was_replaced(&self) -> bool {
        let module = self.host.module_version();
        module.is_some() && module != self.first_module
    }
}

impl LibraryFiles {
    fn state(&self) -> MutexGuard<'_, FilesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library to use: the one on disk, or, where that does not start, the one that was kept
    /// because it still works.
    fn best(&self) -> Result<Arc<Library>, OpenError> {
        let opened = self.open();
        let rejected = self.state().rejected.take();
        match (opened, rejected) {
            (Err(_), Some(rejected)) if rejected.kept.device_count().is_ok() => {
                let library = Arc::clone(&rejected.kept);
                self.state().rejected = Some(rejected);
                Ok(library)
            }
            (opened, _) => opened,
        }
    }

    /// The spelling of the library's path that opens the file which is there now.
    ///
    /// For a path that it has loaded, the linker returns the copy in use, even if the path has another
    /// file by now. For a new spelling of the path, it looks at the file. So the new driver's library is
    /// opened beside the old one, without a restart.
    fn spelling(&self) -> PathBuf {
        let opened = &self.state().opened;
        let known = opened.last().map(|(_, path)| path.clone());
        let Some(path) = self.path.clone().or(known).filter(|path| path.exists()) else {
            return self.path.clone().unwrap_or_else(|| DEFAULT_NAME.into());
        };
        let Some(file) = FileId::of(&path) else { return path };
        if let Some((_, spelled)) = opened.iter().find(|(earlier, _)| *earlier == file) {
            return spelled.clone();
        }
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !opened.is_empty() => {
                let mut spelled = folder.as_os_str().to_owned();
                spelled.push("/.".repeat(opened.len()));
                spelled.push("/");
                spelled.push(name);
                spelled.into()
            }
            _ => path,
        }
    }

    /// The newest library that is in use and is still the one on disk, with the GPUs that it may know.
    fn in_use(&self) -> Option<(Arc<Library>, Option<Vec<String>>)> {
        let all = &mut self.state().in_use;
        all.retain(|one| one.library.strong_count() > 0);
        let in_use = all.iter().rev().filter_map(|one| Some((one.library.upgrade()?, one)));
        let mut current = in_use.filter(|(library, _)| library.replacement().is_none());
        current.next().map(|(library, one)| (library, one.bound.clone()))
    }

    fn open(&self) -> Result<Arc<Library>, OpenError> {
        let in_use = self.in_use();
        let path = in_use.as_ref().and_then(|(library, _)| library.path());
        let copy = path.map(Library::open_copy);
        let library = match copy {
            Some(Ok(library)) => library,
            Some(Err(error)) => {
                // The copy that is open may not list new GPUs, and is better than none.
                tracing::debug!("no second copy of the driver library: {error}");
                Library::open(&self.spelling())?
            }
            None => Library::open(&self.spelling())?,
        };
        if let (Some(file), Some(path)) = (library.file(), library.path()) {
            let opened = &mut self.state().opened;
            if !opened.iter().any(|(earlier, _)| *earlier == file) {
                opened.push((file, path.to_owned()));
            }
        }
        Ok(Arc::new(library))
    }
}

impl Source for NvmlSource {
    fn name(&self) -> &'static str {
        "nvml"
    }

    fn serves(&self, field: FieldId) -> bool {
        served(field).is_some()
    }

    fn bus(&self) -> Option<Box<dyn Bus>> {
        Some(Box::new(PciBus::new(self.host.clone())))
    }

    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        renew: Renew,
    ) -> Result<Box<dyn Session>, SourceError> {
        let kept = self.files.in_use().filter(|_| renew == Renew::Watches);
        let (library, bound) = match kept {
            Some(kept) => kept,
            None => {
                // Read before the library is opened: a GPU that comes in between makes this session
                // outdated.
                let bound = self.host.bound();
                let library = self.files.best().map_err(|error| SourceError {
                    needs_restart: error.is_mismatch() && self.module_was_replaced(),
                    message: error.to_string(),
                })?;
                self.files
                    .state()
                    .in_use
                    .push(LibraryInUse { library: Arc::downgrade(&library), bound: bound.clone() });
                (library, bound)
            }
        };
        let count = library.device_count().map_err(|code| {
            SourceError::new(format!("the driver does not say how many GPUs there are: {code}"))
        })?;
        let facts = SessionFacts::of(&library, watches);
        Ok(Box::new(NvmlSession {
            library,
            count,
            bound,
            host: self.host.clone(),
            facts,
            options: self.options.clone(),
            watches: Arc::clone(watches),
            files: Arc::clone(&self.files),
        }))
    }
}

struct NvmlSession {
    library: Arc<Library>,
    count: u32,
    bound: Option<Vec<String>>,
    host: Host,
    facts: SessionFacts,
    options: Options,
    watches: Arc<[Watch]>,
    files: Arc<LibraryFiles>,
}

/// The time from one attempt to open a new library to the next.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl NvmlSession {
    /// Whether the library on disk is a new one that starts. Until it does, the session goes on.
    fn has_successor(&self) -> bool {
        let Some(file) = self.library.replacement() else { return false };
        let rejected =
            |rejected: &RejectedLibrary| (rejected.file == file).then_some(rejected.tried);
        let tried = self.files.state().rejected.as_ref().and_then(rejected);
        if tried.is_some_and(|at| at.elapsed() < TRY_AGAIN) {
            return false;
        }
        match self.files.open() {
            Ok(_) => true,
            Err(error) => {
                if tried.is_none() {
                    tracing::warn!(
                        "staying with the old driver library, because of the new one: {error}"
                    );
                }
                let (tried, kept) = (Instant::now(), Arc::clone(&self.library));
                self.files.state().rejected = Some(RejectedLibrary { file, tried, kept });
                false
            }
        }
    }
}

impl Session for NvmlSession {
    fn driver_version(&self) -> Option<Arc<str>> {
        self.facts.driver_version.clone()
    }

    fn gpus(&self) -> Vec<u32> {
        (0..self.count).collect()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let library = || Arc::clone(&self.library);
        let watches = &self.watches;
        let mut readers: Vec<Box<dyn Reader>> = vec![
            Box::new(MainReader::new(
                library(),
                gpu,
                &self.facts,
                self.options.compute_instances,
                watches,
            )),
            Box::new(EventReader::new(library(), gpu)),
        ];
        if let Some(pcie) = PcieReader::new(library(), gpu, watches) {
            readers.push(Box::new(pcie));
        }
        if let Some(peers) = PeerReader::new(library(), gpu, self.count, watches) {
            readers.push(Box::new(peers));
        }
        readers
    }

    fn outdated(&mut self) -> Option<Outdated> {
        if self.has_successor() {
            return Some(Outdated::Improvable("the driver library was replaced".to_owned()));
        }
        match self.library.device_count() {
            Ok(count) if count != self.count => {
                let why = format!("the driver lists {count} GPUs instead of {}", self.count);
                return Some(Outdated::Improvable(why));
            }
            Ok(_) => {}
            Err(code) if code.is_about_the_driver() => {
                return Some(Outdated::Over(format!("the driver: {code}")));
            }
            Err(code) => tracing::debug!("cannot count GPUs: {code}"),
        }
        let why = "a GPU was bound to the driver or unbound from it";
        (self.host.bound() != self.bound).then(|| Outdated::Improvable(why.to_owned()))
    }
}
