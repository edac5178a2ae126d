//! The source: opens sessions with the driver, and hands out the readers of each GPU.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use model::{Reader, Session, Source, SourceError, Watch};

use crate::events::EventReader;
use crate::library::{DEFAULT_NAME, FileId, Library};
use crate::main_reader::MainReader;
use crate::pcie::PcieReader;

/// The GPUs that the kernel driver is bound to, one folder each. Telling a GPU that came or went by
/// it touches no GPU. Absent in some containers; then only the driver's count tells.
const BOUND_GPUS: &str = "/proc/driver/nvidia/gpus";

/// Reads GPUs through NVML.
pub struct NvmlSource {
    path: Option<PathBuf>,
    /// The files that were opened so far, and the spelling of the path that opened each.
    opened: Vec<(FileId, PathBuf)>,
}

impl NvmlSource {
    /// A source that opens the library at `path`, or else the one that the dynamic linker finds.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, opened: Vec::new() }
    }

    /// The spelling of the library's path that opens the file which is there now.
    ///
    /// The linker hands out the copy that it has for a path it knows, even where another file is
    /// behind that path by now and a reader that is stuck in the old copy keeps it loaded. Under a
    /// spelling that it has not seen, it looks at the file. So the new driver's library is opened
    /// beside the old one's remains, and nothing has to restart.
    fn spelling(&self) -> PathBuf {
        let known = self.opened.last().map(|(_, path)| path.clone());
        let Some(path) = self.path.clone().or(known).filter(|path| path.exists()) else {
            return self.path.clone().unwrap_or_else(|| DEFAULT_NAME.into());
        };
        let Some(file) = FileId::of(&path) else { return path };
        if let Some((_, spelled)) = self.opened.iter().find(|(earlier, _)| *earlier == file) {
            return spelled.clone();
        }
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if !self.opened.is_empty() => {
                let mut spelled = folder.as_os_str().to_owned();
                spelled.push("/.".repeat(self.opened.len()));
                spelled.push("/");
                spelled.push(name);
                spelled.into()
            }
            _ => path,
        }
    }

    fn open(&mut self) -> Result<Arc<Library>, String> {
        let library = Library::open(&self.spelling())?;
        if let (Some(file), Some(path)) = (library.file(), library.path())
            && !self.opened.iter().any(|(earlier, _)| *earlier == file)
        {
            self.opened.push((file, path.to_owned()));
        }
        Ok(Arc::new(library))
    }
}

impl Source for NvmlSource {
    fn name(&self) -> &'static str {
        "nvml"
    }

    fn connect(&mut self, watches: &Arc<[Watch]>) -> Result<Box<dyn Session>, SourceError> {
        let library = self.open().map_err(|message| SourceError { message })?;
        let count = library.device_count().map_err(|code| SourceError {
            message: format!("the driver does not say how many GPUs there are: {code}"),
        })?;
        let driver_version = library.driver_version().ok().map(Arc::from);
        Ok(Box::new(NvmlSession {
            library,
            count,
            bound: bound_gpus(),
            driver_version,
            watches: Arc::clone(watches),
        }))
    }
}

struct NvmlSession {
    library: Arc<Library>,
    count: u32,
    bound: Option<Vec<String>>,
    driver_version: Option<Arc<str>>,
    watches: Arc<[Watch]>,
}

impl Session for NvmlSession {
    fn driver_version(&self) -> Option<Arc<str>> {
        self.driver_version.clone()
    }

    fn gpus(&self) -> Vec<u32> {
        (0..self.count).collect()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let library = || Arc::clone(&self.library);
        let main = MainReader::new(library(), gpu, self.driver_version.clone(), &self.watches);
        let mut readers: Vec<Box<dyn Reader>> = vec![Box::new(main)];
        if let Some(events) = EventReader::new(library(), gpu, &self.watches) {
            readers.push(Box::new(events));
        }
        if let Some(pcie) = PcieReader::new(library(), gpu, &self.watches) {
            readers.push(Box::new(pcie));
        }
        readers
    }

    fn outdated(&mut self) -> Option<String> {
        if self.library.was_replaced() {
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
