//! What is read once per session: versions of the driver and its libraries.

use std::sync::Arc;

use model::{FieldId, Reading, Watch};

use crate::call_group::CallGroup;
use crate::code::Code;
use crate::device::Device;
use crate::fields;
use crate::library::Library;
use crate::pass::{PassContext, TargetFinder};
use crate::plan::Target;
use crate::row::{Call, Row};

/// Readings that are the same for all GPUs of a driver.
pub(crate) struct SessionFacts {
    /// As `550.163.01`.
    pub(crate) driver_version: Option<Arc<str>>,
    readings: Arc<[(FieldId, Reading)]>,
}

impl SessionFacts {
    /// Reads only what is watched. May block: CUDA's version is in another library.
    pub(crate) fn of(library: &Library, watches: &[Watch]) -> Self {
        let readings = fields::rows().filter_map(|row| match row.call {
            Call::Session(_, read) => {
                let watch = watches.iter().find(|watch| row.fields.contains(watch.field))?;
                Some((watch.field, read(library).unwrap_or_else(|code| Err(code.reason()))))
            }
            _ => None,
        });
        let driver_version = library.driver_version().ok().map(Arc::from);
        Self { driver_version, readings: readings.collect() }
    }

    /// The call group that writes them; it makes no calls.
    pub(crate) fn group(&self) -> FactGroup {
        FactGroup { readings: Arc::clone(&self.readings), watched: Vec::new() }
    }
}

/// Writes the facts of a session.
pub(crate) struct FactGroup {
    readings: Arc<[(FieldId, Reading)]>,
    watched: Vec<(Target, Reading)>,
}

impl CallGroup for FactGroup {
    fn add(&mut self, row: &'static Row, _link: u32, targets: &mut TargetFinder) {
        for (field, reading) in self.readings.iter().filter(|(of, _)| row.fields.contains(*of)) {
            let target = targets.target(*field);
            self.watched.extend(target.map(|target| (target, reading.clone())));
        }
    }

    fn read(&mut self, _device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        pass.write_constants(&self.watched);
        Ok(())
    }
}
