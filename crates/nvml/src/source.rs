//! The source: opens sessions with the driver, and hands out the readers of each GPU.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{FieldId, Reader, Session, Source, SourceError, Watch};

use crate::events::EventReader;
use crate::library::{DEFAULT_NAME, FileId, Library};
use crate::main_reader::{Facts, MainReader};
use crate::pcie::PcieReader;
use crate::peers::PeerReader;
use crate::served;

/// The GPUs that the kernel driver is bound to, one folder each. Telling a GPU that came or went by
/// it touches no GPU. Absent in some containers; then only the driver's count tells.
const BOUND_GPUS: &str = "/proc/driver/nvidia/gpus";

/// What is read beyond what every reader wants.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// Of a partitioned GPU, also its compute instances, not only its GPU instances.
    pub compute_instances: bool,
}

/// Reads GPUs through NVML.
pub struct NvmlSource {
    files: Arc<Files>,
    options: Options,
}

/// Which files the library was opened from so far.
struct Files {
    path: Option<PathBuf>,
    /// Each file, and the spelling of the path that opened it.
    opened: Mutex<Vec<(FileId, PathBuf)>>,
    /// A new library on disk that does not start.
    misfit: Mutex<Option<Misfit>>,
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
        let files = Files { path, opened: Mutex::default(), misfit: Mutex::default() };
        Self { files: Arc::new(files), options }
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
    fn best(&self) -> Result<Arc<Library>, String> {
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

    fn open(&self) -> Result<Arc<Library>, String> {
        let library = Library::open(&self.spelling())?;
        if let (Some(file), Some(path)) = (library.file(), library.path()) {
            let mut opened = self.opened();
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

    fn connect(&mut self, watches: &Arc<[Watch]>) -> Result<Box<dyn Session>, SourceError> {
        let library = self.files.best().map_err(|message| SourceError { message })?;
        let count = library.device_count().map_err(|code| SourceError {
            message: format!("the driver does not say how many GPUs there are: {code}"),
        })?;
        let facts = Facts::of(&library, watches);
        Ok(Box::new(NvmlSession {
            library,
            count,
            bound: bound_gpus(),
            facts,
            options: self.options,
            watches: Arc::clone(watches),
            files: Arc::clone(&self.files),
        }))
    }
}

struct NvmlSession {
    library: Arc<Library>,
    count: u32,
    bound: Option<Vec<String>>,
    facts: Facts,
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
        self.facts.driver_version()
    }

    fn gpus(&self) -> Vec<u32> {
        (0..self.count).collect()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let library = || Arc::clone(&self.library);
        let watches = &self.watches;
        let mut readers: Vec<Box<dyn Reader>> = vec![
            Box::new(MainReader::new(library(), gpu, &self.facts, self.options, watches)),
            Box::new(EventReader::new(library(), gpu, watches)),
        ];
        if let Some(pcie) = PcieReader::new(library(), gpu, watches) {
            readers.push(Box::new(pcie));
        }
        if let Some(peers) = PeerReader::new(library(), gpu, self.count, watches) {
            readers.push(Box::new(peers));
        }
        readers
    }

    fn outdated(&mut self) -> Option<String> {
        if self.has_successor() {
            return Some("the driver library was replaced".to_owned());
        }
        match self.library.device_count() {
            Ok(count) if count != self.count => {
                return Some(format!("the driver lists {count} GPUs instead of {}", self.count));
            }
            Ok(_) => {}
            Err(code) if code.is_about_the_driver() => return Some(format!("the driver: {code}")),
            Err(code) => tracing::debug!("cannot count GPUs: {code}"),
        }
        let bound = bound_gpus();
        (bound != self.bound).then(|| "a GPU was bound to the driver or unbound from it".to_owned())
    }
}

fn bound_gpus() -> Option<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(BOUND_GPUS)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Some(names)
}
