//! The source: opens sessions with the driver, and hands out the readers of each GPU.

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
    /// Of a partitioned GPU, also its compute instances, not only its GPU instances.
    pub compute_instances: bool,
    /// Below which `proc`, `sys` and `dev` are looked at: `/`, or the host's root in a container.
    pub root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { compute_instances: false, root: "/".into() }
    }
}

/// Reads GPUs through NVML.
pub struct NvmlSource {
    files: Arc<Files>,
    options: Options,
    host: Host,
    /// The version of the kernel's module when this program began.
    first_module: Option<String>,
}

/// Which files the library was opened from so far.
struct Files {
    path: Option<PathBuf>,
    /// Each file, and the spelling of the path that opened it.
    opened: Mutex<Vec<(FileId, PathBuf)>>,
    /// A new library on disk that does not start.
    misfit: Mutex<Option<Misfit>>,
    /// Those that are in use: a reader that is stuck in a call keeps its own.
    alive: Mutex<Vec<Alive>>,
}

/// A library that is in use, and the GPUs that the driver was bound to when it was opened.
struct Alive {
    library: Weak<Library>,
    bound: Option<Vec<String>>,
}

/// A library that was put in the place of the one in use, and does not start yet: as a rule because
/// a driver package was upgraded and the kernel's module was not.
struct Misfit {
    file: FileId,
    tried: Instant,
    /// The one in use. It goes on working, and once closed could never be opened again.
    kept: Arc<Library>,
}

impl NvmlSource {
    /// A source that opens the library at `path`, or else the one that the dynamic linker finds.
    pub fn new(path: Option<PathBuf>, options: Options) -> Self {
        let files = Files {
            path,
            opened: Mutex::default(),
            misfit: Mutex::default(),
            alive: Mutex::default(),
        };
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

impl Files {
    fn opened(&self) -> MutexGuard<'_, Vec<(FileId, PathBuf)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn misfit(&self) -> MutexGuard<'_, Option<Misfit>> {
        self.misfit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library to use: the one on disk, or, where that does not start, the one that was kept
    /// because it still works.
    fn best(&self) -> Result<Arc<Library>, OpenError> {
        let opened = self.open();
        let misfit = self.misfit().take();
        match (opened, misfit) {
            (Err(_), Some(misfit)) if misfit.kept.device_count().is_ok() => {
                let library = Arc::clone(&misfit.kept);
                *self.misfit() = Some(misfit);
                Ok(library)
            }
            (opened, _) => opened,
        }
    }

    /// The spelling of the library's path that opens the file which is there now.
    ///
    /// The linker hands out the copy that it has for a path it knows, even where another file is
    /// behind that path by now and the old copy is still in use. Under a spelling that it has not
    /// seen, it looks at the file. So the new driver's library is opened beside the old one, and
    /// nothing has to restart.
    fn spelling(&self) -> PathBuf {
        let opened = self.opened();
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
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|alive| alive.library.strong_count() > 0);
        let in_use = alive.iter().rev().filter_map(|alive| Some((alive.library.upgrade()?, alive)));
        let mut is_current = in_use.filter(|(library, _)| library.replacement().is_none());
        is_current.next().map(|(library, alive)| (library, alive.bound.clone()))
    }

    fn note_alive(&self, library: &Arc<Library>, bound: &Option<Vec<String>>) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.push(Alive { library: Arc::downgrade(library), bound: bound.clone() });
    }

    fn open(&self) -> Result<Arc<Library>, OpenError> {
        let in_use = self.in_use();
        let path = in_use.as_ref().and_then(|(library, _)| library.path());
        let copy = path.map(Library::open_copy);
        let library = match copy {
            Some(Ok(library)) => library,
            Some(Err(error)) => {
                // Better the copy that is open, which may not know of new GPUs, than none.
                tracing::debug!("no second copy of the driver library: {error}");
                Library::open(&self.spelling())?
            }
            None => Library::open(&self.spelling())?,
        };
        if let (Some(file), Some(path)) = (library.file(), library.path()) {
            let mut opened = self.opened();
            if !opened.iter().any(|(earlier, _)| *earlier == file) {
                opened.push((file, path.to_owned()));
            }
        }
        let library = Arc::new(library);
        Ok(library)
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
                // Before the library: what comes in between makes this session outdated.
                let bound = self.host.bound();
                let library = self.files.best().map_err(|error| SourceError {
                    needs_restart: error.is_mismatch() && self.module_was_replaced(),
                    message: error.to_string(),
                })?;
                self.files.note_alive(&library, &bound);
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
    files: Arc<Files>,
}

/// From one try of a new library to the next.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl NvmlSession {
    /// Whether the library on disk is a new one that works. Until it does, this one is kept.
    fn has_successor(&self) -> bool {
        let Some(file) = self.library.replacement() else { return false };
        let tried = self.files.misfit().as_ref().map(|misfit| (misfit.file, misfit.tried));
        let is_known = tried.is_some_and(|(tried, _)| tried == file);
        if is_known && tried.is_some_and(|(_, at)| at.elapsed() < TRY_AGAIN) {
            return false;
        }
        match self.files.open() {
            Ok(_) => true,
            Err(error) => {
                if !is_known {
                    tracing::warn!("staying with the old driver library, for the new one: {error}");
                }
                let (tried, kept) = (Instant::now(), Arc::clone(&self.library));
                *self.files.misfit() = Some(Misfit { file, tried, kept });
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
